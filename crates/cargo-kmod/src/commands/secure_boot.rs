// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod insmod --secure-boot`: what a machine with Secure Boot does with the module, before
//! one does.

use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use vm_protocol::Event;

use crate::commands::build::{BuildArgs, SignWith};
use crate::commands::consoles::Consoles;
use crate::commands::insmod::InsmodArgs;
use crate::commands::{build, insmod};
use kernel::context::Context;
use kernel::discover;
use kernel::distribution::{Age, known};
use kernel::machine::programs;
use kernel::prepare::Prepared;
use kmodfile::release::Release;
use project::Project;
use project::build::Built;
use project::key::generate::{KeyRequest, generate};
use project::key::pair::{KeyPair, PrivateKey};
use project::sign::{ModuleSigner, Unsigned};
use report::failure::{Exit, Failure};
use report::{seconds, table};
use vm::boot;
use vm::modules::GuestModule;
use vm::refusal::LoaderRefusal;
use vm::run::Run;
use vm::secure_boot::{Chain, ENABLED, SecureBoot, require_signed_image};
use vm::verdict::{Judgement, Verdict};

/// One of the three boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Case {
    Unsigned,
    NotEnrolled,
    Enrolled,
}

impl Case {
    const ALL: [Self; 3] = [Self::Unsigned, Self::NotEnrolled, Self::Enrolled];

    fn signed(self) -> bool {
        self != Self::Unsigned
    }

    fn enrolled(self) -> bool {
        self != Self::NotEnrolled
    }

    /// Whether a boot ended as it must: with the right refusal, or with the module loaded.
    fn is_met_by(self, verdict: Verdict, refusal: Option<LoaderRefusal>) -> bool {
        match self {
            // Lockdown alone does not say more than that there is no valid signature.
            Self::Unsigned => matches!(refusal, Some(LoaderRefusal::Unsigned | LoaderRefusal::Lockdown)),
            Self::NotEnrolled => refusal == Some(LoaderRefusal::UnavailableKey),
            Self::Enrolled => verdict == Verdict::Pass,
        }
    }

    /// The exit status for a boot that did not end as it must.
    fn exit(self, verdict: Verdict) -> Exit {
        match verdict {
            // Loaded where it must not be, or without Secure Boot.
            Verdict::Pass => Exit::Failed,
            // Refused for a reason of its own, which says nothing of signatures.
            Verdict::ModuleRefused if self != Self::Enrolled => Exit::Failed,
            verdict => verdict.exit(),
        }
    }

    fn described(self) -> &'static str {
        match self {
            Self::Unsigned => "the unsigned module",
            Self::NotEnrolled => "the signed module, its certificate not enrolled",
            Self::Enrolled => "the signed module, its certificate enrolled",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Unsigned => "console-unsigned.log",
            Self::NotEnrolled => "console-not-enrolled.log",
            Self::Enrolled => "console-enrolled.log",
        }
    }
}

/// How a boot went.
#[derive(Clone, Debug, Serialize)]
struct Boot {
    case: Case,
    signed: bool,
    enrolled: bool,
    verdict: Verdict,
    exit: u8,
    /// Why the kernel refused the module, if it did.
    refusal: Option<LoaderRefusal>,
    reason: String,
    /// Whether that is what Secure Boot must do.
    as_it_should: bool,
    seconds: f64,
    console: Utf8PathBuf,
}

/// The outcome for one kernel.
#[derive(Serialize)]
struct Outcome {
    release: Release,
    signer: String,
    boots: Vec<Boot>,
}

/// Builds, signs, boots three times; ends well only if all three went as they should.
pub fn run(context: &Context, args: &InsmodArgs) -> Result<()> {
    let chain_of = known::usual().boot_chain().architecture;
    if let Some(other) = args.build.architectures(context).into_iter().find(|asked| *asked != chain_of) {
        let reason = format!("firmware, shim and GRUB are booted of {chain_of} only, not of {other}");
        return Err(Failure::refused("--secure-boot", reason)
            .remedy(format!("leave it out, or choose a kernel for {chain_of}"))
            .into());
    }
    insmod::require_machines(context, &args.build)?;
    programs::ensure(context, &[project::key::PROGRAMS])?;
    let scratch = tempfile::tempdir().context("making a temporary directory")?;
    let scratch = Utf8Path::from_path(scratch.path()).context("its path is no UTF-8")?;
    let pair = key_pair(context, &args.build.sign, scratch)?;
    // What is signed here is a copy: the unsigned module is needed too.
    let unsigned = BuildArgs { sign: SignWith::default(), ..args.build.clone() };
    let chain = if context.dry_run { None } else { Some(Chain::provide(context)?) };
    let mut outcomes = Vec::new();
    let batch = build::all(context, &unsigned, |project, prepared, built| {
        let chain = chain.as_ref().context("there is no dry run of a build that was made")?;
        let machine = Machine { context, args, project, prepared, built, pair: &pair, chain };
        let outcome = machine.outcome()?;
        let result = machine.require(&outcome);
        outcomes.push(outcome);
        result
    })?;
    if !outcomes.is_empty() {
        context.report.data(&outcomes);
        outcomes.iter().for_each(|outcome| context.report.say(&shown(outcome)));
    }
    batch.first_error.map_or(Ok(()), Err)
}

/// The user's key, or one that lives as long as the run.
fn key_pair(context: &Context, args: &SignWith, scratch: &Utf8Path) -> Result<KeyPair> {
    if let Some(pair) = build::key_pair(context, args)? {
        return Ok(pair);
    }
    let files = generate(
        context,
        &KeyRequest {
            dir: &scratch.join("key"),
            name: "cargo kmod secure boot trial",
            days: 2,
            encrypted: false,
        },
    )?;
    KeyPair::open(context, &PrivateKey::File(files.private), &files.pem)
}

/// What the three boots of one kernel have in common.
struct Machine<'a> {
    context: &'a Context,
    args: &'a InsmodArgs,
    project: &'a Project,
    prepared: &'a Prepared,
    built: &'a Built,
    pair: &'a KeyPair,
    chain: &'a Chain,
}

impl Machine<'_> {
    fn outcome(&self) -> Result<Outcome> {
        let release = &self.built.release;
        let vmlinuz = self.prepared.kdir.vmlinuz()?;
        require_signed_image(&vmlinuz, release.as_str(), || signed_releases(self.context))?;
        let boots =
            Case::ALL.into_iter().map(|case| self.boot(case, &vmlinuz)).collect::<Result<Vec<_>>>()?;
        Ok(Outcome { release: release.clone(), signer: self.pair.certificate.facts.subject.clone(), boots })
    }

    fn boot(&self, case: Case, vmlinuz: &Utf8Path) -> Result<Boot> {
        let tree = boot::tree(&self.prepared.kdir)?;
        let payload =
            insmod::payload(self.context, &tree, &self.project.loads, self.modules(case)?, self.args)?;
        let consoles = Consoles::claim(&self.built.console_log().with_file_name(case.file()))?;
        let options = self.args.machine.options();
        let enrolled = case.enrolled().then_some(&self.pair.certificate);
        let secure_boot = SecureBoot { chain: self.chain, vmlinuz, enrolled };
        let kdir = &self.prepared.kdir;
        let run =
            boot::boot_with(self.context, kdir, &payload, consoles.kept(), &options, Some(secure_boot))?;
        Ok(judged(case, &run))
    }

    /// The project's modules as they were built, or with a signature.
    fn modules(&self, case: Case) -> Result<Vec<GuestModule>> {
        let signer = ModuleSigner::new(self.context, self.prepared, self.pair)?;
        let module = |file: &Utf8PathBuf| {
            let mut module = GuestModule::read(file)?;
            if case.signed() {
                module.image = signer.sign(&Unsigned::read(file)?)?.image().to_vec();
            }
            Ok(module)
        };
        self.built.all_objects().map(|object| module(&object.file)).collect()
    }

    /// The first boot that did not go as it should is the failure.
    fn require(&self, outcome: &Outcome) -> Result<()> {
        let Some(boot) = outcome.boots.iter().find(|boot| !boot.as_it_should) else { return Ok(()) };
        let reason = format!("{}: {}: {}", boot.case.described(), boot.verdict, boot.reason);
        Err(Failure::new(boot.case.exit(boot.verdict), outcome.release.as_str(), reason)
            .remedy(format!("the whole console is in {}", boot.console))
            .into())
    }
}

/// What the archive has to choose from; nothing if it cannot be asked now.
fn signed_releases(context: &Context) -> Vec<String> {
    let releases =
        known::usual().archive(context, Age::Current).map(|archive| discover::with_signed_image(&*archive));
    releases.unwrap_or_default().iter().map(ToString::to_string).collect()
}

fn judged(case: Case, run: &Run) -> Boot {
    let Judgement { verdict, refusal, reason } = run.judgement.clone();
    let right = case.is_met_by(verdict, refusal);
    // Without it the three boots prove nothing.
    let (right, reason) = if secure_boot_was_on(run) {
        (right, reason)
    } else {
        (false, format!("the kernel does not say {ENABLED:?}; {reason}"))
    };
    Boot {
        case,
        signed: case.signed(),
        enrolled: case.enrolled(),
        verdict,
        exit: verdict.exit() as u8,
        refusal,
        reason,
        as_it_should: right,
        seconds: run.wall.as_secs_f64(),
        console: run.console_log.clone(),
    }
}

fn secure_boot_was_on(run: &Run) -> bool {
    run.events.iter().any(|event| match event {
        Event::Hello { log, .. } => log.iter().any(|line| line.text.contains(ENABLED)),
        _ => false,
    })
}

fn shown(outcome: &Outcome) -> String {
    let head = ["MODULE", "CERTIFICATE", "VERDICT", "EXIT", "TIME", "BECAUSE"].map(str::to_owned).to_vec();
    let row = |boot: &Boot| {
        vec![
            if boot.signed { "signed" } else { "unsigned" }.to_owned(),
            if boot.enrolled { "enrolled" } else { "not enrolled" }.to_owned(),
            boot.verdict.to_string(),
            boot.exit.to_string(),
            seconds(Duration::from_secs_f64(boot.seconds)),
            // The kernel's own words are the last line of a refusal.
            boot.reason.lines().last().unwrap_or_default().trim().to_owned(),
        ]
    };
    let rows: Vec<_> = std::iter::once(head).chain(outcome.boots.iter().map(row)).collect();
    let right = outcome.boots.iter().all(|boot| boot.as_it_should);
    let sum = if right { "as it should be" } else { "not as it should be" };
    format!("{}, Secure Boot, signed by {}: {sum}\n{}", outcome.release, outcome.signer, table(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_counts_for_its_reason_only() {
        let refused = Verdict::ModuleRefused;
        let table = [
            (Case::Unsigned, refused, Some(LoaderRefusal::Unsigned), true),
            (Case::Unsigned, refused, Some(LoaderRefusal::Lockdown), true),
            (Case::Unsigned, refused, Some(LoaderRefusal::UnavailableKey), false),
            (Case::Unsigned, refused, Some(LoaderRefusal::VersionMagic), false),
            (Case::Unsigned, Verdict::Pass, None, false),
            (Case::Unsigned, Verdict::NeverUp, None, false),
            (Case::NotEnrolled, refused, Some(LoaderRefusal::UnavailableKey), true),
            (Case::NotEnrolled, refused, Some(LoaderRefusal::Unsigned), false),
            (Case::NotEnrolled, refused, Some(LoaderRefusal::Lockdown), false),
            (Case::NotEnrolled, Verdict::Pass, None, false),
            (Case::Enrolled, Verdict::Pass, None, true),
            (Case::Enrolled, refused, Some(LoaderRefusal::UnavailableKey), false),
        ];
        for (case, verdict, refusal, met) in table {
            assert_eq!(case.is_met_by(verdict, refusal), met, "{case:?} {verdict} {refusal:?}");
        }
    }

    #[test]
    fn what_went_wrong_never_ends_with_zero() {
        let table = [
            (Case::Unsigned, Verdict::Pass, Exit::Failed),
            (Case::NotEnrolled, Verdict::ModuleRefused, Exit::Failed),
            (Case::Enrolled, Verdict::Pass, Exit::Failed),
            (Case::Enrolled, Verdict::ModuleRefused, Exit::ModuleRefused),
            (Case::Unsigned, Verdict::NeverUp, Exit::NeverUp),
            (Case::Enrolled, Verdict::Oops, Exit::Oops),
        ];
        for (case, verdict, exit) in table {
            assert_eq!(case.exit(verdict), exit, "{case:?} {verdict}");
        }
    }
}
