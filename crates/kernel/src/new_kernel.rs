// SPDX-License-Identifier: GPL-2.0
//! What the makers of kernels have in common, wherever their source is from: a tree is made in its
//! place, and is marked as complete last; one that failed is removed.

use std::time::{Duration, Instant};

use anyhow::Result;
use camino::Utf8Path;

use crate::artefacts::discard_by_products;
use crate::context::Context;
use crate::distribution::recipe::Recipe;
use crate::kdir::{Kdir, Stamp, build_of};
use crate::origin::Origin;
use crate::root::Root;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::seconds;

/// A kernel that is to be made, as its stamp will have it.
pub(crate) struct NewKernel<'a> {
    pub(crate) context: &'a Context,
    pub(crate) release: &'a Release,
    pub(crate) inputs: &'a str,
    pub(crate) recipe: &'a Recipe,
    pub(crate) root: &'a Root,
    pub(crate) architecture: Architecture,
    pub(crate) origin: Origin,
}

/// What came of making its tree.
pub(crate) struct MadeTree {
    /// The time of the bare make steps.
    pub(crate) took: Duration,
    /// The Rust symbols that were proven.
    pub(crate) rust_symbols: usize,
}

impl NewKernel<'_> {
    /// Has `make` make the tree in its place. The caller holds the kernel's lock.
    pub(crate) fn make(self, make: impl FnOnce(&Utf8Path) -> Result<MadeTree>) -> Result<()> {
        let (started, release) = (Instant::now(), self.release);
        let place = Kdir::place_of(&self.context.cache, release);
        let made = make(&place).and_then(|made| discard_by_products(&build_of(&place)).map(|()| made));
        let made = made.inspect_err(|_| {
            // A refused or failed tree is useless, and the error names its log, which is elsewhere.
            fs_err::remove_dir_all(&place).ok();
        })?;
        let stamp = Stamp {
            release: release.clone(),
            inputs: self.inputs.to_owned(),
            recipe: self.recipe.clone(),
            architecture: self.architecture,
            origin: self.origin,
            tools: self.root.identity().to_owned(),
            place,
            rust_symbols: made.rust_symbols,
            seconds: started.elapsed().as_secs_f64(),
            make_seconds: made.took.as_secs_f64(),
            bytes: 0,
            of_some: Vec::new(),
            kept: Vec::new(),
        };
        Kdir::made(stamp)?.write_stamp()?;
        let took = seconds(started.elapsed());
        self.context.report.note("Prepared", &format!("kernel {release} in {took}"));
        Ok(())
    }
}
