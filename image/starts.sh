# Sourced by the initrd, booth-started.service and start-limit: how many starts in a row came to nothing. It stands in a sector of its
# own in the gap before the first partition, so that no file system is written to for it; anything else there counts as 0.
starts() { # DISK
    local count
    count=$(dd if="$1" bs=512 skip=2048 count=1 2>/dev/null | sed -n '1s/^booth-starts \([0-9]\)$/\1/p')
    echo "${count:-0}"
}
starts_are() { # DISK COUNT
    printf 'booth-starts %s\n%497s' "$2" '' | dd of="$1" bs=512 seek=2048 count=1 conv=notrunc,fsync 2>/dev/null
}
