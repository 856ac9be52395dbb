// SPDX-License-Identifier: GPL-2.0
/*
 * Does, while it is loaded, the wrong thing that its parameter names. Each is a function of its own, so that
 * a trace says which.
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
static noinline int seeded_stack(int depth)
{
	int (*deeper)(int) = seeded_stack;
	char frame[256];

	memset(frame, depth, sizeof(frame));
	OPTIMIZER_HIDE_VAR(deeper);
	return deeper(depth + 1) + frame[depth & 255];
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

static int __init seeded_c_init(void)
{
	if (!strcmp(what, "null"))
		seeded_null();
	else if (!strcmp(what, "wild"))
		seeded_wild();
	else if (!strcmp(what, "bug"))
		seeded_bug();
	else if (!strcmp(what, "warn"))
		seeded_warn();
	else if (!strcmp(what, "panic"))
		seeded_panic();
	else if (!strcmp(what, "readonly"))
		seeded_readonly();
	else if (!strcmp(what, "execute"))
		seeded_execute();
	else if (!strcmp(what, "list"))
		seeded_list();
	else if (!strcmp(what, "count"))
		seeded_count();
	else if (!strcmp(what, "stack"))
		seeded_stack(1);
	else if (!strcmp(what, "deadlock"))
		seeded_deadlock();
	else if (!strcmp(what, "stall"))
		seeded_stall();
	else if (!strcmp(what, "loop"))
		seeded_loop();
	else if (!strcmp(what, "taint"))
		seeded_taint();
	else if (!strcmp(what, "stay"))
		__module_get(THIS_MODULE);
	else if (!strcmp(what, "error"))
		return -ENODEV;
	else if (strcmp(what, "nothing"))
		return -EINVAL;
	return 0;
}

static void __exit seeded_c_exit(void)
{
}

module_init(seeded_c_init);
module_exit(seeded_c_exit);

MODULE_DESCRIPTION("does the wrong thing that it is told to do");
MODULE_LICENSE("GPL");
