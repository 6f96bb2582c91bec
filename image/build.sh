#!/bin/bash
# build.sh FOLDER [screen]: the image, or its variant for a booth with a screen, from this repository and the two locks, into FOLDER/out. Stages keep what they made in
# FOLDER/<stage> with a hash of all they were made from; what has not changed is not made again.
#   builder   the tools, from the lock for this machine's architecture, in a folder to chroot into; every later stage runs in it, without a network
#   crates    the gateway's dependencies, by Cargo.lock (the only stage that uses this machine's cargo)
#   program   booth-gateway for arm64
#   root      the root file system as Debian's packages make it, from image.lock; on amd64 their scripts run under the builder's emulator
#   system    root.sqfs: the same with the program and image/system/; kernel, initrd, firmware
#   card      partitions, table, compressed image, sums, contents
# Needs root (chroot, mounts in a namespace of its own). Environment: IMAGE_CACHE (where packages are kept), IMAGE_LOCK=drift
# (resolve into a temporary lock, say how much has changed) or either (so, but only if a mirror lacks a locked file), DEBIAN_MIRROR, SECURITY_MIRROR.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$here")
variant=${2:-}
case $variant in
'') lock=image suffix='' overlays=image/system ;;
screen) lock=image-screen suffix=-screen overlays="image/system image/screen" ;;
*) echo "image: there is no variant $variant; there is \"screen\"." >&2; exit 1 ;;
esac
mkdir -p "$1"
base=$(cd "$1" && pwd)
cache=${IMAGE_CACHE:-$repository/target/image/pool}
[ "$(id -u)" = 0 ] || { echo "image: this needs root (chroot and mounts); run it with sudo." >&2; exit 1; }
host=$(dpkg --print-architecture)
[ -e "$here/builder-$host.lock" ] || { echo "image: there is no builder for $host; build on amd64 or arm64." >&2; exit 1; }
# What the packages of the builder may be for.
case $host in arm64) architectures=arm64 ;; *) architectures=$host,arm64 ;; esac
say() { printf '[%2d min %02d s] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*" >&2; }
hash() { sha256sum | cut -d ' ' -f 1; }
# content PATHS…: a hash of files by name (within the repository), whether they are executable, and content.
content() { (cd "$repository" && find "$@" -type f ! -name '*.pyc' | LC_ALL=C sort | while read -r file; do echo "$file $([ -x "$file" ] && echo x) $(hash <"$file")"; done | hash); }

locks=$here
say packages
fetch() { for each in builder-$host $lock; do "$here/fetch.sh" "$locks/$each.lock" "$cache" || return; done; }
resolve() {
    locks=$base/lock
    "$here/lock.sh" "$locks"
    drifted=$(diff <(grep -hv '^#' "$here"/{$lock,builder-$host}.lock | sort) <(grep -hv '^#' "$locks"/{$lock,builder-$host}.lock | sort) | grep -c '^>' || true)
    [ "$drifted" = 0 ] || echo "!! lock drifted: $drifted packages. A release needs \`make image-lock\`." >&2
    fetch
}
case ${IMAGE_LOCK:-} in
drift) resolve ;;
either)
    status=0
    fetch || status=$?
    case $status in 0) ;; 3) resolve ;; *) exit $status ;; esac
    ;;
*) fetch ;;
esac
SOURCE_DATE_EPOCH=$(sed -n 's/^#.* epoch \([0-9]*\).*/\1/p' "$locks/$lock.lock")
kernel=$(sed -n 's/^#.* kernel \(.*\)/\1/p' "$locks/$lock.lock")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$repository/Cargo.toml" | head -n 1)
# Signed with each update, and never taken twice: see docs/updates.md.
counter=$(sed -n 's/^counter = \([0-9][0-9]*\)$/\1/p' "$repository/Cargo.toml")
[ -n "$counter" ] || { say "Cargo.toml names no counter in [package.metadata.image]"; exit 1; }
export SOURCE_DATE_EPOCH

# stage NAME KEY: true if it has to be made; then its folder is empty.
stage() {
    folder=$base/$1 key=$2
    if [ "$(cat "$folder.key" 2>/dev/null)" = "$key" ]; then
        say "$1: unchanged"
        return 1
    fi
    say "$1 …"
    rm -rf "$folder" "$folder.key"
    mkdir "$folder"
}
complete() { echo "$key" >"$folder.key"; }

# inside COMMAND…: in the builder; /stages is FOLDER, /repository and /pool and /locks can only be read. No network.
inside() {
    unshare --mount --net --propagation private -- bash -euc '
        root=$1 base=$2 repository=$3 pool=$4 locks=$5
        shift 5
        mkdir -p "$root"/{stages,repository,pool,locks}
        # mmdebstrap wants its root to be a mount point.
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --rbind /sys "$root/sys"
        mount -t tmpfs tmp "$root/tmp"
        mount --bind "$base" "$root/stages"
        for pair in "$repository:repository" "$pool:pool" "$locks:locks"; do
            mount --bind "${pair%:*}" "$root/${pair##*:}"
            mount -o remount,bind,ro "$root/${pair##*:}"
        done
        exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 TZ=UTC \
            SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" "$@"
    ' inside "$base/builder" "$base" "$repository" "$cache" "$locks" "$@"
}
lock_key() { grep -v '^#' "$locks/$1.lock" | cat - <(echo "$SOURCE_DATE_EPOCH") | hash; }

if stage builder "$(lock_key builder-$host) $(content image/install.sh)"; then
    "$here/install.sh" "$locks/builder-$host.lock" "$cache" $architectures "$folder"
    complete
fi
builder=$(hash <"$base/builder.key")

if stage crates "$(content Cargo.lock)"; then
    (cd "$repository" && cargo vendor --quiet --locked --versioned-dirs "$folder/vendor" >/dev/null)
    complete
fi

# Whatever the program is compiled from is in these files and folders.
program_is_made_of="src crates benches examples systemd docs/mosquitto.acl build.rs Cargo.toml Cargo.lock"
# The program is compiled while packages are installed.
make_program() {
    stage program "$builder $(content $program_is_made_of image/program.sh)" || return 0
    inside bash /repository/image/program.sh $program_is_made_of || return
    complete
}

# The emulator of the builder, for packages' scripts; only if this machine needs one and has registered none, and taken away again.
emulator() {
    [ "$host" != arm64 ] || return 0
    local misc=/proc/sys/fs/binfmt_misc
    mountpoint -q $misc || mount -t binfmt_misc binfmt_misc $misc
    [ -e $misc/qemu-aarch64 ] && return
    # F: the kernel opens it now, so that it is found from any root.
    printf '%s' ':qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:'"$base/builder/usr/bin/qemu-aarch64:F" >$misc/register
    trap 'echo -1 >/proc/sys/fs/binfmt_misc/qemu-aarch64' EXIT
}
make_root() {
    stage root "$builder $(lock_key $lock) $(content image/install.sh image/root.sh) $variant" || return 0
    emulator
    inside bash /repository/image/root.sh $lock $variant || return
    complete
}
(make_program) &
program=$!
(make_root)
wait $program

if stage system "$(cat "$base"/{program,root}.key | hash) $(content $overlays image/init image/initrd.py image/system.sh image/contents.py image/kmod image/early-lamp.c image/early-lamp.sh image/starts.sh systemd) $version $counter $variant"; then
    inside bash /repository/image/system.sh "$kernel" "$version" "$counter" $lock $variant
    complete
fi

if stage card "$(hash <"$base/system.key") $(content image/card.sh image/slot.py image/sbom.py image/card Cargo.toml Cargo.lock) $version"; then
    inside bash /repository/image/card.sh "booth-gateway-$version-arm64$suffix" "$kernel" "$version" "builder-$host.lock" $lock.lock
    complete
fi
rm -rf "$base/out"
ln -s card/out "$base/out"
say done
(cd "$base/out" && cat SHA256SUMS && ls -l | awk 'NR > 1 { print $5, $9 }') >&2
