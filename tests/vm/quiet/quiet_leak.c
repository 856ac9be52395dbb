// SPDX-License-Identifier: GPL-2.0
/*
 * Loses what it allocated at once.
 */
#include <linux/module.h>
#include <linux/slab.h>

/* Several: what still lies on a stack is not lost to kmemleak. */
#define COUNT 16

static char *lost;

static int __init quiet_leak_init(void)
{
	int number;

	for (number = 0; number < COUNT; number++) {
		lost = kmalloc(48, GFP_KERNEL);
		if (!lost)
			return -ENOMEM;
	}
	lost = NULL;
	return 0;
}

static void __exit quiet_leak_exit(void)
{
}

module_init(quiet_leak_init);
module_exit(quiet_leak_exit);

MODULE_DESCRIPTION("loses what it allocated at once");
MODULE_LICENSE("GPL");
