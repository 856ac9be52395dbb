// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask install`: each kernel a transaction of its own.

use anyhow::Result;

use super::build;
use crate::cli::{BuildArgs, InstallArgs};
use crate::context::Context;
use crate::failure::Failure;
use crate::install::installation::{self, Wish};
use crate::install::module::ModuleFile;
use crate::install::outcome::{Outcome, Outcomes};
use crate::install::system::System;
use crate::install::transaction;
use crate::kernel::release::Release;
use crate::machine::programs;

/// Installs for each kernel, and prints how each ended.
pub fn run(context: &Context, args: &InstallArgs) -> Result<()> {
    programs::ensure(context, &[programs::INSTALL])?;
    let system = System::open(&args.system.root)?;
    let mut outcomes = Outcomes::default();
    if args.files.is_empty() {
        for release in build::releases(context, &args.build, &build::opened(&args.build)?)? {
            let name = release.as_ref().map_or("the default kernel", |release| release.as_str()).to_owned();
            outcomes.add(&name, built(context, &system, release, args));
        }
    } else {
        for (release, modules) in by_release(args)? {
            outcomes.add(release.as_str(), one(context, &system, &release, &modules, args));
        }
    }
    outcomes.show(context)
}

/// The files given, by the kernels asked for, or by the kernel that each says it is for.
fn by_release(args: &InstallArgs) -> Result<Vec<(Release, Vec<ModuleFile>)>> {
    let files = args.files.iter().map(|file| ModuleFile::read(file)).collect::<Result<Vec<_>>>()?;
    if !args.build.kernels.is_empty() {
        return Ok(args.build.kernels.iter().map(|release| (release.clone(), files.clone())).collect());
    }
    let mut groups: Vec<(Release, Vec<ModuleFile>)> = Vec::new();
    for file in files {
        let release = file.release()?;
        match groups.iter_mut().find(|(of, _)| *of == release) {
            Some((_, group)) => group.push(file),
            None => groups.push((release, vec![file])),
        }
    }
    Ok(groups)
}

/// Builds the project for one kernel, and installs what was built.
fn built(
    context: &Context,
    system: &System,
    release: Option<Release>,
    args: &InstallArgs,
) -> Result<Outcome> {
    let only = BuildArgs { kernels: release.into_iter().collect(), all_kernels: false, ..args.build.clone() };
    let batch = build::all(context, &only, |_, _, _| Ok(()))?;
    if let Some(error) = batch.first_error {
        return Err(error);
    }
    let Some(built) = batch.built.into_iter().next() else {
        return Ok(Outcome::would("install what was built".to_owned()));
    };
    let modules =
        built.objects.iter().map(|object| ModuleFile::read(&object.file)).collect::<Result<Vec<_>>>()?;
    one(context, system, &built.release, &modules, args)
}

fn one(
    context: &Context,
    system: &System,
    release: &Release,
    modules: &[ModuleFile],
    args: &InstallArgs,
) -> Result<Outcome> {
    require_different(modules)?;
    let wish = Wish {
        dir: args.dir.clone(),
        load: args.load,
        options: args.options.clone(),
        force: args.force,
        initramfs: args.initramfs,
        reload: args.reload,
    };
    let _lock = system.lock(&context.report)?;
    transaction::recover(context, system);
    let plan = installation::plan(context, system, release, modules, &wish)?;
    transaction::run_or_say(context, system, &plan)
}

/// Two files of one name cannot both be what modprobe loads.
fn require_different(modules: &[ModuleFile]) -> Result<()> {
    let mut names: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => {
            Err(Failure::usage(pair[0], "two files of this module are given for one kernel").into())
        }
    }
}
