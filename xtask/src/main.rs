// SPDX-License-Identifier: GPL-2.0
//! Parses the command line, dispatches, prints errors.

fn main() {}
