// SPDX-License-Identifier: GPL-2.0
//! Goes one way or another, as its parameter says.

use kernel::prelude::*;

module! {
    type: Reached,
    name: "reached_rust",
    authors: ["nobody"],
    description: "goes one way or another",
    license: "GPL",
    params: {
        branch: u8 {
            default: 0,
            description: "which way it goes",
        },
    },
}

struct Reached;

#[inline(never)]
fn chosen(branch: u8) -> u8 {
    if branch == 1 {
        pr_info!("the first way\n");
        return 1;
    }
    pr_info!("another way\n");
    0
}

impl kernel::Module for Reached {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let number = chosen(*module_parameters::branch.value());
        pr_info!("it came to {number}\n");
        Ok(Self)
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        pr_info!("gone\n");
    }
}
