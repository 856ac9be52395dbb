// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask test`: runs the suites and sums up.

use anyhow::Result;
use kernel::distribution::known;
use kernel::machine::programs::{Program, program};
use kmodfile::architecture::Architecture;

use crate::repository;
use clap::Args;
use kernel::context::Context;
use kernel::machine::programs;
use report::failure::{Exit, Failure};
use report::process::Cmd;

/// `cargo xtask test`.
#[derive(Clone, Debug, Args)]
pub struct TestArgs {
    /// The suites
    #[arg(value_enum, default_value = "all")]
    pub suite: Suite,
    /// Also run what takes longer than CI has time for
    #[arg(long)]
    pub long: bool,
    /// Only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
}

/// A group of tests by what they need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Suite {
    /// Unit tests and what needs neither archive nor VM
    Host,
    /// Build roots, kernels and builds: needs the archive
    Package,
    /// Feeds the verifier, and the reader of captures, with what nobody thought of
    Fuzz,
    /// Boots kernels
    Vm,
    /// All of them
    All,
}

/// What only the tests need of this machine: a program that kills the tool at each of its system
/// calls.
pub const PROGRAMS: &[Program] = &[program("strace", "strace", "kills the tool at each file operation")];

/// A cluster for the trials of matrices: its daemons are started by these alone.
pub const SLURM: &[Program] = &[
    program("sbatch", "slurm-client", "submits a matrix to a cluster"),
    program("slurmctld", "slurmctld", "the controller of a cluster for trials"),
    program("slurmd", "slurmd", "the nodes of a cluster for trials"),
    program("munged", "munge", "knows the users of a cluster for trials"),
];

/// A store of kernels behind a server of S3's, which is from Python's registry.
pub const S3: &[Program] = &[
    program("rclone", "rclone", "reaches a store of prepared kernels"),
    program("python3", "python3-venv", "runs a server of S3's for trials"),
];

/// Images of systems, which trials make without a registry.
pub const IMAGES: &[Program] =
    &[program("buildah", "buildah", "makes images of systems for trials").in_rpms("buildah", "buildah")];

/// What the fuzz targets are compiled with.
pub const FUZZ_PROGRAMS: &[Program] = &[program("c++", "g++", "compiles libFuzzer, for the fuzz targets")];

/// Set for the suites when `--long` was given.
pub const LONG: &str = "CIFS_FIX_LONG_TESTS";

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
struct Count {
    passed: u32,
    failed: u32,
    skipped: u32,
}

/// Runs the suites asked for. The last line says how many tests passed, failed and were skipped.
pub fn run(context: &Context, args: &TestArgs) -> Result<()> {
    if !matches!(args.suite, Suite::Host | Suite::Fuzz) {
        programs::ensure(
            context,
            &[
                known::usual().programs(),
                vm::qemu::programs(Architecture::Amd64),
                vm::qemu::programs(Architecture::Arm64),
                crate::share::PROGRAMS,
                deploy::install::PROGRAMS,
                crate::commands::test::PROGRAMS,
                crate::commands::test::SLURM,
                crate::commands::test::IMAGES,
            ],
        )?;
    }
    let mut count = Count::default();
    for targets in targets(args.suite) {
        count = count + cargo_test(context, args, targets)?;
    }
    context.report.data(&count);
    context
        .report
        .say(&format!("{} passed, {} failed, {} skipped", count.passed, count.failed, count.skipped));
    if count.failed == 0 {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "tests", format!("{} failed; each is named above", count.failed)).into())
}

/// What `cargo test` is told for each suite; unit tests first, as they fail fastest.
fn targets(suite: Suite) -> Vec<&'static [&'static str]> {
    let host: &[&str] = &["--workspace", "--exclude", "oracle"];
    let package: &[&str] = &["--package", "xtask", "--test", "package"];
    // Needs the kernel's source, which preparing a kernel brings.
    let oracle: &[&str] = &["--package", "oracle"];
    let vm: &[&str] = &["--package", "xtask", "--test", "vm"];
    let fuzz: &[&str] = &["--package", "xtask", "--test", "fuzz"];
    match suite {
        Suite::Fuzz => vec![fuzz],
        Suite::Host => vec![host],
        Suite::Package => vec![package, oracle],
        Suite::Vm => vec![vm],
        Suite::All => vec![host, package, oracle, fuzz, vm],
    }
}

fn cargo_test(context: &Context, args: &TestArgs, targets: &[&str]) -> Result<Count> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut cmd =
        Cmd::new(cargo).args(["test", "--locked", "--no-fail-fast"]).args(targets).cwd(repository());
    if args.long {
        cmd = cmd.env(LONG, "1");
    }
    if let Some(filter) = &args.filter {
        cmd = cmd.arg("--").arg(filter);
    }
    let mut count = Count::default();
    if context.dry_run {
        context.report.say(&format!("would run: {}", cmd.line()));
        return Ok(count);
    }
    let _step = context.report.step("Testing", &targets.join(" "));
    let output = cmd.finish_with(&context.report, |line| {
        count = count + result_line(line).unwrap_or_default();
        context.report.say(line);
    })?;
    // Tests that do not compile, or that end abnormally, have no line that counts them.
    if !output.status.success() && count.failed == 0 {
        count.failed = 1;
    }
    Ok(count)
}

/// Reads the line a test binary ends with: `test result: ok. 5 passed; 0 failed; 1 ignored; …`.
fn result_line(line: &str) -> Option<Count> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |word: &str| {
        let part = numbers.split(';').map(str::trim).find(|part| part.ends_with(word))?;
        part.split(' ').next()?.parse().ok()
    };
    Some(Count { passed: number("passed")?, failed: number("failed")?, skipped: number("ignored")? })
}

impl std::ops::Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_counted() {
        let line = "test result: FAILED. 5 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.00s";
        assert_eq!(result_line(line), Some(Count { passed: 5, failed: 2, skipped: 1 }));
        assert_eq!(result_line("test some::name ... ok"), None);
    }
}
