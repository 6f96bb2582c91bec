#!/bin/sh
# install.sh PACKAGE…: installs what is missing of these Debian packages, after saying which and what each is for (the reasons are those
# at the top of the Makefile). Never changes which sound server a machine has: where that is PipeWire, PulseAudio is unpacked into
# target/packages, and only what it needs is installed. What apt would take away for a package is named, and whoever sits at a terminal
# is asked. `cargo` in the list is rustup's and is only looked for. SKIP_PACKAGES=1 leaves Debian's packages alone.
set -eu
cd "$(dirname "$0")/../.."
own=target/packages

is_installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }
missing=
has_own_pulse=
for package in "$@"; do
    case $package in
    cargo)
        command -v cargo >/dev/null || { echo "Rust is missing: install it with rustup (https://rustup.rs), then run make again." >&2; exit 1; }
        continue
        ;;
    pulseaudio)
        [ ! -x $own/bin/pulseaudio ] || continue
        if ! is_installed pulseaudio && { is_installed pipewire-pulse || is_installed pipewire-audio; }; then
            has_own_pulse=1
            continue
        fi
        ;;
    esac
    is_installed "$package" || missing="$missing $package"
done
[ -n "$missing$has_own_pulse" ] || exit 0
[ -z "${SKIP_PACKAGES:-}" ] || exit 0

echo "These Debian packages are missing and will be installed:"
sed '/^[^#]/,$d' Makefile | awk -v missing="$missing" '
    BEGIN { count = split(missing, list, " ") }
    match($0, /^#   [a-z0-9+. -]*[a-z0-9+]   +/) {
        names = substr($0, 4, RLENGTH - 4); reason = substr($0, RLENGTH + 1); wanted = ""
        for (n = 1; n <= count; n++) if (index(" " names " ", " " list[n] " ")) wanted = wanted " " list[n]
        if (wanted != "") printf "  %-50s%s\n", wanted, reason
    }'
[ -z "$has_own_pulse" ] || echo "  and what PulseAudio needs; it is unpacked into $own, because this machine's sound is PipeWire's and stays so"
root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "That needs root, and there is no sudo. As root: apt-get install --no-install-recommends$missing" >&2; exit 1; }
    root=sudo
fi
failed() {
    echo "Installing failed, see above. Install them by hand, or set SKIP_PACKAGES=1 to go on without." >&2
    exit 1
}
# Another program of the machine may be installing something.
apt() { $root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 "$@"; }
apt update || echo "The lists of packages are as old as they were." >&2
# get VERB WHAT…
get() {
    verb=$1
    shift
    yes=-y
    gone=$(LC_ALL=C apt-get -s "$verb" --no-install-recommends "$@" 2>/dev/null | sed -n 's/^Remv \([^ ]*\).*/\1/p')
    if [ -n "$gone" ]; then
        echo "For them apt takes away:" $gone
        [ ! -t 0 ] || yes=
    fi
    # shellcheck disable=SC2086
    apt "$verb" $yes --no-install-recommends "$@" || failed
}
# shellcheck disable=SC2086
[ -z "$missing" ] || get install $missing
[ -n "$has_own_pulse" ] || exit 0

get satisfy "$(apt-cache show --no-all-versions pulseaudio | sed -n 's/^Depends: //p')"
rm -rf $own/pulse
mkdir -p $own/pulse $own/bin
(cd $own/pulse && apt-get -q download pulseaudio && dpkg -x pulseaudio_*.deb . && rm pulseaudio_*.deb) || failed
core=$(cd $own && find pulse -name 'libpulsecore-*.so' | head -n 1)
modules=$(cd $own && find pulse -type d -name modules | head -n 1)
[ -n "$core" ] && [ -n "$modules" ] || { echo "Debian's pulseaudio has no libpulsecore or no modules where they were." >&2; failed; }
cat >$own/bin/pulseaudio.new <<P
#!/bin/sh
own=\$(cd "\$(dirname "\$0")/.." && pwd)
LD_LIBRARY_PATH=\$own/$(dirname "$core") exec "\$own/pulse/usr/bin/pulseaudio" --dl-search-path="\$own/$modules" "\$@"
P
chmod 755 $own/bin/pulseaudio.new
mv $own/bin/pulseaudio.new $own/bin/pulseaudio
