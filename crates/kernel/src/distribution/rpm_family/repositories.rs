// SPDX-License-Identifier: GPL-2.0
//! The machine's own repositories, through its dnf(8) or zypper(8): mirrors, certificates, proxies
//! and keys are as they are set up there. What is fetched goes into the cache, never the system's.

use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::distribution::package::Package;
use crate::distribution::rpm_family::primary::{self, IndexedPackage};
use crate::machine::programs;
use kmodfile::architecture::Architecture;
use kmodfile::compression::Compression;
use report::Report;
use report::failure::Failure;
use report::process::Cmd;

/// If it takes longer than this, it hangs.
const LIMIT: Duration = Duration::from_secs(1800);

/// What reads repositories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RepositoryTool {
    /// dnf, 4 or 5.
    Dnf,
    /// zypper.
    Zypper,
}

/// The repositories of this machine, for packages of one architecture.
#[derive(Debug)]
pub(super) struct Repositories<'a> {
    pub(super) tool: RepositoryTool,
    /// Where indexes and what else is kept of them go.
    pub(super) dir: &'a Utf8Path,
    pub(super) architecture: Architecture,
    pub(super) report: &'a Report,
}

impl Repositories<'_> {
    /// Fetches the indexes of all that are enabled, and of the source packages that belong to
    /// them; gives the packages that `wanted` says yes to.
    pub(super) fn refresh(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<IndexedPackage>> {
        let indexes = self.indexes();
        if indexes.exists() {
            fs_err::remove_dir_all(&indexes)?;
        }
        fs_err::create_dir_all(&indexes)?;
        let cmd = match self.tool {
            RepositoryTool::Dnf => {
                let sources = self.sources_of_enabled()?;
                self.dnf()
                    .args(sources.iter().map(|id| format!("--enablerepo={id}")))
                    .args(["--quiet", "makecache"])
            }
            RepositoryTool::Zypper => self.zypper().args(["refresh", "--force"]),
        };
        cmd.limit(LIMIT).run(self.report).map_err(|error| self.unreachable(&error))?;
        let files = index_files(&indexes)?;
        if files.is_empty() {
            return Err(self.unreachable(&anyhow::anyhow!("no repository is enabled")).into());
        }
        let mut packages = Vec::new();
        for (id, file) in files {
            packages.extend(primary::read(&text(&file)?, &id, &wanted)?);
        }
        Ok(packages)
    }

    /// Fetches packages into a directory.
    pub(super) fn download(&self, packages: &[&Package], into: &Utf8Path) -> Result<()> {
        match self.tool {
            RepositoryTool::Dnf => {
                let (sources, binaries): (Vec<&Package>, Vec<&Package>) =
                    packages.iter().copied().partition(|package| package.architecture == "src");
                for (packages, more) in [(binaries, &["download"][..]), (sources, &["download", "--source"])]
                {
                    if packages.is_empty() {
                        continue;
                    }
                    let cmd = self.dnf().args(more).arg(format!("--destdir={into}"));
                    let cmd = cmd.args(packages.iter().map(|package| exact_name(package)));
                    cmd.limit(LIMIT).run(self.report).map_err(|error| self.unreachable(&error))?;
                }
                Ok(())
            }
            RepositoryTool::Zypper => {
                let names = packages.iter().map(|package| exact_name(package));
                let cmd = self.zypper().arg("download").args(names).limit(LIMIT);
                cmd.run(self.report).map_err(|error| self.unreachable(&error))?;
                let found = walkdir::WalkDir::new(self.dir.join("packages"));
                for entry in found.into_iter().filter_map(Result::ok) {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    if packages.iter().any(|package| primary::file_name(package) == name) {
                        fs_err::copy(entry.path(), into.join(name))?;
                    }
                }
                Ok(())
            }
        }
    }

    /// The repositories of source packages that belong to those that are enabled: they are named
    /// after these (dnf-plugins-core, `enable_source_repos`).
    fn sources_of_enabled(&self) -> Result<Vec<String>> {
        let listed = self.dnf().args(["--quiet", "repolist", "--all"]).limit(LIMIT).read(self.report)?;
        Ok(sources_of(&listed))
    }

    /// dnf with a state of our own. It writes logs as root even where it is only asked.
    fn dnf(&self) -> Cmd {
        let indexes = self.indexes();
        let dir = self.dir;
        let five = Cmd::new("dnf").arg("--version").read(self.report).is_ok_and(|said| said.contains("dnf5"));
        let place = if five {
            vec![format!("--setopt=cachedir={indexes}"), format!("--setopt=system_cachedir={indexes}")]
        } else {
            vec![format!("--setopt=cachedir={indexes}"), format!("--setopt=persistdir={dir}/persistent")]
        };
        let cmd = Cmd::new("dnf").args(place).arg(format!("--setopt=logdir={dir}/log"));
        let foreign = Architecture::native() != Some(self.architecture);
        let arch = foreign.then(|| format!("--forcearch={}", self.architecture.machine()));
        cmd.args(arch).arg("--assumeyes").env("LC_ALL", "C.UTF-8")
    }

    fn zypper(&self) -> Cmd {
        let dir = self.dir;
        Cmd::new("zypper")
            .args(["--non-interactive", "--quiet"])
            .args([
                format!("--raw-cache-dir={}", self.indexes()),
                format!("--solv-cache-dir={dir}/solv"),
                format!("--pkg-cache-dir={dir}/packages"),
            ])
            .env("LC_ALL", "C.UTF-8")
    }

    fn indexes(&self) -> Utf8PathBuf {
        self.dir.join("indexes")
    }

    /// Most often there is no network, or a repository is down.
    fn unreachable(&self, error: &anyhow::Error) -> Failure {
        let (name, check) = match self.tool {
            RepositoryTool::Dnf => ("dnf", "dnf makecache"),
            RepositoryTool::Zypper => ("zypper", "zypper refresh"),
        };
        Failure::missing("the package repositories", format!("{name} could not fetch from them: {error}"))
            .remedy(format!(
                "check the network, the proxy and that `{check}` works, or disable the repository that is \
                 named, then run the same command again"
            ))
    }
}

impl RepositoryTool {
    /// Its program.
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Dnf => "dnf",
            Self::Zypper => "zypper",
        }
    }

    /// Whether this machine has it.
    pub(super) fn is_here(self) -> bool {
        programs::find(self.program()).is_some()
    }
}

/// What names one package and no other on a command line.
fn exact_name(package: &Package) -> String {
    format!("{}-{}.{}", package.name, package.version, package.architecture)
}

/// Those of source packages in what `dnf repolist --all` says, that belong to one that is enabled.
fn sources_of(listed: &str) -> Vec<String> {
    let rows: Vec<(&str, bool)> = listed
        .lines()
        .filter_map(|line| {
            let (id, rest) = line.split_once(' ')?;
            let state = rest.split_whitespace().next_back()?;
            matches!(state, "enabled" | "disabled").then_some((id, state == "enabled"))
        })
        .collect();
    let is_enabled = |id: &str| rows.iter().any(|(known, enabled)| *known == id && *enabled);
    let of = |id: &str| match id.strip_suffix("-source-rpms") {
        Some(base) => is_enabled(&format!("{base}-rpms")),
        None => id.strip_suffix("-source").is_some_and(is_enabled),
    };
    rows.iter().filter(|(id, enabled)| !enabled && of(id)).map(|(id, _)| (*id).to_owned()).collect()
}

/// Each repository's id, and its index of packages.
fn index_files(dir: &Utf8Path) -> Result<Vec<(String, Utf8PathBuf)>> {
    let mut files = Vec::new();
    for entry in dir.read_dir_utf8()? {
        let repository = entry?.path().to_owned();
        let Some(name) = repository.file_name().map(str::to_owned) else { continue };
        let repodata = repository.join("repodata");
        if !repodata.is_dir() {
            continue;
        }
        let names = repodata.read_dir_utf8()?.filter_map(Result::ok).map(|entry| entry.path().to_owned());
        let primary =
            names.into_iter().find(|file| file.file_name().is_some_and(|name| name.contains("primary.xml")));
        files.extend(primary.map(|file| (id_of(&name).to_owned(), file)));
    }
    files.sort();
    Ok(files)
}

/// The id in the name of a directory of dnf's cache, which has a digest behind it.
fn id_of(name: &str) -> &str {
    let digest = |end: &str| end.len() == 16 && end.chars().all(|c| c.is_ascii_hexdigit());
    name.rsplit_once('-').filter(|(_, end)| digest(end)).map_or(name, |(id, _)| id)
}

fn text(file: &Utf8Path) -> Result<String> {
    let bytes = fs_err::read(file)?;
    let bytes = match Compression::of(&bytes) {
        None => bytes,
        Some(kind) => kind.decompress(&bytes).with_context(|| format!("decompressing {file}"))?,
    };
    String::from_utf8(bytes).with_context(|| format!("{file} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_belong_to_what_is_enabled() {
        let listed = "repo id                 repo name                status\n\
            baseos                  CentOS Stream 9 - BaseOS enabled\n\
            baseos-source           CentOS Stream 9 - Source disabled\n\
            crb-source              CentOS Stream 9 - Source disabled\n\
            crb                     CentOS Stream 9 - CRB    disabled\n\
            rhel-9-baseos-rpms      RHEL                     enabled\n\
            rhel-9-baseos-source-rpms RHEL                   disabled\n\
            own-source              Own                      enabled\n";
        assert_eq!(sources_of(listed), ["baseos-source", "rhel-9-baseos-source-rpms"]);
    }

    #[test]
    fn a_repository_is_known_by_the_directory_of_its_cache() {
        assert_eq!(id_of("updates-71c913707df56d1b"), "updates");
        assert_eq!(id_of("repo-oss"), "repo-oss");
    }
}
