// SPDX-License-Identifier: GPL-2.0
//! Finds out, without booting them, whether other kernels would load a module.

use anyhow::Result;
use serde::Serialize;

use crate::rpm::kabi::{self, Kabi, Obstacle};
use kernel::context::Context;
use kernel::discover;
use kernel::failures::OrFail as _;
use kernel::kdir::Kdir;
use kmodfile::config::Config;
use kmodfile::module::Module;
use kmodfile::release::Release;
use project::build::Built;

/// Whether one kernel would load one module.
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
    /// Why it would not.
    pub obstacle: Option<Obstacle>,
}

/// The modules of a build, by name.
pub fn modules_of(built: &Built) -> Result<Vec<(String, Module)>> {
    let read =
        |object: &project::build::Object| Ok((object.name.clone(), Module::read(&object.file).or_fail()?));
    built.objects.iter().map(read).collect()
}

/// Judges for each of `releases` whether it would load `modules`, which were built for `built_for`.
pub fn audit(
    context: &Context,
    built_for: &Release,
    modules: &[(String, Module)],
    releases: &[Release],
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for release in releases {
        let (config, symvers) = facts(context, release)?;
        // Modules of one project may use each other's symbols.
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

/// The configuration and symbols of a kernel: from the prepared kernel, otherwise from its headers
/// package, that of the previous Debian release included.
pub fn facts(context: &Context, release: &Release) -> Result<(Config, String)> {
    if let Some(kdir) = Kdir::open(&context.cache, release) {
        return Ok((kdir.config()?, fs_err::read_to_string(kdir.build().join("Module.symvers"))?));
    }
    let (archive, kernel) = discover::named(context, release)?;
    Ok((archive.config(&kernel)?, archive.symvers(&kernel)?))
}
