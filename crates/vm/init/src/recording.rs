// SPDX-License-Identifier: GPL-2.0
//! The kernel's recorder of what one task reaches in instrumented code: `/sys/kernel/debug/kcov`
//! (Documentation/dev-tools/kcov.rst).

use std::ffi::c_ulong;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::ioctl::{IntegerSetter, Opcode, ioctl, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap};

/// What each recording is a file of.
pub(crate) const DEVICE: &str = "/sys/kernel/debug/kcov";

// Of include/uapi/linux/kcov.h.
const INIT_TRACE: Opcode = opcode::read::<c_ulong>(b'c', 1);
const ENABLE: Opcode = opcode::none(b'c', 100);
const TRACE_PC: usize = 0;

/// So many words the kernel shares with us: first how many are filled, then an address each. What
/// does not fit is lost, so it is emptied after every step.
const WORDS: usize = 1 << 20;

/// A buffer that the kernel writes to what a task reaches.
pub(crate) struct Recording {
    device: File,
    words: &'static [AtomicU64],
}

impl Recording {
    /// Makes a buffer. Nothing is recorded yet.
    pub(crate) fn open() -> io::Result<Self> {
        let device = File::options().read(true).write(true).open(DEVICE)?;
        // SAFETY: the argument is a number (kcov_ioctl; kernel/kcov.c).
        unsafe { ioctl(&device, IntegerSetter::<INIT_TRACE>::new_usize(WORDS)) }?;
        let (access, bytes) = (ProtFlags::READ | ProtFlags::WRITE, WORDS * size_of::<AtomicU64>());
        // SAFETY: the kernel chooses where, so nothing else of this process is there.
        let area = unsafe { mmap(std::ptr::null_mut(), bytes, access, MapFlags::SHARED, &device, 0) }?;
        // SAFETY: so much was mapped, at the beginning of a page, and it is never unmapped. The
        // kernel writes to it at any time, which atomics allow.
        let words = unsafe { std::slice::from_raw_parts(area.cast::<AtomicU64>(), WORDS) };
        Ok(Self { device, words })
    }

    /// Records what this thread reaches, until it ends.
    pub(crate) fn enable(&self) -> io::Result<()> {
        enable(&self.device)
    }

    /// Has `command` record what its process reaches, but not what further processes of that do.
    pub(crate) fn follow(&self, command: &mut Command) -> io::Result<()> {
        let device = self.device.try_clone()?;
        // SAFETY: between fork and exec it makes one system call, and nothing else.
        unsafe { command.pre_exec(move || enable(&device)) };
        Ok(())
    }

    /// Hands each address that was recorded to `take`, and begins anew; whether all had found room.
    /// Nothing may be recorded meanwhile.
    pub(crate) fn empty(&self, mut take: impl FnMut(u64)) -> bool {
        let (count, addresses) = self.words.split_first().expect("there is room for more than a word");
        let recorded = usize::try_from(count.load(Ordering::Acquire)).unwrap_or(usize::MAX);
        for address in addresses.iter().take(recorded) {
            take(address.load(Ordering::Relaxed));
        }
        count.store(0, Ordering::Release);
        recorded < addresses.len()
    }
}

/// Records what the thread that calls this reaches. Once it has ended, another may.
fn enable(device: &File) -> io::Result<()> {
    // SAFETY: the argument is a number (kcov_ioctl_locked; kernel/kcov.c).
    unsafe { ioctl(device, IntegerSetter::<ENABLE>::new_usize(TRACE_PC)) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(words: &[u64]) -> Recording {
        let words: Vec<AtomicU64> = words.iter().copied().map(AtomicU64::new).collect();
        Recording { device: File::open("/dev/null").unwrap(), words: words.leak() }
    }

    #[test]
    fn numbers_are_those_of_the_kernels_header() {
        assert_eq!([INIT_TRACE, ENABLE], [0x8008_6301, 0x6364]);
    }

    #[test]
    fn what_was_recorded_is_taken_once() {
        for (words, expected, whole) in [
            (&[2, 7, 8, 9][..], &[7, 8][..], true),
            (&[0, 7, 8, 9], &[], true),
            (&[3, 7, 8, 9], &[7, 8, 9], false),
        ] {
            let recording = recording(words);
            let mut taken = Vec::new();
            assert_eq!(recording.empty(|address| taken.push(address)), whole, "{words:?}");
            assert_eq!(taken, expected, "{words:?}");
            assert!(recording.empty(|address| panic!("{address}")), "{words:?}");
        }
    }
}
