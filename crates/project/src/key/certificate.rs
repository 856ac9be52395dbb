// SPDX-License-Identifier: GPL-2.0
//! An X.509 certificate of a module-signing key (RFC 5280), in PEM or DER.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use der::pem::{self, LineEnding};
use der::{DateTime, Decode as _, Encode as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use x509_cert::time::Time;

use kmodfile::signature::colon_hex;
use report::failure::Failure;

/// A certificate that is valid today.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// Its file, PEM or DER.
    pub file: Utf8PathBuf,
    /// What it says.
    pub facts: CertificateFacts,
    pem: String,
    public_key: String,
}

/// What a certificate says, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CertificateFacts {
    /// Its subject (RFC 4514), such as `CN=fleet module signing`.
    pub subject: String,
    /// Its serial number in hexadecimal; a module's signature names the certificate by issuer and
    /// serial number.
    pub serial: String,
    /// When it becomes valid: `Nov 22 11:00:00 2026 GMT`.
    pub not_before: String,
    /// When it expires.
    pub not_after: String,
    /// SHA-256 over the certificate, in the format of `mokutil --list-enrolled` and MokManager.
    pub fingerprint: String,
}

impl Certificate {
    /// Reads the certificate in `file`: in DER, or the first one in PEM, whatever else is in the
    /// file.
    ///
    /// # Errors
    ///
    /// Refused, if it is not a certificate, has expired, or is not yet valid.
    pub fn read(file: &Utf8Path) -> Result<Self> {
        let file = file.canonicalize_utf8().map_err(|error| refused(file, error.to_string()))?;
        let bytes = fs_err::read(&file).map_err(|error| refused(&file, error.to_string()))?;
        let (certificate, der) = parse(&bytes).map_err(|reason| refused(&file, reason))?;
        let unwritten = |error: der::Error| refused(&file, format!("cannot be encoded again: {error}"));
        let key = &certificate.tbs_certificate.subject_public_key_info;
        let key = key.to_der().map_err(unwritten)?;
        let facts = CertificateFacts::of(&certificate, &der);
        require_valid(&file, &certificate, &facts, now())?;
        let in_pem = |label: &str, der: &[u8]| {
            pem::encode_string(label, LineEnding::LF, der).map_err(|error| unwritten(error.into()))
        };
        let (pem, public_key) = (in_pem(CERTIFICATE, &der)?, in_pem("PUBLIC KEY", &key)?);
        Ok(Self { file, facts, pem, public_key: public_key.trim_end().to_owned() })
    }

    /// The certificate in PEM, whatever the format of its file.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its public key in PEM.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }
}

impl CertificateFacts {
    fn of(certificate: &x509_cert::Certificate, der: &[u8]) -> Self {
        let body = &certificate.tbs_certificate;
        let serial = body.serial_number.as_bytes();
        // A number whose first bit is set has a zero byte in front, which is no part of it.
        let serial = serial.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(serial);
        Self {
            subject: body.subject.to_string(),
            serial: colon_hex(serial).replace(':', ""),
            not_before: date(&body.validity.not_before),
            not_after: date(&body.validity.not_after),
            fingerprint: colon_hex(&Sha256::digest(der)),
        }
    }
}

/// The label of a certificate in PEM (RFC 7468).
const CERTIFICATE: &str = "CERTIFICATE";

/// Reads a certificate in PEM or DER, and returns it in DER, too; otherwise what is wrong.
fn parse(bytes: &[u8]) -> Result<(x509_cert::Certificate, Vec<u8>), String> {
    let der = match pem_block(bytes) {
        Some(block) => block?,
        None => bytes.to_vec(),
    };
    match x509_cert::Certificate::from_der(&der) {
        Ok(certificate) => Ok((certificate, der)),
        // A sequence, so probably a damaged certificate.
        Err(error) if der.first() == Some(&0x30) => Err(format!("is not a valid X.509 certificate: {error}")),
        Err(_) => Err("is not an X.509 certificate, neither in PEM nor in DER".to_owned()),
    }
}

/// The contents of the first certificate in a PEM file; `None` if it is not PEM. Lines may have any
/// length, as with OpenSSL.
fn pem_block(bytes: &[u8]) -> Option<Result<Vec<u8>, String>> {
    let text = String::from_utf8_lossy(bytes);
    let label =
        |line: &str| Some(line.trim_end().strip_prefix("-----BEGIN ")?.strip_suffix("-----")?.to_owned());
    let first = text.lines().find_map(label)?;
    let mut lines = text.lines().skip_while(|line| label(line).as_deref() != Some(CERTIFICATE));
    if lines.next().is_none() {
        return Some(Err(format!("is not an X.509 certificate, but PEM with a {first}")));
    }
    let end = format!("-----END {CERTIFICATE}-----");
    let mut base64 = String::new();
    for line in lines {
        if line.trim_end() == end {
            let read = decode(&base64).map_err(|error| format!("is not valid PEM: {error}"));
            return Some(read);
        }
        base64.extend(line.split_whitespace());
    }
    Some(Err(format!("is an incomplete PEM file: {end} is missing")))
}

/// Decodes base64 without line ends.
fn decode(base64: &str) -> Result<Vec<u8>, pem::Error> {
    const WIDTH: usize = 64;
    let lines: Vec<_> = base64.as_bytes().chunks(WIDTH).map(String::from_utf8_lossy).collect();
    let text = format!("-----BEGIN {CERTIFICATE}-----\n{}\n-----END {CERTIFICATE}-----\n", lines.join("\n"));
    Ok(pem::decode_vec(text.as_bytes())?.1)
}

/// The kernel ignores a certificate's dates, as firmware clocks are unreliable; but whoever signs
/// with an expired one has forgotten to replace it.
fn require_valid(
    file: &Utf8Path,
    certificate: &x509_cert::Certificate,
    facts: &CertificateFacts,
    now: Duration,
) -> Result<(), Failure> {
    let validity = &certificate.tbs_certificate.validity;
    let why = if now < validity.not_before.to_unix_duration() {
        "is not yet valid"
    } else if now > validity.not_after.to_unix_duration() {
        "has expired"
    } else {
        return Ok(());
    };
    let CertificateFacts { not_before, not_after, .. } = facts;
    let reason = format!("{why}: it is valid from {not_before} to {not_after}");
    Err(Failure::refused(file.as_str(), reason)
        .remedy("make a new key with a valid certificate: cargo kmod key new --output DIR"))
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn refused(file: &Utf8Path, reason: String) -> Failure {
    Failure::refused(file.as_str(), reason).remedy(
        "give the certificate that belongs to the key: --cert FILE; cargo kmod key new --output DIR makes both",
    )
}

/// A time in the format of OpenSSL.
fn date(time: &Time) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let date: DateTime = time.to_date_time();
    let month = MONTHS[usize::from(date.month()) - 1];
    let (hour, minute, second) = (date.hour(), date.minutes(), date.seconds());
    format!("{month} {:2} {hour:02}:{minute:02}:{second:02} {} GMT", date.day(), date.year())
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::Report;
    use report::failure::{Exit, exit_of, remedy_of};
    use report::process::Cmd;

    /// A directory in which OpenSSL makes keys and certificates.
    struct Made {
        _dir: tempfile::TempDir,
        path: Utf8PathBuf,
    }

    impl Made {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap();
            Self { _dir: dir, path }
        }

        fn openssl(&self, args: &[&str]) -> String {
            let cmd = Cmd::new("openssl").args(args).cwd(self.path.as_str());
            cmd.read(&Report::silent()).unwrap()
        }

        /// A self-signed certificate and its key.
        fn certificate(&self, name: &str, subject: &str, key: &[&str], extensions: &[&str]) -> Utf8PathBuf {
            let (file, private) = (format!("{name}.pem"), format!("{name}.key"));
            let mut args = vec!["req", "-new", "-x509", "-utf8", "-batch", "-sha256", "-noenc", "-days", "9"];
            args.extend(["-subj", subject, "-keyout", &private, "-out", &file]);
            args.extend(key);
            extensions.iter().for_each(|extension| args.extend(["-addext", extension]));
            self.openssl(&args);
            self.path.join(file)
        }

        fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Utf8PathBuf {
            let file = self.path.join(name);
            fs_err::write(&file, bytes).unwrap();
            file
        }

        /// What OpenSSL says of a certificate.
        fn said(&self, file: &Utf8Path) -> CertificateFacts {
            let words =
                ["x509", "-noout", "-nameopt", "RFC2253,utf8,-esc_msb", "-sha256", "-in", file.as_str()];
            let wanted = ["-subject", "-serial", "-startdate", "-enddate", "-fingerprint"];
            let text = self.openssl(&[&words[..], &wanted].concat());
            let value = |name: &str| {
                let mut lines = text.lines().filter_map(|line| line.split_once('='));
                lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).unwrap().1.trim().to_owned()
            };
            CertificateFacts {
                subject: value("subject"),
                serial: value("serial"),
                not_before: value("notBefore"),
                not_after: value("notAfter"),
                fingerprint: value("sha256 Fingerprint"),
            }
        }
    }

    const RSA: &[&str] = &["-newkey", "rsa:2048"];
    const EC: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"];
    const SIGNS_CODE: &[&str] = &["keyUsage=critical,digitalSignature", "extendedKeyUsage=codeSigning"];

    #[test]
    fn what_is_read_is_what_openssl_reads() {
        let made = Made::new();
        for (name, subject, key, extensions) in [
            ("rsa", "/CN=fleet module signing", RSA, SIGNS_CODE),
            ("ec", "/C=CH/O=a, b + c/OU=d\\/e/CN=\u{e9} \\\\ \"q\"", EC, SIGNS_CODE),
            ("ed25519", "/CN=x", &["-newkey", "ed25519"], &[]),
            // The kernel asks for no key usage of who signs modules.
            ("plain", "/CN=no code signing/L=y/ST=z", RSA, &[]),
            ("tls", "/CN=for servers", EC, &["extendedKeyUsage=serverAuth", "subjectAltName=DNS:x.test"]),
            ("zero", "/CN=serial", &["-newkey", "ed25519", "-set_serial", "0x0080ff"], &[]),
        ] {
            let file = made.certificate(name, subject, key, extensions);
            let read = Certificate::read(&file).unwrap();
            assert_eq!(read.facts, made.said(&file), "{name}");
            assert_eq!(read.file, file);
            assert_eq!(read.pem().trim(), made.openssl(&["x509", "-in", file.as_str()]));
            let private = format!("{name}.key");
            assert_eq!(read.public_key(), made.openssl(&["pkey", "-pubout", "-in", &private]), "{name}");
            made.openssl(&["x509", "-in", file.as_str(), "-outform", "DER", "-out", "x.der"]);
            let in_der = Certificate::read(&made.path.join("x.der")).unwrap();
            assert_eq!((in_der.facts, in_der.pem), (read.facts, read.pem), "{name}");
        }
    }

    #[test]
    fn of_several_in_a_file_the_first_counts_wherever_it_is() {
        let made = Made::new();
        let (first, second) = (
            made.certificate("first", "/CN=first", EC, SIGNS_CODE),
            made.certificate("second", "/CN=second", EC, SIGNS_CODE),
        );
        let read = |file: &Utf8Path| fs_err::read_to_string(file).unwrap();
        let (one, two, key) = (read(&first), read(&second), read(&made.path.join("first.key")));
        let one_line = |pem: &str| {
            let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----")
        };
        for (name, text) in [
            ("two", format!("{one}{two}")),
            ("after its key", format!("{key}{one}")),
            ("after words", format!("Subject: CN=x\n\n{one}words\n")),
            ("of Windows", one.replace('\n', "\r\n")),
            ("in one line", one_line(&one)),
        ] {
            let certificate = Certificate::read(&made.write(name, text)).expect(name);
            assert_eq!(certificate.facts, made.said(&first), "{name}");
        }
    }

    #[test]
    fn what_is_not_a_certificate_is_refused_with_the_reason() {
        let made = Made::new();
        let file = made.certificate("x", "/CN=x", EC, SIGNS_CODE);
        let pem = fs_err::read_to_string(&file).unwrap();
        made.openssl(&["x509", "-in", "x.pem", "-outform", "DER", "-out", "x.der"]);
        let der = fs_err::read(made.path.join("x.der")).unwrap();
        let key = fs_err::read(made.path.join("x.key")).unwrap();
        made.openssl(&["req", "-new", "-batch", "-subj", "/CN=x", "-key", "x.key", "-out", "x.csr"]);
        let request = fs_err::read(made.path.join("x.csr")).unwrap();
        let end = "-----END CERTIFICATE-----";
        for (name, bytes, reason) in [
            ("empty", Vec::new(), "is not an X.509 certificate, neither in PEM nor in DER"),
            (
                "text",
                b"not a certificate\n".to_vec(),
                "is not an X.509 certificate, neither in PEM nor in DER",
            ),
            ("random", vec![0xff; 700], "is not an X.509 certificate, neither in PEM nor in DER"),
            ("key", key, "is not an X.509 certificate, but PEM with a PRIVATE KEY"),
            ("request", request, "is not an X.509 certificate, but PEM with a CERTIFICATE REQUEST"),
            ("short DER", der[..der.len() / 2].to_vec(), "is not a valid X.509 certificate"),
            ("long DER", [&der[..], b"more"].concat(), "is not a valid X.509 certificate"),
            ("short PEM", pem.split(end).next().unwrap().as_bytes().to_vec(), "is an incomplete PEM file"),
            ("odd PEM", pem.replacen("MII", "M!I", 1).into_bytes(), "is not valid PEM"),
            ("less PEM", pem.replacen("MII", "", 1).into_bytes(), "is not "),
        ] {
            let file = made.write(name, bytes);
            let error = Certificate::read(&file).expect_err(name);
            let text = error.to_string();
            assert!(text.starts_with(&format!("{file}: {reason}")), "{name}: {text}");
            assert_eq!(exit_of(&error), Exit::Refused, "{name}");
            assert!(remedy_of(&error).unwrap().contains("--cert FILE"), "{name}");
        }
    }

    #[test]
    fn a_certificate_is_valid_between_its_dates_only() {
        let made = Made::new();
        let file = made.certificate("x", "/CN=x", EC, SIGNS_CODE);
        let (certificate, der) = parse(&fs_err::read(&file).unwrap()).unwrap();
        let facts = CertificateFacts::of(&certificate, &der);
        let validity = certificate.tbs_certificate.validity;
        let (from, to) = (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration());
        let second = Duration::from_secs(1);
        let at = |now| require_valid(&file, &certificate, &facts, now);
        assert!(at(from).is_ok() && at(to).is_ok());
        for (now, reason) in [(from - second, "is not yet valid: "), (to + second, "has expired: ")] {
            let error = at(now).unwrap_err();
            assert!(error.reason.starts_with(reason) && error.reason.contains(&facts.not_after), "{error}");
            assert!(error.remedy.unwrap().contains("cargo kmod key new"));
        }
    }
}
