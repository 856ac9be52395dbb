// SPDX-License-Identifier: GPL-2.0
//! What a distribution's archive is asked.

use std::fs::File;
use std::io::Seek as _;
use std::sync::Arc;

use anyhow::Result;
use camino::Utf8Path;

use crate::distribution::package::Package;
use crate::distribution::recipe::Recipe;
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::process::Cmd;
use report::{Report, Step, Unit};

/// A kernel of the archive: its release and its headers package.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What `uname -r` prints on it.
    pub release: Release,
    /// The package that holds its configuration and symbols.
    pub headers: Package,
}

impl Kernel {
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
    /// Commands, each reading what the one before writes; the last writes a tar file that is not compressed.
    pub commands: Vec<Cmd>,
    /// The directory that everything in it is below.
    pub top: String,
    /// What the first command reads; its position says how far the unpacking is.
    pub file: Arc<File>,
}

impl SourceTar {
    /// Shows on `step` how much of the file is unpacked.
    pub fn show_on(&self, step: &Step<'_>) {
        step.count(Unit::Bytes, self.file.metadata().map_or(0, |meta| meta.len()));
        let file = Arc::clone(&self.file);
        step.watch(move || (&*file).stream_position().unwrap_or_default());
    }
}

/// Of which age the kernels are that are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Those that the distribution offers now.
    Current,
    /// Those of the release before, and no others: they are looked at only when one is named.
    Old,
}

/// The kernels that a distribution offers, and their packages, which are fetched into the cache when they are needed.
pub trait Archive: std::fmt::Debug + Sync {
    /// All kernels whose headers it has, newest first.
    fn kernels(&self) -> Vec<Kernel>;

    /// Asks for its indexes anew. Gives false when that was already done in this run.
    fn refresh_once(&mut self) -> Result<bool>;

    /// The packages of a kernel; refused, with what there is instead, where one of this very version is not there any more.
    fn parts<'a>(&'a self, kernel: &'a Kernel) -> Result<Parts<'a>>;

    /// The source of exactly the version of a kernel; refused likewise.
    fn source(&self, kernel: &Kernel) -> Result<&Package>;

    /// What the compilers of a kernel with this configuration need.
    fn recipe(&self, kernel: &Kernel, config: &Config) -> Recipe;

    /// The configuration of a kernel.
    fn config(&self, kernel: &Kernel) -> Result<Config>;

    /// The text of a kernel's `Module.symvers`.
    fn symvers(&self, kernel: &Kernel) -> Result<String>;

    /// Fetches at once what [`Archive::config`] needs of these kernels.
    fn fetch_configs(&self, kernels: &[Kernel]) -> Result<()>;

    /// Whether the archive still has this version of the Rust compiler, where the kernel's own build root would take it from.
    fn has_rustc(&self, kernel: &Kernel, version: &str) -> bool;

    /// Whether the distribution signed the image of this kernel for Secure Boot.
    fn image_is_signed(&self, release: &Release) -> bool;

    /// Fetches packages into the cache, those that are not there yet.
    fn provide(&self, packages: &[&Package], report: &Report) -> Result<()>;

    /// The source in the package `source`, which was provided.
    fn source_tar(&self, source: &Package, release: &Release) -> Result<SourceTar>;

    /// Unpacks what the package of headers holds for building modules to `into`: `.config`, `Module.symvers`, and the image
    /// with its BTF, `vmlinux`, where it has that. It was provided.
    fn unpack_headers(
        &self,
        parts: &Parts<'_>,
        release: &Release,
        into: &Utf8Path,
        report: &Report,
    ) -> Result<()>;

    /// Unpacks image and modules to `into`, as they are installed. They were provided.
    fn unpack_image(&self, parts: &Parts<'_>, into: &Utf8Path, report: &Report) -> Result<()>;
}
