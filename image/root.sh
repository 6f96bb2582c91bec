#!/bin/bash
# root.sh LOCK [screen], in the builder: /stages/root/root.tar, Debian's packages as this lock names them, without what a booth never uses.
# With a screen: the display of the Raspberry Pi, too.
set -euo pipefail
display=()
if [ "${2:-}" = screen ]; then
    # vc4 and v3d with what they are made of; the drivers of other displays stay out.
    for part in gpu/drm/vc4 gpu/drm/v3d gpu/drm/scheduler gpu/drm/display gpu/drm/clients media/cec; do
        display+=(--dpkgopt="path-include=/usr/lib/modules/*/kernel/drivers/$part/*")
    done
    display+=(--dpkgopt='path-include=/usr/lib/modules/*/kernel/drivers/gpu/drm/drm*')
fi
/repository/image/install.sh "/locks/$1.lock" /pool arm64 /stages/root/root.tar \
    --dpkgopt='path-exclude=/usr/share/bash-completion/*' \
    --dpkgopt='path-exclude=/usr/lib/modules/*/dtb/*' --dpkgopt='path-include=/usr/lib/modules/*/dtb/broadcom/*' \
    --dpkgopt='path-exclude=/usr/lib/modules/*/kernel/drivers/gpu/*' \
    --dpkgopt='path-exclude=/usr/lib/modules/*/kernel/drivers/infiniband/*' \
    --dpkgopt='path-exclude=/usr/lib/modules/*/kernel/drivers/iio/*' \
    --dpkgopt='path-exclude=/usr/lib/modules/*/kernel/drivers/media/*' \
    --dpkgopt='path-include=/usr/lib/modules/*/kernel/drivers/media/mc/*' \
    "${display[@]}"
