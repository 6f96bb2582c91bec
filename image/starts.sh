# Sourced by the initrd and booth-started.service: how many starts in a row came to nothing. It stands in a sector of its own in the gap
# before the first partition, so that no file system is written to for it, and 4 MiB from the partition table, so that no block of a
# card has both. Anything else there counts as 0.
starts_at=8192
starts() { # DISK
    local count
    count=$(dd if="$1" bs=512 skip=$starts_at count=1 2>/dev/null | sed -n '1s/^booth-starts \([0-9]\)$/\1/p')
    echo "${count:-0}"
}
starts_are() { # DISK COUNT
    printf 'booth-starts %s\n%497s' "$2" '' | dd of="$1" bs=512 seek=$starts_at count=1 conv=notrunc,fsync 2>/dev/null
}
