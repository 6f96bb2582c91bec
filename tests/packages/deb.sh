#!/bin/bash
# deb.sh FOLDER: the Debian packages in FOLDER, installed, upgraded, removed and purged in a clean Debian (mmdebstrap), as root; and
# what lintian says of them. A chroot has no service manager: a stand-in for systemctl writes down what it is asked, so that it shows that an
# upgrade stops nothing. deb-systemd-invoke is Debian's own: it asks the stand-in which units are enabled. Everything is below target/packages/deb. Says "!! NOT RUN: reason" for what this machine cannot show; status 1 if
# something failed.
set -euo pipefail
cd "$(dirname "$0")/../.."
packages=$(realpath "$1")
work=$PWD/target/packages/deb
failed=0
say() { echo "deb: $*"; }
wrong() { say "FAILED: $*" >&2; failed=1; }

. image/mirrors.sh
[ "$(id -u)" = 0 ] || { echo "!! NOT RUN: the packages in a clean Debian: that needs root"; exit 0; }
command -v mmdebstrap >/dev/null || { echo "!! NOT RUN: the packages in a clean Debian: mmdebstrap is missing"; exit 0; }

if command -v lintian >/dev/null; then
    for file in "$packages"/*.deb; do
        lintian --allow-root --fail-on error,warning "$file" || wrong "lintian on $(basename "$file")"
    done
else
    echo "!! NOT RUN: lintian: it is not installed"
fi

# base SUITE: a bare Debian with what the packages need, made once.
base() {
    [ ! -e "$work/$1/complete" ] || return 0
    say "making a bare Debian ($1)"
    rm -rf "$work/$1"
    mkdir -p "$work"
    local include=systemd,init-system-helpers,libgcc-s1,procps
    case $1 in bookworm) include=$include,libasound2 ;; *) include=$include,libasound2t64 ;; esac
    printf '%s\n' "deb $DEBIAN_MIRROR $1 main" | mmdebstrap --quiet --mode=root --variant=minbase --include="$include" "$1" "$work/$1" - || return
    touch "$work/$1/complete"
}

# Run in namespaces that end with it.
within() {
    unshare --mount --pid --fork --kill-child --propagation private bash -euc '
        mount -t proc proc "$0/proc"; mount -t tmpfs tmpfs "$0/run"; mount -t tmpfs tmpfs "$0/tmp"; mkdir -p "$0/run/systemd/system"
        exec chroot "$0" /usr/bin/env -i PATH=/stand-in:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 sh -euc "$1"' "$root" "$asserts$1"
}
# What the checks ask beside grep and test: a `! grep` ends no script.
asserts='
    none() { [ -f "$2" ] || exit 1; if grep -E "$1" "$2"; then echo "there is: $1"; exit 1; fi; }
    gone() { for name; do if [ -e "$name" ] || [ -L "$name" ]; then echo "still there: $name"; exit 1; fi; done; }
'
# check WHAT SCRIPT
check() { if within "$2" >"$log" 2>&1; then say "$suite: $1"; else wrong "$suite: $1"; sed 's/^/    /' "$log"; fi; }

for suite in ${DEB_SUITES:-bookworm trixie}; do
    base "$suite" || { echo "!! NOT RUN: $suite could not be made from $DEBIAN_MIRROR"; continue; }
    root=$work/root log=$work/log
    rm -rf "$root"
    cp -a "$work/$suite" "$root"
    mkdir "$root/stand-in" "$root/packages"
    cp "$packages"/*_amd64.deb "$root/packages/"
    # The stand-in says that the gateway alone runs, and writes down everything but what concerns files alone.
    cat >"$root/stand-in/systemctl" <<'S'
#!/bin/sh
case " $* " in
*" preset "* | *" disable "* | *" is-enabled "*) SYSTEMD_OFFLINE=1 exec /usr/bin/systemctl "$@" ;;
*" is-active "*booth-gateway.service*) exit 0 ;;
*" is-active "*) exit 3 ;;
esac
echo systemctl "$@" >>/asked
S
    chmod 755 "$root/stand-in/systemctl"
    # The same program under a higher version, as an upgrade.
    for package in booth-gateway booth-hub; do
        old=$(echo "$root/packages/$package"_*_amd64.deb)
        mkdir -p "$root/packages/next"
        dpkg-deb -R "$old" "$root/packages/$package"
        sed -i 's/^Version: .*/&+next/' "$root/packages/$package/DEBIAN/control"
        dpkg-deb --root-owner-group -Zgzip -z1 --build "$root/packages/$package" "$root/packages/next/" >/dev/null
    done

    check "both are installed, with users, folders and an enabled unit" '
        dpkg --install /packages/*.deb
        booth-gateway --version; booth-hub --version
        id booth-gateway; id -nG booth-gateway | grep -w gpio; id booth-hub
        [ "$(stat -c "%a %U" /var/lib/booth-gateway)" = "700 booth-gateway" ]
        [ "$(stat -c "%a %U %G" /etc/booth-gateway/booth.toml)" = "640 root booth-gateway" ]
        [ "$(stat -c "%a %U %G" /etc/booth-hub/hub.toml)" = "640 root booth-hub" ]
        [ -L /etc/systemd/system/multi-user.target.wants/booth-gateway.service ]
        [ -L /etc/systemd/system/sockets.target.wants/booth-stick.socket ]
        [ -L /etc/systemd/system/multi-user.target.wants/booth-hub.service ]
        [ -f /usr/share/man/man1/booth-gateway.1.gz ]'
    check "an empty configuration starts nothing and says what to do" '
        grep "start .*booth-stick.socket" /asked
        none "start .*booth-(gateway|hub|new-version)" /asked'
    check "every unit is one that systemd takes" '
        systemd-analyze verify --recursive-errors=no booth-gateway.service booth-hub.service booth-new-version.service booth-stick.socket booth-stick.service booth-restart.path booth-restart.service 2>&1 | tee /tmp/said
        none "booth-[a-z-]*\.(service|socket|path):.*(Unknown|not executable|Failed)" /tmp/said'
    check "an upgrade keeps what a person wrote, stops nothing, and asks for the new version when nobody is at the handset" '
        printf "[booth]\nid = \"rundhoej-1\"\n[privacy]\nseal = false\n" >/etc/booth-gateway/booth.toml
        mkdir -p /var/lib/booth-gateway/clips && echo words >/var/lib/booth-gateway/clips/x.clip
        : >/asked
        dpkg --install /packages/next/booth-gateway*.deb
        grep -q rundhoej-1 /etc/booth-gateway/booth.toml
        [ "$(stat -c "%a %U %G" /etc/booth-gateway/booth.toml)" = "640 root booth-gateway" ]
        cat /asked
        none "(stop|restart|start) .*booth-gateway.service" /asked
        grep "^systemctl --no-block start booth-new-version.service" /asked
        [ -f /var/lib/booth-gateway/clips/x.clip ]'
    check "the hub begins anew at once after an upgrade" '
        echo "url = \"mqtt://127.0.0.1\"" >>/etc/booth-hub/hub.toml
        : >/asked
        dpkg --force-confold --install /packages/next/booth-hub*.deb
        grep "^systemctl .*restart booth-hub.service" /asked'
    check "a unit that a person has disabled stays so over an upgrade" '
        systemctl disable booth-gateway.service
        gone /etc/systemd/system/multi-user.target.wants/booth-gateway.service
        dpkg --install /packages/next/booth-gateway*.deb
        gone /etc/systemd/system/multi-user.target.wants/booth-gateway.service'
    check "a removal ends the programs and leaves configuration and messages" '
        : >/asked
        dpkg --remove booth-gateway booth-hub
        grep "^systemctl .*stop .*booth-gateway.service" /asked
        grep "^systemctl .*stop .*booth-hub.service" /asked
        gone /usr/bin/booth-gateway /usr/lib/systemd/system/booth-gateway.service
        grep -q rundhoej-1 /etc/booth-gateway/booth.toml
        [ -f /var/lib/booth-gateway/clips/x.clip ]'
    check "a purge leaves messages that no hub has confirmed, and says so" '
        dpkg --purge booth-gateway booth-hub >/tmp/said 2>&1; cat /tmp/said
        grep -q "that no hub has confirmed" /tmp/said
        [ -f /var/lib/booth-gateway/clips/x.clip ]
        gone /etc/booth-gateway /etc/booth-hub /var/lib/booth-hub'
    check "a purge leaves withdrawals that no hub has confirmed, too" '
        rm -r /var/lib/booth-gateway
        dpkg --install /packages/booth-gateway*.deb
        mkdir /var/lib/booth-gateway/withdrawals && echo taken back >/var/lib/booth-gateway/withdrawals/x.json
        dpkg --purge booth-gateway >/tmp/said 2>&1; cat /tmp/said
        grep -q "that no hub has confirmed" /tmp/said
        [ -f /var/lib/booth-gateway/withdrawals/x.json ]'
    check "a purge of a booth without messages leaves nothing" '
        rm -r /var/lib/booth-gateway
        dpkg --install /packages/booth-gateway*.deb
        dpkg --purge booth-gateway
        gone /var/lib/booth-gateway /etc/booth-gateway
        find / -xdev -name "*booth-gateway*" -not -path "/packages/*" -not -path "/proc/*" -not -path "/var/lib/booth-hub*" >/tmp/left
        none . /tmp/left'
    rm -rf "$root"
done
ls "$packages"/*_arm64.deb >/dev/null 2>&1 || echo "!! NOT RUN: arm64: there is no program for it here; \`make image\` builds one (ARM64_PROGRAM=…)"
exit $failed
