// SPDX-License-Identifier: GPL-2.0
/*
 * Panics.
 */
#include <linux/module.h>
#include <linux/panic.h>

static int __init fault_panic_init(void)
{
	panic("fault_panic: on purpose");
	return 0;
}

static void __exit fault_panic_exit(void)
{
}

module_init(fault_panic_init);
module_exit(fault_panic_exit);

MODULE_DESCRIPTION("panics");
MODULE_LICENSE("GPL");
