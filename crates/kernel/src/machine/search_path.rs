// SPDX-License-Identifier: GPL-2.0
//! Where programs of this machine are.

use std::path::PathBuf;

use camino::Utf8PathBuf;

/// Where administrators' programs are, which are not in an ordinary user's `PATH` on Debian, and
/// daemons that other programs start.
const SBIN: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/libexec", "/usr/lib/apt"];

/// What RHEL has of QEMU, in `/usr/libexec`: for its own architecture, and not by QEMU's name.
const QEMU_OF_RHEL: &str = "qemu-kvm";

/// The full path of `name`, searched in `PATH` and in the directories of administrators' programs.
/// Of QEMU for this machine's architecture it may be that of RHEL, which has another name.
pub fn find(name: &str) -> Option<Utf8PathBuf> {
    let native = || name.strip_prefix("qemu-system-") == Some(std::env::consts::ARCH);
    found(name).or_else(|| found(QEMU_OF_RHEL).filter(|_| native()))
}

fn found(name: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // An empty entry would be the directory that this program happens to be in.
    let dirs = std::env::split_paths(&path).filter(|dir| dir.is_absolute());
    let dirs = std::env::join_paths(dirs.chain(SBIN.iter().map(PathBuf::from))).ok()?;
    let found = which::which_in_global(name, Some(dirs)).ok()?.next()?;
    Utf8PathBuf::from_path_buf(found).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_administrators_are_found() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-here").is_none());
    }
}
