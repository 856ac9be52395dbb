// SPDX-License-Identifier: GPL-2.0
//! Leads the frames of a trace back to the source: addr2line(1), which the compilers' build root
//! has, reads the debug information of the modules that were built.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use kernel::context::Context;
use kernel::prepare::Prepared;
use kernel::root::Access;
use kernel::toolchain::Toolchain;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};
use project::build::Object;
use report::process::Cmd;
use serde::Serialize;

use crate::symbol_name::{demangled, readable};
use crate::trace::{Frame, Trace};

/// A trace whose frames in the project's modules have their places in the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DecodedTrace {
    /// The line that began it.
    pub headline: String,
    /// The frames, from where it happened outwards.
    pub frames: Vec<DecodedFrame>,
}

/// A frame, and where in the source it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DecodedFrame {
    /// The frame, its function by the name that the source has for it.
    #[serde(flatten)]
    pub frame: Frame,
    /// The places, the innermost first: more than one where functions were inlined. None for a
    /// frame that is not in a module of the project.
    pub places: Vec<SourcePlace>,
}

/// A line of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourcePlace {
    /// The function that it is in.
    pub function: String,
    /// The file; of the project's own, its path in the project.
    pub file: Utf8PathBuf,
    /// The line's number.
    pub line: u32,
    /// What stands there, if the file can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl DecodedTrace {
    /// The trace as the kernel printed it, with names that people read.
    pub fn undecoded(trace: Trace) -> Self {
        let frames = trace.frames.into_iter().map(|frame| DecodedFrame {
            frame: Frame { function: demangled(&frame.function), ..frame },
            places: Vec::new(),
        });
        Self { headline: readable(&trace.headline), frames: frames.collect() }
    }

    /// The trace, its frames in `objects` led back to the source.
    ///
    /// # Errors
    ///
    /// If debug information cannot be read.
    pub fn of(context: &Context, prepared: &Prepared, objects: &[Object], trace: &Trace) -> Result<Self> {
        let mut decoded = Self::undecoded(trace.clone());
        for object in objects {
            let Some(debug) = &object.debug else { continue };
            let name = object.name.replace('-', "_");
            let symbols = Symbols::read(debug)?;
            let in_module =
                trace.frames.iter().enumerate().filter(|(_, frame)| frame.module.as_ref() == Some(&name));
            let mut asked: BTreeMap<String, Vec<(usize, u64)>> = BTreeMap::new();
            for (index, frame) in in_module {
                let Some((section, address)) = symbols.address(&frame.function) else { continue };
                // What a call returns to is the next line already.
                let offset = if frame.exact { frame.offset } else { frame.offset.saturating_sub(1) };
                asked.entry(section.to_owned()).or_default().push((index, address + offset));
            }
            for (section, addresses) in asked {
                let places = ask(context, prepared, debug, &section, &addresses)?;
                for ((index, _), places) in addresses.iter().zip(places) {
                    decoded.frames[*index].places =
                        places.into_iter().map(|place| shown(place, object, prepared)).collect();
                }
            }
        }
        Ok(decoded)
    }
}

/// The functions of a module: in a file that is not linked, each section begins at 0.
struct Symbols(BTreeMap<String, (String, u64)>);

impl Symbols {
    fn read(file: &Utf8Path) -> Result<Self> {
        let bytes = fs_err::read(file)?;
        let elf = object::File::parse(bytes.as_slice()).with_context(|| format!("reading {file}"))?;
        let mut symbols = BTreeMap::new();
        for symbol in elf.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
            let section = symbol.section_index().and_then(|index| elf.section_by_index(index).ok());
            if let (Ok(name), Some(section)) = (symbol.name(), section) {
                symbols.insert(name.to_owned(), (section.name()?.to_owned(), symbol.address()));
            }
        }
        Ok(Self(symbols))
    }

    fn address(&self, function: &str) -> Option<(&str, u64)> {
        self.0.get(function).map(|(section, address)| (section.as_str(), *address))
    }
}

/// What addr2line says of addresses in one section of a file, for each.
fn ask(
    context: &Context,
    prepared: &Prepared,
    file: &Utf8Path,
    section: &str,
    addresses: &[(usize, u64)],
) -> Result<Vec<Vec<SourcePlace>>> {
    let program = Toolchain::of(&prepared.kdir.config()?).binutils("addr2line");
    let cmd = Cmd::new(program)
        .args(["--addresses", "--functions", "--inlines", "--section", section, "--exe", file.as_str()])
        .args(addresses.iter().map(|(_, address)| format!("{address:#x}")));
    let access = Access::default().read(file.parent().context("a file is in a directory")?);
    Ok(answers(&prepared.root.inside(context, cmd, &access).read(&context.report)?))
}

/// Reads addr2line's answers: a line with each address, then pairs of lines, a function and
/// `FILE:LINE`. What it does not know is `??`.
fn answers(text: &str) -> Vec<Vec<SourcePlace>> {
    let mut all = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("0x") {
            all.push(Vec::new());
            continue;
        }
        let Some((places, place)) = all.last_mut().zip(lines.next()) else { break };
        let place = place.split_once(" (discriminator").map_or(place, |(place, _)| place);
        let Some((file, line_number)) = place.rsplit_once(':') else { continue };
        if let Ok(number) = line_number.parse()
            && file != "??"
        {
            places.push(SourcePlace {
                function: demangled(line),
                file: file.into(),
                line: number,
                text: None,
            });
        }
    }
    all
}

/// With what stands there, and a path that says something to the user.
fn shown(mut place: SourcePlace, object: &Object, prepared: &Prepared) -> SourcePlace {
    let stage = object.unstripped.parent().unwrap_or(Utf8Path::new("/"));
    let (staged, source) = (stage.join(&place.file), prepared.kdir.source().join(&place.file));
    let text = [&staged, &source].into_iter().find_map(|file| fs_err::read_to_string(file).ok());
    let number = (place.line as usize).checked_sub(1);
    let line = number.and_then(|number| text.as_deref()?.lines().nth(number));
    place.text = line.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty());
    let kdir = &prepared.kdir;
    for above in [stage, &kdir.source(), &kdir.place().join("source")] {
        if let Ok(below) = place.file.strip_prefix(above) {
            place.file = below.to_owned();
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_with_what_was_inlined() {
        let text = "\
0x000000000000001b
helper
/s/build/x.h:7
x_init
/s/build/x.c:13 (discriminator 2)
0x0000000000000040
??
??:0
0x0000000000000050
_RNvXCs1_5helloNtB2_5HelloNtCs2_6kernel6Module4init
hello.rs:9
";
        let answers = answers(text);
        let shown: Vec<Vec<String>> = answers
            .iter()
            .map(|places| places.iter().map(|p| format!("{} {}:{}", p.function, p.file, p.line)).collect())
            .collect();
        let inlined = vec!["helper /s/build/x.h:7".to_owned(), "x_init /s/build/x.c:13".to_owned()];
        let rust = vec!["<hello::Hello as kernel::Module>::init hello.rs:9".to_owned()];
        assert_eq!(shown, [inlined, vec![], rust]);
    }
}
