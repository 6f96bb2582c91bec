// SPDX-License-Identifier: GPL-2.0
/*
 * Raspberry Pi: the firmware's one-shot reboot flags, as /sys/firmware/booth_tryboot/reboot_flags.
 *
 * A firmware whose autoboot.txt has tryboot_a_b=1 starts the partition of its [tryboot] section once
 * after a restart with bit 0 set, and the one of [all] at every other start. Mainline kernels know
 * the mailbox but not the flag, and have no /dev/vcio through which a program could set it.
 *
 * Write 1 and restart: a trial. Write 0: none. Only root may do either.
 */
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/sysfs.h>
#include <soc/bcm2835/raspberrypi-firmware.h>

/* Tags of the mailbox' property interface. */
#define GET_REBOOT_FLAGS 0x00030064
#define SET_REBOOT_FLAGS 0x00038064

static struct rpi_firmware *firmware;
static struct kobject *folder;

static ssize_t reboot_flags_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	u32 flags = 0;
	int err = rpi_firmware_property(firmware, GET_REBOOT_FLAGS, &flags, sizeof(flags));

	return err ? err : sysfs_emit(buf, "%u\n", flags);
}

static ssize_t reboot_flags_store(struct kobject *kobj, struct kobj_attribute *attr,
				  const char *buf, size_t count)
{
	u32 flags;
	int err = kstrtou32(buf, 0, &flags);

	if (err)
		return err;
	/* Nothing but tryboot is known of the others. */
	if (flags > 1)
		return -EINVAL;
	err = rpi_firmware_property(firmware, SET_REBOOT_FLAGS, &flags, sizeof(flags));
	return err ? err : count;
}

static struct kobj_attribute reboot_flags =
	__ATTR(reboot_flags, 0600, reboot_flags_show, reboot_flags_store);

static int __init booth_tryboot_init(void)
{
	struct device_node *node;
	int err;

	node = of_find_compatible_node(NULL, NULL, "raspberrypi,bcm2835-firmware");
	if (!node)
		return -ENODEV;
	firmware = rpi_firmware_get(node);
	of_node_put(node);
	if (!firmware)
		return -EPROBE_DEFER;
	folder = kobject_create_and_add("booth_tryboot", firmware_kobj);
	if (!folder) {
		err = -ENOMEM;
		goto put_firmware;
	}
	err = sysfs_create_file(folder, &reboot_flags.attr);
	if (err)
		goto put_folder;
	return 0;

put_folder:
	kobject_put(folder);
put_firmware:
	rpi_firmware_put(firmware);
	return err;
}

static void __exit booth_tryboot_exit(void)
{
	kobject_put(folder);
	rpi_firmware_put(firmware);
}

module_init(booth_tryboot_init);
module_exit(booth_tryboot_exit);
/* Loaded by udev where there is such a firmware, and nowhere else. */
static const struct of_device_id booth_tryboot_match[] = {
	{ .compatible = "raspberrypi,bcm2835-firmware" },
	{ }
};
MODULE_DEVICE_TABLE(of, booth_tryboot_match);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Raspberry Pi one-shot reboot flags");
