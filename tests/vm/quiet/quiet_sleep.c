// SPDX-License-Identifier: GPL-2.0
/*
 * Allocates memory in a way that may sleep while it holds a spinlock.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static DEFINE_SPINLOCK(lock);

static int __init quiet_sleep_init(void)
{
	void *bytes;

	spin_lock(&lock);
	bytes = kmalloc(16, GFP_KERNEL);
	spin_unlock(&lock);
	kfree(bytes);
	return 0;
}

static void __exit quiet_sleep_exit(void)
{
}

module_init(quiet_sleep_init);
module_exit(quiet_sleep_exit);

MODULE_DESCRIPTION("allocates memory in a way that may sleep while it holds a spinlock");
MODULE_LICENSE("GPL");
