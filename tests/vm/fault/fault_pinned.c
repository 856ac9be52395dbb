// SPDX-License-Identifier: GPL-2.0
/*
 * Takes a reference to itself and keeps it: rmmod is refused.
 */
#include <linux/module.h>

static int __init fault_pinned_init(void)
{
	__module_get(THIS_MODULE);
	return 0;
}

static void __exit fault_pinned_exit(void)
{
}

module_init(fault_pinned_init);
module_exit(fault_pinned_exit);

MODULE_DESCRIPTION("cannot be unloaded");
MODULE_LICENSE("GPL");
