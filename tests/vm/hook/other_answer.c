// SPDX-License-Identifier: GPL-2.0
/*
 * Makes always_delete_dentry return 0, as it may in a future kernel.
 */
#include <linux/kprobes.h>
#include <linux/module.h>

static int answer(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	regs_set_return_value(regs, 0);
	return 0;
}

static struct kretprobe probe = {
	.kp.symbol_name = "always_delete_dentry",
	.handler = answer,
};

static int __init other_answer_init(void)
{
	return register_kretprobe(&probe);
}

static void __exit other_answer_exit(void)
{
	unregister_kretprobe(&probe);
}

module_init(other_answer_init);
module_exit(other_answer_exit);

MODULE_DESCRIPTION("changes what a function returns");
MODULE_LICENSE("GPL");
