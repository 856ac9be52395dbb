// SPDX-License-Identifier: GPL-2.0
//! A cache in which no kernel was ever prepared.

use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use clap::ValueEnum as _;

use crate::bench::scratch::Scratch;
use kernel::context::Context;
use kernel::kdir::Kdir;
use kmodfile::release::Release;
use report::Report;
use report::cache::Cache;
use report::process::Cmd;

/// A cache that shares nothing with the user's but the directories that it is told, until the value
/// is dropped.
pub(super) struct ColdCache {
    scratch: Scratch,
}

impl ColdCache {
    /// The cache of `measure`; `shared` are directories of the user's cache, such as `roots`.
    pub(super) fn new(context: &Context, measure: &str, shared: &[&str]) -> Result<Self> {
        let cold = Self { scratch: Scratch::new(context, measure)? };
        fs_err::create_dir(cold.dir())?;
        for name in shared {
            let theirs = context.cache.path(name);
            fs_err::create_dir_all(&theirs)?;
            symlink(theirs, cold.dir().join(name))?;
        }
        Ok(cold)
    }

    /// A directory for whatever else is measured.
    pub(super) fn path(&self) -> &Utf8Path {
        self.scratch.path()
    }

    fn dir(&self) -> Utf8PathBuf {
        self.path().join("cargo-kmod")
    }

    /// The tool with this cache, still without a command.
    pub(super) fn tool(&self, context: &Context) -> Cmd {
        let root_fs = context.root_fs.to_possible_value();
        let root_fs = root_fs.map(|value| value.get_name().to_owned()).unwrap_or_default();
        Cmd::new(&context.program)
            .args(["--root-fs", &root_fs, "--jobs", &context.jobs.to_string()])
            .env("XDG_CACHE_HOME", self.path())
    }

    /// What was prepared here.
    pub(super) fn kdir(&self, context: &Context, release: &Release) -> Result<Kdir> {
        let here = Context::new(Report::silent(), Cache::at(self.dir())?, context.program.clone());
        Kdir::open(&here.cache, release).context("the tool reported success and prepared nothing")
    }
}
