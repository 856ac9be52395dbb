// SPDX-License-Identifier: GPL-2.0
/*
 * Reads what it has freed.
 */
#include <linux/module.h>
#include <linux/slab.h>

static int __init quiet_freed_init(void)
{
	int *number = kzalloc(sizeof(*number), GFP_KERNEL);

	if (!number)
		return -ENOMEM;
	kfree(number);
	if (READ_ONCE(*number) == 7)
		pr_info("seven\n");
	return 0;
}

static void __exit quiet_freed_exit(void)
{
}

module_init(quiet_freed_init);
module_exit(quiet_freed_exit);

MODULE_DESCRIPTION("reads what it has freed");
MODULE_LICENSE("GPL");
