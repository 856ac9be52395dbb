// SPDX-License-Identifier: GPL-2.0
//! Makes a sanitizing kernel: whole, from the source of the kernel that it stands for.

use std::time::Duration;

use anyhow::Result;
use camino::Utf8Path;

use crate::context::Context;
use crate::distribution::recipe::Recipe;
use crate::distribution::{Archive, ArchiveKernel};
use crate::kdir::{Kdir, build_of, erase, source_of};
use crate::make::{CONFIGURE, log_file, make_step, run_counted};
use crate::new_kernel::{MadeTree, NewKernel};
use crate::origin::Origin;
use crate::root::{Access, Root};
use crate::sanitizing::configuration::{AskedConfig, Unmet, unmet};
use crate::sanitizing::kconfig::Definitions;
use crate::sanitizing::options;
use crate::shared_source::SharedSource;
use crate::source::Extent;
use crate::store;
use crate::whole::{WholeKernel, trim};
use crate::{rust, source};
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::counted;
use report::failure::Failure;
use report::fingerprint::Fingerprint;

/// Changes when the way of making does, so that older kernels are made anew.
const REVISION: u32 = 1;

/// Processor minutes that it takes to make one, measured; a guess for other machines.
const PROCESSOR_MINUTES: usize = 38;

/// One sanitizing kernel being made.
pub(crate) struct SanitizingKernel<'a> {
    pub(crate) context: &'a Context,
    pub(crate) archive: &'a dyn Archive,
    /// The kernel that it stands for.
    pub(crate) of: &'a ArchiveKernel,
    /// Its own name.
    pub(crate) release: &'a Release,
    pub(crate) root: &'a Root,
    pub(crate) recipe: &'a Recipe,
    pub(crate) inputs: String,
}

impl SanitizingKernel<'_> {
    /// Makes it in its place. The caller holds its lock.
    pub(crate) fn run(&self) -> Result<()> {
        let (report, release) = (&self.context.report, self.release);
        self.context.require_wet_run(&format!("build kernel {release}"))?;
        let place = Kdir::place_of(&self.context.cache, release);
        if place.exists() {
            erase(&place)?;
        }
        if store::fetch_or_say(self.context, release, &self.inputs) {
            return self.provide_source();
        }
        fs_err::create_dir_all(&place)?;
        report.note("Building", &format!("kernel {release} from source, once: {}", self.estimate()));
        let new = NewKernel {
            context: self.context,
            release,
            inputs: &self.inputs,
            recipe: self.recipe,
            root: self.root,
            architecture: self.archive.architecture(),
            origin: Origin::Sanitizing { of: self.of.release.clone() },
        };
        new.make(|place| {
            let (took, rust_symbols) = self.make(place)?;
            Ok(MadeTree { took, rust_symbols })
        })?;
        store::keep_or_say(self.context, release, &self.inputs);
        Ok(())
    }

    /// What a kernel that was made elsewhere leads to: its source is not in the store.
    fn provide_source(&self) -> Result<()> {
        let package = self.archive.source(self.of)?;
        self.archive.provide(&[package], &self.context.report)?;
        let extent = Extent::ForModules(self.archive.architecture());
        SharedSource::provide(self.context, self.archive, package, &self.of.release, extent).map(drop)
    }

    /// How long it takes, for people.
    fn estimate(&self) -> String {
        format!(
            "about {}",
            counted(PROCESSOR_MINUTES.div_ceil(self.context.jobs.max(1)), "minute", "minutes")
        )
    }

    /// Unpacks, configures and makes it; gives the time of make, and how many Rust symbols it
    /// exports.
    fn make(&self, place: &Utf8Path) -> Result<(Duration, usize)> {
        self.unpack(place)?;
        let config = self.configure(place)?;
        let whole = WholeKernel {
            context: self.context,
            root: self.root,
            release: self.release,
            config: &config,
            source: &source_of(place),
            place,
        };
        let make_time = whole.make()?;
        let rust_symbols = self.rust_symbols(place, &config)?;
        self.keep_what_builds_read(place)?;
        Ok((make_time, rust_symbols))
    }

    fn unpack(&self, place: &Utf8Path) -> Result<()> {
        let report = &self.context.report;
        let package = self.archive.source(self.of)?;
        self.archive.provide(&[package], report)?;
        let what = format!("source {}", package.version);
        let step = report.step("Unpacking", &what);
        let tar = self.archive.source_tar(package, &self.of.release)?;
        tar.show_on(&step);
        source::unpack(tar, Extent::Whole, &source_of(place), report)?;
        step.done("Unpacked", &what);
        Ok(())
    }

    /// Has Kconfig complete the configuration that is asked for, and refuses what it made of it if
    /// that is another in what matters.
    fn configure(&self, place: &Utf8Path) -> Result<Config> {
        let of = self.archive.config(self.of)?;
        let definitions = Definitions::read(&source_of(place), self.archive.architecture())?;
        let asked = AskedConfig::new(&of, &definitions).text();
        let file = build_of(place).join(".config");
        fs_err::create_dir_all(build_of(place))?;
        fs_err::write(&file, &asked)?;
        let what = format!("kernel {}", self.release);
        let step = self.context.report.step("Configuring", &what);
        let (source, build) = (source_of(place), build_of(place));
        let cmd =
            make_step(self.release, &Config::parse(&asked), &source, &build, CONFIGURE, self.context.jobs);
        let inside = |cmd| self.root.inside(self.context, cmd, &Access::default().read(&source).write(place));
        let log = log_file(&self.context.cache, self.release, "olddefconfig.log")?;
        run_counted(cmd, &log, inside, &step, &self.context.report)?;
        let made = Config::parse(&fs_err::read_to_string(&file)?);
        let otherwise = unmet(&of, &made, &definitions);
        if !otherwise.is_empty() {
            return Err(self.refusal(&otherwise).into());
        }
        step.done("Configured", &format!("{what} ({})", counted(made.enabled(), "option", "options")));
        Ok(made)
    }

    fn refusal(&self, otherwise: &[Unmet]) -> Failure {
        let list: String = otherwise.iter().map(|unmet| format!("\n    {unmet}")).collect();
        let reason = format!(
            "a sanitizing kernel cannot be made of it with the compilers of {}: its Kconfig refuses{list}",
            self.root.name()
        );
        Failure::refused(self.of.release.as_str(), reason)
            .remedy("choose another kernel: cargo kmod kernel list")
    }

    /// How many Rust symbols it exports, all of which modules find in `rust/`.
    fn rust_symbols(&self, place: &Utf8Path, config: &Config) -> Result<usize> {
        if !config.is_yes("CONFIG_RUST") {
            return Ok(0);
        }
        let symvers = fs_err::read_to_string(build_of(place).join("Module.symvers"))?;
        Ok(rust::prove(self.release, &symvers, &build_of(place))?.symbols)
    }

    /// Leaves of source and build tree what modules are built against, and of the image what QEMU
    /// starts. The source is then the one that all flavours share.
    fn keep_what_builds_read(&self, place: &Utf8Path) -> Result<()> {
        fs_err::rename(build_of(place).join("vmlinux"), place.join("vmlinux"))?;
        trim(&build_of(place))?;
        let package = self.archive.source(self.of)?;
        let extent = Extent::ForModules(self.archive.architecture());
        let release = &self.of.release;
        let shared = SharedSource::provide(self.context, self.archive, package, release, extent)?;
        fs_err::remove_dir_all(source_of(place))?;
        Ok(fs_err::os::unix::fs::symlink(shared.path(), source_of(place))?)
    }
}

/// Hash of everything that the sanitizing kernel that stands for `of` depends on.
pub(crate) fn inputs(archive: &dyn Archive, of: &ArchiveKernel, root: &Root) -> Result<String> {
    let print = Fingerprint::new("sanitizing kernel", REVISION)
        .text("root", root.identity())
        .text("headers", &of.headers.sha256)
        .text("source", &archive.source(of)?.sha256)
        .list("rules", options::rules());
    Ok(print.hex())
}
