// SPDX-License-Identifier: GPL-2.0
//! Projects by kernels: which of them are to be tried how, the plan that this makes, and what came
//! of each cell of it.
//!
//! A [`matrix_file::MatrixFile`] says what is wanted; a [`plan::Plan`] is that for the kernels that
//! there are now, and says of each cell all that it depends on. Whatever runs cells, on this machine
//! or on many, takes the plan and writes a [`cell_result::CellResult`] a cell. A [`summary::Summary`] is
//! both put together, and judged.

pub mod cell_result;
pub mod kernel_selector;
pub mod matrix_file;
pub mod merge;
pub mod partition;
pub mod plan;
pub mod planning;
pub mod results;
pub mod run;
pub mod slurm;
pub mod step;
pub mod summary;
