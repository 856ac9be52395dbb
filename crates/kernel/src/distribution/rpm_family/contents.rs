// SPDX-License-Identifier: GPL-2.0
//! What is in a kernel's RPMs, taken out with rpm2cpio(8) and cpio(1).

use std::fs::File;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::headers_configuration;
use kmodfile::release::Release;
use report::Report;
use report::failure::Failure;
use report::process::{self, Cmd};

/// Unpacks the files of packages into one tree; with `only`, those that match one of these patterns
/// of cpio(1).
pub(super) fn unpack(rpms: &[Utf8PathBuf], only: &[&str], into: &Utf8Path, report: &Report) -> Result<()> {
    fs_err::create_dir_all(into)?;
    rpms.iter().try_for_each(|rpm| {
        let cpio = Cmd::new("cpio").args(["--extract", "--make-directories", "--no-absolute-filenames"]);
        let cpio = cpio.args(["--preserve-modification-time", "--quiet", "--unconditional"]);
        let cpio = cpio.args(only).cwd(into);
        process::pipeline(&[opened(rpm)?, cpio], report).with_context(|| format!("unpacking {rpm}"))
    })
}

/// The command that writes a package's content as cpio(5) has it, and reads the package as its
/// standard input.
fn opened(rpm: &Utf8Path) -> Result<Cmd> {
    let file = Arc::new(File::open(rpm).with_context(|| format!("opening {rpm}"))?);
    Ok(rpm2cpio(file))
}

/// The same of an open file.
pub(super) fn rpm2cpio(file: Arc<File>) -> Cmd {
    Cmd::new("rpm2cpio").arg("-").stdin(file)
}

/// Where unpacked headers have the files of `release`: Fedora's directory, or that of SUSE's
/// architecture and flavour.
pub(super) fn headers_in(tree: &Utf8Path, release: &Release) -> Result<Utf8PathBuf> {
    let sources = tree.join("usr/src");
    let fedora = sources.join("kernels").join(release);
    if fedora.is_dir() {
        return Ok(fedora);
    }
    for entry in sources.read_dir_utf8().with_context(|| format!("{release}: no headers"))? {
        let dir = entry?.path().to_owned();
        if !dir.file_name().is_some_and(|name| name.ends_with("-obj")) {
            continue;
        }
        let found = walkdir::WalkDir::new(&dir).min_depth(2).max_depth(2);
        let of = |dir: &Utf8Path| dir.file_name().is_some_and(|flavour| release.as_str().ends_with(flavour));
        let found = found.into_iter().filter_map(Result::ok).filter_map(|entry| {
            Utf8PathBuf::from_path_buf(entry.into_path())
                .ok()
                .filter(|dir| of(dir) && dir.join(".config").exists())
        });
        if let Some(dir) = found.into_iter().next() {
            return Ok(dir);
        }
    }
    let reason = "its headers package holds neither /usr/src/kernels/RELEASE nor /usr/src/linux-*-obj";
    Err(Failure::refused(release.as_str(), reason).into())
}

/// Takes what building modules needs out of the headers package.
pub(super) fn headers(rpm: &Utf8PathBuf, release: &Release, into: &Utf8Path, report: &Report) -> Result<()> {
    let unpacked = into.join("headers");
    unpack(std::slice::from_ref(rpm), &[], &unpacked, report)?;
    let from = headers_in(&unpacked, release)?;
    headers_configuration::take(&from, into)?;
    for name in ["Module.symvers", "vmlinux"] {
        if from.join(name).exists() {
            fs_err::copy(from.join(name), into.join(name))?;
        }
    }
    if !into.join("Module.symvers").exists() {
        let reason = "its headers package has no Module.symvers, so that no module can be built for it";
        return Err(Failure::refused(release.as_str(), reason).into());
    }
    Ok(fs_err::remove_dir_all(unpacked)?)
}

/// One file of the headers, and no other of thousands.
pub(super) fn header(rpm: &Utf8PathBuf, release: &Release, name: &str, report: &Report) -> Result<Vec<u8>> {
    let dir = tempfile::tempdir()?;
    let path = Utf8Path::from_path(dir.path()).context("the directory's name is text")?;
    let patterns = [format!("./usr/src/*/{name}"), "./usr/src/*/.config".to_owned()];
    unpack(std::slice::from_ref(rpm), &patterns.each_ref().map(String::as_str), path, report)?;
    let file = headers_in(path, release)?.join(name);
    Ok(fs_err::read(file)?)
}

/// Unpacks image and modules, laid out as installed. The image is beside the modules; SUSE's is
/// in `/boot` as well.
pub(super) fn image(rpms: &[Utf8PathBuf], into: &Utf8Path, report: &Report) -> Result<()> {
    unpack(rpms, &[], into, report)?;
    let merged = into.join("usr/lib/modules");
    if merged.is_dir() && !into.join("lib").exists() {
        fs_err::create_dir_all(into.join("lib"))?;
        fs_err::rename(merged, into.join("lib/modules"))?;
    }
    Ok(())
}

/// Unpacks the kernel with its debug information out of the debug package, which holds the modules'
/// as well, and gives its path.
pub(super) fn debug(
    rpm: &Utf8PathBuf,
    release: &Release,
    into: &Utf8Path,
    report: &Report,
) -> Result<Utf8PathBuf> {
    unpack(
        std::slice::from_ref(rpm),
        &["./usr/lib/debug/*/vmlinux", "./usr/lib/debug/*/vmlinux*.debug"],
        into,
        report,
    )?;
    let dir = into.join("usr/lib/debug");
    let found = walkdir::WalkDir::new(&dir).into_iter().filter_map(Result::ok);
    let found = found.filter(|entry| entry.file_type().is_file()).map(|entry| entry.into_path()).next();
    let found = found.and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
    found.with_context(|| format!("{rpm} holds no kernel {release} with debug information"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_where_each_family_has_them() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Utf8Path::from_path(dir.path()).unwrap();
        let suse = tree.join("usr/src/linux-6.4.0-150600.21-obj/x86_64");
        for flavour in ["default", "rt"] {
            fs_err::create_dir_all(suse.join(flavour)).unwrap();
            fs_err::write(suse.join(flavour).join(".config"), "").unwrap();
        }
        let release: Release = "6.4.0-150600.21-rt".parse().unwrap();
        assert_eq!(headers_in(tree, &release).unwrap(), suse.join("rt"));
        let fedora: Release = "6.17.1-300.fc43.x86_64+debug".parse().unwrap();
        assert!(headers_in(tree, &fedora).is_err());
        let place = tree.join("usr/src/kernels/6.17.1-300.fc43.x86_64+debug");
        fs_err::create_dir_all(&place).unwrap();
        assert_eq!(headers_in(tree, &fedora).unwrap(), place);
    }
}
