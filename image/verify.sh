#!/bin/bash
# verify.sh FOLDER [known]: two builds at different paths, one after the other; then compare.sh. Nothing is shared but the
# downloads. What they made is removed if it is the same, and stays to be looked at if not.
# known: if image/verified has the packages' root of the first build (same inputs, same hash: it was made twice when that line was
# written, and now a third time), the second build makes only what comes after it. If the line has another hash, that is the
# difference. Without "known", a success is written to image/verified.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
mode=${2:-all}
one=$folder/verify-one other=$folder/verify/the-other
rm -rf "$one" "$folder/verify"
mkdir -p "$folder/verify"
"$here/build.sh" "$one"
key=$(sha256sum <"$one/root.key" | cut -d ' ' -f 1)
sum=$(sha256sum <"$one/root/root.tar" | cut -d ' ' -f 1)
known=$(awk -v key="$key" '$1 == key { print $2 }' "$here/verified" 2>/dev/null || true)
if [ "$mode" = known ] && [ -n "$known" ]; then
    if [ "$known" != "$sum" ]; then
        echo "image-verify: DIFFERENT: the packages' root is $sum, and was $known when it was verified; \`make image-verify\` names the file" >&2
        exit 1
    fi
    echo "image-verify: the packages' root is what it was when it was verified; what comes after it is made again" >&2
    mv "$one" "$other"
    mkdir "$one"
    mv "$other"/{program,system,card} "$one"
    rm -r "$other"/{program,system,card}.key "$other/cargo"
else
    # 9 GB instead of 12: they are compared by what they led to.
    rm -rf "$one"/{builder,crates,cargo}{,.key}
fi
"$here/build.sh" "$other"
"$here/compare.sh" "$one" "$other"
if [ "$mode" = all ]; then
    if [ "$sum" != "$(sha256sum <"$other/root/root.tar" | cut -d ' ' -f 1)" ]; then
        echo "image-verify: the packages' root differs in what is not part of the image; image/verified is left as it was" >&2
    else
        host=$(dpkg --print-architecture)
        {
            echo "# The packages' root: hash of all that it is made from, hash of it, where it was made; written by a make image-verify that passed."
            grep -v "^#\| $host\$" "$here/verified" 2>/dev/null || true
            echo "$key $sum $host"
        } >"$one/verified"
        cp "$one/verified" "$here/verified"
    fi
fi
rm -rf "$one" "$folder/verify"
