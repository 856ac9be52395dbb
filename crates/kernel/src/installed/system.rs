// SPDX-License-Identifier: GPL-2.0
//! The root directory of a system, this machine's or a tree: what is looked for below it is found
//! as the system itself would find it.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use pathrs::Root;
use pathrs::flags::OpenFlags;

/// A system's root directory.
#[derive(Debug)]
pub struct SystemRoot {
    /// Its real path on this machine.
    dir: Utf8PathBuf,
    /// Resolves paths below it, links included; without openat2(2), as on RHEL 8, by itself.
    root: Root,
}

/// Something that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPath {
    /// Where it really is, as the system sees it: from its own `/`.
    pub real: Utf8PathBuf,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether somebody may execute it.
    pub is_executable: bool,
    /// Its size in bytes.
    pub size: u64,
}

impl SystemRoot {
    /// The system whose `/` is `dir`.
    ///
    /// # Errors
    ///
    /// It is not a directory that can be opened.
    pub fn open(dir: &Utf8Path) -> Result<Self> {
        let root = Root::open(dir.as_std_path()).with_context(|| format!("opening {dir}"))?;
        Ok(Self { dir: dir.canonicalize_utf8()?, root })
    }

    /// Where what the system calls `path` is on this machine.
    pub fn on_host(&self, path: &Utf8Path) -> Utf8PathBuf {
        self.dir.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// What `path` leads to, if that is there.
    pub fn find(&self, path: impl AsRef<Utf8Path>) -> Option<FoundPath> {
        let opened = File::from(OwnedFd::from(self.root.resolve(path.as_ref().as_std_path()).ok()?));
        let meta = opened.metadata().ok()?;
        let real = fs_err::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())).ok()?;
        let real = Utf8PathBuf::from_path_buf(real).ok()?;
        let below = real.strip_prefix(&self.dir).ok()?;
        Some(FoundPath {
            real: Utf8Path::new("/").join(below),
            is_dir: meta.is_dir(),
            is_executable: meta.is_file() && meta.permissions().mode() & 0o111 != 0,
            size: meta.len(),
        })
    }

    /// What the link at `path` says; `None` if there is no link.
    pub fn link(&self, path: impl AsRef<Utf8Path>) -> Option<Utf8PathBuf> {
        let target = self.root.readlink(path.as_ref().as_std_path()).ok()?;
        Utf8PathBuf::from_path_buf(target).ok()
    }

    /// A plain file's bytes, if it can be read.
    pub fn read(&self, path: impl AsRef<Utf8Path>) -> Option<Vec<u8>> {
        self.read_up_to(path, u64::MAX)
    }

    /// The same, at most so many of them.
    pub fn read_up_to(&self, path: impl AsRef<Utf8Path>, limit: u64) -> Option<Vec<u8>> {
        let file = self.opened(path.as_ref(), OpenFlags::O_RDONLY | OpenFlags::O_NONBLOCK)?;
        let plain = file.metadata().is_ok_and(|meta| meta.is_file());
        let mut bytes = Vec::new();
        (plain && file.take(limit).read_to_end(&mut bytes).is_ok()).then_some(bytes)
    }

    /// A plain file's text, if it can be read.
    pub fn text(&self, path: impl AsRef<Utf8Path>) -> Option<String> {
        Some(String::from_utf8_lossy(&self.read(path)?).into_owned())
    }

    /// The names in a directory, sorted; none where there is no such directory.
    pub fn names(&self, path: impl AsRef<Utf8Path>) -> Vec<String> {
        let Some(dir) = self.opened(path.as_ref(), OpenFlags::O_RDONLY | OpenFlags::O_DIRECTORY) else {
            return Vec::new();
        };
        let Ok(entries) = rustix::fs::Dir::read_from(&dir) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned));
        let mut names: Vec<String> = names.filter(|name| name != "." && name != "..").collect();
        names.sort_unstable();
        names
    }

    fn opened(&self, path: &Utf8Path, flags: OpenFlags) -> Option<File> {
        self.root.resolve(path.as_std_path()).ok()?.reopen(flags | OpenFlags::O_CLOEXEC).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err::os::unix::fs::symlink;

    #[test]
    fn a_path_is_found_where_the_system_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::create_dir_all(root.join("usr/lib/modules/1")).unwrap();
        fs_err::create_dir_all(root.join("usr/src/h")).unwrap();
        fs_err::write(root.join("usr/src/h/f"), "text").unwrap();
        symlink("usr/lib", root.join("lib")).unwrap();
        symlink("/usr/src/h", root.join("usr/lib/modules/1/build")).unwrap();
        symlink("../../../../../../usr/src/gone", root.join("usr/lib/modules/1/source")).unwrap();
        let system = SystemRoot::open(root).unwrap();
        let found = system.find("lib/modules/1/build/f").unwrap();
        assert_eq!((found.real.as_str(), found.size, found.is_executable), ("/usr/src/h/f", 4, false));
        assert_eq!(fs_err::read(system.on_host(&found.real)).unwrap(), b"text");
        assert_eq!(system.link("/lib/modules/1/build").unwrap(), "/usr/src/h");
        assert_eq!(system.find("/lib/modules/1/source"), None);
        assert!(system.link("/lib/modules/1/source").is_some() && system.link("/usr/src/h").is_none());
        assert_eq!(system.names("lib/modules/1"), ["build", "source"]);
        assert_eq!(system.read_up_to("usr/src/h/f", 2).unwrap(), b"te");
    }
}
