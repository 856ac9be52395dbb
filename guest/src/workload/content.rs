// SPDX-License-Identifier: GPL-2.0
//! What files hold: written in pieces, copied by the server, and in bulk.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{FallocateFlags, SeekFrom, copy_file_range, fallocate, seek};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use vm_init::{GuestStepResult, StepError};

use super::place::{Place, forget, refused, require, shown};
use crate::digest::{hex, of_file};

/// Bytes written at once.
const BLOCK: usize = 1 << 20;

/// Pieces at odd places, with a hole between them: where, and how long. The last is written over
/// the first.
const PIECES: [(usize, usize); 4] = [(0, 5000), (4095, 3), (200_001, 70_000), (17, 1)];
/// Half of a file that is to have a hole; a multiple of any block that a server may count in.
const HALF: usize = 1 << 16;
/// Where the file is cut off at last.
const CUT: usize = 260_000;

/// Bytes that do not repeat, the same for the same seed (xorshift64).
struct Noise(u64);

impl Noise {
    fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            piece.copy_from_slice(&self.0.to_le_bytes()[..piece.len()]);
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, StepError> {
    fs::read(path).map_err(|error| StepError::of(shown(path), error))
}

/// Writes a file in pieces, shortens it, and finds just that.
pub(super) fn pieces(place: &Place<'_>) -> GuestStepResult {
    let path = place.path("pieces");
    let failed = |error: std::io::Error| StepError::of(shown(&path), error);
    let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
    let mut expected = vec![0; 200_001 + 70_000];
    let mut noise = Noise(1);
    for (at, length) in PIECES {
        let mut piece = vec![0; length];
        noise.fill(&mut piece);
        file.write_all_at(&piece, at as u64).map_err(failed)?;
        expected[at..at + length].copy_from_slice(&piece);
    }
    file.set_len(CUT as u64).map_err(failed)?;
    expected.truncate(CUT);
    file.sync_all().map_err(failed)?;
    drop(file);
    forget()?;
    let held = read(&path)?;
    require(held == expected, || format!("{}: not what was written", shown(&path)))?;
    fs::remove_file(&path).map_err(failed)?;
    Ok(None)
}

/// Frees the second half of a file, and asks where the first hole is. Samba answers for one range
/// of data only: the client has no room for more in this question.
pub(super) fn holes(place: &Place<'_>) -> GuestStepResult {
    let path = place.path("holes");
    let failed = |error: std::io::Error| StepError::of(shown(&path), error);
    let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
    file.write_all_at(&[b'd'; 2 * HALF], 0).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let (mut expected, mut hole) = (vec![b'd'; 2 * HALF], 2 * HALF);
    match fallocate(&file, flags, HALF as u64, HALF as u64) {
        Ok(()) => {
            expected[HALF..].fill(0);
            hole = HALF;
        }
        // The client can do this from dialect 3.0 on.
        Err(Errno::OPNOTSUPP) => {}
        Err(errno) => return Err(refused("punching a hole")(errno)),
    }
    let found = seek(&file, SeekFrom::Hole(0)).map_err(refused("SEEK_HOLE"))?;
    require(found == hole as u64, || format!("a hole at {found}, not at {hole}"))?;
    drop(file);
    forget()?;
    require(read(&path)? == expected, || format!("{}: not what is left", shown(&path)))?;
    fs::remove_file(&path).map_err(failed)?;
    Ok(None)
}

/// Has the server copy a file.
pub(super) fn copy(place: &Place<'_>) -> GuestStepResult {
    let (from, to) = (place.path("original"), place.path("copied"));
    let failed = |error: std::io::Error| StepError::of(shown(&to), error);
    let mut bytes = vec![0; 300_000];
    Noise(2).fill(&mut bytes);
    fs::write(&from, &bytes).map_err(failed)?;
    let (source, target) = (File::open(&from).map_err(failed)?, File::create(&to).map_err(failed)?);
    let mut left = bytes.len();
    while left > 0 {
        let copied =
            copy_file_range(&source, None, &target, None, left).map_err(refused("copy_file_range"))?;
        require(copied > 0, || format!("{left} bytes were not copied"))?;
        left -= copied;
    }
    drop((source, target));
    forget()?;
    require(read(&to)? == bytes, || format!("{}: not what was copied", shown(&to)))?;
    for path in [&from, &to] {
        fs::remove_file(path).map_err(failed)?;
    }
    Ok(None)
}

/// Writes a large file, reads it back from the server, and gives its SHA-256: the host looks at the
/// file itself.
pub(super) fn bulk(place: &Place<'_>) -> GuestStepResult {
    let path = place.path(guest::BULK_FILE);
    let failed = |error: std::io::Error| StepError::of(shown(&path), error);
    let mut block = vec![0; BLOCK];
    let (mut noise, mut written) = (Noise(3), Sha256::new());
    let mut file = File::create(&path).map_err(failed)?;
    for _ in 0..place.work.bulk {
        noise.fill(&mut block);
        written.update(&block);
        file.write_all(&block).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    drop(file);
    forget()?;
    let (written, seen) = (hex(&written.finalize()), of_file(&path).map_err(failed)?);
    require(written == seen, || format!("wrote {written}, read {seen}"))?;
    Ok(Some(format!("{}{written}", guest::DIGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_the_same_again_and_does_not_repeat() {
        let fill = |seed| {
            let mut bytes = vec![0; 4099];
            Noise(seed).fill(&mut bytes);
            bytes
        };
        assert_eq!(fill(3), fill(3));
        assert_ne!(fill(3), fill(4));
        assert_ne!(fill(3)[..1024], fill(3)[1024..2048]);
    }
}
