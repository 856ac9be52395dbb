// SPDX-License-Identifier: GPL-2.0
//! Where the modules are, and where links to them are or would be.

use anyhow::Result;
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use serde::Serialize;
use walkdir::WalkDir;

use crate::install::system::TargetSystem;
use kernel::version;
use kmodfile::name;
use kmodfile::release::Release;
use report::failure::Failure;

/// The directory of links in a release's own.
const WEAK_UPDATES: &str = "weak-updates";

/// A system's `/lib/modules`.
#[derive(Clone, Debug)]
pub struct Modules {
    system: TargetSystem,
}

/// A module below the `extra` directory of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Extra {
    /// The kernel that it was built for.
    pub release: Release,
    /// Its path below `extra`.
    pub path: Utf8PathBuf,
}

impl Extra {
    /// Its path as seen on the system itself.
    pub fn seen(&self) -> Utf8PathBuf {
        Utf8Path::new("/lib/modules").join(&self.release).join("extra").join(&self.path)
    }

    /// The name of the module.
    pub(super) fn name(&self) -> String {
        self.path.file_name().and_then(name::of_file).unwrap_or_default()
    }
}

/// A link below weak-updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExistingLink {
    /// Itself.
    pub(super) link: Utf8PathBuf,
    /// What is written in it.
    pub(super) written: Utf8PathBuf,
    /// The file that it leads to, whether there is one or not. Only the file itself may be a link.
    pub(super) leads: Utf8PathBuf,
}

impl ExistingLink {
    /// Whether there is a file where it leads.
    pub(super) fn is_good(&self) -> bool {
        self.leads.is_file()
    }

    /// The name of the module.
    pub(super) fn name(&self) -> String {
        self.link.file_name().and_then(name::of_file).unwrap_or_default()
    }
}

impl Modules {
    /// Those of a system.
    pub fn of(system: TargetSystem) -> Self {
        Self { system }
    }

    /// The system.
    pub fn system(&self) -> &TargetSystem {
        &self.system
    }

    fn dir(&self, release: &Release) -> Utf8PathBuf {
        self.system.path(TargetSystem::relative_dir(release))
    }

    /// The kernels that are installed, the newest first. A directory that a removed kernel has left
    /// is none.
    pub(super) fn kernels(&self) -> Vec<Release> {
        let installed = |release: &Release| self.system.release_dir(release).is_ok();
        newest_first(self.system.releases().into_iter().filter(installed).collect())
    }

    /// Splits a path given by a package or a user, `/lib/modules/RELEASE/extra/PATH`. The directory
    /// that is the system's `/` may stand before it.
    ///
    /// # Errors
    ///
    /// Usage, if it is another path.
    pub fn extra(&self, path: &Utf8Path) -> Result<Extra, Failure> {
        let refused = || {
            Failure::usage(path.as_str(), "is not a module in the extra directory of a kernel")
                .remedy("give it as /lib/modules/RELEASE/extra/NAME/MODULE.ko")
        };
        let root = self.system.root();
        let inner = if root == "/" { path } else { path.strip_prefix(root).unwrap_or(path) };
        let inner = inner.strip_prefix("/").unwrap_or(inner);
        let inner = inner.strip_prefix("usr").unwrap_or(inner);
        let inner = inner.strip_prefix("lib/modules").map_err(|_| refused())?;
        let mut parts = inner.components();
        let release = parts.next().and_then(|part| part.as_str().parse().ok()).ok_or_else(refused)?;
        let leaves = inner.components().any(|part| part == Utf8Component::ParentDir);
        let extra = parts.next().is_some_and(|part| part.as_str() == "extra");
        let path = parts.as_path().to_owned();
        if leaves || !extra || !is_module(&path) {
            return Err(refused());
        }
        Ok(Extra { release, path })
    }

    /// All modules below `extra` of all kernels but `kernel`, those of the newest first. A kernel
    /// that was removed may have left some.
    pub(super) fn extras_of_others(&self, kernel: &Release) -> Vec<Extra> {
        let others = self.system.releases().into_iter().filter(|other| other != kernel).collect();
        newest_first(others).iter().flat_map(|other| self.extras_of(other)).collect()
    }

    fn extras_of(&self, release: &Release) -> Vec<Extra> {
        let dir = self.dir(release).join("extra");
        let entries = WalkDir::new(&dir).sort_by_file_name().into_iter().filter_map(Result::ok);
        let files = entries.filter(|entry| entry.file_type().is_file());
        let paths = files
            .filter_map(|entry| Some(Utf8Path::from_path(entry.path())?.strip_prefix(&dir).ok()?.to_owned()));
        paths.filter(|path| is_module(path)).map(|path| Extra { release: release.clone(), path }).collect()
    }

    /// The file of a module.
    pub(super) fn file(&self, extra: &Extra) -> Utf8PathBuf {
        place(&self.dir(&extra.release).join("extra").join(&extra.path))
    }

    /// The link that a kernel would have to a module.
    pub(super) fn link(&self, kernel: &Release, extra: &Extra) -> Utf8PathBuf {
        self.dir(kernel).join(WEAK_UPDATES).join(&extra.path)
    }

    /// What is written in `link` for it to lead to `file`: a path that holds wherever the system's
    /// `/` is, so that a depmod that is told of another `/` can follow it.
    pub(super) fn written(link: &Utf8Path, file: &Utf8Path) -> Utf8PathBuf {
        let link = place(link);
        relative(link.parent().unwrap_or(Utf8Path::new("/")), file)
    }

    /// A path as seen on the system itself, below `/lib` where that is another name of `/usr/lib`.
    pub(super) fn seen(&self, path: &Utf8Path) -> Utf8PathBuf {
        let Ok(inner) = path.strip_prefix(self.system.root()) else { return path.to_owned() };
        let modules = inner.strip_prefix("usr").ok().filter(|inner| inner.starts_with("lib/modules"));
        Utf8Path::new("/").join(modules.unwrap_or(inner))
    }

    /// The links below weak-updates of a kernel that are named like modules.
    pub(super) fn links(&self, kernel: &Release) -> Vec<ExistingLink> {
        let dir = self.dir(kernel).join(WEAK_UPDATES);
        let entries = WalkDir::new(&dir).sort_by_file_name().into_iter().filter_map(Result::ok);
        let links = entries.filter(|entry| entry.path_is_symlink());
        let existing = links.filter_map(|entry| {
            let link = Utf8Path::from_path(entry.path())?.to_owned();
            let written = link.read_link_utf8().ok()?;
            is_module(&link).then(|| ExistingLink { leads: self.leads(&link, &written), link, written })
        });
        existing.collect()
    }

    /// Where a link of the system leads: within it, whatever its `/` is here. Absolute ones were
    /// written as seen on the system, or with the directory that is its `/` before that.
    fn leads(&self, link: &Utf8Path, written: &Utf8Path) -> Utf8PathBuf {
        let root = self.system.root();
        let path = match written.strip_prefix("/") {
            Err(_) => place(link).with_file_name("").join(written),
            Ok(_) if root != "/" && written.starts_with(root) => written.to_owned(),
            Ok(inner) => root.join(inner),
        };
        place(&normal(&path))
    }

    /// Every kernel that has links, whether it is still installed or not.
    pub(super) fn with_links(&self) -> Vec<Release> {
        let has = |release: &Release| self.dir(release).join(WEAK_UPDATES).exists();
        self.system.releases().into_iter().filter(has).collect()
    }

    /// Whether there is a directory of this kernel's.
    pub(super) fn require(&self, kernel: &Release) -> Result<()> {
        self.system.release_dir(kernel).map(drop)
    }

    /// The directory of a kernel, whose own that of a removed link is not.
    pub(super) fn top(&self, kernel: &Release) -> Utf8PathBuf {
        self.dir(kernel)
    }
}

fn newest_first(mut releases: Vec<Release>) -> Vec<Release> {
    releases.sort_by(|a, b| version::compare(b.as_str(), a.as_str()));
    releases
}

fn is_module(path: &Utf8Path) -> bool {
    path.file_name().and_then(name::stem).is_some()
}

/// `path` with every link on the way to its last part followed, as far as there is something.
pub(super) fn place(path: &Utf8Path) -> Utf8PathBuf {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return path.to_owned() };
    match dir.canonicalize_utf8() {
        Ok(real) => real.join(name),
        Err(_) => place(dir).join(name),
    }
}

/// `path` without `.` and `..`.
fn normal(path: &Utf8Path) -> Utf8PathBuf {
    let mut out = Utf8PathBuf::new();
    for part in path.components() {
        match part {
            Utf8Component::ParentDir => drop(out.pop()),
            Utf8Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

/// The way from a directory to a file. Both are absolute, without links.
fn relative(from: &Utf8Path, to: &Utf8Path) -> Utf8PathBuf {
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| "..");
    up.chain(to.components().skip(common).map(|part| part.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Scratch {
        _dir: tempfile::TempDir,
        modules: Modules,
    }

    /// A system, merged or not.
    fn system(merged: bool) -> Scratch {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap();
        if merged {
            fs_err::create_dir_all(root.join("usr/lib")).unwrap();
            symlink("usr/lib", root.join("lib")).unwrap();
        }
        for release in ["6.12.9", "6.12.107"] {
            fs_err::create_dir_all(root.join("lib/modules").join(release).join("kernel")).unwrap();
            fs_err::create_dir_all(root.join("lib/modules").join(release).join("extra/x")).unwrap();
        }
        let modules = Modules::of(TargetSystem::open(&root).unwrap());
        Scratch { _dir: dir, modules }
    }

    #[test]
    fn only_modules_in_extra_are_named() {
        let Scratch { modules, .. } = &system(false);
        let below = modules.system.path("lib/modules/6.12.1/extra/x/x.ko");
        for path in
            ["/lib/modules/6.12.1/extra/x/x.ko", "/usr/lib/modules/6.12.1/extra/x/x.ko", below.as_str()]
        {
            let extra = modules.extra(Utf8Path::new(path)).unwrap();
            assert_eq!((extra.release.as_str(), extra.path.as_str()), ("6.12.1", "x/x.ko"));
            assert_eq!(extra.seen(), "/lib/modules/6.12.1/extra/x/x.ko");
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
    fn the_newest_kernel_is_the_one_of_the_highest_number() {
        let kernels = system(false).modules.kernels();
        assert_eq!(kernels.iter().map(Release::as_str).collect::<Vec<_>>(), ["6.12.107", "6.12.9"]);
    }

    #[test]
    fn a_link_is_relative_within_the_tree_and_each_form_of_it_is_understood() {
        for merged in [false, true] {
            let Scratch { modules, .. } = &system(merged);
            let kernel: Release = "6.12.107".parse().unwrap();
            let extra = modules.extra("/lib/modules/6.12.9/extra/x/x.ko".into()).unwrap();
            let (link, file) = (modules.link(&kernel, &extra), modules.file(&extra));
            let written = Modules::written(&link, &file);
            assert_eq!(written, "../../../6.12.9/extra/x/x.ko", "merged: {merged}");
            fs_err::create_dir_all(link.parent().unwrap()).unwrap();
            let root = modules.system.root();
            for written in [
                written,
                "/lib/modules/6.12.9/extra/x/x.ko".into(),
                "/usr/lib/modules/6.12.9/extra/x/x.ko".into(),
                root.join("lib/modules/6.12.9/extra/x/x.ko"),
            ] {
                if written.starts_with("/usr") && !merged {
                    continue;
                }
                symlink(&written, &link).unwrap();
                let found = modules.links(&kernel);
                assert_eq!(found[0].leads, file, "{written}");
                assert!(!found[0].is_good());
                fs_err::write(&file, "").unwrap();
                assert!(found[0].is_good());
                fs_err::remove_file(&file).unwrap();
                fs_err::remove_file(&link).unwrap();
            }
        }
    }

    #[test]
    fn ways() {
        for (from, to, way) in [
            ("/m/2/weak-updates", "/m/1/extra/x.ko", "../../1/extra/x.ko"),
            ("/m/2/weak-updates/x", "/m/2/extra/x.ko", "../../extra/x.ko"),
            ("/", "/x", "x"),
        ] {
            assert_eq!(relative(from.into(), to.into()), way);
            assert_eq!(normal(&Utf8Path::new(from).join(way)), to);
        }
    }
}
