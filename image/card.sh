#!/bin/bash
# card.sh NAME KERNEL VERSION BUILDER_LOCK IMAGE_LOCK, in the builder: /stages/card/out/NAME.img.zst and what is told beside it.
# MBR with four primaries, because the older boards' boot ROM knows nothing else for certain:
#   1 BOOTH  FAT   which slot is started, bootcode.bin, what the technician writes
#   2 SLOT_A FAT   firmware, kernel, initrd, root.sqfs: they can never be of different versions
#   3 SLOT_B FAT   the same, for the next version; empty in a new image
#   4 data   type da: made and grown at first boot (image/system/usr/lib/booth/data-partition)
# Before them: the table, and 4 MiB on the count of starts (image/starts.sh).
set -euo pipefail
name=$1 kernel=$2 version=$3 builder_lock=$4 image_lock=$5
work=/stages/card/work out=/stages/card/out system=/stages/system
mkdir -p $work $out
disk=4b1b00f5
booth_mib=48 slot_mib=320 data_mib=8

# Slot A.
mkdir -p $work/SLOT_A/overlays $work/BOOTH $work/SLOT_B
cp $system/kernel8.img $system/initrd.zst $system/root.sqfs $system/image.json $work/SLOT_A/
cp $system/trees/*.dtb $work/SLOT_A/
for file in start fixup; do
    for kind in '' 4 _cd 4cd; do
        suffix=elf
        [ $file = fixup ] && suffix=dat
        cp "$system/firmware/$file$kind.$suffix" $work/SLOT_A/
    done
done
cp $system/firmware/copyright $work/SLOT_A/LICENCE.firmware.txt
find $system/firmware -name '*.dtbo' -exec cp {} $work/SLOT_A/overlays/ \;
cat >$work/SLOT_A/config.txt <<'C'
arm_64bit=1
kernel=kernel8.img
initramfs initrd.zst followkernel
enable_uart=1
disable_splash=1
C
# Raspberry Pi's own kernels have device trees of other names.
case $kernel in *rpt*) ;; *) echo upstream_kernel=1 >>$work/SLOT_A/config.txt ;; esac
echo "console=ttyS1,115200 console=tty1 booth.slot=a booth.disk=$disk fsck.repair=yes quiet loglevel=3 panic=10" >$work/SLOT_A/cmdline.txt
cp $system/firmware/bootcode.bin $work/BOOTH/
printf '[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n' >$work/BOOTH/autoboot.txt
cp /repository/image/card/* $work/BOOTH/

# fat NAME ID MIB: the same bytes for the same files: sorted, dated, with a given number.
fat() {
    truncate -s "$3M" "$work/$1.fat"
    mkfs.vfat --invariant -F 32 -s 1 -n "$1" -i "$2" "$work/$1.fat" >/dev/null
    find "$work/$1" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
    (cd "$work/$1" && find . -mindepth 1 | LC_ALL=C sort) | while read -r path; do
        path=${path#./}
        if [ -d "$work/$1/$path" ]; then mmd -i "$work/$1.fat" "::$path"; else mcopy -m -i "$work/$1.fat" "$work/$1/$path" "::$path"; fi
    done
}
fat BOOTH b0070001 $booth_mib
fat SLOT_A b0070002 $slot_mib
fat SLOT_B b0070003 $slot_mib

image=$work/$name.img
a=$((8 + booth_mib)) b=$((8 + booth_mib + slot_mib)) data=$((8 + booth_mib + 2 * slot_mib))
truncate -s $((data + data_mib))M "$image"
sfdisk --quiet "$image" <<T
label: dos
label-id: 0x$disk
unit: sectors
1 : start=8MiB, size=${booth_mib}MiB, type=c, bootable
2 : start=${a}MiB, size=${slot_mib}MiB, type=c
3 : start=${b}MiB, size=${slot_mib}MiB, type=c
4 : start=${data}MiB, size=${data_mib}MiB, type=da
T
at() { dd if="$work/$1.fat" of="$image" bs=1M seek="$2" conv=notrunc,sparse status=none; }
at BOOTH 8
at SLOT_A $a
at SLOT_B $b
/repository/image/slot.py $work/SLOT_A.fat $system/image.json /stages/card/slot.img >"$out/$name.manifest.json"
zstd -q -T0 -9 --long=27 "$image" -o "$out/$name.img.zst"

cp $system/packages.tsv "$out/$name.packages.tsv"
cp /stages/program/crates.tsv "$out/$name.crates.tsv"
/repository/image/sbom.py booth-gateway "$version" $system/image.json "/locks/$image_lock" $system/packages.tsv \
    /repository/Cargo.lock /stages/program/crates.tsv >"$out/$name.cdx.json"
tar --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C $system -cf - licences |
    zstd -q -19 --single-thread -o "$out/$name.licences.tar.zst"
{
    echo "image_sha256 $(sha256sum <"$image" | cut -d ' ' -f 1)"
    echo "image_bytes $(stat -c %s "$image")"
    echo "source_date_epoch $SOURCE_DATE_EPOCH"
    echo "kernel $kernel"
    echo "image_id $(sha256sum <$system/root.sqfs | cut -d ' ' -f 1)"
    echo "image_lock_sha256 $(sha256sum <"/locks/$image_lock" | cut -d ' ' -f 1)"
    echo "builder_lock_sha256 $(sha256sum <"/locks/$builder_lock" | cut -d ' ' -f 1)"
    echo "cargo_lock_sha256 $(sha256sum </repository/Cargo.lock | cut -d ' ' -f 1)"
    for file in BOOTH.fat SLOT_A.fat SLOT_B.fat; do echo "partition_sha256 $file $(sha256sum <$work/$file | cut -d ' ' -f 1)"; done
    (cd $work && find SLOT_A BOOTH -type f | LC_ALL=C sort | xargs sha256sum | awk '{ print "file_sha256", $2, $1 }')
} >"$out/$name.build.txt"
(cd $out && sha256sum -- "$name".* >SHA256SUMS)
# The raw image stays for the tests; the parts are in it.
mv "$image" /stages/card/
rm -rf $work
