// SPDX-License-Identifier: GPL-2.0
//! Prints the shape of a prototype.

fn main() {}
