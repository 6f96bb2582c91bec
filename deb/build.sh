#!/bin/bash
# build.sh PACKAGE PROGRAM HELP OUT: a Debian package of one program. PACKAGE is booth-gateway or booth-hub, PROGRAM the program's file, built
# for amd64 or arm64, HELP the folder of `make help-files`; the package goes into the folder OUT. Two builds of the same commit and program
# are the same bit for bit. Not cargo-deb: the program for arm64 comes out of the image's builder, which is no target folder of cargo's here.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
package=$1 program=$(realpath "$2") help=$(realpath "$3") out=$4
own=$repository/deb/$package
case $package in booth-gateway | booth-hub) ;; *) echo "build.sh: no package $package" >&2; exit 2 ;; esac
case $(readelf -h "$program" | sed -n 's/^ *Machine: *//p') in
*X86-64*) architecture=amd64 ;;
AArch64) architecture=arm64 ;;
*) echo "build.sh: $program is built neither for amd64 nor for arm64" >&2; exit 1 ;;
esac
version=${DEB_VERSION:-$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' "$repository/Cargo.toml")}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$repository" log -1 --format=%ct)} TZ=UTC LC_ALL=C.UTF-8
maintainer=${DEB_MAINTAINER:-Booth gateway <booth-gateway@aarhus.example>}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
umask 022

put() { install -D -m "$1" "$2" "$root/$3"; }
pack() { mkdir -p "$(dirname "$root/$2")" && gzip -9n <"$1" >"$root/$2"; }

put 755 "$program" "usr/bin/$package"
# A program that is stripped already, or of another machine, stays as it is.
strip --remove-section=.comment "$root/usr/bin/$package" 2>/dev/null || true
documents="configuration.md glossary.md"
case $package in
booth-gateway)
    units="systemd/booth-gateway.service systemd/booth-console.service systemd/booth-restart.path systemd/booth-restart.service
        systemd/booth-stick.socket systemd/booth-stick.service
        deb/booth-gateway/booth-new-version.service"
    documents="$documents alerts.md technician.md pulled-card.md screen.md commands.md updates.md visit.md"
    others='booth-hub'
    # ExecReload has /bin/kill.
    more=', procps'
    put 644 "$own/booth.toml" etc/booth-gateway/booth.toml
    put 755 "$repository/image/system/usr/lib/booth/restart" usr/lib/booth/restart
    put 644 "$repository/image/system/etc/udev/rules.d/60-booth.rules" usr/lib/udev/rules.d/60-booth-gateway.rules
    ;;
booth-hub)
    units="systemd/booth-hub.service systemd/booth-hub-ingest@.service systemd/booth-hub-backup.service systemd/booth-hub-backup.timer"
    documents="$documents operations.md alerts.md campaigns.md desk.md hub-store.md hub-workers.md hub-sealed.md monitoring.md people.md"
    others='booth-gateway\|gpio'
    more=
    put 644 "$own/hub.toml" etc/booth-hub/hub.toml
    for example in mosquitto.acl campaign.example.toml; do
        put 644 "$repository/docs/$example" "usr/share/doc/$package/examples/$example"
    done
    ;;
esac
for unit in $units; do put 644 "$repository/$unit" "usr/lib/systemd/system/$(basename "$unit")"; done
mkdir -p "$root/usr/lib/sysusers.d" "$root/usr/lib/tmpfiles.d"
grep -v "$others" "$repository/systemd/booth.sysusers.conf" >"$root/usr/lib/sysusers.d/$package.conf"
put 644 "$own/tmpfiles.conf" "usr/lib/tmpfiles.d/$package.conf"

for page in "$help/man/$package".1 "$help/man/$package"-*.1; do pack "$page" "usr/share/man/man1/$(basename "$page").gz"; done
put 644 "$help/completions/$package.bash" "usr/share/bash-completion/completions/$package"
put 644 "$help/completions/_$package" "usr/share/zsh/vendor-completions/_$package"
put 644 "$help/completions/$package.fish" "usr/share/fish/vendor_completions.d/$package.fish"

doc=usr/share/doc/$package
for document in $documents; do put 644 "$repository/docs/$document" "$doc/$document"; done
put 644 "$repository/deb/copyright" "$doc/copyright"
{
    printf '%s (%s) unstable; urgency=medium\n\n  * What has changed is told in CHANGELOG.md.\n\n' "$package" "$version"
    printf ' -- %s  %s\n' "$maintainer" "$(date -R -d "@$SOURCE_DATE_EPOCH")"
} >"$root/changelog"
pack "$root/changelog" "$doc/changelog.gz"
rm "$root/changelog"
pack "$repository/CHANGELOG.md" "$doc/CHANGELOG.md.gz"
[ ! -e "$own/lintian-overrides" ] || put 644 "$own/lintian-overrides" "usr/share/lintian/overrides/$package"

# What the program is linked with, by the package that has it; the C library by the newest of its symbols that are used.
depends=
for library in $(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
    case $library in
    libc.so.6) depends="$depends, libc6 (>= $(readelf -V "$program" | grep -o 'GLIBC_2[0-9.]*' | sort -Vu | tail -n 1 | cut -d_ -f2))" ;;
    ld-linux* | libm.so.6 | libpthread.so.0 | libdl.so.2 | librt.so.1) ;;
    libgcc_s.so.1) depends="$depends, libgcc-s1 (>= 4.2)" ;;
    libasound.so.2) depends="$depends, libasound2 (>= 1.1) | libasound2t64" ;;
    *) echo "build.sh: nobody has said which package has $library" >&2; exit 1 ;;
    esac
done
mkdir "$root/DEBIAN"
{
    printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: %s\nPriority: optional\n' "$package" "$version" "$architecture" "$maintainer"
    printf 'Installed-Size: %s\n' "$(du -k --apparent-size -s "$root" | cut -f1)"
    printf 'Depends: %s, systemd (>= 252), init-system-helpers (>= 1.65)%s\n' "${depends#, }" "$more"
    cat "$own/control"
} >"$root/DEBIAN/control"
(cd "$root" && find etc -type f | sed 's,^,/,') >"$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
for script in postinst prerm postrm; do put 755 "$own/$script" "DEBIAN/$script"; done
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference -d "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$out"
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/${package}_${version}_$architecture.deb" >/dev/null
echo "$out/${package}_${version}_$architecture.deb"
