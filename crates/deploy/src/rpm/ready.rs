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
use project::{BuildTarget, Project, command};

/// The build root of a prepared kernel, with rpmbuild in it.
///
/// # Errors
///
/// The kernel was prepared by a tool that knows a distribution that this one does not.
pub fn recipe(kdir: &Kdir) -> Result<Recipe> {
    let recipe = &kdir.stamp().recipe;
    if recipe.is_host() {
        return Ok(recipe.clone());
    }
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
    /// The modules that the kernel is excluded from, by the names they are installed under.
    excluded: Vec<String>,
}

impl Ready {
    /// Prepares the kernel and the root, if need be. Without `target` it is the default kernel.
    ///
    /// # Errors
    ///
    /// Skipped, if the project is not for it; refused, if the project's commands need a shell, and
    /// would be run on the host itself.
    pub fn provide(context: &Context, project: &Project, target: Option<KmodTarget>) -> Result<Self> {
        let release = target.as_ref().map(|target| &target.release);
        let prepared = prepare::provide_for(context, release, context.root_fs, project.rust())?;
        let building = BuildTarget::of(context, &project.dir, &prepared)?;
        let chosen = project.for_kernel(&building)?;
        let root = Root::provide(context, &recipe(&prepared.kdir)?, context.root_fs)?;
        let variables = chosen.variables(&building);
        for (directive, line) in [("MAKE", Some(&chosen.make)), ("PRE_BUILD", chosen.pre_build.as_ref())] {
            let Some(line) = line else { continue };
            command::command(directive, line, &variables, &root)?;
        }
        let left = |name: &String| chosen.modules.iter().all(|module| module.installed_name != *name);
        let names = project.modules.iter().map(|module| module.installed_name.clone());
        let excluded = names.filter(left).collect();
        let target = target.unwrap_or_else(|| KmodTarget::of(prepared.kdir.release()));
        Ok(Self { target, prepared, root, excluded })
    }

    /// `RELEASE/MODULE` for each module that the kernel is excluded from.
    pub fn left_out(&self) -> impl Iterator<Item = String> {
        self.excluded.iter().map(|name| format!("{}/{name}", self.target.release))
    }
}
