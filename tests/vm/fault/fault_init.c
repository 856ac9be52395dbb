// SPDX-License-Identifier: GPL-2.0
/*
 * Its own initialisation says no.
 */
#include <linux/module.h>
#include <linux/errno.h>

static int __init fault_init_init(void)
{
	return -ENODEV;
}

static void __exit fault_init_exit(void)
{
}

module_init(fault_init_init);
module_exit(fault_init_exit);

MODULE_DESCRIPTION("fails to initialise");
MODULE_LICENSE("GPL");
