// SPDX-License-Identifier: GPL-2.0
//! Projects by kernels, on one machine.

mod bad_input;
mod ending;
mod field;
mod kernels;
mod parts;
mod states;

use libtest_mimic::Trial;

use crate::suite::Suite;

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    [
        states::trials(suite),
        ending::trials(suite),
        parts::trials(suite),
        bad_input::trials(suite),
        kernels::trials(suite),
    ]
    .into_iter()
    .flatten()
    .collect()
}
