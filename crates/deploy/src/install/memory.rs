// SPDX-License-Identifier: GPL-2.0
//! Modules in the memory of the running kernel: which build is loaded, and how it is replaced.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use serde::Serialize;

use crate::install::module::Identity;
use crate::install::system::TargetSystem;
use kernel::context::Context;
use kernel::root::host;
use kmodfile::release::Release;
use report::failure::{Exit, Failure};
use report::process::Cmd;

/// The module in memory compared with the file that modprobe would load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memory {
    /// The release is not the running one.
    NotRunning,
    /// It is not loaded.
    NotLoaded,
    /// It was loaded from that file, or from the same build.
    Same,
    /// Another build is loaded.
    Other,
    /// There is nothing to identify the builds by.
    Unknown,
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::NotRunning => "-",
            Self::NotLoaded => "not loaded",
            Self::Same => "loaded",
            Self::Other => "another build is loaded",
            Self::Unknown => "loaded, build unknown",
        })
    }
}

/// Compares with what the kernel shows in /sys/module.
pub fn compared(system: &TargetSystem, release: &Release, name: &str, identity: Option<&Identity>) -> Memory {
    if !runs(system, release) {
        return Memory::NotRunning;
    }
    if !is_loaded(name) {
        return Memory::NotLoaded;
    }
    identity.map_or(Memory::Other, |identity| of_loaded(identity, name))
}

/// The same for a module that is loaded.
fn of_loaded(identity: &Identity, name: &str) -> Memory {
    let dir = sysfs(name);
    let srcversion = fs_err::read_to_string(dir.join("srcversion")).ok().map(|text| text.trim().to_owned());
    let build_id =
        fs_err::read(dir.join("notes/.note.gnu.build-id")).ok().and_then(|note| build_id_of(&note));
    compare(identity, srcversion.as_deref(), build_id.as_deref())
}

/// The build ID distinguishes builds; the source version only sources.
fn compare(file: &Identity, srcversion: Option<&str>, build_id: Option<&str>) -> Memory {
    let same = |a: Option<&str>, b: Option<&str>| a.zip(b).map(|(a, b)| a == b);
    match same(file.build_id.as_deref(), build_id).or(same(file.srcversion.as_deref(), srcversion)) {
        Some(true) => Memory::Same,
        Some(false) => Memory::Other,
        None => Memory::Unknown,
    }
}

/// The build ID in an ELF note: three words of four bytes (sizes of name and contents, type), the
/// name `GNU`, the contents.
fn build_id_of(note: &[u8]) -> Option<String> {
    let word = |at: usize| Some(u32::from_le_bytes(note.get(at..at + 4)?.try_into().ok()?) as usize);
    let (name, size) = (word(0)?, word(4)?);
    let start = 12usize.checked_add(name.checked_next_multiple_of(4)?)?;
    let id = note.get(start..start.checked_add(size)?)?;
    Some(id.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether the system is the running one, and so is the release.
fn runs(system: &TargetSystem, release: &Release) -> bool {
    let running = fs_err::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    system.is_host() && running.trim() == release.as_str()
}

/// The directory in which the kernel shows a module.
fn sysfs(name: &str) -> Utf8PathBuf {
    Utf8PathBuf::from("/sys/module").join(name)
}

/// Whether a module is in memory. One that is built in has a directory, too, but no state.
fn is_loaded(name: &str) -> bool {
    sysfs(name).join("initstate").exists()
}

/// Those of `names` that are in memory, in the same order.
///
/// # Errors
///
/// Usage, if the release is not the running one.
pub fn loaded(system: &TargetSystem, release: &Release, names: &[&str]) -> Result<Vec<String>> {
    if !runs(system, release) {
        return Err(Failure::usage(
            "--reload",
            format!("kernel {release} of {} is not the running kernel", system.root()),
        )
        .remedy("leave out --reload: the modules are loaded when that kernel boots")
        .into());
    }
    Ok(names.iter().filter(|name| is_loaded(name)).map(|name| (*name).to_owned()).collect())
}

/// Unloads the modules in reverse order, and loads those that modprobe finds now, which must be
/// `new`.
///
/// # Errors
///
/// A module is in use, or does not load. The caller then has to [`withdraw`] what was loaded,
/// restore the files, and [`put_back`] what was in memory.
pub fn reload(context: &Context, names: &[String], new: &BTreeMap<String, Identity>) -> Result<()> {
    let step = context.report.step("Reloading", &names.join(", "));
    unload(context, names)?;
    load(context, names, new)?;
    step.done("Reloaded", &names.join(", "));
    Ok(())
}

/// Unloads those of `names` that are in memory as `new`.
pub fn withdraw(context: &Context, names: &[String], new: &BTreeMap<String, Identity>) -> Result<()> {
    let is_new = |name: &&String| {
        is_loaded(name) && new.get(*name).is_some_and(|new| of_loaded(new, name) == Memory::Same)
    };
    names.iter().rev().filter(is_new).try_for_each(|name| modprobe(context, &["--remove", name]))
}

fn unload(context: &Context, names: &[String]) -> Result<()> {
    for name in names.iter().rev().filter(|name| is_loaded(name)) {
        modprobe(context, &["--remove", name]).with_context(|| {
            Failure::refused(format!("module {name}"), "cannot be unloaded, so nothing was changed")
                .remedy("stop what uses it (see lsmod), or leave out --reload and reboot")
        })?;
        if is_loaded(name) {
            let reason = "is still loaded although modprobe reported success, so nothing was changed";
            return Err(Failure::refused(format!("module {name}"), reason).into());
        }
    }
    Ok(())
}

fn load(context: &Context, names: &[String], new: &BTreeMap<String, Identity>) -> Result<()> {
    for name in names {
        modprobe(context, &[name]).with_context(|| {
            Failure::new(
                Exit::ModuleRefused,
                format!("module {name}"),
                "does not load, so nothing was changed",
            )
            .remedy("see the kernel's messages: dmesg")
        })?;
        if !is_loaded(name) {
            let reason = "is not loaded although modprobe reported success, so nothing was changed";
            return Err(Failure::new(Exit::ModuleRefused, format!("module {name}"), reason)
                .remedy("see the kernel's messages: dmesg")
                .into());
        }
        if of_loaded(&new[name], name) == Memory::Other {
            let reason = "was loaded, but another build of it is in memory";
            return Err(Failure::refused(format!("module {name}"), reason).into());
        }
    }
    Ok(())
}

/// Loads the modules again that a reload has left unloaded, from the files that are installed now.
pub fn put_back(context: &Context, names: &[String]) -> Result<()> {
    names.iter().filter(|name| !is_loaded(name)).try_for_each(|name| modprobe(context, &[name]))
}

fn modprobe(context: &Context, args: &[&str]) -> Result<()> {
    host::inside(Cmd::new("modprobe").args(args)).run(&context.report).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_identified_by_its_build_id_before_its_sources() {
        let identity = |srcversion: &str, build_id: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Identity { version: None, srcversion: some(srcversion), build_id: some(build_id) }
        };
        assert_eq!(compare(&identity("A", "01"), Some("A"), Some("02")), Memory::Other);
        assert_eq!(compare(&identity("A", ""), Some("A"), Some("02")), Memory::Same);
        assert_eq!(compare(&identity("", ""), Some("A"), None), Memory::Unknown);
    }

    #[test]
    fn a_note_is_read_and_a_short_one_is_not() {
        let note = b"\x04\0\0\0\x02\0\0\0\x03\0\0\0GNU\0\xab\x01";
        assert_eq!(build_id_of(note).as_deref(), Some("ab01"));
        for end in 0..note.len() {
            assert_eq!(build_id_of(&note[..end]), None);
        }
        assert_eq!(build_id_of(&[0xff; 64]), None);
    }
}
