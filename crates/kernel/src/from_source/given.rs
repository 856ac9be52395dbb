// SPDX-License-Identifier: GPL-2.0
//! The source that the user names, and what it is known by.

use std::io::{Read as _, Seek as _};
use std::os::unix::fs::MetadataExt as _;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use kmodfile::compression::Compression;
use sha2::{Digest as _, Sha256};

use crate::machine::programs;
use report::Report;
use report::failure::Failure;
use report::fingerprint::Fingerprint;
use report::process::Cmd;

/// What only a kernel's source has, all of it.
const OF_A_KERNEL: &[&str] =
    &["Makefile", "Kconfig", "Kbuild", "arch", "scripts/Makefile.build", "scripts/kconfig"];

/// What a build in the source itself leaves, by which make would take the wrong headers for those
/// of another output directory. Below `arch/*/` as well.
const BUILT_IN_PLACE: &[&str] = &[".config", "include/config", "include/generated"];

/// A kernel's source, as the user named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GivenSource {
    /// A directory.
    Directory(Utf8PathBuf),
    /// A tar file, compressed or not.
    Tarball(Utf8PathBuf, Option<Compression>),
}

impl GivenSource {
    /// What is at `path`.
    ///
    /// # Errors
    ///
    /// Refused, if it cannot be a kernel's source, or one that was built in itself.
    pub(super) fn of(path: &Utf8Path) -> Result<Self> {
        if !path.exists() {
            return Err(Failure::usage(path.as_str(), "no such file or directory").into());
        }
        let path = path.canonicalize_utf8()?;
        if path.is_dir() {
            require_kernel(&path, &path)?;
            require_clean(&path)?;
            return Ok(Self::Directory(path));
        }
        let mut first = Vec::new();
        let mut file = fs_err::File::open(&path)?;
        file.by_ref().take(TAR_HEADER as u64).read_to_end(&mut first)?;
        let compression = Compression::of(&first);
        if compression.is_none() && first.get(257..262) != Some(b"ustar") {
            let reason = "is neither a directory nor a tar file, compressed with xz, gzip or zstd";
            return Err(Failure::refused(path.as_str(), reason).into());
        }
        Ok(Self::Tarball(path, compression))
    }

    pub(super) fn path(&self) -> &Utf8Path {
        match self {
            Self::Directory(path) | Self::Tarball(path, _) => path,
        }
    }

    /// What its content is known by: a tar file's hash, the commit of a tree that git calls clean,
    /// else names, sizes and times of all files.
    pub(super) fn identity(&self, report: &Report) -> Result<String> {
        let print = Fingerprint::new("kernel source", 1);
        let print = match self {
            Self::Tarball(path, _) => print.text("tarball", &hash(path)?),
            Self::Directory(dir) => match commit(dir, report)? {
                Some(commit) => print.text("commit", &commit),
                None => print.text("tree", dir.as_str()).text("state", &state(dir)?),
            },
        };
        Ok(print.hex()[..16].to_owned())
    }
}

/// The length of a header in a tar file.
const TAR_HEADER: usize = 512;

/// Refuses `tree` if it is not a kernel's source; it is what the user named `object`.
pub(super) fn require_kernel(tree: &Utf8Path, object: &Utf8Path) -> Result<(), Failure> {
    let Some(lacks) = OF_A_KERNEL.iter().find(|name| !tree.join(name).exists()) else { return Ok(()) };
    let failure = Failure::refused(object.as_str(), format!("not a kernel's source: it has no {lacks}"));
    let entries = tree.read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
    let inner = entries.map(|entry| entry.file_name().to_owned()).find(|name| {
        name.starts_with("linux") && (name.contains(".tar") || tree.join(name).join("Kconfig").exists())
    });
    Err(match inner {
        Some(name) => failure.remedy(format!("--source {}", tree.join(name))),
        None => failure,
    })
}

/// Refuses a tree that a kernel was built in: Kbuild does so too, but late, and it would have to be
/// cleaned by the user in any case.
fn require_clean(dir: &Utf8Path) -> Result<()> {
    let of_arch = dir.join("arch").read_dir_utf8()?.filter_map(Result::ok);
    let of_arch = of_arch.map(|arch| arch.path().join("include/generated"));
    let left = BUILT_IN_PLACE.iter().map(|name| dir.join(name)).chain(of_arch).find(|path| path.exists());
    let Some(left) = left else { return Ok(()) };
    let mut left = left.strip_prefix(dir)?.to_owned();
    if dir.join(".config").exists() && dir.join("include/config").exists() {
        left = "include/config".into();
    }
    let reason = format!(
        "a kernel was configured or built in this tree itself: it has {left}, which every other build of it would \
         take for its own"
    );
    let remedy = format!(
        "keep its .config elsewhere, then: make -C {dir} mrproper; or name a clean copy: git -C {dir} worktree add ../clean"
    );
    Err(Failure::refused(dir.as_str(), reason).remedy(remedy).into())
}

/// The commit of a tree in which nothing is changed, as git says.
fn commit(dir: &Utf8Path, report: &Report) -> Result<Option<String>> {
    if !dir.join(".git").exists() || programs::find("git").is_none() {
        return Ok(None);
    }
    // Neither a program that the repository's settings name is run, nor its index written.
    let git = || {
        let cmd =
            Cmd::new("git").arg("-C").arg(dir).args(["--no-optional-locks", "-c", "core.fsmonitor=false"]);
        cmd.env("LC_ALL", "C.UTF-8")
    };
    let status = git().args(["status", "--porcelain", "--ignore-submodules"]).finish(report)?;
    let head = git().args(["rev-parse", "--verify", "HEAD"]).finish(report)?;
    let clean = status.status.success() && status.stdout.is_empty() && head.status.success();
    Ok(clean.then(|| head.text().trim().to_owned()))
}

/// A hash over names, sizes and times of all files below `dir` but git's own.
fn state(dir: &Utf8Path) -> Result<String> {
    let mut hash = Sha256::new();
    let walk = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| entry.depth() != 1 || entry.file_name() != ".git") {
        let entry = entry?;
        let meta = entry.metadata()?;
        let name = entry.path().strip_prefix(dir)?.as_os_str().as_encoded_bytes();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        // What is in a directory counts, not when something was put there.
        let facts = if meta.is_dir() {
            [meta.mode().into(), 0, 0, 0]
        } else {
            let nanos = u64::try_from(meta.mtime_nsec()).unwrap_or_default();
            [meta.mode().into(), meta.len(), meta.mtime().cast_unsigned(), nanos]
        };
        facts.iter().for_each(|fact: &u64| hash.update(fact.to_le_bytes()));
    }
    Ok(hex(&hash.finalize()))
}

/// The hash of a large file.
fn hash(path: &Utf8Path) -> Result<String> {
    let mut file = fs_err::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    file.rewind()?;
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..length]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::failure::{Exit, exit_of, remedy_of};

    /// A tree with the names of a kernel's source, and nothing in them.
    fn tree() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap().join("linux");
        for name in ["arch/x86/include", "scripts/kconfig"] {
            fs_err::create_dir_all(path.join(name)).unwrap();
        }
        for name in ["Makefile", "Kconfig", "Kbuild", "scripts/Makefile.build"] {
            fs_err::write(path.join(name), "").unwrap();
        }
        (dir, path)
    }

    #[test]
    fn a_tree_that_was_built_in_is_refused_and_make_mrproper_named() {
        let (_dir, path) = tree();
        assert_eq!(GivenSource::of(&path).unwrap(), GivenSource::Directory(path.clone()));
        for left in [".config", "include/config/x", "arch/x86/include/generated/x"] {
            let file = path.join(left);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(&file, "").unwrap();
            let error = GivenSource::of(&path).unwrap_err();
            assert_eq!(exit_of(&error), Exit::Refused, "{left}");
            assert!(error.to_string().contains("configured or built in this tree"), "{error}");
            assert!(remedy_of(&error).unwrap().contains("mrproper"), "{left}");
            match file.parent().unwrap().file_name() {
                Some("config" | "generated") => fs_err::remove_dir_all(file.parent().unwrap()).unwrap(),
                _ => fs_err::remove_file(&file).unwrap(),
            }
        }
        GivenSource::of(&path).unwrap();
    }

    #[test]
    fn what_is_no_kernel_is_refused_and_one_inside_it_named() {
        let (dir, path) = tree();
        let outer = Utf8Path::from_path(dir.path()).unwrap();
        let error = GivenSource::of(outer).unwrap_err();
        assert!(error.to_string().contains("not a kernel's source: it has no Makefile"), "{error}");
        assert!(remedy_of(&error).unwrap().ends_with("/linux"));
        fs_err::write(path.join("notes"), "no tar file").unwrap();
        let error = GivenSource::of(&path.join("notes")).unwrap_err();
        assert!(exit_of(&error) == Exit::Refused && error.to_string().contains("neither a directory"));
        assert_eq!(exit_of(&GivenSource::of("/nonexistent".into()).unwrap_err()), Exit::Usage);
    }

    #[test]
    fn an_edited_tree_is_another_and_a_clean_checkout_its_commit() {
        let (_dir, path) = tree();
        let report = &Report::silent();
        let identity = || GivenSource::of(&path).unwrap().identity(report).unwrap();
        let first = identity();
        assert_eq!(first, identity());
        fs_err::write(path.join("Kbuild"), "changed").unwrap();
        assert_ne!(first, identity());
        let git = |words: &[&str]| {
            let settings = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
            Cmd::new("git").arg("-C").arg(&path).args(settings).args(words).run(report).unwrap();
        };
        git(&["init", "-q"]);
        git(&["add", "."]);
        git(&["commit", "-qm", "all"]);
        let clean = identity();
        // Times do not count there.
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(9);
        fs_err::File::options().write(true).open(path.join("Kbuild")).unwrap().set_modified(later).unwrap();
        assert_eq!(clean, identity());
        fs_err::write(path.join("Kbuild"), "again").unwrap();
        assert_ne!(clean, identity());
    }
}
