// SPDX-License-Identifier: GPL-2.0
//! This program's own outputs. Either may be a full disk, or closed: that is no reason to panic.

use std::io::{self, Write as _};

use crate::failure::{Exit, Failure};

/// A line on standard error. That nobody can read it is no reason to end.
pub fn error_line(text: &str) {
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// A result on standard output, which is all that was asked for.
///
/// # Errors
///
/// Failed, if it cannot be written. A reader that has seen enough (`| head`) is no failure.
pub fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            // The kind says why, and is not taken for the disk that the cache is on.
            Err(Failure::new(Exit::Failed, "standard output", format!("cannot be written: {}", error.kind())))
        }
        _ => Ok(()),
    }
}
