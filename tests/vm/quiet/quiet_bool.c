// SPDX-License-Identifier: GPL-2.0
/*
 * Loads a truth value that is neither.
 */
#include <linux/module.h>
#include <linux/string.h>

static unsigned int value = 3;
module_param(value, uint, 0444);

static bool truth;
static bool *where = &truth;

static int __init quiet_bool_init(void)
{
	memset(&truth, value, sizeof(truth));
	OPTIMIZER_HIDE_VAR(where);
	if (*where)
		pr_info("more or less\n");
	return 0;
}

static void __exit quiet_bool_exit(void)
{
}

module_init(quiet_bool_init);
module_exit(quiet_bool_exit);

MODULE_DESCRIPTION("loads a truth value that is neither");
MODULE_LICENSE("GPL");
