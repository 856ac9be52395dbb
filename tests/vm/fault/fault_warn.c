// SPDX-License-Identifier: GPL-2.0
/*
 * Warns, and loads all the same.
 */
#include <linux/module.h>

static int __init fault_warn_init(void)
{
	WARN_ON(1);
	return 0;
}

static void __exit fault_warn_exit(void)
{
}

module_init(fault_warn_init);
module_exit(fault_warn_exit);

MODULE_DESCRIPTION("warns");
MODULE_LICENSE("GPL");
