// SPDX-License-Identifier: GPL-2.0
//! What is wanted of a matrix: a file, options, or a plan that was made before.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use kernel::context::Context;
use matrix::kernel_selector::KernelSelector;
use matrix::matrix_file::{MatrixFile, ProjectEntry, USUAL_NAME};
use matrix::plan::Plan;
use matrix::planning;
use matrix::step::CellStep;
use report::failure::Failure;

use crate::commands::tested::here;

/// The version that cells depend on.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Which projects, on which kernels, by which steps.
#[derive(Clone, Debug, Args)]
pub struct WantedArgs {
    /// The file that says what is wanted [default: matrix.toml, unless --project or --kernel is
    /// given]
    #[arg(value_name = "FILE")]
    pub file: Option<Utf8PathBuf>,
    /// A project's directory, instead of those of a file; may be repeated
    #[arg(long = "project", value_name = "DIR")]
    pub projects: Vec<Utf8PathBuf>,
    /// Kernels, instead of those of a file; may be repeated
    ///
    /// Words, all of which hold: a release or a glob; suite:NAME; arch:NAME; newest:3,
    /// of each flavour; installed, running, prepared; sanitize.
    #[arg(long = "kernel", value_name = "KERNELS")]
    pub kernels: Vec<KernelSelector>,
    /// What is done, instead of the steps of a file: build, inspect, insmod, rpm, secure-boot,
    /// test:FILE or run:FILE; may be repeated
    #[arg(long = "step", value_name = "STEP")]
    pub steps: Vec<CellStep>,
}

impl WantedArgs {
    /// Makes the plan.
    pub(super) fn plan(&self, context: &Context) -> Result<Plan> {
        let here = here()?;
        let by_options = !self.projects.is_empty() || !self.kernels.is_empty();
        let path = match &self.file {
            Some(file) => Some(here.join(file)),
            None if by_options && !here.join(USUAL_NAME).exists() => None,
            None => Some(here.join(USUAL_NAME)),
        };
        let mut file = match &path {
            Some(path) => MatrixFile::read(path)?,
            None => MatrixFile::by_default(),
        };
        self.replace(&mut file, &here)?;
        let base = path.as_deref().and_then(Utf8Path::parent).unwrap_or(&here);
        planning::plan(context, &file, base, path.as_deref(), VERSION)
    }

    /// Puts the options in place of what the file says.
    fn replace(&self, file: &mut MatrixFile, here: &Utf8Path) -> Result<(), Failure> {
        if !self.projects.is_empty() {
            file.projects = self.projects.iter().map(|dir| ProjectEntry::Path(here.join(dir))).collect();
        }
        if !self.kernels.is_empty() {
            file.kernels.clone_from(&self.kernels);
            file.include.clear();
        }
        if !self.steps.is_empty() {
            file.steps = self.steps.iter().map(|step| step.within(here)).collect();
        }
        Ok(())
    }
}
