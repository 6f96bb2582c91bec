#!/bin/bash
# system.sh KERNEL VERSION COUNTER LOCK [screen], in the builder: /stages/system/root.sqfs from the packages' root, the program, image/system/
# and, for a booth with a screen, image/screen/; beside it
# what a slot needs to start it: kernel8.img, initrd.zst, device trees, and the firmware of the boards.
set -euo pipefail
kernel=$1 version=$2 counter=$3 lock=$4 variant=${5:-}
# Each variant is a board of its own: a booth with a screen takes no update without one.
overlays=system board=raspberry-pi-arm64
if [ "$variant" = screen ]; then overlays="system screen" board=$board-screen; fi
out=/stages/system
root=$out/root
mkdir $root
# As root, with the owners of the packages; device nodes are the kernel's business (devtmpfs).
tar -C $root --numeric-owner --xattrs -xf /stages/root/root.tar --exclude='./dev/*'
install -m 755 /stages/program/booth-gateway $root/usr/bin/
units=$root/usr/lib/systemd/system
for unit in /repository/systemd/booth-*.{service,timer,path,socket}; do
    case $unit in *booth-hub* | *'*'*) ;; *) install -m 644 "$unit" $units/ ;; esac
done
install -D -m 644 -t $root/usr/lib/booth /repository/image/{early-lamp,starts}.sh
install -D -m 644 /repository/systemd/booth-gateway.image.conf $root/etc/systemd/system/booth-gateway.service.d/image.conf
install -m 644 /repository/systemd/booth.sysusers.conf $root/usr/lib/sysusers.d/booth.conf
install -m 644 /repository/systemd/booth.tmpfiles.conf $root/usr/lib/tmpfiles.d/booth.conf
for overlay in $overlays; do
    (cd /repository/image/$overlay && find . -type f | LC_ALL=C sort) | while read -r file; do
        mode=644
        [ -x "/repository/image/$overlay/$file" ] && mode=755
        install -D -m $mode "/repository/image/$overlay/$file" "$root/$file"
    done
done

# Users, units and tables are made here, so that no boot has to: / is in RAM and would forget them.
systemd-sysusers --root=$root
chmod 640 $root/etc/shadow
wanted=$(find $units $root/etc/systemd/system -maxdepth 1 -type f -name 'booth-*' -exec grep -l '^WantedBy=' {} + | xargs -n 1 basename | LC_ALL=C sort)
# shellcheck disable=SC2086
systemctl --root=$root --quiet enable $wanted nftables.service NetworkManager.service ModemManager.service systemd-resolved.service systemd-timesyncd.service 2>&1 | grep -v 'Created symlink' || true
systemctl --root=$root --quiet set-default multi-user.target
# Nobody logs in; nothing waits for a network; nothing upgrades itself; no volume is remembered behind the owner's back.
for unit in getty@.service serial-getty@.service console-getty.service container-getty@.service autovt@.service getty.target \
    rescue.service debug-shell.service NetworkManager-wait-online.service systemd-networkd.service \
    systemd-networkd-wait-online.service alsa-restore.service alsa-state.service e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer dpkg-db-backup.timer apt-daily.timer apt-daily-upgrade.timer systemd-firstboot.service \
    systemd-machine-id-commit.service systemd-update-done.service; do
    rm -f "$root/etc/systemd/system/$unit"
    ln -s /dev/null "$root/etc/systemd/system/$unit"
done
find $root/etc/systemd/system -path '*.wants/*' -type l | while read -r link; do
    unit=$(basename "$link")
    [ "$(readlink "$root/etc/systemd/system/$unit" 2>/dev/null)" = /dev/null ] && rm "$link" || true
done
# The day of a password's last change is today's otherwise, whichever tool made the user.
awk -F : -v OFS=: -v day=$((SOURCE_DATE_EPOCH / 86400)) '$1 == "root" { $2 = "!*" } { $3 = day } 1' $root/etc/shadow >/tmp/shadow
cat /tmp/shadow >$root/etc/shadow
systemd-hwdb --root=$root --usr update
journalctl --root=$root --update-catalog >/dev/null 2>&1
ln -sfn ../run/systemd/resolve/stub-resolv.conf $root/etc/resolv.conf
mkdir -p $root/data $root/boot/booth $root/etc/booth-gateway
chmod 711 $root/data
: >$root/etc/machine-id
rm -f $root/etc/fstab
# The clock of a board without one starts no earlier than this image.
: >$root/usr/lib/clock-epoch

# What differs from run to run, what is of no use at run time, and Debian's sources: nothing is ever installed here.
rm -rf $root/var/lib/dbus/machine-id $root/var/cache/ldconfig/aux-cache $root/var/cache/debconf/*-old $root/var/lib/dpkg/*-old \
    $root/etc/*- $root/var/log/* $root/etc/apt $root/var/lib/apt $root/var/cache/apt $root/etc/.pwd.lock $root/var/cache/man \
    $root/usr/share/locale $root/var/lib/systemd/random-seed
mkdir -p $root/var/log
: >$root/etc/.updated
: >$root/var/.updated

modules=$root/usr/lib/modules/$kernel
# A kernel in a single package is unpacked here, without what image/root.sh leaves out of the others.
single=$(awk -v name="linux-image-$kernel" '$3 == name { print $1 }' "/locks/$lock.lock")
if [ -n "$single" ]; then
    dpkg-deb -x "/pool/$single.deb" $out/kernel
    mkdir -p $root/usr/lib/modules
    for folder in $out/kernel/usr/lib/modules $out/kernel/lib/modules; do [ ! -d $folder ] || cp -r $folder/. $root/usr/lib/modules/; done
    cp "$out/kernel/boot/vmlinuz-$kernel" "$modules/vmlinuz"
    cp -r "$out/kernel/usr/lib/linux-image-$kernel" "$modules/dtb"
    rm -rf "$modules"/kernel/drivers/{infiniband,iio} $out/kernel
    [ "$variant" = screen ] || rm -rf "$modules"/kernel/drivers/gpu
    find "$modules/kernel/drivers/media" -mindepth 1 -maxdepth 1 ! -name mc -exec rm -r {} +
fi
# The module that arms a trial boot, for kernels that cannot.
if [ -d "/usr/src/linux-headers-$kernel" ]; then
    cp -r /repository/image/kmod /tmp/kmod
    make --silent -C "/usr/src/linux-headers-$kernel" M=/tmp/kmod ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- modules
    aarch64-linux-gnu-strip --strip-debug /tmp/kmod/booth_tryboot.ko
    install -D -m 644 /tmp/kmod/booth_tryboot.ko "$modules/extra/booth_tryboot.ko"
elif [ -z "$single" ]; then
    echo "system.sh: no headers of $kernel in the builder: no booth of this image could be updated. Run \`make image-lock\`." >&2
    exit 1
fi
depmod -b $root "$kernel"
# Sticks have FAT, which the initrd needs anyway, or exFAT.
if [ -z "$(find "$modules/kernel/fs" -name 'exfat.ko*')" ] && ! grep -q '/exfat\.ko' "$modules/modules.builtin"; then
    echo "system.sh: the kernel $kernel has no exfat: technicians' larger sticks could not be mounted" >&2
    exit 1
fi

gzip -n -9 <$modules/vmlinuz >$out/kernel8.img
mkdir -p /tmp/initrd/bin
install -m 755 /repository/image/init /tmp/initrd/init
install -m 644 /repository/image/{early-lamp,starts}.sh /tmp/initrd/
aarch64-linux-gnu-gcc -static -Os -s -Wall -Werror -o /tmp/initrd/bin/early-lamp /repository/image/early-lamp.c
/repository/image/initrd.py $root "$kernel" /tmp/initrd $out/initrd bcm2835 sdhci-iproc sdhci-brcmstb mmc_block \
    gpio-regulator clk-rp1 pinctrl-rp1 rp1_pci virtio_blk virtio_mmio virtio_pci squashfs ext4 vfat nls_cp437 nls_ascii nls_utf8 overlay loop bcm2835_wdt
zstd -q -12 --single-thread --rm $out/initrd -o $out/initrd.zst
mkdir $out/trees $out/firmware
find "$modules/dtb/broadcom" -name 'bcm27*rpi*.dtb' -o -name 'bcm2837*rpi*.dtb' | xargs cp -t $out/trees/
firmware=$(awk '$3 == "raspi-firmware" { print $1 }' "/locks/$lock.lock")
dpkg-deb -x "/pool/$firmware.deb" $out/unpacked
cp -r $out/unpacked/usr/lib/raspi-firmware/. $out/firmware/
if [ -d "$modules/dtb/overlays" ]; then
    find $out/firmware -name '*.dtbo' -delete
    mkdir -p $out/firmware/overlays
    cp "$modules"/dtb/overlays/*.dtb[o] $out/firmware/overlays/
fi
cp $out/unpacked/usr/share/doc/raspi-firmware/copyright $out/firmware/copyright
# They are in the slot already.
rm -rf $modules/vmlinuz $modules/dtb $root/boot/* $out/unpacked

find $root -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
mksquashfs $root $out/root.sqfs -quiet -no-progress -reproducible -comp zstd -noappend -no-exports
/repository/image/contents.py $root >$out/packages.tsv
printf '{"image_id":"%s","version":"%s","released":%s,"counter":%s,"board":"%s","kernel":"%s"}\n' \
    "$(sha256sum <$out/root.sqfs | cut -d ' ' -f 1)" "$version" "$SOURCE_DATE_EPOCH" "$counter" "$board" "$kernel" >$out/image.json
mkdir -p $out/licences/debian
(cd $root/usr/share/doc && find . -name copyright | LC_ALL=C sort | while read -r file; do install -D -m 644 "$file" "$out/licences/debian/$file"; done)
cp -r /stages/program/licences $out/licences/crates
rm -rf $root
