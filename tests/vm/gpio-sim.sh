# gpio-sim.sh: makes gpio-sim.ko and irq_sim.ko in /root/module, in a system with the kernel's headers and source.
set -eu
headers=$(ls -d /usr/src/linux-headers-*-amd64)
mkdir -p /root/module
cd /root/module
tar -xf /usr/src/linux-source-6.1.tar.xz --strip-components=1 linux-source-6.1/drivers/gpio/gpio-sim.c \
    linux-source-6.1/drivers/gpio/gpiolib.h linux-source-6.1/kernel/irq/irq_sim.c
mv drivers/gpio/* kernel/irq/irq_sim.c .
# handle_simple_irq is not there for modules; generic_handle_irq comes to the same.
sed -i 's/handle_simple_irq(irq_to_desc(irqnum));/generic_handle_irq(irqnum);/' irq_sim.c
sed -i 's/#include <linux\/slab.h>/&\n#include <linux\/module.h>/' irq_sim.c
echo 'MODULE_LICENSE("GPL");' >>irq_sim.c
echo 'obj-m := irq_sim.o gpio-sim.o' >Makefile
make -s -C "$headers" M="$PWD" modules
