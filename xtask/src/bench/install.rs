// SPDX-License-Identifier: GPL-2.0
//! `install` beside what the how-to does by hand: `cp`, then `depmod -a`.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::bench::Results;
use crate::bench::judgement::LimitCheck;
use crate::bench::scratch::Scratch;
use crate::bench::timing::{Subject, in_turns};
use crate::repository;
use kernel::context::Context;
use kernel::prepare;
use kmodfile::release::Release;
use project::Project;
use project::build::build;
use report::process::Cmd;

/// What part of the time by hand it may take.
const RATIO: f64 = 1.2;

/// Times both, each in a system of its own with all modules of the default kernel, in which the
/// module is not installed. The tool has everything on the disk when it ends; by hand nobody waits
/// for that.
pub fn measure(context: &Context, runs: usize) -> Result<Results> {
    let prepared = prepare::provide(context, None, context.root_fs)?;
    let built = build(context, &Project::open(&repository())?, &prepared)?;
    let object = built.objects.first().context("the build made no module")?;
    let scratch = Scratch::new(context, "install")?;
    let [ours, theirs] = ["tool", "hand"].map(|name| scratch.path().join(name));
    for root in [&ours, &theirs] {
        let modules = root.join("lib/modules");
        fs_err::create_dir_all(&modules)?;
        run(context, Cmd::new("cp").arg("--archive").arg(prepared.kdir.modules()).arg(&modules))?;
        depmod(context, root, prepared.kdir.release())?;
    }
    let tool = |args: &[&str]| {
        let cmd = Cmd::new(&context.program).args(args).arg("--root").arg(&ours);
        run(context, cmd)
    };
    let by_hand = Hand { context, root: &theirs, release: prepared.kdir.release() };
    let subjects = vec![
        Subject::new("xtask install", || tool(&["install", object.file.as_str()])).before(|| {
            if installed(&ours, prepared.kdir.release()) {
                tool(&["uninstall", &object.name])
            } else {
                Ok(())
            }
        }),
        Subject::new("cp and depmod -a", || by_hand.install(&object.file)).before(|| by_hand.uninstall()),
    ];
    let timings = in_turns(&context.report, runs, subjects)?;
    let judgements = vec![LimitCheck::ratio(&timings[0], &timings[1], RATIO)];
    Ok(Results { timings, judgements })
}

/// As the how-to does it.
struct Hand<'a> {
    context: &'a Context,
    root: &'a Utf8Path,
    release: &'a Release,
}

impl Hand<'_> {
    fn install(&self, file: &Utf8Path) -> Result<()> {
        let extra = extra(self.root, self.release);
        fs_err::create_dir_all(&extra)?;
        run(self.context, Cmd::new("cp").arg(file).arg(&extra))?;
        depmod(self.context, self.root, self.release)
    }

    fn uninstall(&self) -> Result<()> {
        let extra = extra(self.root, self.release);
        if extra.exists() { Ok(fs_err::remove_dir_all(extra)?) } else { Ok(()) }
    }
}

fn extra(root: &Utf8Path, release: &Release) -> Utf8PathBuf {
    root.join("lib/modules").join(release).join("extra")
}

fn installed(root: &Utf8Path, release: &Release) -> bool {
    extra(root, release).exists()
}

fn depmod(context: &Context, root: &Utf8Path, release: &Release) -> Result<()> {
    run(context, Cmd::new("depmod").args(["-a", "-b", root.as_str(), release.as_str()]))
}

fn run(context: &Context, cmd: Cmd) -> Result<()> {
    cmd.run(&context.report).map(drop)
}
