// SPDX-License-Identifier: GPL-2.0
//! The command line of `cargo kmod`: its commands by name, and the options that all of them take. A
//! command's own options stand beside its `run()`, in `commands/`.

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::{Parser, Subcommand};

use crate::commands;
use crate::commands::build::BuildCommand;
use crate::commands::dkms::DkmsCommand;
use crate::commands::insmod::InsmodArgs;
use crate::commands::inspect::InspectArgs;
use crate::commands::install::InstallArgs;
use crate::commands::kernel::KernelCommand;
use crate::commands::key::KeyCommand;
use crate::commands::man::ManArgs;
use crate::commands::matrix::MatrixCommand;
use crate::commands::new::NewArgs;
use crate::commands::patch::PatchCommand;
use crate::commands::rpm::RpmArgs;
use crate::commands::setup::SetupArgs;
use crate::commands::sign::SignArgs;
use crate::commands::status::StatusArgs;
use crate::commands::uninstall::UninstallArgs;
use crate::commands::vm::VmCommand;
use crate::commands::weak_modules::WeakModulesArgs;
use crate::global::Global;
use crate::tool::Tool;
use kernel::context::Context;
use kernel::root::enter::RootEntry;
use kernel::root::removal;

/// Builds, checks, boots and ships out-of-tree kernel modules
#[derive(Debug, Parser)]
#[command(name = "cargo kmod", bin_name = "cargo kmod", version, after_help = EXIT_STATUS)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
}

/// What the help of the whole tool ends with.
pub const EXIT_STATUS: &str = "\
Exit status:
   0 ok    1 failed    2 usage    3 something is missing on this machine    4 refused
  10 the kernel refused the module   20 it warned   21 oops   22 lockdep   23 hang   24 leak
  25 panic   30 the guest never came up   31 time limit   32 QEMU ended   77 skipped";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a repository for a module: it builds, boots, packages and passes its own tests as it is
    ///
    /// With --fix it is a rebuild of one of the kernel's own modules: a list of what is taken from
    /// the kernel's source, and an empty patch series.
    #[command(after_help = "\
Examples:
  cargo kmod new hello && cd hello && cargo kmod insmod
  cargo kmod new hello --c
  cargo kmod new isofs-fix --fix fs/isofs --kernel 7.2.13+deb14-cloud-amd64")]
    New(NewArgs),
    /// Say what this machine has and lacks, and which command supplies it
    Doctor,
    /// Kernels of the archive, and the trees modules are built against
    #[command(subcommand)]
    Kernel(KernelCommand),
    /// Build a project for one or more kernels, in a staged copy
    Build(BuildCommand),
    /// The patches of a project that is rebuilt from the kernel's own source
    #[command(subcommand)]
    Patch(PatchCommand),
    /// Put modules into a system's /lib/modules, so that modprobe loads them instead of the
    /// distribution's
    ///
    /// All or nothing for each kernel: what is new is made and checked beside what is there, then
    /// renamed in. A run that is killed is finished or undone by the next install, uninstall or
    /// status. A module that the kernel would not load is refused before that, with every reason
    /// why, as by inspect --kernel.
    #[command(after_help = "\
Examples:
  cargo kmod install --kernel 7.2.13+deb14-cloud-amd64       the project here, built for that kernel
  cargo kmod install --all-kernels --root /mnt               into a system that is mounted there
  cargo kmod install hello.ko --load --options loud=1        a module that is built already")]
    Install(InstallArgs),
    /// Uninstall modules: with the last one, every byte and mode is as before the first
    Uninstall(UninstallArgs),
    /// Say which file modprobe would load, why, and whether the distribution's own module has
    /// changed since
    Status(StatusArgs),
    /// Say what is in a module or a package of modules, and whether a kernel would load it
    ///
    /// Everything that the file holds: modinfo, vermagic, CRCs, imported and exported symbols,
    /// signers and their keys, BTF, compilers. With --kernel it says without booting whether that
    /// kernel would load it, and every reason why not: vermagic, missing symbols, CRCs, namespaces,
    /// symbols for the GPL only, signatures. One file is shown in full, several as a table. It ends
    /// with status 4 if one would not be loaded. Of a package it also says what it was made of.
    #[command(after_help = "\
Examples:
  cargo kmod inspect hello.ko
  cargo kmod inspect hello.ko.xz --kernel 7.2.13+deb14-cloud-amd64 --secure-boot
  cargo kmod inspect target/rpm/kmod-hello-cloud-amd64-0.1.0-1.k6.12.107+deb13.x86_64.rpm
  cargo kmod inspect --json /lib/modules/*/extra/*.ko.xz")]
    Inspect(InspectArgs),
    /// Keys that modules are signed with
    #[command(subcommand)]
    Key(KeyCommand),
    /// Sign built modules in place with the kernel's own sign-file, and verify each signature
    ///
    /// The hash is the one of the kernel's configuration. Everything is checked first: a key that
    /// does not fit the certificate, an expired certificate, a module that is compressed or signed
    /// already is refused, and a file is only replaced by one whose signature was verified. A
    /// passphrase or PIN is taken from KBUILD_SIGN_PIN.
    Sign(SignArgs),
    /// Boot the kernel in QEMU, load the built module, unload it, and give a verdict
    Insmod(Box<InsmodArgs>),
    /// Run a program, or have a shell, under another kernel, a project's modules loaded
    #[command(subcommand)]
    Vm(Box<VmCommand>),
    /// Projects by kernels: on which does each build, load, run, and survive?
    #[command(subcommand)]
    Matrix(Box<MatrixCommand>),
    /// Make kmod RPMs of a project, for several kernels at once
    Rpm(RpmArgs),
    /// Link modules of one kernel into others that would load them, where the system has no
    /// weak-modules
    ///
    /// A module in /lib/modules/RELEASE/extra is linked into /lib/modules/OTHER/weak-updates if
    /// that kernel would load it: each symbol that it imports has the CRC there that it was built
    /// against (CONFIG_MODVERSIONS), be it the kernel's or that of another module that is linked.
    /// What a kernel exports, its symvers file says. Each module that is not linked is told, with
    /// the reason; with -v every reason.
    WeakModules(WeakModulesArgs),
    /// Register a project with DKMS, build and install it, and the way back
    #[command(subcommand)]
    Dkms(DkmsCommand),
    /// Install manual pages and completions for bash, zsh and fish
    Setup(SetupArgs),
    /// Print the manual page of a command, or write those of all
    Man(ManArgs),
    /// Print what a shell completes the tool's words with
    ///
    /// For the program `xtask`, which `cargo kmod` runs: `alias xtask='cargo kmod'` gives it that
    /// name in a shell.
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Runs a command in a build root; started by the tool itself in namespaces of its own
    #[command(hide = true)]
    EnterRoot(RootEntry),
    /// Removes a build root; started by the tool itself in namespaces of its own
    #[command(hide = true)]
    RemoveRoot {
        /// The root.
        dir: Utf8PathBuf,
    },
}

impl Command {
    /// A command that the tool starts itself, in namespaces of its own; it needs nothing of the
    /// user's. None for all others.
    pub fn run_inside(&self) -> Option<Result<()>> {
        match self {
            Self::EnterRoot(entry) => Some(entry.run()),
            Self::RemoveRoot { dir } => Some(removal::remove_in_namespace(dir)),
            _ => None,
        }
    }

    /// Runs the command.
    pub fn run(&self, tool: &Tool, context: &Context) -> Result<()> {
        match self {
            Self::New(args) => commands::new::run(context, tool, args),
            Self::Doctor => commands::doctor::run(context, tool),
            Self::Kernel(command) => commands::kernel::run(context, command),
            Self::Build(args) => commands::build::run(context, args),
            Self::Inspect(args) => commands::inspect::run(context, args),
            Self::Patch(command) => commands::patch::run(context, command),
            Self::Key(command) => commands::key::run(context, command),
            Self::Sign(args) => commands::sign::run(context, args),
            Self::EnterRoot(_) | Self::RemoveRoot { .. } => unreachable!("run_inside comes first"),
            Self::Dkms(command) => commands::dkms::run(context, command),
            Self::Install(args) => commands::install::run(context, args),
            Self::Uninstall(args) => commands::uninstall::run(context, args),
            Self::Status(args) => commands::status::run(context, args),
            Self::Insmod(args) if args.secure_boot => commands::secure_boot::run(context, args),
            Self::Insmod(args) => commands::insmod::run(context, args),
            Self::Vm(command) => commands::vm::run(context, command),
            Self::Matrix(command) => commands::matrix::run(context, tool, command),
            Self::Rpm(args) => commands::rpm::run(context, args),
            Self::WeakModules(args) => commands::weak_modules::run(context, args),
            Self::Setup(args) => commands::setup::run(context, tool, args),
            Self::Man(args) => commands::man::run(context, tool, args),
            Self::Completions { shell } => commands::completions::run(tool, *shell),
        }
    }
}
