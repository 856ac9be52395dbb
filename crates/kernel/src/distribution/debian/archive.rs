// SPDX-License-Identifier: GPL-2.0
//! Debian's archive, seen through an apt of our own: its state is in the cache, so that any user
//! may look at suites the host does not follow and nothing of the host's changes. Signatures and
//! hashes are apt's business.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::context::Context;
use crate::disk_usage;
use crate::distribution::archive::{Age, Archive, ArchiveKernel, Parts, SourceTar};
use crate::distribution::debian::build_tree;
use crate::distribution::debian::index::{self, file_name};
use crate::distribution::debian::kernels;
use crate::distribution::debian::mirror::{AptMirror, KEYRING};
use crate::distribution::debian::parts;
use crate::distribution::debian::recipe::{self, EXPERIMENTAL};
use crate::distribution::debian::source;
use crate::distribution::debian::validity;
use crate::distribution::package::Package;
use crate::distribution::recipe::Recipe;
use crate::machine::{facts, programs};
use kmodfile::architecture::Architecture;
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::durable;
use report::failure::Failure;
use report::process::Cmd;
use report::{ProgressUnit, Report, counted, size};

/// Suites, by names that do not change with a release.
#[derive(Debug)]
struct Suites {
    /// Where in the cache they are: packages in `debs`, indexes in a directory per architecture.
    dir: &'static str,
    /// Those of the main archive.
    main: &'static [&'static str],
    /// That of the security archive, if it has one.
    security: Option<&'static str>,
}

/// The suites looked at.
const CURRENT: Suites = Suites {
    dir: "archive",
    main: &["stable", "stable-backports", "testing", "unstable"],
    security: Some("stable-security"),
};

/// The previous release. Nothing is built for its kernels by default, so they are consulted only
/// when one is named.
const OLD: Suites = Suites { dir: "archive/old", main: &["oldstable"], security: Some("oldstable-security") };

/// What Debian tries out before it is for anybody; consulted only when one of its kernels is named.
const NEXT: Suites = Suites { dir: "archive/next", main: &[EXPERIMENTAL], security: None };

/// Directories in the cache for fetched packages, and for those that a stopped run left incomplete.
pub(super) const FETCHED: &[&str] = &[
    "archive/debs",
    "archive/debs.partial",
    "archive/next/debs",
    "archive/next/debs.partial",
    "archive/old/debs",
    "archive/old/debs.partial",
];

/// How old the indexes may be before they are asked for again.
const FRESH: Duration = Duration::from_secs(6 * 3600);

/// If apt takes longer than this, it hangs; it does so on a full disk.
const FETCH_LIMIT: Duration = Duration::from_secs(1800);

/// Indexes of this age are those of another run at the same time.
const JUST_NOW: Duration = Duration::from_secs(60);

/// The kernel packages of the archive.
#[derive(Debug)]
pub struct DebianArchive<'a> {
    context: &'a Context,
    suites: &'static Suites,
    architecture: Architecture,
    dir: Utf8PathBuf,
    packages: Vec<Package>,
    refreshed: bool,
}

impl<'a> DebianArchive<'a> {
    /// Opens the archive for kernels of this machine.
    pub fn open(context: &'a Context, age: Age) -> Result<Self> {
        Self::open_for(context, age, Architecture::native().unwrap_or_default())
    }

    /// Opens the archive for kernels of `architecture`; its indexes are fetched when there are none
    /// yet or they are old. Without a network, old ones serve, with a warning.
    pub fn open_for(context: &'a Context, age: Age, architecture: Architecture) -> Result<Self> {
        let suites = match age {
            Age::Current => &CURRENT,
            Age::Old => &OLD,
            Age::Next => &NEXT,
        };
        let dir = context.cache.path(suites.dir).join(architecture.debian());
        let mut archive = Self { context, suites, architecture, dir, packages: Vec::new(), refreshed: false };
        let known = archive.age().zip(archive.load().ok());
        archive.packages = match known {
            Some((age, packages)) if age <= FRESH || context.dry_run => packages,
            known => match (archive.refresh(), known) {
                (Ok(()), _) => archive.load()?,
                (Err(error), None) => return Err(error),
                (Err(_), Some((age, packages))) => {
                    let hours = counted(age.as_secs() / 3600, "hour", "hours");
                    context
                        .report
                        .warn(&format!("the archive cannot be reached; using its indexes from {hours} ago"));
                    packages
                }
            },
        };
        archive.warn_of_age();
        Ok(archive)
    }

    /// Says how old the indexes are, where they are past their time.
    fn warn_of_age(&self) {
        let suites = self.suites.main.iter().copied().chain(self.suites.security);
        let warning = validity::warning(&self.dir.join("lists"), suites, SystemTime::now());
        warning.into_iter().for_each(|warning| self.context.report.warn_once(&warning));
    }

    /// Kernel packages (`linux-*`), and `rustc`, of all suites.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// Packages of any kind whose name `wanted` says yes to, of all suites. Reads the indexes,
    /// which takes a moment.
    pub fn named(&self, wanted: impl Fn(&str) -> bool + Sync) -> Result<Vec<Package>> {
        let _lock = self.context.cache.lock("archive", &self.context.report)?;
        self.read_lists(&AptMirror::of_host(&self.context.report)?, wanted)
    }

    /// Fetches packages into the cache and gives their files, in order; what is there already is
    /// not fetched again.
    pub fn fetch(&self, wanted: &[&Package]) -> Result<Vec<Utf8PathBuf>> {
        self.fetch_quietly(wanted, &self.context.report)
    }

    /// The same with another report, for a fetch beside a step that is shown already.
    pub fn fetch_quietly(&self, wanted: &[&Package], report: &Report) -> Result<Vec<Utf8PathBuf>> {
        let _lock = self.context.cache.lock("archive", report)?;
        let debs = self.debs();
        let there = |package: &Package| {
            debs.join(file_name(package)).metadata().is_ok_and(|meta| meta.len() == package.size)
        };
        let missing: Vec<&Package> = wanted.iter().copied().filter(|package| !there(package)).collect();
        if !missing.is_empty() {
            self.context.require_wet_run("fetch packages")?;
            self.download(&missing, &debs, report)?;
        }
        Ok(self.files(wanted))
    }

    /// Downloads beside `debs` and renames in, so that a file there is whole.
    fn download(&self, packages: &[&Package], debs: &Utf8Path, report: &Report) -> Result<()> {
        let bytes = packages.iter().map(|package| package.size).sum();
        let what = match packages {
            [one] => format!("{} ({})", one.name, size(bytes)),
            many => format!("{} packages ({})", many.len(), size(bytes)),
        };
        let step = report.step("Fetching", &what);
        let partial = self.context.cache.path(self.suites.dir).join("debs.partial");
        if partial.exists() {
            fs_err::remove_dir_all(&partial)?;
        }
        fs_err::create_dir_all(&partial)?;
        step.count(ProgressUnit::Bytes, bytes);
        let growing = partial.clone();
        step.watch(move || disk_usage::bytes_in(&growing));
        fs_err::create_dir_all(debs)?;
        // One call for all; apt checks each against the hash of the signed index.
        let files = packages.iter().flat_map(|package| {
            [
                package.uri.clone(),
                partial.join(file_name(package)).into_string(),
                format!("SHA256:{}", package.sha256),
            ]
        });
        let helper = programs::find("apt-helper").ok_or_else(|| Failure::no_program("apt-helper"))?;
        self.apt(helper.as_str())
            .arg("download-file")
            .args(files)
            .limit(FETCH_LIMIT)
            .run(report)
            .map_err(unreachable)?;
        for package in packages {
            let file = partial.join(file_name(package));
            durable::publish(&file, &debs.join(file_name(package)))?;
        }
        fs_err::remove_dir_all(&partial)?;
        step.done("Fetched", &what);
        Ok(())
    }

    /// One file of a kernel's headers package, kept at `kept`.
    fn of_headers(&self, kernel: &ArchiveKernel, name: &str, kept: &Utf8Path) -> Result<String> {
        if !kept.exists() {
            let deb = self.fetch(&[&kernel.headers])?.remove(0);
            self.context.require_wet_run("unpack packages")?;
            let content = source::header(&deb, &kernel.release, name, &self.context.report)?;
            durable::replace(kept, &content)?;
        }
        Ok(fs_err::read_to_string(kept)?)
    }

    fn kept(&self, kind: &str, headers: &Package) -> Utf8PathBuf {
        self.context.cache.path(format!("archive/{kind}/{}", headers.sha256))
    }

    /// Where packages are once fetched.
    fn files(&self, packages: &[&Package]) -> Vec<Utf8PathBuf> {
        packages.iter().map(|package| self.file(package)).collect()
    }

    fn file(&self, package: &Package) -> Utf8PathBuf {
        self.debs().join(file_name(package))
    }

    /// Packages of all architectures, as some are for all.
    fn debs(&self) -> Utf8PathBuf {
        self.context.cache.path(self.suites.dir).join("debs")
    }

    /// How long ago the indexes were fetched; none if never.
    fn age(&self) -> Option<Duration> {
        let modified = self.index_file().metadata().ok()?.modified().ok()?;
        Some(SystemTime::now().duration_since(modified).unwrap_or_default())
    }

    fn index_file(&self) -> Utf8PathBuf {
        self.dir.join("packages.json")
    }

    fn load(&self) -> Result<Vec<Package>> {
        let text = fs_err::read_to_string(self.index_file())?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged; remove it", self.index_file()))
    }

    fn refresh(&mut self) -> Result<()> {
        let report = &self.context.report;
        self.context.require_wet_run("fetch the archive's indexes")?;
        let _lock = self.context.cache.lock("archive", report)?;
        if self.age().is_some_and(|age| age < JUST_NOW) {
            // The run that was waited for has done it.
            self.refreshed = true;
            return Ok(());
        }
        facts::require_space(&self.context.cache, facts::INDEXES, "the archive's indexes need")?;
        let step = report.step("Reading", "the archive's indexes");
        let mirror = AptMirror::of_host(report)?;
        for part in ["lists/partial", "cache/archives/partial"] {
            fs_err::create_dir_all(self.dir.join(part))?;
        }
        fs_err::write(self.dir.join("sources.list"), sources(self.suites, &mirror))?;
        fs_err::write(self.dir.join("status"), "")?;
        self.apt("apt-get")
            .args(["-o", "APT::Update::Error-Mode=any", "update"])
            .limit(FETCH_LIMIT)
            .run(report)
            .map_err(unreachable)?;
        let packages = self.read_lists(&mirror, wanted)?;
        durable::replace(&self.index_file(), &serde_json::to_vec(&packages)?)?;
        self.refreshed = true;
        step.done(
            "Read",
            &format!(
                "the archive's indexes: {}",
                counted(packages.len(), "kernel package", "kernel packages")
            ),
        );
        Ok(())
    }

    /// Reads the `Packages` files that apt fetched, each with the codename that its suite's release
    /// file gives: all at once, as the large ones have 50 MB each.
    fn read_lists(&self, mirror: &AptMirror, wanted: impl Fn(&str) -> bool + Sync) -> Result<Vec<Package>> {
        let lists = self.dir.join("lists");
        let names: Vec<String> =
            lists.read_dir_utf8()?.map(|e| Ok(e?.file_name().to_owned())).collect::<Result<_>>()?;
        let read_list = |uri: &str, suite: &str| {
            // apt names the files after the address, which ends in these.
            let read = |end: String| {
                let name = names.iter().find(|name| name.ends_with(&end));
                let name = name.with_context(|| format!("apt fetched no {end} of {uri}"))?;
                Ok::<_, anyhow::Error>(fs_err::read_to_string(lists.join(name))?)
            };
            let release = read(format!("_dists_{suite}_InRelease"))?;
            let codename = release.lines().find_map(|line| line.strip_prefix("Codename: "));
            // The codename of experimental is one that nobody calls it by.
            let codename = codename.filter(|_| suite != EXPERIMENTAL).unwrap_or(suite);
            let index = read(format!("_dists_{suite}_main_binary-{}_Packages", self.architecture.debian()))?;
            Ok(index::read_index(&index, uri, codename, &wanted))
        };
        let parts: Vec<Vec<Package>> = std::thread::scope(|scope| {
            let read_list = &read_list;
            let suites = self.suites.of(mirror);
            let reading: Vec<_> =
                suites.map(|(uri, suite)| scope.spawn(move || read_list(uri, suite))).collect();
            reading
                .into_iter()
                .map(|list| list.join().expect("reading does not panic"))
                .collect::<Result<_>>()
        })?;
        Ok(parts.concat())
    }

    /// An apt program with a state of our own; settings for fetching, such as proxies, stay the
    /// host's.
    fn apt(&self, program: &str) -> Cmd {
        let dir = &self.dir;
        let options = [
            format!("Dir::Etc::sourcelist={dir}/sources.list"),
            "Dir::Etc::sourceparts=-".to_owned(),
            format!("Dir::State={dir}"),
            format!("Dir::State::lists={dir}/lists"),
            format!("Dir::State::status={dir}/status"),
            format!("Dir::Cache={dir}/cache"),
            // Its cache over all packages takes seconds to make and is not needed: the indexes are
            // read here.
            "pkgCacheFile::Generate=false".to_owned(),
            format!("APT::Architecture={}", self.architecture.debian()),
            format!("APT::Architectures={}", self.architecture.debian()),
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::GzipIndexes=false".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        ];
        Cmd::new(program)
            .args(options.iter().flat_map(|option| ["-o", option.as_str()]))
            .env("LC_ALL", "C.UTF-8")
    }
}

impl Archive for DebianArchive<'_> {
    fn architecture(&self) -> Architecture {
        self.architecture
    }

    fn kernels(&self) -> Vec<ArchiveKernel> {
        kernels::all(&self.packages)
    }

    fn refresh_once(&mut self) -> Result<bool> {
        if self.refreshed || self.context.dry_run {
            return Ok(false);
        }
        self.refresh()?;
        self.packages = self.load()?;
        Ok(true)
    }

    fn parts<'a>(&'a self, kernel: &'a ArchiveKernel) -> Result<Parts<'a>> {
        parts::parts(&self.packages, kernel)
    }

    fn source(&self, kernel: &ArchiveKernel) -> Result<&Package> {
        parts::source_package(&self.packages, kernel)
    }

    fn recipe(&self, kernel: &ArchiveKernel, config: &Config) -> Recipe {
        recipe::for_kernel(kernel.suite(), config)
    }

    fn recipe_with_clang(&self, kernel: &ArchiveKernel, config: &Config) -> Recipe {
        self.recipe(kernel, config).with(recipe::LLVM.iter().copied())
    }

    fn config(&self, kernel: &ArchiveKernel) -> Result<Config> {
        let kept = self.kept("configs", &kernel.headers);
        Ok(Config::parse(&self.of_headers(kernel, ".config", &kept)?))
    }

    fn symvers(&self, kernel: &ArchiveKernel) -> Result<String> {
        self.of_headers(kernel, "Module.symvers", &self.kept("symvers", &kernel.headers))
    }

    fn fetch_configs(&self, kernels: &[ArchiveKernel]) -> Result<()> {
        let headers = kernels.iter().map(|kernel| &kernel.headers);
        let unknown: Vec<&Package> =
            headers.filter(|headers| !self.kept("configs", headers).exists()).collect();
        self.fetch(&unknown)?;
        if self.context.dry_run || unknown.is_empty() {
            return Ok(());
        }
        let step = self.context.report.step("Reading", "the kernels' configurations");
        step.count(ProgressUnit::Things("kernel", "kernels"), unknown.len() as u64);
        let unknown = kernels.iter().filter(|kernel| !self.kept("configs", &kernel.headers).exists());
        for (done, kernel) in unknown.enumerate() {
            step.reach(done as u64);
            self.config(kernel)?;
        }
        step.done("Read", "the kernels' configurations");
        Ok(())
    }

    fn has_rustc(&self, kernel: &ArchiveKernel, version: &str) -> bool {
        kernels::has_rustc(&self.packages, recipe::base_suite(kernel.suite()), version)
    }

    fn image_is_signed(&self, release: &Release) -> bool {
        kernels::has_signed_image(&self.packages, release)
    }

    fn provide(&self, packages: &[&Package], report: &Report) -> Result<()> {
        self.fetch_quietly(packages, report).map(drop)
    }

    fn source_tar(&self, source: &Package, release: &Release) -> Result<SourceTar> {
        source::source_tar(&self.file(source), release)
    }

    fn unpack_headers(
        &self,
        parts: &Parts<'_>,
        release: &Release,
        into: &Utf8Path,
        report: &Report,
    ) -> Result<()> {
        source::headers(&self.file(parts.headers), release, into, report)
    }

    fn build_packages<'a>(&'a self, kernel: &'a ArchiveKernel) -> Result<Vec<&'a Package>> {
        parts::build_packages(&self.packages, kernel)
    }

    fn unpack_build_tree(
        &self,
        packages: &[&Package],
        release: &Release,
        place: &Utf8Path,
        report: &Report,
    ) -> Result<()> {
        build_tree::lay_out(&self.files(packages), release, place, report)
    }

    fn debug_package<'b>(&'b self, kernel: &ArchiveKernel) -> Result<&'b Package> {
        parts::debug_package(&self.packages, kernel)
    }

    fn unpack_debug(
        &self,
        package: &Package,
        release: &Release,
        into: &Utf8Path,
        report: &Report,
    ) -> Result<Utf8PathBuf> {
        let deb = self.file(package);
        let file = source::debug(&deb, release, into, report)?;
        durable::remove(&deb)?;
        Ok(file)
    }

    fn unpack_image(&self, parts: &Parts<'_>, into: &Utf8Path, report: &Report) -> Result<()> {
        source::unpack(&self.files(&parts.image), into, report)
    }
}

/// Kernel packages, and the compiler that a kernel with Rust was built with.
fn wanted(name: &str) -> bool {
    name.starts_with("linux-") || name == "rustc"
}

impl Suites {
    /// Repository and suite of each index.
    fn of<'a>(&self, mirror: &'a AptMirror) -> impl Iterator<Item = (&'a str, &'static str)> {
        let main = self.main.iter().map(|suite| (mirror.main.as_str(), *suite));
        main.chain(mirror.security.as_deref().zip(self.security))
    }
}

/// The `sources.list` for the suites looked at.
fn sources(suites: &Suites, mirror: &AptMirror) -> String {
    let line = |(uri, suite)| format!("deb [signed-by={KEYRING}] {uri} {suite} main\n");
    suites.of(mirror).map(line).collect()
}

/// An apt that failed while fetching: most often there is no network.
fn unreachable(error: anyhow::Error) -> anyhow::Error {
    if let Some(refused) = validity::refused_by_apt(&error.to_string()) {
        return refused.into();
    }
    Failure::missing("the package archive", format!("apt could not fetch from it: {error}"))
        .remedy(
            "check the network, the proxy and that `apt-get update` works, then run the same command again",
        )
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_name_suites_that_do_not_change_with_a_release() {
        let mirror = AptMirror { main: "http://m/debian".into(), security: Some("http://m/security".into()) };
        let text = sources(&CURRENT, &mirror);
        assert_eq!(text.lines().count(), CURRENT.main.len() + 1);
        assert!(text.contains("http://m/debian stable-backports main\n"));
        assert!(text.ends_with("http://m/security stable-security main\n"));
        assert!(sources(&OLD, &mirror).lines().all(|line| line.contains(" oldstable")));
        assert!(sources(&NEXT, &mirror).ends_with("http://m/debian experimental main\n"));
    }
}
