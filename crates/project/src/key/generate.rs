// SPDX-License-Identifier: GPL-2.0
//! Makes a module-signing key and its certificate.

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use kernel::context::Context;
use kernel::machine::programs;
use report::failure::Failure;
use report::process::Cmd;

/// The names that Debian, Ubuntu and `mokutil(1)` use for a Machine Owner Key.
const PRIVATE: &str = "MOK.priv";
const PEM: &str = "MOK.pem";
const DER: &str = "MOK.der";

/// Bits of the RSA key. MokManager and the kernel also support 4096, but firmware and shim can be
/// slow with them.
const BITS: u32 = 2048;

/// What the certificate contains besides the name. With `codeSigning` alone the key could sign boot
/// loaders: shim refuses those if the key has the usage "module signing
/// only", 1.3.6.1.4.1.2312.16.1.2.
const PROFILE: &str = "\
[req]
distinguished_name = name
x509_extensions = module_signing
string_mask = utf8only
[name]
[module_signing]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = codeSigning, 1.3.6.1.4.1.2312.16.1.2
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
";

/// The maximum length of a certificate's name in bytes (RFC 5280, ub-common-name).
const NAME_LIMIT: usize = 64;

/// What is to be made.
#[derive(Clone, Debug)]
pub struct KeyRequest<'a> {
    /// The directory for the files; it is created unless it exists and is empty.
    pub dir: &'a Utf8Path,
    /// The name in the certificate.
    pub name: &'a str,
    /// The number of days that the certificate is valid.
    pub days: u32,
    /// Whether the key is encrypted with [`super::PIN`].
    pub encrypted: bool,
}

/// The files that were made.
#[derive(Clone, Debug)]
pub struct KeyFiles {
    /// The private key, PEM, only readable by its owner.
    pub private: Utf8PathBuf,
    /// The certificate, PEM.
    pub pem: Utf8PathBuf,
    /// The certificate, DER, for `mokutil --import`.
    pub der: Utf8PathBuf,
}

/// Makes key and certificate, both or neither: in a temporary directory, which is renamed to
/// `request.dir`.
///
/// # Errors
///
/// Refused, if the directory is not empty; usage, if a certificate cannot have this name.
pub fn generate(context: &Context, request: &KeyRequest<'_>) -> Result<KeyFiles> {
    programs::ensure(context, &[super::PROGRAMS])?;
    let subject = subject(request.name).map_err(|reason| {
        Failure::usage(format!("--name {:?}", request.name), reason)
            .remedy("--name \"Example module signing\"")
    })?;
    require_free(request.dir)?;
    let parent = match request.dir.parent() {
        Some(parent) if parent != "" => parent,
        _ => Utf8Path::new("."),
    };
    fs_err::create_dir_all(parent)?;
    let partial = tempfile::Builder::new().prefix(".module-signing-key.").tempdir_in(parent)?;
    let dir = Utf8Path::from_path(partial.path()).context("the directory's path is not UTF-8")?;
    let keys = dir.join("keys");
    std::fs::DirBuilder::new().mode(0o700).create(&keys)?;
    make(context, &keys, &subject, request)?;
    // rename(2) replaces an empty directory, and fails if it has been filled in the meantime.
    fs_err::rename(&keys, request.dir)?;
    fs_err::File::open(parent)?.sync_all()?;
    let place = |name: &str| request.dir.join(name);
    Ok(KeyFiles { private: place(PRIVATE), pem: place(PEM), der: place(DER) })
}

/// Refuses a directory that exists and is not empty.
pub fn require_free(dir: &Utf8Path) -> Result<()> {
    let reason = match dir.read_dir_utf8().map(|entries| entries.count()) {
        Ok(0) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Ok(_) => "is not empty, and a key is never overwritten".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Failure::refused(dir.as_str(), reason)
        .remedy("give a directory that does not exist yet: --output DIR")
        .into())
}

/// Makes the three files in `dir` and writes them to disk.
fn make(context: &Context, dir: &Utf8Path, subject: &str, request: &KeyRequest<'_>) -> Result<()> {
    let profile = dir.join("profile.cnf");
    fs_err::write(&profile, PROFILE)?;
    let protection: &[&str] =
        if request.encrypted { &["-passout", "env:KBUILD_SIGN_PIN"] } else { &["-noenc"] };
    let (private, pem, der) = (dir.join(PRIVATE), dir.join(PEM), dir.join(DER));
    let req = Cmd::new("openssl").args(["req", "-new", "-x509", "-utf8", "-batch", "-sha256", "-config"]);
    let req = req.arg(&profile).args(["-newkey", &format!("rsa:{BITS}"), "-subj", subject]);
    let req = req.args(["-days", &request.days.to_string()]).args(protection);
    req.arg("-keyout").arg(&private).arg("-out").arg(&pem).run(&context.report)?;
    let convert = Cmd::new("openssl").args(["x509", "-outform", "DER", "-in"]).arg(&pem);
    convert.arg("-out").arg(&der).run(&context.report)?;
    fs_err::remove_file(profile)?;
    for (file, mode) in [(&private, 0o600), (&pem, 0o644), (&der, 0o644)] {
        let file = fs_err::File::open(file)?;
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
    }
    Ok(())
}

/// `name` as an argument of OpenSSL's `-subj`.
fn subject(name: &str) -> Result<String, String> {
    if name.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    if name.len() > NAME_LIMIT {
        return Err(format!(
            "has {} bytes, and a certificate's name can have at most {NAME_LIMIT}",
            name.len()
        ));
    }
    if name.chars().any(char::is_control) {
        return Err("contains control characters".to_owned());
    }
    let escape = |c: char| if "\\/+=".contains(c) { format!("\\{c}") } else { c.to_string() };
    Ok(format!("/CN={}", name.chars().map(escape).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_or_refused() {
        assert_eq!(subject("Fleet module signing").unwrap(), "/CN=Fleet module signing");
        assert_eq!(subject("a/O=b+c\\").unwrap(), "/CN=a\\/O\\=b\\+c\\\\");
        for name in ["", "  ", "a\nb", "a\0b", &"x".repeat(65)] {
            assert!(subject(name).is_err(), "{name:?}");
        }
    }
}
