// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod insmod`: boots the very `.ko` that was built and gives a verdict.

mod args;
mod coverage;
mod junit;
mod load;
mod outcome;
mod repeat;
mod watch;

use anyhow::Result;
use camino::Utf8Path;

use crate::commands::build::BuildArgs;
use crate::commands::each_once;
use crate::commands::tested::{self, TestedModules};
use kernel::asked::AskedKernel;
use kernel::context::Context;
use kernel::debug_information;
use kernel::machine::programs;
use kernel::prepare::{self, Prepared};
use kmodfile::release::Release;
use report::destination::Destination;
use vm::boot;
use vm::coverage::tracefile;
use vm::init::OwnInit;

pub use args::InsmodArgs;
use junit::junit;
pub(super) use load::payload;
use outcome::{Outcome, ktap, outcome, shown};
use repeat::repeat;

/// Builds, boots, loads, unloads; the first verdict that is no pass is the exit status.
pub fn run(context: &Context, args: &InsmodArgs) -> Result<()> {
    let args = &args.completed();
    require_machines(context, &args.build)?;
    args.report_to_output(context.report.json())?;
    // Runs append to it.
    args.events.as_ref().map_or(Ok(()), Destination::begin)?;
    if args.watch {
        return watch::again_and_again(context, args, || once(context, args));
    }
    once(context, args)
}

fn once(context: &Context, args: &InsmodArgs) -> Result<()> {
    let mut outcomes = Vec::new();
    let load = |tested: &TestedModules, prepared: &Prepared| {
        if args.kernel_debug {
            debug_information::provide(context, prepared)?;
        }
        let repeated = repeat(context, args, tested, prepared)?;
        let passed = boot::require_pass(&repeated.loaded.run, tested.release.as_str());
        outcomes.push(outcome(args, tested, repeated));
        passed
    };
    let first_error = if args.files.is_empty() {
        tested::each_of_project(context, &wanted(context, args)?, load)?
    } else {
        tested::each_of_files(context, &args.build, &args.files, load)?
    };
    if !outcomes.is_empty() {
        report(context, args, &outcomes)?;
    }
    first_error.map_or(Ok(()), Err)
}

/// Where one of the reports goes to standard output, what people read goes to the other one.
fn report(context: &Context, args: &InsmodArgs, outcomes: &[Outcome]) -> Result<()> {
    if let Some(to) = &args.ktap {
        to.write(&ktap(outcomes).text())?;
    }
    if let Some(to) = &args.junit {
        to.write(&junit(outcomes)?)?;
    }
    if let Some(to) = &args.coverage {
        let measured = outcomes
            .iter()
            .filter_map(|outcome| Some((outcome.release.as_str(), outcome.coverage.as_ref()?)));
        to.write(&tracefile(measured))?;
    }
    context.report.data(&outcomes);
    let taken = args.report_to_output(context.report.json())?.is_some();
    for outcome in outcomes {
        let lines = outcome.coverage.as_ref().map(coverage::shown).unwrap_or_default();
        let text = format!("{}{lines}", shown(outcome));
        if taken { report::error_line(&text) } else { context.report.say(&text) }
    }
    Ok(())
}

/// What booting the kernels asked for takes of this machine, before minutes go into building for
/// them: QEMU, and the init that is inside this program.
pub(in crate::commands) fn require_machines(context: &Context, args: &BuildArgs) -> Result<()> {
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
