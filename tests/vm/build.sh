#!/bin/sh
# build.sh FOLDER: the machine of `make vm-test`: Debian 12 with its stock kernel, systemd and ALSA, and the kernel's own
# gpio-sim, which Debian builds for no kernel of this release: made here from Debian's source of the same kernel. Makes
# FOLDER/root.img, vmlinuz and initrd once; what the test puts in comes on a second disk.
set -eu
folder=$1
mkdir -p "$folder"
cd "$folder"
[ -e complete ] && exit 0
rm -rf root module root.tar root.img

echo "vm-test: Debian's packages for the machine, two minutes or so …" >&2
mmdebstrap --quiet --variant=minbase \
    --include=linux-image-amd64,systemd-sysv,udev,kmod,alsa-utils,libasound2,iproute2,perl-base \
    bookworm root.tar
mkdir root
tar -C root -xf root.tar --exclude='./dev/*'
kernel=$(basename "$(ls -d root/lib/modules/*)")

echo "vm-test: gpio-sim for $kernel …" >&2
mkdir module
tar -C module -xf /usr/src/linux-source-6.1.tar.xz --strip-components=1 linux-source-6.1/drivers/gpio/gpio-sim.c \
    linux-source-6.1/drivers/gpio/gpiolib.h linux-source-6.1/kernel/irq/irq_sim.c
(
    cd module
    mv drivers/gpio/* kernel/irq/irq_sim.c .
    # A module may not call handle_simple_irq on a descriptor; generic_handle_irq does the same.
    sed -i 's/handle_simple_irq(irq_to_desc(irqnum));/generic_handle_irq(irqnum);/' irq_sim.c
    sed -i 's/#include <linux\/slab.h>/&\n#include <linux\/module.h>/' irq_sim.c
    echo 'MODULE_LICENSE("GPL");' >>irq_sim.c
    echo 'obj-m := irq_sim.o gpio-sim.o' >Makefile
    make -s -C "/usr/src/linux-headers-$kernel" M="$PWD" modules
)
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
ExecStopPost=/bin/systemctl poweroff --force
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target
U
for unit in rig systemd-networkd; do
    ln -sf "/$([ $unit = rig ] && echo etc || echo lib)/systemd/system/$unit.service" \
        "root/etc/systemd/system/multi-user.target.wants/$unit.service"
done
# A login prompt would write between the lines of the test.
ln -sf /dev/null root/etc/systemd/system/serial-getty@ttyS0.service
cp root/boot/vmlinuz-* vmlinuz
cp root/boot/initrd.img-* initrd
mke2fs -q -t ext4 -d root root.img 1600M
rm -rf root module root.tar
touch complete
