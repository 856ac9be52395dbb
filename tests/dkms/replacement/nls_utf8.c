// SPDX-License-Identifier: GPL-2.0
/* Takes the place of a module of the kernel's own, and says so. */
#include <linux/module.h>

static int __init replacement_init(void)
{
	pr_info("replacement is loaded\n");
	return 0;
}

static void __exit replacement_exit(void)
{
}

module_init(replacement_init);
module_exit(replacement_exit);
MODULE_DESCRIPTION("Takes the place of a module of the kernel's own");
MODULE_LICENSE("GPL");
