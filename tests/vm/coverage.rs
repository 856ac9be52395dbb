// SPDX-License-Identifier: GPL-2.0
//! Which lines of a module are reached: in C and in Rust those of the way that a parameter decides,
//! and not those of the other.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use kernel::prepare::{self, Rust};
use kernel::root::scratch::Scratch;
use kernel::root::{Root, RootChoice};
use kernel::sanitizing::standing_for;
use project::build::build_for;
use project::needs::NeededProjects;
use project::{BuildTarget, Project, Purpose};
use report::Report;
use report::process::Cmd;
use vm::boot;
use vm::coverage::{Coverage, RecordingCode, recorded};
use vm::modules::GuestModule;
use vm::system::{Further, SystemArchive};
use vm::{Payload, Verdict};
use vm_protocol::Expect;
use xtask::repository;

use crate::bench::{Bench, verdict_is};
use crate::commands::tool;

/// What stands in the lines of each way, and in that of the function that is run at last.
const WAYS: [&str; 2] = ["another way", "the first way"];
const LAST: &str = "gone";

/// Removes modules.
const RMMOD: &str = "/sbin/rmmod";

const FILES: [&str; 2] = ["reached_c.c", "reached_rust.rs"];

/// A tracefile says which way was gone, from a boot and from a saved machine. One trial after the
/// other, as the project has one place to be built in.
pub(crate) fn lines_are_told(bench: &Bench) -> Result<()> {
    let project = repository().join("tests/vm/reached");
    let file = bench.logs.join("reached.info");
    let release = bench.prepared.kdir.release().as_str();
    for (way, more) in [(1, &["--cold"][..]), (0, &[]), (1, &[])] {
        let param = format!("branch={way}");
        let args = ["--json", "insmod", "--kernel", release, "--project", project.as_str()];
        let args = [&args[..], &["--params", &param, "--coverage", file.as_str()], more].concat();
        let (status, text) = tool(&args)?;
        ensure!(status == 0, "status {status}: {text}");
        let outcomes: serde_json::Value = serde_json::from_str(&text)?;
        ensure!(outcomes[0]["verdict"] == "pass", "{outcomes}");
        ensure!(outcomes[0]["warm"] == more.is_empty(), "{outcomes}");
        let coverage = &outcomes[0]["coverage"];
        ensure!(coverage["elsewhere"] == 0 && coverage["overflowed"] == serde_json::json!([]), "{coverage}");
        let files = tracefile(&fs_err::read_to_string(&file)?)?;
        for name in FILES {
            let lines = files.get(&project.join(name)).with_context(|| format!("no {name}: {files:?}"))?;
            let text = fs_err::read_to_string(project.join(name))?;
            let reached = |words| reached(&text, lines, words);
            ensure!(reached(WAYS[way])? && !reached(WAYS[1 - way])? && reached(LAST)?, "{name}: {lines:?}");
            ensure!(coverage["files"][name]["lines"] == lines.len(), "{coverage}");
        }
        summarised(&file)?;
    }
    programs_are_recorded(bench)?;
    built_for_use(&project, &standing_for(bench.prepared.kdir.release())?)
}

/// What a program of the machine reaches counts, too: rmmod(8) runs the exit function.
fn programs_are_recorded(bench: &Bench) -> Result<()> {
    let release = standing_for(bench.prepared.kdir.release())?;
    let prepared = prepare::provide_for(&bench.context, Some(&release), RootChoice::Auto, Rust::Needed)?;
    let Root::Tree(root) = &prepared.root else { return Ok(()) };
    let context = &bench.context;
    let project = Project::open(&repository().join("tests/vm/reached"))?;
    let built = build_for(context, &project, &NeededProjects::default(), &prepared, None, Purpose::Coverage)?;
    let code = RecordingCode::read(&built.objects)?;
    let module = GuestModule::read(&built.object("reached_c").context("no reached_c was built")?.file)?;
    let dir = tempfile::tempdir_in(context.cache.path(""))?;
    let dir = Utf8Path::from_path(dir.path()).context("the cache's path is UTF-8")?;
    let system = Scratch::over(root, &dir.join("changes"))?.with_layer(prepared.kdir.image());
    system.read(context, Cmd::new("depmod").arg(release.as_str()))?;
    let further = Further { programs: &[RMMOD], files: &[] };
    let mut payload = Payload::new(&boot::tree(&prepared.kdir)?)?;
    payload.system(SystemArchive::with(context, &system, &release, &["dummy"], &further)?);
    payload.insert(module, "branch=1", Expect::Success);
    payload.run(RMMOD, &["reached_c"], Expect::Success).record_coverage();
    let options = boot::Options { memory: 512, ..boot::Options::default() };
    let log = bench.logs.join("programs_are_recorded.log");
    let run = boot::boot(context, &prepared.kdir, &payload, &log, &options)?;
    verdict_is(&run, Verdict::Pass)?;
    let reached = recorded(&payload, &run)?.context("nothing was told")?;
    let target = BuildTarget::of(context, &project.dir, &prepared)?;
    let stage = target.stage(&project.name, &project.version);
    let coverage = Coverage::of((&project.dir, &stage), &code, &reached)?;
    let file = coverage.files.get(Utf8Path::new(FILES[0])).context("no file")?;
    let exit = file.functions.iter().find(|((_, name), _)| name == "reached_c_exit");
    ensure!(exit.is_some_and(|(_, count)| *count == 1), "{file:?}");
    Ok(())
}

/// Whether the line with these words was reached.
fn reached(text: &str, lines: &BTreeMap<usize, u64>, words: &str) -> Result<bool> {
    let line = text.lines().position(|line| line.contains(&format!("\"{words}")));
    let line = line.with_context(|| format!("no line has {words}"))? + 1;
    Ok(*lines.get(&line).with_context(|| format!("there is no code of {words}: {lines:?}"))? > 0)
}

/// Reads a tracefile, record by record, and is content with nothing but what geninfo(1) describes.
fn tracefile(text: &str) -> Result<BTreeMap<Utf8PathBuf, BTreeMap<usize, u64>>> {
    let mut files = BTreeMap::new();
    for record in text.split_terminator("end_of_record\n") {
        let mut fields = record.lines().map(|line| line.split_once(':').context("no colon"));
        let mut next = |name: &str| -> Result<Vec<&str>> {
            let (field, value) = fields.next().context("the record is short")??;
            ensure!(field == name, "{field} instead of {name}");
            Ok(value.splitn(2, ',').collect())
        };
        let test = next("TN")?[0];
        ensure!(test.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{test}");
        let file = Utf8PathBuf::from(next("SF")?[0]);
        ensure!(file.is_absolute() && file.is_file(), "{file}");
        let all = |name: &str| record.lines().filter(|line| line.starts_with(&format!("{name}:"))).count();
        let mut functions = BTreeMap::new();
        for _ in 0..all("FN") {
            let function = next("FN")?;
            functions.insert(function[1], function[0].parse::<usize>()?);
        }
        let mut entered = 0;
        for _ in 0..all("FNDA") {
            let function = next("FNDA")?;
            ensure!(functions.contains_key(function[1]), "{function:?}");
            entered += usize::from(function[0].parse::<u64>()? > 0);
        }
        ensure!(next("FNF")?[0].parse::<usize>()? == functions.len() && !functions.is_empty(), "{record}");
        ensure!(next("FNH")?[0].parse::<usize>()? == entered, "{record}");
        let mut lines = BTreeMap::new();
        for _ in 0..all("DA") {
            let line = next("DA")?;
            lines.insert(line[0].parse()?, line[1].parse()?);
        }
        let reached = lines.values().filter(|count| **count > 0).count();
        ensure!(next("LF")?[0].parse::<usize>()? == lines.len(), "{record}");
        ensure!(next("LH")?[0].parse::<usize>()? == reached, "{record}");
        ensure!(record.lines().count() == 6 + all("FN") + all("FNDA") + all("DA"), "{record}");
        ensure!(files.insert(file, lines).is_none(), "twice: {record}");
    }
    Ok(files)
}

/// Where lcov is installed, it has to be content too.
fn summarised(file: &Utf8Path) -> Result<()> {
    let output = Cmd::new("lcov").args(["--summary", file.as_str()]).finish(&Report::silent());
    let Ok(output) = output else { return Ok(()) };
    ensure!(output.status.success(), "{}", output.tail);
    Ok(())
}

/// What was built to be measured is never taken for what was built to be used.
fn built_for_use(project: &Utf8Path, release: &kmodfile::release::Release) -> Result<()> {
    let args = ["--json", "build", "--kernel", release.as_str(), "--project", project.as_str()];
    let (status, text) = tool(&args)?;
    ensure!(status == 0, "status {status}: {text}");
    let built: serde_json::Value = serde_json::from_str(&text)?;
    let objects = built[0]["objects"].as_array().context("nothing was built")?;
    ensure!(objects.len() == FILES.len(), "{built}");
    for object in objects {
        let image = fs_err::read(object["file"].as_str().context("no file")?)?;
        let recorder = b"__sanitizer_cov";
        ensure!(!image.windows(recorder.len()).any(|window| window == recorder), "{object}");
    }
    Ok(())
}
