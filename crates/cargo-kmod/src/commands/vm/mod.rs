// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod vm`: a program or a shell of this machine under another kernel.

mod args;
mod files;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use kernel::context::Context;
use kernel::debug_information;
use kernel::prepare::Prepared;
use kmodfile::architecture::Architecture;
use project::build::Object;
use report::failure::Failure;
use vm::boot;
use vm::debugger::{self, Debugged, DebuggedModule, Debugger};
use vm::limits::Limits;
use vm::modules::{ModuleTree, in_order};
use vm::payload::Payload;
use vm::share::SharedBy;
use vm::terminal;
use vm_protocol::{Event, Expect, GuestPlan, GuestStep, Talk, TalkedOver};

use crate::commands::consoles::Consoles;
use crate::commands::insmod;
use crate::commands::tested::{self, TestedModules, here};
pub use args::{RunArgs, VmArgs, VmCommand};
use files::{ROOT, SeenFiles};

/// What a program that talks to the user is, and what over.
struct Talker {
    command: Vec<String>,
    over: TalkedOver,
    /// Whether its failure is the verdict.
    expect: Expect,
}

/// Boots a machine, and runs the program or the shell in it.
pub fn run(context: &Context, command: &VmCommand) -> Result<()> {
    match command {
        VmCommand::Run(RunArgs { vm, command }) => {
            let talker = Talker { command: command.clone(), over: TalkedOver::Port, expect: Expect::Success };
            each(context, vm, &talker)
        }
        VmCommand::Shell(vm) => {
            let over = terminal::of_the_user("cargo kmod vm shell")?;
            let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
            each(context, vm, &Talker { command: vec![shell], over, expect: Expect::Any })
        }
    }
}

fn each(context: &Context, args: &VmArgs, talker: &Talker) -> Result<()> {
    insmod::require_machines(context, &args.build)?;
    let one = |tested: &TestedModules, prepared: &Prepared| one(context, args, talker, tested, prepared);
    let first_error = if args.bare || !args.modules.is_empty() {
        tested::each_of_files(context, &args.build, &args.modules, one)?
    } else {
        tested::each_of_project(context, &args.build, one)?
    };
    first_error.map_or(Ok(()), Err)
}

fn one(
    context: &Context,
    args: &VmArgs,
    talker: &Talker,
    tested: &TestedModules,
    prepared: &Prepared,
) -> Result<()> {
    let tree = boot::tree(&prepared.kdir)?;
    require_native(&tree, tested)?;
    let seen = SeenFiles::of(SharedBy::of(context, &tested.release, &tree)?, &here()?, &args.share)?;
    let vmlinux = boot::vmlinux(context, &prepared.kdir)?;
    let debugged = args.gdb.then(|| debugged(tested, prepared, &vmlinux));
    let payload = payload(args, talker, tested, &tree, &seen, debugged.as_ref())?;
    let mut options = args.machine.options();
    if args.gdb {
        options.append.extend(debugger::PARAMETERS.iter().copied().map(str::to_owned));
    }
    let consoles = Consoles::claim(&tested.console)?;
    let mut machine = boot::machine(&prepared.kdir, &vmlinux, &payload, consoles.kept(), &options);
    machine.shares = seen.shares;
    machine.talk = Some(talker.over);
    if args.machine.limit.is_none() {
        machine.limits = Limits { boot: machine.limits.boot, ..Limits::none() };
    }
    let dir = tested.console.parent().unwrap_or(Utf8Path::new("."));
    let mut gdb = debugged.as_ref().map(|debugged| Debugger::new(debugged, dir)).transpose()?;
    machine.debugger = gdb.as_ref().map(Debugger::socket);
    let run = boot::run(context, &prepared.kdir, &machine, &options, |plan, event| {
        if let Some(gdb) = &mut gdb {
            gdb.hear(plan, event);
            if is_about_to_talk(plan, event) {
                say_how_to_attach(context, gdb);
            }
        }
    })?;
    boot::require_pass(&run, tested.release.as_str())
}

/// The machine runs on without a debugger, if there is none to be had.
fn say_how_to_attach(context: &Context, gdb: &Debugger<'_>) {
    match gdb.write() {
        Ok(command) => context.report.note("Debugger", &command),
        Err(error) => context.report.warn(&format!("no debugger can attach: {error:#}")),
    }
}

/// What a debugger knows from the beginning; of each module the file that knows most of it.
fn debugged(tested: &TestedModules, prepared: &Prepared, vmlinux: &Utf8Path) -> Debugged {
    let module = |(name, object): (String, &Object)| DebuggedModule {
        name,
        file: object.debug.as_ref().unwrap_or(&object.unstripped).clone(),
    };
    Debugged {
        architecture: prepared.kdir.stamp().architecture,
        kernel: debug_information::find(&prepared.kdir, vmlinux),
        source: prepared.kdir.source(),
        modules: tested.names().zip(&tested.objects).map(module).collect(),
    }
}

/// Whether the program begins.
fn is_about_to_talk<X>(plan: &GuestPlan<X>, event: &Event) -> bool {
    let Event::StepStarted { index } = event else { return false };
    plan.steps.get(*index).is_some_and(|planned| matches!(planned.step, GuestStep::Talk(_)))
}

/// Programs of this machine run on processors like its own.
fn require_native(tree: &ModuleTree, tested: &TestedModules) -> Result<()> {
    if Architecture::native() == Some(tree.architecture()) {
        return Ok(());
    }
    let reason = format!("is for {}, and this machine's programs are not", tree.architecture());
    Err(Failure::refused(tested.release.as_str(), reason)
        .remedy("take a program along that is for it: cargo kmod insmod --test FILE")
        .into())
}

/// This machine's files, the modules, the program; then the modules go again, as far as they are
/// still there.
fn payload(
    args: &VmArgs,
    talker: &Talker,
    tested: &TestedModules,
    tree: &ModuleTree,
    seen: &SeenFiles,
    debugged: Option<&Debugged>,
) -> Result<Payload> {
    let mut payload = Payload::new(tree)?;
    let by = seen.shares.first().map_or(&[][..], |share| share.by.modules());
    payload.insert_stock(tree, by)?;
    let stock: Vec<&str> = tested.stock.iter().map(String::as_str).collect();
    payload.insert_stock(tree, &stock)?;
    if args.net {
        payload.network_beyond(tree)?;
    }
    seen.mount(&mut payload, args.net);
    let params = args.machine.params.join(" ");
    let modules = in_order(tested.modules()?)?;
    let names: Vec<String> = modules.iter().map(|module| module.name.clone()).collect();
    for module in modules {
        payload.insert_with(tree, module, &params)?;
    }
    if let Some(debugged) = debugged {
        Debugger::ask(&mut payload, debugged);
    }
    payload.expect(GuestStep::Talk(talk(talker)?), talker.expect);
    for name in names.iter().rev() {
        payload.remove_if_there(name);
    }
    Ok(payload)
}

fn talk(talker: &Talker) -> Result<Talk> {
    let (program, args) = talker.command.split_first().context("clap requires a program")?;
    let variable = |name: &str, otherwise: &str| {
        (name.to_owned(), std::env::var(name).unwrap_or_else(|_| otherwise.to_owned()))
    };
    Ok(Talk {
        root: ROOT.to_owned(),
        dir: here()?.into_string(),
        program: program.clone(),
        args: args.to_vec(),
        env: vec![
            ("PATH".to_owned(), search_path()),
            variable("HOME", "/root"),
            ("USER".to_owned(), "root".to_owned()),
            variable("TERM", "dumb"),
            variable("LANG", "C.UTF-8"),
        ],
        over: talker.over,
    })
}

/// Where the user's programs are, and then the administrator's, who one is there.
fn search_path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    let administrators = ["/usr/local/sbin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let missing = administrators.into_iter().filter(|dir| own.split(':').all(|own| own != *dir));
    own.split(':').filter(|dir| !dir.is_empty()).chain(missing).collect::<Vec<_>>().join(":")
}
