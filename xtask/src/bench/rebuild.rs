// SPDX-License-Identifier: GPL-2.0
//! `build` of the rebuilt client from nothing, beside the same make by hand.

use anyhow::Result;
use camino::Utf8Path;

use crate::bench::Results;
use crate::bench::judgement::LimitCheck;
use crate::bench::timing::{Subject, in_turns};
use crate::repository;
use kernel::context::Context;
use kernel::prepare;
use project::Project;
use project::build::{again, build, place_of};
use project::stage::LIST;
use report::cache::remove_plain;
use report::process::Cmd;

/// What part of the bare make's time the tool may take.
const RATIO: f64 = 1.05;

/// Each build takes the better part of a minute; more rounds than these tell no more.
const MOST_RUNS: usize = 3;

/// Times the tool, which stages, patches, makes, checks and strips, and the project's make over the
/// sources that are staged.
pub fn measure(context: &Context, runs: usize) -> Result<Results> {
    let prepared = prepare::provide(context, None, context.root_fs)?;
    let project = Project::open(&repository().join("cifs"))?;
    build(context, &project, &prepared)?;
    let place = place_of(context, &project, prepared.kdir.release());
    let again = again(context, &project, &prepared)?;
    let (make, stage) = (again.project, again.stage);
    let tool = Cmd::new(&context.program).args(["build", "--project", project.dir.as_str()]);
    let report = &context.report;
    let subjects = vec![
        Subject::new("xtask build --project cifs, from nothing", || {
            remove_plain(&place)?;
            remove_plain(&stage)?;
            tool.run(report).map(drop)
        }),
        Subject::new("the same make over staged sources", || {
            remove_made(&stage)?;
            make.run(report).map(drop)
        }),
    ];
    let timings = in_turns(report, runs.min(MOST_RUNS), subjects)?;
    let judgements = match timings.as_slice() {
        [ours, bare] => vec![LimitCheck::ratio(ours, bare, RATIO)],
        _ => unreachable!("each subject is timed"),
    };
    Ok(Results { timings, judgements })
}

/// Removes from a staged copy all but the sources.
fn remove_made(stage: &Utf8Path) -> Result<()> {
    let sources = fs_err::read_to_string(stage.join(LIST))?;
    let sources: std::collections::HashSet<&str> = sources.split('\0').chain([LIST]).collect();
    for entry in walkdir::WalkDir::new(stage) {
        let entry = entry?;
        let path = Utf8Path::from_path(entry.path()).and_then(|path| path.strip_prefix(stage).ok());
        let made = path.is_some_and(|path| !sources.contains(path.as_str()));
        if made && !entry.file_type().is_dir() {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_made_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let stage = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::create_dir(stage.join("fs")).unwrap();
        for file in ["fs/a.c", "fs/a.o", "fs/.a.o.cmd", "Kbuild", "m.ko"] {
            fs_err::write(stage.join(file), file).unwrap();
        }
        fs_err::write(stage.join(LIST), "fs/a.c\0Kbuild\0").unwrap();
        remove_made(stage).unwrap();
        let left = |file: &str| stage.join(file).exists();
        assert!(left("fs/a.c") && left("Kbuild") && left(LIST));
        assert!(!left("fs/a.o") && !left("fs/.a.o.cmd") && !left("m.ko"));
    }
}
