// SPDX-License-Identifier: GPL-2.0
//! This program's own outputs. Writing never panics, even if one is closed or on a full disk.

use std::io::{self, Write as _};

use crate::failure::{Exit, Failure};

/// Prints a line on standard error; errors are ignored, as there is nowhere left to report them.
pub fn error_line(text: &str) {
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// Prints a result on standard output.
///
/// # Errors
///
/// Failed, if it cannot be written. A reader that closes the pipe early (`| head`) is not an error.
pub fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            // Only the kind: the full message would be taken for a full disk under the cache.
            Err(Failure::new(Exit::Failed, "standard output", format!("cannot be written: {}", error.kind())))
        }
        _ => Ok(()),
    }
}
