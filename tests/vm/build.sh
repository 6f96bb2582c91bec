#!/bin/sh
# build.sh FOLDER: the machine of `make vm-test`: Debian 12 with its stock kernel, systemd and ALSA, and the kernel's own
# gpio-sim, which Debian builds for no kernel of this release: made here from Debian's source of the same kernel. Makes
# FOLDER/root.img, vmlinuz and initrd once; what the test puts in comes on a second disk. Needs root, as mmdebstrap does.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
mkdir -p "$folder"
cd "$folder"
[ "$(cat complete 2>/dev/null)" = "$(cat "$here/build.sh" "$here/gpio-sim.sh" | sha256sum)" ] && exit 0
rm -rf root module root.tar root.img complete

echo "vm-test: Debian's packages for the machine, two minutes or so …" >&2
mmdebstrap --quiet --variant=minbase \
    --include=linux-image-amd64,systemd-sysv,udev,kmod,alsa-utils,libasound2,opus-tools,iproute2,perl-base \
    bookworm root.tar

echo "vm-test: gpio-sim for its kernel, two more …" >&2
mkdir module
mmdebstrap --quiet --variant=minbase --include=linux-headers-amd64,linux-source-6.1,gcc-12,make,xz-utils \
    --customize-hook="copy-in $here/gpio-sim.sh /root" \
    --customize-hook='chroot "$1" sh /root/gpio-sim.sh' \
    --customize-hook='copy-out /root/module/gpio-sim.ko /root/module/irq_sim.ko module' \
    bookworm /dev/null

mkdir root
tar -C root -xf root.tar --exclude='./dev/*'
mkdir -p root/rig root/lib/modules/gpio-sim
cp module/irq_sim.ko module/gpio-sim.ko root/lib/modules/gpio-sim/
echo booth >root/etc/hostname
echo '/dev/vda / ext4 rw,noatime 0 1' >root/etc/fstab
cat >root/etc/systemd/network/80-net.network <<'U'
[Match]
Name=en*
[Network]
DHCP=yes
U
cat >root/etc/systemd/system/rig.service <<'U'
[Unit]
Description=What the test does inside the machine
After=basic.target systemd-networkd.service
[Service]
Type=oneshot
ExecStartPre=/bin/mount -o ro /dev/vdb /rig
ExecStart=/bin/bash /rig/run.sh
StandardOutput=file:/dev/ttyS1
StandardError=file:/dev/ttyS1
# What ends by itself is over; what a restart of the machine ends is not.
ExecStopPost=/bin/sh -c '[ "$$EXIT_CODE" = killed ] || systemctl poweroff --force'
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target
U
wanted=root/etc/systemd/system/multi-user.target.wants
ln -sf /etc/systemd/system/rig.service $wanted/rig.service
ln -sf /lib/systemd/system/systemd-networkd.service $wanted/systemd-networkd.service
# A login prompt would write between the lines of the test.
ln -sf /dev/null root/etc/systemd/system/serial-getty@ttyS0.service
cp root/boot/vmlinuz-* vmlinuz
cp root/boot/initrd.img-* initrd
mke2fs -q -t ext4 -d root root.img 1600M
rm -rf root module root.tar
cat "$here/build.sh" "$here/gpio-sim.sh" | sha256sum >complete
