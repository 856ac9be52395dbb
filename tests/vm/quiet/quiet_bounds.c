// SPDX-License-Identifier: GPL-2.0
/*
 * Writes one byte past the end of what it allocated.
 */
#include <linux/module.h>
#include <linux/slab.h>

/* Not known to the compiler, and in a cache of 16. */
static unsigned int length = 13;
module_param(length, uint, 0444);

static int __init quiet_bounds_init(void)
{
	char *bytes = kmalloc(length, GFP_KERNEL);

	if (!bytes)
		return -ENOMEM;
	WRITE_ONCE(bytes[length], 1);
	kfree(bytes);
	return 0;
}

static void __exit quiet_bounds_exit(void)
{
}

module_init(quiet_bounds_init);
module_exit(quiet_bounds_exit);

MODULE_DESCRIPTION("writes one byte past the end of what it allocated");
MODULE_LICENSE("GPL");
