// SPDX-License-Identifier: GPL-2.0
//! The options of `cargo kmod insmod`.

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use kernel::sanitizing::stands_for;
use kmodfile::release::Release;
use report::process::Cmd;

use crate::commands::build::BuildArgs;

/// Memory of a machine in MiB, if nothing else is said.
const MEMORY: u32 = 256;

/// `cargo kmod insmod`.
#[derive(Clone, Debug, Args)]
pub struct InsmodArgs {
    /// What to build and boot.
    #[command(flatten)]
    pub build: BuildArgs,
    /// Parameters given to the module, such as mode=0
    #[arg(long, value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// Seconds after which the machine is stopped
    #[arg(long, value_name = "SECONDS")]
    pub limit: Option<u64>,
    /// Memory of the machine in MiB
    #[arg(long, value_name = "MIB", default_value_t = MEMORY)]
    pub memory: u32,
    /// Words added to the kernel's command line
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub append: Vec<String>,
    /// Boot the machine, even where one was saved with the kernel's own modules in: later runs go
    /// on from there in a fraction of the time, and come to the same verdict
    #[arg(long)]
    pub cold: bool,
    /// Load the modules so many times, each time in a machine of its own; the first verdict that is
    /// no pass is the exit status, and its console is kept
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "secure_boot")]
    pub repeat: Option<u32>,
    /// Load the modules again and again, until a verdict is no pass; at most as often as --repeat
    /// says
    #[arg(long, conflicts_with = "secure_boot")]
    pub until_failure: bool,
    /// Do all of it again whenever a file of the project is saved, until Ctrl-C
    #[arg(long, conflicts_with = "secure_boot")]
    pub watch: bool,
    /// Build for, and boot, the kernel that stands for the chosen one and finds faults: KASAN,
    /// UBSAN, lockdep, kmemleak; KUnit suites in the modules run there
    ///
    /// It is built when it is wanted for the first time, from the same source and configuration,
    /// which takes some twenty minutes on two processors.
    #[arg(long, conflicts_with_all = ["all_kernels", "secure_boot"])]
    pub sanitize: bool,
    /// Write the results to this file as KTAP: a test a kernel, in it the KUnit suites of its
    /// modules
    #[arg(long, value_name = "FILE", conflicts_with = "secure_boot")]
    pub ktap: Option<Utf8PathBuf>,
    /// Write the results to this file as JUnit's XML: a suite a kernel, with the console of what
    /// failed; a project that fails in some of several runs is flaky there
    #[arg(long, value_name = "FILE", conflicts_with = "secure_boot")]
    pub junit: Option<Utf8PathBuf>,
    /// Write what happens to this file while it happens: a line of JSON for each thing that the
    /// guest reports, and one for each verdict
    #[arg(long, value_name = "FILE", conflicts_with = "secure_boot")]
    pub events: Option<Utf8PathBuf>,
    /// Boot the real Secure Boot chain three times: is the module refused unsigned, refused while
    /// its certificate is not enrolled, and loaded once it is? With a key made for the run, or that
    /// of --sign-key
    #[arg(long)]
    pub secure_boot: bool,
}

impl InsmodArgs {
    /// The command that loads the modules of the project in `dir` in the same way for one kernel.
    pub(super) fn again(&self, dir: &Utf8Path, release: &Release) -> String {
        let of = stands_for(release).filter(|_| self.sanitize);
        let release = of.as_ref().unwrap_or(release);
        let cmd = Cmd::new("cargo").args(["kmod", "insmod", "--project", dir.as_str()]);
        let mut cmd = cmd.args(["--kernel", release.as_str()]);
        for (option, values) in [("--params", &self.params), ("--append", &self.append)] {
            cmd = values.iter().fold(cmd, |cmd, value| cmd.args([option, value]));
        }
        cmd = self
            .build
            .settings
            .iter()
            .fold(cmd, |cmd, (name, value)| cmd.args(["--set", &format!("{name}={value}")]));
        cmd = self.build.packages.iter().fold(cmd, |cmd, name| cmd.args(["--package", name]));
        if self.memory != MEMORY {
            cmd = cmd.args(["--memory", &self.memory.to_string()]);
        }
        if let Some(limit) = self.limit {
            cmd = cmd.args(["--limit", &limit.to_string()]);
        }
        let flags =
            [(self.build.allow_shell, "--allow-shell"), (self.cold, "--cold"), (self.sanitize, "--sanitize")];
        flags.into_iter().filter(|(is, _)| *is).fold(cmd, |cmd, (_, flag)| cmd.arg(flag)).line()
    }
}
