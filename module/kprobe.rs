// SPDX-License-Identifier: GPL-2.0
//! Kprobes on the entry of a function, which may run another function in its place.
//!
//! C header: `include/linux/kprobes.h`. What a probe does is up to its [`Handler`].

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

/// A function to probe, and the function that may run in its place.
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
    /// For every function that `symbol` can resolve to, `replacement` must point to a function
    ///
    /// - that may be called wherever that function is called, with the same arguments,
    /// - that returns what those callers expect, and
    /// - whose code is never unloaded. It must not belong to a module: nothing keeps a module
    ///   loaded for a thread that is running the replacement.
    pub(crate) const unsafe fn new(symbol: &'static CStr, replacement: *const c_void) -> Self {
        Self {
            symbol,
            replacement,
        }
    }
}

/// How a probed call continues.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The probed function runs.
    Original,
    /// The target's replacement runs, and the probed function does not.
    Replacement,
}

/// What happens at a probe.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Called before the probed function runs, possibly on several processors at once, and with
    /// preemption disabled: it must not sleep, nor allocate except atomically.
    fn before(&self, registers: &Registers) -> Next;

    /// Called when the probe has been removed and the last call of `before` has returned. `missed`
    /// is how many calls of the probed function it was not shown.
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
    // Last, because the callbacks use the other fields as soon as this one is registered.
    #[pin]
    kprobe: Opaque<bindings::kprobe>,
}

// SAFETY: The kernel allows a kprobe to be removed by any thread, `target` points to code, and
// `Handler` requires `Send`.
unsafe impl<H: Handler> Send for Probe<H> {}

// SAFETY: A shared reference gives access to the handler, for which `Handler` requires `Sync`, and
// to one word of `kprobe`, which `missed` reads as it may be changing.
unsafe impl<H: Handler> Sync for Probe<H> {}

impl<H: Handler> Probe<H> {
    /// Registers a probe on `target`.
    ///
    /// # Errors
    ///
    /// Those of `register_kprobe`; `ENOENT` if there is no such function.
    pub(crate) fn new(target: Target, handler: H) -> impl PinInit<Self, Error> {
        let kprobe = bindings::kprobe {
            symbol_name: target.symbol.as_char_ptr(),
            pre_handler: Some(Self::pre_handler),
            post_handler: Some(Self::post_handler),
            ..Default::default()
        };
        // INVARIANT: If registering `kprobe` fails, initialisation does, and there is no `Self`.
        try_pin_init!(Self {
            handler,
            target,
            kprobe <- Opaque::try_ffi_init(move |slot: *mut bindings::kprobe| {
                // SAFETY: `try_ffi_init` calls this with a pointer that is valid for writes.
                unsafe { slot.write(kprobe) };
                // SAFETY: `slot` points to a kprobe with nothing set but a static name and two
                // callbacks. It is pinned, and `drop` unregisters it before it is freed. As it is
                // the last field to be initialised, the callbacks find a complete `Self`.
                to_result(unsafe { bindings::register_kprobe(slot) })
            }),
        })
    }

    /// How many calls the handler was not shown so far, because they were made while the processor
    /// was handling another probe.
    pub(crate) fn missed(&self) -> usize {
        // SAFETY: By the type invariant, this is an initialised `struct kprobe`. The kernel may be
        // incrementing this word, so that it is read by a single volatile load.
        unsafe { (&raw const (*self.kprobe.get()).nmissed).read_volatile() }
    }

    /// `kprobe.pre_handler`: asks the handler, and redirects the call if it says so.
    ///
    /// # Safety
    ///
    /// - `kprobe` must point to the field of that name in a `Self` that is valid until this
    ///   returns.
    /// - `regs` must point to the registers at the entry of the target, which nothing else uses
    ///   until this returns. If it returns 1, the thread must resume with them as they are then.
    unsafe extern "C" fn pre_handler(
        kprobe: *mut bindings::kprobe,
        regs: *mut bindings::pt_regs,
    ) -> c_int {
        let field = kprobe.cast::<Opaque<bindings::kprobe>>();
        // SAFETY: The caller guarantees that this is the field of a valid `Self`. No field but
        // `kprobe`, which is opaque, changes while the probe is registered.
        let probe = unsafe { &*container_of!(field, Self, kprobe) };
        // SAFETY: The caller guarantees that nothing else uses the registers until this returns.
        let registers = unsafe { Registers::from_raw(regs) };
        match probe.handler.before(registers) {
            Next::Original => 0,
            Next::Replacement => {
                // SAFETY: The registers are those at the entry of the target, and whoever called
                // `Target::new` guaranteed that the replacement may be called in its place.
                unsafe { registers.set_instruction_pointer(probe.target.replacement as usize) };
                1
            }
        }
    }

    /// `kprobe.post_handler`: does nothing. Its presence keeps the kernel from optimising the probe
    /// into a jump, which would ignore a changed instruction pointer, and from combining it with a
    /// live patch of the same function.
    ///
    /// # Safety
    ///
    /// No requirements: neither pointer is used. It is unsafe because the type of the callback is.
    unsafe extern "C" fn post_handler(
        _: *mut bindings::kprobe,
        _: *mut bindings::pt_regs,
        _: c_ulong,
    ) {
    }
}

#[pinned_drop]
impl<H: Handler> PinnedDrop for Probe<H> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant it is registered, and only this unregisters it. Kprobes
        // themselves keep track of whether the probed module is still loaded.
        unsafe { bindings::unregister_kprobe(self.kprobe.get()) };
        self.handler.removed(self.missed());
    }
}
