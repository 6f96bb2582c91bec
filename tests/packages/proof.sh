#!/bin/bash
# proof.sh "12 13" ["TARGET …"]: is each target's list of packages enough, in a Debian that has nothing else? For each release and each
# target it makes a bare Debian (mmdebstrap, minbase), puts a copy of this checkout and this machine's Rust into it, installs the list
# as the target itself does, looks for every program that the target calls, and runs the target as far as a chroot goes. It says what it
# could not try. With LOOK=1 nothing is run: the lists are installed and the programs looked for. Status 1 if something failed. Everything is below target/packages/proof; the machine's packages are not touched.
set -euo pipefail
cd "$(dirname "$0")/../.."
releases=$1
targets=${2:-}
[ "$(id -u)" = 0 ] || { echo "packages-proof: this needs root (chroot and mounts); run it with sudo." >&2; exit 1; }
[ -n "$targets" ] || targets="run run-on-pipewire demo-city test bench compare simulate help-files torture floods lint fuzz vm-test image image-lock image-verify image-update image-test brokers deb book"
proof=$PWD/target/packages/proof
rust=$(rustc --print sysroot)
. image/mirrors.sh
results=() failed=0
mkdir -p "$proof/logs" "$proof/cargo"

say() { echo "packages-proof: $*"; }
result() { results+=("$(printf '%-9s %-16s %s' "$release" "$target" "$*")"); say "$release, $target: $*"; }

# Every program that a target calls, besides those of an essential package.
programs() {
    local build="cc make cmake pkg-config cargo" sound="pulseaudio pactl paplay parec" broker="mosquitto mosquitto_passwd"
    case $1 in
    run | run-on-pipewire) echo "$build $sound $broker opusdec opusinfo espeak-ng" ;;
    demo-city) echo "$build $broker espeak-ng" ;;
    test) echo "$build $sound $broker mosquitto_pub mosquitto_sub opusdec opusinfo chromedriver chromium mke2fs e2fsck mount umount findmnt unshare sfdisk systemd-analyze curl openssl age age-keygen python3 espeak-ng" ;;
    bench) echo "$build $sound $broker mosquitto_sub opusenc opusdec" ;;
    compare) echo "$build $sound $broker opusenc opusdec arecord ffmpeg mkfs.ext4 e2fsck mount umount mmdebstrap" ;;
    torture) echo "$build $sound $broker mosquitto_sub opusdec mkfs.ext4 e2fsck mount umount" ;;
    simulate | lint | help-files) echo "$build" ;;
    floods) echo "$build $broker" ;;
    fuzz) echo "$build c++" ;;
    vm-test) echo "$build $broker opusdec opusinfo mke2fs qemu-system-x86_64 mmdebstrap" ;;
    image | image-lock | image-verify) echo "mmdebstrap curl unshare mount" ;;
    image-update) echo "minisign tar" ;;
    brokers) echo "mmdebstrap git" ;;
    book) echo "cc cargo" ;;
    deb) echo "$build mmdebstrap lintian readelf strip dpkg-deb" ;;
    image-test) echo "$build $broker mosquitto_pub mosquitto_sub opusdec opusinfo mke2fs e2fsck mount umount qemu-system-aarch64 mcopy mtype mdel mkfs.vfat fsck.vfat fdtput" ;;
    esac
}

# What is run of a target: lines of a shell script in the checkout, as an ordinary user (user:) or as root.
tries() {
    # A machine of the same devices as the test's, without a system: QEMU must find everything that those need.
    local nic="-netdev user,id=net -device virtio-net-pci,netdev=net,romfile="
    case $1 in
    run | run-on-pipewire)
        echo "user: make run ONCE=1"
        echo "make run ONCE=1 LANGUAGE_OF_CITIZEN=en"
        ;;
    demo-city) echo "user: make demo-city ONCE=1" ;;
    test)
        echo "cargo test --no-run --all-targets"
        echo "cargo test --test house -- demonstration:: systemd_units::"
        echo "cargo test --test card -- image_data:: image_locks:: early_lamp::"
        echo "cargo test --test link --test centre --test booth -- link:: pages:: visit:: campaigns::"
        echo "cargo test --package booth-sealing --test vectors"
        ;;
    bench) echo "cargo build --release --bins && cargo bench --no-run --bench figures" ;;
    compare) echo "cargo build --bins --example compare && target/debug/examples/compare --look --binaries target/debug recording" ;;
    simulate) echo "make simulate SEEDS=3" ;;
    help-files) echo "make help-files" ;;
    torture) echo "cargo build --profile test --example torture" ;;
    floods) echo "make floods FLOOD_S=1" ;;
    lint) echo "cargo fmt --check && cargo clippy --all-targets -- -D warnings" ;;
    fuzz) echo "cd fuzz && RUSTC_BOOTSTRAP=1 cargo build --bin clip_file" ;;
    vm-test)
        echo "cargo test --no-run --test vm"
        echo "echo quit | qemu-system-x86_64 -M q35 -accel tcg,thread=single -nodefaults -display none -S -monitor stdio $nic"
        ;;
    image-test)
        echo "cargo test --no-run --test image"
        echo "echo quit | qemu-system-aarch64 -M virt,gic-version=3 -cpu cortex-a53 -nodefaults -display none -S -monitor stdio $nic"
        echo "echo quit | qemu-system-aarch64 -M raspi3b -nodefaults -display none -S -monitor stdio"
        ;;
    image-lock) echo "image/lock.sh \$(mktemp -d)" ;;
    image-update) echo "minisign -v | head -n 1" ;;
    esac
}

# What a chroot cannot show of a target.
untried() {
    case $1 in
    test) echo "the other tests" ;;
    bench) echo "the figures" ;;
    torture) echo "the campaigns" ;;
    lint) echo "cargo deny" ;;
    fuzz) echo "cargo install cargo-fuzz, and the other targets" ;;
    vm-test) echo "the machine (ten minutes, and mmdebstrap inside a chroot)" ;;
    image | image-verify) echo "the build (half an hour, 14 GB)" ;;
    image-update) echo "an update (it needs an image)" ;;
    book) echo "cargo install mdbook" ;;
    deb) echo "the packages (a release build, two more Debians)" ;;
    brokers) echo "the fetching (two more Debians, mmdebstrap inside a chroot)" ;;
    image-test) echo "the test (it needs an image, and 40 minutes)" ;;
    esac
}

# base SUITE FOLDER: a bare Debian, made once.
base() {
    [ ! -e "$2/complete" ] || return 0
    say "making a bare Debian ($1)"
    rm -rf "$2"
    # Without certificates of its own it can ask only a mirror that needs none.
    local include=
    case $DEBIAN_MIRROR$SECURITY_MIRROR in *https:*) include=--include=ca-certificates ;; esac
    printf '%s\n' "deb $DEBIAN_MIRROR $1 main" "deb $DEBIAN_MIRROR $1-updates main" "deb $SECURITY_MIRROR $1-security main" |
        mmdebstrap --quiet --mode=root --variant=minbase $include "$1" "$2" - || return
    # Services are not started in a chroot.
    printf '#!/bin/sh\nexit 101\n' >"$2/usr/sbin/policy-rc.d"
    chmod 755 "$2/usr/sbin/policy-rc.d"
    echo "tester:x:1000:1000::/home/tester:/bin/bash" >>"$2/etc/passwd"
    echo "tester:x:1000:" >>"$2/etc/group"
    cp /etc/resolv.conf "$2/etc/resolv.conf"
    touch "$2/complete"
}

# Run in a namespace of its own by `within`; what it mounts and starts ends with it.
inside() {
    local root=$1 user=$2 script=$3
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/tmp"
    mkdir -p "$root/opt/rust" "$root/opt/cargo"
    mount --bind "$rust" "$root/opt/rust"
    mount --bind "$proof/cargo" "$root/opt/cargo"
    # What one target has built the next one of the same release need not build again: the programs that build are on every list.
    mount --bind "$built" "$root/home/tester/gateway/target"
    local name=root owner=0
    [ "$user" != tester ] || name=tester owner=1000
    chown -R "$owner:$owner" "$proof/cargo" "$built" "$root/home/tester"
    exec chroot --userspec="$owner:$owner" --groups="$owner" "$root" /usr/bin/env -i HOME=/home/tester USER=$name CARGO_HOME=/opt/cargo \
        PATH=/opt/rust/bin:/usr/local/bin:/usr/bin:/bin DEBIAN_FRONTEND=noninteractive \
        /bin/sh -c "cd /home/tester/gateway && { $script; }"
}
export proof rust built
export -f inside
# within ROOT USER SCRIPT LOG
within() {
    unshare --mount --pid --fork --kill-child --propagation private bash -euc 'inside "$@"' inside "$1" "$2" "$3" >>"$4" 2>&1 </dev/null
}

# prove: one target in one release.
prove() {
    local root=$proof/root log=$proof/logs/$release-$target.log list what user
    umount "$root" 2>/dev/null || true
    # A card without hardware, that another target's list has put there, is gone.
    rm -rf "$root" "$proof/upper" "$proof/work" "$built/packages"
    mkdir -p "$root" "$proof/upper" "$proof/work"
    mount -t overlay overlay -o "lowerdir=$proof/$release,upperdir=$proof/upper,workdir=$proof/work" "$root" 2>/dev/null ||
        cp -a "$proof/$release/." "$root/"
    mkdir -p "$root/home/tester/gateway/target"
    git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - 2>/dev/null |
        tar -xf - -C "$root/home/tester/gateway"
    # A proxy between this machine and the network may have an authority of its own, which the crates' registry is then met with.
    mkdir -p "$root/usr/local/share/ca-certificates"
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
    # Nothing of it is to survive a power cut.
    echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/proof"
    : >"$log"
    list=$(make -s packages-of TARGET="${target%-on-pipewire}")
    case $target in
    *-on-pipewire)
        within "$root" root "apt-get update -q && apt-get install -y -q --no-install-recommends pipewire-audio" "$log" ||
            { result "NOT TRIED: PipeWire cannot be installed, see $log"; return; }
        ;;
    esac
    if ! within "$root" root "tests/packages/install.sh $list" "$log"; then
        result "FAILED: the list cannot be installed, see $log"
        return 1
    fi
    local size
    size=$(sed -n 's/^After this operation, \(.*\) of additional disk space.*/\1/p' "$log" | tail -n 1)
    what="$(echo "$list" | wc -w) packages named, $size"
    local lacking
    lacking=$(within "$root" root "PATH=\$PATH:/usr/sbin:/sbin:target/packages/bin; for program in $(programs "$target"); do command -v \$program >/dev/null || echo lacking \$program; done" "$log.programs"
        sed -n 's/^lacking //p' "$log.programs" | tr '\n' ' ')
    cat "$log.programs" >>"$log"
    rm "$log.programs"
    if [ -n "$lacking" ]; then
        result "FAILED: after installing the list there is no $lacking"
        return 1
    fi
    if [ -n "${LOOK:-}" ]; then
        result "installed, programs found: $what. NOT TRIED: the target itself (LOOK=1)"
        return
    fi
    while IFS= read -r line; do
        [ -n "$line" ] || continue
        user=root
        case $line in user:*) user=tester line=${line#user: } ;; esac
        say "$release, $target, as $user: $line"
        echo "== as $user: $line" >>"$log"
        if ! within "$root" "$user" "$line" "$log"; then
            tail -n 25 "$log" | sed 's/^/    /'
            result "FAILED: as $user, $line; see $log"
            return 1
        fi
        what="$what; as $user: $line"
    done < <(tries "$target")
    if [ "$target" = run-on-pipewire ] && ! within "$root" root "dpkg -s pipewire-audio | grep -q 'ok installed'" "$log"; then
        result "FAILED: PipeWire is gone, see $log"
        return 1
    fi
    what="ok: $what"
    [ -z "$(untried "$target")" ] || what="$what. NOT TRIED: $(untried "$target")"
    result "$what"
}

for number in $releases; do
    case $number in
    12) suite=bookworm ;;
    13) suite=trixie ;;
    *) echo "packages-proof: only Debian 12 and 13 are known, not $number" >&2; exit 1 ;;
    esac
    release=debian-$number built=$proof/built-debian-$number
    mkdir -p "$built"
    if ! base $suite "$proof/$release"; then
        results+=("$release NOT TRIED: it could not be made from $DEBIAN_MIRROR")
        failed=1
        continue
    fi
    for target in $targets; do
        prove || failed=1
    done
done
umount "$proof/root" 2>/dev/null || true
rm -rf "$proof/root" "$proof/upper" "$proof/work"
echo
printf '%s\n' "${results[@]}"
exit $failed
