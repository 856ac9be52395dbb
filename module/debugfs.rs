// SPDX-License-Identifier: GPL-2.0
//! `/sys/kernel/debug/cifs_fix/`: the counters, the state and the mode of the running guard.
//!
//! This is what `kernel::debugfs` is for, but its files do not name the module as their owner:
//! with one of them open, the module can be unloaded, and closing the file then calls into
//! nothing (seen on 7.2.11). The files made here do; such a module stays until they are closed.

use super::{
    counters,
    guard::{
        Guard,
        State, //
    },
    this_module::this_module, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    bindings,
    fmt,
    prelude::*,
    seq_file::{
        seq_print,
        SeqFile, //
    },
    sync::Arc,
    uaccess::{
        UserSlice,
        UserSliceReader, //
    }, //
};

/// What a file shows when it is read.
trait Show {
    /// Writes the content.
    fn show(guard: &Guard, out: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// `counters`: one `name=value` a line.
struct Counters;
/// `state`: `guarding`, `waiting`, or `failed error=N`.
struct Hooked;
/// `mode`: `0`, `1` or `2`; writing changes it.
struct Mode;

impl Show for Counters {
    fn show(guard: &Guard, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        counters::write(out, guard.missed())?;
        out.write_str("\n")
    }
}

impl Show for Hooked {
    fn show(guard: &Guard, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match guard.state() {
            State::Guarding => out.write_str("guarding\n"),
            State::Waiting => out.write_str("waiting\n"),
            State::Failed(error) => writeln!(out, "failed error={}", error.to_errno()),
        }
    }
}

impl Show for Mode {
    fn show(_: &Guard, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", counters::mode())
    }
}

/// What a type shows of a guard, as something to be printed.
struct Text<'a, S>(&'a Guard, PhantomData<S>);

impl<S: Show> fmt::Display for Text<'_, S> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        S::show(self.0, out)
    }
}

/// The operations of one file.
struct Operations(bindings::file_operations);

// SAFETY: The structure is never changed. Its pointers lead to functions, and to this module's
// `struct module`, which is only handed to the kernel.
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

static COUNTERS: Operations = Operations::show::<Counters>(this_module());
static STATE: Operations = Operations::show::<Hooked>(this_module());
static MODE: Operations = Operations::show::<Mode>(this_module()).written(write_mode);

/// `file_operations.open` of a file that shows `S`.
///
/// # Safety
///
/// - `inode` must point to an inode whose `i_private` points to a [`Guard`], which must be valid
///   for as long as the file can be read.
/// - `file` must point to a file of that inode that is being opened.
unsafe extern "C" fn open<S: Show>(
    inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    // SAFETY: The caller guarantees a valid inode. debugfs sets this field before the file can be
    // opened, and never again.
    let guard = unsafe { (*inode).i_private };
    // SAFETY: The caller guarantees a file that is being opened, and a guard that is valid whenever
    // seq_file calls `show` with it.
    unsafe { bindings::single_open(file, Some(show::<S>), guard) }
}

/// Shows `S`.
///
/// # Safety
///
/// `seq` must point to a `struct seq_file` that nothing else uses until this returns, and whose
/// `private` points to a [`Guard`] that is valid until then.
unsafe extern "C" fn show<S: Show>(seq: *mut bindings::seq_file, _: *mut c_void) -> c_int {
    // SAFETY: The caller guarantees both pointers; a `Guard` is only ever shared.
    let guard = unsafe { &*(*seq).private.cast::<Guard>() };
    // SAFETY: The caller guarantees that nothing else uses the structure until this returns.
    let seq = unsafe { SeqFile::from_raw(seq) };
    seq_print!(seq, "{}", Text::<S>(guard, PhantomData));
    0
}

/// `file_operations.write` of `mode`: `0`, `1` or `2`, a newline after it or not.
///
/// # Safety
///
/// No requirements: `text` and `len` come from user space and are not trusted. It is unsafe because
/// the type of the callback is.
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

/// The directory, which shows a guard. Dropping it removes it with all its files.
///
/// # Invariants
///
/// `i_private` of the files in `dir` points to `_guard`.
pub(crate) struct Directory {
    dir: *mut bindings::dentry,
    _guard: Arc<Guard>,
}

// SAFETY: The pointer is only handed back to debugfs, which does its own locking and may be called
// from any thread; an `Arc<Guard>` is `Send`.
unsafe impl Send for Directory {}

// SAFETY: Nothing can be done through a shared reference.
unsafe impl Sync for Directory {}

impl Directory {
    /// Makes the directory and its files. As always with debugfs, failing is no error: the files
    /// are then not there.
    pub(crate) fn new(guard: Arc<Guard>) -> Self {
        // SAFETY: The name ends with a NUL; no parent means the root of debugfs.
        let dir =
            unsafe { bindings::debugfs_create_dir(c"cifs_fix".as_char_ptr(), ptr::null_mut()) };
        for (name, mode, operations) in [
            (c"counters", 0o400, &COUNTERS),
            (c"state", 0o400, &STATE),
            (c"mode", 0o600, &MODE),
        ] {
            // SAFETY: The name ends with a NUL; `dir` is a directory of debugfs, or an error, which
            // debugfs accepts in its place; the operations are static, and name this module as
            // their owner, so that it stays loaded while a file is open. `open` finds its
            // requirements met: the guard is kept in `Self` until `drop` has removed the files, and
            // a file that is still open can then no longer be read.
            unsafe {
                bindings::debugfs_create_file_full(
                    name.as_char_ptr(),
                    mode,
                    dir,
                    Arc::as_ptr(&guard).cast_mut().cast(),
                    ptr::null(),
                    &raw const operations.0,
                )
            };
        }
        // INVARIANT: All files were made with the guard that is kept here.
        Self { dir, _guard: guard }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // SAFETY: `dir` is what `debugfs_create_dir` returned, which may be an error, and has not
        // been removed before. When this returns, no operation of the files is running, so that the
        // guard may be dropped.
        unsafe { bindings::debugfs_remove(self.dir) };
    }
}
