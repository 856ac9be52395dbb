// SPDX-License-Identifier: GPL-2.0
//! The system that modules are installed in: the machine's own, or a tree (`--root`,
//! `INSTALL_MOD_PATH`).

use std::fs::{File, TryLockError};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use kmodfile::release::Release;
use report::Report;
use report::failure::Failure;

/// A system, identified by the directory that is its `/`.
#[derive(Clone, Debug)]
pub struct TargetSystem {
    root: Utf8PathBuf,
}

/// Held while modules of a system are changed. It is released when dropped, and when the process
/// ends, however it ends.
#[derive(Debug)]
pub struct SystemLock(#[expect(dead_code, reason = "the lock is the open file")] File);

impl TargetSystem {
    /// The system at `root`.
    ///
    /// # Errors
    ///
    /// Missing, if there is no `lib/modules`; refused, if that leads outside `root`.
    pub fn open(root: &Utf8Path) -> Result<Self> {
        let root = root.canonicalize_utf8().map_err(|error| {
            Failure::missing(root.as_str(), format!("cannot be the root directory of a system: {error}"))
                .remedy("--root DIR: the directory that is `/` of the system")
        })?;
        let system = Self { root };
        if !system.modules().is_dir() {
            let reason = "has no lib/modules, so no kernel is installed there";
            return Err(Failure::missing(system.root.as_str(), reason)
                .remedy("--root DIR: the directory that is `/` of the system")
                .into());
        }
        system.require_inside("lib/modules".into())?;
        Ok(system)
    }

    /// Its `/`.
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// Whether it is the running machine.
    pub fn is_host(&self) -> bool {
        self.root == "/"
    }

    /// Whether podman, buildah or docker have made what is below `/`: the marks that they leave.
    pub fn is_in_container(&self) -> bool {
        ["run/.containerenv", ".dockerenv"].iter().any(|mark| self.path(mark).exists())
    }

    /// A path of the system, given relative to its `/`.
    pub fn path(&self, relative: impl AsRef<Utf8Path>) -> Utf8PathBuf {
        self.root.join(relative)
    }

    fn modules(&self) -> Utf8PathBuf {
        self.path("lib/modules")
    }

    /// The directory of one release, relative to `/`.
    pub fn relative_dir(release: &Release) -> Utf8PathBuf {
        Utf8Path::new("lib/modules").join(release)
    }

    /// The directory of one release.
    ///
    /// # Errors
    ///
    /// Missing; the error names the releases that are installed.
    pub fn release_dir(&self, release: &Release) -> Result<Utf8PathBuf> {
        let dir = self.path(Self::relative_dir(release));
        if dir.join("kernel").is_dir() || dir.join("modules.dep").exists() {
            self.require_inside(&Self::relative_dir(release))?;
            return Ok(dir);
        }
        let there: Vec<String> = self.releases().iter().map(Release::to_string).collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        Err(Failure::missing(
            format!("kernel {release}"),
            format!("is not installed in {}; installed: {there}", self.root),
        )
        .remedy("install the kernel first, or give the root directory of its system: --root DIR")
        .into())
    }

    /// The releases that have modules, in order of their names.
    pub fn releases(&self) -> Vec<Release> {
        let entries = self.modules().read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
        let mut releases: Vec<Release> = entries
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().parse().ok())
            .collect();
        releases.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        releases
    }

    /// Refuses a path that leads outside the system through symbolic links: a foreign tree may hold
    /// any link.
    pub fn require_inside(&self, relative: &Utf8Path) -> Result<()> {
        let mut existing = self.path(relative);
        while existing.symlink_metadata().is_err() && existing.pop() {}
        let real = existing.canonicalize_utf8().with_context(|| format!("finding where {existing} leads"))?;
        if real.starts_with(&self.root) {
            return Ok(());
        }
        Err(Failure::refused(existing.as_str(), format!("leads outside {}, to {real}", self.root))
            .remedy("make the link relative")
            .into())
    }

    /// Waits until no other run is changing modules of this system. The lock is on the directory
    /// itself, so that no file is left behind and the kernel releases it in every case.
    pub fn lock(&self, report: &Report) -> Result<SystemLock> {
        let dir = self.modules();
        let file = File::open(&dir).with_context(|| format!("opening {dir}"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let step = report.step("Waiting", &format!("for {dir}: it is held by another run"));
                file.lock().with_context(|| format!("waiting for {dir}"))?;
                step.done("Waited", &format!("for {dir}"));
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("locking {dir}")),
        }
        Ok(SystemLock(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::failure::{Exit, exit_of};

    fn root() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap();
        (dir, path)
    }

    #[test]
    fn a_tree_without_modules_is_missing() {
        let (_dir, root) = root();
        assert_eq!(exit_of(&TargetSystem::open(&root).unwrap_err()), Exit::Missing);
        assert_eq!(exit_of(&TargetSystem::open(&root.join("nowhere")).unwrap_err()), Exit::Missing);
    }

    #[test]
    fn a_link_out_of_the_tree_is_refused_and_one_within_is_not() {
        let (_dir, root) = root();
        let inner = root.join("system");
        fs_err::create_dir_all(root.join("outside/modules")).unwrap();
        fs_err::create_dir_all(inner.join("usr/lib/modules/7.1/kernel")).unwrap();
        std::os::unix::fs::symlink("usr/lib", inner.join("lib")).unwrap();
        let system = TargetSystem::open(&inner).unwrap();
        assert_eq!(system.releases().len(), 1);
        assert!(system.require_inside("lib/modules/7.1/extra/x.ko".into()).is_ok());
        std::os::unix::fs::symlink("/etc", inner.join("etc")).unwrap();
        let error = system.require_inside("etc/depmod.d/x.conf".into()).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
        fs_err::remove_file(inner.join("lib")).unwrap();
        std::os::unix::fs::symlink("../outside", inner.join("lib")).unwrap();
        assert_eq!(exit_of(&TargetSystem::open(&inner).unwrap_err()), Exit::Refused);
    }

    #[test]
    fn a_release_that_is_not_there_is_named_with_those_that_are() {
        let (_dir, root) = root();
        fs_err::create_dir_all(root.join("lib/modules/7.1/kernel")).unwrap();
        let system = TargetSystem::open(&root).unwrap();
        let error = system.release_dir(&"7.2".parse().unwrap()).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Missing);
        assert!(error.to_string().contains("installed: 7.1"), "{error}");
    }
}
