// SPDX-License-Identifier: GPL-2.0
//! Follows `cifs` as it comes and goes, and keeps it hooked.
//!
//! A probe can only be set on a module that is loaded, and dies with the module. So the hook is set
//! when `cifs` is about to be initialised, before it can receive anything, and removed when it is
//! unloaded.

use super::{
    check_message::{
        self,
        Judge, //
    },
    counters,
    kprobe::Probe,
    notifier::{
        Event,
        Listener,
        ModuleNotifier, //
    },
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

/// The module that is guarded.
const CIFS: &CStr = c"cifs";

/// After kprobes' own notifier, which has priority 0: when `cifs` is unloaded, that has disabled
/// the probe by the time it is removed.
const AFTER_KPROBES: c_int = -1;

/// Keeps `cifs` hooked for as long as it exists.
pub(crate) type Follower = ModuleNotifier<Arc<Guard>>;

/// The hook on `cifs`, set or not.
#[pin_data(PinnedDrop)]
pub(crate) struct Guard {
    #[pin]
    hook: Mutex<Hook>,
}

/// Whether the guard guards.
enum Hook {
    /// `cifs` is not loaded.
    Waiting,
    /// `cifs` is loaded and hooked.
    Set(Pin<KBox<Probe<Judge>>>),
    /// `cifs` is loaded and could not be hooked.
    Failed(Error),
}

/// Whether the guard guards, to be shown.
#[derive(Clone, Copy)]
pub(crate) enum State {
    /// The hook is set.
    Guarding,
    /// `cifs` is not loaded.
    Waiting,
    /// `cifs` is loaded, and the hook could not be set.
    Failed(Error),
}

impl Guard {
    /// A guard that has hooked nothing yet.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let guard = pin_init!(Self {
            hook <- new_mutex!(Hook::Waiting),
        });
        Arc::pin_init(guard, GFP_KERNEL)
    }

    /// Hooks `cifs` whenever it is loaded from now on, for as long as the result exists.
    ///
    /// # Errors
    ///
    /// The kernel refuses the notifier.
    pub(crate) fn follow(self: Arc<Self>) -> impl PinInit<Follower, Error> {
        ModuleNotifier::new(AFTER_KPROBES, self)
    }

    /// Hooks `cifs` if it is loaded already, and logs how that went. It is no error if it is not.
    ///
    /// # Errors
    ///
    /// `cifs` is loaded, and the kernel refuses a probe on it; or replies cannot be rejected in
    /// this kernel.
    pub(crate) fn hook(&self) -> Result {
        self.set(|error| error == ENOENT)
    }

    /// Hooks `cifs` if that is not done yet. `not_loaded` says which errors only mean that `cifs`
    /// is not loaded.
    fn set(&self, not_loaded: impl FnOnce(Error) -> bool) -> Result {
        // Held to the end, so that the state is always that of the probe.
        let mut hook = self.hook.lock();
        if let Hook::Set(_) = *hook {
            return Ok(());
        }
        match KBox::pin_init(check_message::probe(), GFP_KERNEL) {
            Ok(probe) => {
                *hook = Hook::Set(probe);
                pr_info!("guarding: hooked smb2_check_message of cifs\n");
                Ok(())
            }
            Err(error) if not_loaded(error) => {
                *hook = Hook::Waiting;
                pr_warn!("guarding nothing yet: cifs is not loaded; will hook it when it is\n");
                Ok(())
            }
            Err(error) => {
                *hook = Hook::Failed(error);
                let number = error.to_errno();
                pr_err!(
                    "GUARDING NOTHING: cannot hook smb2_check_message of cifs: error {number}\n"
                );
                Err(error)
            }
        }
    }

    /// Removes the hook, because `cifs` is being unloaded.
    fn remove(&self) {
        *self.hook.lock() = Hook::Waiting;
        pr_warn!("guarding nothing: cifs was unloaded; will hook it when it is loaded again\n");
    }

    /// Whether the guard guards.
    pub(crate) fn state(&self) -> State {
        match &*self.hook.lock() {
            Hook::Waiting => State::Waiting,
            Hook::Set(_) => State::Guarding,
            Hook::Failed(error) => State::Failed(*error),
        }
    }

    /// Calls that the hook was not shown, those of earlier probes included.
    pub(crate) fn missed(&self) -> u64 {
        // Held to the end: a probe that is removed meanwhile would be counted twice or not at all.
        let hook = self.hook.lock();
        let now = match &*hook {
            Hook::Set(probe) => probe.missed() as u64,
            Hook::Waiting | Hook::Failed(_) => 0,
        };
        counters::missed_before().saturating_add(now)
    }
}

impl Listener for Arc<Guard> {
    fn changed(&self, name: &CStr, event: Event) {
        if name != CIFS {
            return;
        }
        match event {
            // An error has been logged. It must not keep `cifs` from loading: users need their
            // files.
            Event::Coming => {
                self.set(|_| false).ok();
            }
            Event::Going => self.remove(),
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Guard {
    fn drop(self: Pin<&mut Self>) {
        // First, so that the totals include the calls that this probe missed.
        *self.hook.lock() = Hook::Waiting;
        pr_info!("totals: {}\n", counters::Line::new(self.missed()));
    }
}
