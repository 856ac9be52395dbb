// SPDX-License-Identifier: GPL-2.0
//! Modules on their way into systems: installed in `/lib/modules`, under DKMS, as kmod RPMs.

pub mod dkms;
pub mod install;
pub mod rpm;
