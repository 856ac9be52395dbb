// SPDX-License-Identifier: GPL-2.0
//! Leads the frames of a trace back to the source, by the debug information of the modules that
//! were built, and by the kernel's own where it is.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use kernel::context::Context;
use kernel::prepare::Prepared;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};
use project::build::Object;
use serde::Serialize;

use crate::kernel_frames;
use crate::source_place::{SourcePlace, ask, line_of};
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
    /// frame that is neither in a module of the project nor, where its debug information is, in the
    /// kernel.
    pub places: Vec<SourcePlace>,
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

    /// The trace, its frames in `objects` led back to the source, and those of the kernel where its
    /// debug information is.
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
                asked.entry(section.to_owned()).or_default().push((index, address + frame.within()));
            }
            for (section, addresses) in asked {
                let within = ["--section", section.as_str()];
                let places = ask(context, prepared, debug, &within, &addresses)?;
                for ((index, _), places) in addresses.iter().zip(places) {
                    decoded.frames[*index].places =
                        places.into_iter().map(|place| shown(place, object, prepared)).collect();
                }
            }
        }
        // What is known of the modules is shown all the same.
        let own = kernel_frames::places(context, prepared, trace).unwrap_or_else(|error| {
            let reason = format!("the kernel's own frames are not led back to the source: {error:#}");
            context.report.warn(&reason);
            Vec::new()
        });
        own.into_iter().for_each(|(index, places)| decoded.frames[index].places = places);
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

/// With what stands there, and a path that says something to the user.
fn shown(mut place: SourcePlace, object: &Object, prepared: &Prepared) -> SourcePlace {
    let stage = object.unstripped.parent().unwrap_or(Utf8Path::new("/"));
    let (staged, source) = (stage.join(&place.file), prepared.kdir.source().join(&place.file));
    let text = [&staged, &source].into_iter().find_map(|file| fs_err::read_to_string(file).ok());
    place.text = text.and_then(|text| line_of(&text, place.line));
    let kdir = &prepared.kdir;
    for above in [stage, &kdir.source(), &kdir.place().join("source")] {
        if let Ok(below) = place.file.strip_prefix(above) {
            place.file = below.to_owned();
        }
    }
    place
}
