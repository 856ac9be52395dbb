// SPDX-License-Identifier: GPL-2.0
//! How the tool runs itself.

use camino::Utf8PathBuf;
use kernel::context::Context;
use kernel::root::RootChoice;
use kernel::store_place::StorePlace;

/// How the tool is run for a step.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// Its own file.
    pub program: Utf8PathBuf,
    /// Parallel jobs of one step.
    pub jobs: usize,
    /// Whether every question is answered with yes.
    pub yes: bool,
    /// Where compilers run.
    pub root_fs: RootChoice,
    /// Where what is built goes, if that was said.
    pub target: Option<Utf8PathBuf>,
    /// Where prepared kernels are fetched from.
    pub store: Option<StorePlace>,
}

impl ToolCall {
    /// The tool as it was called, with so many jobs.
    pub fn of(context: &Context, jobs: usize) -> Self {
        Self {
            program: context.program.clone(),
            jobs,
            yes: context.yes,
            root_fs: context.root_fs,
            target: context.target.clone(),
            store: context.store.clone(),
        }
    }
}
