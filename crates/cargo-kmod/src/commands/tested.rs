// SPDX-License-Identifier: GPL-2.0
//! Modules that a machine is to load: a project's, as they were built, or files of anybody's.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use kernel::asked::AskedKernel;
use kernel::context::Context;
use kernel::failures::OrFail as _;
use kernel::prepare::{self, Prepared, Rust};
use kmodfile::file::ModuleFile;
use kmodfile::name;
use kmodfile::release::Release;
use object::{Object as _, ObjectSection as _};
use project::build::{Built, Object};
use project::{BuildTarget, Project};
use report::failure::Failure;
use report::process::Cmd;
use vm::modules::GuestModule;

use crate::commands::build::{self, BuildArgs};
use crate::commands::each_once;

/// The modules that a machine is to load, and what is known of them.
#[derive(Clone, Debug)]
pub(super) struct TestedModules {
    /// For people: name and version of the project, or the names of the files.
    pub(super) title: String,
    /// The kernel.
    pub(super) release: Release,
    /// The kernel's own modules that go in before them.
    pub(super) stock: Vec<String>,
    /// Them.
    pub(super) objects: Vec<Object>,
    /// Gets what the machine prints.
    pub(super) console: Utf8PathBuf,
    origin: Origin,
}

/// Where they are from.
#[derive(Clone, Debug)]
enum Origin {
    Project { dir: Utf8PathBuf, stage: Utf8PathBuf },
    Files(Vec<Utf8PathBuf>),
}

impl TestedModules {
    /// Those of a project.
    pub(super) fn of_project(
        context: &Context,
        project: &Project,
        prepared: &Prepared,
        built: &Built,
    ) -> Result<Self> {
        let target = BuildTarget::of(context, &project.dir, prepared)?;
        let stage = target.stage(&project.name, &project.version);
        Ok(Self {
            title: built.project.clone(),
            release: built.release.clone(),
            stock: project.loads.clone(),
            objects: built.all_objects().cloned().collect(),
            console: built.console_log(),
            origin: Origin::Project { dir: project.dir.clone(), stage },
        })
    }

    /// These files; none is the kernel alone. What the machine prints goes into the directory that
    /// the tool was started in.
    pub(super) fn of_files(context: &Context, files: &[Utf8PathBuf], release: &Release) -> Result<Self> {
        let objects = files.iter().map(|file| object(file)).collect::<Result<Vec<_>>>()?;
        let names: Vec<&str> = objects.iter().map(|object| object.name.as_str()).collect();
        let place = context.target_of(&here()?).join("kmod/machines").join(release.as_str());
        fs_err::create_dir_all(&place)?;
        Ok(Self {
            title: names.join(" "),
            release: release.clone(),
            stock: Vec::new(),
            console: place.join("console.log"),
            objects,
            origin: Origin::Files(files.to_vec()),
        })
    }

    /// The modules, read.
    pub(super) fn modules(&self) -> Result<Vec<GuestModule>> {
        self.objects.iter().map(|object| GuestModule::read(&object.file)).collect()
    }

    /// Their names, as the kernel lists them.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.objects.iter().map(|object| name::loaded(&object.name))
    }

    /// The directory of the project, and the staged copy that it was built in.
    pub(super) fn source(&self) -> Option<(&Utf8Path, &Utf8Path)> {
        match &self.origin {
            Origin::Project { dir, stage } => Some((dir, stage)),
            Origin::Files(_) => None,
        }
    }

    /// Adds what names them on a command line.
    pub(super) fn named(&self, cmd: Cmd) -> Cmd {
        match &self.origin {
            Origin::Project { dir, .. } => cmd.args(["--project", dir.as_str()]),
            Origin::Files(files) => cmd.args(files.iter().map(|file| file.as_str())),
        }
    }
}

/// The directory that the tool was started in.
pub(super) fn here() -> Result<Utf8PathBuf> {
    let here = std::env::current_dir().context("finding this directory")?;
    Utf8PathBuf::try_from(here).context("this directory's path is no UTF-8")
}

/// A file as what was built, its debug information in itself if it has any.
fn object(file: &Utf8Path) -> Result<Object> {
    let name = name::of_file(file.file_name().unwrap_or_default())
        .ok_or_else(|| Failure::refused(file.as_str(), "is not named like a module (NAME.ko)"))?;
    let size = fs_err::metadata(file)?.len();
    let debug = has_debug_information(file)?.then(|| file.canonicalize_utf8()).transpose()?;
    let file = file.to_owned();
    Ok(Object { name, size, debug, packed: None, unstripped: file.clone(), unstripped_size: size, file })
}

/// Of a compressed file, whatever is in it cannot be read in its place.
fn has_debug_information(file: &Utf8Path) -> Result<bool> {
    let bytes = fs_err::read(file)?;
    let Ok(elf) = object::File::parse(bytes.as_slice()) else { return Ok(false) };
    Ok(elf.sections().any(|section| section.name() == Ok(".debug_info")))
}

/// Provides each kernel that the files were built for, or that is asked for, and hands it on with
/// them. Gives the first error; one bad kernel neither stops nor hides the others.
pub(super) fn each_of_files(
    context: &Context,
    args: &BuildArgs,
    files: &[Utf8PathBuf],
    mut then: impl FnMut(&TestedModules, &Prepared) -> Result<()>,
) -> Result<Option<anyhow::Error>> {
    if let Some(absent) = files.iter().find(|file| !file.exists()) {
        return Err(Failure::missing(absent.as_str(), "there is no such file").into());
    }
    let mut first_error: Option<anyhow::Error> = None;
    for asked in kernels(args, files)? {
        if context.dry_run {
            would_boot(context, asked.as_ref(), files);
            continue;
        }
        let mut one = || -> Result<()> {
            let release = asked.as_ref().map(|asked| asked.resolve(context, Rust::Optional)).transpose()?;
            let prepared = prepare::provide_for(context, release.as_ref(), context.root_fs, Rust::Optional)?;
            let prepared = prepared.with_packages(context, &args.packages)?;
            let tested = TestedModules::of_files(context, files, prepared.kdir.release())?;
            then(&tested, &prepared)
        };
        match one() {
            Ok(()) => {}
            Err(error) if first_error.is_none() => first_error = Some(error),
            Err(error) => context.report.warn(&format!("{error:#}")),
        }
    }
    Ok(first_error)
}

fn would_boot(context: &Context, asked: Option<&AskedKernel>, files: &[Utf8PathBuf]) {
    let kernel = asked.map_or_else(|| "the default kernel".to_owned(), AskedKernel::to_string);
    let names: Vec<&str> = files.iter().map(|file| file.as_str()).collect();
    let names = if names.is_empty() { "no module".to_owned() } else { names.join(", ") };
    context.report.say(&format!("would boot {kernel} with {names}"));
}

/// The same for a project, which is built for each.
pub(super) fn each_of_project(
    context: &Context,
    args: &BuildArgs,
    mut then: impl FnMut(&TestedModules, &Prepared) -> Result<()>,
) -> Result<Option<anyhow::Error>> {
    let batch = build::all(context, args, |project, prepared, built| {
        then(&TestedModules::of_project(context, project, prepared, built)?, prepared)
    })?;
    Ok(batch.first_error)
}

/// The kernels asked for, or else the one that the files were built for; `None` is the default one.
fn kernels(args: &BuildArgs, files: &[Utf8PathBuf]) -> Result<Vec<Option<AskedKernel>>> {
    if !args.kernels.is_empty() {
        return Ok(each_once(&args.kernels).into_iter().map(Some).collect());
    }
    let mut of: Option<(Release, &Utf8Path)> = None;
    for file in files {
        let release = release_of(file)?;
        match &of {
            Some((first, other)) if *first != release => {
                let reason = format!("is for {release}, and {other} for {first}");
                return Err(Failure::refused(file.as_str(), reason)
                    .remedy("name the kernel: --kernel RELEASE, or load them apart")
                    .into());
            }
            _ => of = Some((release, file)),
        }
    }
    Ok(vec![of.map(|(release, _)| AskedKernel::Release(release))])
}

/// The kernel that a module was built for.
fn release_of(file: &Utf8Path) -> Result<Release> {
    let module = ModuleFile::read(file).or_fail()?;
    let modinfo = module.module().or_fail()?.modinfo;
    let release = modinfo.release().and_then(|release| release.parse().ok());
    Ok(release.ok_or_else(|| {
        Failure::refused(file.as_str(), "does not say which kernel it was built for (vermagic)")
            .remedy("name the kernel: --kernel RELEASE")
    })?)
}
