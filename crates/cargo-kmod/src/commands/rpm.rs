// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod rpm`.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::commands::each_once;
use camino::Utf8PathBuf;
use clap::Args;
use deploy::rpm::audit::{self, Finding};
use deploy::rpm::build::{MadePackage, PackageKind, PackagingOrder, Rpmbuild, Signing};
use deploy::rpm::kabi::{self, Obstacle};
use deploy::rpm::ready::Ready;
use deploy::rpm::sign::PackageKey;
use deploy::rpm::source::{self, SourcePackage};
use deploy::rpm::source_date;
use deploy::rpm::spec::KmodSpec;
use deploy::rpm::target::KmodTarget;
use kernel::asked::AskedKernel;
use kernel::context::Context;
use kernel::prepare;
use kmodfile::release::Release;
use project::build::build;
use project::key::pair::KeyPair;
use project::key::pair::PrivateKey;
use project::sign::ModuleSigner;
use project::{Project, find};
use report::failure::Failure;
use report::{counted, size, table};

/// `cargo kmod rpm`.
#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER)]
pub struct RpmArgs {
    /// Directory of the module project [default: this one, or the nearest above it that is a
    /// project]
    #[arg(long, value_name = "DIR")]
    pub project: Option<Utf8PathBuf>,
    /// Kernel to package for, as printed by `uname -r`, or with --kvariants without its variant; or
    /// `running`, or `installed`: the newest installed one that can be built for; may be repeated
    /// [default: the newest cloud kernel with Rust]
    #[arg(long = "kernel", value_name = "RELEASE")]
    pub kernels: Vec<AskedKernel>,
    /// The variants: what follows the kernel's version in each release, with the separator; \"\" is
    /// the plain kernel
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true, requires = "kernels")]
    pub kvariants: Option<String>,
    /// Also make the source package, which can be built with rpmbuild alone, without this tool or a
    /// network
    #[arg(long)]
    pub srpm: bool,
    /// Also make akmod-NAME, from which akmods(8) builds the package for each kernel on the machine
    /// that has it, and NAME-kmod-common, which it requires
    #[arg(long, conflicts_with_all = ["print_spec", "audit"])]
    pub akmod: bool,
    /// Directory for the packages
    #[arg(long, value_name = "DIR", default_value = "target/rpm")]
    pub output: Utf8PathBuf,
    /// Only print the spec with all macros expanded
    #[arg(long, conflicts_with = "srpm")]
    pub print_spec: bool,
    /// Only tell for each of these kernels whether it would load, through weak-updates, what is
    /// built for --kernel; exit status 4 if one would not
    #[arg(long, value_name = "RELEASE", num_args = 1.., conflicts_with_all = ["srpm", "print_spec", "kvariants"])]
    pub audit: Vec<Release>,
    /// GPG key to sign the packages with, by any name that gpg accepts; each signature is verified
    #[arg(long, value_name = "KEY")]
    pub sign: Option<String>,
    /// Private key to sign the modules with, in PEM; the passphrase of an encrypted one is taken
    /// from KBUILD_SIGN_PIN
    #[arg(long, value_name = "FILE", requires = "modsign_cert")]
    pub modsign_key: Option<PrivateKey>,
    /// Its certificate, PEM or DER
    #[arg(long, value_name = "FILE", requires = "modsign_key")]
    pub modsign_cert: Option<Utf8PathBuf>,
}

const AFTER: &str = "\
Examples:
  cargo kmod rpm --kernel 6.12.107+deb13-cloud-amd64 --srpm
  cargo kmod rpm --kernel 7.3.4+deb13 --kvariants '-amd64 -cloud-amd64 -rt-amd64'
  cargo kmod rpm --akmod
  cargo kmod rpm --kernel 6.12.107+deb13-amd64 --audit 6.12.94+deb13-amd64 6.1.0-40-amd64

The same by hand, if kernel-devel is installed:
  rpmbuild -bb --target=x86_64 --define 'kversion 7.3.4+deb13' --define 'kvariants -amd64 -rt-amd64' kmod.spec

The same source gives the same bytes: set SOURCE_DATE_EPOCH, otherwise the time of the last commit is used.";

/// Makes packages and prints a table of them.
pub fn run(context: &Context, args: &RpmArgs) -> Result<()> {
    AskedKernel::ensure_programs(&args.kernels, context)?;
    let project = Project::open(&find::directory(context, args.project.as_deref())?)?;
    let spec = KmodSpec::of(&project, &context.report)?;
    let signing = signing(context, args)?;
    if context.dry_run {
        targets(context, args, &project)?.iter().for_each(|target| {
            let kernel = target.as_ref().map_or("the default kernel", |target| target.release.as_str());
            context.report.say(&format!("would package {} {} for {kernel}", spec.name, spec.version));
        });
        if args.akmod {
            context.report.say(&format!("would package {} {} for akmods", spec.name, spec.version));
        }
        return Ok(());
    }
    if !args.audit.is_empty() {
        return audit(context, args, &project);
    }
    let sources = sources(context, args, &project, &spec)?;
    if let Some(pair) = &signing.modules {
        // A kernel that does not verify signatures would not recognise them.
        let kernels = sources.iter().flat_map(|source| &source.kernels);
        kernels
            .into_iter()
            .try_for_each(|ready| ModuleSigner::new(context, &ready.prepared, pair).map(drop))?;
    }
    if args.print_spec {
        return print(context, &project, &sources, &signing);
    }
    let akmod = akmod(context, args, &project, &spec, &sources)?;
    let order = PackagingOrder {
        project: &project,
        sources: &sources,
        srpm: args.srpm,
        akmod: akmod.as_ref(),
        output: &args.output,
        signing,
    };
    let made = order.run(context)?;
    if !made.packages.is_empty() {
        context.report.data(&made.packages);
        context.report.say(&summary(&made.packages));
    }
    made.first_error.map_or(Ok(()), Err)
}

/// The keys asked for. Missing keys, and keys that do not match or cannot sign, are found here,
/// before anything is built.
fn signing(context: &Context, args: &RpmArgs) -> Result<Signing> {
    let packages = args.sign.as_deref().map(|name| PackageKey::open(context, name)).transpose()?;
    let modules = match (&args.modsign_key, &args.modsign_cert) {
        (Some(key), Some(certificate)) => Some(KeyPair::open(context, key, certificate)?),
        _ => None,
    };
    Ok(Signing { packages, modules })
}

/// The releases asked for. With variants, what is named is none by itself.
fn releases(context: &Context, args: &RpmArgs, project: &Project) -> Result<Vec<Release>> {
    let releases = args.kernels.iter().map(|asked| match asked {
        AskedKernel::Release(release) if args.kvariants.is_some() => Ok(release.clone()),
        asked if args.kvariants.is_some() => {
            let reason = "its variant is known: leave out --kvariants";
            Err(Failure::usage(format!("--kernel {asked}"), reason).into())
        }
        asked => asked.resolve(context, project.rust()),
    });
    Ok(each_once(&releases.collect::<Result<Vec<_>>>()?))
}

/// The kernels asked for; `None` is the default one.
fn targets(context: &Context, args: &RpmArgs, project: &Project) -> Result<Vec<Option<KmodTarget>>> {
    let kernels = releases(context, args, project)?;
    let all: Vec<KmodTarget> = match &args.kvariants {
        None => kernels.iter().map(KmodTarget::of).collect(),
        Some(kvariants) => {
            let each = kernels.iter().map(|kernel| KmodTarget::all(kernel, kvariants));
            each.collect::<Result<Vec<_>, _>>()?.concat()
        }
    };
    require_distinct(&all)?;
    Ok(if args.kernels.is_empty() { vec![None] } else { all.into_iter().map(Some).collect() })
}

/// Refuses targets whose packages would have the same name: of two variants that differ in their
/// separator alone, or that are named twice, one would overwrite the other.
fn require_distinct(targets: &[KmodTarget]) -> Result<(), Failure> {
    let mut names = BTreeMap::new();
    for target in targets {
        let name = (&target.kversion, target.suffix());
        if let Some(other) = names.insert(name, &target.release) {
            let reason = format!("its package would have the name of that for {other}");
            return Err(Failure::usage(target.release.as_str(), reason)
                .remedy("name each kernel and each variant once, and make each package by itself"));
        }
    }
    Ok(())
}

/// Prepares the kernels, and collects the source for each.
fn sources(
    context: &Context,
    args: &RpmArgs,
    project: &Project,
    spec: &KmodSpec,
) -> Result<Vec<SourcePackage>> {
    let provide = |target| Ready::provide(context, project, target);
    let ready = targets(context, args, project)?.into_iter().map(provide).collect::<Result<Vec<_>>>()?;
    source::packages(context, project, spec, &ready, source_date(&project.dir, &context.report)?)
}

/// The source for akmods, if that is wanted.
fn akmod(
    context: &Context,
    args: &RpmArgs,
    project: &Project,
    spec: &KmodSpec,
    sources: &[SourcePackage],
) -> Result<Option<SourcePackage>> {
    let ready = sources.first().and_then(|source| source.kernels.first()).filter(|_| args.akmod);
    let date = source_date(&project.dir, &context.report)?;
    ready.map(|ready| source::for_akmods(context, project, spec, ready, date)).transpose()
}

fn print(context: &Context, project: &Project, sources: &[SourcePackage], signing: &Signing) -> Result<()> {
    let mut all = Vec::new();
    for source in sources {
        for ready in &source.kernels {
            let text = Rpmbuild::new(context, project, "rpmspec", source, ready, signing)?.expanded()?;
            context.report.say(&text);
            all.push(serde_json::json!({ "kernel": ready.target.release, "spec": text }));
        }
    }
    context.report.data(&all);
    Ok(())
}

/// Builds for the kernels asked for, and prints whether others would load the modules.
fn audit(context: &Context, args: &RpmArgs, project: &Project) -> Result<()> {
    let mut findings = Vec::new();
    for target in targets(context, args, project)? {
        let release = target.as_ref().map(|target| &target.release);
        let prepared = prepare::provide_for(context, release, context.root_fs, project.rust())?;
        let built = build(context, project, &prepared)?;
        let modules = audit::modules_of(&built)?;
        findings.extend(audit::audit(context, &built.release, &modules, &args.audit)?);
    }
    context.report.data(&findings);
    context.report.say(&audited(&findings));
    let refusing = findings.iter().filter(|finding| !finding.loads).count();
    if refusing == 0 {
        return Ok(());
    }
    let asked = counted(findings.len(), "kernel asked", "kernels asked");
    let reason = format!("{refusing} of {asked} would not load it");
    Err(Failure::refused(format!("audit of {}", project.name), reason)
        .remedy("make a package for each of those: cargo kmod rpm --kernel RELEASE")
        .into())
}

/// The number of symbols that are listed below the table for each kernel.
const NAMED: usize = 20;

fn audited(findings: &[Finding]) -> String {
    let mut rows = vec![["MODULE", "BUILT FOR", "KERNEL", "LOADS", "WHY NOT"].map(str::to_owned).to_vec()];
    let mut named = String::new();
    for finding in findings {
        let why = match &finding.obstacle {
            None => String::new(),
            Some(Obstacle::NoVersions) => "without CRCs, a module is for one kernel only".to_owned(),
            Some(Obstacle::Vermagic { module, kernel }) => {
                format!("vermagic: {module}; the kernel: {kernel}")
            }
            Some(Obstacle::Symbols(differences)) => {
                named.push_str(&format!("\n{} in {}:\n", finding.module, finding.kernel));
                named.extend(differences.iter().take(NAMED).map(|difference| format!("  {difference}\n")));
                if differences.len() > NAMED {
                    named.push_str(&format!("  and {} more (--json)\n", differences.len() - NAMED));
                }
                let counts = kabi::counts(differences);
                let counts = counts.iter().map(|(kind, count)| format!("{count} {kind}"));
                format!("symbols: {}", counts.collect::<Vec<_>>().join(", "))
            }
        };
        rows.push(vec![
            finding.module.clone(),
            finding.built_for.to_string(),
            finding.kernel.to_string(),
            if finding.loads { "yes" } else { "no" }.to_owned(),
            why,
        ]);
    }
    format!("{}\n{named}", table(&rows)).trim_end().to_owned()
}

fn summary(packages: &[MadePackage]) -> String {
    let mut rows = vec![["KERNEL", "HOLDS", "SIZE", "SHA-256", "FILE"].map(str::to_owned).to_vec()];
    rows.extend(packages.iter().map(|package| {
        let holds = match package.kind {
            PackageKind::Source => "source",
            PackageKind::Modules => "modules",
            PackageKind::Debug => "debug information",
            PackageKind::Akmod => "source for akmods",
            PackageKind::Common => "what akmods' packages share",
        };
        vec![
            package.kernel.clone(),
            holds.to_owned(),
            size(package.size),
            package.sha256[..12].to_owned(),
            package.file.to_string(),
        ]
    }));
    table(&rows)
}
