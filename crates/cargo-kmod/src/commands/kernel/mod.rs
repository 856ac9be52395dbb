// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod kernel`: list, prepare, remove, gc.

mod gc;
mod list;
mod prepare;
mod source;

use anyhow::Result;
use clap::Subcommand;

use kernel::context::Context;
use kernel::distribution::known;
use kernel::machine::programs;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;

use gc::GcArgs;
use prepare::PrepareArgs;

/// `cargo kmod kernel`.
#[derive(Debug, Subcommand)]
pub enum KernelCommand {
    /// List the archive's kernels, which have Rust, and which are prepared
    List {
        /// Architecture of the kernels, amd64 or arm64 [default: this machine's]
        ///
        /// The release of a kernel tells which it is for: any command takes it with --kernel.
        #[arg(long, value_name = "ARCH", value_parser = architecture)]
        arch: Option<Architecture>,
    },
    /// Make the tree that Rust modules are built against, and prove it
    ///
    /// Headers and source of the same version are fetched, the Rust artefacts that the
    /// distribution's headers lack are made again with the kernel's own toolchain, and every Rust
    /// symbol that the kernel exports is checked against them. A tree that misses one is refused.
    Prepare(PrepareArgs),
    /// Remove a prepared kernel from the cache
    Remove {
        /// The kernel, as `uname -r` prints it
        release: Release,
    },
    /// Remove sources, build roots and packages that no prepared kernel uses; with --keep, kernels
    ///
    /// A kernel that was removed is prepared again when it is needed. How much each takes is in
    /// `cargo kmod kernel list`.
    Gc(GcArgs),
}

/// An architecture, by any of its names.
fn architecture(text: &str) -> Result<Architecture, String> {
    let known = || Architecture::ALL.map(Architecture::debian).join(", ");
    Architecture::named(text).ok_or_else(|| format!("kernels are prepared for {}", known()))
}

/// Runs one of them.
pub fn run(context: &Context, command: &KernelCommand) -> Result<()> {
    // Removing takes no program.
    if !matches!(command, KernelCommand::Remove { .. }) {
        programs::ensure(context, &[known::usual().programs()])?;
    }
    match command {
        KernelCommand::List { arch } => {
            list::list(context, arch.or_else(Architecture::native).unwrap_or_default())
        }
        KernelCommand::Prepare(args) => prepare::prepare(context, args),
        KernelCommand::Remove { release } => kernel::prepare::remove(context, release),
        KernelCommand::Gc(args) => gc::gc(context, args),
    }
}
