// SPDX-License-Identifier: GPL-2.0
/*
 * Calls smb2_check_message once in each way in which the guard lets a message pass unverified:
 * longer than any, not SMB2, and while the processor handles another probe.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/unaligned.h>

#define OVERSIZED (256 * 1024)
#define ENDBR64 0xfa1e0ff3

/* As of 7.2. Nothing of the server is looked at but a pointer, which may be NULL. */
typedef int (*check_message)(char *buf, unsigned int pdu_len, unsigned int len, void *server);

static check_message check;
static char *message;
static void *server;
static int missed;

/* A probe knows where the function is; exported it is not. */
static int __init find(void)
{
	struct kprobe probe = { .symbol_name = "cifs:smb2_check_message" };
	unsigned long addr;
	int error = register_kprobe(&probe);

	if (error)
		return error;
	addr = (unsigned long)probe.addr;
	unregister_kprobe(&probe);
	/* That is after the mark at which indirect calls may arrive. */
	if (get_unaligned((u32 *)(addr - 4)) == ENDBR64)
		addr -= 4;
	check = (check_message)addr;
	return 0;
}

static int call_in_probe(struct kprobe *probe, struct pt_regs *regs)
{
	missed = check(message, PAGE_SIZE, PAGE_SIZE, server);
	return 0;
}

/* Not through the function tracer, in which another call of the tracer would not be seen at all. */
static noinline notrace void probed(void)
{
	barrier();
}

static int __init call(void)
{
	struct kprobe probe = {
		.addr = (kprobe_opcode_t *)probed,
		.pre_handler = call_in_probe,
	};
	int error = register_kprobe(&probe);

	if (error)
		return error;
	probed();
	unregister_kprobe(&probe);
	/* Nothing but zeroes, which the client refuses each time. */
	if (missed != 1 || check(message, OVERSIZED, OVERSIZED, server) != 1 ||
	    check(message, PAGE_SIZE, PAGE_SIZE, server) != 1)
		return -EPROTO;
	return 0;
}

static int __init unverified_init(void)
{
	int error = find();

	if (error)
		return error;
	message = kzalloc(PAGE_SIZE, GFP_KERNEL);
	server = kzalloc(16 * PAGE_SIZE, GFP_KERNEL);
	error = message && server ? call() : -ENOMEM;
	kfree(server);
	kfree(message);
	return error;
}

static void __exit unverified_exit(void)
{
}

module_init(unverified_init);
module_exit(unverified_exit);

MODULE_DESCRIPTION("calls a function in rare ways");
MODULE_LICENSE("GPL");
