// SPDX-License-Identifier: GPL-2.0
//! Tells when modules of the kernel are loaded and unloaded.
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
    /// It is in memory, and about to be initialised: none of its code has run.
    Coming,
    /// It is about to leave: none of its code runs any more.
    Going,
}

/// Who is told.
pub(crate) trait Listener: Send + Sync + 'static {
    /// Called in the thread that loads or unloads the module called `name`; it may sleep. It must
    /// not load or unload a module itself, nor drop the notifier, for the chain is locked.
    fn changed(&self, name: &CStr, event: Event);
}

/// A registered notifier. Dropping it removes it, and waits for calls that are being made.
///
/// # Invariants
///
/// `block` is in the chain of module notifiers, with the callback of this very type.
#[pin_data(PinnedDrop)]
pub(crate) struct ModuleNotifier<L: Listener> {
    listener: L,
    // Last: once it is registered, the rest is used.
    #[pin]
    block: Opaque<bindings::notifier_block>,
}

// SAFETY: The pointers in `block` are the kernel's, which takes it from any thread; a listener can
// be sent.
unsafe impl<L: Listener> Send for ModuleNotifier<L> {}

// SAFETY: Through a shared reference, only the listener is used, which allows for it.
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
        // INVARIANT: `block` is filled in and registered, or there is no `Self`.
        try_pin_init!(Self {
            listener,
            block <- Opaque::try_ffi_init(move |slot: *mut bindings::notifier_block| {
                // SAFETY: The initialiser is handed a place that can be written.
                unsafe { slot.write(block) };
                // SAFETY: `slot` points to a block that is in no chain. It is pinned, and removed
                // by `drop` before it goes. The callback may be called from now on: all before
                // this field is initialised.
                to_result(unsafe { bindings::register_module_notifier(slot) })
            }),
        })
    }

    /// `notifier_block.notifier_call`: tells the listener. It never keeps a module from loading.
    ///
    /// # Safety
    ///
    /// - `block` must point to the field of that name in a `Self` that lives until this returns.
    /// - `data` must point to a `struct module` with a name, which nothing changes meanwhile.
    unsafe extern "C" fn notify(
        block: *mut bindings::notifier_block,
        event: c_ulong,
        data: *mut c_void,
    ) -> c_int {
        let Some(event) = Event::of(event) else {
            return NOTIFY_DONE;
        };
        let field = block.cast::<Opaque<bindings::notifier_block>>();
        // SAFETY: The caller vouches that `block` is this field of a live `Self`, of which there
        // are shared references only while it is registered.
        let notifier = unsafe { &*container_of!(field, Self, block) };
        // SAFETY: The caller vouches for the module, and that its name stays as it is. No
        // reference is made to what else is in the structure.
        let name = unsafe { &(*data.cast::<bindings::module>()).name };
        // One that fills its field has no end; the kernel has none such.
        if let Ok(name) = CStr::from_bytes_until_nul(name) {
            notifier.listener.changed(name, event);
        }
        NOTIFY_DONE
    }
}

impl Event {
    /// The event that is announced as `state`, an `enum module_state`; `None` for what is not of
    /// interest here.
    fn of(state: c_ulong) -> Option<Self> {
        match u32::try_from(state).ok()? {
            bindings::module_state_MODULE_STATE_COMING => Some(Self::Coming),
            bindings::module_state_MODULE_STATE_GOING => Some(Self::Going),
            _ => None,
        }
    }
}

/// The answer of a callback that has nothing to say.
const NOTIFY_DONE: c_int = 0;

#[pinned_drop]
impl<L: Listener> PinnedDrop for ModuleNotifier<L> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant it is registered, and nothing else unregisters it.
        unsafe { bindings::unregister_module_notifier(self.block.get()) };
    }
}
