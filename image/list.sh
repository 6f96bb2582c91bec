#!/bin/bash
# list.sh BUILD: BUILD/root.list, a line for every file of its root.sqfs: owner, mode, size, date, hash, path.
set -euo pipefail
cd "$1"
mount=$(mktemp -d)
trap 'umount "$mount"; rmdir "$mount"' EXIT
mount -o loop,ro system/root.sqfs "$mount"
(cd "$mount" && find . -printf '%p %U:%G %m %s %T@ %l\n' | LC_ALL=C sort
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) >root.list
