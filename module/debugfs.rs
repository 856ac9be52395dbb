// SPDX-License-Identifier: GPL-2.0
//! `/sys/kernel/debug/cifs_fix/`: the counters, the state and the mode of the running guard.
//!
//! This is what `kernel::debugfs` is for, but its files do not name the module as their owner:
//! with one of them open, the module can be unloaded, and closing the file then calls into
//! nothing (seen on 7.2.11). The files made here do; such a module stays until they are closed.

use super::{counters, kprobe};
use core::marker::PhantomData;
use core::ptr;
use kernel::bindings;
use kernel::ffi::{c_char, c_int, c_void};
use kernel::fmt;
use kernel::prelude::*;
use kernel::seq_file::{seq_print, SeqFile};
use kernel::uaccess::{UserPtr, UserSlice, UserSliceReader};

/// What a file shows when it is read.
trait Show {
    /// Writes the content.
    fn show(out: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// `counters`: one `name=value` a line.
struct Counters;
/// `state`: `guarding`, `waiting`, or `failed error=N`.
struct State;
/// `mode`: `0`, `1` or `2`; writing changes it.
struct Mode;

impl Show for Counters {
    fn show(out: &mut fmt::Formatter<'_>) -> fmt::Result {
        counters::write(out)?;
        out.write_str("\n")
    }
}

impl Show for State {
    fn show(out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match kprobe::state() {
            kprobe::State::Guarding => out.write_str("guarding\n"),
            kprobe::State::Waiting => out.write_str("waiting\n"),
            kprobe::State::Failed(error) => writeln!(out, "failed error={error}"),
        }
    }
}

impl Show for Mode {
    fn show(out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", counters::mode())
    }
}

/// What a type shows, as something to be printed.
struct Text<S>(PhantomData<S>);

impl<S: Show> fmt::Display for Text<S> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        S::show(out)
    }
}

/// The operations of one file.
struct Operations(bindings::file_operations);

// SAFETY: They are never changed.
unsafe impl Sync for Operations {}

impl Operations {
    /// A file that shows `S`.
    const fn show<S: Show>(owner: *mut bindings::module) -> Self {
        Self(bindings::file_operations {
            owner,
            open: Some(open::<S>),
            read: Some(bindings::seq_read),
            llseek: Some(bindings::seq_lseek),
            release: Some(bindings::single_release),
            ..pin_init::zeroed()
        })
    }

    /// The same, to be written as well.
    const fn written(mut self, write: WriteFn) -> Self {
        self.0.write = Some(write);
        self
    }
}

/// `file_operations.write`.
type WriteFn =
    unsafe extern "C" fn(*mut bindings::file, *const c_char, usize, *mut bindings::loff_t) -> isize;

static COUNTERS: Operations = Operations::show::<Counters>(crate::THIS_MODULE.as_ptr());
static STATE: Operations = Operations::show::<State>(crate::THIS_MODULE.as_ptr());
static MODE: Operations = Operations::show::<Mode>(crate::THIS_MODULE.as_ptr()).written(write_mode);

/// Opens a file that shows `S`.
///
/// # Safety
///
/// To be called by the file system only.
unsafe extern "C" fn open<S: Show>(_: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    // SAFETY: `file` is being opened; `show` needs no data.
    unsafe { bindings::single_open(file, Some(show::<S>), ptr::null_mut()) }
}

/// Shows `S`.
///
/// # Safety
///
/// To be called by seq_file only.
unsafe extern "C" fn show<S: Show>(seq: *mut bindings::seq_file, _: *mut c_void) -> c_int {
    // SAFETY: seq_file hands over its own structure, which it has locked.
    let seq = unsafe { SeqFile::from_raw(seq) };
    seq_print!(seq, "{}", Text::<S>(PhantomData));
    0
}

/// Writes to `mode`: `0`, `1` or `2`, a newline after it or not.
///
/// # Safety
///
/// To be called by the file system only.
unsafe extern "C" fn write_mode(
    _: *mut bindings::file,
    text: *const c_char,
    len: usize,
    _: *mut bindings::loff_t,
) -> isize {
    let text = UserSlice::new(UserPtr::from_ptr(text.cast_mut().cast()), len);
    match set_mode(text.reader()) {
        Ok(()) => len as isize,
        Err(error) => error.to_errno() as isize,
    }
}

/// Sets the mode that `text` names.
fn set_mode(mut text: UserSliceReader) -> Result {
    let mut buffer = [0u8; 2];
    let buffer = buffer.get_mut(..text.len()).ok_or(EINVAL)?;
    text.read_slice(buffer)?;
    counters::set_mode(buffer)?;
    pr_info!("mode={}\n", counters::mode());
    Ok(())
}

/// The directory; dropping it removes it and what is in it.
pub(crate) struct Directory(*mut bindings::dentry);

// SAFETY: debugfs takes care of its own locking; the pointer is only handed back to it.
unsafe impl Send for Directory {}
// SAFETY: Nothing can be done through a shared reference.
unsafe impl Sync for Directory {}

impl Directory {
    /// Makes the directory and its files. As always with debugfs, failing is no error: the files
    /// are then not there.
    pub(crate) fn new() -> Self {
        // SAFETY: The name ends with a NUL; no parent means the root of debugfs.
        let dir = unsafe { bindings::debugfs_create_dir(c"cifs_fix".as_char_ptr(), ptr::null_mut()) };
        for (name, mode, operations) in
            [(c"counters", 0o400, &COUNTERS), (c"state", 0o400, &STATE), (c"mode", 0o600, &MODE)]
        {
            // SAFETY: The name ends with a NUL; debugfs takes a directory that could not be made;
            // the operations are static, and their owner is this module.
            unsafe {
                bindings::debugfs_create_file_full(
                    name.as_char_ptr(),
                    mode,
                    dir,
                    ptr::null_mut(),
                    ptr::null(),
                    &operations.0,
                )
            };
        }
        Self(dir)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // SAFETY: It was made by `new`, and debugfs takes one that could not be made. When this
        // returns, no operation of the files runs any more.
        unsafe { bindings::debugfs_remove(self.0) };
    }
}
