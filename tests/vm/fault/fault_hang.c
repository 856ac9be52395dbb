// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps the processor with preemption off: a soft lockup, and a stall for RCU.
 */
#include <linux/module.h>
#include <linux/preempt.h>
#include <asm/processor.h>

static int __init fault_hang_init(void)
{
	preempt_disable();
	for (;;)
		cpu_relax();
	return 0;
}

static void __exit fault_hang_exit(void)
{
}

module_init(fault_hang_init);
module_exit(fault_hang_exit);

MODULE_DESCRIPTION("hangs with interrupts on");
MODULE_LICENSE("GPL");
