// SPDX-License-Identifier: GPL-2.0
//! Which lines of a project were reached.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use kmodfile::name;
use project::build::Object;
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};
use vm_protocol::{ExtraStep, GuestStep, ReachedPlaces, SectionHits};

use crate::coverage::debug_lines::FunctionName;
use crate::coverage::instrumented::{Block, blocks};
use crate::coverage::source_file::{SourceFile, SourceFiles};
use crate::payload::Payload;
use crate::run::Run;

/// Which lines of a project were reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Its files that have code, by their paths in the project.
    pub files: BTreeMap<Utf8PathBuf, FileCoverage>,
    /// How many places were recorded that are in no known module of the project.
    pub elsewhere: u64,
    /// The steps whose recordings had no end, as there was no more room.
    pub overflowed: BTreeSet<String>,
}

/// Which lines of a file were reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileCoverage {
    /// Where the file is.
    pub path: Utf8PathBuf,
    /// The lines that there is code of, and how often each was reached.
    pub lines: BTreeMap<u32, u64>,
    /// Functions by the line that they begin in and their name, and how often each was entered.
    pub functions: BTreeMap<(u32, String), u64>,
}

impl FileCoverage {
    /// How many lines were reached.
    pub fn reached(&self) -> usize {
        self.lines.values().filter(|count| **count > 0).count()
    }

    /// The lines that were not, without what there is no code of.
    pub fn unreached(&self) -> Vec<LineRange> {
        let mut ranges: Vec<LineRange> = Vec::new();
        let mut goes_on = false;
        for (line, count) in &self.lines {
            match ranges.last_mut() {
                Some(range) if *count == 0 && goes_on => range.last = *line,
                _ if *count == 0 => ranges.push(LineRange { first: *line, last: *line }),
                _ => {}
            }
            goes_on = *count == 0;
        }
        ranges
    }
}

/// As programs read it: how much, and what is missing.
impl Serialize for FileCoverage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let unreached: Vec<String> = self.unreached().iter().map(LineRange::to_string).collect();
        let mut file = serializer.serialize_struct("FileCoverage", 4)?;
        file.serialize_field("path", &self.path)?;
        file.serialize_field("lines", &self.lines.len())?;
        file.serialize_field("reached", &self.reached())?;
        file.serialize_field("unreached", &unreached)?;
        file.end()
    }
}

/// Lines of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRange {
    /// The first.
    pub first: u32,
    /// The last, which may be the same.
    pub last: u32,
}

impl fmt::Display for LineRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

/// What the guest recorded, if it came to tell.
///
/// # Errors
///
/// If what it told cannot be read.
pub fn recorded<X: ExtraStep>(payload: &Payload<X>, run: &Run) -> Result<Option<ReachedPlaces>> {
    let plan = payload.plan("");
    let read = plan.steps.iter().position(|planned| matches!(planned.step, GuestStep::ReadCoverage));
    let Some(text) = read.and_then(|index| run.output(index)) else { return Ok(None) };
    serde_json::from_str(text).map(Some).context("reading what the guest recorded")
}

/// The code of modules that record what is reached. It is read before they are loaded: another
/// command may build the same project for another purpose meanwhile.
#[derive(Clone, Debug)]
pub struct RecordingCode(Vec<(String, Vec<Block>)>);

impl RecordingCode {
    /// That of the modules that were built.
    ///
    /// # Errors
    ///
    /// If debug information cannot be read.
    pub fn read(objects: &[Object]) -> Result<Self> {
        let one = |object: &Object| Ok((name::loaded(&object.name), blocks(&object.unstripped)?));
        objects.iter().map(one).collect::<Result<_>>().map(Self)
    }
}

impl Coverage {
    /// Leads what was recorded in the modules `objects` back to the lines of the project in `dir`,
    /// which was built in a staged copy of that.
    ///
    /// # Errors
    ///
    /// If it is not known where these are.
    pub fn of(
        (dir, stage): (&Utf8Path, &Utf8Path),
        code: &RecordingCode,
        reached: &ReachedPlaces,
    ) -> Result<Self> {
        let mut sources = SourceFiles::between(dir, stage);
        let overflowed = reached.overflowed.iter().cloned().collect();
        let mut coverage = Self { elsewhere: reached.elsewhere, overflowed, ..Self::default() };
        for (name, blocks) in &code.0 {
            let hits = reached.modules.get(name);
            coverage.add_module(blocks, hits.unwrap_or(&BTreeMap::new()), &mut sources);
        }
        Ok(coverage)
    }

    /// What another run of the same modules reached besides.
    pub fn merge(&mut self, other: Self) {
        for (name, file) in other.files {
            let mine = self.files.entry(name).or_default();
            mine.path = file.path;
            file.lines.into_iter().for_each(|(line, count)| *mine.lines.entry(line).or_default() += count);
            for (function, count) in file.functions {
                *mine.functions.entry(function).or_default() += count;
            }
        }
        self.elsewhere += other.elsewhere;
        self.overflowed.extend(other.overflowed);
    }

    fn add_module(
        &mut self,
        blocks: &[Block],
        hits: &BTreeMap<String, SectionHits>,
        sources: &mut SourceFiles,
    ) {
        let passed = |block: &Block| {
            let passed = hits.get(&block.section).and_then(|hits| hits.get(&block.records));
            passed.copied().unwrap_or(0)
        };
        let counted: Vec<(&Block, u64)> = blocks.iter().map(|block| (block, passed(block))).collect();
        for (block, count) in &counted {
            for line in &block.code.lines {
                self.add_line(&line.file, line.line, *count, sources);
            }
        }
        for (function, line, count) in functions(&counted) {
            self.add_line(&function.file, line, count, sources);
            self.add_function(function, line, count, sources);
        }
        self.elsewhere += strays(blocks, hits);
    }

    /// A line of several blocks was reached as often as that of them which most was.
    fn add_line(&mut self, file: &Utf8Path, line: u32, count: u64, sources: &mut SourceFiles) {
        let Some(source) = sources.find(file).filter(|source| source.is_code(line)) else { return };
        let known = self.file(&source).lines.entry(line).or_default();
        *known = count.max(*known);
    }

    fn add_function(&mut self, function: &FunctionName, line: u32, count: u64, sources: &mut SourceFiles) {
        let Some(source) = sources.find(&function.file) else { return };
        let known = self.file(&source).functions.entry((line, function.name.clone())).or_default();
        *known = count.max(*known);
    }

    fn file(&mut self, source: &SourceFile) -> &mut FileCoverage {
        let file = self.files.entry(source.name.clone()).or_default();
        file.path.clone_from(&source.path);
        file
    }
}

/// Functions, the line that each begins in, and how often it was entered. One that compilers also
/// inlined was entered there, too: its code in other places was passed, and its beginning was not.
fn functions<'a>(counted: &[(&'a Block, u64)]) -> Vec<(&'a FunctionName, u32, u64)> {
    let mut passed: BTreeMap<&FunctionName, u64> = BTreeMap::new();
    for (block, count) in counted {
        for function in &block.code.functions {
            let known = passed.entry(function).or_default();
            *known = (*count).max(*known);
        }
    }
    let begun = counted.iter().filter_map(|(block, count)| Some((block.begins.as_ref()?, *count)));
    begun
        .map(|((function, line), count)| {
            let elsewhere = passed.get(function).copied().unwrap_or(0);
            (function, *line, if count > 0 { count } else { elsewhere })
        })
        .collect()
}

/// How many of the places are those of no block: what was taken for a part of this module belongs
/// to one whose place nobody knows.
fn strays(blocks: &[Block], hits: &BTreeMap<String, SectionHits>) -> u64 {
    let known: BTreeSet<(&str, u64)> =
        blocks.iter().map(|block| (block.section.as_str(), block.records)).collect();
    let recorded =
        hits.iter().flat_map(|(section, hits)| hits.keys().map(move |offset| (section.as_str(), *offset)));
    recorded.filter(|place| !known.contains(place)).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::debug_lines::Code;

    fn file(lines: &[(u32, u64)]) -> FileCoverage {
        FileCoverage { path: "/p/a.c".into(), lines: lines.iter().copied().collect(), ..Default::default() }
    }

    #[test]
    fn lines_that_were_not_reached_are_told_in_ranges() {
        for (lines, reached, unreached) in [
            (&[][..], 0, &[] as &[&str]),
            (&[(1, 1), (2, 3)], 2, &[]),
            (&[(1, 0)], 0, &["1"]),
            // What there is no code of interrupts nothing; what was reached does.
            (&[(1, 1), (4, 0), (9, 0), (10, 1), (12, 0)], 2, &["4-9", "12"]),
        ] {
            let file = file(lines);
            let shown: Vec<String> = file.unreached().iter().map(LineRange::to_string).collect();
            assert_eq!(file.reached(), reached, "{lines:?}");
            assert_eq!(shown, unreached, "{lines:?}");
            let json = serde_json::to_value(&file).unwrap();
            assert_eq!((&json["lines"], &json["unreached"]), (&lines.len().into(), &shown.into()));
        }
    }

    #[test]
    fn what_several_runs_reached_is_added_up() {
        let of = |lines: &[(u32, u64)]| {
            let files = BTreeMap::from([("a.c".into(), file(lines))]);
            Coverage { files, elsewhere: 1, overflowed: BTreeSet::from(["x".to_owned()]) }
        };
        let mut both = of(&[(1, 1), (2, 0), (3, 0)]);
        both.merge(of(&[(1, 2), (2, 5), (3, 0)]));
        assert_eq!(both.files[Utf8Path::new("a.c")], file(&[(1, 3), (2, 5), (3, 0)]));
        assert_eq!((both.elsewhere, both.overflowed.len()), (2, 1));
    }

    #[test]
    fn what_is_recorded_by_no_block_is_of_another_module() {
        let block = |section: &str, records| Block {
            section: section.to_owned(),
            records,
            code: Code::default(),
            begins: None,
        };
        let blocks = [block(".text", 9), block(".init.text", 9), block(".text", 20)];
        let hits = |all: &[u64]| all.iter().map(|offset| (*offset, 1)).collect::<SectionHits>();
        let recorded = BTreeMap::from([
            (".text".to_owned(), hits(&[9, 10])),
            (".init.text".to_owned(), hits(&[9, 20])),
            (".exit.text".to_owned(), hits(&[9])),
        ]);
        assert_eq!(strays(&blocks, &recorded), 3);
    }

    #[test]
    fn a_function_that_was_inlined_was_entered_there() {
        let name = |name: &str| FunctionName { file: "a.rs".into(), name: name.to_owned() };
        let block = |of: &[&str], begins: Option<&str>| Block {
            section: ".text".to_owned(),
            records: 0,
            code: Code { functions: of.iter().map(|of| name(of)).collect(), ..Code::default() },
            begins: begins.map(|begins| (name(begins), 3)),
        };
        let (inlined, own) = (block(&["f", "main"], Some("main")), block(&["f"], Some("f")));
        let counts = |inlined_count, own_count| {
            let counted = [(&inlined, inlined_count), (&own, own_count)];
            functions(&counted).into_iter().map(|(_, _, count)| count).collect::<Vec<_>>()
        };
        assert_eq!(counts(2, 0), [2, 2]);
        assert_eq!(counts(9, 4), [9, 4]);
        assert_eq!(counts(0, 0), [0, 0]);
    }
}
