// SPDX-License-Identifier: GPL-2.0
//! Which command does a step: the line that a user would type, and what is run.

use camino::Utf8PathBuf;
use kernel::root::RootChoice;
use report::process::Cmd;

use crate::plan::{Cell, PlannedKernel, PlannedProject};
use crate::run::tool_call::ToolCall;
use crate::step::CellStep;

/// A cell with what it is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct CellParts<'a> {
    pub(super) cell: &'a Cell,
    pub(super) project: &'a PlannedProject,
    pub(super) kernel: &'a PlannedKernel,
}

/// The words of the command that does a step; of one that inspects, `built` are the files.
pub(super) fn words(parts: CellParts<'_>, step: &CellStep, built: &[Utf8PathBuf]) -> Vec<String> {
    let CellParts { project, kernel, .. } = parts;
    let release = kernel.release.to_string();
    let of = kernel.stands_for.as_ref().map_or(release.clone(), ToString::to_string);
    let mut words = Vec::new();
    let mut add = |some: &[&str]| words.extend(some.iter().map(|word| (*word).to_owned()));
    match step {
        CellStep::Build => add(&["build", "--kernel", &release]),
        CellStep::Rpm => add(&["rpm", "--kernel", &release]),
        CellStep::Deb => add(&["deb", "--kernel", &release]),
        CellStep::Insmod | CellStep::Test(_) => add(&["insmod", "--kernel", &of]),
        CellStep::SecureBoot => add(&["insmod", "--secure-boot", "--kernel", &of]),
        CellStep::Inspect => {
            add(&["inspect", "--kernel", &release]);
            add(&built.iter().map(|file| file.as_str()).collect::<Vec<_>>());
            return words;
        }
        CellStep::Run(file) => return vec![file.to_string()],
    }
    add(&["--project", project.dir.as_str()]);
    if *step == CellStep::Rpm {
        // It is made from the project's own source, by rpmbuild.
        return words;
    }
    for (option, values) in [("--set", &project.set), ("--package", &project.packages)] {
        values.iter().for_each(|value| add(&[option, value]));
    }
    project.needs.iter().for_each(|dir| add(&["--needs", dir.as_str()]));
    if project.allow_shell {
        add(&["--allow-shell"]);
    }
    if step.boots() {
        project.params.iter().for_each(|value| add(&["--params", value]));
        if kernel.stands_for.is_some() {
            add(&["--sanitize"]);
        }
    }
    if let CellStep::Test(file) = step {
        add(&["--test", file.as_str()]);
        project.with.iter().for_each(|file| add(&["--with", file.as_str()]));
    }
    words
}

/// The line that does a step again, for people.
pub(super) fn again(parts: CellParts<'_>, step: &CellStep, words: &[String]) -> String {
    match step {
        CellStep::Run(_) => environment(Cmd::new(&words[0]), parts).line(),
        _ => Cmd::new("cargo").arg("kmod").args(words).line(),
    }
}

/// What is run.
pub(super) fn command(parts: CellParts<'_>, step: &CellStep, words: &[String], tool: &ToolCall) -> Cmd {
    if matches!(step, CellStep::Run(_)) {
        return environment(Cmd::new(&words[0]), parts).cwd(parts.project.dir.clone());
    }
    call(tool).args(words)
}

/// The tool, with the options of every command.
pub(super) fn call(tool: &ToolCall) -> Cmd {
    let mut cmd = Cmd::new(&tool.program).args(["--json", "--jobs", &tool.jobs.to_string()]);
    if tool.yes {
        cmd = cmd.arg("--yes");
    }
    match tool.root_fs {
        RootChoice::Auto => {}
        RootChoice::Host => cmd = cmd.args(["--root-fs", "host"]),
        RootChoice::Made => cmd = cmd.args(["--root-fs", "made"]),
    }
    if let Some(store) = &tool.store {
        cmd = cmd.args(["--store", &store.to_string()]);
    }
    match &tool.target {
        Some(dir) => cmd.args(["--target-dir", dir.as_str()]),
        None => cmd,
    }
}

/// What a program of the user's is told of its cell.
fn environment(cmd: Cmd, parts: CellParts<'_>) -> Cmd {
    cmd.env("KMOD_CELL", parts.cell.id.as_str())
        .env("KMOD_KERNEL", parts.kernel.release.as_str())
        .env("KMOD_PROJECT", parts.project.dir.as_str())
}
