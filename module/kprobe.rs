// SPDX-License-Identifier: GPL-2.0
//! The hook on `smb2_check_message` of `cifs`.
//!
//! It is a kprobe on the function's first instruction. `register_kprobe` knows only modules that
//! are loaded, and a module's probes die with it, so a module notifier follows `cifs`: the probe
//! is set when `cifs` is about to be initialised, before it can receive anything, and taken away
//! when it leaves.

use super::counters;
use super::verify::{self, Header, Malformed, Outcome};
use core::cell::{Cell, UnsafeCell};
use core::ptr;
use kernel::ffi::{c_int, c_uint, c_ulong, c_void};
use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Relaxed};
use kernel::types::Opaque;

#[cfg(not(CONFIG_X86_64))]
compile_error!("the guard reads arguments from registers, and knows those of x86-64 only");

/// Made by bindgen from `bindings.h`, for the kernel at hand.
#[allow(clippy::all, dead_code, missing_docs, non_camel_case_types, non_snake_case)]
#[allow(non_upper_case_globals, unreachable_pub, unsafe_op_in_unsafe_fn, improper_ctypes)]
mod bindings {
    use kernel::ffi;
    include!(concat!(env!("CIFS_FIX_GENERATED"), "/bindings.rs"));
}

/// Made by `module/prototype`, from the BTF of the `cifs.ko` at hand.
mod built_for {
    include!(concat!(env!("CIFS_FIX_GENERATED"), "/shape.rs"));
}

pub(crate) use built_for::PROTOTYPE;
use built_for::SHAPE;

/// The shapes of the hooked function that are known; one of them is chosen when building.
#[allow(dead_code)]
#[derive(Clone, Copy)]
enum Shape {
    /// `(buf, len, server)`.
    BufLenServer,
    /// `(buf, pdu_len, len, server)`.
    BufPduLenLenServer,
}

/// What the hook is set on. The module's name keeps it off a function of the same name elsewhere.
const SYMBOL: &CStr = c"cifs:smb2_check_message";
/// The module that holds it, as the start of a name that is padded with NULs.
const CIFS: &[u8] = b"cifs\0";

/// Longer than any message that `cifs` receives into one buffer: `CIFSMaxBufSize` is at most
/// 127 KiB, and a header comes on top. The client refuses a longer one by itself.
const MAX_LEN: c_uint = 128 * 1024;

impl Shape {
    /// The message that the hooked function was called with: where it begins, and how many bytes
    /// of it were received.
    fn message(self, regs: &bindings::pt_regs) -> (*const u8, c_uint) {
        // Arguments 1 to 3 of the System V ABI; a 32-bit one is the lower half of its register.
        let len = match self {
            Self::BufLenServer => regs.si as c_uint,
            // `pdu_len` counts more than this message when it came encrypted, and `len` is that of
            // another message when the client dumps one for debugging. The buffer holds at least
            // the lesser of the two.
            Self::BufPduLenLenServer => (regs.si as c_uint).min(regs.dx as c_uint),
        };
        (regs.di as *const u8, len)
    }
}

/// Runs before `smb2_check_message`, with preemption off: it must not sleep or allocate.
///
/// # Safety
///
/// To be called by kprobes only, at the entry of the hooked function.
unsafe extern "C" fn before(_: *mut bindings::kprobe, regs: *mut bindings::pt_regs) -> c_int {
    // SAFETY: kprobes hands over the registers for the time of the call, to be read and written.
    let regs = unsafe { &mut *regs };
    counters::seen();
    let (start, len) = SHAPE.message(regs);
    if start.is_null() || len > MAX_LEN {
        return 0;
    }
    // SAFETY: `smb2_check_message` is called with a buffer that holds as many received bytes as
    // its length arguments say (see `Shape::message`), and the shape was read from the BTF of the
    // very `cifs.ko`. The buffer belongs to the thread that makes the call, so nothing writes to
    // it before this returns.
    let message = unsafe { core::slice::from_raw_parts(start, len as usize) };
    if accepts(message) {
        return 0;
    }
    // Make the call return 1, "malformed", without running: go on in a function that does just
    // that. It must be one of the kernel's own: nothing would keep this module loaded for a thread
    // that is interrupted on its way out.
    regs.ip = bindings::always_delete_dentry as *const () as c_ulong;
    1
}

/// Does nothing, but that there is one matters: kprobes then neither turns the probe into a jump,
/// which would ignore a changed `ip`, nor lets it share the function with a live patch.
///
/// # Safety
///
/// None is needed; the type of the callback asks for it.
unsafe extern "C" fn after(_: *mut bindings::kprobe, _: *mut bindings::pt_regs, _: c_ulong) {}

/// Whether the client may go on with `message`.
fn accepts(message: &[u8]) -> bool {
    match verify::verify(message, counters::level()) {
        Outcome::NotChecked => true,
        Outcome::Sound => {
            counters::checked();
            true
        }
        Outcome::Malformed(found) => {
            counters::checked();
            let reject = counters::malformed(found);
            log(found, reject, message);
            !reject
        }
    }
}

/// The window of the limit on log lines: five seconds, in ticks.
const LOG_WINDOW: u64 = 5 * bindings::HZ as u64;

/// Logs one malformed reply, unless there were too many of late.
fn log(found: Malformed, rejected: bool, message: &[u8]) {
    // SAFETY: The kernel's tick counter, a word that is read whole.
    let now = unsafe { ptr::read_volatile(&raw const bindings::jiffies) };
    if !counters::may_log(now as u64, LOG_WINDOW) {
        return;
    }
    let command = Header::read(verify::Cursor::new(message)).map_or("OTHER", |header| header.command_name());
    pr_warn!(
        "{}: rule={} command={} offset={} length={} section={}\n",
        if rejected { "rejected" } else { "counted" },
        found.rule.name(),
        command,
        found.offset,
        message.len(),
        found.rule.section(),
    );
}

/// Whether the guard guards.
#[derive(Clone, Copy)]
pub(crate) enum State {
    /// The hook is set.
    Guarding,
    /// `cifs` is not loaded.
    Waiting,
    /// `cifs` is loaded, and the hook could not be set: the kernel's error number.
    Failed(i32),
}

/// [`State`] as a number: 1 guarding, 0 waiting, negative the error.
static STATE: Atomic<i32> = Atomic::new(0);

/// Whether the guard guards.
pub(crate) fn state() -> State {
    match STATE.load(Relaxed) {
        0 => State::Waiting,
        error if error < 0 => State::Failed(error),
        _ => State::Guarding,
    }
}

/// The probe, in a place that never moves, and whether it is registered.
struct Probe {
    kprobe: Opaque<bindings::kprobe>,
    registered: Cell<bool>,
    /// Calls missed by probes that are gone.
    missed: Cell<u64>,
}

// SAFETY: The pointers in a kprobe belong to the kernel, which does not mind which thread hands it
// the probe.
unsafe impl Send for Probe {}

kernel::sync::global_lock! {
    // SAFETY: `Hook::install` initialises it before anything else can reach it.
    unsafe(uninit) static PROBE: Mutex<Probe> = Probe {
        kprobe: Opaque::uninit(),
        registered: Cell::new(false),
        missed: Cell::new(0),
    };
}

impl Probe {
    /// Sets the probe. `ENOENT` when `cifs` is not loaded.
    fn register(&self) -> Result {
        if self.registered.get() {
            return Ok(());
        }
        let kprobe = bindings::kprobe {
            symbol_name: SYMBOL.as_char_ptr(),
            pre_handler: Some(before),
            post_handler: Some(after),
            ..Default::default()
        };
        // SAFETY: The place is ours, lies in a static, and no probe is registered in it.
        unsafe { ptr::write(self.kprobe.get(), kprobe) };
        // SAFETY: The probe is filled in as `register_kprobe` wants it, and stays where it is until
        // `unregister`, which comes before the module goes.
        kernel::error::to_result(unsafe { bindings::register_kprobe(self.kprobe.get()) })?;
        self.registered.set(true);
        Ok(())
    }

    /// Takes the probe away, whether or not `cifs` has gone already; when it returns, no handler
    /// runs any more.
    fn unregister(&self) {
        if self.registered.get() {
            // SAFETY: It is registered.
            unsafe { bindings::unregister_kprobe(self.kprobe.get()) };
            self.missed.set(self.missed.get().saturating_add(self.missed_now()));
            self.registered.set(false);
        }
    }

    /// Calls that the probe missed, because another probe was being handled on that processor.
    fn missed_now(&self) -> u64 {
        // SAFETY: The probe was filled in by `register`; the kernel counts up this one word.
        unsafe { ptr::read_volatile(&raw const (*self.kprobe.get()).nmissed) as u64 }
    }
}

/// Calls that passed by the hook unseen.
pub(crate) fn missed() -> u64 {
    let probe = PROBE.lock();
    let now = if probe.registered.get() { probe.missed_now() } else { 0 };
    probe.missed.get().saturating_add(now)
}

/// Sets the hook, and says so. With `cifs` not loaded, there is nothing to hook, and that is no
/// failure; `loaded` tells what only the caller knows.
fn guard(loaded: bool) -> Result {
    // Held to the end: the state is that of the probe.
    let probe = PROBE.lock();
    match probe.register() {
        Ok(()) => {
            STATE.store(1, Relaxed);
            pr_info!("guarding: hooked smb2_check_message of cifs\n");
            Ok(())
        }
        Err(error) if error == ENOENT && !loaded => {
            STATE.store(0, Relaxed);
            pr_warn!("guarding nothing yet: cifs is not loaded; will hook it when it is\n");
            Ok(())
        }
        Err(error) => {
            let number = error.to_errno();
            STATE.store(number, Relaxed);
            pr_err!("GUARDING NOTHING: cannot hook smb2_check_message of cifs: error {number}\n");
            Err(error)
        }
    }
}

/// Takes the hook away, for `cifs` leaves.
fn unguard() {
    let probe = PROBE.lock();
    probe.unregister();
    STATE.store(0, Relaxed);
    pr_warn!("guarding nothing: cifs was unloaded; will hook it when it is loaded again\n");
}

/// A notifier block, shared with the kernel.
struct Notifier(UnsafeCell<bindings::notifier_block>);

// SAFETY: Only the kernel touches it once it is registered, under the lock of its chain.
unsafe impl Sync for Notifier {}

static NOTIFIER: Notifier = Notifier(UnsafeCell::new(bindings::notifier_block {
    notifier_call: Some(module_changed),
    next: ptr::null_mut(),
    // After kprobes' own, which is at 0: a probe is then dead before it is taken away.
    priority: -1,
}));

/// `NOTIFY_DONE`: this notifier never stops a module from loading.
const NOTIFY_DONE: c_int = 0;

/// Follows `cifs` as it comes and goes. Runs in the thread that loads or unloads a module.
///
/// # Safety
///
/// To be called by the module notifier chain only: `data` is the module.
unsafe extern "C" fn module_changed(
    _: *mut bindings::notifier_block,
    event: c_ulong,
    data: *mut c_void,
) -> c_int {
    // SAFETY: The chain hands over the module, which stays for the time of the call.
    let name = unsafe { &(*data.cast::<bindings::module>()).name };
    if !name.starts_with(CIFS) {
        return NOTIFY_DONE;
    }
    if event == bindings::module_state_MODULE_STATE_COMING as c_ulong {
        // `guard` has said what went wrong. That is no reason to keep `cifs` from loading: people's
        // files are on it.
        let _ = guard(true);
    } else if event == bindings::module_state_MODULE_STATE_GOING as c_ulong {
        unguard();
    }
    NOTIFY_DONE
}

/// The hook, for as long as the module is loaded. There is one.
pub(crate) struct Hook(());

impl Hook {
    /// Hooks `cifs`, now or when it is loaded.
    ///
    /// # Errors
    ///
    /// `cifs` is loaded, and the kernel refuses a probe on it; or it takes no notifier.
    pub(crate) fn install() -> Result<Self> {
        // SAFETY: Called once, when the module is loaded, before anything else can take the lock.
        unsafe { PROBE.init() };
        // SAFETY: The block is static, and `Drop` takes it out of the chain again.
        kernel::error::to_result(unsafe { bindings::register_module_notifier(NOTIFIER.0.get()) })
            .inspect_err(|error| pr_err!("cannot follow cifs: error {}\n", error.to_errno()))?;
        // From here on, dropping it undoes it.
        let hook = Self(());
        guard(false)?;
        Ok(hook)
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        // SAFETY: `install` put it into the chain. When this returns, no call of it runs any more.
        unsafe { bindings::unregister_module_notifier(NOTIFIER.0.get()) };
        PROBE.lock().unregister();
        pr_info!("totals: {}\n", counters::Line);
    }
}
