// SPDX-License-Identifier: GPL-2.0
/*
 * Goes one way or another, as its parameter says.
 */
#include <linux/module.h>

static unsigned char branch;
module_param(branch, byte, 0444);
MODULE_PARM_DESC(branch, "which way it goes");

static noinline int chosen(unsigned char branch)
{
	int sum = 0;
	int i;

	if (branch == 1) {
		pr_info("the first way\n");
		return 1;
	}
	pr_info("another way\n");
	for (i = 0; i < branch; i++)
		sum += i;
	return sum;
}

static int __init reached_c_init(void)
{
	pr_info("it came to %d\n", chosen(branch));
	return 0;
}

static void __exit reached_c_exit(void)
{
	pr_info("gone\n");
}

module_init(reached_c_init);
module_exit(reached_c_exit);

MODULE_DESCRIPTION("goes one way or another");
MODULE_LICENSE("GPL");
