// SPDX-License-Identifier: GPL-2.0
/*
 * Does, while it is loaded, the wrong thing that its parameter names. Each is a function of its
 * own, so that a trace says which.
 */
#include <linux/bug.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/panic.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

static char *what = "nothing";
module_param(what, charp, 0444);
MODULE_PARM_DESC(what, "which of the wrong things it does");

/* Several of what is lost: one that still lies on a stack is not lost to kmemleak. */
#define COUNT 16

static const int constant = 1;
static char data[64] = { 0xc3 };
static char *kept[COUNT];
static DEFINE_SPINLOCK(lock);
static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DECLARE_COMPLETION(has_second);

struct counted {
	struct kref users;
	char bytes[40];
};

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

/* It cannot be taken from the processor, which can be interrupted. */
static noinline void seeded_busy(void)
{
	preempt_disable();
	for (;;)
		cpu_relax();
}

/* Nobody can wake it. */
static noinline void seeded_stuck(void)
{
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	}
}

static int takes_second_then_first(void *unused)
{
	mutex_lock(&second);
	complete(&has_second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
	return 0;
}

/* Each waits for what the other has. */
static noinline void seeded_crossed(void)
{
	mutex_lock(&first);
	kthread_run(takes_second_then_first, NULL, "seeded");
	wait_for_completion(&has_second);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
}

/* One after the other: no harm is done, yet. */
static noinline void seeded_orders(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static noinline void seeded_sleep(void)
{
	spin_lock(&lock);
	msleep(20);
	spin_unlock(&lock);
}

/* It does not sleep, as there is memory enough; it might have. */
static noinline void seeded_allocate(void)
{
	void *bytes;

	spin_lock(&lock);
	bytes = kmalloc(16, GFP_KERNEL);
	spin_unlock(&lock);
	kfree(bytes);
}

static noinline void seeded_rcu(void)
{
	static int __rcu *pointer;

	if (rcu_dereference(pointer))
		pr_info("there\n");
}

/* The length is not known to the compiler, and in a cache of 16. */
static noinline void seeded_overflow(void)
{
	size_t length = 13;
	char *bytes;

	OPTIMIZER_HIDE_VAR(length);
	bytes = kmalloc(length, GFP_KERNEL);
	if (!bytes)
		return;
	WRITE_ONCE(bytes[length], 1);
	kfree(bytes);
}

static noinline void seeded_freed(void)
{
	int *number = kzalloc(sizeof(*number), GFP_KERNEL);
	int *same = number;

	if (!number)
		return;
	OPTIMIZER_HIDE_VAR(same);
	kfree(number);
	if (READ_ONCE(*same) == 7)
		pr_info("seven\n");
}

static noinline void seeded_twice(void)
{
	char *bytes = kmalloc(64, GFP_KERNEL);
	char *same = bytes;

	OPTIMIZER_HIDE_VAR(same);
	kfree(bytes);
	kfree(same);
}

/* A truth value that is neither. */
static noinline void seeded_truth(void)
{
	static bool truth;
	bool *where = &truth;

	memset(&truth, 3, sizeof(truth));
	OPTIMIZER_HIDE_VAR(where);
	if (*where)
		pr_info("more or less\n");
}

static noinline void seeded_lose(void)
{
	int i;

	for (i = 0; i < COUNT; i++) {
		char *lost = kmalloc(48, GFP_KERNEL);

		OPTIMIZER_HIDE_VAR(lost);
	}
}

/* It knows where they are for as long as it is loaded, and does not free them then. */
static noinline void seeded_keep(void)
{
	int i;

	for (i = 0; i < COUNT; i++)
		kept[i] = kmalloc(48, GFP_KERNEL);
}

static void release(struct kref *users)
{
	kfree(container_of(users, struct counted, users));
}

/* Each has two users, of which one goes. */
static noinline void seeded_user(void)
{
	struct counted *counted;
	int i;

	for (i = 0; i < COUNT; i++) {
		counted = kmalloc_obj(*counted);
		if (!counted)
			return;
		kref_init(&counted->users);
		kref_get(&counted->users);
		kref_put(&counted->users, release);
	}
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
	{ "busy", seeded_busy },
	{ "stuck", seeded_stuck },
	{ "crossed", seeded_crossed },
	{ "orders", seeded_orders },
	{ "sleep", seeded_sleep },
	{ "allocate", seeded_allocate },
	{ "rcu", seeded_rcu },
	{ "overflow", seeded_overflow },
	{ "freed", seeded_freed },
	{ "twice", seeded_twice },
	{ "truth", seeded_truth },
	{ "lose", seeded_lose },
	{ "keep", seeded_keep },
	{ "user", seeded_user },
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
	if (kept[0])
		pr_info("leaves %zu bytes\n", COUNT * ksize(kept[0]));
}

module_init(seeded_c_init);
module_exit(seeded_c_exit);

MODULE_DESCRIPTION("does the wrong thing that it is told to do");
MODULE_LICENSE("GPL");
