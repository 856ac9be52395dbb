// SPDX-License-Identifier: GPL-2.0
//! Performs the steps that every init has.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use vm_protocol::{GuestStep, OUTPUT_LIMIT};

use crate::recorder::Recorder;
use crate::step_error::{GuestStepResult, StepError};
use crate::{module, network, program};

/// What the kernel lists its symbols in.
const SYMBOLS: &str = "/proc/kallsyms";

/// Performs `step`; `extra` does so with a step that only this init has.
pub(crate) fn perform<X>(
    step: &GuestStep<X>,
    recorder: &mut Recorder,
    extra: impl Fn(&X) -> GuestStepResult,
) -> GuestStepResult {
    match step {
        GuestStep::InsertModule { file, params } => module::insert(file, params).map(|()| None),
        GuestStep::RemoveModule { name, patience } => {
            module::remove(name, Duration::from_millis(*patience)).map(|()| None)
        }
        GuestStep::Network { interface, address, prefix, gateway } => {
            network::configure(interface, *address, *prefix, *gateway).map(|()| None)
        }
        GuestStep::Mount { file_system, source, target, options } => {
            // A file can be mounted over, too.
            if !Path::new(target).exists() {
                done(target, fs::create_dir_all(target))?;
            }
            done(source, mount_at(file_system, source, target, options))
        }
        GuestStep::Unmount { target } => {
            done(target, unmount(target.as_str(), UnmountFlags::empty()).map_err(Into::into))
        }
        GuestStep::Run { program, args } => program::run(program, args, recorder).map(Some),
        GuestStep::Talk(talk) => program::talk(talk).map(|()| None),
        GuestStep::WriteFile { path, content } => done(path, fs::write(path, content)),
        GuestStep::ReadSymbols => told(SYMBOLS, kernel_symbols()),
        GuestStep::ReadFile { path } => told(path, read_file(path)),
        GuestStep::ListDirectory { path } => told(path, list_directory(path)),
        GuestStep::Stat { path } => told(path, kind(path)),
        GuestStep::RemoveFile { path } => done(path, fs::remove_file(path)),
        GuestStep::ReadLink { path } => told(path, read_link(path)),
        GuestStep::Settle { millis } => {
            thread::sleep(Duration::from_millis(*millis));
            Ok(None)
        }
        // The marker is the line that is written before every step.
        GuestStep::Marker { .. } => Ok(None),
        GuestStep::StartCoverage => recorder.start(),
        GuestStep::ReadCoverage => recorder.read(),
        GuestStep::Extra(step) => extra(step),
    }
}

fn told(path: &str, result: io::Result<String>) -> GuestStepResult {
    result.map(Some).map_err(|error| StepError::of(path, error))
}

fn done(path: &str, result: io::Result<()>) -> GuestStepResult {
    result.map(|()| None).map_err(|error| StepError::of(path, error))
}

fn mount_at(file_system: &str, source: &str, target: &str, options: &str) -> io::Result<()> {
    if options == "bind" {
        return Ok(mount_bind(source, target)?);
    }
    let options = CString::new(options)?;
    Ok(mount(source, target, file_system, MountFlags::empty(), options.as_c_str())?)
}

fn read_file(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(OUTPUT_LIMIT as u64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Addresses and names of the kernel's own functions, as it lists them.
fn kernel_symbols() -> io::Result<String> {
    let all = fs::read_to_string(SYMBOLS)?;
    let own = all.lines().filter(|line| !line.contains('\t'));
    let mut kept = String::new();
    for line in own {
        let mut words = line.split(' ');
        if let (Some(address), Some("t" | "T" | "w" | "W"), Some(name)) =
            (words.next(), words.next(), words.next())
        {
            kept.extend([address, " ", name, "\n"]);
        }
    }
    Ok(kept)
}

fn list_directory(path: &str) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names.join("\n"))
}

fn kind(path: &str) -> io::Result<String> {
    let kind = fs::symlink_metadata(path)?.file_type();
    let names = [
        (kind.is_file(), "file"),
        (kind.is_dir(), "directory"),
        (kind.is_symlink(), "link"),
        (kind.is_fifo(), "pipe"),
    ];
    Ok(names.into_iter().find_map(|(is, name)| is.then_some(name)).unwrap_or("other").to_owned())
}

fn read_link(path: &str) -> io::Result<String> {
    Ok(fs::read_link(path)?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(step: GuestStep) -> GuestStepResult {
        perform(&step, &mut Recorder::default(), |never| match *never {})
    }

    #[test]
    fn files_are_written_read_listed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let written = output(GuestStep::WriteFile { path: path("b"), content: "text".to_owned() });
        assert_eq!(written, Ok(None));
        std::os::unix::fs::symlink("b", dir.path().join("a")).unwrap();
        assert_eq!(output(GuestStep::ReadFile { path: path("a") }), Ok(Some("text".to_owned())));
        assert_eq!(output(GuestStep::ReadLink { path: path("a") }), Ok(Some("b".to_owned())));
        assert_eq!(output(GuestStep::ListDirectory { path: path("") }), Ok(Some("a\nb".to_owned())));
        for (name, kind) in [("a", "link"), ("b", "file"), ("", "directory")] {
            assert_eq!(output(GuestStep::Stat { path: path(name) }), Ok(Some(kind.to_owned())), "{name}");
        }
        assert_eq!(output(GuestStep::RemoveFile { path: path("b") }), Ok(None));
        let absent =
            StepError::new(vm_protocol::Errno::ENOENT, format!("{}: No such file or directory", path("b")));
        assert_eq!(output(GuestStep::RemoveFile { path: path("b") }), Err(absent));
    }

    #[test]
    fn what_is_read_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long").to_str().unwrap().to_owned();
        fs::write(&path, vec![b'x'; OUTPUT_LIMIT + 1]).unwrap();
        assert_eq!(output(GuestStep::ReadFile { path }).unwrap().unwrap().len(), OUTPUT_LIMIT);
    }

    #[test]
    fn extra_steps_are_handed_on() {
        let step = GuestStep::Extra("mine");
        let performed =
            perform(&step, &mut Recorder::default(), |extra: &&str| Ok(Some((*extra).to_owned())));
        assert_eq!(performed, Ok(Some("mine".to_owned())));
    }
}
