// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod inspect`.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use clap::Args;
use deploy::rpm::payload::{OpenPackage, is_package};
use deploy::rpm::provenance::{Provenance, SUFFIX};
use kernel::asked::AskedKernel;
use kernel::context::Context;
use kernel::failures::OrFail as _;
use kernel::kdir::Kdir;
use kernel::kmod;
use kernel::prepare::{self, Rust};
use kmodfile::crc::Crc;
use kmodfile::disk::read_all;
use kmodfile::file::ModuleFile;
use kmodfile::inspection::{Inspected, judge_all};
use kmodfile::load::answer::Refusal;
use kmodfile::load::target::LoadTarget;
use kmodfile::module::Btf;
use kmodfile::name;
use kmodfile::release::Release;
use kmodfile::signature::Trailer;
use report::failure::{Failure, exit_of, remedy_of};
use report::{counted, size, table};

/// `cargo kmod inspect`.
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// Modules (.ko), which may be compressed with xz, zstd or gzip; packages with modules (.rpm),
    /// or their SPDX documents (.spdx.json), for which it also shows what they were made from. It
    /// also does so for an installed module whose package has installed such a document
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<Utf8PathBuf>,
    /// Tell whether this kernel would load all of them together, packed as they are: a release, or
    /// `running`, or `installed`; it is prepared if need be
    #[arg(long, value_name = "RELEASE")]
    pub kernel: Option<AskedKernel>,
    /// Assume a machine that enforces signatures: Secure Boot, or module.sig_enforce=1
    #[arg(long, requires = "kernel")]
    pub secure_boot: bool,
    /// Show every symbol, with its CRC and exporter; for one file
    #[arg(long)]
    pub symbols: bool,
}

/// From this number of files on it may take a while.
const MANY: usize = 200;

/// The number of reasons that are shown for one module; `--json` has all.
const SHOWN: usize = 12;

/// The result for one file.
#[derive(Serialize)]
#[serde(untagged)]
enum FileReport {
    Read(Box<Inspected>),
    Origin(Box<Origin>),
    Failed { file: String, error: String, remedy: Option<String>, exit: u8 },
}

/// The origin of modules: a package, or an SPDX document.
#[derive(Serialize)]
struct Origin {
    /// The package, the document, or the module for which a document was found.
    file: Utf8PathBuf,
    package: Option<PackageFacts>,
    provenance: Option<Provenance>,
}

#[derive(Serialize)]
struct PackageFacts {
    name: String,
    size: u64,
    signatures: usize,
}

/// The results for all files, and their origins.
#[derive(Default)]
struct Findings {
    read: Vec<(Utf8PathBuf, Result<Inspected>)>,
    origins: Vec<Origin>,
}

impl Findings {
    fn of(files: &[Utf8PathBuf], jobs: usize) -> Self {
        let mut findings = Self::default();
        let special = |file: &&Utf8PathBuf| file.as_str().ends_with(SUFFIX) || is_package(file);
        let (special, modules): (Vec<_>, Vec<_>) = files.iter().partition(special);
        for file in special {
            let found = if file.as_str().ends_with(SUFFIX) {
                findings.document(file)
            } else {
                findings.package(file)
            };
            if let Err(error) = found {
                findings.read.push((file.clone(), Err(error)));
            }
        }
        let modules: Vec<Utf8PathBuf> = modules.into_iter().cloned().collect();
        let read = read_all(&modules, jobs).into_iter().map(|read| Ok(read.or_fail()?));
        let read: Vec<Result<Inspected>> = read.collect();
        // The origin is shown for a single module; a table has no room for it.
        if let [module] = modules.as_slice()
            && let Some(document) = Provenance::document_of(module)
            && let Err(error) = findings.document(&document)
        {
            findings.read.push((document, Err(error)));
        }
        findings.read.extend(modules.into_iter().zip(read));
        findings
    }

    fn document(&mut self, file: &Utf8Path) -> Result<()> {
        let text = fs_err::read(file).map_err(|error| Failure::usage(file.as_str(), error.to_string()))?;
        let provenance = Some(Provenance::parse(file.as_str(), &text)?);
        self.origins.push(Origin { file: file.to_owned(), package: None, provenance });
        Ok(())
    }

    fn package(&mut self, file: &Utf8Path) -> Result<()> {
        let package = OpenPackage::read(file)?;
        let facts =
            PackageFacts { name: package.name()?, size: package.size, signatures: package.signatures() };
        let documents = package.files(|path| path.as_str().ends_with(SUFFIX))?;
        let document = documents.first();
        let provenance = document.map(|(path, text)| Provenance::parse(path.as_str(), text)).transpose()?;
        for (path, image) in package.files(is_module)? {
            let inspected = ModuleFile::of(&path, image).and_then(Inspected::of).or_fail();
            self.read.push((path, inspected.map_err(Into::into)));
        }
        self.origins.push(Origin { file: file.to_owned(), package: Some(facts), provenance });
        Ok(())
    }
}

/// Reads the files, judges them for the kernel, and prints: one file in full, several as a table.
pub fn run(context: &Context, args: &InspectArgs) -> Result<()> {
    let step = (args.files.len() >= MANY)
        .then(|| context.report.step("Reading", &format!("{} modules", args.files.len())));
    let Findings { mut read, origins } = Findings::of(&args.files, context.jobs);
    if let Some(step) = step {
        step.done("Read", &format!("{} modules", args.files.len()));
    }
    // It is shown by its release.
    let args = &mut args.clone();
    if let Some(asked) = &args.kernel {
        AskedKernel::ensure_programs(std::slice::from_ref(asked), context)?;
        let release = asked.resolve(context, Rust::Optional)?;
        args.kernel = Some(AskedKernel::Release(release.clone()));
        let release = &release;
        if context.dry_run && Kdir::open(&context.cache, release).is_none() {
            context
                .report
                .say(&format!("would prepare kernel {release}, and tell whether it would load them"));
            return Ok(());
        }
        let target = target(context, release)?;
        let target = if args.secure_boot { target.secured() } else { target };
        judge_all(read.iter_mut().filter_map(|(_, read)| read.as_mut().ok()), target);
    }
    origins.iter().for_each(|origin| context.report.say(&(origin.lines() + "\n")));
    let inspected: Vec<&Inspected> = read.iter().filter_map(|(_, read)| read.as_ref().ok()).collect();
    if !read.is_empty() {
        context.report.say(&shown(&inspected, read.len(), args));
    }
    let result = verdict(&read, args);
    let origins = origins.into_iter().map(|origin| FileReport::Origin(Box::new(origin)));
    context.report.data(&origins.chain(reports(read)).collect::<Vec<_>>());
    result
}

/// The kernel asked about, prepared if need be.
fn target(context: &Context, release: &Release) -> Result<LoadTarget> {
    let prepared = prepare::provide_for(context, Some(release), context.root_fs, Rust::Optional)?;
    Ok(prepared.kdir.target()?.with_kmod(kmod::of(context, &prepared.root)))
}

fn reports(read: Vec<(Utf8PathBuf, Result<Inspected>)>) -> impl Iterator<Item = FileReport> {
    read.into_iter().map(|(file, read)| match read {
        Ok(inspected) => FileReport::Read(Box::new(inspected)),
        Err(error) => FileReport::Failed {
            file: file.to_string(),
            error: format!("{error:#}"),
            remedy: remedy_of(&error).map(str::to_owned),
            exit: exit_of(&error) as u8,
        },
    })
}

/// The error of the command: that of the first file that could not be read, or that would not be
/// loaded.
fn verdict(read: &[(Utf8PathBuf, Result<Inspected>)], args: &InspectArgs) -> Result<()> {
    let mut failures = read.iter().filter_map(|(_, read)| read.as_ref().err());
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
        read.iter().filter_map(|(_, read)| read.as_ref().ok()).filter(refused).collect();
    let Some(first) = refused.first() else { return Ok(()) };
    let object = if refused.len() == 1 {
        first.file.to_string()
    } else {
        format!("{} and {} more", first.file, refused.len() - 1)
    };
    let reasons = || first.load.iter().flat_map(|answer| &answer.refusals);
    let said = reasons().take(1).map(ToString::to_string).collect::<String>();
    let repacking = reasons().map(Refusal::repacking).collect::<Option<Vec<_>>>();
    let remedy = repacking
        .and_then(|all| all.into_iter().next())
        .unwrap_or_else(|| format!("build it for that kernel: cargo kmod build --kernel {release}"));
    Err(Failure::refused(object, format!("kernel {release} would not load it: {said}")).remedy(remedy).into())
}

fn shown(inspected: &[&Inspected], of: usize, args: &InspectArgs) -> String {
    match inspected {
        [] => String::new(),
        [one] if of == 1 => in_full(one, args),
        several => overview(several),
    }
}

/// One line per module.
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

/// Everything, one field per line, as modinfo(8) does.
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
            let more = counted(answer.refusals.len() - SHOWN, "more reason", "more reasons");
            lines.add("", format!("and {more} (--json has all)"));
        }
        answer.notes.iter().for_each(|note| lines.add("  note", note));
    }
    lines.0.join("\n")
}

impl Origin {
    /// What a package is and what it was made from, one field per line; `--json` has every source
    /// file.
    fn lines(&self) -> String {
        let mut lines = Lines(Vec::new());
        if let Some(package) = &self.package {
            lines.add("package", &package.name);
            lines.add("filename", &self.file);
            lines.add("size", size(package.size));
            lines.add("signed", yes(package.signatures > 0));
        }
        match &self.provenance {
            None => lines.add("provenance", "none: it contains no SPDX document"),
            Some(provenance) => lines.provenance(provenance),
        }
        lines.0.join("\n")
    }
}

struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, name: &str, value: impl ToString) {
        let name = if name.is_empty() { String::new() } else { format!("{name}:") };
        self.0.push(format!("{:15} {}", printable(&name), printable(&value.to_string())));
    }

    fn provenance(&mut self, provenance: &Provenance) {
        self.add("provenance", &provenance.document);
        self.add("made of", format!("{}, {}", provenance.of, provenance.date));
        self.add("for", &provenance.kernel);
        provenance.tools.iter().for_each(|tool| self.add("made with", tool));
        provenance.proof.iter().for_each(|proof| self.add("proof", proof));
        let count = provenance.sources.len();
        let files = counted(count, "file (--json has its hash)", "files (--json has their hashes)");
        self.add("source", files);
        provenance
            .patches
            .iter()
            .for_each(|patch| self.add("patch", format!("{} {}", patch.sha256, patch.file)));
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

    /// Every symbol with its CRC; imported ones with their exporters, if a kernel was asked about.
    fn symbols(&mut self, one: &Inspected) {
        let resolved = one.load.iter().flat_map(|answer| &answer.imports);
        let exporters: BTreeMap<&str, &str> =
            resolved.map(|import| (import.symbol.as_str(), import.exporter.as_str())).collect();
        let crc = |crc: Option<_>| crc.map_or_else(|| "-".to_owned(), |crc: Crc| crc.to_string());
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

/// The number of symbols that it imports, by exporter.
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

/// Whether a file in a package is a module, compressed or not.
fn is_module(path: &Utf8Path) -> bool {
    let below = |dir: &str| path.starts_with(dir);
    (below("/lib/modules") || below("/usr/lib/modules")) && path.file_name().and_then(name::stem).is_some()
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// The text without control characters, as a module's contents must not control the terminal.
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
