// SPDX-License-Identifier: GPL-2.0
//! Inserts and removes kernel modules.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::system::{delete_module, finit_module};
use vm_protocol::MODULES;

use crate::step_error::StepError;

/// `MODULE_INIT_COMPRESSED_FILE` (finit_module(2)).
const COMPRESSED: i32 = 4;

/// `O_NONBLOCK`, the same number on every architecture that the tool boots: a module that is in use
/// is not waited for (delete_module(2)).
const NONBLOCK: i32 = 0o4000;

/// How often a module that is in use is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Inserts a module file of the initramfs.
pub(crate) fn insert(file: &str, params: &str) -> Result<(), StepError> {
    let failed = |error: io::Error| StepError::of(file, error);
    let mut module = File::open(Path::new(MODULES).join(file)).map_err(failed)?;
    let flags = how(&mut module).map_err(failed)?;
    let params = CString::new(params).map_err(|error| failed(error.into()))?;
    finit_module(&module, &params, flags).map_err(|errno| failed(errno.into()))
}

/// A file that is not ELF is compressed, and the kernel is told to decompress it.
fn how(module: &mut File) -> io::Result<i32> {
    let mut magic = [0; 4];
    module.read_exact(&mut magic)?;
    module.rewind()?;
    Ok(if magic == *b"\x7fELF" { 0 } else { COMPRESSED })
}

/// Removes a module, once it is no longer in use; an error says who uses it.
pub(crate) fn remove(name: &str, patience: Duration) -> Result<(), StepError> {
    let c_name = CString::new(name).map_err(|error| StepError::of(name, error))?;
    let started = Instant::now();
    loop {
        match delete_module(&c_name, NONBLOCK) {
            Ok(()) => return Ok(()),
            Err(Errno::AGAIN) if started.elapsed() < patience => thread::sleep(PAUSE),
            Err(errno) => return Err(StepError::of(name, errno).with(&users(name))),
        }
    }
}

/// Who uses a module, for a message.
fn users(name: &str) -> String {
    let dir = Path::new("/sys/module").join(name);
    let count = fs::read_to_string(dir.join("refcnt")).unwrap_or_default();
    let holders = fs::read_dir(dir.join("holders")).into_iter().flatten().flatten();
    let holders: Vec<_> = holders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    match (count.trim(), holders.is_empty()) {
        ("", _) => String::new(),
        (count, true) => format!(" (refcnt {count})"),
        (count, false) => format!(" (refcnt {count}, used by {})", holders.join(", ")),
    }
}
