#!/bin/bash
# In the builder: booth-gateway for arm64 into /stages/program/booth-gateway. Built at a path that never changes, from vendored
# crates, without a network.
set -euo pipefail
work=/tmp/program
mkdir -p $work/.cargo /stages/program/target
cp -r /repository/{src,benches,systemd,Cargo.toml,Cargo.lock} $work/
cat >$work/.cargo/config.toml <<'C'
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "/stages/crates/vendor"
C
export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc CXX_aarch64_unknown_linux_gnu=aarch64-linux-gnu-g++
export AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CARGO_TARGET_DIR=/stages/program/target
export RUSTFLAGS="--remap-path-prefix=$work=/booth --remap-path-prefix=/stages/crates/vendor=/crates -C strip=symbols"
export CFLAGS_aarch64_unknown_linux_gnu="-ffile-prefix-map=/stages/program/target=/target"
cd $work
/usr/bin/cargo build --quiet --offline --locked --release --bin booth-gateway --target aarch64-unknown-linux-gnu
install -m 755 /stages/program/target/aarch64-unknown-linux-gnu/release/booth-gateway /stages/program/booth-gateway
rm -rf /stages/program/target
