// SPDX-License-Identifier: GPL-2.0
//! What gdb(1) is told of a machine: where it listens, and where its kernel and its modules are.

use std::fmt::Write as _;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use report::durable;
use vm_protocol::{Event, Expect, ExtraStep, GuestPlan, GuestStep};

use crate::payload::Payload;
use crate::symbol_file;
use kmodfile::architecture::Architecture;

/// The kernel is where its file says: the debugger could not know where else.
pub const PARAMETERS: &[&str] = &["nokaslr"];

/// Sections of a module that a debugger wants to know the places of; not every module has each.
const SECTIONS: &[&str] = &[".text", ".init.text", ".exit.text", ".rodata", ".data", ".bss"];

/// A module, and the file that has its debug information.
#[derive(Clone, Debug)]
pub struct DebuggedModule {
    /// Its name, as the kernel lists it.
    pub name: String,
    /// The file.
    pub file: Utf8PathBuf,
}

/// What a script for gdb is made of, while the machine runs.
#[derive(Debug)]
pub struct Debugger<'a> {
    architecture: Architecture,
    /// Where the files for gdb go.
    dir: &'a Utf8Path,
    /// Where the machine listens.
    socket: &'a Utf8Path,
    modules: &'a [DebuggedModule],
    symbols: Option<String>,
    /// Of each module, by name: section and address.
    sections: Vec<(String, String, String)>,
}

impl<'a> Debugger<'a> {
    /// For a machine that listens at `socket`; what gdb reads goes into `dir`.
    pub fn new(
        architecture: Architecture,
        dir: &'a Utf8Path,
        socket: &'a Utf8Path,
        modules: &'a [DebuggedModule],
    ) -> Self {
        Self { architecture, dir, socket, modules, symbols: None, sections: Vec::new() }
    }

    /// Adds the steps that find out where all is, once the modules are in.
    pub fn ask<X: ExtraStep>(payload: &mut Payload<X>, modules: &[DebuggedModule]) {
        payload.expect(GuestStep::ReadSymbols, Expect::Any);
        for DebuggedModule { name, .. } in modules {
            for section in SECTIONS {
                payload.expect(GuestStep::ReadFile { path: path(name, section) }, Expect::Any);
            }
        }
    }

    /// Takes what a step brought back.
    pub fn hear<X>(&mut self, plan: &GuestPlan<X>, event: &Event) {
        let Event::StepEnded { index, output: Some(output), .. } = event else { return };
        match plan.steps.get(*index).map(|planned| &planned.step) {
            Some(GuestStep::ReadSymbols) => self.symbols = Some(output.clone()),
            Some(GuestStep::ReadFile { path: read }) => {
                for DebuggedModule { name, .. } in self.modules {
                    if let Some(section) = SECTIONS.iter().find(|section| path(name, section) == *read) {
                        let address = output.trim().to_owned();
                        self.sections.push((name.clone(), (*section).to_owned(), address));
                    }
                }
            }
            _ => {}
        }
    }

    /// Writes the script, and gives the command that attaches.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn write(&self) -> Result<String> {
        let script = self.dir.join("gdb");
        let symbols = self.symbols.as_deref().and_then(|lines| symbol_file::of(self.architecture, lines));
        let kernel = self.dir.join("kernel-symbols");
        let mut text = String::from("set confirm off\nset pagination off\n");
        if let Some(file) = symbols {
            durable::replace(&kernel, &file)?;
            writeln!(text, "symbol-file {kernel}")?;
        }
        for DebuggedModule { name, file } in self.modules {
            let places = self.sections.iter().filter(|(module, ..)| module == name);
            let places: String =
                places.map(|(_, section, address)| format!(" -s {section} {address}")).collect();
            if !places.is_empty() {
                writeln!(text, "add-symbol-file {file}{places}")?;
            }
        }
        writeln!(text, "target remote {}", self.socket)?;
        durable::replace(&script, text.as_bytes())?;
        Ok(format!("gdb -x {script}"))
    }
}

/// The file in which the kernel says where a section of a module is.
fn path(module: &str, section: &str) -> String {
    format!("/sys/module/{module}/sections/{section}")
}
