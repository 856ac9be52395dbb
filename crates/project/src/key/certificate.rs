// SPDX-License-Identifier: GPL-2.0
//! An X.509 certificate of a module-signing key, as OpenSSL reads it.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use kernel::context::Context;
use report::failure::Failure;
use report::process::Cmd;

/// A certificate that is valid today.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// Its file, PEM or DER.
    pub file: Utf8PathBuf,
    /// What it says.
    pub facts: Facts,
    pem: String,
    public_key: String,
}

/// What a certificate says, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Whose it is (RFC 4514), such as `CN=fleet module signing`.
    pub subject: String,
    /// Its serial number in hexadecimal digits; a module's signature names the certificate by it and the issuer.
    pub serial: String,
    /// The first moment it is valid, as OpenSSL prints it.
    pub not_before: String,
    /// The last moment it is valid, as OpenSSL prints it.
    pub not_after: String,
    /// SHA-256 over the certificate, as `mokutil --list-enrolled` and MokManager show one.
    pub fingerprint: String,
}

impl Certificate {
    /// Reads the certificate in `file`.
    ///
    /// # Errors
    ///
    /// Refused if it is none, has expired, or is not yet valid.
    pub fn read(context: &Context, file: &Utf8Path) -> Result<Self> {
        let file = file.canonicalize_utf8().map_err(|error| unreadable(file, &error.to_string()))?;
        let x509 = || Cmd::new("openssl").arg("x509").arg("-in").arg(&file);
        let output = x509().finish(&context.report)?;
        if !output.status.success() {
            return Err(unreadable(&file, "is no X.509 certificate, neither PEM nor DER").into());
        }
        let pem = output.text();
        let words = ["-noout", "-nameopt", "RFC2253,utf8,-esc_msb", "-sha256"];
        let wanted = ["-subject", "-serial", "-startdate", "-enddate", "-fingerprint"];
        let facts = facts(&x509().args(words).args(wanted).read(&context.report)?)
            .with_context(|| format!("reading what OpenSSL says of {file}"))?;
        let public_key = x509().args(["-noout", "-pubkey"]).read(&context.report)?;
        let certificate = Self { file, facts, pem, public_key };
        certificate.require_valid(context)?;
        Ok(certificate)
    }

    /// The certificate in PEM, whatever its file has.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its public key in PEM.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The kernel does not look at a certificate's dates, and firmware clocks are wrong; whoever signs with an expired one has
    /// forgotten to replace it.
    fn require_valid(&self, context: &Context) -> Result<()> {
        let dir = tempfile::tempdir().context("making a temporary directory")?;
        let pem = Utf8Path::from_path(dir.path()).context("its path is no UTF-8")?.join("certificate.pem");
        fs_err::write(&pem, &self.pem)?;
        let verify = Cmd::new("openssl").args(["verify", "-partial_chain", "-trusted"]).arg(&pem).arg(&pem);
        let output = verify.finish(&context.report)?;
        if output.status.success() {
            return Ok(());
        }
        let Facts { not_before, not_after, .. } = &self.facts;
        let reason = why_not_valid(&output.tail)
            .map(|why| format!("{why}: it is valid from {not_before} to {not_after}"))
            .unwrap_or_else(|| format!("OpenSSL does not accept it:\n{}", output.tail.trim_end()));
        Err(Failure::refused(self.file.as_str(), reason)
            .remedy("make a key with a certificate that is valid: cargo kmod key new --output DIR")
            .into())
    }
}

fn unreadable(file: &Utf8Path, reason: &str) -> Failure {
    Failure::refused(file.as_str(), reason).remedy(
        "--cert FILE, the certificate that belongs to the key: cargo kmod key new --output DIR makes both",
    )
}

/// Reads the lines of `openssl x509 -subject -serial -startdate -enddate -fingerprint`.
fn facts(text: &str) -> Option<Facts> {
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    Some(Facts {
        subject: value("subject")?,
        serial: value("serial")?,
        not_before: value("notBefore")?,
        not_after: value("notAfter")?,
        fingerprint: value("sha256 Fingerprint")?,
    })
}

/// What `openssl verify` says of dates.
fn why_not_valid(output: &str) -> Option<&'static str> {
    // "error 9 at 0 depth lookup: certificate is not yet valid", "error 10 at ...: certificate has expired"
    [("error 10 at ", "has expired"), ("error 9 at ", "is not yet valid")]
        .into_iter()
        .find(|(number, _)| output.lines().any(|line| line.starts_with(number)))
        .map(|(_, why)| why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read() {
        let text = "subject=CN=a=b\\, c\nserial=0A1B\nnotBefore=Nov 22 11:00:00 2026 GMT\nnotAfter=Nov 19 11:00:00 2036 GMT\nsha256 Fingerprint=AA:BB\n";
        let facts = facts(text).unwrap();
        assert_eq!(facts.subject, "CN=a=b\\, c");
        assert_eq!((facts.serial.as_str(), facts.fingerprint.as_str()), ("0A1B", "AA:BB"));
        assert_eq!(facts.not_after, "Nov 19 11:00:00 2036 GMT");
        assert_eq!(super::facts("subject=CN=x\n"), None);
    }

    #[test]
    fn dates_are_told_from_other_errors() {
        let line = |number| {
            format!("CN = x\nerror {number} at 0 depth lookup: words\nerror x: verification failed\n")
        };
        assert_eq!(why_not_valid(&line(10)), Some("has expired"));
        assert_eq!(why_not_valid(&line(9)), Some("is not yet valid"));
        assert_eq!(why_not_valid(&line(20)), None);
        assert_eq!(why_not_valid(""), None);
    }
}
