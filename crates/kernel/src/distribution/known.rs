// SPDX-License-Identifier: GPL-2.0
//! The supported distributions.

use anyhow::Result;

use crate::context::Context;
use crate::distribution::debian::Debian;
use crate::distribution::interface::Distribution;
use crate::distribution::rpm_family::{FEDORA, SUSE};
use crate::installed::package_family::PackageFamily;
use crate::machine::programs::{self, Program};
use report::failure::Failure;

/// All of them.
pub const ALL: &[&dyn Distribution] = &[&Debian, &FEDORA, &SUSE];

/// The distribution whose kernels are meant where nothing else says so: that of this machine;
/// Debian, whose archive can be read on any, where this machine's is not known.
pub fn usual() -> &'static dyn Distribution {
    let places = ["/etc/os-release", "/usr/lib/os-release"];
    of_os_release(&places.iter().find_map(|place| fs_err::read_to_string(place).ok()).unwrap_or_default())
}

fn of_os_release(text: &str) -> &'static dyn Distribution {
    match PackageFamily::named(text) {
        PackageFamily::Fedora => &FEDORA,
        PackageFamily::Suse => &SUSE,
        _ => &Debian,
    }
}

/// What reading the usual archive takes of this machine, and making build roots.
pub fn programs() -> &'static [Program] {
    usual().programs()
}

/// Whether this machine has what it takes to read a distribution's archive.
pub fn has_archive() -> bool {
    programs().iter().all(|program| programs::find(program.name).is_some())
}

/// Makes sure of what reading the archive takes.
///
/// # Errors
///
/// It is missing and cannot be installed.
pub fn ensure_programs(context: &Context) -> Result<()> {
    programs::ensure(context, &[programs()])
}

/// The distribution with this id.
pub fn named(id: &str) -> Result<&'static dyn Distribution, Failure> {
    ALL.iter().copied().find(|distribution| distribution.id() == id).ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|distribution| distribution.id()).collect();
        Failure::refused(id, "unknown distribution").remedy(format!("choose one of: {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_distribution_is_that_of_the_machine() {
        for (text, id) in [
            ("ID=debian\n", "debian"),
            ("ID=fedora\n", "fedora"),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "fedora"),
            ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", "suse"),
            ("ID=arch\n", "debian"),
        ] {
            assert_eq!(of_os_release(text).id(), id, "{text}");
        }
    }
}
