// SPDX-License-Identifier: GPL-2.0
//! Names: files made, looked at, listed, renamed, linked and removed.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, symlink};

use rustix::fs::statvfs;
use vm_init::{GuestStepResult, StepError};

use super::place::{Place, forget, require, shown};

/// How many files are made and removed.
const FILES: usize = 16;

/// The name of a file; beyond ASCII, and of a length that differs.
fn name(number: usize) -> String {
    format!("file {}\u{e4}\u{6f22} {number}", "x".repeat(number * 7))
}

/// What a file holds.
fn content(number: usize) -> Vec<u8> {
    vec![b'a' + (number % 26) as u8; number * 311]
}

/// Makes a directory of files.
pub(super) fn create(place: &Place<'_>) -> GuestStepResult {
    let dir = place.path("names");
    fs::create_dir(&dir).map_err(|error| StepError::of(shown(&dir), error))?;
    for number in 0..FILES {
        let path = dir.join(name(number));
        fs::write(&path, content(number)).map_err(|error| StepError::of(shown(&path), error))?;
    }
    Ok(None)
}

/// Looks at them, at one that is not there, and at the file system.
pub(super) fn stat(place: &Place<'_>) -> GuestStepResult {
    forget()?;
    for number in 0..FILES {
        let path = place.path("names").join(name(number));
        let seen = path.metadata().map_err(|error| StepError::of(shown(&path), error))?;
        let whole = seen.is_file() && seen.len() == content(number).len() as u64 && seen.mtime() > 0;
        require(whole, || format!("{}: {seen:?}", shown(&path)))?;
        let read = fs::read(&path).map_err(|error| StepError::of(shown(&path), error))?;
        require(read == content(number), || format!("{}: not what was written", shown(&path)))?;
    }
    let absent = place.path("names").join("absent").metadata();
    require(absent.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound), || {
        format!("a file that is not there: {absent:?}")
    })?;
    let space = statvfs(&place.dir).map_err(|errno| StepError::of("statvfs", errno))?;
    require(space.f_blocks > 0, || "the file system has no blocks".to_owned())?;
    Ok(None)
}

/// Lists the host's large directory: every name once, each with its size.
pub(super) fn list(place: &Place<'_>) -> GuestStepResult {
    let dir = std::path::Path::new(&place.work.directory).join(guest::LISTED_DIRECTORY);
    let failed = |error: std::io::Error| StepError::of(shown(&dir), error);
    let mut seen = Vec::new();
    for entry in fs::read_dir(&dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let size = entry.metadata().map_err(failed)?.len();
        seen.push((entry.file_name().to_string_lossy().into_owned(), size));
    }
    seen.sort_unstable();
    let mut expected: Vec<_> = (0..place.work.listed)
        .map(|number| (guest::listed_name(number), u64::from(number % guest::LISTED_SIZES)))
        .collect();
    expected.sort_unstable();
    let differs = seen.iter().zip(&expected).find(|(seen, expected)| seen != expected);
    require(seen == expected, || {
        format!("{} of {} names; first difference: {differs:?}", seen.len(), expected.len())
    })?;
    Ok(Some(format!("{} names", seen.len())))
}

/// Renames a file to a new name, and another over one that is there.
pub(super) fn rename(place: &Place<'_>) -> GuestStepResult {
    let dir = place.path("names");
    for (from, to) in [(name(1), "renamed".to_owned()), (name(2), name(3))] {
        let (from, to) = (dir.join(from), dir.join(to));
        let held = fs::read(&from).map_err(|error| StepError::of(shown(&from), error))?;
        fs::rename(&from, &to).map_err(|error| StepError::of(shown(&to), error))?;
        require(!from.exists(), || format!("{} is still there", shown(&from)))?;
        let holds = fs::read(&to).map_err(|error| StepError::of(shown(&to), error))?;
        require(holds == held, || format!("{} is another file", shown(&to)))?;
    }
    Ok(None)
}

/// Gives a file a second name; removing the first leaves the file.
pub(super) fn hard_links(place: &Place<'_>) -> GuestStepResult {
    let (first, second) = (place.path("first name"), place.path("second name"));
    let failed = |error: std::io::Error| StepError::of(shown(&second), error);
    fs::write(&first, "one file").map_err(failed)?;
    fs::hard_link(&first, &second).map_err(failed)?;
    forget()?;
    let (one, other) = (first.metadata().map_err(failed)?, second.metadata().map_err(failed)?);
    let same = one.ino() == other.ino() && one.nlink() == 2 && other.nlink() == 2;
    require(same, || format!("{one:?} and {other:?}"))?;
    fs::remove_file(&first).map_err(failed)?;
    let held = fs::read_to_string(&second).map_err(failed)?;
    require(held == "one file", || format!("holds {held:?}"))?;
    fs::remove_file(&second).map_err(failed)?;
    Ok(None)
}

/// Makes a symbolic link, reads it, and goes through it.
pub(super) fn symbolic_links(place: &Place<'_>) -> GuestStepResult {
    let (target, link) = (place.path("target"), place.path("link"));
    let failed = |error: std::io::Error| StepError::of(shown(&link), error);
    fs::write(&target, "linked").map_err(failed)?;
    symlink("target", &link).map_err(failed)?;
    forget()?;
    let read = fs::read_link(&link).map_err(failed)?;
    require(read.as_os_str() == "target", || format!("leads to {read:?}"))?;
    let kind = link.symlink_metadata().map_err(failed)?.file_type();
    require(kind.is_symlink(), || format!("is a {kind:?}"))?;
    let held = fs::read_to_string(&link).map_err(failed)?;
    require(held == "linked", || format!("what it leads to holds {held:?}"))?;
    for path in [&link, &target] {
        fs::remove_file(path).map_err(failed)?;
    }
    Ok(None)
}

/// Removes the directory of files.
pub(super) fn remove(place: &Place<'_>) -> GuestStepResult {
    let dir = place.path("names");
    let failed = |error: std::io::Error| StepError::of(shown(&dir), error);
    let refused = fs::remove_dir(&dir);
    let full = refused.as_ref().is_err_and(|error| error.kind() == ErrorKind::DirectoryNotEmpty);
    require(full, || format!("removing a full directory: {refused:?}"))?;
    let mut removed = 0;
    for entry in fs::read_dir(&dir).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)? {
        fs::remove_file(entry.path()).map_err(failed)?;
        removed += 1;
    }
    // One of them took the place of another.
    require(removed == FILES - 1, || format!("{removed} files were there"))?;
    fs::remove_dir(&dir).map_err(failed)?;
    require(!dir.exists(), || format!("{} is still there", shown(&dir)))?;
    Ok(None)
}
