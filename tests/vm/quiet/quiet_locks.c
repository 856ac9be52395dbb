// SPDX-License-Identifier: GPL-2.0
/*
 * Takes two locks in one order, then in the other.
 */
#include <linux/module.h>
#include <linux/mutex.h>

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);

static int __init quiet_locks_init(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
	return 0;
}

static void __exit quiet_locks_exit(void)
{
}

module_init(quiet_locks_init);
module_exit(quiet_locks_exit);

MODULE_DESCRIPTION("takes two locks in one order, then in the other");
MODULE_LICENSE("GPL");
