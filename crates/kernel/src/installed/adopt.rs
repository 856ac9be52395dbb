// SPDX-License-Identifier: GPL-2.0
//! Takes a kernel of this machine as it is: nothing of it is copied or made again. What it is built
//! against is the system's own, and the compilers are this machine's, for which its programs were
//! made.

use anyhow::Result;
use camino::Utf8Path;

use crate::context::Context;
use crate::distribution::recipe::Recipe;
use crate::failures::OrFail as _;
use crate::installed::compilers::CompilersHere;
use crate::installed::layout::{self, Headers, InstalledKernel};
use crate::installed::package_family::PackageFamily;
use crate::installed::proof::{self, ShippedProof};
use crate::installed::readiness::{Obstruction, Readiness, Surveyed};
use crate::installed::system::SystemRoot;
use crate::kdir::{Kdir, Stamp};
use crate::kept::KeptFile;
use crate::make::require_path;
use crate::origin::{InstalledTree, Origin};
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::Report;
use report::failure::Failure;
use report::fingerprint::Fingerprint;
use report::process::Cmd;

/// Changes when what is looked at does.
const REVISION: u32 = 1;

/// A kernel of this machine, and what can be built for it.
#[derive(Clone, Debug)]
pub struct SurveyedKernel {
    /// The kernel.
    pub kernel: InstalledKernel,
    /// Whether modules can be built for it.
    pub readiness: Readiness,
    /// What its configuration says, if it can be read.
    pub config: Option<kmodfile::config::Config>,
    /// What brings its image, where that is missing.
    pub image_from: String,
}

/// The running kernel's release.
pub fn running(report: &Report) -> Result<Release> {
    Ok(Cmd::new("uname").arg("-r").read(report)?.parse::<Release>().or_fail()?)
}

/// The kernels installed in the system whose `/` is `root`, newest first, judged by the compilers
/// of this machine.
pub fn survey(root: &Utf8Path, running: Option<&Release>, report: &Report) -> Result<Vec<SurveyedKernel>> {
    let system = SystemRoot::open(root)?;
    let family = PackageFamily::of(&system);
    let kernels = layout::all(&system, running);
    let surveyed: Vec<_> = kernels.iter().map(|kernel| Surveyed::new(&system, family, kernel)).collect();
    let commands: Vec<String> = surveyed.iter().flat_map(Surveyed::compilers).collect();
    let here = CompilersHere::ask(commands.iter().map(String::as_str), report);
    let judged = surveyed.iter().map(|one| SurveyedKernel {
        readiness: one.readiness(&here),
        config: one.config().cloned(),
        image_from: family.image(&system, one.kernel()),
        kernel: one.kernel().clone(),
    });
    Ok(judged.collect())
}

/// Those of this machine.
pub fn here(report: &Report) -> Result<Vec<SurveyedKernel>> {
    let running = running(report).ok();
    survey(Utf8Path::new("/"), running.as_ref(), report)
}

/// What is in the way of building for a kernel, with Rust or without.
pub fn obstruction(kernel: &SurveyedKernel, rust: bool) -> Option<&Obstruction> {
    if rust { kernel.readiness.rust.as_ref() } else { kernel.readiness.c.as_ref() }
}

/// The kernel as one that modules can be built against. Its Rust artefacts are proven if it has
/// any that can be used.
///
/// # Errors
///
/// What is in the way of building for it in C; refused, if its artefacts are not its own.
pub fn adopt(context: &Context, surveyed: &SurveyedKernel) -> Result<Kdir> {
    let kernel = &surveyed.kernel;
    if let Some(obstruction) = &surveyed.readiness.c {
        return Err(obstruction.failure(kernel).into());
    }
    let (Headers::There { build, source }, Some(config)) = (&kernel.headers, &surveyed.config) else {
        return Err(Failure::missing(kernel.release.as_str(), "its headers are not installed").into());
    };
    require_path(build, "its distribution put its headers there: prepare the kernel instead")?;
    let rust = surveyed.readiness.rust.is_none();
    let kept = KeptFile::all(build)?;
    let inputs = inputs(kernel, &kept, rust);
    if let Some(kdir) = Kdir::open(&context.cache, &kernel.release)
        && (!kdir.is_installed() || kdir.stamp().inputs == inputs)
    {
        return Ok(kdir);
    }
    let proof = rust.then(|| prove(context, kernel, build)).transpose()?;
    let place = Kdir::place_of(&context.cache, &kernel.release);
    let modules = || Utf8Path::new("/lib/modules").join(&kernel.release);
    let tree = InstalledTree {
        build: build.clone(),
        source: source.clone(),
        modules: kernel.modules.clone().unwrap_or_else(modules),
        image: kernel.image.clone(),
        others: Vec::new(),
        rust,
        image_from: surveyed.image_from.clone(),
    };
    let stamp = Stamp {
        release: kernel.release.clone(),
        inputs,
        recipe: Recipe::host(),
        architecture: Architecture::of_config(config).unwrap_or_default(),
        origin: Origin::Installed(tree),
        place: place.clone(),
        rust_symbols: proof.map_or(0, ShippedProof::symbols),
        seconds: 0.0,
        make_seconds: 0.0,
        bytes: 0,
        tools: String::new(),
        of_some: Vec::new(),
        kept: Vec::new(),
    };
    fs_err::create_dir_all(&place)?;
    let kdir = Kdir::made(stamp)?;
    kdir.write_stamp()?;
    context.report.note("Using", &format!("installed kernel {}: {build}", kernel.release));
    Ok(kdir)
}

fn prove(context: &Context, kernel: &InstalledKernel, build: &Utf8Path) -> Result<ShippedProof> {
    let step = context.report.step("Proving", &format!("the Rust artefacts of {}", kernel.release));
    let symvers = fs_err::read_to_string(build.join("Module.symvers"))?;
    let proof = proof::prove(&kernel.release, &symvers, build)?;
    step.done("Proved", &proof.to_string());
    Ok(proof)
}

/// Hash of what modules that are built against it depend on.
fn inputs(kernel: &InstalledKernel, kept: &[KeptFile], rust: bool) -> String {
    let print = Fingerprint::new("installed kernel", REVISION)
        .text("release", kernel.release.as_str())
        .text("headers", &format!("{:?}", kernel.headers))
        .text("modules", kernel.modules.as_ref().map_or("", |dir| dir.as_str()))
        .text("image", kernel.image.as_ref().map_or("", |file| file.as_str()))
        .flag("rust", rust);
    kept.iter().fold(print, |print, file| print.text(file.path().as_str(), file.content())).hex()
}
