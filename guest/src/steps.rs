// SPDX-License-Identifier: GPL-2.0
//! Performs the steps about a share.

use std::io;

use guest::ShareStep;
use vm_init::{GuestStepResult, StepError};

use crate::{digest, files, layout, notifications, processor, questions, workload};

/// Performs `step`; what it brings back is its output.
pub(crate) fn perform(step: &ShareStep) -> GuestStepResult {
    match step {
        ShareStep::MakePipe { path } => done(path, files::make_pipe(path)),
        ShareStep::ReadAttribute { path, name } => told(path, files::read_attribute(path, name)),
        ShareStep::CopyFile { from, to } => done(to, files::copy(from, to)),
        ShareStep::FindHole { path } => told(path, files::find_hole(path)),
        ShareStep::AskRanges { path } => told(path, files::ask_ranges(path)),
        ShareStep::PunchHole { path } => done(path, files::punch_hole(path)),
        ShareStep::StatFileSystem { path } => done(path, files::stat_file_system(path)),
        ShareStep::Watch { path } => told(path, notifications::watch(path)),
        ShareStep::Ask { path, code, input } => told(path, questions::ask(path, *code, input)),
        ShareStep::BreakLease { path, other } => notifications::break_lease(path, other).map(|()| None),
        ShareStep::LayOut { directory, listed } => done(directory, layout::lay_out(directory, *listed)),
        ShareStep::Digest { path } => told(path, digest::of_file(path)),
        ShareStep::Work(work) => workload::perform(work).map(Some),
        ShareStep::OpenFiles { directory, count } => {
            told(directory, processor::open_files(directory, *count))
        }
    }
}

fn told(path: &str, result: io::Result<String>) -> GuestStepResult {
    result.map(Some).map_err(|error| StepError::of(path, error))
}

fn done(path: &str, result: io::Result<()>) -> GuestStepResult {
    result.map(|()| None).map_err(|error| StepError::of(path, error))
}
