#!/bin/bash
# fetch.sh LOCK POOL: every package of the lock is in POOL afterwards, with its size and SHA-256, or this fails and names
# what the mirror no longer has, with status 3. Files that are there and right are not asked for again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lock=$1 pool=$2
mkdir -p "$pool"
list=$(mktemp)
trap 'rm -f "$list"' EXIT
# Named by its hash: two locks share what they have in common, and nothing is ever mistaken for another version.
lacking() {
    grep -v '^#' "$lock" | while read -r sha size _ _ _ _ path; do
        file=$pool/$sha.deb
        if [ "$(stat -c %s "$file" 2>/dev/null)" = "$size" ] && echo "$sha  $file" | sha256sum -c --status; then continue; fi
        rm -f "$file"
        echo "$sha $path"
    done
}
missing=$(lacking)
[ -z "$missing" ] && exit 0
. "$here/mirrors.sh"
echo "$missing" | while read -r sha path; do
    case $path in
    security/*) echo "url=\"$SECURITY_MIRROR/${path#security/}\"" ;;
    extra/*) echo "url=\"${EXTRA_MIRROR:?is not set; the lock has packages of it}/${path#extra/}\"" ;;
    *) echo "url=\"$DEBIAN_MIRROR/${path#debian/}\"" ;;
    esac
    echo "output=\"$pool/$sha.deb\""
done >"$list"
echo "image: fetching $(echo "$missing" | wc -l) packages …" >&2
# The check below says what failed, and of which file.
curl -fsS --parallel --parallel-max 4 --retry 3 --connect-timeout 30 -K "$list" 2>/dev/null || true
missing=$(lacking)
[ -z "$missing" ] && exit 0
{
    echo "image: the mirror does not have these files of $(basename "$lock"), or has others under their names:"
    echo "$missing" | sed 's/^[^ ]* /  /'
    echo "Superseded packages leave a live mirror. Point DEBIAN_MIRROR and SECURITY_MIRROR at a dated snapshot, or run"
    echo "\`make image-lock\`, look at the difference, and commit it."
} >&2
exit 3
