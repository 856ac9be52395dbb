// SPDX-License-Identifier: GPL-2.0
/*
 * Writes through a pointer near NULL.
 */
#include <linux/module.h>

static int __init fault_oops_init(void)
{
	int *nowhere = NULL;

	/* Or the compiler sees the NULL and traps instead. */
	OPTIMIZER_HIDE_VAR(nowhere);
	*nowhere = 1;
	return 0;
}

static void __exit fault_oops_exit(void)
{
}

module_init(fault_oops_init);
module_exit(fault_oops_exit);

MODULE_DESCRIPTION("oopses");
MODULE_LICENSE("GPL");
