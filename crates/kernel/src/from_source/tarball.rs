// SPDX-License-Identifier: GPL-2.0
//! Unpacks a tar file that came from somewhere. tar(1) does so, which by itself stays below the
//! directory that it is given; what it is fed with is looked at on the way, and one bad entry ends
//! all.

use std::io::{self, Read, Seek as _, Write as _};
use std::path::{Component, Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use tar::EntryType;

use crate::source::{Extent, extract};
use kmodfile::compression::Compression;
use report::failure::Failure;
use report::{ProgressUnit, Step};

/// Unpacks `file` to `into`, without the one directory that everything in it is below. `step` shows
/// how far that is.
pub(super) fn unpack(
    file: &Utf8Path,
    compression: Option<Compression>,
    extent: Extent,
    into: &Utf8Path,
    step: &Step<'_>,
) -> Result<()> {
    let packed = fs_err::File::open(file)?;
    step.count(ProgressUnit::Bytes, packed.metadata()?.len());
    let position = packed.file().try_clone()?;
    step.watch(move || (&position).stream_position().unwrap_or_default());
    let mut source = decompressed(packed, compression)?;
    let damaged = |error: io::Error| {
        let reason = format!("is truncated or damaged: {error}");
        Failure::refused(file.as_str(), reason).remedy("fetch it again")
    };
    let mut first = Vec::new();
    source.by_ref().take(BEGINNING).read_to_end(&mut first).map_err(damaged)?;
    let top = top_of(&first).map_err(damaged)?;
    let Some(top) = top else { return Err(Failure::refused(file.as_str(), "is an empty tar file").into()) };
    let mut tar = extract(extent, &top, into).input(Vec::new()).spawn(Stdio::null(), Stdio::piped())?;
    let sink = tar.stdin.take().context("no pipe")?;
    let read = pass(&top, Tee { source: first.chain(source), sink });
    let said = ended(tar)?;
    match (read, said) {
        (Ok(()), None) => Ok(()),
        (Err(Problem::Entry(reason)), _) => {
            let remedy = "take the kernel's source from where its maintainers publish it";
            Err(Failure::refused(file.as_str(), reason).remedy(remedy).into())
        }
        (Err(Problem::Read(error)), _) => Err(damaged(error).into()),
        (Ok(()), Some(said)) => anyhow::bail!("tar could not unpack {file} to {into}: {said}"),
    }
}

/// So much of it is read for the name of its first entry.
const BEGINNING: u64 = 64 << 10;

/// The directory of the first entry; none, if there is no entry.
fn top_of(first: &[u8]) -> io::Result<Option<String>> {
    let mut archive = tar::Archive::new(first);
    let Some(entry) = archive.entries()?.next() else { return Ok(None) };
    let path = entry?.path()?.into_owned();
    Ok(Some(first_of(&path).unwrap_or_default().to_owned()))
}

/// What tar(1) complained of, if it failed.
fn ended(child: Child) -> Result<Option<String>> {
    let output = child.wait_with_output()?;
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

fn decompressed(file: fs_err::File, compression: Option<Compression>) -> Result<Box<dyn Read>> {
    let file = io::BufReader::with_capacity(1 << 20, file);
    Ok(match compression {
        None => Box::new(file),
        Some(Compression::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Some(Compression::Xz) => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(file)),
        Some(Compression::Zstd) => {
            let mut decoder = zstd::Decoder::with_buffer(file)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// The largest window that `zstd --ultra` takes without being asked.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Passes on what is read.
struct Tee<R> {
    source: R,
    sink: ChildStdin,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        // One that has ended says itself why.
        self.sink.write_all(&buffer[..length]).ok();
        Ok(length)
    }
}

/// Why a tar file is not unpacked.
#[derive(Debug)]
enum Problem {
    /// It cannot be read to its end.
    Read(io::Error),
    /// What it holds is not to be unpacked.
    Entry(String),
}

/// Reads a tar file to its end, and looks at each entry.
fn pass(top: &str, tee: impl Read) -> Result<(), Problem> {
    let mut archive = tar::Archive::new(tee);
    for entry in archive.entries().map_err(Problem::Read)? {
        let entry = entry.map_err(Problem::Read)?;
        let path = entry.path().map_err(Problem::Read)?;
        let link = entry.link_name().map_err(Problem::Read)?;
        check(top, &path, entry.header().entry_type(), link.as_deref()).map_err(Problem::Entry)?;
    }
    // What follows the last entry, and the sum over all.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(Problem::Read)?;
    Ok(())
}

fn first_of(path: &Path) -> Option<&str> {
    path.components().next()?.as_os_str().to_str()
}

/// Refuses what would be outside of `top`, and what no source holds.
fn check(top: &str, path: &Path, kind: EntryType, link: Option<&Path>) -> Result<(), String> {
    let shown = path.display();
    if depth(path).is_none() {
        return Err(format!("holds {shown}, a path that leaves the directory it is unpacked to"));
    }
    if first_of(path) != Some(top) {
        return Err(format!("holds {shown} beside {top}, and a kernel's source is one directory"));
    }
    // A source that leads out of itself would be another elsewhere.
    let stays = match (kind, link) {
        (EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse | EntryType::Directory, _) => true,
        (EntryType::Link, Some(link)) => first_of(link) == Some(top) && depth(link).is_some(),
        // Beside the link; an absolute one stays absolute.
        (EntryType::Symlink, Some(link)) => {
            let beside: PathBuf = path.parent().into_iter().flat_map(Path::components).skip(1).collect();
            depth(&beside.join(link)).is_some()
        }
        _ => return Err(format!("holds {shown}, which is neither a file, a directory nor a link")),
    };
    if stays {
        return Ok(());
    }
    Err(format!("holds {shown}, a link to {}, which leaves it", link.unwrap_or(path).display()))
}

/// How deep `path` is below where it begins; none, if it is absolute or leaves that on the way.
fn depth(path: &Path) -> Option<usize> {
    path.components().try_fold(0_usize, |depth, component| match component {
        // `.` is at the beginning only: the directory that is unpacked to.
        Component::Normal(_) | Component::CurDir => Some(depth + 1),
        Component::ParentDir => depth.checked_sub(1),
        Component::RootDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::Report;
    use report::failure::{Exit, exit_of};

    #[test]
    fn what_leaves_the_source_is_refused() {
        let table = [
            ("linux/Makefile", EntryType::Regular, None, ""),
            ("./Makefile", EntryType::Regular, None, "beside linux"),
            ("linux/a/b", EntryType::Symlink, Some("../c"), ""),
            ("linux/a/b", EntryType::Symlink, Some("../../etc"), "leaves it"),
            ("linux/a", EntryType::Symlink, Some("/etc"), "leaves it"),
            ("linux/a", EntryType::Link, Some("linux/b"), ""),
            ("linux/a", EntryType::Link, Some("../b"), "leaves it"),
            ("linux/../../x", EntryType::Regular, None, "leaves the directory"),
            ("/etc/passwd", EntryType::Regular, None, "leaves the directory"),
            ("linux/null", EntryType::Char, None, "neither a file"),
            ("other/x", EntryType::Regular, None, "beside linux"),
        ];
        for (path, kind, link, refused) in table {
            let result = check("linux", Path::new(path), kind, link.map(Path::new));
            let said = result.err().unwrap_or_default();
            assert!(said.is_empty() == refused.is_empty() && said.contains(refused), "{path}: {said}");
        }
    }

    /// A tar file with one file of each name, compressed.
    fn tarball(dir: &Utf8Path, names: &[&str], kind: Compression) -> camino::Utf8PathBuf {
        let mut builder = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            // Past what the crate refuses to write.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(200_000);
            header.set_mode(0o644);
            header.set_cksum();
            let noise: Vec<u8> =
                (0..50_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
            builder.append(&header, noise.as_slice()).unwrap();
        }
        let file = dir.join(format!("x.tar{}", kind.suffix()));
        fs_err::write(&file, kind.compress(&builder.into_inner().unwrap()).unwrap()).unwrap();
        file
    }

    fn unpacked(file: &Utf8Path, kind: Compression, into: &Utf8Path) -> Result<()> {
        fs_err::create_dir_all(into).unwrap();
        let report = Report::silent();
        unpack(file, Some(kind), Extent::Whole, into, &report.step("Unpacking", "x"))
    }

    #[test]
    fn a_whole_one_is_unpacked_and_a_truncated_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        for kind in [Compression::Xz, Compression::Gzip, Compression::Zstd] {
            let file = tarball(dir, &["linux/a", "linux/b/c"], kind);
            let into = dir.join(kind.program());
            unpacked(&file, kind, &into).unwrap();
            assert_eq!(fs_err::metadata(into.join("b/c")).unwrap().len(), 200_000);
            let whole = fs_err::read(&file).unwrap();
            for length in [40, whole.len() / 2, whole.len() - 3] {
                fs_err::write(&file, &whole[..length]).unwrap();
                let error = unpacked(&file, kind, &dir.join("cut")).unwrap_err();
                assert_eq!(exit_of(&error), Exit::Refused, "{kind:?} {length}: {error:#}");
                assert!(error.to_string().contains("is truncated or damaged"), "{kind:?} {length}: {error}");
            }
        }
    }

    #[test]
    fn nothing_is_written_outside() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let file = tarball(dir, &["linux/a", "linux/../../escaped"], Compression::Xz);
        let error = unpacked(&file, Compression::Xz, &dir.join("into/x")).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
        assert!(error.to_string().contains("escaped"), "{error}");
        assert!(!dir.join("into/escaped").exists() && !dir.join("escaped").exists());
    }
}
