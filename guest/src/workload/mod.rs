// SPDX-License-Identifier: GPL-2.0
//! What people do with a mounted share, once through, with every answer held against what it has to
//! be.

mod attributes;
mod content;
mod locks;
mod names;
mod place;

use std::fs;
use std::path::Path;
use std::time::Instant;

use guest::Work;
use vm_init::{GuestStepResult, StepError, write_to_kernel_log};

use place::{Place, shown};

/// A part of the work; what it gives is told to the host, if anything.
type Part = fn(&Place<'_>) -> GuestStepResult;

/// The parts, in order. Each leaves nothing behind but what the host is to look at.
const PARTS: &[(&str, Part)] = &[
    ("create", names::create),
    ("stat", names::stat),
    ("list", names::list),
    ("rename", names::rename),
    ("hard links", names::hard_links),
    ("symbolic links", names::symbolic_links),
    ("extended attributes", attributes::extended),
    ("access lists", attributes::access_lists),
    ("locks", locks::ranges),
    ("pieces", content::pieces),
    ("holes", content::holes),
    ("copy", content::copy),
    ("bulk", content::bulk),
    ("remove", names::remove),
];

/// Does the work. Gives a line for each part: its name, the milliseconds it took and what it has to
/// tell.
pub(crate) fn perform(work: &Work) -> Result<String, StepError> {
    let place = Place { dir: Path::new(&work.directory).join(guest::WORK_DIRECTORY), work };
    fs::create_dir(&place.dir).map_err(|error| StepError::of(shown(&place.dir), error))?;
    let mut told = String::new();
    for (name, part) in PARTS {
        write_to_kernel_log(&format!("work: {name}"));
        let started = Instant::now();
        let tells = part(&place).map_err(|error| error.within(name))?.unwrap_or_default();
        let line = format!("{name}: {} ms {tells}", started.elapsed().as_millis());
        told.extend([line.trim_end(), "\n"]);
    }
    Ok(told)
}
