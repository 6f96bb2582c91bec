#!/bin/bash
# lock.sh FOLDER: asks the mirrors which packages image and builder consist of now, and writes FOLDER/image.lock, FOLDER/image-screen.lock
# (the variant "screen": packages.screen.list besides), and FOLDER/builder-amd64.lock and builder-arm64.lock. Owns nothing else; apt works with a state of its own, this machine's packages are not touched.
# A line: SHA-256, size, name, version, architecture, where, path in the archive ("debian/…" or "security/…").
# Mirrors: DEBIAN_MIRROR and SECURITY_MIRROR, else what this machine's apt uses; no name of one is written anywhere.
# The kernel: IMAGE_KERNEL, else the newest arm64 one of backports. One that is packaged in a single linux-image-… (Debian's before
# 7, Raspberry Pi's) is only unpacked, because as a dependency it would bring a generator of initrds. EXTRA_MIRROR with EXTRA_SUITE
# ("trixie main") and EXTRA_KEYRING is one more archive to find it in.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$1
. "$here/mirrors.sh"
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
chmod 755 "$state"
suite=trixie

# apt ARCHITECTURE FOREIGN ARGUMENTS…
apt() {
    local own=$1 all=$2
    shift 2
    apt-get -o Dir::Etc="$state/$own/etc" -o Dir::State="$state/$own/state" -o Dir::State::status="$state/$own/status" \
        -o Dir::Cache="$state/$own/cache" -o APT::Architecture="$own" -o APT::Architectures="$all" \
        -o APT::Install-Recommends=false -o Acquire::Languages=none -o Acquire::ForceHash=SHA256 \
        -o APT::Sandbox::User=root -o Debug::NoLocking=true "$@"
}
prepare() {
    mkdir -p "$state/$1"/{state/lists/partial,cache/archives/partial,etc/apt.conf.d,etc/preferences.d}
    : >"$state/$1/status"
    local sign="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    cat >"$state/$1/etc/sources.list" <<L
deb $sign $DEBIAN_MIRROR $suite main non-free-firmware
deb $sign $DEBIAN_MIRROR $suite-updates main non-free-firmware
deb $sign $DEBIAN_MIRROR $suite-backports main non-free-firmware
deb $sign $SECURITY_MIRROR $suite-security main non-free-firmware
${EXTRA_MIRROR:+deb [signed-by=$EXTRA_KEYRING] $EXTRA_MIRROR $EXTRA_SUITE}
L
    apt "$1" "$2" -qq update
}
indexes() { for file in "$state/$1"/state/lists/*_Packages*; do /usr/lib/apt/apt-helper cat-file "$file"; done; }
names() { sed 's/#.*//; /^ *$/d' "$here/$1"; }
# The newest of all indexes' dates: what every file of the image is dated.
epoch() {
    for file in "$state/$1"/state/lists/*InRelease; do date -u -d "$(sed -n 's/^Date: //p' "$file" | head -n 1)" +%s; done |
        sort -n | tail -n 1
}
# write LOCK: apt's list of addresses on the input.
write() {
    awk -v debian="$DEBIAN_MIRROR/" -v security="$SECURITY_MIRROR/" -v extra="${EXTRA_MIRROR:-no such archive}/" -v boot=" $2 " '
        $4 ~ /^SHA256:/ {
            url = substr($1, 2, length($1) - 2)
            if (index(url, security) == 1) path = "security/" substr(url, length(security) + 1)
            else if (index(url, debian) == 1) path = "debian/" substr(url, length(debian) + 1)
            else if (index(url, extra) == 1) path = "extra/" substr(url, length(extra) + 1)
            else { print "lock.sh: an address of no mirror that was named" > "/dev/stderr"; exit 1 }
            file = $2; sub(/\.deb$/, "", file); split(file, part, "_")
            gsub(/%3a/, ":", part[2])
            print substr($4, 8), $3, part[1], part[2], part[3], (index(boot, " " part[1] " ") ? "boot" : "root"), path
        }' | LC_ALL=C sort -k 3,3 -k 5,5
}
mkdir -p "$out"

prepare arm64 arm64
kernel=${IMAGE_KERNEL:-$(indexes arm64 | sed -n 's/^Package: linux-binary-\([0-9][0-9.]*+deb[0-9]*-arm64\)$/\1/p' | sort -Vu | tail -n 1)}
[ -n "$kernel" ] || { echo "lock.sh: backports has no arm64 kernel; set IMAGE_KERNEL" >&2; exit 1; }
boot=$(names packages.list | awk -F ' *[|] *' '$2 == "boot" { print $1 }')
wanted=$(names packages.list | awk -F ' *[|] *' '$2 == "root" { print $1 }')
has() { [ -n "$(indexes "$1" | awk -v name="$2" '$1 == "Package:" && $2 == name' || true)" ]; }
single=no
if has arm64 "linux-image-$kernel" && ! has arm64 "linux-binary-$kernel"; then
    single=yes
    boot="$boot linux-image-$kernel"
    wanted=$(echo "$wanted" | grep -v @KERNEL@)
elif ! has arm64 "linux-binary-$kernel"; then
    echo "lock.sh: no mirror has a kernel $kernel for arm64. The newest they have:" >&2
    indexes arm64 | sed -n 's/^Package: linux-\(image\|binary\)-\([0-9].*\)/  \2/p' | grep -v 'cloud\|dbg\|unsigned' | sort -Vu | tail -n 12 >&2
    exit 1
fi
wanted=$(echo "$wanted" | sed "s/@KERNEL@/$kernel/")
essential=$(indexes arm64 | awk '/^Package:/ { name = $2 } /^Essential: yes/ { print name }' | sort -u)
# image NAME WHAT PACKAGES: the lock of an image that has these besides.
image() {
    # shellcheck disable=SC2086
    {
        echo "# Every package of the image$2; made by make image-lock. epoch $(epoch arm64) kernel $kernel"
        {
            apt arm64 arm64 -y --print-uris install $essential $wanted $3
            # What is only unpacked brings no dependencies.
            for package in $boot; do apt arm64 arm64 --print-uris download "$package"; done
        } | write x "$(echo $boot)"
    } >"$out/$1.lock"
}
image image "" ""
image image-screen "'s variant with a screen" "$(names packages.screen.list | awk -F ' *[|] *' '{ print $1 }')"

# Headers that a cross compiler can use come with the kernels in parts.
headers=
if [ "$single" = yes ]; then
    headers=linux-headers-
    echo "lock.sh: $kernel has no headers for the builder: the module for a trial boot is left out, the kernel itself has to know tryboot" >&2
fi
# builder HOST ALL: the lock of the tools for a machine of this architecture that builds.
builder() {
    local wanted essential
    wanted=$(names builder.list | grep -v "^${headers:-no such package}" |
        awk -F ' *[|] *' -v host="$1" '$2 == "host" { $2 = host } $2 == host || $2 == "arm64" { print $1 ":" $2 }' | sed "s/@KERNEL@/$kernel/")
    essential=$(indexes "$1" | awk -v host="$1" '/^Package:/ { name = $2 } /^Architecture:/ { arch = $2 } /^Essential: yes/ && (arch == host || arch == "all") { print name }' | sort -u)
    echo "# Every package of the builder on $1; made by make image-lock. epoch $(epoch "$1") kernel $kernel"
    # shellcheck disable=SC2086
    apt "$1" "$2" -y --print-uris install $essential $wanted | write x ""
}
builder arm64 arm64 >"$out/builder-arm64.lock"
prepare amd64 amd64,arm64
builder amd64 amd64,arm64 >"$out/builder-amd64.lock"
for lock in image image-screen builder-amd64 builder-arm64; do
    awk -v lock=$lock '!/^#/ { n++; size += $2 } END { printf "%s.lock: %d packages, %.1f MB\n", lock, n, size / 1e6 }' "$out/$lock.lock" >&2
done
