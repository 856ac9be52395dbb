// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod uninstall`.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::commands::install::SystemArgs;
use clap::Args;
use deploy::install::initramfs;
use deploy::install::outcome::{InstallOutcome, InstallOutcomes};
use deploy::install::record::Record;
use deploy::install::system::TargetSystem;
use deploy::install::tree::{DanglingLink, ReleaseTree};
use deploy::install::uninstalled::Uninstalled;
use deploy::install::{removal, transaction};
use kernel::asked::AskedKernel;
use kernel::context::Context;
use kernel::machine::programs;
use kmodfile::name;
use kmodfile::release::Release;
use report::failure::Failure;

/// `cargo kmod uninstall`.
#[derive(Clone, Debug, Args)]
pub struct UninstallArgs {
    /// Names of the modules
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Kernel to uninstall them from: a release, or `running`, or `installed`, the newest; may be
    /// repeated [default: all that they are installed for]
    #[arg(long = "kernel", value_name = "RELEASE")]
    pub kernels: Vec<AskedKernel>,
    /// Which system.
    #[command(flatten)]
    pub system: SystemArgs,
    /// When to rebuild the initramfs, if the module is in it
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub initramfs: initramfs::InitramfsChoice,
}

/// Uninstalls from each kernel, and prints the results.
pub fn run(context: &Context, args: &UninstallArgs) -> Result<()> {
    programs::ensure(context, &[deploy::install::PROGRAMS])?;
    let system = TargetSystem::open(&args.system.root)?;
    let names = args.names.iter().map(|name| module_name(name)).collect::<Result<Vec<_>, _>>()?;
    let mut outcomes = InstallOutcomes::default();
    for (release, names) in wanted(context, &system, args, &names)? {
        outcomes.add(release.as_str(), one(context, &system, &release, &names, args));
    }
    outcomes.show(context)
}

/// A module's name as it is recorded.
fn module_name(text: &str) -> Result<String, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.+".contains(c);
    match name::of_file(text.rsplit('/').next().unwrap_or(text)) {
        Some(name) => Err(Failure::usage(text, "is a file; modules are uninstalled by their names")
            .remedy(format!("cargo kmod uninstall {name}"))),
        None if text.is_empty() || !text.chars().all(plain) => {
            Err(Failure::usage(format!("{text:?}"), "is not the name of a module")
                .remedy("cargo kmod status"))
        }
        None => Ok(name::loaded(text)),
    }
}

/// The kernels asked for, or all for which any of the modules is installed; each with the modules
/// to uninstall. What was uninstalled by an earlier run, or by this one in finishing that, is said
/// to be so.
///
/// # Errors
///
/// Missing: a kernel that is not there, or a module that never was.
fn wanted(
    context: &Context,
    system: &TargetSystem,
    args: &UninstallArgs,
    names: &[String],
) -> Result<Vec<(Release, Vec<String>)>> {
    let _lock = system.lock(&context.report)?;
    transaction::recover(context, system);
    let mut records = Vec::new();
    for release in system.releases() {
        records.push((release.clone(), Record::read(system, &release)?));
    }
    let named = args.kernels.iter().map(|asked| asked.named(context, system.root()));
    let named = named.collect::<Result<Vec<_>>>()?;
    named.iter().try_for_each(|release| system.release_dir(release).map(drop))?;
    let asked = |release: &Release| named.is_empty() || named.contains(release);
    let of = |record: &Record| -> Vec<String> {
        names.iter().filter(|name| record.modules.contains_key(*name)).cloned().collect()
    };
    let wanted: Vec<(Release, Vec<String>)> = records
        .iter()
        .filter(|(release, _)| asked(release))
        .map(|(release, record)| (release.clone(), of(record)))
        .filter(|(_, there)| !there.is_empty())
        .collect();
    let missing: Vec<&String> =
        names.iter().filter(|name| !wanted.iter().any(|(_, there)| there.contains(name))).collect();
    if !missing.is_empty() {
        // What a run was interrupted in may be just this.
        records.iter().try_for_each(|(release, _)| transaction::require_none(system, release))?;
    }
    let gone = Uninstalled::of(&context.cache, system);
    let place = if named.is_empty() {
        format!("for any kernel in {}", system.root())
    } else {
        format!("for {}", named.iter().map(Release::as_str).collect::<Vec<_>>().join(", "))
    };
    for name in missing {
        let known = records.iter().any(|(_, record)| record.modules.contains_key(name));
        if !known && !gone.has(name) {
            return Err(never_installed(name, &place, &records).into());
        }
        context.report.note("Fresh", &format!("{name} is not installed {place}, nothing is left to do"));
    }
    Ok(wanted)
}

fn never_installed(name: &str, place: &str, records: &[(Release, Record)]) -> Failure {
    let there: BTreeSet<&str> =
        records.iter().flat_map(|(_, record)| record.modules.keys().map(String::as_str)).collect();
    let there = if there.is_empty() { "nothing".to_owned() } else { Vec::from_iter(there).join(", ") };
    let reason = format!("is not installed by this tool {place}, nor was it; installed: {there}");
    Failure::missing(name, reason).remedy("cargo kmod status")
}

fn one(
    context: &Context,
    system: &TargetSystem,
    release: &Release,
    names: &[String],
    args: &UninstallArgs,
) -> Result<InstallOutcome> {
    let _lock = system.lock(&context.report)?;
    transaction::recover(context, system);
    let plan = removal::plan(context, system, release, names, args.initramfs)?;
    if !context.dry_run
        && let Err(error) = Uninstalled::of(&context.cache, system).remember(names)
    {
        context.report.warn(&format!("what is uninstalled could not be noted: {error:#}"));
    }
    let outcome = transaction::run_or_say(context, system, &plan)?;
    name_left_links(context, system, release, names);
    Ok(outcome)
}

/// Names links that other kernels had to what was uninstalled (weak-modules).
fn name_left_links(context: &Context, system: &TargetSystem, release: &Release, names: &[String]) {
    for other in system.releases().iter().filter(|other| *other != release) {
        let tree = ReleaseTree::scan(system, other);
        let links = tree.iter().flat_map(ReleaseTree::dangling);
        let of_ours = |link: &&DanglingLink| {
            link.path.file_name().and_then(name::of_file).is_some_and(|name| names.contains(&name))
        };
        links.filter(of_ours).for_each(|link| context.report.warn(&link.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::failure::Exit;

    #[test]
    fn modules_are_named_as_they_are_loaded() {
        assert_eq!(module_name("virtio-rng").unwrap(), "virtio_rng");
        for text in ["x.ko", "extra/x.ko.xz", "a/b", "", "a b"] {
            assert_eq!(module_name(text).unwrap_err().exit, Exit::Usage, "{text}");
        }
    }
}
