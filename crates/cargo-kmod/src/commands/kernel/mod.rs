// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod kernel`: list, prepare, package, remove, gc.

mod gc;
mod list;
mod package;
mod prepare;
mod source;

use anyhow::Result;
use clap::Subcommand;

use kernel::context::Context;
use kernel::distribution::known;
use kmodfile::release::Release;

use gc::GcArgs;
use list::ListArgs;
use package::PackageArgs;
use prepare::PrepareArgs;

/// `cargo kmod kernel`.
#[derive(Debug, Subcommand)]
pub enum KernelCommand {
    /// List the kernels of this machine and of the archive, and what can be built for each
    ///
    /// Of an installed kernel it says whether modules in C and in Rust can be built for it now, as
    /// it is; if not, why, and what supplies what is missing. Such a kernel is named by its
    /// release, or as `--kernel running` or `--kernel installed`.
    List(ListArgs),
    /// Make the tree that Rust modules are built against, and prove it
    ///
    /// Headers and source of the same version are fetched, the Rust artefacts that the
    /// distribution's headers lack are made again with the kernel's own toolchain, and every Rust
    /// symbol that the kernel exports is checked against them. A tree that misses one is refused.
    ///
    /// With --source the kernel is made from a source of your own, in an output directory of its
    /// own: configured and prepared, or, with --full, compiled as a whole.
    Prepare(PrepareArgs),
    /// Make packages of a kernel's Rust artefacts: linux-librust-RELEASE as .deb and .rpm
    ///
    /// They hold just what building modules in Rust reads and the distribution's own headers lack.
    /// With the headers and such a package installed, `make` in a project, DKMS and this tool build
    /// modules in Rust without making anything of the kernel. They serve the machines of this
    /// architecture, and depend on the headers and the compiler of exactly the kernel's versions.
    Package(PackageArgs),
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

/// Runs one of them.
pub fn run(context: &Context, command: &KernelCommand) -> Result<()> {
    // Removing takes no program, and what is installed is listed without the archive.
    if !matches!(command, KernelCommand::Remove { .. } | KernelCommand::List(_)) {
        known::ensure_programs(context)?;
    }
    match command {
        KernelCommand::List(args) => list::list(context, args),
        KernelCommand::Prepare(args) => prepare::prepare(context, args),
        KernelCommand::Package(args) => package::package(context, args),
        KernelCommand::Remove { release } => kernel::prepare::remove(context, release),
        KernelCommand::Gc(args) => gc::gc(context, args),
    }
}
