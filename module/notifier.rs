// SPDX-License-Identifier: GPL-2.0
//! Notifies of kernel modules being loaded and unloaded.
//!
//! C header: `include/linux/notifier.h`; the chain is that of `register_module_notifier`.

use super::bindings;
use kernel::{
    container_of,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// What happens to a module.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is about to be initialised: none of its code has run.
    Coming,
    /// It is about to be unloaded: none of its code runs any more.
    Going,
}

/// Whom a notifier tells.
pub(crate) trait Listener: Send + Sync + 'static {
    /// Called in the thread that loads or unloads the module called `name`; it may sleep. The chain
    /// is locked meanwhile: it must not load or unload a module, nor drop the notifier.
    fn changed(&self, name: &CStr, event: Event);
}

/// A registered notifier. Dropping it unregisters it, and waits for calls in progress.
///
/// # Invariants
///
/// `block` is in the chain of module notifiers, with the callback of this very type.
#[pin_data(PinnedDrop)]
pub(crate) struct ModuleNotifier<L: Listener> {
    listener: L,
    // Last, because the callback uses the listener as soon as this one is registered.
    #[pin]
    block: Opaque<bindings::notifier_block>,
}

// SAFETY: The kernel allows a notifier to be removed by any thread, and `Listener` requires `Send`.
unsafe impl<L: Listener> Send for ModuleNotifier<L> {}

// SAFETY: A shared reference gives access to the listener only, for which `Listener` requires
// `Sync`.
unsafe impl<L: Listener> Sync for ModuleNotifier<L> {}

impl<L: Listener> ModuleNotifier<L> {
    /// Registers a notifier. Of several, those with a higher `priority` are told first.
    ///
    /// # Errors
    ///
    /// Those of `register_module_notifier`.
    pub(crate) fn new(priority: c_int, listener: L) -> impl PinInit<Self, Error> {
        let block = bindings::notifier_block {
            notifier_call: Some(Self::notify),
            priority,
            ..Default::default()
        };
        // INVARIANT: If registering `block` fails, initialisation does, and there is no `Self`.
        try_pin_init!(Self {
            listener,
            block <- Opaque::try_ffi_init(move |slot: *mut bindings::notifier_block| {
                // SAFETY: `try_ffi_init` calls this with a pointer that is valid for writes.
                unsafe { slot.write(block) };
                // SAFETY: `slot` points to a block that is in no chain. It is pinned, and `drop`
                // unregisters it before it is freed. As it is the last field to be initialised,
                // the callback finds a complete `Self`.
                to_result(unsafe { bindings::register_module_notifier(slot) })
            }),
        })
    }

    /// `notifier_block.notifier_call`: tells the listener. It never keeps a module from loading.
    ///
    /// # Safety
    ///
    /// - `block` must point to the field of that name in a `Self` that is valid until this returns.
    /// - If `event` is of interest ([`Event::of`]), `data` must point to a `struct module`, whose
    ///   name nothing changes until this returns.
    unsafe extern "C" fn notify(
        block: *mut bindings::notifier_block,
        event: c_ulong,
        data: *mut c_void,
    ) -> c_int {
        let Some(event) = Event::of(event) else {
            return NOTIFY_DONE;
        };
        let field = block.cast::<Opaque<bindings::notifier_block>>();
        // SAFETY: The caller guarantees that this is the field of a valid `Self`. No field but
        // `block`, which is opaque, changes while the notifier is registered.
        let notifier = unsafe { &*container_of!(field, Self, block) };
        // SAFETY: The caller guarantees a module whose name does not change. The reference covers
        // nothing else of the structure.
        let name = unsafe { &(*data.cast::<bindings::module>()).name };
        // The kernel always terminates the name.
        if let Ok(name) = CStr::from_bytes_until_nul(name) {
            notifier.listener.changed(name, event);
        }
        NOTIFY_DONE
    }
}

impl Event {
    /// The event that is announced as `state`, an `enum module_state`; `None` if it is not of
    /// interest here.
    fn of(state: c_ulong) -> Option<Self> {
        match u32::try_from(state).ok()? {
            bindings::module_state_MODULE_STATE_COMING => Some(Self::Coming),
            bindings::module_state_MODULE_STATE_GOING => Some(Self::Going),
            _ => None,
        }
    }
}

/// What a callback returns that does not object.
const NOTIFY_DONE: c_int = bindings::NOTIFY_DONE as c_int;

#[pinned_drop]
impl<L: Listener> PinnedDrop for ModuleNotifier<L> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant it is registered, and only this unregisters it.
        unsafe { bindings::unregister_module_notifier(self.block.get()) };
    }
}
