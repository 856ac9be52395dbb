// SPDX-License-Identifier: GPL-2.0
//! Signs packages with a GPG key of the user's, using rpmsign(8) on this machine: such a key never
//! gets into a build root. Every signature is verified before the package is delivered.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use kernel::machine::programs::{Program, program};

use crate::rpm::macros::escaped;
use kernel::context::Context;
use kernel::machine::programs;
use report::failure::Failure;
use report::process::Cmd;

/// Programs that signing packages needs on this machine.
pub const PROGRAMS: &[Program] = &[
    program("gpg", "gpg", "signs packages").in_rpms("gnupg2", "gpg2"),
    program("gpg-agent", "gpg-agent", "holds the keys of gpg"),
    program("rpmkeys", "rpm", "verifies signatures of packages").in_rpms("rpm", "rpm"),
    program("rpmsign", "rpm", "signs packages").in_rpms("rpm-sign", "rpm-build"),
];

/// A key that has proven to be able to sign on this machine.
#[derive(Clone, Debug)]
pub struct PackageKey {
    name: String,
    gpg: Utf8PathBuf,
    public: Vec<u8>,
}

impl PackageKey {
    /// Opens the secret key that gpg knows as `name`. It signs a few bytes, so that a missing,
    /// expired or locked key is found now and not after everything was built.
    ///
    /// # Errors
    ///
    /// Refused, if it cannot sign.
    pub fn open(context: &Context, name: &str) -> Result<Self> {
        programs::ensure(context, &[PROGRAMS])?;
        let gpg = programs::find("gpg").ok_or_else(|| Failure::no_program("gpg"))?;
        let refused = |reason: String| {
            Failure::refused(format!("--sign {name}"), reason)
                .remedy("list the keys: gpg --list-secret-keys; GNUPGHOME is the directory with gpg's keys")
        };
        if name.trim().is_empty() {
            return Err(refused("does not name a key".to_owned()).into());
        }
        let trial = Cmd::new(&gpg).args(["--local-user", name, "--output", "-", "--detach-sign"]);
        let signed = trial.input("a trial").finish(&context.report)?;
        if !signed.status.success() || signed.stdout.is_empty() {
            return Err(refused(format!("gpg cannot sign with it:\n{}", signed.tail.trim_end())).into());
        }
        // A trailing `!` selects a subkey.
        let export = Cmd::new(&gpg).args(["--armor", "--export", name.trim_end_matches('!')]);
        let public = export.run(&context.report)?.stdout;
        Ok(Self { name: name.to_owned(), gpg, public })
    }

    /// Signs `files` in place, and verifies each signature with this key's public part only.
    pub fn sign(&self, context: &Context, files: &[Utf8PathBuf]) -> Result<()> {
        // rpm does not find gpg if it was built for another name of it.
        let cmd = Cmd::new("rpmsign").args(["--define", &format!("__gpg {}", escaped(self.gpg.as_str()))]);
        let cmd = cmd.args(["--define", &format!("_gpg_name {}", escaped(&self.name)), "--addsign"]);
        cmd.args(files).run(&context.report)?;
        let dir = tempfile::tempdir().context("making a temporary directory")?;
        let dir = Utf8Path::from_path(dir.path()).context("its path is not UTF-8")?;
        let public = dir.join("public.asc");
        fs_err::write(&public, &self.public)?;
        let rpmkeys = || Cmd::new("rpmkeys").arg("--dbpath").arg(dir.join("db"));
        rpmkeys().arg("--import").arg(&public).run(&context.report)?;
        let check = rpmkeys().args(["--define", "_pkgverify_level all", "--checksig"]).args(files);
        let checked = check.finish(&context.report)?;
        if checked.status.success() {
            return Ok(());
        }
        let reason = format!("the signature of a package is not valid:\n{}", checked.tail.trim_end());
        Err(Failure::refused(format!("--sign {}", self.name), reason).into())
    }
}
