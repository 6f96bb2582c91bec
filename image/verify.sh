#!/bin/bash
# verify.sh FOLDER: two builds at different paths, one after the other, with nothing in common but the downloaded packages; then
# compare.sh. What they made is removed if it is the same, and stays to be looked at if not.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
for build in verify-one verify/the-other; do
    rm -rf "${folder:?}/$build"
    "$here/build.sh" "$folder/$build"
    # 9 GB instead of 12: they are compared by what they led to.
    rm -rf "$folder/$build"/{builder,crates}{,.key}
done
"$here/compare.sh" "$folder/verify-one" "$folder/verify/the-other"
rm -rf "$folder/verify-one" "$folder/verify"
