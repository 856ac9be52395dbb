// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod insmod`: boots the very `.ko` that was built and gives a verdict.

mod args;
mod consoles;
mod junit;
mod load;
mod outcome;
mod repeat;
mod watch;

use anyhow::Result;
use camino::Utf8Path;

use crate::commands::build::BuildArgs;
use crate::commands::{build, each_once};
use kernel::asked::AskedKernel;
use kernel::context::Context;
use kernel::machine::programs;
use kernel::prepare;
use kmodfile::release::Release;
use report::durable;
use vm::boot;
use vm::init::OwnInit;

pub use args::InsmodArgs;
use junit::junit;
pub(super) use load::payload;
use outcome::{ktap, outcome, shown};
use repeat::repeat;

/// Builds, boots, loads, unloads; the first verdict that is no pass is the exit status.
pub fn run(context: &Context, args: &InsmodArgs) -> Result<()> {
    require_machines(context, &args.build)?;
    // Runs append to it.
    args.events.as_ref().map_or(Ok(()), |file| fs_err::write(file, ""))?;
    if args.watch {
        return watch::again_and_again(context, args, || once(context, args));
    }
    once(context, args)
}

fn once(context: &Context, args: &InsmodArgs) -> Result<()> {
    let mut outcomes = Vec::new();
    let batch = build::all(context, &wanted(context, args)?, |project, prepared, built| {
        let repeated = repeat(context, args, project, prepared, built)?;
        let passed = boot::require_pass(&repeated.loaded.run, built.release.as_str());
        outcomes.push(outcome(args, project, built, repeated));
        passed
    })?;
    if !outcomes.is_empty() {
        if let Some(file) = &args.ktap {
            durable::replace(file, ktap(&outcomes).text().as_bytes())?;
        }
        if let Some(file) = &args.junit {
            durable::replace(file, junit(&outcomes)?.as_bytes())?;
        }
    }
    if !outcomes.is_empty() {
        context.report.data(&outcomes);
        outcomes.iter().for_each(|outcome| context.report.say(&shown(outcome)));
    }
    batch.first_error.map_or(Ok(()), Err)
}

/// What booting the kernels asked for takes of this machine, before minutes go into building for
/// them: QEMU, and the init that is inside this program.
pub(super) fn require_machines(context: &Context, args: &BuildArgs) -> Result<()> {
    let architectures = args.architectures(context);
    for architecture in &architectures {
        OwnInit::of(*architecture)?;
    }
    let qemu = architectures.into_iter().map(vm::qemu::programs);
    args.ensure_programs(context)?;
    programs::ensure(context, &qemu.collect::<Vec<_>>())
}

/// What is built, for the sanitizing kernels that stand for those asked for.
fn wanted(context: &Context, args: &InsmodArgs) -> Result<BuildArgs> {
    let mut build = args.build.clone();
    if !args.sanitize {
        return Ok(build);
    }
    let twin = |of: Option<&Release>| -> Result<AskedKernel> {
        Ok(AskedKernel::Release(prepare::sanitizing_release(context, of)?))
    };
    build.kernels = each_once(&build.kernels)
        .iter()
        .map(|asked| twin(Some(&asked.named(context, Utf8Path::new("/"))?)))
        .collect::<Result<_>>()?;
    if build.kernels.is_empty() {
        build.kernels.push(twin(None)?);
    }
    Ok(build)
}
