#!/bin/bash
# verify.sh FOLDER: two builds at different paths, one after the other, with nothing in common but the downloaded packages; the
# first file that differs is named by partition and path. Fails if the images differ.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
for build in verify-one verify/the-other; do
    rm -rf "${folder:?}/$build"
    "$here/build.sh" "$folder/$build"
    # The sums are all that the comparison needs of the tools.
    rm -rf "$folder/$build"/{crates,crates.key}
done
one=$folder/verify-one other=$folder/verify/the-other
for file in "$one"/card/out/*.build.txt; do
    name=$(basename "$file")
    if ! difference=$(diff "$file" "$other/card/out/$name"); then
        echo "image-verify: DIFFERENT. First: $(echo "$difference" | awk '/file_sha256/ { sub(/SLOT_A/, "partition 2 (SLOT_A):", $3); sub(/BOOTH/, "partition 1 (BOOTH):", $3); print $3; exit }')" >&2
        if ! cmp -s "$one/system/root.sqfs" "$other/system/root.sqfs"; then
            for build in "$one" "$other"; do "$here/list.sh" "$build"; done
            echo "image-verify: of root.sqfs: $(diff "$one/root.list" "$other/root.list" | grep '^[<>]' | head -n 1)" >&2
        fi
        echo "$difference" >&2
        exit 1
    fi
done
if ! cmp "$one"/card/*.img "$other"/card/*.img || ! diff "$one/card/out/SHA256SUMS" "$other/card/out/SHA256SUMS"; then
    echo "image-verify: DIFFERENT between or after the partitions, or in what lies beside the image." >&2
    exit 1
fi
echo "image-verify: two builds, the same: $(sha256sum <"$one"/card/*.img | cut -d ' ' -f 1)"
rm -rf "$one" "$other"
