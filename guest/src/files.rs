// SPDX-License-Identifier: GPL-2.0
//! Steps that ask one thing of one file.

use std::fs::{self, File};
use std::io;

use nix::sys::statvfs::statvfs;
use rustix::fs::{FallocateFlags, SeekFrom, copy_file_range, fallocate, getxattr, seek};

/// Longer than any attribute that is asked for.
const VALUE_BYTES: usize = 64 * 1024;

pub(crate) fn read_link(path: &str) -> io::Result<String> {
    Ok(fs::read_link(path)?.to_string_lossy().into_owned())
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
