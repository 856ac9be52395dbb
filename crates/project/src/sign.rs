// SPDX-License-Identifier: GPL-2.0
//! Signs a module with the kernel's own `sign-file`, and verifies the signature before the module
//! is written.
//!
//! A signature covers every byte before it. So the order is: build with BTF, strip, sign, compress.
//! [`Unsigned`] is a module that may be signed, [`Signed`] one whose signature was verified with
//! the certificate, and only a [`Signed`] is written.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::key::PIN;
use crate::key::certificate::Certificate;
use crate::key::pair::{KeyPair, PrivateKey, with_pin_file};
use kernel::context::Context;
use kernel::failures::OrFail as _;
use kernel::prepare::Prepared;
use kernel::root::Access;
use kmodfile::file::ModuleFile;
use kmodfile::modinfo::Modinfo;
use kmodfile::module::Module;
use kmodfile::signature::{self, Signature, Trailer};
use report::durable;
use report::failure::Failure;
use report::process::Cmd;

/// A module that may be signed: an ELF file with `.modinfo`, not compressed, without a signature.
#[derive(Clone, Debug)]
pub struct Unsigned {
    file: Utf8PathBuf,
    image: Vec<u8>,
    modinfo: Modinfo,
}

impl Unsigned {
    /// Reads the module in `file`.
    ///
    /// # Errors
    ///
    /// Refused, if it is compressed, signed already, or not a module.
    pub fn read(file: &Utf8Path) -> Result<Self> {
        let file = file.canonicalize_utf8().map_err(|error| {
            Failure::usage(file.as_str(), error.to_string()).remedy("give FILE.ko, a built module")
        })?;
        let read = ModuleFile::read(&file).or_fail()?;
        let refused = |reason: String, remedy: String| Failure::refused(file.as_str(), reason).remedy(remedy);
        if let Some(kind) = read.compression() {
            let reason = "is compressed, but the signature must be made before compression";
            return Err(refused(
                reason.to_owned(),
                format!("{} -d {file}, sign it, then compress", kind.program()),
            )
            .into());
        }
        let Module { modinfo, signature, .. } = Module::parse(&read.image).map_err(|error| {
            refused(error.to_string(), "give FILE.ko, a module as it was built".to_owned())
        })?;
        let reason = match signature {
            Trailer::Unsigned => return Ok(Self { file, image: read.image, modinfo }),
            Trailer::Signed(signature) => format!("is signed already, by {}", names(&signature)),
            Trailer::Malformed(why) => format!("has an invalid signature: {why}"),
        };
        let remedy =
            "sign the module as it was built; `strip --strip-debug` removes the signature from a copy";
        Err(refused(reason, remedy.to_owned()).into())
    }

    /// Its file.
    pub fn file(&self) -> &Utf8Path {
        &self.file
    }

    /// Its modinfo.
    pub fn modinfo(&self) -> &Modinfo {
        &self.modinfo
    }
}

/// A module whose signature was verified.
#[derive(Clone, Debug)]
pub struct Signed {
    image: Vec<u8>,
}

impl Signed {
    /// The file's bytes.
    pub fn image(&self) -> &[u8] {
        &self.image
    }

    /// Writes it to `file`, completely or not at all; an existing file keeps its mode and owner.
    pub fn write(&self, file: &Utf8Path) -> Result<()> {
        durable::replace(file, &self.image)
    }
}

/// Signs for one kernel with one key.
#[derive(Clone, Debug)]
pub struct ModuleSigner<'a> {
    context: &'a Context,
    prepared: &'a Prepared,
    pair: &'a KeyPair,
    hash: String,
}

impl<'a> ModuleSigner<'a> {
    /// A signer with the hash algorithm of the kernel's configuration.
    ///
    /// # Errors
    ///
    /// Refused, if the kernel was built without module signatures: it would not recognise the
    /// signature.
    pub fn new(context: &'a Context, prepared: &'a Prepared, pair: &'a KeyPair) -> Result<Self> {
        let config = prepared.kdir.config()?;
        let hash = config.get("CONFIG_MODULE_SIG_HASH").filter(|_| config.is_yes("CONFIG_MODULE_SIG"));
        let hash = hash.ok_or_else(|| {
            Failure::refused(
                prepared.kdir.release().as_str(),
                "was built without CONFIG_MODULE_SIG, so it does not verify modules",
            )
            .remedy("leave out the key, or choose another kernel: cargo kmod kernel list")
        })?;
        Ok(Self { context, prepared, pair, hash: hash.to_owned() })
    }

    /// The hash algorithm, such as `sha256`.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Signs `module` and verifies the result. The file is not changed.
    pub fn sign(&self, module: &Unsigned) -> Result<Signed> {
        let dir = tempfile::Builder::new().prefix("sign-").tempdir()?;
        let dir = Utf8Path::from_path(dir.path()).context("the temporary directory's path is not UTF-8")?;
        let (plain, out) = (dir.join("module.ko"), dir.join("signed.ko"));
        fs_err::write(&plain, &module.image)?;
        fs_err::write(dir.join("certificate.pem"), self.pair.certificate.pem())?;
        let cmd = self.sign_file(dir, &plain, &out)?;
        let output = cmd.finish(&self.context.report)?;
        if !output.status.success() {
            return Err(self.not_signed(module, cmd.failure(&output)));
        }
        let image = fs_err::read(&out)
            .with_context(|| format!("sign-file reported success but did not write {out}"))?;
        // The signed module is the one that was given, unchanged.
        anyhow::ensure!(image.starts_with(&module.image), "{}: sign-file changed the module", module.file);
        verify(self.context, &self.pair.certificate, &module.file, &image)?;
        Ok(Signed { image })
    }

    /// `sign-file HASH KEY CERTIFICATE MODULE DEST`. Only this command can read the key file. With
    /// a token it runs on the host, as the token's driver, its socket and OpenSSL's provider are
    /// not in a build root.
    fn sign_file(&self, dir: &Utf8Path, plain: &Utf8Path, out: &Utf8Path) -> Result<Cmd> {
        let tool = self.prepared.kdir.build().join("scripts/sign-file");
        let certificate = dir.join("certificate.pem");
        let command = |key: &str| {
            let cmd = Cmd::new(&tool).args([self.hash.as_str(), key]).arg(&certificate).arg(plain).arg(out);
            crate::key::pin().iter().fold(cmd, |cmd, pin| cmd.secret_env(PIN, pin))
        };
        let file = match &self.pair.key {
            PrivateKey::Pkcs11(uri) => return Ok(command(&with_pin(uri, dir)?)),
            PrivateKey::File(file) => file,
        };
        let place = if self.prepared.root.is_host() { file.as_str() } else { "/run/signing-key" };
        let access = self.prepared.kdir.read_by(Access::default()).read_at(file, place).write(dir);
        Ok(self.prepared.root.inside(self.context, command(place), &access))
    }

    fn not_signed(&self, module: &Unsigned, why: anyhow::Error) -> anyhow::Error {
        let failure =
            Failure::refused(module.file.as_str(), format!("could not be signed and was not changed: {why}"));
        match &self.pair.key {
            PrivateKey::File(_) => failure.into(),
            PrivateKey::Pkcs11(_) => failure
                .remedy(
                    "a pkcs11: key needs OpenSSL's PKCS#11 provider, configured with the token's driver \
                     (PKCS11_PROVIDER_MODULE), and the PIN in KBUILD_SIGN_PIN (package pkcs11-provider)",
                )
                .into(),
        }
    }
}

/// `uri` with the PIN, if one was given: OpenSSL's provider reads it from a file, not from the
/// environment.
fn with_pin(uri: &str, dir: &Utf8Path) -> Result<String> {
    use std::io::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let Some(pin) = crate::key::pin() else { return Ok(uri.to_owned()) };
    let file = dir.join("pin");
    let mut options = std::fs::File::options();
    options.write(true).create_new(true).mode(0o600).open(&file)?.write_all(pin.as_bytes())?;
    Ok(with_pin_file(uri, &file))
}

/// Refuses a module unless the key of `certificate` has signed these bytes. `file` is for the
/// message.
pub fn verify(context: &Context, certificate: &Certificate, file: &Utf8Path, image: &[u8]) -> Result<()> {
    let refused = |reason: String| {
        Failure::refused(file.as_str(), reason)
            .remedy("sign the module as it was built with the key of this certificate")
    };
    let (content, trailer) = signature::split(image);
    match trailer {
        Trailer::Signed(_) => {}
        Trailer::Unsigned => return Err(refused("is not signed".to_owned()).into()),
        Trailer::Malformed(why) => return Err(refused(format!("its signature is invalid: {why}")).into()),
    }
    let message = &image[content.len()..image.len() - signature::BEHIND_MESSAGE];
    let dir = tempfile::Builder::new().prefix("verify-").tempdir()?;
    let dir = Utf8Path::from_path(dir.path()).context("the temporary directory's path is not UTF-8")?;
    let parts =
        [("content", content), ("signature", message), ("certificate.pem", certificate.pem().as_bytes())];
    for (name, bytes) in parts {
        fs_err::write(dir.join(name), bytes)?;
    }
    // Whether the certificate is trusted is up to the machine and its kernel; here it is the only
    // one.
    let words =
        ["cms", "-verify", "-binary", "-inform", "DER", "-nointern", "-noverify", "-out", "/dev/null"];
    let cms = Cmd::new("openssl").args(words).arg("-in").arg(dir.join("signature"));
    let cms = cms.arg("-content").arg(dir.join("content")).arg("-certfile").arg(dir.join("certificate.pem"));
    let output = cms.finish(&context.report)?;
    if output.status.success() {
        return Ok(());
    }
    let whose = format!("{} ({})", certificate.file, certificate.facts.subject);
    Err(refused(format!("its signature was not made over this module with the key of {whose}")).into())
}

/// The signers, for a message.
fn names(signature: &Signature) -> String {
    let name = |signer: &signature::Signer| match &signer.name {
        Some(name) => format!("{name} (key {})", signer.key),
        None => format!("key {}", signer.key),
    };
    signature.signers.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kmodfile::compression::Compression;

    #[test]
    fn only_a_plain_module_can_be_signed() {
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join("x.ko");
        let xz = Compression::Xz.compress(b"\x7fELF").unwrap();
        let table: &[(&[u8], &str)] = &[
            (&xz, "is compressed"),
            (b"#!/bin/sh\n", "is not a kernel module"),
            (b"", "is not a kernel module"),
        ];
        for (image, reason) in table {
            fs_err::write(&file, image).unwrap();
            let error = Unsigned::read(&file).unwrap_err();
            assert_eq!(report::failure::exit_of(&error), report::failure::Exit::Refused);
            assert!(error.to_string().contains(reason), "{error}");
            assert!(report::failure::remedy_of(&error).is_some());
        }
    }
}
