// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod install`: each kernel a transaction of its own.

use anyhow::Result;

use crate::commands::build;
use crate::commands::build::BuildArgs;
use crate::commands::each_once;
use camino::Utf8PathBuf;
use clap::Args;
use deploy::install::initramfs;
use deploy::install::installation::ModDir;
use deploy::install::installation::{self, InstallOptions};
use deploy::install::module::NamedModule;
use deploy::install::outcome::{InstallOutcome, InstallOutcomes};
use deploy::install::system::TargetSystem;
use deploy::install::transaction;
use kernel::asked::AskedKernel;
use kernel::context::Context;
use kernel::machine::programs;
use kmodfile::release::Release;
use report::failure::Failure;

/// The system whose modules are changed or looked at.
#[derive(Clone, Debug, Args)]
pub struct SystemArgs {
    /// The directory that is `/` of the system
    #[arg(long, value_name = "DIR", env = "INSTALL_MOD_PATH", default_value = "/")]
    pub root: Utf8PathBuf,
}

/// `cargo kmod install`.
#[derive(Clone, Debug, Args)]
pub struct InstallArgs {
    /// Built modules, for the kernel that each was built for; without any, a project is built
    #[arg(value_name = "FILE.ko", conflicts_with = "project", conflicts_with = "all_kernels")]
    pub files: Vec<Utf8PathBuf>,
    /// What to build.
    #[command(flatten)]
    pub build: BuildArgs,
    /// Where to.
    #[command(flatten)]
    pub system: SystemArgs,
    /// Directory below /lib/modules/RELEASE
    #[arg(long, value_name = "DIR", env = "INSTALL_MOD_DIR", default_value = "extra")]
    pub dir: ModDir,
    /// Load the modules at boot, with a file in /etc/modules-load.d
    #[arg(long)]
    pub load: bool,
    /// Parameter that modprobe passes to the modules, such as mode=0, with a file in
    /// /etc/modprobe.d; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = option)]
    pub options: Vec<String>,
    /// Take precedence over a module of the distribution's even if that has become newer; install a
    /// module even if it needs symbols that nothing exports yet, or if it is unsigned while
    /// signatures are enforced
    #[arg(long)]
    pub force: bool,
    /// When to rebuild the initramfs, if the module is in it
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub initramfs: initramfs::InitramfsChoice,
    /// Also replace the modules in memory: unload the old ones, load the new ones, and undo
    /// everything if that fails
    #[arg(long)]
    pub reload: bool,
}

/// A module parameter: one plain word, as modprobe.d has no quoting.
fn option(text: &str) -> Result<String, String> {
    let plain = text.chars().all(|c| c.is_ascii_graphic() && !"#\\\"'".contains(c));
    if plain && !text.is_empty() {
        Ok(text.to_owned())
    } else {
        Err("not a single word NAME=VALUE".to_owned())
    }
}

/// Installs for each kernel, and prints the results.
pub fn run(context: &Context, args: &InstallArgs) -> Result<()> {
    programs::ensure(context, &[deploy::install::PROGRAMS])?;
    let system = TargetSystem::open(&args.system.root)?;
    let mut outcomes = InstallOutcomes::default();
    if args.files.is_empty() {
        for asked in build::kernels(context, &args.build, &build::opened(context, &args.build)?)? {
            let name = asked.as_ref().map_or("the default kernel".to_owned(), ToString::to_string);
            outcomes.add(&name, built(context, &system, asked, args));
        }
    } else {
        for (release, modules) in by_release(context, &system, args)? {
            outcomes.add(release.as_str(), one(context, &system, &release, &modules, args));
        }
    }
    outcomes.show(context)
}

/// The files for each kernel asked for, or grouped by the kernel that each was built for.
fn by_release(
    context: &Context,
    system: &TargetSystem,
    args: &InstallArgs,
) -> Result<Vec<(Release, Vec<NamedModule>)>> {
    let files = args.files.iter().map(|file| NamedModule::read(file)).collect::<Result<Vec<_>>>()?;
    if !args.build.kernels.is_empty() {
        let named = args.build.kernels.iter().map(|asked| asked.named(context, system.root()));
        let releases = each_once(&named.collect::<Result<Vec<_>>>()?);
        return Ok(releases.into_iter().map(|release| (release, files.clone())).collect());
    }
    let mut groups: Vec<(Release, Vec<NamedModule>)> = Vec::new();
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
    system: &TargetSystem,
    asked: Option<AskedKernel>,
    args: &InstallArgs,
) -> Result<InstallOutcome> {
    let only = BuildArgs { kernels: asked.into_iter().collect(), all_kernels: false, ..args.build.clone() };
    let batch = build::all(context, &only, |_, _, _| Ok(()))?;
    if let Some(error) = batch.first_error {
        return Err(error);
    }
    let Some(built) = batch.built.into_iter().next() else {
        return Ok(InstallOutcome::would("install what was built".to_owned()));
    };
    let modules =
        built.all_objects().map(|object| NamedModule::read(&object.file)).collect::<Result<Vec<_>>>()?;
    one(context, system, &built.release, &modules, args)
}

fn one(
    context: &Context,
    system: &TargetSystem,
    release: &Release,
    modules: &[NamedModule],
    args: &InstallArgs,
) -> Result<InstallOutcome> {
    require_different(modules)?;
    let wish = InstallOptions {
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

/// modprobe cannot load two files of the same name.
fn require_different(modules: &[NamedModule]) -> Result<()> {
    let mut names: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => {
            Err(Failure::usage(pair[0], "two files for this module are given for the same kernel").into())
        }
    }
}
