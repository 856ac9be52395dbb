// SPDX-License-Identifier: GPL-2.0
//! The repositories of the machine as an [`Archive`]: their indexes and packages are kept in the
//! cache. That an index is the repository's own is dnf's or zypper's business; that a package is
//! the one of the index, and who signed it, is looked at here.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::context::Context;
use crate::disk_usage;
use crate::distribution::archive::{Archive, ArchiveKernel, Parts, SourceTar};
use crate::distribution::package::Package;
use crate::distribution::recipe::Recipe;
use crate::distribution::rpm_family::family::RpmFamily;
use crate::distribution::rpm_family::host::HostSystem;
use crate::distribution::rpm_family::primary::{IndexedPackage, file_name};
use crate::distribution::rpm_family::repositories::Repositories;
use crate::distribution::rpm_family::{build_tree, contents, kernels, recipe, source};
use crate::machine::facts;
use kmodfile::architecture::Architecture;
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::durable;
use report::failure::Failure;
use report::process::Cmd;
use report::{ProgressUnit, Report, counted, size};

/// Directories in the cache for fetched packages, and for those that a stopped run left incomplete.
pub(super) const FETCHED: &[&str] = &["archive/rpms", "archive/rpms.partial"];

/// How old the indexes may be before they are asked for again.
const FRESH: Duration = Duration::from_secs(6 * 3600);

/// Indexes of this age are those of another run at the same time.
const JUST_NOW: Duration = Duration::from_secs(60);

/// The kernel packages of the machine's repositories.
#[derive(Debug)]
pub struct RpmArchive<'a> {
    context: &'a Context,
    family: &'static RpmFamily,
    architecture: Architecture,
    /// Where indexes are, one place for each system: a home directory may be shared.
    dir: Utf8PathBuf,
    suite: String,
    packages: Vec<IndexedPackage>,
    refreshed: bool,
}

impl<'a> RpmArchive<'a> {
    /// Opens it for kernels of `architecture`; indexes are fetched when there are none yet or they
    /// are old. Without a network, old ones serve, with a warning.
    pub(super) fn open(
        context: &'a Context,
        family: &'static RpmFamily,
        architecture: Architecture,
    ) -> Result<Self> {
        let suite = HostSystem::here().suite;
        let dir = context.cache.path("archive").join(&suite).join(architecture.machine());
        let mut archive =
            Self { context, family, architecture, dir, suite, packages: Vec::new(), refreshed: false };
        let known = archive.age().zip(archive.load().ok());
        archive.packages = match known {
            Some((age, packages)) if age <= FRESH || context.dry_run => packages,
            known => match (archive.refresh(), known) {
                (Ok(()), _) => archive.load()?,
                (Err(error), None) => return Err(error),
                (Err(_), Some((age, packages))) => {
                    let hours = counted(age.as_secs() / 3600, "hour", "hours");
                    let text =
                        format!("the repositories cannot be reached; using their indexes from {hours} ago");
                    context.report.warn(&text);
                    packages
                }
            },
        };
        Ok(archive)
    }

    fn index_file(&self) -> Utf8PathBuf {
        self.dir.join("packages.json")
    }

    /// How long ago the indexes were fetched; none if never.
    fn age(&self) -> Option<Duration> {
        let modified = self.index_file().metadata().ok()?.modified().ok()?;
        Some(SystemTime::now().duration_since(modified).unwrap_or_default())
    }

    fn load(&self) -> Result<Vec<IndexedPackage>> {
        let text = fs_err::read_to_string(self.index_file())?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged; remove it", self.index_file()))
    }

    fn repositories<'b>(&'b self, report: &'b Report) -> Repositories<'b> {
        Repositories { tool: self.family.tool, dir: &self.dir, architecture: self.architecture, report }
    }

    fn refresh(&mut self) -> Result<()> {
        let report = &self.context.report;
        self.context.require_wet_run("fetch the repositories' indexes")?;
        let _lock = self.context.cache.lock("archive", report)?;
        if self.age().is_some_and(|age| age < JUST_NOW) {
            // The run that was waited for has done it.
            self.refreshed = true;
            return Ok(());
        }
        facts::require_space(&self.context.cache, facts::INDEXES, "the repositories' indexes need")?;
        let step = report.step("Reading", "the repositories' indexes");
        fs_err::create_dir_all(&self.dir)?;
        let packages = self.repositories(report).refresh(wanted)?;
        durable::replace(&self.index_file(), &serde_json::to_vec(&packages)?)?;
        self.refreshed = true;
        let kernel_packages = counted(packages.len(), "kernel package", "kernel packages");
        step.done("Read", &format!("the repositories' indexes: {kernel_packages}"));
        Ok(())
    }

    /// Fetches packages into the cache and gives their files, in order; what is there already is
    /// not fetched again.
    fn fetch(&self, wanted: &[&Package], report: &Report) -> Result<Vec<Utf8PathBuf>> {
        let _lock = self.context.cache.lock("archive", report)?;
        let there =
            |package: &Package| self.file(package).metadata().is_ok_and(|meta| meta.len() == package.size);
        let missing: Vec<&Package> = wanted.iter().copied().filter(|package| !there(package)).collect();
        if !missing.is_empty() {
            self.context.require_wet_run("fetch packages")?;
            self.download(&missing, report)?;
        }
        Ok(wanted.iter().map(|package| self.file(package)).collect())
    }

    /// Downloads beside their place and renames in, so that a file there is whole and verified.
    fn download(&self, packages: &[&Package], report: &Report) -> Result<()> {
        let bytes = packages.iter().map(|package| package.size).sum();
        let what = match packages {
            [one] => format!("{} ({})", one.name, size(bytes)),
            many => format!("{} ({})", counted(many.len(), "package", "packages"), size(bytes)),
        };
        let step = report.step("Fetching", &what);
        let partial = self.context.cache.path(FETCHED[1]);
        if partial.exists() {
            fs_err::remove_dir_all(&partial)?;
        }
        fs_err::create_dir_all(&partial)?;
        step.count(ProgressUnit::Bytes, bytes);
        let growing = partial.clone();
        step.watch(move || disk_usage::bytes_in(&growing));
        fs_err::create_dir_all(self.context.cache.path(FETCHED[0]))?;
        self.repositories(report).download(packages, &partial)?;
        for package in packages {
            let file = partial.join(file_name(package));
            require_of_index(package, &file)?;
            require_signed_by_known(package, &file, report)?;
            durable::publish(&file, &self.file(package))?;
        }
        fs_err::remove_dir_all(&partial)?;
        step.done("Fetched", &what);
        Ok(())
    }

    fn file(&self, package: &Package) -> Utf8PathBuf {
        self.context.cache.path(FETCHED[0]).join(file_name(package))
    }

    /// One file of a kernel's headers package, kept.
    fn of_headers(&self, kernel: &ArchiveKernel, name: &str, kind: &str) -> Result<String> {
        let kept = self.kept(kind, &kernel.headers);
        if !kept.exists() {
            let rpm = self.fetch(&[&kernel.headers], &self.context.report)?.remove(0);
            self.context.require_wet_run("unpack packages")?;
            let content = contents::header(&rpm, &kernel.release, name, &self.context.report)?;
            fs_err::create_dir_all(kept.parent().context("a file is in a directory")?)?;
            durable::replace(&kept, &content)?;
        }
        Ok(fs_err::read_to_string(kept)?)
    }

    fn kept(&self, kind: &str, headers: &Package) -> Utf8PathBuf {
        self.context.cache.path(format!("archive/{kind}/{}", headers.sha256))
    }

    /// The debug package of a kernel, by the name that its family gives it.
    fn debug_name(&self, kernel: &ArchiveKernel) -> String {
        let base = kernel.headers.name.strip_suffix("-devel").unwrap_or(&kernel.headers.name);
        format!("{base}-debuginfo")
    }
}

impl Archive for RpmArchive<'_> {
    fn architecture(&self) -> Architecture {
        self.architecture
    }

    fn kernels(&self) -> Vec<ArchiveKernel> {
        kernels::all(&self.packages, self.architecture)
    }

    fn refresh_once(&mut self) -> Result<bool> {
        if self.refreshed || self.context.dry_run {
            return Ok(false);
        }
        self.refresh()?;
        self.packages = self.load()?;
        Ok(true)
    }

    fn parts<'b>(&'b self, kernel: &'b ArchiveKernel) -> Result<Parts<'b>> {
        Ok(kernels::parts(&self.packages, kernel)?)
    }

    fn source(&self, kernel: &ArchiveKernel) -> Result<&Package> {
        Ok(kernels::source(&self.packages, kernel)?)
    }

    fn recipe(&self, _: &ArchiveKernel, config: &Config) -> Recipe {
        recipe::for_kernel(self.family, &self.suite, config)
    }

    fn recipe_with_clang(&self, kernel: &ArchiveKernel, config: &Config) -> Recipe {
        self.recipe(kernel, config).with(recipe::LLVM.iter().copied())
    }

    fn config(&self, kernel: &ArchiveKernel) -> Result<Config> {
        Ok(Config::parse(&self.of_headers(kernel, ".config", "configs")?))
    }

    fn symvers(&self, kernel: &ArchiveKernel) -> Result<String> {
        self.of_headers(kernel, "Module.symvers", "symvers")
    }

    fn fetch_configs(&self, kernels: &[ArchiveKernel]) -> Result<()> {
        let unknown: Vec<&ArchiveKernel> =
            kernels.iter().filter(|kernel| !self.kept("configs", &kernel.headers).exists()).collect();
        let headers: Vec<&Package> = unknown.iter().map(|kernel| &kernel.headers).collect();
        self.fetch(&headers, &self.context.report)?;
        if self.context.dry_run || unknown.is_empty() {
            return Ok(());
        }
        let step = self.context.report.step("Reading", "the kernels' configurations");
        step.count(ProgressUnit::Things("kernel", "kernels"), unknown.len() as u64);
        for (done, kernel) in unknown.into_iter().enumerate() {
            step.reach(done as u64);
            self.config(kernel)?;
        }
        step.done("Read", "the kernels' configurations");
        Ok(())
    }

    fn has_rustc(&self, _: &ArchiveKernel, version: &str) -> bool {
        kernels::has_rustc(&self.packages, version)
    }

    fn image_is_signed(&self, release: &Release) -> bool {
        // Of these families every image is, by the distribution's own key.
        self.kernels().iter().any(|kernel| kernel.release == *release)
    }

    fn provide(&self, packages: &[&Package], report: &Report) -> Result<()> {
        self.fetch(packages, report).map(drop)
    }

    fn source_tar(&self, package: &Package, release: &Release) -> Result<SourceTar> {
        source::source_tar(&self.file(package), release, &self.context.report)
    }

    fn unpack_headers(
        &self,
        parts: &Parts<'_>,
        release: &Release,
        into: &Utf8Path,
        report: &Report,
    ) -> Result<()> {
        contents::headers(&self.file(parts.headers), release, into, report)
    }

    fn build_packages<'b>(&'b self, kernel: &'b ArchiveKernel) -> Result<Vec<&'b Package>> {
        Ok(kernels::build_packages(&self.packages, kernel))
    }

    fn unpack_build_tree(
        &self,
        packages: &[&Package],
        release: &Release,
        place: &Utf8Path,
        report: &Report,
    ) -> Result<()> {
        let files: Vec<Utf8PathBuf> = packages.iter().map(|package| self.file(package)).collect();
        build_tree::lay_out(&files, release, place, report)
    }

    fn debug_package<'b>(&'b self, kernel: &ArchiveKernel) -> Result<&'b Package> {
        let name = self.debug_name(kernel);
        let headers = &kernel.headers;
        let found = self.packages.iter().map(|one| &one.package).find(|package| {
            package.name == name
                && package.version == headers.version
                && package.architecture == headers.architecture
        });
        found.ok_or_else(|| {
            let reason = format!("no repository that is enabled has {name} of version {}", headers.version);
            Failure::refused(kernel.release.as_str(), reason)
                .remedy("enable the repository of debug information, and run the same command again")
                .into()
        })
    }

    fn unpack_debug(
        &self,
        package: &Package,
        release: &Release,
        into: &Utf8Path,
        report: &Report,
    ) -> Result<Utf8PathBuf> {
        let rpm = self.file(package);
        let file = contents::debug(&rpm, release, into, report)?;
        durable::remove(&rpm)?;
        Ok(file)
    }

    fn unpack_image(&self, parts: &Parts<'_>, into: &Utf8Path, report: &Report) -> Result<()> {
        let files: Vec<Utf8PathBuf> = parts.image.iter().map(|package| self.file(package)).collect();
        contents::image(&files, into, report)
    }
}

/// Kernel packages, and the compiler that a kernel with Rust was built with.
fn wanted(name: &str) -> bool {
    name.starts_with("kernel") || matches!(name, "rust" | "rustc")
}

/// Refuses a file that is not the one of the index, by its digest.
fn require_of_index(package: &Package, file: &Utf8Path) -> Result<()> {
    let found = durable::digest_of(file)?;
    match found {
        None => Err(Failure::missing(
            package.name.as_str(),
            format!("version {} is in the index of {}, and was not fetched", package.version, package.suite),
        )
        .remedy("the repository has changed meanwhile: run the same command again")
        .into()),
        // An index may have digests of another kind, of which dnf or zypper alone has seen to.
        Some(found) if package.sha256.is_empty() || found == package.sha256 => Ok(()),
        Some(found) => Err(Failure::refused(
            package.name.as_str(),
            format!(
                "its file has the digest {found}, and the index of {} says {}",
                package.suite, package.sha256
            ),
        )
        .remedy("run the same command again; if it stays so, the mirror is damaged")
        .into()),
    }
}

/// Refuses a package whose signature rpm does not know or that does not hold.
fn require_signed_by_known(package: &Package, file: &Utf8Path, report: &Report) -> Result<()> {
    let cmd = Cmd::new("rpmkeys").arg("--checksig").arg(file).env("LC_ALL", "C.UTF-8");
    let output = cmd.finish(report)?;
    if output.status.success() {
        return Ok(());
    }
    let said = output.text();
    let reason =
        format!("rpm does not accept its signature: {}", said.trim().rsplit(": ").next().unwrap_or_default());
    Err(Failure::refused(package.name.as_str(), reason)
        .remedy("import the key of its repository: rpm --import /etc/pki/rpm-gpg/RPM-GPG-KEY-NAME (gpgkey= in its .repo file)")
        .into())
}
