// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod insmod`: boots the very `.ko` that was built and gives a verdict.

use std::time::Duration;

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::Serialize;

use crate::commands::build;
use crate::commands::build::BuildArgs;
use clap::Args;
use kernel::context::Context;
use kernel::machine::programs;
use kernel::prepare::Prepared;
use kmodfile::release::Release;
use project::Project;
use project::build::Built;
use report::seconds;
use vm::boot::{self, Options};
use vm::init::OwnInit;
use vm::machine::Run;
use vm::modules::{GuestModule, ModuleTree, in_order};
use vm::payload::Payload;
use vm::verdict::Verdict;

/// `cargo kmod insmod`.
#[derive(Clone, Debug, Args)]
pub struct InsmodArgs {
    /// What to build and boot.
    #[command(flatten)]
    pub build: BuildArgs,
    /// Parameters given to the module, such as mode=0
    #[arg(long, value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// Seconds after which the machine is stopped
    #[arg(long, value_name = "SECONDS")]
    pub limit: Option<u64>,
    /// Memory of the machine in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub memory: u32,
    /// Words added to the kernel's command line
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub append: Vec<String>,
    /// Boot the real Secure Boot chain three times: is the module refused unsigned, refused while
    /// its certificate is not enrolled, and loaded once it is? With a key made for the run, or that
    /// of --sign-key
    #[arg(long)]
    pub secure_boot: bool,
}

/// The outcome for one kernel.
#[derive(Serialize)]
struct Outcome {
    release: Release,
    verdict: Verdict,
    reason: String,
    boot_seconds: Option<f64>,
    seconds: f64,
    said: Vec<String>,
    console: Utf8PathBuf,
}

/// Builds, boots, loads, unloads; the first verdict that is no pass is the exit status.
pub fn run(context: &Context, args: &InsmodArgs) -> Result<()> {
    require_machines(context, &args.build)?;
    let mut outcomes = Vec::new();
    let batch = build::all(context, &args.build, |project, prepared, built| {
        let run = load(context, args, project, prepared, built)?;
        outcomes.push(outcome(project, built, &run));
        boot::require_pass(&run, built.release.as_str())
    })?;
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

/// Boots one kernel and loads the project's modules in the order of dkms.conf, then unloads
/// everything in reverse.
fn load(
    context: &Context,
    args: &InsmodArgs,
    project: &Project,
    prepared: &Prepared,
    built: &Built,
) -> Result<Run> {
    let tree = boot::tree(&prepared.kdir)?;
    let modules =
        built.objects.iter().map(|object| GuestModule::read(&object.file)).collect::<Result<Vec<_>>>()?;
    let payload = payload(&tree, project, modules, args)?;
    let console = built.console_log();
    let options = Options {
        memory: args.memory,
        append: args.append.clone(),
        limit: args.limit.map(Duration::from_secs),
    };
    boot::boot(context, &prepared.kdir, &payload, &console, &options)
}

/// Inserts the project's `modules`, after the stock modules it names, and removes everything in
/// reverse.
pub(super) fn payload(
    tree: &ModuleTree,
    project: &Project,
    modules: Vec<GuestModule>,
    args: &InsmodArgs,
) -> Result<Payload> {
    let mut payload = Payload::new(tree)?;
    let stock: Vec<&str> = project.loads.iter().map(String::as_str).collect();
    payload.insert_stock(tree, &stock)?;
    let params = args.params.join(" ");
    let modules = in_order(modules)?;
    let names: Vec<String> = modules.iter().map(|module| module.name.clone()).collect();
    for module in modules {
        payload.insert_with(tree, module, &params)?;
    }
    for name in names.iter().rev() {
        payload.remove(name);
    }
    for name in stock.iter().rev() {
        payload.remove(name);
    }
    Ok(payload)
}

fn outcome(project: &Project, built: &Built, run: &Run) -> Outcome {
    let said = project.modules.iter().flat_map(|module| boot::said_by(run, &module.name.replace('-', "_")));
    Outcome {
        release: built.release.clone(),
        verdict: run.judgement.verdict,
        reason: run.judgement.reason.clone(),
        boot_seconds: run.boot.map(|boot| boot.as_secs_f64()),
        seconds: run.wall.as_secs_f64(),
        said: said.map(str::to_owned).collect(),
        console: run.console_log.clone(),
    }
}

fn shown(outcome: &Outcome) -> String {
    let wall = seconds(Duration::from_secs_f64(outcome.seconds));
    let said = outcome.said.iter().map(|line| format!("\n    {line}")).collect::<String>();
    format!("{}  {}  {wall}{said}", outcome.release, outcome.verdict)
}
