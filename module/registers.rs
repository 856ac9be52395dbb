// SPDX-License-Identifier: GPL-2.0
//! The registers of a thread that has just called a function. Nothing else in the module depends on
//! the architecture.
//!
//! To support another one, add an `arch` for it here and its configuration symbol to `Kbuild`.

use super::bindings::pt_regs;

/// The registers at the entry of a function (`struct pt_regs`).
#[repr(transparent)]
pub(crate) struct Registers(pt_regs);

impl Registers {
    /// The registers that the kernel saved at `regs`.
    ///
    /// # Safety
    ///
    /// For all of `'a`, `regs` must point to an initialised `struct pt_regs` that nothing else
    /// reads or writes.
    pub(crate) unsafe fn from_raw<'a>(regs: *mut pt_regs) -> &'a mut Self {
        // CAST: `Self` is `repr(transparent)` over what is pointed at.
        // SAFETY: The caller guarantees a valid pointer that nothing else uses during `'a`.
        unsafe { &mut *regs.cast::<Self>() }
    }

    /// The first four arguments of the function, provided that each is an integer or a pointer. An
    /// argument narrower than a register is in the lower bits; the upper bits are undefined.
    pub(crate) fn arguments(&self) -> [usize; 4] {
        arch::arguments(&self.0)
    }

    /// Makes the thread continue at `address`, as if that had been called instead.
    ///
    /// # Safety
    ///
    /// If the thread resumes with these registers, `address` must be the entry of a function that
    /// may be called with the arguments in them, and that returns what the caller of the original
    /// function expects.
    pub(crate) unsafe fn set_instruction_pointer(&mut self, address: usize) {
        arch::set_instruction_pointer(&mut self.0, address);
    }
}

/// Arguments are passed as the System V ABI says.
#[cfg(CONFIG_X86_64)]
mod arch {
    use super::pt_regs;

    pub(super) fn arguments(regs: &pt_regs) -> [usize; 4] {
        [regs.di, regs.si, regs.dx, regs.cx]
    }

    pub(super) fn set_instruction_pointer(regs: &mut pt_regs, address: usize) {
        regs.ip = address;
    }
}

/// Arguments are passed as the procedure call standard of AArch64 says: in `x0` to `x7`.
#[cfg(CONFIG_ARM64)]
mod arch {
    use super::pt_regs;

    pub(super) fn arguments(regs: &pt_regs) -> [usize; 4] {
        // SAFETY: Both members of the union consist of the same integers at the same places, so
        // either may be read.
        let [x0, x1, x2, x3, ..] = unsafe { regs.__bindgen_anon_1.user_regs.regs };
        [x0 as usize, x1 as usize, x2 as usize, x3 as usize]
    }

    pub(super) fn set_instruction_pointer(regs: &mut pt_regs, address: usize) {
        regs.__bindgen_anon_1.user_regs.pc = address as u64;
    }
}

#[cfg(not(any(CONFIG_X86_64, CONFIG_ARM64)))]
compile_error!("this architecture is not supported: add its registers to module/registers.rs");
