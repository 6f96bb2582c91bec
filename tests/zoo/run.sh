#!/bin/sh
# run.sh ROOT WORK COMMAND ...: runs a command in the Debian below ROOT, with the folder WORK at /mnt, as root. Its processes
# have a PID namespace of their own: with the first of them all end, whatever they have started beside.
set -eu
[ "${1-}" = --inside ] || exec unshare --mount --pid --fork --kill-child --propagation private -- "$0" --inside "$@"
root=$2 work=$3
shift 3
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --bind "$work" "$root/mnt"
exec chroot "$root" "$@"
