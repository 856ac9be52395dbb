// SPDX-License-Identifier: GPL-2.0
//! The kernel that a project is built for.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use kernel::context::Context;
use kernel::prepare::Prepared;
use kmodfile::config::Config;
use kmodfile::release::Release;

/// A kernel that a project is to be built for, as a `dkms.conf` sees it.
#[derive(Clone, Debug)]
pub struct BuildTarget {
    /// `$kernelver`.
    pub release: Release,
    /// `$kernel_source_dir`: what `make -C` takes.
    pub build: Utf8PathBuf,
    /// `$dkms_tree`: the directory in which the staged copy is `NAME/VERSION/build`.
    pub tree: Utf8PathBuf,
    /// Its configuration.
    pub config: Config,
    /// `$parallel_jobs`: how many programs make may run at once.
    pub jobs: usize,
}

impl BuildTarget {
    /// A prepared kernel, for the project in `dir`.
    pub fn of(context: &Context, dir: &Utf8Path, prepared: &Prepared) -> Result<Self> {
        let kdir = &prepared.kdir;
        let release = kdir.release().clone();
        let tree = context.target_of(dir).join("dkms").join(&release);
        let at_home = || format!("/lib/modules/{release}/build").into();
        let build = if prepared.root.is_host() { kdir.build() } else { at_home() };
        Ok(Self { build, config: kdir.config()?, release, tree, jobs: context.jobs })
    }
}
