// SPDX-License-Identifier: GPL-2.0
//! A kernel in a store: what is said of it, how it is packed, and that it is what it is said to be.

use std::fs::File;
use std::io::{self, Seek as _, Write};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use kmodfile::release::Release;
use report::failure::Failure;
use report::fingerprint::Fingerprint;
use report::process::Cmd;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::context::Context;

/// How much zstd tries: at 3 it keeps up with a disk.
const LEVEL: i32 = 3;

/// What the store says of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredKernel {
    pub(super) release: Release,
    /// The hash of what it was prepared from.
    pub(super) inputs: String,
    /// The only place that it works at.
    pub(super) place: Utf8PathBuf,
    /// The hash of the file that holds it.
    pub(super) sha256: String,
    /// Its size in bytes.
    pub(super) size: u64,
}

/// By which a kernel is found.
pub(super) fn key(inputs: &str, place: &Utf8Path) -> String {
    Fingerprint::new("stored kernel", 1).text("inputs", inputs).text("place", place.as_str()).hex()
}

impl StoredKernel {
    /// Reads what a store says.
    pub(super) fn read(file: &Utf8Path, name: &str) -> Result<Self> {
        let text = fs_err::read(file)?;
        let entry: Self = serde_json::from_slice(&text)
            .map_err(|error| Failure::refused(name, format!("says of no kernel what it is: {error}")))?;
        let is_hash = entry.sha256.len() == 64 && entry.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hash { Ok(entry) } else { Err(Failure::refused(name, "names no file").into()) }
    }

    /// The name of the file that holds it.
    pub(super) fn file(&self) -> String {
        format!("files/{}.tar.zst", self.sha256)
    }

    /// Refuses another kernel than the one that is wanted.
    pub(super) fn require(&self, release: &Release, inputs: &str, place: &Utf8Path) -> Result<()> {
        if (&self.release, self.inputs.as_str(), self.place.as_path()) == (release, inputs, place) {
            return Ok(());
        }
        let reason = format!("is of {} at {}, and {release} at {place} is wanted", self.release, self.place);
        Err(Failure::refused(self.file(), reason).into())
    }

    /// Refuses a file that is not what it is said to be, before anything of it is unpacked.
    pub(super) fn require_content(&self, file: &Utf8Path) -> Result<()> {
        let refused = |reason: String| Failure::refused(self.file(), reason);
        let size = fs_err::metadata(file)?.len();
        if size != self.size {
            return Err(refused(format!("has {size} bytes, and is said to have {}", self.size)).into());
        }
        let mut hash = Hashed::new(io::sink());
        io::copy(&mut fs_err::File::open(file)?, &mut hash)?;
        let found = hash.hex();
        if found == self.sha256 {
            Ok(())
        } else {
            Err(refused(format!("is spoilt: its hash is {found}")).into())
        }
    }
}

/// What is written through it, with its hash and how much it was.
struct Hashed<Inner> {
    inner: Inner,
    hash: Sha256,
    size: u64,
}

impl<Inner> Hashed<Inner> {
    fn new(inner: Inner) -> Self {
        Self { inner, hash: Sha256::new(), size: 0 }
    }

    fn hex(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }
}

impl<Inner: Write> Write for Hashed<Inner> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Packs the tree at `place` into `file`. Times are kept whole: make compares them.
pub(super) fn pack(
    context: &Context,
    release: &Release,
    inputs: &str,
    place: &Utf8Path,
    file: &Utf8Path,
) -> Result<StoredKernel> {
    let tar = Cmd::new("tar").args(["--create", "--format=posix", "--sort=name", "--numeric-owner"]);
    let tar = tar.args(["--directory", place.as_str(), "."]);
    context.report.command(&tar.line());
    let mut child = tar.bound("KILL").spawn(Stdio::piped(), Stdio::null())?;
    let mut archive = child.stdout.take().context("tar has an output")?;
    let mut hashed = Hashed::new(fs_err::File::create(file)?);
    let mut encoder = zstd::Encoder::new(&mut hashed, LEVEL)?;
    io::copy(&mut archive, &mut encoder)?;
    encoder.finish()?;
    ensure!(child.wait()?.success(), "tar could not pack {place}");
    let (sha256, size) = (hashed.hex(), hashed.size);
    Ok(StoredKernel {
        release: release.clone(),
        inputs: inputs.to_owned(),
        place: place.to_owned(),
        sha256,
        size,
    })
}

/// Unpacks a file whose content was looked at into `dir`.
pub(super) fn unpack(context: &Context, file: &Utf8Path, dir: &Utf8Path) -> Result<()> {
    let place = file.with_extension("tar");
    let tar = File::options().read(true).write(true).create(true).truncate(true).open(&place);
    let mut tar = tar.with_context(|| format!("writing {place}"))?;
    let mut decoder = zstd::Decoder::new(fs_err::File::open(file)?)?;
    io::copy(&mut decoder, &mut tar).with_context(|| format!("unpacking {file}"))?;
    tar.rewind()?;
    let cmd = Cmd::new("tar").args(["--extract", "--no-same-owner", "--directory", dir.as_str()]);
    cmd.stdin(Arc::new(tar)).run(&context.report).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::Report;
    use report::cache::Cache;

    #[test]
    fn what_says_of_no_kernel_what_it_is_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(scratch.path()).unwrap().join("x.json");
        let good = format!(
            r#"{{"release":"7.2.1-a","inputs":"i","place":"/p","sha256":"{}","size":3}}"#,
            "0".repeat(64)
        );
        fs_err::write(&file, &good).unwrap();
        let name = format!("files/{}.tar.zst", "0".repeat(64));
        assert_eq!(StoredKernel::read(&file, "x").unwrap().file(), name);
        for (text, said) in [
            (good[..20].to_owned(), "says of no kernel what it is"),
            (good.replace("\"sha256\":\"00", "\"sha256\":\"../"), "names no file"),
            (good.replace("\"sha256\":\"0", "\"sha256\":\""), "names no file"),
            (good.replace("7.2.1-a", "../x"), "says of no kernel what it is"),
            (good.replace("{", "{\"more\":1,"), "says of no kernel what it is"),
        ] {
            fs_err::write(&file, &text).unwrap();
            let error = StoredKernel::read(&file, "x").unwrap_err();
            assert!(error.to_string().contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_packed_is_unpacked_as_it_was_and_nothing_else_is() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(scratch.path()).unwrap();
        let context = Context::new(Report::silent(), Cache::at(dir.join("cache")).unwrap(), "x".into());
        let (tree, to) = (dir.join("tree"), dir.join("to"));
        fs_err::create_dir_all(tree.join("a")).unwrap();
        fs_err::create_dir(&to).unwrap();
        fs_err::write(tree.join("a/b"), "content").unwrap();
        fs_err::os::unix::fs::symlink("/elsewhere/source", tree.join("source")).unwrap();
        let release: Release = "7.2.1-a".parse().unwrap();
        let file = dir.join("x.tar.zst");
        let entry = pack(&context, &release, "inputs", &tree, &file).unwrap();
        entry.require(&release, "inputs", &tree).unwrap();
        assert!(entry.require(&release, "others", &tree).is_err());
        entry.require_content(&file).unwrap();
        unpack(&context, &file, &to).unwrap();
        let written = |dir: &Utf8Path| dir.join("a/b").metadata().unwrap().modified().unwrap();
        assert_eq!(written(&tree), written(&to));
        assert_eq!(to.join("source").read_link_utf8().unwrap(), "/elsewhere/source");
        // Cut off, or with one bit that is another.
        let whole = fs_err::read(&file).unwrap();
        fs_err::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert!(entry.require_content(&file).unwrap_err().to_string().contains("is said to have"));
        let mut spoilt = whole;
        spoilt[20] ^= 1;
        fs_err::write(&file, spoilt).unwrap();
        assert!(entry.require_content(&file).unwrap_err().to_string().contains("is spoilt"));
    }
}
