// SPDX-License-Identifier: GPL-2.0
//! Signs packages with a GPG key of the user's, by rpmsign(8) on this machine: no key of packages goes into a build root.
//! A signature is checked before a package leaves.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use kernel::machine::programs::{Program, program};

use crate::rpm::macros::escaped;
use kernel::context::Context;
use kernel::machine::programs;
use report::failure::Failure;
use report::process::Cmd;

/// What signing packages needs of this machine.
pub const PROGRAMS: &[Program] = &[
    program("gpg", "gpg", "signs packages"),
    program("gpg-agent", "gpg-agent", "holds the keys of gpg"),
    program("rpmkeys", "rpm", "checks signatures of packages"),
    program("rpmsign", "rpm", "signs packages"),
];

/// A key that has signed something on this machine.
#[derive(Clone, Debug)]
pub struct PackageKey {
    name: String,
    gpg: Utf8PathBuf,
    public: Vec<u8>,
}

impl PackageKey {
    /// The secret key that gpg knows by `name`. It signs a few bytes, so that what is missing, expired or locked is found
    /// now, and not when everything is built.
    ///
    /// # Errors
    ///
    /// Refused if it cannot sign.
    pub fn open(context: &Context, name: &str) -> Result<Self> {
        programs::ensure(context, &[PROGRAMS])?;
        let gpg = programs::find("gpg").ok_or_else(|| Failure::no_program("gpg"))?;
        let refused = |reason: String| {
            Failure::refused(format!("--sign {name}"), reason).remedy(
                "gpg --list-secret-keys shows the keys there are; GNUPGHOME says where gpg keeps them",
            )
        };
        if name.trim().is_empty() {
            return Err(refused("names no key".to_owned()).into());
        }
        let trial = Cmd::new(&gpg).args(["--local-user", name, "--output", "-", "--detach-sign"]);
        let signed = trial.input("a trial").finish(&context.report)?;
        if !signed.status.success() || signed.stdout.is_empty() {
            return Err(refused(format!("gpg cannot sign with it:\n{}", signed.tail.trim_end())).into());
        }
        // A name that ends in `!` is that of a subkey.
        let export = Cmd::new(&gpg).args(["--armor", "--export", name.trim_end_matches('!')]);
        let public = export.run(&context.report)?.stdout;
        Ok(Self { name: name.to_owned(), gpg, public })
    }

    /// Signs `files` in place, and checks each signature with the key's public part and no other.
    pub fn sign(&self, context: &Context, files: &[Utf8PathBuf]) -> Result<()> {
        // Where rpm was packaged for another name of gpg, it finds none.
        let cmd = Cmd::new("rpmsign").args(["--define", &format!("__gpg {}", escaped(self.gpg.as_str()))]);
        let cmd = cmd.args(["--define", &format!("_gpg_name {}", escaped(&self.name)), "--addsign"]);
        cmd.args(files).run(&context.report)?;
        let dir = tempfile::tempdir().context("making a temporary directory")?;
        let dir = Utf8Path::from_path(dir.path()).context("its path is no UTF-8")?;
        let public = dir.join("public.asc");
        fs_err::write(&public, &self.public)?;
        let rpmkeys = || Cmd::new("rpmkeys").arg("--dbpath").arg(dir.join("db"));
        rpmkeys().arg("--import").arg(&public).run(&context.report)?;
        let check = rpmkeys().args(["--define", "_pkgverify_level all", "--checksig"]).args(files);
        let checked = check.finish(&context.report)?;
        if checked.status.success() {
            return Ok(());
        }
        let reason = format!("the signature of a package is not good:\n{}", checked.tail.trim_end());
        Err(Failure::refused(format!("--sign {}", self.name), reason).into())
    }
}
