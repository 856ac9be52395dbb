// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask rpm`.

use anyhow::Result;

use crate::cli::RpmArgs;
use crate::context::{Context, repository};
use crate::failure::Failure;
use crate::kernel::prepare;
use crate::key::pair::KeyPair;
use crate::machine::programs;
use crate::object::sign::Signer;
use crate::project::Project;
use crate::project::build::build;
use crate::report::{size, table};
use crate::rpm::audit::{self, Finding};
use crate::rpm::build::{Kind, Order, Package, Rpmbuild, Signing};
use crate::rpm::kabi::{self, Obstacle};
use crate::rpm::sign::PackageKey;
use crate::rpm::source::{self, Ready, SourcePackage};
use crate::rpm::source_date;
use crate::rpm::spec::Spec;
use crate::rpm::target::Target;

/// Makes packages and prints a table of them.
pub fn run(context: &Context, args: &RpmArgs) -> Result<()> {
    programs::ensure(context, &[programs::ROOTS])?;
    let project = Project::open(args.project.as_deref().unwrap_or(&repository()))?;
    let spec = Spec::of(&project)?;
    let signing = signing(context, args)?;
    if context.dry_run {
        targets(args)?.iter().for_each(|target| {
            let kernel = target.as_ref().map_or("the default kernel", |target| target.release.as_str());
            context.report.say(&format!("would package {} {} for {kernel}", spec.name, spec.version));
        });
        return Ok(());
    }
    if !args.audit.is_empty() {
        return audit(context, args, &project);
    }
    let sources = sources(context, args, &project, &spec)?;
    if let Some(pair) = &signing.modules {
        // A kernel that verifies none would be given modules that end in garbage.
        let kernels = sources.iter().flat_map(|source| &source.kernels);
        kernels.into_iter().try_for_each(|ready| Signer::new(context, &ready.prepared, pair).map(drop))?;
    }
    if args.print_spec {
        return print(context, &project, &sources, &signing);
    }
    let order =
        Order { project: &project, sources: &sources, srpm: args.srpm, output: &args.output, signing };
    let made = order.run(context)?;
    if !made.packages.is_empty() {
        context.report.data(&made.packages);
        context.report.say(&summary(&made.packages));
    }
    made.first_error.map_or(Ok(()), Err)
}

/// The keys asked for. One that is missing, does not fit or cannot sign is found here, before anything is built.
fn signing(context: &Context, args: &RpmArgs) -> Result<Signing> {
    let packages = args.sign.as_deref().map(|name| PackageKey::open(context, name)).transpose()?;
    let modules = match (&args.modsign_key, &args.modsign_cert) {
        (Some(key), Some(certificate)) => Some(KeyPair::open(context, key, certificate)?),
        _ => None,
    };
    Ok(Signing { packages, modules })
}

/// The kernels asked for; `None` is the default one.
fn targets(args: &RpmArgs) -> Result<Vec<Option<Target>>> {
    let all: Vec<Target> = match &args.kvariants {
        None => args.kernels.iter().map(Target::of).collect(),
        Some(kvariants) => {
            let each = args.kernels.iter().map(|kernel| Target::all(kernel, kvariants));
            each.collect::<Result<Vec<_>, _>>()?.concat()
        }
    };
    Ok(if args.kernels.is_empty() { vec![None] } else { all.into_iter().map(Some).collect() })
}

/// Prepares the kernels and puts the source for each together.
fn sources(context: &Context, args: &RpmArgs, project: &Project, spec: &Spec) -> Result<Vec<SourcePackage>> {
    let provide = |target| Ready::provide(context, project, target);
    let ready = targets(args)?.into_iter().map(provide).collect::<Result<Vec<_>>>()?;
    source::packages(context, project, spec, &ready, source_date(&project.dir, &context.report)?)
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

/// Builds for the kernels asked for and prints what others would do with that.
fn audit(context: &Context, args: &RpmArgs, project: &Project) -> Result<()> {
    let mut findings = Vec::new();
    for target in targets(args)? {
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
    let reason = format!("{refusing} of {} kernels asked would not load it", findings.len());
    Err(Failure::refused(format!("audit of {}", project.name), reason)
        .remedy("make a package for each of those: cargo xtask rpm --kernel RELEASE")
        .into())
}

/// Symbols that are named below the table, for each kernel.
const NAMED: usize = 20;

fn audited(findings: &[Finding]) -> String {
    let mut rows = vec![["MODULE", "BUILT FOR", "KERNEL", "LOADS", "WHY NOT"].map(str::to_owned).to_vec()];
    let mut named = String::new();
    for finding in findings {
        let why = match &finding.obstacle {
            None => String::new(),
            Some(Obstacle::NoVersions) => "without CRCs a module is for one kernel".to_owned(),
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

fn summary(packages: &[Package]) -> String {
    let mut rows = vec![["KERNEL", "HOLDS", "SIZE", "SHA-256", "FILE"].map(str::to_owned).to_vec()];
    rows.extend(packages.iter().map(|package| {
        let holds = match package.kind {
            Kind::Source => "source",
            Kind::Modules => "modules",
            Kind::Debug => "debug information",
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
