// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod kernel package`.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use deploy::librust::content::PackagedArtefacts;
use deploy::librust::{ArtefactOrder, MadeArtefactPackage, PackageFormat, Packager, repository};
use kernel::context::Context;
use kernel::discover;
use kernel::distribution::{Age, known};
use kernel::kdir::Kdir;
use kernel::machine::programs;
use kernel::prepare;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::failure::Failure;
use report::size;

/// `cargo kmod kernel package`.
#[derive(Debug, Args)]
pub struct PackageArgs {
    /// The kernel, as `uname -r` prints it; it is prepared if it is not [default: the newest
    /// cloud kernel with Rust]
    #[arg(conflicts_with = "all")]
    release: Option<Release>,
    /// All prepared kernels with Rust, and the indexes with which the directory is an apt
    /// repository
    #[arg(long)]
    all: bool,
    /// Where the packages go [default: packages, in the cache]
    #[arg(long, value_name = "DIR")]
    output: Option<Utf8PathBuf>,
    /// Who makes the packages
    #[arg(long, value_name = "NAME <MAIL>")]
    packager: Option<Packager>,
}

/// Runs it.
pub(super) fn package(context: &Context, args: &PackageArgs) -> Result<()> {
    let output = args.output.clone().unwrap_or_else(|| context.cache.path("packages"));
    let output = std::path::absolute(&output).map(Utf8PathBuf::from_path_buf)?.unwrap_or(output);
    if args.all {
        return all(context, args, &output);
    }
    let release = match &args.release {
        Some(release) => release.clone(),
        None => {
            let distribution = known::usual();
            discover::default(distribution, &*distribution.archive(context, Age::Current)?)?.release
        }
    };
    if context.dry_run {
        context.report.say(&format!("would package the Rust artefacts of {release} in {output}"));
        return Ok(());
    }
    let (made, _) = one(context, args, &release, &output)?;
    show(context, &made);
    Ok(())
}

/// Packages for every prepared kernel that can have one, and the repository.
fn all(context: &Context, args: &PackageArgs, output: &Utf8Path) -> Result<()> {
    let kernels = Kdir::all(&context.cache, &context.report).into_iter().filter(|kdir| {
        let stamp = kdir.stamp();
        let native = Architecture::native() == Some(stamp.architecture);
        native && stamp.rust_symbols > 0 && stamp.origin.is_archive()
    });
    let releases: Vec<Release> = kernels.map(|kdir| kdir.release().clone()).collect();
    if releases.is_empty() {
        return Err(Failure::missing("prepared kernels", "there is none with Rust for this machine")
            .remedy("cargo kmod kernel prepare")
            .into());
    }
    programs::ensure(context, &[repository::PROGRAMS])?;
    if context.dry_run {
        let names: Vec<&str> = releases.iter().map(Release::as_str).collect();
        context.report.say(&format!("would package the Rust artefacts of {} in {output}", names.join(", ")));
        return Ok(());
    }
    let (mut packages, mut newest) = (Vec::new(), 0);
    for release in &releases {
        let (made, date) = one(context, args, release, output)?;
        packages.extend(made);
        newest = newest.max(date);
    }
    repository::index(output, newest, &context.report)?;
    show(context, &packages);
    context.report.say(&format!("apt takes them from: deb [trusted=yes] file:{output} ./"));
    Ok(())
}

/// Both packages of one kernel, and their time.
fn one(
    context: &Context,
    args: &PackageArgs,
    release: &Release,
    output: &Utf8Path,
) -> Result<(Vec<MadeArtefactPackage>, u64)> {
    let (archive, kernel) = discover::named(context, release)?;
    let prepared = prepare::prepare(context, &*archive, &kernel, context.root_fs)?;
    let packaged = PackagedArtefacts::of(context, &prepared, &kernel)?;
    let (packager, date) = (args.packager.clone().unwrap_or_default(), ArtefactOrder::date_of(&prepared)?);
    let order = ArtefactOrder { prepared: &prepared, packaged: &packaged, output, packager: &packager, date };
    let formats = [PackageFormat::Deb, PackageFormat::Rpm].into_iter();
    Ok((
        formats.map(|format| MadeArtefactPackage::make(context, &order, format)).collect::<Result<_>>()?,
        date,
    ))
}

fn show(context: &Context, made: &[MadeArtefactPackage]) {
    context.report.data(&made);
    made.iter().for_each(|package| context.report.say(&format!("{} ({})", package.file, size(package.size))));
}
