// SPDX-License-Identifier: GPL-2.0
//! What is known of an installed kernel, as far as loading a module depends on it.
//!
//! It is found in the system, or in the tree that was prepared for building modules, if that is of
//! the same build of the kernel.

use std::collections::BTreeSet;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::install::module::NamedModule;
use crate::install::system::TargetSystem;
use crate::install::tree::ReleaseTree;
use kernel::context::Context;
use kernel::installed;
use kernel::kdir::Kdir;
use kmodfile::config::Config;
use kmodfile::load::target::LoadTarget;
use kmodfile::module::Module;
use kmodfile::release::Release;

/// What is known of an installed kernel.
#[derive(Clone, Debug)]
pub struct KnownKernel {
    /// One of the modules that came with it; with none, nothing is known of what it demands.
    pub own: Option<NamedModule>,
    /// Its configuration.
    pub config: Option<Config>,
    /// The text of its `Module.symvers`.
    pub symvers: Option<String>,
    /// Whether signatures are enforced, whatever its configuration says.
    enforced: bool,
}

impl KnownKernel {
    /// Looks for what there is of the kernel `release`, whose modules are `tree`.
    ///
    /// # Errors
    ///
    /// One of the kernel's own modules, or a file that is there, cannot be read.
    pub fn of(
        context: &Context,
        system: &TargetSystem,
        release: &Release,
        tree: &ReleaseTree,
    ) -> Result<Self> {
        let dir = system.path(TargetSystem::relative_dir(release));
        let own = tree.first().map(|first| NamedModule::read(&dir.join(first))).transpose()?;
        let prepared = match (tree.first(), &own) {
            (Some(first), Some(own)) => prepared(context, release, first, &own.path)?,
            _ => None,
        };
        let config = match installed::config(system.root(), release.as_str())? {
            Some(config) => Some(config),
            None => prepared.as_ref().map(Kdir::config).transpose()?,
        };
        let symvers = installed::symvers(system.root(), release.as_str())?;
        let of_prepared = || fs_err::read_to_string(prepared.as_ref()?.build().join("Module.symvers")).ok();
        Ok(Self { own, config, symvers: symvers.or_else(of_prepared), enforced: enforced(system) })
    }

    /// The kernel to load modules into. `own` is any one of its own modules.
    pub fn target(&self, own: &Module) -> LoadTarget {
        let target = LoadTarget::as_far_as_known(self.config.as_ref(), self.symvers.as_deref(), own);
        if self.enforced { target.secured() } else { target }
    }
}

/// The prepared kernel of this release, if its module `file` is byte for byte the `installed` one.
fn prepared(
    context: &Context,
    release: &Release,
    file: &Utf8Path,
    installed: &Utf8Path,
) -> Result<Option<Kdir>> {
    let Some(kdir) = Kdir::open(&context.cache, release) else { return Ok(None) };
    let same = fs_err::read(kdir.modules().join(file)).ok() == Some(fs_err::read(installed)?);
    Ok(same.then_some(kdir))
}

/// Modules that did not come with the kernel: its `Module.symvers` does not list what they export.
/// One that cannot be read exports nothing.
pub fn added(system: &TargetSystem, release: &Release, tree: &ReleaseTree) -> Vec<NamedModule> {
    let dir = system.path(TargetSystem::relative_dir(release));
    let foreign = tree.files().filter(|path| !path.starts_with("kernel"));
    let files: BTreeSet<Utf8PathBuf> = foreign.map(|path| dir.join(path)).collect();
    files.iter().filter_map(|file| NamedModule::read(file).ok()).collect()
}

/// Whether the machine enforces signatures, because of its kernel command line or Secure Boot. What
/// runs while an image is made is the builder's kernel, which says nothing of the image's.
fn enforced(system: &TargetSystem) -> bool {
    let read = |file: &str| fs_err::read_to_string(file).unwrap_or_default();
    system.is_host()
        && !system.is_in_container()
        && enforces(
            &read("/sys/module/module/parameters/sig_enforce"),
            &read("/sys/kernel/security/lockdown"),
        )
}

/// Reads what the running kernel shows: its parameter `module.sig_enforce`, and the levels of
/// lockdown with the active one in brackets.
fn enforces(sig_enforce: &str, lockdown: &str) -> bool {
    let level = lockdown.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    sig_enforce.trim() == "Y" || level.is_some_and(|level| level != "none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_kernel_says_whether_it_enforces_signatures() {
        for (sig_enforce, lockdown, expected) in [
            ("", "", false),
            ("N\n", "[none] integrity confidentiality\n", false),
            ("Y\n", "[none] integrity confidentiality\n", true),
            ("N\n", "none [integrity] confidentiality\n", true),
            ("", "none integrity [confidentiality]\n", true),
        ] {
            assert_eq!(enforces(sig_enforce, lockdown), expected, "{sig_enforce:?} {lockdown:?}");
        }
    }
}
