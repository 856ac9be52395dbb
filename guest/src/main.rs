// SPDX-License-Identifier: GPL-2.0
//! The sample's init: the tool's, with the steps of [`guest::ShareStep`].

mod digest;
mod files;
mod layout;
mod notifications;
mod processor;
mod questions;
mod steps;
mod workload;

fn main() {
    vm_init::main(steps::perform);
}
