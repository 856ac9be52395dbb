// SPDX-License-Identifier: GPL-2.0
//! What people do with a mounted share, once through, with every answer held against what it has to be.

mod attributes;
mod content;
mod locks;
mod names;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub(crate) use content::digest;
use guest::Work;
use nix::errno::Errno;

use crate::kernel_log;
use crate::steps::StepError;

/// Where the work is done, and how much of it.
struct Place<'a> {
    /// A directory of its own on the share.
    dir: PathBuf,
    work: &'a Work,
}

impl Place<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// A part of the work; what it gives is told to the host, if anything.
type Part = fn(&Place<'_>) -> Result<Option<String>, StepError>;

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

/// Does the work. Gives a line for each part: its name, the milliseconds it took and what it has to tell.
pub(crate) fn perform(work: &Work) -> Result<String, StepError> {
    let place = Place { dir: Path::new(&work.directory).join(guest::WORK_DIRECTORY), work };
    fs::create_dir(&place.dir).map_err(|error| StepError::io(&error, &shown(&place.dir)))?;
    let mut told = String::new();
    for (name, part) in PARTS {
        kernel_log::write(&format!("work: {name}"));
        let started = Instant::now();
        let tells = part(&place).map_err(|error| error.within(name))?.unwrap_or_default();
        let line = format!("{name}: {} ms {tells}", started.elapsed().as_millis());
        told.extend([line.trim_end(), "\n"]);
    }
    Ok(told)
}

/// Makes what is to be listed, where any account may write.
pub(crate) fn lay_out(directory: &str, listed: u32) -> io::Result<()> {
    let dir = Path::new(directory).join(guest::LISTED_DIRECTORY);
    fs::create_dir_all(&dir)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777))?;
    for number in 0..listed {
        let size = (number % guest::LISTED_SIZES) as usize;
        fs::write(dir.join(guest::listed_name(number)), vec![b'x'; size])?;
    }
    Ok(())
}

/// A path, for a message.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// An answer that is not what it has to be.
fn wrong(what: String) -> StepError {
    StepError::said(Errno::EBADMSG, what)
}

/// An error unless `holds`; `what` says what was found.
fn require(holds: bool, what: impl FnOnce() -> String) -> Result<(), StepError> {
    if holds { Ok(()) } else { Err(wrong(what())) }
}

/// The error of a system call that `what` was asked of.
fn refused(what: &str) -> impl Fn(rustix::io::Errno) -> StepError + '_ {
    move |errno| StepError::new(Errno::from_raw(errno.raw_os_error()), what)
}

/// What the kernel keeps of files is let go, so that the next look at one asks the server.
fn forget() -> Result<(), StepError> {
    let path = "/proc/sys/vm/drop_caches";
    fs::write(path, "3").map_err(|error| StepError::io(&error, path))
}
