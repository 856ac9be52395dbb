// SPDX-License-Identifier: GPL-2.0
//! How modules get into systems: installed in `/lib/modules`, built by DKMS, packaged as kmod RPMs;
//! and a kernel's Rust artefacts as packages.
//!
//! This crate knows systems (depmod, modprobe, initramfs), dkms(8) and rpmbuild(8). It must not
//! know what a module is for, nor how one is booted in a virtual machine. Its boundary:
//! [`install`], [`dkms`] and [`rpm`] take a [`project::Project`] or built modules, and never print
//! anything but through [`report::Report`].

pub mod dkms;
pub mod install;
pub mod librust;
pub mod rpm;
