// SPDX-License-Identifier: GPL-2.0
//! The interface to a distribution's package archive.

use std::fs::File;
use std::io::Seek as _;
use std::sync::Arc;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::distribution::package::Package;
use crate::distribution::recipe::Recipe;
use kmodfile::architecture::Architecture;
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::process::Cmd;
use report::{ProgressUnit, Report, Step};

/// A kernel of the archive: its release and its headers package.
#[derive(Clone, Debug)]
pub struct ArchiveKernel {
    /// What `uname -r` prints on it.
    pub release: Release,
    /// The package that holds its configuration and symbols.
    pub headers: Package,
}

impl ArchiveKernel {
    /// The version of its packages.
    pub fn version(&self) -> &str {
        &self.headers.version
    }

    /// The part of the archive that it is in.
    pub fn suite(&self) -> &str {
        &self.headers.suite
    }
}

/// The packages that one kernel is made of, all of one version.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// Its configuration and symbols.
    pub headers: &'a Package,
    /// Its source.
    pub source: &'a Package,
    /// Its image, its modules, and what else of it a machine has installed.
    pub image: Vec<&'a Package>,
}

/// A kernel's source, to be unpacked by a tar(1) of the caller's choice.
#[derive(Clone, Debug)]
pub struct SourceTar {
    /// Commands, each reading what the one before writes; the last writes a tar file that is not
    /// compressed.
    pub commands: Vec<Cmd>,
    /// The directory that everything in it is below.
    pub top: String,
    /// The file that the first command reads; its position shows the progress.
    pub file: Arc<File>,
}

impl SourceTar {
    /// Shows on `step` how much of the file is unpacked.
    pub fn show_on(&self, step: &Step<'_>) {
        step.count(ProgressUnit::Bytes, self.file.metadata().map_or(0, |meta| meta.len()));
        let file = Arc::clone(&self.file);
        step.watch(move || (&*file).stream_position().unwrap_or_default());
    }
}

/// Which kernels an archive is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Those of the current releases.
    Current,
    /// Only those of the previous release: consulted only when such a kernel is named.
    Old,
    /// Only those that are not in a release to come either, but tried out: consulted only when such
    /// a kernel is named.
    Next,
}

/// The kernels that a distribution offers, and their packages, which are fetched into the cache
/// when they are needed.
pub trait Archive: std::fmt::Debug + Sync {
    /// What its kernels are for.
    fn architecture(&self) -> Architecture;

    /// All kernels whose headers it has, newest first.
    fn kernels(&self) -> Vec<ArchiveKernel>;

    /// Fetches the indexes again. Returns false if that was already done in this run.
    fn refresh_once(&mut self) -> Result<bool>;

    /// The packages of a kernel, all of its own version.
    ///
    /// # Errors
    ///
    /// Refused, if the archive no longer has one of them; the error names the versions it has.
    fn parts<'a>(&'a self, kernel: &'a ArchiveKernel) -> Result<Parts<'a>>;

    /// The source package of exactly the kernel's version; refused if the archive no longer has it.
    fn source(&self, kernel: &ArchiveKernel) -> Result<&Package>;

    /// The build root that a kernel with this configuration needs.
    fn recipe(&self, kernel: &ArchiveKernel, config: &Config) -> Recipe;

    /// The same, with clang and all of LLVM's tools, whatever the kernel was built with.
    fn recipe_with_clang(&self, kernel: &ArchiveKernel, config: &Config) -> Recipe;

    /// The configuration of a kernel.
    fn config(&self, kernel: &ArchiveKernel) -> Result<Config>;

    /// The text of a kernel's `Module.symvers`.
    fn symvers(&self, kernel: &ArchiveKernel) -> Result<String>;

    /// Fetches in one go what [`Archive::config`] needs for these kernels.
    fn fetch_configs(&self, kernels: &[ArchiveKernel]) -> Result<()>;

    /// Whether the archive still has this version of the Rust compiler, where the kernel's own
    /// build root would take it from.
    fn has_rustc(&self, kernel: &ArchiveKernel, version: &str) -> bool;

    /// Whether the distribution signed the image of this kernel for Secure Boot.
    fn image_is_signed(&self, release: &Release) -> bool;

    /// Fetches packages into the cache, unless they are there already.
    fn provide(&self, packages: &[&Package], report: &Report) -> Result<()>;

    /// The source in the package `source`. Call [`Archive::provide`] first.
    fn source_tar(&self, source: &Package, release: &Release) -> Result<SourceTar>;

    /// Unpacks what building modules needs of the headers package to `into`: `.config`,
    /// `Module.symvers`, and `vmlinux` with the kernel's BTF, if the package has it. Call
    /// [`Archive::provide`] first.
    fn unpack_headers(
        &self,
        parts: &Parts<'_>,
        release: &Release,
        into: &Utf8Path,
        report: &Report,
    ) -> Result<()>;

    /// The packages that a machine has installed to build a kernel's modules: its headers, and what
    /// of the same version they lead to.
    fn build_packages<'a>(&'a self, kernel: &'a ArchiveKernel) -> Result<Vec<&'a Package>>;

    /// Lays these packages out at `place`, where they work as if they were installed: `build` is
    /// what `make -C` takes, `source` what its Makefile leads to. Call [`Archive::provide`] first.
    fn unpack_build_tree(
        &self,
        packages: &[&Package],
        release: &Release,
        place: &Utf8Path,
        report: &Report,
    ) -> Result<()>;

    /// The package with the debug information of exactly this kernel.
    ///
    /// # Errors
    ///
    /// Refused, if the archive does not have it.
    fn debug_package<'a>(&'a self, kernel: &ArchiveKernel) -> Result<&'a Package>;

    /// Unpacks the kernel with its debug information, and nothing of its modules', somewhere below
    /// `into`, and says where. Call [`Archive::provide`] first; the package, which is large, is
    /// removed.
    fn unpack_debug(
        &self,
        package: &Package,
        release: &Release,
        into: &Utf8Path,
        report: &Report,
    ) -> Result<Utf8PathBuf>;

    /// Unpacks image and modules to `into`, laid out as installed. Call [`Archive::provide`] first.
    fn unpack_image(&self, parts: &Parts<'_>, into: &Utf8Path, report: &Report) -> Result<()>;
}
