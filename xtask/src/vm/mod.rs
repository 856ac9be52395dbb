// SPDX-License-Identifier: GPL-2.0
//! A virtual machine that boots one kernel with one initramfs and ends with a verdict.
