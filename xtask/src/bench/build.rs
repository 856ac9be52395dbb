// SPDX-License-Identifier: GPL-2.0
//! `build` with nothing changed, beside a make that has nothing to do.

use anyhow::{Context as _, Result, ensure};

use crate::bench::Results;
use crate::bench::judgement::LimitCheck;
use crate::bench::timing::{Subject, in_turns};
use crate::repository;
use kernel::context::Context;
use kernel::prepare;
use project::Project;
use project::build::{Object, again, build};
use report::process::Cmd;

/// Seconds that a build with nothing to do may take.
const LIMIT: f64 = 0.150;

/// What part of a make with nothing to do that may be.
const RATIO: f64 = 0.2;

/// Times the tool, by itself and through cargo, and make in the same staged copy: Kbuild alone, and
/// the project's own make command. Make runs in the build root, as its compilers are there; what
/// entering that takes is shown too.
pub fn measure(context: &Context, runs: usize) -> Result<Results> {
    let prepared = prepare::provide(context, None, context.root_fs)?;
    let project = Project::open(&repository())?;
    let built = build(context, &project, &prepared)?;
    let make = again(context, &project, &prepared)?;
    let report = &context.report;
    let run = |cmd: Cmd| move || cmd.run(report).map(drop);
    let idle = |cmd: Cmd| {
        let objects = &built.objects;
        move || run_idle(&cmd, objects, context)
    };
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let subjects = vec![
        Subject::new("xtask build, nothing changed", run(tool(context.program.as_str(), &["build"]))),
        Subject::new("cargo xtask build, nothing changed", run(tool(&cargo, &["xtask", "build"]))),
        Subject::new("make -C KDIR M=STAGE modules", idle(make.kbuild)),
        Subject::new("make KDIR=KDIR modules", idle(make.project)),
        Subject::new("entering the build root", run(make.nothing)),
    ];
    let timings = in_turns(report, runs, subjects)?;
    let [direct, cargo, kbuild, ..] = timings.as_slice() else { unreachable!("each subject is timed") };
    let judgements = vec![
        LimitCheck::seconds(direct, LIMIT),
        LimitCheck::seconds(cargo, LIMIT),
        LimitCheck::ratio(direct, kbuild, RATIO),
        LimitCheck::ratio(cargo, kbuild, RATIO),
    ];
    Ok(Results { timings, judgements })
}

/// The tool as a user starts it in the repository.
fn tool(program: &str, args: &[&str]) -> Cmd {
    Cmd::new(program).args(args).cwd(repository())
}

/// Runs a make, and makes sure that it found nothing to do: one that rebuilds would flatter the
/// tool.
fn run_idle(make: &Cmd, objects: &[Object], context: &Context) -> Result<()> {
    let times = || {
        let modified = |object: &Object| fs_err::metadata(&object.unstripped)?.modified();
        objects.iter().map(modified).collect::<std::io::Result<Vec<_>>>().context("looking at what was built")
    };
    let before = times()?;
    make.run(&context.report)?;
    ensure!(before == times()?, "`{}` built again what was built", make.line());
    Ok(())
}
