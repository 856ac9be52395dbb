// SPDX-License-Identifier: GPL-2.0
//! The init of the virtual machine.

fn main() {}
