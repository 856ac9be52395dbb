// SPDX-License-Identifier: GPL-2.0
//! How the machine's instructions are executed: by the processor (KVM) or emulated (TCG).

use serde::{Deserialize, Serialize};

/// How instructions are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// By the processor.
    Kvm,
    /// Emulated: ten times slower and more, but everywhere.
    Tcg,
}

impl Accelerator {
    /// QEMU's `-accel`.
    pub fn option(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            // Code of a guest of this size fits; the default of 1 GiB does too, but several guests
            // may run at once.
            Self::Tcg => "tcg,thread=multi,tb-size=128",
        }
    }

    /// By what time limits are multiplied.
    pub fn slowdown(self) -> u32 {
        match self {
            Self::Kvm => 1,
            Self::Tcg => 3,
        }
    }
}
