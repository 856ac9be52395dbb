// SPDX-License-Identifier: GPL-2.0
//! The init of the tool itself: it has no steps but those that every init has.

use vm_protocol::NoExtraStep;

fn main() {
    vm_init::main(|step: &NoExtraStep| match *step {});
}
