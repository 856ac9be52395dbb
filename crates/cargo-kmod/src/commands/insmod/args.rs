// SPDX-License-Identifier: GPL-2.0
//! The options of `cargo kmod insmod`.

use camino::Utf8PathBuf;
use clap::Args;
use kernel::sanitizing::stands_for;
use project::Purpose;
use report::destination::Destination;
use report::failure::Failure;
use report::process::Cmd;

use crate::commands::build::{BuildArgs, SignWith};
use crate::commands::tested::TestedModules;
use crate::machine_args::MachineArgs;

/// What modules that are built already have no part in.
const FILES_EXCLUDE: [&str; 11] = [
    "project",
    "settings",
    "allow_shell",
    "all_kernels",
    "packages",
    "needs",
    "sign_key",
    "watch",
    "coverage",
    "sanitize",
    "secure_boot",
];

/// `cargo kmod insmod`.
#[derive(Clone, Debug, Args)]
pub struct InsmodArgs {
    /// Modules that are built already, of anybody's, instead of the project's: they are loaded in
    /// the order in which they depend on each other, in the kernel that they were built for
    #[arg(value_name = "FILE.ko", conflicts_with_all = FILES_EXCLUDE)]
    pub files: Vec<Utf8PathBuf>,
    /// What to build and boot.
    #[command(flatten)]
    pub build: BuildArgs,
    /// What the machine has.
    #[command(flatten)]
    pub machine: MachineArgs,
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
    /// Run this program while the modules are loaded; what it prints as KTAP, or else its exit
    /// status, is part of the verdict (4 stands for skipped, as in the kernel's selftests); may be
    /// repeated
    ///
    /// Its libraries are taken along, and of a script the program of its first line. What else it
    /// calls or reads is named by --with.
    #[arg(long = "test", value_name = "FILE", conflicts_with = "secure_boot")]
    pub tests: Vec<Utf8PathBuf>,
    /// A program, with its libraries, or another file that --test needs, at the same path; may be
    /// repeated
    #[arg(long, value_name = "FILE", requires = "tests")]
    pub with: Vec<Utf8PathBuf>,
    /// Build for, and boot, the kernel that stands for the chosen one and finds faults: KASAN,
    /// UBSAN, lockdep, kmemleak; KUnit suites in the modules run there
    ///
    /// It is built when it is wanted for the first time, from the same source and configuration,
    /// which takes some twenty minutes on two processors.
    #[arg(long, conflicts_with_all = ["all_kernels", "secure_boot"])]
    pub sanitize: bool,
    /// Fetch the kernel's debug information, once: from then on its own frames of a trace are led
    /// back to its source, too
    ///
    /// The package to be downloaded has 350 MB for a kernel for the cloud, and 1.2 GB for one with
    /// all drivers. Of it the kernel itself is kept, without its modules: some 410 MB, which go
    /// with the prepared kernel. Debug information that is installed is used without being asked
    /// for.
    #[arg(long, conflicts_with_all = ["sanitize", "secure_boot"])]
    pub kernel_debug: bool,
    /// Write the results to this file, or standard output (-), as KTAP: a test a kernel, in it
    /// the KUnit suites of its modules and the results of --test
    #[arg(long, value_name = "FILE", conflicts_with = "secure_boot")]
    pub ktap: Option<Destination>,
    /// Write the results to this file, or standard output (-), as JUnit's XML: a suite a kernel,
    /// with the console of what failed; a project that fails in some of several runs is flaky there
    #[arg(long, value_name = "FILE", conflicts_with = "secure_boot")]
    pub junit: Option<Destination>,
    /// Write what happens to this file, or standard output (-), while it happens: a line of JSON
    /// for each thing that the guest reports, and one for each verdict
    #[arg(long, value_name = "FILE", conflicts_with = "secure_boot")]
    pub events: Option<Destination>,
    /// Write which lines of the modules are reached to this file, or standard output (-), as a
    /// tracefile of lcov's; implies --sanitize
    ///
    /// Counted is what the process reaches that loads and removes the modules, and each program
    /// that it runs. Interrupts, timers, work queues and threads of the kernel are not counted, and
    /// so KUnit's tests are not.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["all_kernels", "secure_boot"])]
    pub coverage: Option<Destination>,
    /// Boot the real Secure Boot chain three times: is the module refused unsigned, refused while
    /// its certificate is not enrolled, and loaded once it is? With a key made for the run, or that
    /// of --sign-key
    #[arg(long)]
    pub secure_boot: bool,
}

impl InsmodArgs {
    /// The same with what some options imply.
    pub(super) fn completed(&self) -> Self {
        let mut args = self.clone();
        if args.coverage.is_some() {
            args.sanitize = true;
            args.build.purpose = Purpose::Coverage;
        }
        args
    }

    /// The command that loads the same modules in the same way for one kernel.
    pub(super) fn again(&self, tested: &TestedModules) -> String {
        let release = &tested.release;
        let of = stands_for(release).filter(|_| self.sanitize);
        let release = of.as_ref().unwrap_or(release);
        let cmd = Cmd::new("cargo").args(["kmod", "insmod"]);
        let cmd = tested.named(cmd).args(["--kernel", release.as_str()]);
        let mut cmd = self.machine.add_to(cmd);
        for (name, value) in &self.build.settings {
            cmd = cmd.args(["--set", &format!("{name}={value}")]);
        }
        cmd = self.build.packages.iter().fold(cmd, |cmd, name| cmd.args(["--package", name]));
        for (option, files) in
            [("--needs", &self.build.needs), ("--test", &self.tests), ("--with", &self.with)]
        {
            cmd = files.iter().fold(cmd, |cmd, file| cmd.args([option, file.as_str()]));
        }
        let SignWith { sign_key, sign_cert } = &self.build.sign;
        if let (Some(key), Some(certificate)) = (sign_key, sign_cert) {
            cmd = cmd.args(["--sign-key", &key.to_string(), "--sign-cert", certificate.as_str()]);
        }
        if let Some(file) = &self.coverage {
            cmd = cmd.args(["--coverage", &file.to_string()]);
        }
        let flags =
            [(self.build.allow_shell, "--allow-shell"), (self.cold, "--cold"), (self.sanitize, "--sanitize")];
        flags.into_iter().filter(|(is, _)| *is).fold(cmd, |cmd, (_, flag)| cmd.arg(flag)).line()
    }

    /// The report that goes to standard output, if one does.
    ///
    /// # Errors
    ///
    /// Usage, if several are to.
    pub(super) fn report_to_output(&self, json: bool) -> Result<Option<&'static str>, Failure> {
        let all = [
            ("--ktap", &self.ktap),
            ("--junit", &self.junit),
            ("--events", &self.events),
            ("--coverage", &self.coverage),
        ];
        let to =
            all.into_iter().filter(|(_, to)| **to == Some(Destination::Output)).map(|(option, _)| option);
        let to: Vec<&str> = to.chain(json.then_some("--json")).collect();
        match to.as_slice() {
            [] | ["--json"] => Ok(None),
            [_] => Ok(all
                .into_iter()
                .find(|(_, to)| **to == Some(Destination::Output))
                .map(|(option, _)| option)),
            several => {
                let reason = "all of them would go to standard output";
                Err(Failure::usage(several.join(", "), reason).remedy("give all but one a file"))
            }
        }
    }
}
