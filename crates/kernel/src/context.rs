// SPDX-License-Identifier: GPL-2.0
//! What every command is given: the user's wishes, the cache, the report. There is no global state.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::machine::user;
use crate::root::choice::RootChoice;
use crate::store_place::StorePlace;
use report::Report;
use report::cache::Cache;
use report::failure::Failure;

/// The surroundings of one run of the tool.
#[derive(Debug)]
pub struct Context {
    /// Where progress and results go.
    pub report: Report,
    /// The user's cache.
    pub cache: Cache,
    /// This program's own file, to be run again inside namespaces.
    pub program: Utf8PathBuf,
    /// Whether every question is answered with yes.
    pub yes: bool,
    /// Whether to say only what would be done.
    pub dry_run: bool,
    /// Where compilers run.
    pub root_fs: RootChoice,
    /// Parallel jobs.
    pub jobs: usize,
    /// The directory of the project where none is named; without one it is looked for.
    pub home: Option<Utf8PathBuf>,
    /// Where what is built goes; without it, `target` in the project's directory.
    pub target: Option<Utf8PathBuf>,
    /// Where prepared kernels are fetched from, and put for others.
    pub store: Option<StorePlace>,
}

impl Context {
    /// A run with default options: asks before it installs packages, is not dry, uses all
    /// processors.
    pub fn new(report: Report, cache: Cache, program: Utf8PathBuf) -> Self {
        let (yes, dry_run, root_fs) = (false, false, RootChoice::Auto);
        Self {
            report,
            cache,
            program,
            yes,
            dry_run,
            root_fs,
            jobs: processors(),
            home: None,
            target: None,
            store: None,
        }
    }

    /// The same surroundings, for something of which nothing is to be shown.
    #[must_use]
    pub fn quietly(&self) -> Self {
        Self {
            report: Report::silent(),
            cache: self.cache.clone(),
            program: self.program.clone(),
            home: self.home.clone(),
            target: self.target.clone(),
            store: self.store.clone(),
            ..*self
        }
    }

    /// Where what is built of the project in `dir` goes.
    pub fn target_of(&self, dir: &Utf8Path) -> Utf8PathBuf {
        self.target.clone().unwrap_or_else(|| dir.join("target"))
    }

    /// Refuses `change` with `--dry-run`, where the command cannot go on without making it.
    pub fn require_wet_run(&self, change: &str) -> Result<(), Failure> {
        if !self.dry_run {
            return Ok(());
        }
        let reason = format!("cannot say more without having to {change}, and a dry run changes nothing");
        Err(Failure::missing("--dry-run", reason).remedy("run the same command without --dry-run"))
    }

    /// Asks `question`; with `--yes`, or as root without a terminal, the answer is yes without
    /// asking. An ordinary user without a terminal cannot be asked: no.
    pub fn agree(&self, question: &str) -> Result<bool> {
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if self.yes || !terminal {
            return Ok(self.yes || user::is_root());
        }
        write!(std::io::stderr(), "{question}? [Y/n] ").ok();
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes"))
    }
}

/// Processors of this machine.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
