#!/bin/bash
# install.sh LOCK POOL ARCHITECTURES OUT OPTIONS…: exactly the packages that the lock marks "root", installed by mmdebstrap
# into OUT (a folder or a tar file). It sees a repository of these files and nothing else: no network, no choice of apt's.
set -euo pipefail
lock=$1 pool=$2 architectures=$3 out=$4
shift 4
export SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C.UTF-8
SOURCE_DATE_EPOCH=$(sed -n 's/^#.* epoch \([0-9]*\).*/\1/p' "$lock")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir "$work/repository" "$work/tmp"
while read -r sha size _ _ _ where _; do
    [ "$where" = root ] || continue
    ln "$pool/$sha.deb" "$work/repository/" 2>/dev/null || cp "$pool/$sha.deb" "$work/repository/"
    dpkg-deb -f "$pool/$sha.deb"
    printf 'Filename: ./%s.deb\nSize: %s\nSHA256: %s\n\n' "$sha" "$size" "$sha"
done < <(grep -v '^#' "$lock") >"$work/repository/Packages.part"
mv "$work/repository/Packages.part" "$work/repository/Packages"
include=$(grep -v '^#' "$lock" | awk '$6 == "root" { print $5 == "all" ? $3 : $3 ":" $5 }' | paste -sd,)
TMPDIR=$work/tmp mmdebstrap --quiet --mode=root --architectures="$architectures" --variant=custom --include="$include" \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' --aptopt='APT::Sandbox::User "root"' \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/lintian/*' \
    --customize-hook=': >"$1/etc/apt/sources.list"' \
    "$@" trixie "$out" "deb [trusted=yes] copy:$work/repository ./"
