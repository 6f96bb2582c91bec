#!/bin/bash
# program.sh PATHS…: in the builder: booth-gateway for arm64 into /stages/program/booth-gateway, from these files and folders of
# the repository. Built at a path that never changes, from vendored crates, without a network.
set -euo pipefail
work=/tmp/program
mkdir -p $work/.cargo /stages/cargo
(cd /repository && cp -r --parents "$@" $work/)
cat >$work/.cargo/config.toml <<'C'
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "/stages/crates/vendor"
C
export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc CXX_aarch64_unknown_linux_gnu=aarch64-linux-gnu-g++
export AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CARGO_TARGET_DIR=/stages/cargo
export RUSTFLAGS="--remap-path-prefix=$work=/booth --remap-path-prefix=/stages/crates/vendor=/crates -C strip=symbols"
export CFLAGS_aarch64_unknown_linux_gnu="-ffile-prefix-map=/stages/cargo=/target"
# Line tables would be stripped again.
export CARGO_PROFILE_SHIPPED_DEBUG=false
cd $work
/usr/bin/cargo build --quiet --offline --locked --profile shipped --package booth-gateway --bin booth-gateway --target aarch64-unknown-linux-gnu
install -m 755 /stages/cargo/aarch64-unknown-linux-gnu/shipped/booth-gateway /stages/program/booth-gateway
# What it is made of: crate, version, licences.
{
    printf 'crate\tversion\tlicences\n'
    /usr/bin/cargo tree --offline --locked --package booth-gateway --edges normal --target aarch64-unknown-linux-gnu --prefix none \
        --format '{p}|{l}' | sed 's/ (.*)|/|/; s/ (\*)$//; s/^\([^ ]*\) v\([^|]*\)|/\1\t\2\t/' | LC_ALL=C sort -u
} >/stages/program/crates.tsv
# And their licences' words.
mkdir /stages/program/licences
tail -n +2 /stages/program/crates.tsv | while IFS=$'\t' read -r crate version _; do
    (cd "/stages/crates/vendor/$crate-$version" 2>/dev/null && find . -maxdepth 1 -type f \( -iname 'licen[sc]e*' -o -iname 'copying*' -o -iname 'notice*' \) \
        -exec install -D -m 644 -t "/stages/program/licences/$crate-$version" {} +) || true
done
