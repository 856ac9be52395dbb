// SPDX-License-Identifier: GPL-2.0
//! Asks of other kernels, without booting one, whether they would take a module.

use anyhow::Result;
use serde::Serialize;

use crate::rpm::kabi::{self, Kabi, Obstacle};
use kernel::context::Context;
use kernel::discover;
use kernel::distribution::{Age, Archive, ArchiveKernel, known};
use kernel::failures::OrFail as _;
use kernel::kdir::Kdir;
use kmodfile::config::Config;
use kmodfile::module::Module;
use kmodfile::release::Release;
use project::build::Built;

/// What one kernel would do with one module.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The module.
    pub module: String,
    /// The kernel that it was built for.
    pub built_for: Release,
    /// The other kernel.
    pub kernel: Release,
    /// Whether it would load.
    pub loads: bool,
    /// What is in the way.
    pub obstacle: Option<Obstacle>,
}

/// The modules of a build, by name.
pub fn modules_of(built: &Built) -> Result<Vec<(String, Module)>> {
    let read =
        |object: &project::build::Object| Ok((object.name.clone(), Module::read(&object.file).or_fail()?));
    built.objects.iter().map(read).collect()
}

/// Asks each of `releases` about `modules`, which were built for `built_for`.
pub fn audit(
    context: &Context,
    built_for: &Release,
    modules: &[(String, Module)],
    releases: &[Release],
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for release in releases {
        let (config, symvers) = facts(context, release)?;
        // Modules of one project load each other's symbols.
        let kabi = Kabi::of_symvers(&symvers).with(modules.iter().map(|(_, module)| module));
        for (name, module) in modules {
            let obstacle = kabi::obstacle(module, &kabi, &config);
            findings.push(Finding {
                module: format!("{name}.ko"),
                built_for: built_for.clone(),
                kernel: release.clone(),
                loads: obstacle.is_none(),
                obstacle,
            });
        }
    }
    Ok(findings)
}

/// Configuration and symbols of a kernel: one that is prepared, else of its headers package, the previous release's included.
pub fn facts(context: &Context, release: &Release) -> Result<(Config, String)> {
    if let Some(kdir) = Kdir::open(&context.cache, release) {
        return Ok((kdir.config()?, fs_err::read_to_string(kdir.build().join("Module.symvers"))?));
    }
    let distribution = known::usual();
    let mut archive = distribution.archive(context, Age::Current)?;
    if let Some(kernel) = discover::known(&*archive, release) {
        return of_headers(&*archive, &kernel);
    }
    let mut old = distribution.archive(context, Age::Old)?;
    if let Some(kernel) = discover::known(&*old, release) {
        return of_headers(&*old, &kernel);
    }
    // Neither has it, unless it is newer than the indexes are.
    match discover::find(&mut *archive, release) {
        Ok(kernel) => of_headers(&*archive, &kernel),
        Err(unknown) => match discover::find(&mut *old, release) {
            Ok(kernel) => of_headers(&*old, &kernel),
            Err(_) => Err(unknown),
        },
    }
}

fn of_headers(archive: &dyn Archive, kernel: &ArchiveKernel) -> Result<(Config, String)> {
    Ok((archive.config(kernel)?, archive.symvers(kernel)?))
}
