// SPDX-License-Identifier: GPL-2.0
//! Kernel probes on the entry of a function, which may run another function in its place.
//!
//! C header: `include/linux/kprobes.h`. What a probe does is for its [`Handler`]; nothing here
//! knows of any function in particular.

use super::{
    bindings,
    registers::Registers, //
};
use kernel::{
    container_of,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// A function to be probed, and the one that may run in its place.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    symbol: &'static CStr,
    replacement: *const c_void,
}

impl Target {
    /// The function called `symbol` (`module:function` for that of a module).
    ///
    /// # Safety
    ///
    /// For every function that `symbol` may be found to name, `replacement` must point to a
    /// function
    ///
    /// - that may be called wherever that one is called, with the same arguments,
    /// - whose result means to those callers what they would take it for, and
    /// - whose code stays in memory for good, so that it is none of a module: nothing counts the
    ///   threads that are in it.
    pub(crate) const unsafe fn new(symbol: &'static CStr, replacement: *const c_void) -> Self {
        Self {
            symbol,
            replacement,
        }
    }
}

/// How a call goes on that a probe has stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The probed function runs.
    Original,
    /// The target's replacement runs, and the probed function does not.
    Replacement,
}

/// What is done at a probe.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Called before the probed function runs, on every processor at once, with preemption off: it
    /// must not sleep, and must not allocate but atomically.
    fn before(&self, registers: &Registers) -> Next;

    /// Called when the probe was removed, after the last call of `before` has returned. `missed`
    /// calls were not shown to it.
    fn removed(&self, missed: usize);
}

/// A registered probe. Dropping it removes it, and sleeps.
///
/// # Invariants
///
/// `kprobe` is registered, with the callbacks of this very type.
#[pin_data(PinnedDrop)]
pub(crate) struct Probe<H: Handler> {
    handler: H,
    target: Target,
    // Last: once it is registered, the rest is used.
    #[pin]
    kprobe: Opaque<bindings::kprobe>,
}

// SAFETY: The pointers in `kprobe` are the kernel's, which takes a probe from any thread; `target`
// points to code; and a handler can be sent.
unsafe impl<H: Handler> Send for Probe<H> {}

// SAFETY: Through a shared reference, only the handler is used, which allows for it, and one word
// of `kprobe` is read.
unsafe impl<H: Handler> Sync for Probe<H> {}

impl<H: Handler> Probe<H> {
    /// Registers a probe on `target`.
    ///
    /// # Errors
    ///
    /// Those of `register_kprobe`; `ENOENT` when there is no such function.
    pub(crate) fn new(target: Target, handler: H) -> impl PinInit<Self, Error> {
        let kprobe = bindings::kprobe {
            symbol_name: target.symbol.as_char_ptr(),
            pre_handler: Some(Self::before),
            post_handler: Some(Self::after),
            ..Default::default()
        };
        // INVARIANT: `kprobe` is filled in and registered, or there is no `Self`.
        try_pin_init!(Self {
            handler,
            target,
            kprobe <- Opaque::try_ffi_init(move |slot: *mut bindings::kprobe| {
                // SAFETY: The initialiser is handed a place that can be written.
                unsafe { slot.write(kprobe) };
                // SAFETY: `slot` points to a probe with nothing in it but a name that lives for
                // good and two callbacks. It is pinned, and removed by `drop` before it goes.
                // The callbacks may be called from now on: all before this field is initialised.
                to_result(unsafe { bindings::register_kprobe(slot) })
            }),
        })
    }

    /// How many calls were not shown to the handler so far, because the processor was handling
    /// another probe when they were made.
    pub(crate) fn missed(&self) -> usize {
        // SAFETY: The field points to an initialised `struct kprobe`. The kernel counts up this
        // word meanwhile, hence the volatile read: it is a whole word, and read at once.
        unsafe { (&raw const (*self.kprobe.get()).nmissed).read_volatile() }
    }

    /// `kprobe.pre_handler`: asks the handler, and redirects the call if told so.
    ///
    /// # Safety
    ///
    /// - `kprobe` must point to the field of that name in a `Self` that lives until this returns.
    /// - `regs` must point to the registers with which the target was called. Until this returns
    ///   nothing else may use them; after that, if this is 1, the thread must take them up.
    unsafe extern "C" fn before(
        kprobe: *mut bindings::kprobe,
        regs: *mut bindings::pt_regs,
    ) -> c_int {
        let field = kprobe.cast::<Opaque<bindings::kprobe>>();
        // SAFETY: The caller vouches that `kprobe` is this field of a live `Self`, of which there
        // are shared references only while it is registered.
        let probe = unsafe { &*container_of!(field, Self, kprobe) };
        // SAFETY: The caller vouches that the registers are this call's alone.
        let registers = unsafe { Registers::from_raw(regs) };
        match probe.handler.before(registers) {
            Next::Original => 0,
            Next::Replacement => {
                // SAFETY: The registers hold the arguments of the target, and whoever made the
                // `Target` vouches that its replacement may be called with them instead.
                unsafe { registers.go_on_at(probe.target.replacement as usize) };
                1
            }
        }
    }

    /// `kprobe.post_handler`: does nothing. That there is one keeps the kernel from turning the
    /// probe into a jump, which would ignore that `before` redirects a call, and from letting it
    /// share the function with a live patch.
    ///
    /// # Safety
    ///
    /// None of the pointers is used, so there is nothing to keep; the type of the callback has it.
    unsafe extern "C" fn after(_: *mut bindings::kprobe, _: *mut bindings::pt_regs, _: c_ulong) {}
}

#[pinned_drop]
impl<H: Handler> PinnedDrop for Probe<H> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant it is registered, and nothing else unregisters it. That
        // the probed module has gone meanwhile is for the kernel to know.
        unsafe { bindings::unregister_kprobe(self.kprobe.get()) };
        self.handler.removed(self.missed());
    }
}
