// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod sign`: signs built modules in place.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use clap::Args;
use kernel::asked::AskedKernel;
use kernel::context::Context;
use kernel::failures::OrFail as _;
use kernel::prepare::{self, Rust};
use kmodfile::file::ModuleFile;
use kmodfile::module::Module;
use kmodfile::release::Release;
use kmodfile::signature::Trailer;
use project::key::pair::KeyPair;
use project::key::pair::PrivateKey;
use project::sign::{self, ModuleSigner, Signed, Unsigned};
use report::failure::Failure;
use report::{ProgressUnit, table};

/// `cargo kmod sign`.
#[derive(Clone, Debug, Args)]
pub struct SignArgs {
    /// Built modules, neither compressed nor signed
    #[arg(required = true, value_name = "FILE.ko")]
    pub files: Vec<Utf8PathBuf>,
    /// The private key: a PEM file, or a pkcs11: URI
    #[arg(long, value_name = "FILE|URI")]
    pub key: PrivateKey,
    /// Its certificate, PEM or DER
    #[arg(long, value_name = "FILE")]
    pub cert: Utf8PathBuf,
    /// The kernel, as printed by `uname -r`, or `running`, or `installed` [default: the one that
    /// the modules were built for]
    #[arg(long, value_name = "RELEASE")]
    pub kernel: Option<AskedKernel>,
}

/// A module that was signed.
#[derive(Serialize)]
struct SignedFile {
    file: Utf8PathBuf,
    release: Release,
    hash: String,
    signer: String,
}

/// Checks every file before the first is signed. Each is replaced after its signature was verified.
/// One that has just this signature, as a run that was killed leaves it, is passed over.
pub fn run(context: &Context, args: &SignArgs) -> Result<()> {
    let found = args.files.iter().map(|file| Found::read(file)).collect::<Result<Vec<_>>>()?;
    let pair = KeyPair::open(context, &args.key, &args.cert)?;
    let mut modules = Vec::new();
    for found in found {
        modules.extend(found.unless_signed(context, &pair)?);
    }
    if modules.is_empty() {
        context.report.data(&Vec::<SignedFile>::new());
        return Ok(());
    }
    let release = release(context, args, &modules)?;
    if context.dry_run {
        for module in &modules {
            context.report.say(&format!(
                "would sign {} as {}",
                module.file(),
                pair.certificate.facts.subject
            ));
        }
        return Ok(());
    }
    let prepared = prepare::provide_for(context, Some(&release), context.root_fs, Rust::Optional)?;
    let signer = ModuleSigner::new(context, &prepared, &pair)?;
    let signed = all_signed(context, &modules, &signer)?;
    let mut outcomes = Vec::new();
    for (module, signed) in modules.iter().zip(signed) {
        signed.write(module.file())?;
        outcomes.push(SignedFile {
            file: module.file().to_owned(),
            release: release.clone(),
            hash: signer.hash().to_owned(),
            signer: pair.certificate.facts.subject.clone(),
        });
    }
    context.report.data(&outcomes);
    context.report.say(&summary(&outcomes));
    Ok(())
}

/// What a file that is to be signed was found to be.
enum Found {
    Unsigned(Unsigned),
    /// It has a signature; whose, only who has the key can tell. `refusal` is for any other key.
    Signed {
        file: ModuleFile,
        refusal: anyhow::Error,
    },
}

impl Found {
    fn read(file: &Utf8Path) -> Result<Self> {
        let refusal = match Unsigned::read(file) {
            Ok(unsigned) => return Ok(Self::Unsigned(unsigned)),
            Err(refusal) => refusal,
        };
        match ModuleFile::read(file) {
            Ok(file) if is_signed(&file) => Ok(Self::Signed { file, refusal }),
            _ => Err(refusal),
        }
    }

    /// The module, if it must be signed; `None` if it has just this key's signature.
    fn unless_signed(self, context: &Context, pair: &KeyPair) -> Result<Option<Unsigned>> {
        let (file, refusal) = match self {
            Self::Unsigned(unsigned) => return Ok(Some(unsigned)),
            Self::Signed { file, refusal } => (file, refusal),
        };
        if sign::verify(context, &pair.certificate, &file.path, &file.image).is_err() {
            return Err(refusal);
        }
        let signer = &pair.certificate.facts.subject;
        context.report.note("Fresh", &format!("{} is signed by {signer}", file.path));
        Ok(None)
    }
}

fn is_signed(file: &ModuleFile) -> bool {
    let signed = |module: Module| matches!(module.signature, Trailer::Signed(_));
    file.compression().is_none() && file.module().is_ok_and(signed)
}

/// So few are signed at once.
const FEW: usize = 10;

/// Each is signed by a program of the kernel's, which takes a moment.
fn all_signed(context: &Context, modules: &[Unsigned], signer: &ModuleSigner<'_>) -> Result<Vec<Signed>> {
    let step = (modules.len() > FEW).then(|| {
        let step = context.report.step("Signing", &format!("{} modules", modules.len()));
        step.count(ProgressUnit::Things("module", "modules"), modules.len() as u64);
        step
    });
    let sign = |(done, module)| {
        step.iter().for_each(|step| step.reach(done as u64));
        signer.sign(module)
    };
    modules.iter().enumerate().map(sign).collect()
}

/// The kernel that all modules are for.
fn release(context: &Context, args: &SignArgs, modules: &[Unsigned]) -> Result<Release> {
    let release = match &args.kernel {
        Some(asked) => asked.resolve(context, Rust::Optional)?,
        None => of_vermagic(&modules[0])?,
    };
    for module in modules {
        module.modinfo().require_vermagic(module.file(), &release).or_fail()?;
    }
    Ok(release)
}

fn of_vermagic(module: &Unsigned) -> Result<Release> {
    let vermagic = module.modinfo().get("vermagic").unwrap_or_default();
    vermagic.split(' ').next().unwrap_or_default().parse().map_err(|_| {
        Failure::refused(
            module.file().as_str(),
            format!("its vermagic does not begin with a kernel release: {vermagic:?}"),
        )
        .remedy("give FILE.ko, a module built for a kernel of `cargo kmod kernel list`")
        .into()
    })
}

fn summary(outcomes: &[SignedFile]) -> String {
    let head = ["KERNEL", "HASH", "SIGNER", "FILE"].map(str::to_owned).to_vec();
    let row = |outcome: &SignedFile| {
        let SignedFile { file, release, hash, signer } = outcome;
        vec![release.to_string(), hash.clone(), signer.clone(), file.to_string()]
    };
    table(&std::iter::once(head).chain(outcomes.iter().map(row)).collect::<Vec<_>>())
}
