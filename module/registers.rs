// SPDX-License-Identifier: GPL-2.0
//! The registers of a thread that is about to run a function: all of the module that knows an
//! architecture.
//!
//! For another one, add its `arch`, and its name to `Kbuild`.

use super::bindings::pt_regs;

/// The registers with which a function was called (`struct pt_regs`).
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
        // SAFETY: The caller vouches for the pointer, and for nobody else using it.
        unsafe { &mut *regs.cast::<Self>() }
    }

    /// The first four arguments of the function, if each is an integer or a pointer. Of one that
    /// is narrower than a register, the lower bits are the argument; the others mean nothing.
    pub(crate) fn arguments(&self) -> [usize; 4] {
        arch::arguments(&self.0)
    }

    /// Makes the thread go on at `address`, as if that had been called.
    ///
    /// # Safety
    ///
    /// When the thread takes up these registers, `address` must be that of a function that may be
    /// called with the arguments in them, and whose result the caller of the first one can take.
    pub(crate) unsafe fn go_on_at(&mut self, address: usize) {
        arch::set_instruction_pointer(&mut self.0, address);
    }
}

/// Arguments as in the System V ABI.
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

/// Arguments as in the procedure call standard of AArch64: in `x0` to `x7`.
#[cfg(CONFIG_ARM64)]
mod arch {
    use super::pt_regs;

    pub(super) fn arguments(regs: &pt_regs) -> [usize; 4] {
        // SAFETY: Both members of the union are the same integers, under other names, so that
        // either may be read.
        let [x0, x1, x2, x3, ..] = unsafe { regs.__bindgen_anon_1.user_regs.regs };
        [x0 as usize, x1 as usize, x2 as usize, x3 as usize]
    }

    pub(super) fn set_instruction_pointer(regs: &mut pt_regs, address: usize) {
        // Writing a field of a union that needs no drop is safe.
        regs.__bindgen_anon_1.user_regs.pc = address as u64;
    }
}

#[cfg(not(any(CONFIG_X86_64, CONFIG_ARM64)))]
compile_error!("the registers of this architecture are not known here: module/registers.rs");
