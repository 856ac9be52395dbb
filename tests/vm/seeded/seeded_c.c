// SPDX-License-Identifier: GPL-2.0
/*
 * Does, while it is loaded, the wrong thing that its parameter names. Each is a function of its
 * own, so that a trace says which.
 */
#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/panic.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/string.h>

static char *what = "nothing";
module_param(what, charp, 0444);
MODULE_PARM_DESC(what, "which of the wrong things it does");

static const int constant = 1;
static char data[64] = { 0xc3 };

static noinline void seeded_null(void)
{
	int *nowhere = NULL;

	OPTIMIZER_HIDE_VAR(nowhere);
	*nowhere = 1;
}

/* No address that a processor knows. */
static noinline void seeded_wild(void)
{
	int *nowhere = (int *)0x5a5a5a5a5a5a5a5a;

	OPTIMIZER_HIDE_VAR(nowhere);
	*nowhere = 1;
}

static noinline void seeded_bug(void)
{
	BUG();
}

static noinline void seeded_warn(void)
{
	WARN(1, "on purpose");
}

static noinline void seeded_panic(void)
{
	panic("on purpose");
}

static noinline void seeded_readonly(void)
{
	int *ours = (int *)&constant;

	OPTIMIZER_HIDE_VAR(ours);
	*ours = 2;
}

/* Data are no code, even if they begin with a return. */
static noinline void seeded_execute(void)
{
	void (*code)(void) = (void *)data;

	OPTIMIZER_HIDE_VAR(code);
	code();
}

static noinline void seeded_list(void)
{
	static struct list_head one, list = LIST_HEAD_INIT(list);

	list_add(&one, &list);
	list_del(&one);
	list_del(&one);
}

static noinline void seeded_count(void)
{
	refcount_t count = REFCOUNT_INIT(1);

	refcount_dec(&count);
	refcount_dec(&count);
}

/* Through a pointer, or the compiler makes a loop of it. */
static noinline int seeded_deeper(int depth)
{
	int (*deeper)(int) = seeded_deeper;
	char frame[256];

	memset(frame, depth, sizeof(frame));
	OPTIMIZER_HIDE_VAR(deeper);
	return deeper(depth + 1) + frame[depth & 255];
}

static noinline void seeded_stack(void)
{
	seeded_deeper(1);
	barrier();
}

/* Nobody else can let go of what it waits for. */
static noinline void seeded_deadlock(void)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	spin_lock(&lock);
	spin_unlock(&lock);
}

/* A grace period begins, and cannot end. */
static noinline void seeded_stall(void)
{
	rcu_read_lock();
	start_poll_synchronize_rcu();
	for (;;)
		cpu_relax();
}

/* It can be interrupted, and is: nothing in the kernel takes offence. */
static noinline void seeded_loop(void)
{
	for (;;)
		cond_resched();
}

static noinline void seeded_taint(void)
{
	add_taint(TAINT_WARN, LOCKDEP_STILL_OK);
}

static noinline void seeded_stay(void)
{
	__module_get(THIS_MODULE);
}

static const struct {
	const char *name;
	void (*does)(void);
} things[] = {
	{ "null", seeded_null },
	{ "wild", seeded_wild },
	{ "bug", seeded_bug },
	{ "warn", seeded_warn },
	{ "panic", seeded_panic },
	{ "readonly", seeded_readonly },
	{ "execute", seeded_execute },
	{ "list", seeded_list },
	{ "count", seeded_count },
	{ "stack", seeded_stack },
	{ "deadlock", seeded_deadlock },
	{ "stall", seeded_stall },
	{ "loop", seeded_loop },
	{ "taint", seeded_taint },
	{ "stay", seeded_stay },
};

static int __init seeded_c_init(void)
{
	int i;

	if (!strcmp(what, "nothing"))
		return 0;
	if (!strcmp(what, "error"))
		return -ENODEV;
	for (i = 0; i < ARRAY_SIZE(things); i++) {
		if (!strcmp(what, things[i].name)) {
			things[i].does();
			return 0;
		}
	}
	return -EINVAL;
}

static void __exit seeded_c_exit(void)
{
}

module_init(seeded_c_init);
module_exit(seeded_c_exit);

MODULE_DESCRIPTION("does the wrong thing that it is told to do");
MODULE_LICENSE("GPL");
