// SPDX-License-Identifier: GPL-2.0
//! The options of `cargo kmod vm`.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use crate::commands::build::BuildArgs;
use crate::machine_args::MachineArgs;

/// `cargo kmod vm`.
#[derive(Clone, Debug, Subcommand)]
pub enum VmCommand {
    /// Run a program of this machine under another kernel, the project's modules loaded
    ///
    /// The program sees this machine's files, and can write to none of them but what --share names;
    /// what it prints comes out here. /tmp, /run and /dev are the machine's own. It starts in this
    /// directory. The verdict is as that of insmod: the exit status says what the kernel complained
    /// of, or 1 that the program failed.
    #[command(after_help = "\
Examples:
  cargo kmod vm run -- cat /proc/modules
  cargo kmod vm run --bare --smp 2 --kernel running -- uname -a
  cargo kmod vm run --share results -- ./measure --to results
  cargo kmod vm run --module a.ko --module b.ko -- ./test.py")]
    Run(RunArgs),
    /// Have a shell under another kernel, the project's modules loaded
    ///
    /// As with vm run; the shell is yours ($SHELL). It ends with exit, or when the kernel does: the
    /// verdict then says how.
    #[command(after_help = "\
Examples:
  cargo kmod vm shell
  cargo kmod vm shell --net --memory 1024 --share .
  cargo kmod vm shell --gdb                    and in another terminal the command that it says")]
    Shell(VmArgs),
}

/// `cargo kmod vm run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The machine.
    #[command(flatten)]
    pub vm: VmArgs,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub command: Vec<String>,
}

/// What boots, what is loaded in it, and what it sees of this machine.
#[derive(Clone, Debug, Args)]
pub struct VmArgs {
    /// Load this module, which is built already, instead of the project's; may be repeated
    #[arg(long = "module", value_name = "FILE.ko", conflicts_with_all = ["project", "settings", "all_kernels", "sign_key"])]
    pub modules: Vec<Utf8PathBuf>,
    /// Load no module: the kernel as it is
    #[arg(long, conflicts_with_all = ["modules", "project", "settings", "all_kernels", "sign_key", "params"])]
    pub bare: bool,
    /// What to build and boot.
    #[command(flatten)]
    pub build: BuildArgs,
    /// What the machine has.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Directory of this machine that may be written to, at the same path; may be repeated
    #[arg(long, value_name = "DIR")]
    pub share: Vec<Utf8PathBuf>,
    /// Give the machine a network on which it reaches what this one reaches, and names are looked
    /// up as here
    #[arg(long)]
    pub net: bool,
    /// Let gdb(1) attach: the command that does so, with the symbols of the kernel and the modules,
    /// is said before the program begins
    #[arg(long)]
    pub gdb: bool,
}
