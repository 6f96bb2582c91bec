#!/bin/bash
# compare.sh ONE OTHER: are the images of these two folders of build.sh the same, bit for bit? If not, the first file that differs
# is named, by partition and path. Needs root, to look into root.sqfs.
set -euo pipefail
one=$1 other=$2
list() { # BUILD: a line for every file of its root.sqfs: path, owner, mode, size, date, target; then hashes.
    local mount
    mount=$(mktemp -d)
    mount -o loop,ro "$1/system/root.sqfs" "$mount"
    (cd "$mount" && find . -printf '%p %U:%G %m %s %T@ %l\n' | LC_ALL=C sort &&
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
    umount "$mount"
    rmdir "$mount"
}
told() { # the first file of a partition that differs
    diff "$1" "$2" | awk '$2 == "file_sha256" { print $3; exit }' |
        sed 's#^BOOTH/#partition 1 (BOOTH): #; s#^SLOT_A/#partition 2 (SLOT_A): #'
}
for file in "$one"/card/out/*.build.txt; do
    second=$other/card/out/$(basename "$file")
    cmp -s "$file" "$second" && continue
    first=$(told "$file" "$second")
    echo "image-verify: DIFFERENT, first ${first:-in none of the files: the file systems, the table or the locks}" >&2
    case $first in
    *root.sqfs)
        a=$(mktemp) b=$(mktemp)
        list "$one" >"$a"
        list "$other" >"$b"
        difference=$(diff "$a" "$b" | grep '^[<>]' | head -n 4 || true)
        rm -f "$a" "$b"
        echo "image-verify: in it: ${difference:-the files are the same, their order or compression is not}" >&2
        ;;
    esac
    exit 1
done
if ! cmp "$one"/card/booth-gateway-*.img "$other"/card/booth-gateway-*.img || ! cmp "$one/card/slot.img" "$other/card/slot.img" || ! diff "$one/card/out/SHA256SUMS" "$other/card/out/SHA256SUMS"; then
    echo "image-verify: DIFFERENT outside of all files, or in what lies beside the image." >&2
    exit 1
fi
echo "image-verify: two builds, the same bit for bit: $(sha256sum <"$(echo "$one"/card/booth-gateway-*.img)" | cut -d ' ' -f 1)"
