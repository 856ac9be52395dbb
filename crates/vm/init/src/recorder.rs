// SPDX-License-Identifier: GPL-2.0
//! Collects what the steps of a plan reach in instrumented modules.
//!
//! What is recorded are addresses. After each step they are led back to modules, by where the
//! sections of these are: before a step none of a module is known that the step inserts, and after
//! it none of one that it removes.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use vm_protocol::{GuestStep, ReachedPlaces};

use crate::recording::{DEVICE, Recording};
use crate::step_error::{GuestStepResult, StepError};

/// What has been reached so far; nothing is recorded until a step says so.
#[derive(Default)]
pub(crate) struct Recorder {
    recordings: Option<Recordings>,
    reached: ReachedPlaces,
    modules: Modules,
}

/// One for the init, which inserts and removes modules itself, and one for the program that it
/// runs.
struct Recordings {
    init: Recording,
    program: Recording,
}

impl Recorder {
    /// Begins to record.
    pub(crate) fn start(&mut self) -> GuestStepResult {
        let begin = || -> io::Result<Recordings> {
            let recordings = Recordings { init: Recording::open()?, program: Recording::open()? };
            recordings.init.enable()?;
            Ok(recordings)
        };
        self.recordings = Some(begin().map_err(|error| StepError::of(DEVICE, error))?);
        Ok(None)
    }

    /// Has a program record what it reaches, if anything is recorded.
    pub(crate) fn follow(&self, command: &mut Command) -> io::Result<()> {
        self.recordings.as_ref().map_or(Ok(()), |recordings| recordings.program.follow(command))
    }

    /// Takes what a step has reached out of the kernel's buffers.
    pub(crate) fn after<X: fmt::Display>(&mut self, step: &GuestStep<X>) {
        let Some(recordings) = &self.recordings else { return };
        let mut hits: BTreeMap<u64, u64> = BTreeMap::new();
        let mut count = |address| *hits.entry(address).or_default() += 1;
        let whole = [&recordings.init, &recordings.program].map(|recording| recording.empty(&mut count));
        if whole.contains(&false) {
            self.reached.overflowed.push(step.to_string());
        }
        let loaded = loaded();
        self.modules.add(&loaded);
        for (address, count) in hits {
            self.assign(address, count);
        }
        self.modules.leave(&loaded);
    }

    fn assign(&mut self, address: u64, count: u64) {
        let Some((module, section, offset)) = self.modules.place_of(address) else {
            self.reached.elsewhere += 1;
            return;
        };
        let sections = self.reached.modules.entry(module.to_owned()).or_default();
        *sections.entry(section.to_owned()).or_default().entry(offset).or_default() += count;
    }

    /// What was reached, as JSON.
    pub(crate) fn read(&self) -> GuestStepResult {
        let text = serde_json::to_string(&self.reached);
        text.map(Some).map_err(|error| StepError::of(DEVICE, io::Error::other(error)))
    }
}

/// Where the sections of modules begin, by the modules' names.
#[derive(Default)]
struct Modules(BTreeMap<String, Vec<(u64, String)>>);

impl Modules {
    /// Learns where those are that are new.
    fn add(&mut self, loaded: &[String]) {
        for name in loaded {
            self.0.entry(name.clone()).or_insert_with(|| sections_of(name));
        }
    }

    /// Forgets those that are gone. Of the others the memory of `__init` code was given back, and
    /// may be another module's soon.
    fn leave(&mut self, loaded: &[String]) {
        self.0.retain(|name, _| loaded.contains(name));
        for sections in self.0.values_mut() {
            sections.retain(|(_, section)| !section.starts_with(".init"));
        }
    }

    /// The module, the section and the offset of an address: of the sections that begin before it
    /// the last one. How long they are, the kernel does not say.
    fn place_of(&self, address: u64) -> Option<(&str, &str, u64)> {
        let all = self.0.iter().flat_map(|(module, sections)| {
            sections.iter().map(move |(start, section)| (*start, module.as_str(), section.as_str()))
        });
        let (start, module, section) = all.filter(|(start, ..)| *start <= address).max()?;
        Some((module, section, address - start))
    }
}

/// The names of the modules that are in.
fn loaded() -> Vec<String> {
    let text = fs::read_to_string("/proc/modules").unwrap_or_default();
    text.lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

/// Where the sections of a module begin, as the kernel lists them; none if it is not in.
fn sections_of(module: &str) -> Vec<(u64, String)> {
    let dir = Path::new("/sys/module").join(module).join("sections");
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let section = |entry: fs::DirEntry| {
        let start = address(&fs::read_to_string(entry.path()).ok()?)?;
        Some((start, entry.file_name().to_string_lossy().into_owned()))
    };
    entries.filter_map(section).collect()
}

/// `0xffffffffc0000000`; zeros are shown to who may not know.
fn address(text: &str) -> Option<u64> {
    let number = u64::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()?;
    (number != 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        for (text, expected) in [
            ("0xffffffffc0201000\n", Some(0xffff_ffff_c020_1000)),
            ("0x0000000000000000\n", None),
            ("ffff\n", None),
            ("", None),
        ] {
            assert_eq!(address(text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_address_belongs_to_the_section_that_begins_before_it() {
        let of = |all: &[(u64, &str)]| {
            all.iter().map(|(start, name)| (*start, (*name).to_owned())).collect::<Vec<_>>()
        };
        let mut modules = Modules(BTreeMap::from([
            ("a".to_owned(), of(&[(0x1000, ".text"), (0x3000, ".init.text"), (0x1800, ".exit.text")])),
            ("b".to_owned(), of(&[(0x2000, ".text")])),
        ]));
        for (address, expected) in [
            (0x1004, Some(("a", ".text", 4))),
            (0x1810, Some(("a", ".exit.text", 0x10))),
            (0x2000, Some(("b", ".text", 0))),
            (0x3020, Some(("a", ".init.text", 0x20))),
            (0xfff, None),
        ] {
            assert_eq!(modules.place_of(address), expected, "{address:#x}");
        }
        // Once its init has run, and once it is gone.
        modules.leave(&["a".to_owned(), "b".to_owned()]);
        assert_eq!(modules.place_of(0x3020), Some(("b", ".text", 0x1020)));
        modules.leave(&["a".to_owned()]);
        assert_eq!(modules.place_of(0x2000), Some(("a", ".exit.text", 0x800)));
    }
}
