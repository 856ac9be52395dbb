// SPDX-License-Identifier: GPL-2.0
//! Matrices on a cluster: the real munged, slurmctld and slurmd, four nodes of them on this
//! machine.

mod broadcast;
mod cluster;
mod ending;
mod faults;
mod refusals;
mod same;

use libtest_mimic::Trial;

use crate::suite::Suite;

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    [
        same::trials(suite),
        broadcast::trials(suite),
        ending::trials(suite),
        faults::trials(suite),
        refusals::trials(suite),
    ]
    .into_iter()
    .flatten()
    .collect()
}
