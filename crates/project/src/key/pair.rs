// SPDX-License-Identifier: GPL-2.0
//! A private key and its certificate, checked to belong together before anything is signed.

use std::os::unix::fs::PermissionsExt as _;

use std::fmt;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::key::certificate::Certificate;
use kernel::context::Context;
use kernel::machine::programs;
use report::failure::Failure;
use report::process::Cmd;

/// Where a private key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrivateKey {
    /// A PEM file.
    File(Utf8PathBuf),
    /// A token or a key service, identified by its PKCS#11 URI (RFC 7512).
    Pkcs11(String),
}

impl std::str::FromStr for PrivateKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("is neither a file nor a pkcs11: URI".to_owned()),
            uri if uri.starts_with("pkcs11:") && uri.contains("pin-value=") => {
                Err("contains the PIN (pin-value), which every user of this machine could see: set KBUILD_SIGN_PIN instead"
                    .to_owned())
            }
            uri if uri.starts_with("pkcs11:") => Ok(Self::Pkcs11(uri.to_owned())),
            file => Ok(Self::File(file.into())),
        }
    }
}

impl fmt::Display for PrivateKey {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.write_str(file.as_str()),
            Self::Pkcs11(uri) => f.write_str(uri),
        }
    }
}

/// `uri` with the file from which its PIN is read (RFC 7512, `pin-source`), unless it names one
/// already.
pub fn with_pin_file(uri: &str, file: &Utf8Path) -> String {
    if uri.contains("pin-source=") {
        return uri.to_owned();
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let encode = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let path = file.as_str().bytes().map(encode).collect::<String>();
    format!("{uri}{}pin-source=file:{path}", if uri.contains('?') { '&' } else { '?' })
}

/// A key and its certificate.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The private key.
    pub key: PrivateKey,
    /// The certificate of its public key.
    pub certificate: Certificate,
}

impl KeyPair {
    /// Reads both.
    ///
    /// # Errors
    ///
    /// Refused, if a file is not what it should be, the certificate is not valid today, or the key
    /// does not belong to it. The latter is found out when a signature is verified if the key is
    /// not in a file.
    pub fn open(context: &Context, key: &PrivateKey, certificate: &Utf8Path) -> Result<Self> {
        programs::ensure(context, &[super::PROGRAMS])?;
        let certificate = Certificate::read(certificate)?;
        let key = match key {
            PrivateKey::File(file) => PrivateKey::File(checked(context, file, &certificate)?),
            PrivateKey::Pkcs11(uri) => PrivateKey::Pkcs11(uri.clone()),
        };
        Ok(Self { key, certificate })
    }
}

/// The full path of the key file, after checking that it belongs to the certificate.
fn checked(context: &Context, file: &Utf8Path, certificate: &Certificate) -> Result<Utf8PathBuf> {
    let refused = |reason: String| {
        Failure::refused(file.as_str(), reason)
            .remedy("give the private key that belongs to the certificate, in PEM: --key FILE")
    };
    let path = file.canonicalize_utf8().map_err(|error| refused(error.to_string()))?;
    let text = fs_err::read(&path).map_err(|error| refused(error.to_string()))?;
    let encrypted = is_encrypted(&text);
    if encrypted && super::pin().is_none() {
        return Err(Failure::refused(
            file.as_str(),
            "is encrypted, and KBUILD_SIGN_PIN, its passphrase, is not set",
        )
        .remedy("run: read -rs KBUILD_SIGN_PIN && export KBUILD_SIGN_PIN; then the same command")
        .into());
    }
    let passphrase = if encrypted { "env:KBUILD_SIGN_PIN" } else { "pass:" };
    let pkey = Cmd::new("openssl").args(["pkey", "-pubout", "-passin", passphrase, "-in"]).arg(&path);
    let output = pkey.finish(&context.report)?;
    if !output.status.success() {
        let reason = if encrypted {
            "cannot be decrypted with KBUILD_SIGN_PIN"
        } else {
            "is not a private key in PEM"
        };
        return Err(refused(reason.to_owned()).into());
    }
    if output.text().trim() != certificate.public_key() {
        return Err(refused(format!(
            "does not belong to the certificate {} ({})",
            certificate.file, certificate.facts.subject
        ))
        .into());
    }
    if path.metadata()?.permissions().mode() & 0o077 != 0 {
        context.report.warn(&format!("{path}: other users can read this private key; run chmod 600"));
    }
    Ok(path)
}

/// Whether a PEM file contains an encrypted key (RFC 7468 section 11, RFC 1421 section 4.6.1.1).
fn is_encrypted(pem: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pem);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_files_or_uris() {
        let file = |path: &str| Ok(PrivateKey::File(path.into()));
        let table = [
            ("MOK.priv", file("MOK.priv")),
            ("/a/pkcs11:x", file("/a/pkcs11:x")),
            ("pkcs11:token=a;object=b", Ok(PrivateKey::Pkcs11("pkcs11:token=a;object=b".to_owned()))),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<PrivateKey>(), expected);
        }
        assert!("".parse::<PrivateKey>().is_err());
        assert!(
            "pkcs11:token=a?pin-value=1234".parse::<PrivateKey>().unwrap_err().contains("KBUILD_SIGN_PIN")
        );
    }

    #[test]
    fn a_pin_is_named_by_its_file() {
        let file = Utf8Path::new("/tmp/a b/pin");
        let table = [
            ("pkcs11:token=a", "pkcs11:token=a?pin-source=file:/tmp/a%20b/pin"),
            ("pkcs11:token=a?module-name=x", "pkcs11:token=a?module-name=x&pin-source=file:/tmp/a%20b/pin"),
            ("pkcs11:token=a?pin-source=file:/p", "pkcs11:token=a?pin-source=file:/p"),
        ];
        for (uri, expected) in table {
            assert_eq!(with_pin_file(uri, file), expected);
        }
    }

    #[test]
    fn encrypted_keys_are_recognised() {
        assert!(is_encrypted(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII"));
        assert!(is_encrypted(b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"));
        assert!(!is_encrypted(b"-----BEGIN PRIVATE KEY-----\nMII"));
        assert!(!is_encrypted(&[0xff, 0xfe]));
    }
}
