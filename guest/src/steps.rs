// SPDX-License-Identifier: GPL-2.0
//! Performs the steps of a plan.

use std::ffi::CString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use guest::{MODULES, OUTPUT_LIMIT, Outcome, Step};
use nix::errno::Errno;
use nix::kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module};
use nix::mount::{MsFlags, mount, umount};

use crate::{files, network, notifications, processor, program, workload};

/// Why a step failed.
#[derive(Debug)]
pub(crate) struct StepError {
    pub(crate) errno: Errno,
    pub(crate) message: String,
}

impl StepError {
    pub(crate) fn new(errno: Errno, what: &str) -> Self {
        Self { errno, message: format!("{what}: {}", errno.desc()) }
    }

    /// An error with words of its own.
    pub(crate) fn said(errno: Errno, message: String) -> Self {
        Self { errno, message }
    }

    /// The same, as a part of something larger.
    pub(crate) fn within(self, whole: &str) -> Self {
        Self { message: format!("{whole}: {}", self.message), ..self }
    }

    pub(crate) fn io(error: &io::Error, what: &str) -> Self {
        Self {
            errno: Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32)),
            message: format!("{what}: {error}"),
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        // Errno's Debug form is the name of the constant.
        Outcome::Failed { errno: format!("{:?}", self.errno), message: self.message.clone() }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Performs `step`; what it brings back is its output.
pub(crate) fn perform(step: &Step) -> Result<Option<String>, StepError> {
    match step {
        Step::InsertModule { file, params } => insert_module(file, params).map(|()| None),
        Step::RemoveModule { name, patience } => {
            remove_module(name, Duration::from_millis(*patience)).map(|()| None)
        }
        Step::Network { interface, address, prefix, gateway } => {
            network::configure(interface, *address, *prefix, *gateway).map(|()| None)
        }
        Step::MountCifs { source, options, target } => mount_cifs(source, options, target).map(|()| None),
        Step::Unmount { target } => {
            umount(target.as_str()).map(|()| None).map_err(|errno| StepError::new(errno, target))
        }
        Step::Run { program, args } => program::run(program, args).map(Some),
        Step::WriteFile { path, content } => done(path, fs::write(path, content)),
        Step::ReadFile { path } => told(path, read_file(path)),
        Step::ListDirectory { path } => told(path, list_directory(path)),
        Step::MakePipe { path } => done(path, files::make_pipe(path)),
        Step::Stat { path } => told(path, files::kind(path)),
        Step::RemoveFile { path } => done(path, fs::remove_file(path)),
        Step::ReadLink { path } => told(path, files::read_link(path)),
        Step::ReadAttribute { path, name } => told(path, files::read_attribute(path, name)),
        Step::CopyFile { from, to } => done(to, files::copy(from, to)),
        Step::FindHole { path } => told(path, files::find_hole(path)),
        Step::AskRanges { path } => told(path, files::ask_ranges(path)),
        Step::PunchHole { path } => done(path, files::punch_hole(path)),
        Step::StatFileSystem { path } => done(path, files::stat_file_system(path)),
        Step::Watch { path } => told(path, notifications::watch(path)),
        Step::BreakLease { path, other } => notifications::break_lease(path, other).map(|()| None),
        Step::LayOut { directory, listed } => done(directory, workload::lay_out(directory, *listed)),
        Step::Digest { path } => told(path, workload::digest(path)),
        Step::Work(work) => workload::perform(work).map(Some),
        Step::OpenFiles { directory, count } => told(directory, processor::open_files(directory, *count)),
        Step::Settle { millis } => {
            thread::sleep(Duration::from_millis(*millis));
            Ok(None)
        }
        // The marker is the line that is written before every step.
        Step::Marker { .. } => Ok(None),
    }
}

fn told(path: &str, result: io::Result<String>) -> Result<Option<String>, StepError> {
    result.map(Some).map_err(|error| StepError::io(&error, path))
}

fn done(path: &str, result: io::Result<()>) -> Result<Option<String>, StepError> {
    result.map(|()| None).map_err(|error| StepError::io(&error, path))
}

/// Inserts a module file of the initramfs.
pub(crate) fn insert_module(file: &str, params: &str) -> Result<(), StepError> {
    let path = Path::new(MODULES).join(file);
    let mut module = File::open(&path).map_err(|error| StepError::io(&error, file))?;
    let flags = how(&mut module).map_err(|error| StepError::io(&error, file))?;
    let params = CString::new(params).map_err(|_| StepError::new(Errno::EINVAL, file))?;
    finit_module(&module, &params, flags).map_err(|errno| StepError::new(errno, file))
}

/// What is no ELF file is compressed, and the kernel is told so, to undo it itself (`MODULE_INIT_COMPRESSED_FILE` in
/// finit_module(2)).
fn how(module: &mut File) -> io::Result<ModuleInitFlags> {
    const COMPRESSED: ModuleInitFlags = ModuleInitFlags::from_bits_retain(4);
    let mut magic = [0; 4];
    module.read_exact(&mut magic)?;
    module.rewind()?;
    Ok(if magic == *b"\x7fELF" { ModuleInitFlags::empty() } else { COMPRESSED })
}

/// Removes a module, once it is no longer in use; a refusal says who uses it.
fn remove_module(name: &str, patience: Duration) -> Result<(), StepError> {
    let c_name = CString::new(name).map_err(|_| StepError::new(Errno::EINVAL, name))?;
    let started = Instant::now();
    loop {
        match delete_module(&c_name, DeleteModuleFlags::O_NONBLOCK) {
            Ok(()) => return Ok(()),
            Err(Errno::EAGAIN) if started.elapsed() < patience => thread::sleep(Duration::from_millis(20)),
            Err(errno) => {
                let mut error = StepError::new(errno, name);
                error.message.push_str(&users(name));
                return Err(error);
            }
        }
    }
}

/// Who keeps a module, for a message.
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

fn mount_cifs(source: &str, options: &str, target: &str) -> Result<(), StepError> {
    fs::create_dir_all(target).map_err(|error| StepError::io(&error, target))?;
    mount(Some(source), target, Some("cifs"), MsFlags::empty(), Some(options))
        .map_err(|errno| StepError::new(errno, source))
}

fn read_file(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(OUTPUT_LIMIT as u64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn list_directory(path: &str) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names.join("\n"))
}
