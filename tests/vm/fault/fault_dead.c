// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps the processor with interrupts off: on one processor without an NMI nothing in the guest can
 * notice.
 */
#include <linux/module.h>
#include <linux/irqflags.h>
#include <asm/processor.h>

static int __init fault_dead_init(void)
{
	local_irq_disable();
	for (;;)
		cpu_relax();
	return 0;
}

static void __exit fault_dead_exit(void)
{
}

module_init(fault_dead_init);
module_exit(fault_dead_exit);

MODULE_DESCRIPTION("hangs with interrupts off");
MODULE_LICENSE("GPL");
