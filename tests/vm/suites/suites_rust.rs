// SPDX-License-Identifier: GPL-2.0
//! A suite of tests. A kernel without KUnit loads it as well.

use kernel::prelude::*;

module! {
    type: SuitesRust,
    name: "suites_rust",
    authors: ["nobody"],
    description: "a suite of tests",
    license: "GPL",
}

struct SuitesRust;

impl kernel::Module for SuitesRust {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("{}\n", twice(2));
        Ok(Self)
    }
}

/// Twice a number.
fn twice(number: u32) -> u32 {
    number * 2
}

#[kunit_tests(rust_numbers)]
mod tests {
    use super::*;

    #[test]
    fn doubles() {
        assert_eq!(twice(3), 6);
    }
}
