// SPDX-License-Identifier: GPL-2.0
/*
 * {{module}}: says hello when it is loaded.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>

static unsigned int times = 1;
module_param(times, uint, 0444);
MODULE_PARM_DESC(times, "how many times it says hello (default 1)");

static int __init {{module}}_init(void)
{
	unsigned int i;

	for (i = 1; i <= times; i++)
		pr_info("hello %u of %u\n", i, times);
	return 0;
}

static void __exit {{module}}_exit(void)
{
	pr_info("bye\n");
}

module_init({{module}}_init);
module_exit({{module}}_exit);

MODULE_AUTHOR("{{author}}");
MODULE_DESCRIPTION("Says hello when it is loaded");
MODULE_VERSION("{{version}}");
MODULE_LICENSE("GPL");
