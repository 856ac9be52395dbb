// SPDX-License-Identifier: GPL-2.0
//! Makes the tree of a kernel from source in its place in the cache: its host tools and headers, or
//! all of it.

use std::time::{Duration, Instant};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::context::Context;
use crate::distribution::recipe::Recipe;
use crate::from_source::configuring::Configured;
use crate::from_source::given::GivenSource;
use crate::kdir::{Kdir, build_of, erase, image_of, source_of};
use crate::make::{CONFIGURE, PREPARE, PREPARE_WITHOUT_RUST, log_file, make_step, run_counted};
use crate::new_kernel::{MadeTree, NewKernel};
use crate::origin::Origin;
use crate::root::{Access, Root};
use crate::rust;
use crate::whole::{self, WholeKernel};
use kmodfile::architecture::Architecture;
use kmodfile::config::Config;

/// One kernel being made from a source.
#[derive(Debug)]
pub(super) struct MakingFromSource<'a> {
    pub(super) context: &'a Context,
    pub(super) root: &'a Root,
    pub(super) recipe: &'a Recipe,
    pub(super) given: &'a GivenSource,
    /// The cache's copy of the source.
    pub(super) source: &'a Utf8Path,
    pub(super) configured: &'a Configured,
    pub(super) inputs: &'a str,
    pub(super) exports: Exports,
}

/// Where `Module.symvers` comes from: what the kernel exports, with the CRCs of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Exports {
    /// Nowhere: nothing of the kernel is compiled.
    Unknown,
    /// A file of the user's, from a whole build of the same kernel.
    File(Utf8PathBuf),
    /// The kernel, which is made whole.
    Whole,
}

impl MakingFromSource<'_> {
    /// Makes the tree. The caller holds the kernel's lock.
    pub(super) fn run(&self) -> Result<()> {
        let (report, release) = (&self.context.report, &self.configured.release);
        self.context.require_wet_run(&format!("make kernel {release}"))?;
        let place = Kdir::place_of(&self.context.cache, release);
        if place.exists() {
            report.note("Discarding", &format!("{place}, made of another source or configuration"));
            erase(&place)?;
        }
        let new = NewKernel {
            context: self.context,
            release,
            inputs: self.inputs,
            recipe: self.recipe,
            root: self.root,
            architecture: Architecture::of_config(&self.config()).unwrap_or_default(),
            origin: self.origin(),
        };
        new.make(|place| {
            let (rust_symbols, took) = self.make(place)?;
            Ok(MadeTree { took, rust_symbols })
        })
    }

    fn config(&self) -> Config {
        Config::parse(&self.configured.text)
    }

    fn origin(&self) -> Origin {
        origin(self.given, &self.exports)
    }

    /// Gives how many Rust symbols there are, and the time of make.
    fn make(&self, place: &Utf8Path) -> Result<(usize, Duration)> {
        let (build, config) = (build_of(place), self.config());
        fs_err::create_dir_all(&build)?;
        // Where the tree of any other kernel has its source.
        std::os::unix::fs::symlink(self.source, source_of(place))?;
        fs_err::write(build.join(".config"), &self.configured.text)?;
        let mut took = self.prepare(place, &config)?;
        match &self.exports {
            Exports::Whole => {
                took += self.whole(place, &config).make()?;
                whole::trim(&build)?;
            }
            Exports::File(file) => drop(fs_err::copy(file, build.join("Module.symvers"))?),
            Exports::Unknown => fs_err::write(build.join("Module.symvers"), "")?,
        }
        if self.exports != Exports::Whole {
            // A system that has such a kernel's headers only.
            fs_err::create_dir_all(
                image_of(place).join("lib/modules").join(&self.configured.release).join("kernel"),
            )?;
        }
        Ok((self.rust_symbols(&build, &config)?, took))
    }

    fn whole<'a>(&'a self, place: &'a Utf8Path, config: &'a Config) -> WholeKernel<'a> {
        WholeKernel {
            context: self.context,
            root: self.root,
            release: &self.configured.release,
            config,
            source: self.source,
            place,
        }
    }

    /// What building modules takes of a kernel that is not compiled.
    fn prepare(&self, place: &Utf8Path, config: &Config) -> Result<Duration> {
        let what = format!("kernel tree {}", self.configured.release);
        let step = self.context.report.step("Making", &what);
        let started = Instant::now();
        let targets = if config.is_yes("CONFIG_RUST") { PREPARE } else { PREPARE_WITHOUT_RUST };
        for (targets, log) in [(CONFIGURE, "olddefconfig.log"), (targets, "prepare.log")] {
            let build = build_of(place);
            let cmd =
                make_step(&self.configured.release, config, self.source, &build, targets, self.context.jobs);
            let log = log_file(&self.context.cache, &self.configured.release, log)?;
            let access = Access::default().read(self.source).write(place);
            let inside = |cmd| self.root.inside(self.context, cmd, &access);
            run_counted(cmd, &log, inside, &step, &self.context.report)?;
        }
        let took = started.elapsed();
        step.done("Made", &what);
        Ok(took)
    }

    /// How many Rust symbols the kernel exports: proven, where the kernel is there to compare with.
    fn rust_symbols(&self, build: &Utf8Path, config: &Config) -> Result<usize> {
        if !config.is_yes("CONFIG_RUST") {
            return Ok(0);
        }
        if self.exports == Exports::Unknown {
            return rust::exported(build);
        }
        let symvers = fs_err::read_to_string(build.join("Module.symvers"))?;
        Ok(rust::prove(&self.configured.release, &symvers, build)?.symbols)
    }
}

/// What the stamp of such a kernel says of where it comes from.
pub(super) fn origin(given: &GivenSource, exports: &Exports) -> Origin {
    Origin::Source { source: given.path().to_string(), whole: *exports == Exports::Whole }
}
