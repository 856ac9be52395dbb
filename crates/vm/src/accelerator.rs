// SPDX-License-Identifier: GPL-2.0
//! How the machine's instructions are executed: by the processor (KVM) or emulated (TCG).

use serde::{Deserialize, Serialize};

/// How instructions are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// By the processor, of which the guest sees this.
    Kvm(KvmProcessor),
    /// Emulated: ten times slower and more, but everywhere.
    Tcg,
}

/// What a guest on KVM sees of the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KvmProcessor {
    /// All of it.
    Whole,
    /// All but `IA32_ARCH_CAPABILITIES` (MSR 0x10a): a QEMU in a nested machine may be told of it
    /// and not allowed to set it.
    WithoutArchCapabilities,
    /// The least that is a processor of its kind.
    Plain,
}

impl KvmProcessor {
    /// From the most to the least.
    pub const ALL: [Self; 3] = [Self::Whole, Self::WithoutArchCapabilities, Self::Plain];

    /// QEMU's `-cpu`.
    pub fn option(self) -> &'static str {
        match self {
            Self::Whole => "host",
            Self::WithoutArchCapabilities => "host,arch-capabilities=off",
            Self::Plain => "kvm64",
        }
    }
}

impl Accelerator {
    /// QEMU's `-accel`.
    pub fn option(self) -> &'static str {
        match self {
            Self::Kvm(_) => "kvm",
            // Code of a guest of this size fits; the default of 1 GiB does too, but several guests
            // may run at once.
            Self::Tcg => "tcg,thread=multi,tb-size=128",
        }
    }

    /// By what time limits are multiplied.
    pub fn slowdown(self) -> u32 {
        match self {
            Self::Kvm(_) => 1,
            Self::Tcg => 3,
        }
    }
}
