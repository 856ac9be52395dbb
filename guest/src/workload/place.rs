// SPDX-License-Identifier: GPL-2.0
//! Where the work is done, and how its answers are compared with what they have to be.

use std::fs;
use std::path::{Path, PathBuf};

use guest::Work;
use vm_init::StepError;
use vm_protocol::Errno;

/// Where the work is done, and how much of it.
pub(super) struct Place<'a> {
    /// A directory of its own on the share.
    pub(super) dir: PathBuf,
    pub(super) work: &'a Work,
}

impl Place<'_> {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// A path, for a message.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// An error unless `holds`; `what` says what was found.
pub(super) fn require(holds: bool, what: impl FnOnce() -> String) -> Result<(), StepError> {
    if holds { Ok(()) } else { Err(StepError::new(Errno::EBADMSG, what())) }
}

/// The error of a system call that `what` was asked of.
pub(super) fn refused(what: &str) -> impl Fn(rustix::io::Errno) -> StepError + '_ {
    move |errno| StepError::of(what, errno)
}

/// What the kernel keeps of files is let go, so that the next look at one asks the server.
pub(super) fn forget() -> Result<(), StepError> {
    let path = "/proc/sys/vm/drop_caches";
    fs::write(path, "3").map_err(|error| StepError::of(path, error))
}
