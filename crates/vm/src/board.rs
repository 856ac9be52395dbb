// SPDX-License-Identifier: GPL-2.0
//! What the machines of one architecture are: QEMU's program, its board and processors, and what
//! only their kernels are told.

use kernel::machine::programs::{self, Program, program};
use kmodfile::architecture::Architecture;

use crate::accelerator::{Accelerator, KvmProcessor};
use report::process::Cmd;

/// A machine of one architecture, as QEMU knows it.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// What booting a kernel needs of this machine: QEMU.
    pub programs: &'static [Program],
    /// QEMU's `-machine` for a kernel that it starts itself.
    pub direct: &'static str,
    /// The same for firmware with Secure Boot.
    pub firmware: &'static str,
    /// The processor that is emulated.
    emulated: &'static str,
    /// What is tried of the processor on KVM, one after another.
    pub on_kvm: &'static [KvmProcessor],
    /// The serial port, as the kernel calls it.
    pub console: &'static str,
    /// Parameters that only save time.
    pub faster: &'static [&'static str],
    /// The same for one emulated processor.
    pub one_emulated: &'static [&'static str],
}

/// System management mode is what keeps the firmware's variables from being written by anybody
/// else. Not microvm: it boots a fifth faster, but on a busy host its clock is not calibrated and
/// the boot hangs.
///
/// Emulated, fewer features are fewer alternatives to patch in and fewer self-tests to run. Without
/// `cmpxchg16b`: QEMU 7.2 sometimes sets all flags at random in it, the trap flag among them, and
/// one guest in ten with a kernel that allocates memory by it died before init.
///
/// On one processor the kernel takes every `lock` prefix out of its own code and each module's, a
/// prefix at a time through a mapping of its own, and emulated that is a twentieth; code as it runs
/// on several processors is also the truer test. It makes sure that the timer ticks by waiting for
/// ticks, and gives up when the host is too busy to send them in time.
///
/// How fast its own timer ticks, one emulated processor finds out by waiting a tenth of a second
/// for it, and nothing here needs a timer that fine. The one of the board does; for several
/// processors it is not enough.
const AMD64: Board = Board {
    programs: &[program("qemu-system-x86_64", "qemu-system-x86", "boots kernels")
        .in_rpms("qemu-system-x86-core", "qemu-x86")
        .in_rhel("qemu-kvm")],
    direct: "q35,usb=off,smm=off,vmport=off,hpet=off,sata=off",
    firmware: "q35,usb=off,smm=on,vmport=off,hpet=off,sata=off",
    emulated: "Nehalem,+rdrand,-cx16",
    on_kvm: &KvmProcessor::ALL,
    console: "ttyS0",
    faster: &["noreplace-smp", "no_timer_check"],
    one_emulated: &["nolapic_timer"],
};

const ARM64: Board = Board {
    programs: &[program("qemu-system-aarch64", "qemu-system-arm", "boots kernels of arm64")
        .in_rpms("qemu-system-aarch64-core", "qemu-arm")],
    direct: "virt",
    firmware: "virt",
    emulated: "cortex-a57",
    on_kvm: &[KvmProcessor::Whole],
    console: "ttyAMA0",
    faster: &[],
    one_emulated: &[],
};

impl Board {
    /// That of machines of this architecture.
    pub fn of(architecture: Architecture) -> &'static Self {
        match architecture {
            Architecture::Amd64 => &AMD64,
            Architecture::Arm64 => &ARM64,
        }
    }

    /// A command of QEMU's: by its name, or by its path where the distribution has it under
    /// another.
    pub fn command(&self) -> Cmd {
        let other = programs::find(self.qemu()).filter(|path| path.file_name() != Some(self.qemu()));
        other.map_or_else(|| Cmd::new(self.qemu()), Cmd::new)
    }

    /// QEMU's program.
    pub fn qemu(&self) -> &'static str {
        self.programs[0].name
    }

    /// QEMU's `-cpu`.
    pub fn cpu(&self, accelerator: Accelerator) -> &'static str {
        match accelerator {
            Accelerator::Kvm(processor) => processor.option(),
            Accelerator::Tcg => self.emulated,
        }
    }
}
