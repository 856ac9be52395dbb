// SPDX-License-Identifier: GPL-2.0
//! Makes a plan: finds the kernels that are meant, reads the projects, and puts both together.

mod cells;
mod kernels;
mod projects;
mod sources;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use kernel::context::Context;

use crate::matrix_file::MatrixFile;
use crate::plan::Plan;

pub use kernels::{FoundKernels, everywhere};

/// Makes the plan of `file`, whose paths are from `base`.
///
/// # Errors
///
/// Missing, if a project or a kernel is nowhere; refused, if a project cannot be read, or needs
/// itself; usage, if a rule of the file makes no sense.
pub fn plan(
    context: &Context,
    file: &MatrixFile,
    base: &Utf8Path,
    name: Option<&Utf8Path>,
    tool: &str,
) -> Result<Plan> {
    let projects = projects::read(context, file, base)?;
    let selectors = file.kernels.iter().chain(file.include.iter().flat_map(|more| &more.kernels));
    let kernels = FoundKernels::of(context, selectors)?;
    let planned = cells::cells(file, base, &projects, &kernels, tool)?;
    for rule in &planned.idle {
        context.report.warn(&format!("{}: {rule}", name.map_or("the matrix", Utf8Path::as_str)));
    }
    let projects = projects.into_iter().map(|read| read.planned).collect();
    let used =
        |kernel: &crate::plan::PlannedKernel| planned.cells.iter().any(|cell| cell.kernel == kernel.release);
    let kernels = kernels.all.into_iter().filter(used).collect();
    Ok(Plan::new(tool, name.map(Utf8PathBuf::from), projects, kernels, planned.cells))
}
