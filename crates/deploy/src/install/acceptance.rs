// SPDX-License-Identifier: GPL-2.0
//! Whether the kernel would load the modules that are to be installed for it, checked before
//! anything is changed. What is not known of the kernel is not checked: no module is refused
//! because a file is missing.

use anyhow::Result;

use crate::install::known_kernel::{self, KnownKernel};
use crate::install::module::NamedModule;
use crate::install::system::TargetSystem;
use crate::install::tree::ReleaseTree;
use kernel::context::Context;
use kernel::kmod;
use kmodfile::load::answer::{Answer, Refusal};
use kmodfile::load::target::LoadTarget;
use kmodfile::release::Release;
use report::counted;
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
        let refused = self
            .modules
            .iter()
            .map(|module| (module, target.judge_packed(&module.module, module.packing.as_ref())));
        let refused: Vec<_> = refused.filter(|(module, answer)| !self.accepts(module, answer)).collect();
        let Some(((first, answer), more)) = refused.split_first() else { return Ok(()) };
        let mut reason = format!("kernel {} would not load it: {}", self.release, reasons(&answer.refusals));
        if !more.is_empty() {
            reason.push_str(&format!("; nor {}", counted(more.len(), "more module", "more modules")));
        }
        let all = || refused.iter().flat_map(|(_, answer)| &answer.refusals);
        let repacking = || all().map(Refusal::repacking).collect::<Option<Vec<_>>>()?.pop();
        let remedy = if let Some(repacking) = repacking() {
            repacking
        } else if !all().all(Refusal::may_pass) {
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
        let known = KnownKernel::of(self.context, self.system, self.release, self.tree)?;
        let Some(own) = &known.own else { return Ok(None) };
        if known.config.is_none() {
            self.note(
                "signatures and packing are not checked: the configuration of the kernel was not found",
            );
        }
        if known.symvers.is_none() {
            self.note("symbols and their CRCs are not checked: the kernel's Module.symvers was not found");
        }
        let mut target = known.target(&own.module).with_modules(self.tree.names());
        let others = known_kernel::added(self.system, self.release, self.tree);
        target.also(others.iter().chain(self.modules).map(|file| &file.module));
        let packed = self.modules.iter().any(|module| module.packing.is_some());
        let kmod = packed.then(|| kmod::of_host(&self.context.report)).flatten();
        Ok(Some(target.with_kmod(kmod)))
    }

    fn note(&self, text: &str) {
        self.context.report.note("Noting", text);
    }
}

fn reasons(refusals: &[Refusal]) -> String {
    let shown: Vec<String> = refusals.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = refusals.len().saturating_sub(SHOWN);
    let more = match more {
        0 => String::new(),
        more => format!("; and {}", counted(more, "more reason", "more reasons")),
    };
    shown.join("; ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;

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
