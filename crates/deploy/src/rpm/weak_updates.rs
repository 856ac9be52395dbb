// SPDX-License-Identifier: GPL-2.0
//! The links that weak-modules makes: another kernel finds the module
//! `/lib/modules/BUILT_FOR/extra/NAME/X.ko` as `/lib/modules/KERNEL/weak-updates/NAME/X.ko`, if
//! each of its symbols has the CRC there that it was built against.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use walkdir::WalkDir;

use crate::install::index::depmod_warnings;
use crate::rpm::kabi::Kabi;
use kernel::failures::OrFail as _;
use kernel::installed;
use kernel::root::host;
use kmodfile::module::Module;
use kmodfile::name;
use kmodfile::release::Release;
use report::Report;
use report::failure::Failure;
use report::process::Cmd;

/// A system's `/lib/modules`.
#[derive(Clone, Debug)]
pub struct Modules {
    root: Utf8PathBuf,
}

/// A module below the `extra` directory of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extra {
    /// The kernel that it was built for.
    pub release: Release,
    /// Its path below `extra`.
    pub path: Utf8PathBuf,
}

/// A change that is made, or would be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum LinkChange {
    /// A link is made.
    Link {
        /// The kernel that gets it.
        kernel: Release,
        /// The link.
        link: Utf8PathBuf,
        /// Its target, as seen on the system itself.
        target: Utf8PathBuf,
    },
    /// A link is removed.
    Unlink {
        /// The kernel that loses it.
        kernel: Release,
        /// The link.
        link: Utf8PathBuf,
    },
}

impl LinkChange {
    /// The kernel whose directory is changed.
    pub fn kernel(&self) -> &Release {
        match self {
            Self::Link { kernel, .. } | Self::Unlink { kernel, .. } => kernel,
        }
    }

    /// The link that is made or removed.
    pub fn link(&self) -> &Utf8Path {
        match self {
            Self::Link { link, .. } | Self::Unlink { link, .. } => link,
        }
    }
}

/// An existing link below weak-updates.
struct Existing {
    kernel: Release,
    link: Utf8PathBuf,
    target: Utf8PathBuf,
}

impl Modules {
    /// Those of the system in `root`.
    pub fn of(root: &Utf8Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn dir(&self) -> Utf8PathBuf {
        self.root.join("lib/modules")
    }

    /// The kernels, by the directories named after them.
    fn kernels(&self) -> Vec<Release> {
        let entries = self.dir().read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
        let mut releases: Vec<Release> = entries.filter_map(|entry| entry.file_name().parse().ok()).collect();
        releases.sort();
        releases
    }

    /// Splits a path given by a package or a user, `/lib/modules/RELEASE/extra/PATH`.
    pub fn extra(&self, path: &Utf8Path) -> Result<Extra> {
        let refused = || {
            Failure::usage(path.as_str(), "is not a module in the extra directory of a kernel")
                .remedy("give it as /lib/modules/RELEASE/extra/NAME/MODULE.ko, without the directory given with --root")
        };
        let inner = path.strip_prefix("/usr").map_or(path, |rest| rest);
        let inner = inner.strip_prefix("/").unwrap_or(inner);
        let inner = inner.strip_prefix("lib/modules").map_err(|_| refused())?;
        let mut parts = inner.components();
        let release = parts.next().and_then(|part| part.as_str().parse().ok()).ok_or_else(refused)?;
        let leaves = inner.components().any(|part| part == camino::Utf8Component::ParentDir);
        let extra = parts.next().is_some_and(|part| part.as_str() == "extra");
        let path = parts.as_path().to_owned();
        if leaves || !extra || !is_module(&path) {
            return Err(refused().into());
        }
        Ok(Extra { release, path })
    }

    /// All modules below `extra` of a kernel.
    fn extras_of(&self, release: &Release) -> Vec<Extra> {
        let dir = self.dir().join(release).join("extra");
        let entries = WalkDir::new(&dir).sort_by_file_name().into_iter().filter_map(Result::ok);
        let files = entries.filter(|entry| entry.file_type().is_file());
        let paths = files
            .filter_map(|entry| Some(Utf8Path::from_path(entry.path())?.strip_prefix(&dir).ok()?.to_owned()));
        paths.filter(|path| is_module(path)).map(|path| Extra { release: release.clone(), path }).collect()
    }

    fn file(&self, extra: &Extra) -> Utf8PathBuf {
        self.dir().join(&extra.release).join("extra").join(&extra.path)
    }

    fn link(&self, kernel: &Release, extra: &Extra) -> Utf8PathBuf {
        self.dir().join(kernel).join("weak-updates").join(&extra.path)
    }

    /// The target of a link, as seen on the system itself.
    fn target(extra: &Extra) -> Utf8PathBuf {
        Utf8Path::new("/lib/modules").join(&extra.release).join("extra").join(&extra.path)
    }

    /// The links that lead to modules of `extra`, in all kernels.
    fn links(&self) -> Vec<Existing> {
        let of_kernel = |kernel: &Release| {
            let dir = self.dir().join(kernel).join("weak-updates");
            let entries = WalkDir::new(&dir).sort_by_file_name().into_iter().filter_map(Result::ok);
            let links = entries.filter(|entry| entry.path_is_symlink());
            let existing = links.filter_map(|entry| {
                let link = Utf8Path::from_path(entry.path())?.to_owned();
                let target = link.read_link_utf8().ok()?;
                Some(Existing { kernel: kernel.clone(), link, target })
            });
            existing.collect::<Vec<_>>()
        };
        self.kernels().iter().flat_map(of_kernel).collect()
    }

    /// What a kernel exports, if there is a file that lists it.
    fn kabi(&self, kernel: &Release) -> Result<Option<Kabi>> {
        Ok(installed::symvers(&self.root, kernel.as_str())?.map(|text| Kabi::of_symvers(&text)))
    }

    /// For new modules: links in each other kernel that would load them.
    pub fn add_modules(&self, extras: &[Extra], report: &Report) -> Result<Vec<LinkChange>> {
        let mut changes = Vec::new();
        for kernel in self.kernels() {
            changes.extend(self.add(&kernel, extras, report)?);
        }
        Ok(changes)
    }

    /// For a new kernel: links to the modules in `extra` of other kernels that it would load.
    pub fn add_kernel(&self, kernel: &Release, report: &Report) -> Result<Vec<LinkChange>> {
        self.require(kernel)?;
        let others = self.kernels().into_iter().filter(|other| other != kernel).rev();
        let extras: Vec<Extra> = others.flat_map(|other| self.extras_of(&other)).collect();
        self.add(kernel, &extras, report)
    }

    /// Links in one kernel to those of `extras` that it would load, unless it has a module of its
    /// own there, or a link already. Modules in one directory belong to one package: all of them
    /// are linked or none.
    fn add(&self, kernel: &Release, extras: &[Extra], report: &Report) -> Result<Vec<LinkChange>> {
        let foreign: Vec<&Extra> = extras.iter().filter(|extra| extra.release != *kernel).collect();
        if foreign.is_empty() {
            return Ok(Vec::new());
        }
        let Some(kabi) = self.kabi(kernel)? else {
            report.warn(&format!(
                "kernel {kernel} gets no links: there is no file that lists what it exports (symvers)"
            ));
            return Ok(Vec::new());
        };
        let mut changes: Vec<LinkChange> = Vec::new();
        for group in groups(&foreign) {
            let files: Vec<Module> = group
                .iter()
                .map(|extra| Ok(Module::read(&self.file(extra)).or_fail()?))
                .collect::<Result<_>>()?;
            let together = kabi.clone().with(&files);
            if !files
                .iter()
                .all(|module| module.versions.present() && together.differences(module).is_empty())
            {
                continue;
            }
            for extra in group {
                let link = self.link(kernel, extra);
                let own = self.file(&Extra { release: kernel.clone(), path: extra.path.clone() });
                let planned = changes
                    .iter()
                    .any(|change| matches!(change, LinkChange::Link { link: other, .. } if *other == link));
                if !own.exists() && !planned && link.symlink_metadata().is_err() {
                    changes.push(LinkChange::Link {
                        kernel: kernel.clone(),
                        link,
                        target: Self::target(extra),
                    });
                }
            }
        }
        Ok(changes)
    }

    /// For modules that are removed: the removal of all links to them.
    pub fn remove_modules(&self, extras: &[Extra]) -> Vec<LinkChange> {
        let targets: Vec<Utf8PathBuf> = extras.iter().map(Self::target).collect();
        self.unlink(|existing| targets.contains(&existing.target))
    }

    /// For a kernel that is removed: the removal of its links, and of those to its modules.
    pub fn remove_kernel(&self, kernel: &Release) -> Vec<LinkChange> {
        let own = Utf8Path::new("/lib/modules").join(kernel);
        self.unlink(|existing| existing.kernel == *kernel || existing.target.starts_with(&own))
    }

    fn unlink(&self, wanted: impl Fn(&Existing) -> bool) -> Vec<LinkChange> {
        let links = self.links().into_iter().filter(wanted);
        links.map(|Existing { kernel, link, .. }| LinkChange::Unlink { kernel, link }).collect()
    }

    fn require(&self, kernel: &Release) -> Result<(), Failure> {
        let dir = self.dir().join(kernel);
        if dir.is_dir() {
            return Ok(());
        }
        Err(Failure::usage(kernel.as_str(), format!("there is no {dir}")).remedy("ls /lib/modules"))
    }

    /// Runs depmod for the kernels whose links have changed, and checks their indexes. A kernel
    /// that is being removed and has no modules any more is skipped.
    pub fn index(&self, changes: &[LinkChange], report: &Report) -> Result<()> {
        let kernels: BTreeSet<&Release> = changes.iter().map(LinkChange::kernel).collect();
        for kernel in kernels {
            let dir = self.dir().join(kernel);
            if !dir.join("kernel").exists() {
                continue;
            }
            let depmod = Cmd::new("depmod").arg("--basedir").arg(&self.root).arg(kernel.as_str());
            depmod_warnings(&host::inside(depmod), report)?.iter().for_each(|line| report.warn(line));
            let dep = fs_err::read_to_string(dir.join("modules.dep"))?;
            let of_kernel = changes.iter().filter(|change| change.kernel() == kernel);
            if let Some(change) = of_kernel.into_iter().find(|change| !is_indexed(&dep, &dir, change)) {
                let reason = "does not agree with modules.dep, although depmod reported success";
                return Err(Failure::refused(change.link().as_str(), reason)
                    .remedy("run the command again with -v and see what depmod says")
                    .into());
            }
        }
        Ok(())
    }

    /// Makes one change. A new link does not replace anything; directories are removed with the
    /// last link in them.
    pub fn apply(&self, change: &LinkChange) -> Result<()> {
        match change {
            LinkChange::Link { link, target, .. } => {
                fs_err::create_dir_all(link.parent().context("a link has a directory")?)?;
                symlink(target, link).with_context(|| format!("linking {link} to {target}"))
            }
            LinkChange::Unlink { link, kernel } => {
                fs_err::remove_file(link)?;
                let top = self.dir().join(kernel);
                for dir in link.ancestors().skip(1).take_while(|dir| *dir != top) {
                    // It is not empty.
                    if std::fs::remove_dir(dir).is_err() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Whether a modules.dep agrees with `change`; `dir` is the kernel's directory. A new link is
/// listed, or another module of the same name that takes precedence; a removed one is not.
fn is_indexed(dep: &str, dir: &Utf8Path, change: &LinkChange) -> bool {
    let mut listed = dep.lines().filter_map(|line| Some(Utf8Path::new(line.split_once(':')?.0)));
    match change {
        LinkChange::Link { link, .. } => {
            let name = link.file_name().and_then(name::of_file);
            listed.any(|path| path.file_name().and_then(name::of_file) == name)
        }
        LinkChange::Unlink { link, .. } => listed.all(|path| dir.join(path) != *link),
    }
}

fn is_module(path: &Utf8Path) -> bool {
    path.file_name().and_then(name::stem).is_some()
}

/// Groups modules by kernel and directory, in their order.
fn groups<'a>(extras: &[&'a Extra]) -> Vec<Vec<&'a Extra>> {
    let mut groups: Vec<Vec<&Extra>> = Vec::new();
    for extra in extras {
        let belongs = |group: &&mut Vec<&Extra>| {
            group[0].release == extra.release && group[0].path.parent() == extra.path.parent()
        };
        match groups.iter_mut().find(belongs) {
            Some(group) => group.push(extra),
            None => groups.push(vec![extra]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_modules_in_extra_are_named() {
        let modules = Modules::of(Utf8Path::new("/"));
        for path in ["/lib/modules/6.12.1/extra/x/x.ko", "/usr/lib/modules/6.12.1/extra/x/x.ko"] {
            let extra = modules.extra(Utf8Path::new(path)).unwrap();
            assert_eq!((extra.release.as_str(), extra.path.as_str()), ("6.12.1", "x/x.ko"));
        }
        for path in [
            "/lib/modules/6.12.1/kernel/x.ko",
            "/lib/modules/6.12.1/extra/../../x.ko",
            "/lib/modules/6.12.1/extra/x.txt",
            "/lib/modules/../extra/x.ko",
            "/etc/passwd",
        ] {
            assert!(modules.extra(Utf8Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn an_index_that_does_not_agree_with_a_link_is_noticed() {
        let dir = Utf8Path::new("/lib/modules/6.12.2");
        let kernel: Release = "6.12.2".parse().unwrap();
        let link = dir.join("weak-updates/x/a-b.ko.xz");
        let made = LinkChange::Link { kernel: kernel.clone(), link: link.clone(), target: "/t".into() };
        let removed = LinkChange::Unlink { kernel, link };
        for (dep, there, gone) in [
            ("kernel/c.ko:\nweak-updates/x/a-b.ko.xz: kernel/c.ko\n", true, false),
            ("kernel/c.ko:\nupdates/a_b.ko:\n", true, true),
            ("kernel/c.ko: weak-updates/x/a-b.ko.xz\n", false, true),
            ("", false, true),
        ] {
            let found = (is_indexed(dep, dir, &made), is_indexed(dep, dir, &removed));
            assert_eq!(found, (there, gone), "{dep}");
        }
    }

    #[test]
    fn a_link_goes_with_its_directories_and_leaves_others() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let modules = Modules::of(root);
        let weak = root.join("lib/modules/6.12.2/weak-updates");
        let link = |name: &str| {
            let target = Utf8Path::new("/lib/modules/6.12.1/extra").join(name);
            let change =
                LinkChange::Link { kernel: "6.12.2".parse().unwrap(), link: weak.join(name), target };
            modules.apply(&change).unwrap();
        };
        link("x/x.ko");
        link("y/y.ko");
        let gone =
            modules.remove_modules(&[modules.extra("/lib/modules/6.12.1/extra/x/x.ko".into()).unwrap()]);
        gone.iter().for_each(|change| modules.apply(change).unwrap());
        assert!(!weak.join("x").exists() && weak.join("y/y.ko").symlink_metadata().is_ok());
        let gone = modules.remove_kernel(&"6.12.1".parse().unwrap());
        assert_eq!(gone.len(), 1);
        gone.iter().for_each(|change| modules.apply(change).unwrap());
        assert!(!weak.exists() && root.join("lib/modules/6.12.2").exists());
    }
}
