// SPDX-License-Identifier: GPL-2.0
//! A kernel that packages are for, and the build root in which rpmbuild runs for it.

use anyhow::Result;

use crate::rpm::target::KmodTarget;
use kernel::context::Context;
use kernel::distribution::known;
use kernel::distribution::recipe::Recipe;
use kernel::kdir::Kdir;
use kernel::prepare::{self, Prepared};
use kernel::root::Root;
use project::Project;
use report::failure::{Exit, Failure};

/// The build root of a prepared kernel, with rpmbuild in it.
///
/// # Errors
///
/// The kernel was prepared by a tool that knows a distribution that this one does not.
pub fn recipe(kdir: &Kdir) -> Result<Recipe> {
    let recipe = &kdir.stamp().recipe;
    Ok(recipe.clone().with(known::named(&recipe.distribution)?.rpmbuild().iter().copied()))
}

/// A kernel that packages are for, ready to build for.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Its names.
    pub target: KmodTarget,
    /// Its tree.
    pub prepared: Prepared,
    /// Where rpmbuild runs.
    pub root: Root,
}

impl Ready {
    /// Prepares the kernel and the root, if need be. Without `target` it is the default kernel.
    pub fn provide(context: &Context, project: &Project, target: Option<KmodTarget>) -> Result<Self> {
        let release = target.as_ref().map(|target| &target.release);
        let prepared = prepare::provide_for(context, release, context.root_fs, project.rust())?;
        if let Some(reason) = project.excludes(prepared.kdir.release(), &prepared.kdir.config()?) {
            let object = format!("{} {} for {}", project.name, project.version, prepared.kdir.release());
            return Err(Failure::new(
                Exit::Skipped,
                object,
                format!("the project is not for this kernel: {reason}"),
            )
            .remedy("choose another kernel: cargo kmod kernel list")
            .into());
        }
        let root = Root::provide(context, &recipe(&prepared.kdir)?, context.root_fs)?;
        let target = target.unwrap_or_else(|| KmodTarget::of(prepared.kdir.release()));
        Ok(Self { target, prepared, root })
    }
}
