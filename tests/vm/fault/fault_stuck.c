// SPDX-License-Identifier: GPL-2.0
/*
 * Sleeps for ever and cannot be woken: a hung task.
 */
#include <linux/module.h>
#include <linux/sched.h>

static int __init fault_stuck_init(void)
{
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	}
	return 0;
}

static void __exit fault_stuck_exit(void)
{
}

module_init(fault_stuck_init);
module_exit(fault_stuck_exit);

MODULE_DESCRIPTION("never returns");
MODULE_LICENSE("GPL");
