// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask inspect`.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::cli::InspectArgs;
use crate::context::Context;
use crate::failure::{Failure, exit_of, remedy_of};
use crate::kernel::kdir::Kdir;
use crate::kernel::prepare::{self, Rust};
use crate::kernel::release::Release;
use crate::machine::programs;
use crate::object::inspection::{Inspected, judge_all, read_all};
use crate::object::load::target::Target;
use crate::object::module::Btf;
use crate::object::signature::Trailer;
use crate::report::{size, table};

/// From this many files on it may take a while.
const MANY: usize = 200;

/// How many reasons are shown of one module; `--json` has all.
const SHOWN: usize = 12;

/// What came of one file.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Read(Box<Inspected>),
    Failed { file: String, error: String, remedy: Option<String>, exit: u8 },
}

/// Reads the files, asks about the kernel, and prints: one file in full, several as a table.
pub fn run(context: &Context, args: &InspectArgs) -> Result<()> {
    let step = (args.files.len() >= MANY)
        .then(|| context.report.step("Reading", &format!("{} modules", args.files.len())));
    let mut read = read_all(&args.files, context.jobs);
    if let Some(step) = step {
        step.done("Read", &format!("{} modules", args.files.len()));
    }
    if let Some(release) = &args.kernel {
        if context.dry_run && Kdir::open(context, release).is_none() {
            context
                .report
                .say(&format!("would prepare kernel {release}, and say whether it would load them"));
            return Ok(());
        }
        let target = target(context, release)?;
        let target = if args.secure_boot { target.secured() } else { target };
        judge_all(read.iter_mut().filter_map(|read| read.as_mut().ok()), target);
    }
    let inspected: Vec<&Inspected> = read.iter().filter_map(|read| read.as_ref().ok()).collect();
    context.report.say(&shown(&inspected, args));
    let result = verdict(&read, args);
    context.report.data(&outcomes(args, read));
    result
}

/// The kernel asked about; prepared if need be.
fn target(context: &Context, release: &Release) -> Result<Target> {
    if Kdir::open(context, release).is_none() {
        programs::ensure(context, &[programs::ROOTS])?;
    }
    let prepared = prepare::provide_for(context, Some(release), context.root_fs, Rust::Optional)?;
    Target::of_kdir(&prepared.kdir)
}

fn outcomes(args: &InspectArgs, read: Vec<Result<Inspected>>) -> Vec<Outcome> {
    let outcome = |(file, read): (&camino::Utf8PathBuf, Result<Inspected>)| match read {
        Ok(inspected) => Outcome::Read(Box::new(inspected)),
        Err(error) => Outcome::Failed {
            file: file.to_string(),
            error: format!("{error:#}"),
            remedy: remedy_of(&error).map(str::to_owned),
            exit: exit_of(&error) as u8,
        },
    };
    args.files.iter().zip(read).map(outcome).collect()
}

/// The error that the command ends with: of the first file that could not be read, or that would not be loaded.
fn verdict(read: &[Result<Inspected>], args: &InspectArgs) -> Result<()> {
    let mut failures = read.iter().filter_map(|read| read.as_ref().err());
    if let Some(first) = failures.next() {
        let more = failures.count();
        let mut failure = Failure::new(exit_of(first), "inspect", format!("{first:#}"));
        if more > 0 {
            failure.reason.push_str(&format!("; {more} more could not be read"));
        }
        failure.remedy = remedy_of(first).map(str::to_owned);
        return Err(failure.into());
    }
    let Some(release) = &args.kernel else { return Ok(()) };
    let refused = |inspected: &&Inspected| inspected.load.as_ref().is_some_and(|answer| !answer.loads());
    let refused: Vec<&Inspected> =
        read.iter().filter_map(|read| read.as_ref().ok()).filter(refused).collect();
    let Some(first) = refused.first() else { return Ok(()) };
    let object = if refused.len() == 1 {
        first.file.to_string()
    } else {
        format!("{} and {} more", first.file, refused.len() - 1)
    };
    let reasons = first.load.iter().flat_map(|answer| &answer.refusals).take(1).map(ToString::to_string);
    let reason = format!("kernel {release} would not load it: {}", reasons.collect::<String>());
    Err(Failure::refused(object, reason)
        .remedy(format!("build it for that kernel: cargo xtask build --kernel {release}"))
        .into())
}

fn shown(inspected: &[&Inspected], args: &InspectArgs) -> String {
    match inspected {
        [] => String::new(),
        [one] if args.files.len() == 1 => in_full(one, args),
        several => overview(several),
    }
}

/// One line a module.
fn overview(inspected: &[&Inspected]) -> String {
    let asked = inspected.iter().any(|one| one.load.is_some());
    let mut head = vec!["MODULE", "FOR", "SIZE", "IMPORTS", "EXPORTS", "CRCS", "SIGNED", "BTF", "RUST"];
    head.extend(asked.then_some("LOADS"));
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for one in inspected {
        let module = &one.module;
        let name = module.name().unwrap_or_else(|| one.file.file_name().unwrap_or_default().to_owned());
        let mut row = vec![
            name,
            module.modinfo.release().unwrap_or("-").to_owned(),
            size(one.size),
            module.imports.len().to_string(),
            module.exports.len().to_string(),
            module.versions.all().count().to_string(),
            signed(&module.signature).to_owned(),
            btf(module.btf).to_owned(),
            yes(module.rust).to_owned(),
        ];
        row.extend(one.load.as_ref().map(|answer| match answer.refusals.as_slice() {
            [] => "yes".to_owned(),
            [only] => format!("no: {only}"),
            [first, more @ ..] => format!("no: {first}, and {} more", more.len()),
        }));
        rows.push(row.iter().map(|cell| printable(cell)).collect());
    }
    table(&rows)
}

/// Everything, a line each, as modinfo(8) does.
fn in_full(one: &Inspected, args: &InspectArgs) -> String {
    let module = &one.module;
    let mut lines = Lines(Vec::new());
    lines.add("filename", &one.file);
    let compression = one.compression.map(|kind| format!(", {kind:?}").to_lowercase()).unwrap_or_default();
    lines.add("size", format!("{}{compression}", size(one.size)));
    module.modinfo.fields().for_each(|(name, value)| lines.add(name, value));
    lines.add("architecture", &module.architecture);
    module.compilers.iter().for_each(|compiler| lines.add("compiler", compiler));
    lines.add("rust", yes(module.rust));
    lines.add("debug info", yes(module.debug_info));
    lines.add("btf", btf(module.btf));
    lines.add("build-id", module.build_id.as_deref().unwrap_or("-"));
    lines.signature(&module.signature);
    lines.add("imports", imports(one));
    lines.add("crcs", module.versions.all().count());
    lines.add("exports", module.exports.len());
    if args.symbols {
        lines.symbols(one);
    }
    if let (Some(answer), Some(release)) = (&one.load, &args.kernel) {
        lines.add(
            "loads",
            if answer.loads() { format!("yes, into {release}") } else { format!("no, not into {release}") },
        );
        answer.refusals.iter().take(SHOWN).for_each(|refusal| lines.add("  because", refusal));
        if answer.refusals.len() > SHOWN {
            lines.add("", format!("and {} more reasons (--json has all)", answer.refusals.len() - SHOWN));
        }
        answer.notes.iter().for_each(|note| lines.add("  note", note));
    }
    lines.0.join("\n")
}

struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, name: &str, value: impl ToString) {
        let name = if name.is_empty() { String::new() } else { format!("{name}:") };
        self.0.push(format!("{:15} {}", printable(&name), printable(&value.to_string())));
    }

    fn signature(&mut self, trailer: &Trailer) {
        self.add("signed", signed(trailer));
        match trailer {
            Trailer::Unsigned => {}
            Trailer::Malformed(why) => self.add("signature", why),
            Trailer::Signed(signature) => {
                for signer in &signature.signers {
                    self.add("signer", signer.name.as_deref().unwrap_or("-"));
                    self.add("sig_key", &signer.key);
                    self.add("sig_hashalgo", &signer.hash);
                }
            }
        }
    }

    /// Every symbol with its CRC; an imported one with who exports it, if a kernel was asked about.
    fn symbols(&mut self, one: &Inspected) {
        let resolved = one.load.iter().flat_map(|answer| &answer.imports);
        let exporters: BTreeMap<&str, &str> =
            resolved.map(|import| (import.symbol.as_str(), import.exporter.as_str())).collect();
        let crc = |crc: Option<_>| {
            crc.map_or_else(|| "-".to_owned(), |crc: crate::object::versions::Crc| crc.to_string())
        };
        for import in &one.module.imports {
            let exporter = exporters.get(import.symbol.as_str()).copied().unwrap_or_default();
            let weak = if import.weak { " (weak)" } else { "" };
            let crc = crc(one.module.versions.get(&import.symbol));
            self.add("import", format!("{crc} {}{weak} {exporter}", import.symbol).trim_end());
        }
        for export in &one.module.exports {
            let gpl = if export.gpl_only { " GPL" } else { "" };
            let line = format!("{} {}{gpl} {}", crc(export.crc), export.symbol, export.namespace);
            self.add("export", line.trim_end());
        }
    }
}

/// How many symbols it needs, and of whom.
fn imports(one: &Inspected) -> String {
    let total = one.module.imports.len().to_string();
    let Some(answer) = &one.load else { return total };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    answer.imports.iter().for_each(|import| *counts.entry(&import.exporter).or_default() += 1);
    let parts: Vec<String> =
        counts.iter().map(|(exporter, count)| format!("{count} of {exporter}")).collect();
    if parts.is_empty() { total } else { format!("{total}: {}", parts.join(", ")) }
}

fn signed(trailer: &Trailer) -> &'static str {
    match trailer {
        Trailer::Unsigned => "no",
        Trailer::Signed(_) => "yes",
        Trailer::Malformed(_) => "malformed",
    }
}

fn btf(btf: Btf) -> &'static str {
    match btf {
        Btf::None => "no",
        Btf::Split => "split",
        Btf::Distilled => "distilled",
    }
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// What a module says goes to a terminal only as text: no control character of it does.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_reaches_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\u{9b}c\nd"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
    }
}
