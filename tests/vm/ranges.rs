// SPDX-License-Identifier: GPL-2.0
//! lseek(2) for data and holes of a file with several ranges of data: what the client makes of the
//! server's answers is the same with a verifier before it as without.

use anyhow::{Context as _, Result, ensure};
use guest::ShareStep;
use vm::Verdict;
use xtask::client::{ClientSteps as _, SampleStep as Step};
use xtask::share::{self as smb, Share};

use crate::bench::{Bench, verdict_is};
use crate::vehicle::{self, Vehicle};
use crate::workload::{MOUNT, nothing_is_rejected};

/// Asks a real server through the stock client, with the guard before it, and through the rebuilt
/// one.
pub(crate) fn as_the_stock_client(bench: &Bench) -> Result<()> {
    let stock = answers(bench, Vehicle::Stock)?;
    eprint!("{stock}");
    // Of the last range alone, both questions have an answer.
    let last = 2 * (guest::RANGES - 1) * guest::RANGE;
    let ends = format!("data from {last}: {last}\nhole from {last}: {}\n", last + guest::RANGE);
    ensure!(stock.ends_with(&ends), "{stock}");
    for vehicle in [Vehicle::Guard, Vehicle::Rebuild] {
        let found = answers(bench, vehicle)?;
        ensure!(found == stock, "{vehicle}:\n{found}stock:\n{stock}");
    }
    Ok(())
}

/// What a client answers.
fn answers(bench: &Bench, vehicle: Vehicle) -> Result<String> {
    let server = Share::serve(&bench.context.report)?;
    let mut payload = vehicle.payload(bench, &bench.prepared)?;
    payload.mount_share(smb::NAME, server.port(), smb::OPTIONS, MOUNT);
    let asks = payload.plan("").steps.len();
    payload
        .step(ShareStep::AskRanges { path: format!("{MOUNT}/ranges") })
        .step(Step::Unmount { target: MOUNT.to_owned() });
    let counters = vehicle.read_counters(&mut payload);
    vehicle.unload(&mut payload);
    let run = vehicle::boot(bench, &bench.prepared, &payload, &format!("ranges-{vehicle}"), 256)?;
    verdict_is(&run, Verdict::Pass)?;
    vehicle.require_loaded(&run)?;
    nothing_is_rejected(&run, counters)?;
    Ok(run.output(asks).context("no answers")?.to_owned())
}
