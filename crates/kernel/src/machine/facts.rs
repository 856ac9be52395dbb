// SPDX-License-Identifier: GPL-2.0
//! Facts about this machine, besides its programs.

use serde::Serialize;

use crate::context::processors;
use crate::machine::user;
use report::cache::Cache;
use report::failure::Failure;
use report::size;

/// One fact.
#[derive(Debug, Serialize)]
pub struct Fact {
    /// What it is about.
    pub name: &'static str,
    /// The fact, and its consequences.
    pub value: String,
}

/// Disk space that a first run needs: a build root, a kernel with its source, fetched packages.
pub const NEEDED: u64 = 5_000_000_000;

/// Disk space that the archive's indexes need.
pub const INDEXES: u64 = 300_000_000;

/// What names the time since this machine was booted: another boot has another.
///
/// # Errors
///
/// If the kernel does not say.
pub fn boot_id() -> anyhow::Result<String> {
    Ok(fs_err::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Fails early if too little space is left: a full disk is better noticed before minutes of work
/// than after, and some programs hang on one.
pub fn require_space(cache: &Cache, needed: u64, what: &str) -> Result<(), Failure> {
    match free(cache) {
        Some(free) if free < needed => Err(Failure::missing(
            cache.dir().as_str(),
            format!("{} free, but {what} up to {}", size(free), size(needed)),
        )
        .remedy(
            "make room (cargo kmod kernel gc), or move the cache: export XDG_CACHE_HOME=/some/directory",
        )),
        _ => Ok(()),
    }
}

/// All facts.
pub fn all(cache: &Cache) -> Vec<Fact> {
    vec![
        Fact { name: "system", value: system() },
        Fact { name: "user", value: user() },
        Fact { name: "processors", value: processors().to_string() },
        Fact { name: "cache", value: room(cache) },
        Fact { name: "KVM", value: kvm() },
    ]
}

fn system() -> String {
    let release = fs_err::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("unknown").trim_matches('"').to_owned()
}

fn user() -> String {
    if user::is_root() {
        return "root: build roots are made and entered directly".to_owned();
    }
    "ordinary user: build roots are made and entered through user namespaces".to_owned()
}

fn room(cache: &Cache) -> String {
    let dir = cache.dir();
    match free(cache) {
        Some(free) if free < NEEDED => {
            format!("{dir}: {} free, a first run needs {}", size(free), size(NEEDED))
        }
        Some(free) => format!("{dir}: {} free", size(free)),
        None => dir.to_string(),
    }
}

/// Bytes free for this user where the cache is.
pub fn free(cache: &Cache) -> Option<u64> {
    let stat = rustix::fs::statvfs(cache.dir().as_std_path()).ok()?;
    Some(stat.f_bavail * stat.f_frsize)
}

fn kvm() -> String {
    match std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Ok(_) => "/dev/kvm can be opened; it is tested before the first boot".to_owned(),
        Err(error) => format!("/dev/kvm: {error}; QEMU emulates the processor (TCG)"),
    }
}
