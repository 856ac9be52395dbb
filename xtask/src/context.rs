// SPDX-License-Identifier: GPL-2.0
//! What every command is given: the user's wishes, the cache, the report. There is no global state.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::cache::Cache;
use crate::machine::programs;
use crate::report::Report;
use crate::root::Choice;

/// The surroundings of one run of the tool.
#[derive(Debug)]
pub struct Context {
    /// Where progress and results go.
    pub report: Report,
    /// The user's cache.
    pub cache: Cache,
    /// This program's own file, to be run again inside namespaces.
    pub program: Utf8PathBuf,
    /// Answers every question with yes.
    pub yes: bool,
    /// Says what would be done and does not do it.
    pub dry_run: bool,
    /// Where compilers run.
    pub root_fs: Choice,
    /// Compilers that may run at once.
    pub jobs: usize,
}

impl Context {
    /// Asks `question`; with `--yes`, or as root without a terminal, the answer is yes without asking.
    /// An ordinary user without a terminal cannot be asked: no.
    pub fn agree(&self, question: &str) -> Result<bool> {
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if self.yes || !terminal {
            return Ok(self.yes || programs::is_root());
        }
        write!(std::io::stderr(), "{question}? [Y/n] ")?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes"))
    }
}

/// The root of this repository: where the workspace's `Cargo.toml` is.
pub fn repository() -> Utf8PathBuf {
    let manifest = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask is a member of the workspace").to_owned()
}

/// Processors of this machine.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
