// SPDX-License-Identifier: GPL-2.0
//! Projects by kernels: which of them are to be tried how, the plan that this makes, and what came
//! of each cell of it.
//!
//! A [`matrix_file::MatrixFile`] says what is wanted; a [`plan::Plan`] is that for the kernels that
//! there are now, and says of each cell all that it depends on. Whatever runs cells, here or on
//! many machines, takes the plan and writes a [`cell_result::CellResult`] a cell. A
//! [`summary::Summary`] is both put together, and judged.

// What the trials and these tests share calls the crate by its name.
#[cfg(test)]
extern crate self as matrix;

pub mod cell_result;
pub mod ci_jobs;
mod grid;
pub mod here;
pub mod history;
pub mod kernel_selector;
mod log_excerpt;
pub mod matrix_file;
pub mod merge;
pub mod page;
pub mod partition;
pub mod plan;
pub mod planning;
pub mod preflight;
pub mod reports;
pub mod results;
pub mod run;
#[cfg(test)]
#[path = "../../../tests/matrix_sample.rs"]
mod sample;
mod shown;
pub mod slurm;
pub mod step;
pub mod summary;
