// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps what it allocated for as long as it is loaded, and does not free it then.
 */
#include <linux/module.h>
#include <linux/slab.h>

/* Several: what still lies on a stack is not lost to kmemleak. */
#define COUNT 16

static char *kept[COUNT];

static int __init quiet_left_init(void)
{
	int number;

	for (number = 0; number < COUNT; number++) {
		kept[number] = kmalloc(48, GFP_KERNEL);
		if (!kept[number])
			return -ENOMEM;
	}
	return 0;
}

static void __exit quiet_left_exit(void)
{
	pr_info("leaves %zu bytes\n", COUNT * ksize(kept[0]));
}

module_init(quiet_left_init);
module_exit(quiet_left_exit);

MODULE_DESCRIPTION("keeps what it allocated for as long as it is loaded, and does not free it then");
MODULE_LICENSE("GPL");
