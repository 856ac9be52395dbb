// SPDX-License-Identifier: GPL-2.0
//! Loads modules again and again, each time in a machine of its own.

use anyhow::Result;
use camino::Utf8Path;
use kernel::context::Context;
use kernel::prepare::Prepared;
use report::ProgressUnit;
use vm::coverage::Coverage;
use vm::verdict::Verdict;

use crate::commands::consoles::Consoles;
use crate::commands::insmod::args::InsmodArgs;
use crate::commands::insmod::load::{Loaded, load};
use crate::commands::tested::TestedModules;

/// What came of it.
#[derive(Debug)]
pub(super) struct Repeated {
    /// The first run that failed, else the last; which lines were reached, in all of them.
    pub(super) loaded: Loaded,
    pub(super) passed: u32,
    pub(super) failed: u32,
}

/// Loads them as often as was asked for.
pub(super) fn repeat(
    context: &Context,
    args: &InsmodArgs,
    tested: &TestedModules,
    prepared: &Prepared,
) -> Result<Repeated> {
    let most = args.repeat.unwrap_or(if args.until_failure { u32::MAX } else { 1 });
    let consoles = Consoles::claim(&tested.console)?;
    let once = |context: &Context, console: &Utf8Path| load(context, args, tested, prepared, console);
    let mut repeated = Repeated::first(once(context, consoles.kept())?);
    if most == 1 || repeated.is_over(args, most) {
        return Ok(repeated);
    }
    // One line for all of them, and the console of the first that failed is kept.
    let step = context.report.step("Repeating", tested.release.as_str());
    let quiet = context.quietly();
    step.count(ProgressUnit::Things("run", "runs"), args.repeat.map_or(0, u64::from));
    while !repeated.is_over(args, most) {
        step.reach(u64::from(repeated.runs()));
        let console = if repeated.failed == 0 { consoles.kept().to_owned() } else { consoles.again() };
        repeated.add(once(&quiet, &console)?);
    }
    step.done("Repeated", &format!("{}: {} runs", tested.release, repeated.runs()));
    Ok(repeated)
}

impl Repeated {
    fn first(loaded: Loaded) -> Self {
        let passed = u32::from(loaded.run.judgement.verdict == Verdict::Pass);
        Self { loaded, passed, failed: 1 - passed }
    }

    fn add(&mut self, mut loaded: Loaded) {
        let passed = loaded.run.judgement.verdict == Verdict::Pass;
        let coverage = both(self.loaded.coverage.take(), loaded.coverage.take());
        if self.failed == 0 {
            self.loaded = loaded;
        }
        self.loaded.coverage = coverage;
        *(if passed { &mut self.passed } else { &mut self.failed }) += 1;
    }

    fn runs(&self) -> u32 {
        self.passed + self.failed
    }

    fn is_over(&self, args: &InsmodArgs, most: u32) -> bool {
        self.runs() == most || (args.until_failure && self.failed > 0)
    }
}

/// What was reached in one or the other.
fn both(one: Option<Coverage>, other: Option<Coverage>) -> Option<Coverage> {
    match (one, other) {
        (Some(mut one), Some(other)) => {
            one.merge(other);
            Some(one)
        }
        (one, other) => one.or(other),
    }
}
