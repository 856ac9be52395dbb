// SPDX-License-Identifier: GPL-2.0
//! What gdb(1) is told of a machine: where it listens, and where its kernel and its modules are.

use std::fmt::Write as _;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use report::durable;
use vm_protocol::{Event, Expect, ExtraStep, GuestPlan, GuestStep};

use crate::payload::Payload;
use crate::session::Session;
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

/// What is known before the machine runs.
#[derive(Debug)]
pub struct Debugged {
    /// What it is.
    pub architecture: Architecture,
    /// The kernel with its debug information, if that is here.
    pub kernel: Option<Utf8PathBuf>,
    /// The kernel's source.
    pub source: Utf8PathBuf,
    /// The modules.
    pub modules: Vec<DebuggedModule>,
}

/// What a script for gdb is made of, while the machine runs.
#[derive(Debug)]
pub struct Debugger<'a> {
    debugged: &'a Debugged,
    /// Where the files for gdb go.
    dir: &'a Utf8Path,
    /// Has the socket that the machine listens at.
    session: Session,
    symbols: Option<String>,
    /// Of each module, by name: section and address.
    sections: Vec<(String, String, String)>,
}

impl<'a> Debugger<'a> {
    /// What gdb reads goes into `dir`.
    ///
    /// # Errors
    ///
    /// If there can be no socket.
    pub fn new(debugged: &'a Debugged, dir: &'a Utf8Path) -> Result<Self> {
        let session = Session::begin()?;
        Ok(Self { debugged, dir, session, symbols: None, sections: Vec::new() })
    }

    /// Where the machine is to listen.
    pub fn socket(&self) -> Utf8PathBuf {
        self.session.path("gdb")
    }

    /// Adds the steps that find out where all is, once the modules are in.
    pub fn ask<X: ExtraStep>(payload: &mut Payload<X>, debugged: &Debugged) {
        if debugged.kernel.is_none() {
            payload.expect(GuestStep::ReadSymbols, Expect::Any);
        }
        for DebuggedModule { name, .. } in &debugged.modules {
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
                for DebuggedModule { name, .. } in &self.debugged.modules {
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
        let mut text = String::from("set confirm off\nset pagination off\n");
        if let Some(kernel) = self.kernel()? {
            writeln!(text, "symbol-file {kernel}\ndirectory {}", self.debugged.source)?;
        }
        for DebuggedModule { name, file } in &self.debugged.modules {
            let places = self.sections.iter().filter(|(module, ..)| module == name);
            let places: String =
                places.map(|(_, section, address)| format!(" -s {section} {address}")).collect();
            if !places.is_empty() {
                writeln!(text, "add-symbol-file {file}{places}")?;
            }
        }
        writeln!(text, "target remote {}", self.socket())?;
        durable::replace(&script, text.as_bytes())?;
        Ok(format!("gdb -x {script}"))
    }
}

impl Debugger<'_> {
    /// The file with the kernel's functions: that with its debug information, or one of what the
    /// guest listed.
    fn kernel(&self) -> Result<Option<Utf8PathBuf>> {
        if let Some(kernel) = &self.debugged.kernel {
            return Ok(Some(kernel.clone()));
        }
        let Some(lines) = &self.symbols else { return Ok(None) };
        let Some(symbols) = symbol_file::of(self.debugged.architecture, lines) else { return Ok(None) };
        let file = self.dir.join("kernel-symbols");
        durable::replace(&file, &symbols)?;
        Ok(Some(file))
    }
}

/// The file in which the kernel says where a section of a module is.
fn path(module: &str, section: &str) -> String {
    format!("/sys/module/{module}/sections/{section}")
}
