// SPDX-License-Identifier: GPL-2.0
//! A module whose blocks call the kernel's recorder: what each records, and the lines of the source
//! that it is made of.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use object::{
    Architecture, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SectionIndex,
    SectionKind, SymbolKind,
};

use crate::coverage::debug_lines::{Code, DebugInformation, DebugLines, FunctionName};

/// What blocks call (kernel/kcov.c).
const RECORDER: &str = "__sanitizer_cov_trace_pc";

/// Code that runs as a whole, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The section that it is in.
    pub(crate) section: String,
    /// What it records: where in the section its call of the recorder returns to.
    pub(crate) records: u64,
    /// What it is made of.
    pub(crate) code: Code,
    /// The function that it is the beginning of, and the line that this begins in.
    pub(crate) begins: Option<(FunctionName, u32)>,
}

/// Reads the blocks of a module, which must still have its debug information.
pub(crate) fn blocks(file: &Utf8Path) -> Result<Vec<Block>> {
    let bytes = fs_err::read(file)?;
    let reading = || format!("reading which lines {file} is made of");
    let elf = object::File::parse(bytes.as_slice()).with_context(reading)?;
    let information = DebugInformation::read(&elf).with_context(reading)?;
    let lines = information.lines().with_context(reading)?;
    let mut all = Vec::new();
    for section in elf.sections().filter(|section| section.kind() == SectionKind::Text) {
        let spans = spans(&functions_in(&elf, section.index()), &calls_in(&elf, &section));
        for span in spans {
            all.push(block(&lines, &section, &span).with_context(reading)?);
        }
    }
    Ok(all)
}

fn block<'a>(lines: &DebugLines<'_>, section: &impl object::ObjectSection<'a>, span: &Span) -> Result<Block> {
    let (index, name) = (section.index(), section.name()?.to_owned());
    let begins = if span.begins_function { lines.function(index, span.begin)? } else { None };
    let code = lines.code(index, span.begin, span.end)?;
    Ok(Block { section: name, records: span.records, code, begins })
}

/// A call of the recorder, by offsets in its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RecorderCall {
    begins: u64,
    returns: u64,
}

impl RecorderCall {
    /// The call whose target is written at `offset`: on x86-64 after a byte that says what it is,
    /// elsewhere within the instruction's own four bytes.
    fn at(offset: u64, architecture: Architecture) -> Self {
        let before = u64::from(architecture == Architecture::X86_64);
        Self { begins: offset.saturating_sub(before), returns: offset + 4 }
    }
}

/// The calls in a section, in their order.
fn calls_in<'a>(elf: &object::File<'a>, section: &impl object::ObjectSection<'a>) -> Vec<RecorderCall> {
    let is_recorder = |target: RelocationTarget| match target {
        RelocationTarget::Symbol(index) => {
            elf.symbol_by_index(index).is_ok_and(|symbol| symbol.name() == Ok(RECORDER))
        }
        _ => false,
    };
    let calls = section.relocations().filter(|(_, relocation)| is_recorder(relocation.target()));
    let mut calls: Vec<_> = calls.map(|(offset, _)| RecorderCall::at(offset, elf.architecture())).collect();
    calls.sort_by_key(|call| call.begins);
    calls
}

/// Where the functions in a section begin and end, in their order.
fn functions_in(elf: &object::File<'_>, section: SectionIndex) -> Vec<(u64, u64)> {
    let of_section = elf.symbols().filter(|symbol| {
        symbol.kind() == SymbolKind::Text && symbol.size() > 0 && symbol.section_index() == Some(section)
    });
    // Some have several names.
    let spans: BTreeSet<(u64, u64)> =
        of_section.map(|symbol| (symbol.address(), symbol.address() + symbol.size())).collect();
    spans.into_iter().collect()
}

/// The code that a call of the recorder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    begin: u64,
    end: u64,
    records: u64,
    begins_function: bool,
}

/// What each call stands for: the code from there to the next call, as compilers put one at the
/// beginning of every block; the first of a function for what is before it, too.
fn spans(functions: &[(u64, u64)], calls: &[RecorderCall]) -> Vec<Span> {
    let mut all = Vec::new();
    for (begin, end) in functions {
        let own: Vec<_> = calls.iter().filter(|call| (*begin..*end).contains(&call.begins)).collect();
        for (number, call) in own.iter().enumerate() {
            let first = number == 0;
            all.push(Span {
                begin: if first { *begin } else { call.begins },
                end: own.get(number + 1).map_or(*end, |next| next.begins),
                records: call.returns,
                begins_function: first,
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(begins: u64) -> RecorderCall {
        RecorderCall { begins, returns: begins + 5 }
    }

    #[test]
    fn a_call_is_as_long_as_its_architecture_has_it() {
        assert_eq!(RecorderCall::at(5, Architecture::X86_64), RecorderCall { begins: 4, returns: 9 });
        assert_eq!(RecorderCall::at(8, Architecture::Aarch64), RecorderCall { begins: 8, returns: 12 });
    }

    #[test]
    fn a_call_stands_for_the_code_up_to_the_next_one() {
        let span = |begin, end, records, begins_function| Span { begin, end, records, begins_function };
        let functions = [(0x10, 0x40), (0x40, 0x50), (0x60, 0x80)];
        let calls = [call(0x14), call(0x20), call(0x64)];
        assert_eq!(
            spans(&functions, &calls),
            [
                span(0x10, 0x20, 0x19, true),
                span(0x20, 0x40, 0x25, false),
                // The second function is not instrumented, and stands for nothing.
                span(0x60, 0x80, 0x69, true),
            ]
        );
        assert_eq!(spans(&functions, &[]), []);
        assert_eq!(spans(&[], &calls), []);
    }
}
