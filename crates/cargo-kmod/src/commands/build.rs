// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod build`.

use std::collections::BTreeSet;

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::Serialize;

use crate::commands::{each_once, patch};
use clap::Args;
use kernel::asked::AskedKernel;
use kernel::context::Context;
use kernel::kdir::Kdir;
use kernel::make::require_path;
use kernel::origin::Origin;
use kernel::prepare::{self, Prepared, Rust};
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use project::build::{Built, build_for};
use project::key::pair::KeyPair;
use project::key::pair::PrivateKey;
use project::needs::NeededProjects;
use project::notices::is_directive;
use project::source::edit;
use project::{BuildTarget, Opened, Project, Purpose, Settings, find};
use report::failure::{Exit, Failure, exit_of};
use report::{Report, size, table};

/// `cargo kmod build`.
#[derive(Clone, Debug, Args)]
pub struct BuildCommand {
    /// What to build.
    #[command(flatten)]
    pub build: BuildArgs,
    /// Lay out the project's source for the kernel, imported and patched, to be edited, and build
    /// nothing
    #[arg(long, conflicts_with = "all_kernels")]
    pub import_only: bool,
    /// Also compress the modules as the kernel's own are (CONFIG_MODULE_COMPRESS_*), beside NAME.ko
    #[arg(long, conflicts_with = "import_only")]
    pub compress: bool,
}

/// Which project and which kernels.
#[derive(Clone, Debug, Args)]
pub struct BuildArgs {
    /// Directory of module sources [default: this one, or the nearest above it that is a project]
    #[arg(long, value_name = "DIR")]
    pub project: Option<Utf8PathBuf>,
    /// Kernel to build for, as `uname -r` prints it, or `running`, or `installed`: the newest
    /// installed one that can be built for; may be repeated [default: the newest cloud kernel
    /// with Rust]
    #[arg(long = "kernel", value_name = "RELEASE")]
    pub kernels: Vec<AskedKernel>,
    /// Give a directive of dkms.conf another value, such as PACKAGE_VERSION=1.2; may be repeated
    ///
    /// It names and numbers a project that has no dkms.conf, too.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// Evaluate a dkms.conf that is a program, in a sandbox: no network, nothing to write to, no
    /// privilege
    ///
    /// A dkms.conf of plain assignments is read and needs no shell. The shell stands in the
    /// project's directory, and has the programs of the build root (--package adds to them). The
    /// values that it got are shown, and what was said on standard error.
    #[arg(long)]
    pub allow_shell: bool,
    /// Build for every prepared kernel
    #[arg(long, conflicts_with = "kernels")]
    pub all_kernels: bool,
    /// Package of the kernel's distribution that the project's build needs besides, such as
    /// libxtables-dev; may be repeated
    ///
    /// It is installed in a build root made for that, never on the host.
    #[arg(long = "package", value_name = "NAME")]
    pub packages: Vec<String>,
    /// Which key the modules are signed with.
    #[command(flatten)]
    pub sign: SignWith,
    /// A project whose modules this one uses; may be repeated
    ///
    /// It is built first, for the same kernel; what it exports is known to this one's make
    /// (KBUILD_EXTRA_SYMBOLS), its source is in NEEDED_SOURCES, and insmod loads its modules first.
    /// What BUILD_DEPENDS in dkms.conf names need not be given if it is beside this one.
    #[arg(long, value_name = "DIR")]
    pub needs: Vec<Utf8PathBuf>,
    /// What the command that builds needs the modules for.
    #[arg(skip)]
    pub purpose: Purpose,
}

impl BuildArgs {
    /// Makes sure of what the archive takes, unless no kernel is from there.
    pub(super) fn ensure_programs(&self, context: &Context) -> Result<()> {
        if self.all_kernels { Ok(()) } else { AskedKernel::ensure_programs(&self.kernels, context) }
    }

    /// What the kernels asked for are for, each once.
    pub(super) fn architectures(&self, context: &Context) -> BTreeSet<Architecture> {
        let of = |release| prepare::architecture_of(&context.cache, release);
        if self.all_kernels {
            let prepared = Kdir::all(&context.cache, &Report::silent());
            return prepared.iter().map(|kdir| kdir.stamp().architecture).collect();
        }
        let named = self.kernels.iter().map(|asked| of(asked.release()));
        if self.kernels.is_empty() { BTreeSet::from([of(None)]) } else { named.collect() }
    }

    fn settings(&self) -> Settings {
        self.settings.iter().cloned().collect()
    }
}

/// `NAME=VALUE`, the name being that of a directive.
fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not NAME=VALUE")?;
    if is_directive(name) {
        Ok((name.to_owned(), value.to_owned()))
    } else {
        Err(format!("dkms.conf has no directive {name}"))
    }
}

/// A key that built modules leave signed with.
#[derive(Clone, Debug, Default, Args)]
pub struct SignWith {
    /// Sign the modules with this private key, a PEM file or a pkcs11: URI; no unsigned one is left
    #[arg(long, value_name = "FILE|URI", requires = "sign_cert")]
    pub sign_key: Option<PrivateKey>,
    /// The key's certificate, PEM or DER
    #[arg(long, value_name = "FILE", requires = "sign_key")]
    pub sign_cert: Option<Utf8PathBuf>,
}

/// Builds and prints a table of what was made.
pub fn run(context: &Context, args: &BuildCommand) -> Result<()> {
    if args.import_only {
        return import(context, &args.build);
    }
    let Batch { mut built, first_error } = all(context, &args.build, |_, _, _| Ok(()))?;
    if args.compress {
        built.iter_mut().try_for_each(|built| compress(context, built))?;
    }
    if !built.is_empty() {
        context.report.data(&built);
        context.report.say(&summary(&built));
    }
    first_error.map_or(Ok(()), Err)
}

/// Compresses what was built, or says that the kernel's own modules are not.
fn compress(context: &Context, built: &mut Built) -> Result<()> {
    let release = built.release.clone();
    let kdir = Kdir::open(&context.cache, &release).ok_or_else(|| {
        Failure::missing(release.as_str(), "was removed, or lost files, while the project was built")
    })?;
    built.pack(&kdir.config()?)?;
    if built.objects.iter().all(|object| object.packed.is_none()) {
        context.report.note("Left", &format!("uncompressed, as the own modules of {release} are"));
    }
    Ok(())
}

/// A source tree that was laid out.
#[derive(Serialize)]
struct LaidOut {
    release: Release,
    source: Utf8PathBuf,
}

/// Lays out the source for each kernel asked for and prints where.
fn import(context: &Context, args: &BuildArgs) -> Result<()> {
    args.ensure_programs(context)?;
    let project = project(context, args)?;
    let mut laid_out = Vec::new();
    for asked in kernels(context, args, &Opened::Project(Box::new(project.clone())))? {
        let release = patch::release(context, asked.as_ref())?;
        if context.dry_run {
            context.report.say(&format!("would lay out {}", edit::place(context, &project, &release)));
            continue;
        }
        let source = edit::lay_out(context, &project, &release)?;
        context.report.say(source.as_str());
        laid_out.push(LaidOut { release, source });
    }
    context.report.data(&laid_out);
    Ok(())
}

fn project(context: &Context, args: &BuildArgs) -> Result<Project> {
    Project::open(&find::directory(context, args.project.as_deref())?)
}

/// What is to be built: read, or with `--allow-shell` to be evaluated once there is a kernel and
/// its root.
pub(super) fn opened(context: &Context, args: &BuildArgs) -> Result<Opened> {
    match Project::open_any(&find::directory(context, args.project.as_deref())?, &args.settings())? {
        Opened::Program { failure, .. } if !args.allow_shell => Err(failure.into()),
        opened => Ok(opened),
    }
}

/// What was built for several kernels: one bad kernel neither stops nor hides the others.
pub struct Batch {
    /// What was built.
    pub built: Vec<Built>,
    /// The first kernel's failure; further ones were shown as warnings. Of kernels that the project
    /// is not for, only when there is no other.
    pub first_error: Option<anyhow::Error>,
}

/// Builds for each kernel asked for and hands each build to `then`.
pub fn all(
    context: &Context,
    args: &BuildArgs,
    mut then: impl FnMut(&Project, &Prepared, &Built) -> Result<()>,
) -> Result<Batch> {
    args.ensure_programs(context)?;
    let opened = opened(context, args)?;
    if let Opened::Project(project) = &opened {
        // Before minutes go into preparing a kernel.
        require_path(&context.target_of(&project.dir), project::build::ELSEWHERE)?;
        NeededProjects::of(project, &args.needs)?;
    }
    let pair = key_pair(context, &args.sign)?;
    let mut done = Vec::new();
    let mut failed = Failed::default();
    let rust = match &opened {
        Opened::Project(project) => project.rust(),
        Opened::Program { .. } => Rust::Optional,
    };
    for asked in kernels(context, args, &opened)? {
        let release = || asked.as_ref().map(|asked| asked.resolve(context, rust)).transpose();
        if context.dry_run {
            if let Err(error) = release().and_then(|release| would(context, args, &opened, release.as_ref()))
            {
                failed.add(context, error);
            }
            continue;
        }
        let mut one = || -> Result<Built> {
            let release = release()?;
            let prepared = prepare::provide_for(context, release.as_ref(), context.root_fs, rust)?;
            let prepared = prepared.with_packages(context, &args.packages)?;
            let mut project = for_kernel(context, args, &opened, &prepared)?;
            let needs = NeededProjects::of(&project, &args.needs)?;
            let built = build_for(context, &project, &needs, &prepared, pair.as_ref(), args.purpose)?;
            project.loads = needs.loads_before(&project);
            then(&project, &prepared, &built)?;
            Ok(built)
        };
        match one() {
            Ok(built) => done.push(built),
            Err(error) => failed.add(context, error),
        }
    }
    Ok(Batch { first_error: failed.first.or(failed.skipped.filter(|_| done.is_empty())), built: done })
}

/// The project as it is for a kernel, read or evaluated.
fn for_kernel(context: &Context, args: &BuildArgs, opened: &Opened, prepared: &Prepared) -> Result<Project> {
    match opened {
        Opened::Project(project) => project.for_kernel(&BuildTarget::of(context, &project.dir, prepared)?),
        Opened::Program { dir, .. } => Project::evaluated(context, dir, &args.settings(), prepared),
    }
}

/// Says what would be built and, as far as that can be known without making anything, what would be
/// run. A program is evaluated, where there is a kernel and a root for it.
fn would(context: &Context, args: &BuildArgs, opened: &Opened, release: Option<&Release>) -> Result<()> {
    let kernel = release.map_or("the default kernel", |release| release.as_str());
    context.report.say(&format!("would build {} for {kernel}", name(opened)));
    let prepared = match release {
        Some(release) => prepare::made(context, release, context.root_fs, &args.packages)?,
        None => None,
    };
    let Some(prepared) = prepared else {
        if let Opened::Program { dir, .. } = opened {
            context.report.say(&format!(
                "would evaluate {dir}/dkms.conf first, in the build root of {kernel}; \
                 for a kernel that is prepared, named with --kernel, a dry run does so"
            ));
        }
        return Ok(());
    };
    let project = for_kernel(context, args, opened, &prepared)?;
    project.warn(&context.report);
    for before in &NeededProjects::of(&project, &args.needs)?.projects {
        context.report.say(&format!("would build {} {} first", before.name, before.version));
    }
    for patch in &project.patches {
        context.report.say(&format!("would apply patches/{patch}"));
    }
    if let Some(program) = &project.pre_build {
        context.report.say(&format!("would run PRE_BUILD: {program}"));
    }
    let make = project::build::again(context, &project, &prepared)?.project;
    context.report.say(&format!("would run: {}", make.line()));
    Ok(())
}

/// What went wrong for some of the kernels.
#[derive(Default)]
struct Failed {
    first: Option<anyhow::Error>,
    skipped: Option<anyhow::Error>,
}

impl Failed {
    /// Shows the failure, unless it is to be the end's.
    fn add(&mut self, context: &Context, error: anyhow::Error) {
        if exit_of(&error) == Exit::Skipped {
            context.report.note("Skipping", &format!("{error:#}"));
            self.skipped.get_or_insert(error);
        } else if self.first.is_none() {
            self.first = Some(error);
        } else {
            context.report.warn(&format!("{error:#}"));
        }
    }
}

fn name(opened: &Opened) -> String {
    match opened {
        Opened::Project(project) => format!("{} {}", project.name, project.version),
        Opened::Program { dir, .. } => dir.to_string(),
    }
}

/// The key that modules are to be signed with, checked before anything is built.
pub fn key_pair(context: &Context, args: &SignWith) -> Result<Option<KeyPair>> {
    match (&args.sign_key, &args.sign_cert) {
        (Some(key), Some(certificate)) => KeyPair::open(context, key, certificate).map(Some),
        _ => Ok(None),
    }
}

/// The kernels asked for; `None` is the default one. Of all that are prepared, those that the
/// project can be built for.
pub(super) fn kernels(
    context: &Context,
    args: &BuildArgs,
    opened: &Opened,
) -> Result<Vec<Option<AskedKernel>>> {
    if args.all_kernels {
        let mut prepared = Kdir::all(&context.cache, &context.report);
        // Nothing is shipped for a kernel that only finds faults.
        prepared.retain(|kdir| !matches!(kdir.stamp().origin, Origin::Sanitizing { .. }));
        prepared.retain(|kdir| match opened {
            Opened::Project(project) => is_for(context, project, kdir),
            Opened::Program { .. } => true,
        });
        if prepared.is_empty() {
            return Err(Failure::missing(
                "--all-kernels",
                "no kernel is prepared that the project can be built for",
            )
            .remedy("cargo kmod kernel prepare")
            .into());
        }
        let asked = |kdir: &Kdir| Some(AskedKernel::Release(kdir.release().clone()));
        return Ok(prepared.iter().map(asked).collect());
    }
    if args.kernels.is_empty() {
        Ok(vec![None])
    } else {
        Ok(each_once(&args.kernels).into_iter().map(Some).collect())
    }
}

/// Whether a project is for a kernel; says so when it is not.
fn is_for(context: &Context, project: &Project, kdir: &Kdir) -> bool {
    let Ok(config) = kdir.config() else { return false };
    let reason = project.excludes(kdir.release(), &config);
    if let Some(reason) = &reason {
        context.report.note("Skipping", &format!("{} for {}: {reason}", project.name, kdir.release()));
    }
    reason.is_none()
}

fn summary(built: &[Built]) -> String {
    let mut rows =
        vec![["KERNEL", "MODULE", "BUILT", "STRIPPED", "SIGNER", "FILE"].map(str::to_owned).to_vec()];
    for (built, object) in
        built.iter().flat_map(|built| built.all_objects().map(move |object| (built, object)))
    {
        rows.push(vec![
            built.release.to_string(),
            object.name.clone(),
            size(object.unstripped_size),
            size(object.size),
            built.signer.clone().unwrap_or_else(|| "-".to_owned()),
            object.packed.as_ref().unwrap_or(&object.file).to_string(),
        ]);
    }
    table(&rows)
}
