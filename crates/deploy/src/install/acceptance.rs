// SPDX-License-Identifier: GPL-2.0
//! Whether the kernel would load the modules that are to be installed for it, checked before
//! anything is changed.
//!
//! What the kernel requires of a module is found in the system, or in the tree that was prepared
//! for building modules, if that is of the same build of the kernel. What is not found is not
//! checked: no module is refused because a file is missing.

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
use kmodfile::load::answer::{Answer, Refusal};
use kmodfile::load::target::LoadTarget;
use kmodfile::name;
use kmodfile::release::Release;
use report::failure::Failure;

/// How many reasons are given for one module.
const SHOWN: usize = 5;

/// Modules that are to be installed, and where.
pub(super) struct Candidates<'a> {
    pub(super) context: &'a Context,
    pub(super) system: &'a TargetSystem,
    pub(super) release: &'a Release,
    /// The modules that are installed already.
    pub(super) tree: &'a ReleaseTree,
    pub(super) modules: &'a [NamedModule],
    /// Whether they are installed even if the kernel would not load them yet.
    pub(super) force: bool,
}

impl Candidates<'_> {
    /// Refuses modules that the kernel would not load, with the reasons; reports what is worth
    /// knowing about the others.
    pub(super) fn require_accepted(&self) -> Result<()> {
        let Some(target) = self.target()? else {
            self.note("modules are not checked: the kernel has none of its own to compare with");
            return Ok(());
        };
        let refused = self.modules.iter().map(|module| (module, target.judge(&module.module)));
        let refused: Vec<_> = refused.filter(|(module, answer)| !self.accepts(module, answer)).collect();
        let Some(((first, answer), more)) = refused.split_first() else { return Ok(()) };
        let mut reason = format!("kernel {} would not load it: {}", self.release, reasons(&answer.refusals));
        if !more.is_empty() {
            reason.push_str(&format!("; nor {} more modules", more.len()));
        }
        let all = || refused.iter().flat_map(|(_, answer)| &answer.refusals);
        let remedy = if !all().all(Refusal::may_pass) {
            format!("build it for that kernel: cargo kmod build --kernel {}", self.release)
        } else if all().any(|refusal| *refusal == Refusal::Unsigned) {
            "sign it with a key that the kernel trusts: cargo kmod sign; or --force".to_owned()
        } else {
            "first install the modules that it needs; or --force, if they are installed later".to_owned()
        };
        Err(Failure::refused(first.path.as_str(), reason).remedy(remedy).into())
    }

    /// Whether a module may be installed.
    fn accepts(&self, module: &NamedModule, answer: &Answer) -> bool {
        answer.notes.iter().for_each(|note| self.note(&format!("{}: {note}", module.path)));
        let forced = self.force && answer.refusals.iter().all(Refusal::may_pass);
        if forced && !answer.loads() {
            self.context.report.warn(&format!("{}: {}", module.path, reasons(&answer.refusals)));
        }
        forced || answer.loads()
    }

    /// The kernel, as far as it is known. `None` if it has no module of its own.
    fn target(&self) -> Result<Option<LoadTarget>> {
        let Some(first) = self.tree.first() else { return Ok(None) };
        let own = NamedModule::read(&self.system.path(TargetSystem::relative_dir(self.release)).join(first))?;
        let prepared = self.prepared(first, &own.path)?;
        let config = self.config(prepared.as_ref())?;
        let symvers = self.symvers(prepared.as_ref())?;
        if config.is_none() {
            self.note("signatures are not checked: the configuration of the kernel was not found");
        }
        if symvers.is_none() {
            self.note("symbols and their CRCs are not checked: the kernel's Module.symvers was not found");
        }
        let target = LoadTarget::as_far_as_known(config.as_ref(), symvers.as_deref(), &own.module);
        let others = self.others();
        let installed = self.tree.files().filter_map(Utf8Path::file_name).filter_map(name::of_file);
        let mut target = target.with_modules(installed.collect());
        target.also(others.iter().chain(self.modules).map(|file| &file.module));
        Ok(Some(if self.enforced() { target.secured() } else { target }))
    }

    /// The prepared kernel of this release, if its module `file` is byte for byte the `installed`
    /// one.
    fn prepared(&self, file: &Utf8Path, installed: &Utf8Path) -> Result<Option<Kdir>> {
        let Some(kdir) = Kdir::open(&self.context.cache, self.release) else { return Ok(None) };
        let same = fs_err::read(kdir.modules().join(file)).ok() == Some(fs_err::read(installed)?);
        Ok(same.then_some(kdir))
    }

    fn config(&self, prepared: Option<&Kdir>) -> Result<Option<Config>> {
        match installed::config(self.system.root(), self.release.as_str())? {
            Some(config) => Ok(Some(config)),
            None => prepared.map(Kdir::config).transpose(),
        }
    }

    fn symvers(&self, prepared: Option<&Kdir>) -> Result<Option<String>> {
        let found = installed::symvers(self.system.root(), self.release.as_str())?;
        Ok(found.or_else(|| fs_err::read_to_string(prepared?.build().join("Module.symvers")).ok()))
    }

    /// Modules that did not come with the kernel: its `Module.symvers` does not list what they
    /// export. One that cannot be read exports nothing.
    fn others(&self) -> Vec<NamedModule> {
        let dir = self.system.path(TargetSystem::relative_dir(self.release));
        let foreign = self.tree.files().filter(|path| !path.starts_with("kernel"));
        let files: BTreeSet<Utf8PathBuf> = foreign.map(|path| dir.join(path)).collect();
        files.iter().filter_map(|file| NamedModule::read(file).ok()).collect()
    }

    /// Whether the machine enforces signatures, because of its kernel command line or Secure Boot,
    /// whatever the kernel's configuration says.
    fn enforced(&self) -> bool {
        let read = |file: &str| fs_err::read_to_string(file).unwrap_or_default();
        self.system.is_host()
            && enforces(
                &read("/sys/module/module/parameters/sig_enforce"),
                &read("/sys/kernel/security/lockdown"),
            )
    }

    fn note(&self, text: &str) {
        self.context.report.note("Noting", text);
    }
}

/// Reads what the running kernel shows: its parameter `module.sig_enforce`, and the levels of
/// lockdown with the active one in brackets.
fn enforces(sig_enforce: &str, lockdown: &str) -> bool {
    let level = lockdown.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    sig_enforce.trim() == "Y" || level.is_some_and(|level| level != "none")
}

fn reasons(refusals: &[Refusal]) -> String {
    let shown: Vec<String> = refusals.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = refusals.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("; and {more} more reasons") } else { String::new() };
    shown.join("; ") + &more
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

    #[test]
    fn not_every_reason_is_given() {
        let refusals: Vec<Refusal> =
            (0..7).map(|n| Refusal::Unresolved { symbol: format!("symbol_{n}") }).collect();
        let said = reasons(&refusals);
        assert!(said.contains("symbol_4") && !said.contains("symbol_5"), "{said}");
        assert!(said.ends_with("; and 2 more reasons"), "{said}");
        assert_eq!(reasons(&refusals[..1]), "it needs symbol_0, which nothing exports");
    }
}
