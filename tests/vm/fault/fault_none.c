// SPDX-License-Identifier: GPL-2.0
/*
 * Loads and unloads: shows that a fault seen with the others is theirs.
 */
#include <linux/module.h>

static int __init fault_none_init(void)
{
	return 0;
}

static void __exit fault_none_exit(void)
{
}

module_init(fault_none_init);
module_exit(fault_none_exit);

MODULE_DESCRIPTION("no fault");
MODULE_LICENSE("GPL");
