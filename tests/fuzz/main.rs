// SPDX-License-Identifier: GPL-2.0
//! Runs every fuzz target of `fuzz/`: for a minute when something of what it is made of has changed
//! since it last passed, for a moment otherwise, for ten minutes with `CIFS_FIX_LONG_TESTS` set.
//! What is found stays in the cache, so that each run begins where the last one ended.
//!
//! The targets are compiled by the stable compiler: what libFuzzer needs of it is a pass of LLVM.
//! They are safe code, in which a sanitizer of addresses would find nothing that a panic does not.

mod seeds;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use kernel::context::{Context, processors};
use kernel::machine::programs;
use libtest_mimic::{Arguments, Failed, Trial};
use report::Report;
use report::cache::Cache;
use report::failure::Exit;
use report::process::Cmd;
use sha2::{Digest as _, Sha256};
use xtask::commands::test::LONG;
use xtask::repository;

/// How long each target runs.
const CHANGED: Duration = Duration::from_secs(60);
const UNCHANGED: Duration = Duration::from_secs(3);
const LONG_RUN: Duration = Duration::from_secs(600);

/// What makes a program count where it goes, for libFuzzer; and panic where it would go on with a
/// wrong number.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks --cfg=fuzzing";

/// An input that takes longer is one that hangs, in seconds; and how much memory one may take, in
/// MiB.
const INPUT_LIMIT: u32 = 10;
const MEMORY_LIMIT: u32 = 1024;

/// What every target is made of, below the repository, besides its own file.
const SHARED: &[&str] = &["fuzz/src", "fuzz/Cargo.lock"];

/// And what some are made of: of replies all others.
const OF_MODULES: &[&str] = &["crates/kmodfile/src", "tests/host/elf.rs"];
const OF_CONFIGURATION: &[&str] = &["crates/dkms-conf/src"];
const OF_REPLIES: &[&str] = &["module/verify", "capture/src"];

/// The built targets.
#[derive(Debug)]
struct Bench {
    context: Context,
    programs: Utf8PathBuf,
    seeds: Utf8PathBuf,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(processors());
    let prepared = if arguments.list { Ok(None) } else { Bench::prepare().map(Some) };
    match prepared.and_then(|bench| trials(bench.map(|bench| &*Box::leak(Box::new(bench))))) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(Exit::Failed)
        }
    }
}

fn trials(bench: Option<&'static Bench>) -> Result<Vec<Trial>> {
    let trial = |target: String| {
        Trial::test(format!("fuzz_{target}"), move || {
            let bench = bench.expect("trials are run with a bench");
            bench.fuzz(&target).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    Ok(targets()?.into_iter().map(trial).collect())
}

/// The names of the targets, one a file.
fn targets() -> Result<Vec<String>> {
    let files = repository().join("fuzz/fuzz_targets").read_dir_utf8()?;
    let mut names: Vec<String> = files
        .map(|file| Ok(file?.path().file_stem().context("a target without a name")?.to_owned()))
        .collect::<Result<_>>()?;
    names.sort_unstable();
    Ok(names)
}

impl Bench {
    /// Builds the targets and writes their seeds.
    fn prepare() -> Result<Self> {
        let context = Context {
            yes: true,
            home: Some(repository()),
            target: Some(repository().join("target")),
            ..Context::new(
                Report::new(std::env::var_os("VERBOSE").is_some(), false, "cargo xtask"),
                Cache::of_user()?,
                env!("CARGO_BIN_EXE_xtask").into(),
            )
        };
        programs::ensure(&context, &[xtask::commands::test::FUZZ_PROGRAMS])?;
        let dir = repository().join("target/fuzz");
        let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let step = context.report.step("Building", "the fuzz targets");
        let names = targets()?;
        let bins = names.iter().flat_map(|name| ["--bin", name.as_str()]);
        // A target of its own keeps the flags away from build scripts.
        Cmd::new(cargo)
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(repository().join("fuzz/Cargo.toml"))
            .args(bins)
            .args(["--target", &host])
            .env("RUSTFLAGS", INSTRUMENTED)
            .env("CARGO_TARGET_DIR", &dir)
            .run(&context.report)?;
        let seeds = dir.join("seeds");
        seeds::write(&seeds)?;
        step.done("Built", &format!("{} fuzz targets", names.len()));
        let programs = dir.join(host).join("release");
        Ok(Self { context, programs, seeds })
    }

    /// Runs one target.
    fn fuzz(&self, target: &str) -> Result<()> {
        let dir = self.context.cache.path("fuzz").join(target);
        fs_err::create_dir_all(dir.join("corpus"))?;
        let stamp = dir.join("passed");
        let sources = hash(&repository(), target)?;
        let fresh = fs_err::read_to_string(&stamp).is_ok_and(|hash| hash == sources);
        let time = match std::env::var_os(LONG) {
            Some(_) => LONG_RUN,
            None if fresh => UNCHANGED,
            None => CHANGED,
        };
        let found = repository().join("target/fuzz/found");
        fs_err::create_dir_all(&found)?;
        let program = self.programs.join(target);
        let cmd = Cmd::new(&program)
            .arg(dir.join("corpus"))
            .arg(self.seeds.join(target))
            .arg(format!("-max_total_time={}", time.as_secs()))
            .arg(format!("-timeout={INPUT_LIMIT}"))
            .arg(format!("-rss_limit_mb={MEMORY_LIMIT}"))
            .arg(format!("-artifact_prefix={found}/{target}-"))
            .arg("-print_final_stats=1");
        let mut runs = None;
        let mut text = String::new();
        let output = cmd.finish_with(&self.context.report, |line| {
            runs = runs.or_else(|| line.strip_prefix("stat::number_of_executed_units:")?.trim().parse().ok());
            text.extend([line, "\n"]);
        })?;
        let again = format!("run again: {program} {found}/{target}-...");
        ensure!(output.status.success(), "{}\n{again}", tail(&text));
        let runs: u64 = runs.with_context(|| format!("it does not say how often it ran: {}", tail(&text)))?;
        ensure!(runs > 1000, "only {runs} inputs in {} s: {}", time.as_secs(), tail(&text));
        eprintln!(
            "{target}: {runs} inputs in {} s{}",
            time.as_secs(),
            if fresh { ", unchanged" } else { "" }
        );
        if time >= CHANGED {
            fs_err::write(&stamp, sources)?;
        }
        Ok(())
    }
}

/// The last lines of what a program said.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// A hash over the names and contents of what a target is made of.
fn hash(repository: &Utf8Path, target: &str) -> Result<String> {
    let own = format!("fuzz/fuzz_targets/{target}.rs");
    let sources = match target {
        "kernel_module" | "signature" => OF_MODULES,
        "dkms_conf" => OF_CONFIGURATION,
        _ => OF_REPLIES,
    };
    let mut hash = Sha256::new();
    for source in SHARED.iter().chain(sources).copied().chain([own.as_str()]) {
        for entry in walkdir::WalkDir::new(repository.join(source)).sort_by_file_name() {
            let entry = entry?;
            if entry.file_type().is_file() {
                let content = fs_err::read(entry.path())?;
                // Wherever the repository is.
                let name = entry.path().strip_prefix(repository)?.display();
                hash.update(format!("{name}\0{}\0", content.len()));
                hash.update(content);
            }
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
