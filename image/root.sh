#!/bin/bash
# In the builder: /stages/root/root.tar, Debian's packages as the image's lock names them, without what a booth never uses.
set -euo pipefail
/repository/image/install.sh /locks/image.lock /pool arm64 /stages/root/root.tar \
    --dpkgopt='path-exclude=/usr/share/bash-completion/*' \
    --dpkgopt='path-exclude=/usr/lib/modules/*/dtb/*' --dpkgopt='path-include=/usr/lib/modules/*/dtb/broadcom/*' \
    --dpkgopt='path-exclude=/usr/lib/modules/*/kernel/drivers/gpu/*' \
    --dpkgopt='path-exclude=/usr/lib/modules/*/kernel/drivers/infiniband/*' \
    --dpkgopt='path-exclude=/usr/lib/modules/*/kernel/drivers/iio/*' \
    --dpkgopt='path-exclude=/usr/lib/modules/*/kernel/drivers/media/*' \
    --dpkgopt='path-include=/usr/lib/modules/*/kernel/drivers/media/mc/*'
