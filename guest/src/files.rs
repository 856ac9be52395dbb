// SPDX-License-Identifier: GPL-2.0
//! Steps that ask one thing of one file.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};

use guest::{RANGE, RANGES};
use rustix::fs::{
    CWD, FallocateFlags, Mode, SeekFrom, copy_file_range, fallocate, getxattr, mkfifoat, seek, statvfs,
};
use vm_protocol::Errno;

/// Longer than any attribute that is asked for.
const VALUE_BYTES: usize = 64 * 1024;

pub(crate) fn make_pipe(path: &str) -> io::Result<()> {
    mkfifoat(CWD, path, Mode::empty())?;
    // Whatever the mask is.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))
}

pub(crate) fn read_attribute(path: &str, name: &str) -> io::Result<String> {
    Ok(getxattr(path, name, &mut vec![0; VALUE_BYTES])?.to_string())
}

/// Copies a file without its bytes passing through here.
pub(crate) fn copy(from: &str, to: &str) -> io::Result<()> {
    let source = File::open(from)?;
    let target = File::options().write(true).create_new(true).open(to)?;
    let mut left = usize::try_from(source.metadata()?.len()).map_err(io::Error::other)?;
    while left > 0 {
        match copy_file_range(&source, None, &target, None, left)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            copied => left -= copied,
        }
    }
    Ok(())
}

pub(crate) fn find_hole(path: &str) -> io::Result<String> {
    Ok(seek(&File::open(path)?, SeekFrom::Hole(0))?.to_string())
}

/// Makes a file of several ranges of data, and asks for data and holes in it: from its start on,
/// from the first hole on, from the last but one range on, and from the last.
pub(crate) fn ask_ranges(path: &str) -> io::Result<String> {
    let file = File::options().read(true).write(true).create_new(true).open(path)?;
    for range in 0..2 * RANGES - 1 {
        file.write_all_at(&[b'd'; RANGE as usize], range * RANGE)?;
    }
    file.sync_all()?;
    for hole in 0..RANGES - 1 {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&file, flags, (2 * hole + 1) * RANGE, RANGE)?;
    }
    let mut answers = String::new();
    for from in [0, RANGE, 2 * (RANGES - 2) * RANGE, 2 * (RANGES - 1) * RANGE] {
        for (what, place) in [("data", SeekFrom::Data(from)), ("hole", SeekFrom::Hole(from))] {
            let answer = match seek(&file, place) {
                Ok(at) => at.to_string(),
                Err(errno) => Errno::from_raw(errno.raw_os_error()).to_string(),
            };
            answers.push_str(&format!("{what} from {from}: {answer}\n"));
        }
    }
    Ok(answers)
}

/// Frees the second half of a file.
pub(crate) fn punch_hole(path: &str) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(fallocate(&file, flags, length / 2, length - length / 2)?)
}

pub(crate) fn stat_file_system(path: &str) -> io::Result<()> {
    Ok(statvfs(path).map(drop)?)
}
