// SPDX-License-Identifier: GPL-2.0
//! How much memory there is, and how much a cell takes.

use crate::plan::{Cell, PlannedKernel};

/// MiB that building a project for a kernel takes.
const BUILD: u64 = 600;

/// MiB that a virtual machine takes, with what runs it.
const MACHINE: u64 = 500;

/// MiB that a machine takes whose kernel finds faults.
const SANITIZING: u64 = 1200;

/// MiB that preparing a kernel takes.
pub(super) const PREPARING: u64 = 1500;

/// MiB that a program of the user's is counted as.
const PROGRAM: u64 = 100;

/// MiB that a cell takes at most.
pub(super) fn needed(cell: &Cell, kernel: Option<&PlannedKernel>) -> u64 {
    let sanitizing = kernel.is_some_and(|kernel| kernel.stands_for.is_some());
    let step = |step: &crate::step::CellStep| match (step.boots(), step.needs_kernel()) {
        (true, _) if sanitizing => SANITIZING,
        (true, _) => BUILD.max(MACHINE),
        (false, true) => BUILD,
        (false, false) => PROGRAM,
    };
    cell.steps.iter().map(step).max().unwrap_or_default()
}

/// MiB that may be taken: what the kernel says is available (proc_meminfo(5)).
pub(super) fn available() -> u64 {
    let text = fs_err::read_to_string("/proc/meminfo").unwrap_or_default();
    // Where it is not said, nothing is counted.
    parsed(&text).unwrap_or(u64::MAX)
}

fn parsed(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read() {
        assert_eq!(parsed("MemTotal:  100 kB\nMemAvailable:   2097152 kB\n"), Some(2048));
        assert_eq!(parsed("MemTotal:  100 kB\n"), None);
        assert_eq!(parsed("MemAvailable: x kB\n"), None);
    }
}
