// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod key`.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use clap::Args;
use clap::Subcommand;
use kernel::context::Context;
use project::key;
use project::key::certificate::{Certificate, CertificateFacts};
use project::key::generate::{self, KeyRequest, generate};
use report::failure::Failure;
use report::table;

/// `cargo kmod key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a module-signing key and its certificate
    ///
    /// Creates three files: MOK.priv, the private key; MOK.pem, its certificate; MOK.der, the same
    /// for `mokutil --import`. The certificate is only for signing kernel modules: shim does not
    /// boot anything signed with it. If KBUILD_SIGN_PIN is set, the private key is encrypted with
    /// that passphrase.
    New(KeyNewArgs),
}

/// `cargo kmod key new`.
#[derive(Clone, Debug, Args)]
pub struct KeyNewArgs {
    /// Directory for the files; it must be empty or not exist [default:
    /// ~/.local/share/cargo-kmod/module-signing-key]
    #[arg(long, value_name = "DIR")]
    pub output: Option<Utf8PathBuf>,
    /// Name in the certificate; MokManager shows it when the key is enrolled
    #[arg(long, value_name = "CN", default_value = "cargo-kmod module signing")]
    pub name: String,
    /// Number of days that the certificate is valid
    #[arg(long, value_name = "DAYS", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub days: u32,
}

/// What was made.
#[derive(Serialize)]
struct Made {
    private_key: Utf8PathBuf,
    encrypted: bool,
    certificate: Utf8PathBuf,
    certificate_der: Utf8PathBuf,
    #[serde(flatten)]
    facts: CertificateFacts,
}

/// Dispatches.
pub fn run(context: &Context, command: &KeyCommand) -> Result<()> {
    match command {
        KeyCommand::New(args) => new(context, args),
    }
}

fn new(context: &Context, args: &KeyNewArgs) -> Result<()> {
    let dir = args.output.clone().map_or_else(default_dir, Ok)?;
    if context.dry_run {
        generate::require_free(&dir)?;
        context.report.say(&format!("would make a module-signing key {:?} in {dir}", args.name));
        return Ok(());
    }
    let step = context.report.step("Making", &format!("a module-signing key in {dir}"));
    let encrypted = key::pin().is_some();
    let files = generate(context, &KeyRequest { dir: &dir, name: &args.name, days: args.days, encrypted })?;
    step.done("Made", &format!("a module-signing key in {dir}"));
    let facts = Certificate::read(&files.pem)?.facts;
    let made = Made {
        private_key: full(&files.private)?,
        encrypted,
        certificate: full(&files.pem)?,
        certificate_der: full(&files.der)?,
        facts,
    };
    context.report.data(&made);
    context.report.say(&shown(&made));
    Ok(())
}

/// The default directory for a key: with the user's data, not in a cache, which may be emptied, nor
/// in a repository, which may be published (XDG Base Directory Specification).
fn default_dir() -> Result<Utf8PathBuf> {
    let absolute =
        |name: &str| std::env::var(name).ok().map(Utf8PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    let data = data
        .ok_or_else(|| Failure::usage("--output", "is required if HOME is not set").remedy("--output DIR"))?;
    Ok(data.join("cargo-kmod/module-signing-key"))
}

fn full(file: &Utf8Path) -> Result<Utf8PathBuf> {
    Ok(file.canonicalize_utf8()?)
}

fn shown(made: &Made) -> String {
    let Made { private_key, encrypted, certificate, certificate_der, facts } = made;
    let protection = if *encrypted {
        "encrypted with KBUILD_SIGN_PIN"
    } else {
        "not encrypted (set KBUILD_SIGN_PIN before `key new`)"
    };
    let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    let rows = [
        row(["private key", private_key.as_str(), protection]),
        row(["certificate", certificate.as_str(), &facts.subject]),
        row(["", certificate_der.as_str(), &format!("valid until {}", facts.not_after)]),
    ];
    format!(
        "{}\nSHA-256      {}\n\nSign modules:\n  cargo kmod sign FILE.ko --key {private_key} --cert {certificate}\n\
         Enrol the certificate, once on each machine with Secure Boot, then reboot and confirm it in MokManager:\n  \
         sudo mokutil --import {certificate_der}\n\
         Before that, try it out in a virtual machine:\n  \
         cargo kmod insmod --secure-boot --sign-key {private_key} --sign-cert {certificate}",
        table(&rows),
        facts.fingerprint
    )
}
