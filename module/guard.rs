// SPDX-License-Identifier: GPL-2.0
//! Follows `cifs` as it comes and goes, and keeps it hooked.
//!
//! The kernel sets probes on modules that are loaded only, and a module's probes die with it. So
//! the hook is set when `cifs` is about to be initialised, before it can receive anything, and
//! removed when it leaves.

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

/// After kprobes' own notifier, which is at 0: when `cifs` leaves, the probe is then dead before
/// it is removed.
const AFTER_KPROBES: c_int = -1;

/// Follows `cifs` for as long as it lives.
pub(crate) type Follower = ModuleNotifier<Arc<Guard>>;

/// The hook, and what else there is to know of it.
#[pin_data(PinnedDrop)]
pub(crate) struct Guard {
    #[pin]
    hook: Mutex<Hook>,
}

/// Whether the guard guards.
enum Hook {
    /// `cifs` is not loaded.
    Waiting,
    /// It is, and hooked.
    Set(Pin<KBox<Probe<Judge>>>),
    /// It is, and could not be hooked.
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

    /// Hooks `cifs` whenever it is loaded, for as long as the result lives.
    ///
    /// # Errors
    ///
    /// The kernel takes no notifier.
    pub(crate) fn follow(self: Arc<Self>) -> impl PinInit<Follower, Error> {
        ModuleNotifier::new(AFTER_KPROBES, self)
    }

    /// Hooks `cifs` if it is loaded already, and says how that went. If it is not there is nothing
    /// to hook, and that is no failure.
    ///
    /// # Errors
    ///
    /// `cifs` is loaded, and the kernel refuses a probe on it; or replies cannot be refused in
    /// this kernel.
    pub(crate) fn hook(&self) -> Result {
        self.hook_if(|error| error != ENOENT)
    }

    /// Hooks `cifs`, unless that is done. An error for which `fails` says no means that `cifs` is
    /// not loaded.
    fn hook_if(&self, fails: impl FnOnce(Error) -> bool) -> Result {
        // Held to the end, so that nobody sees a state that is not that of the probe.
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
            Err(error) if !fails(error) => {
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

    /// Removes the hook, for `cifs` leaves.
    fn unhook(&self) {
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

    /// Calls that passed by the hook unseen, past probes included.
    pub(crate) fn missed(&self) -> u64 {
        // While it is held no probe goes, which would be counted twice or not at all.
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
            // What went wrong has been said. That is no reason to keep `cifs` from loading:
            // people's files are on it.
            Event::Coming => {
                self.hook_if(|_| true).ok();
            }
            Event::Going => self.unhook(),
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Guard {
    fn drop(self: Pin<&mut Self>) {
        // The last calls count, too.
        *self.hook.lock() = Hook::Waiting;
        pr_info!("totals: {}\n", counters::Line::new(self.missed()));
    }
}
