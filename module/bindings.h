/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the guard needs of the kernel and the kernel crate lacks. bindgen reads this when the
 * module is built, with the flags of the kernel at hand; see Kbuild for the names it lets through.
 */
#include <linux/dcache.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/ptrace.h>
