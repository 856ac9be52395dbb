// SPDX-License-Identifier: GPL-2.0
//! Who runs the tool.

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
