// SPDX-License-Identifier: GPL-2.0
//! Finds the kernel's source and unpacks the SMB client from it.

use std::io::{self, Read};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use liblzma::read::XzDecoder;

/// Names the source to judge by: a directory with `fs/smb` in it, or a package of the source.
pub const VARIABLE: &str = "CIFS_FIX_ORACLE_SOURCE";

/// Where the SMB client is in a kernel's source.
const CLIENT: &str = "fs/smb/";

/// Puts `fs/smb` of the newest kernel source at hand below `into`, and says where that came from.
///
/// # Errors
///
/// There is none, with what to do about it; or it cannot be read.
pub fn unpack(into: &Utf8Path) -> Result<Utf8PathBuf> {
    let from = find()?;
    if from.is_dir() {
        copy(&from.join(CLIENT), &into.join(CLIENT))?;
    } else {
        let file = fs_err::File::open(&from)?;
        unpack_package(io::BufReader::with_capacity(1 << 20, file), into)
            .with_context(|| format!("unpacking {from}"))?;
    }
    if !into.join(CLIENT).join("client/smb2misc.c").exists() {
        bail!("{from}: no {CLIENT}client/smb2misc.c in it");
    }
    Ok(from)
}

/// The source that the environment names, or else the newest package of it in the cache.
///
/// # Errors
///
/// There is none, and how to get one.
pub fn find() -> Result<Utf8PathBuf> {
    if let Some(named) = std::env::var(VARIABLE).ok().filter(|named| !named.is_empty()) {
        return Ok(named.into());
    }
    let cache = std::env::var("XDG_CACHE_HOME").ok().filter(|dir| !dir.is_empty());
    let home = std::env::var("HOME").map(|home| format!("{home}/.cache"));
    let debs = Utf8PathBuf::from(cache.map_or(home, Ok)?).join("cargo-kmod/archive/debs");
    let names = debs.read_dir_utf8().map(|dir| dir.filter_map(Result::ok).map(|e| e.into_path()).collect());
    let names: Vec<Utf8PathBuf> = names.unwrap_or_default();
    let source = |path: &Utf8PathBuf| {
        path.file_name().is_some_and(|name| name.starts_with("linux-source-") && name.ends_with(".deb"))
    };
    let newest = names.into_iter().filter(source).max_by_key(|path| numbers(path.as_str()));
    newest.with_context(|| {
        format!(
            "no linux-source-*.deb in {debs}: `cargo xtask kernel prepare` fetches one, or set {VARIABLE}"
        )
    })
}

/// The numbers in a name, so that 7.10 comes after 7.9.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// Copies a directory of files and directories.
fn copy(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    fs_err::create_dir_all(to)?;
    for entry in from.read_dir_utf8()? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(entry.path(), &target)?;
        } else {
            fs_err::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// A Debian package is an `ar` archive; its `data.tar.xz` holds `linux-source-*.tar.xz`.
fn unpack_package(mut package: impl Read, into: &Utf8Path) -> Result<()> {
    let mut magic = [0; 8];
    package.read_exact(&mut magic)?;
    loop {
        let mut header = [0; 60];
        package.read_exact(&mut header).context("no data.tar.xz in it")?;
        let text = |range: std::ops::Range<usize>| String::from_utf8_lossy(&header[range]).trim().to_owned();
        let size: u64 = text(48..58).parse()?;
        if text(0..16).starts_with("data.tar.xz") {
            return files(XzDecoder::new(package.take(size)), |name, mut inner| {
                if !name.ends_with(".tar.xz") {
                    return Ok(false);
                }
                files(XzDecoder::new(&mut inner), |name, content| keep(name, content, into))?;
                Ok(true)
            })
            .map(drop);
        }
        io::copy(&mut package.by_ref().take(size + size % 2), &mut io::sink())?;
    }
}

/// Writes one file of the source when it is the client's. Says whether the client is complete,
/// which it is when something follows that is not.
fn keep(name: &str, content: &mut dyn Read, into: &Utf8Path) -> Result<bool> {
    let Some((_, path)) = name.split_once('/').filter(|(_, path)| path.starts_with(CLIENT)) else {
        return Ok(into.join(CLIENT).exists() && into.join(CLIENT).join("common").exists());
    };
    let target = into.join(path);
    fs_err::create_dir_all(target.parent().context("a file without a directory")?)?;
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes)?;
    fs_err::write(target, bytes)?;
    Ok(false)
}

/// Hands every regular file of a tar archive to `visit`, until that returns true.
fn files(mut tar: impl Read, mut visit: impl FnMut(&str, &mut dyn Read) -> Result<bool>) -> Result<bool> {
    let mut header = [0; 512];
    while tar.read_exact(&mut header).is_ok() && header[0] != 0 {
        let field = |range: std::ops::Range<usize>| {
            let field = &header[range];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
            String::from_utf8_lossy(&field[..end]).trim().to_owned()
        };
        let size = u64::from_str_radix(&field(124..136), 8)?;
        let mut content = tar.by_ref().take(size);
        if matches!(header[156], 0 | b'0') && visit(&field(0..100), &mut content)? {
            return Ok(true);
        }
        let left = content.limit() + size.next_multiple_of(512) - size;
        io::copy(&mut tar.by_ref().take(left), &mut io::sink())?;
    }
    Ok(false)
}
