// SPDX-License-Identifier: GPL-2.0
//! The signature after a module's ELF file (Documentation/admin-guide/module-signing.rst): a PKCS#7
//! message, a block that says how long it is, and a line of text at the very end.

use std::fmt::Write as _;

use cms::cert::x509::attr::AttributeTypeAndValue;
use cms::cert::x509::name::RdnSequence;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::Decode as _;
use der::asn1::ObjectIdentifier;
use serde::Serialize;

/// The last bytes of a signed module (include/linux/module_signature.h).
pub const MARKER: &[u8] = b"~Module signature appended~\n";

/// What follows a module's ELF file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trailer {
    /// Nothing.
    #[default]
    Unsigned,
    /// A signature. Whether it is valid takes the signer's certificate to tell.
    Signed(Signature),
    /// Something marked as a signature that is not one, and why. No kernel with module signatures
    /// loads such a module, whether it enforces them or not.
    Malformed(String),
}

/// A module's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// Everyone who signed, never empty; the kernel needs to trust only one of them.
    pub signers: Vec<Signer>,
}

/// One of those who signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signer {
    /// The common name of the certificate's issuer; of a self-signed certificate, its own.
    pub name: Option<String>,
    /// What identifies the certificate.
    pub key: KeyId,
    /// The hash algorithm, as in `CONFIG_MODULE_SIG_HASH`.
    pub hash: String,
    /// The signature itself, in hexadecimal digits.
    #[serde(serialize_with = "in_hex")]
    pub value: Vec<u8>,
}

/// What identifies a signer's certificate; shown in hexadecimal digits, as modinfo(8) does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyId {
    /// Its serial number, unique to its issuer.
    Serial(#[serde(serialize_with = "in_hex")] Vec<u8>),
    /// Its subject key identifier.
    SubjectKey(#[serde(serialize_with = "in_hex")] Vec<u8>),
}

impl KeyId {
    /// The identifier's bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Serial(bytes) | Self::SubjectKey(bytes) => bytes,
        }
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&colon_hex(self.bytes()))
    }
}

impl Trailer {
    /// The signature, if it is one.
    pub fn signature(&self) -> Option<&Signature> {
        match self {
            Self::Signed(signature) => Some(signature),
            Self::Unsigned | Self::Malformed(_) => None,
        }
    }
}

/// Bytes of the block before the marker (`struct module_signature`).
const BLOCK: usize = 12;

/// How many bytes of a signed module come after the PKCS#7 message.
pub const BEHIND_MESSAGE: usize = BLOCK + MARKER.len();

/// `PKEY_ID_PKCS7`, the one kind of signature that kernels take.
const PKCS7: u8 = 2;

/// Splits a module into its ELF file and what follows it.
pub fn split(image: &[u8]) -> (&[u8], Trailer) {
    let Some(before_marker) = image.strip_suffix(MARKER) else { return (image, Trailer::Unsigned) };
    let Some((before_block, block)) = before_marker.split_last_chunk::<BLOCK>() else {
        return (image, Trailer::Malformed("it is shorter than its header".to_owned()));
    };
    let [algorithm, hash, kind, signer, key, pad @ .., a, b, c, d] = *block;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    let Some(end) = before_block.len().checked_sub(length).filter(|end| *end > 0) else {
        let reason = format!("it claims a length of {length}, and the file has fewer bytes");
        return (before_block, Trailer::Malformed(reason));
    };
    let (elf, message) = before_block.split_at(end);
    if kind != PKCS7 {
        return (
            elf,
            Trailer::Malformed(format!("it is of type {kind}, and kernels accept only PKCS#7 (type 2)")),
        );
    }
    if [algorithm, hash, signer, key].iter().chain(&pad).any(|byte| *byte != 0) {
        return (elf, Trailer::Malformed("fields that must be zero are not zero".to_owned()));
    }
    let trailer = match parse(message) {
        Ok(signature) => Trailer::Signed(signature),
        Err(reason) => Trailer::Malformed(reason),
    };
    (elf, trailer)
}

/// Reads a PKCS#7 message (RFC 5652, "SignedData").
fn parse(message: &[u8]) -> Result<Signature, String> {
    let wrong = |error: der::Error| format!("it is not a PKCS#7 message: {error}");
    let content = ContentInfo::from_der(message).map_err(wrong)?;
    let data: SignedData = content.content.decode_as().map_err(wrong)?;
    let signers: Vec<Signer> = data.signer_infos.0.iter().map(signer).collect();
    if signers.is_empty() {
        return Err("it has no signer".to_owned());
    }
    Ok(Signature { signers })
}

fn signer(info: &SignerInfo) -> Signer {
    let (name, key) = match &info.sid {
        SignerIdentifier::IssuerAndSerialNumber(id) => {
            let serial = id.serial_number.as_bytes();
            // DER puts a zero byte before a number whose first bit is set; it is not part of it.
            let serial = serial.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(serial);
            (common_name(&id.issuer), KeyId::Serial(serial.to_vec()))
        }
        SignerIdentifier::SubjectKeyIdentifier(id) => (None, KeyId::SubjectKey(id.0.as_bytes().to_vec())),
    };
    let hash = hash_name(&info.digest_alg.oid);
    Signer { name, key, hash, value: info.signature.as_bytes().to_vec() }
}

/// The text of the attribute `commonName`.
fn common_name(name: &RdnSequence) -> Option<String> {
    const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
    let mut attributes = name.0.iter().flat_map(|set| set.0.iter());
    let text =
        |attribute: &AttributeTypeAndValue| String::from_utf8_lossy(attribute.value.value()).into_owned();
    attributes.find(|attribute| attribute.oid == COMMON_NAME).map(text)
}

/// The kernel's name for a hash algorithm, or the number of one without.
fn hash_name(oid: &ObjectIdentifier) -> String {
    let text = oid.to_string();
    let name = match text.as_str() {
        "1.2.840.113549.2.5" => "md5",
        "1.3.14.3.2.26" => "sha1",
        "2.16.840.1.101.3.4.2.1" => "sha256",
        "2.16.840.1.101.3.4.2.2" => "sha384",
        "2.16.840.1.101.3.4.2.3" => "sha512",
        "2.16.840.1.101.3.4.2.4" => "sha224",
        "2.16.840.1.101.3.4.2.8" => "sha3-256",
        "2.16.840.1.101.3.4.2.9" => "sha3-384",
        "2.16.840.1.101.3.4.2.10" => "sha3-512",
        "1.2.156.10197.1.401" => "sm3",
        other => other,
    };
    name.to_owned()
}

/// `AB:CD`, as modinfo(8) writes bytes; the crate `hex` knows no separators.
pub fn colon_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        if !text.is_empty() {
            text.push(':');
        }
        write!(text, "{byte:02X}").expect("a string takes any text");
    }
    text
}

fn in_hex<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&colon_hex(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `elf`, followed by `message` as a signature of this type and length.
    fn signed(elf: &[u8], message: &[u8], kind: u8, length: u32) -> Vec<u8> {
        let mut block = [0; BLOCK];
        block[2] = kind;
        block[8..].copy_from_slice(&length.to_be_bytes());
        [elf, message, &block, MARKER].concat()
    }

    #[test]
    fn without_the_marker_it_is_unsigned() {
        for image in [&b""[..], b"\x7fELF", &MARKER[1..]] {
            assert_eq!(split(image), (image, Trailer::Unsigned));
        }
    }

    #[test]
    fn what_cannot_be_a_signature_is_malformed() {
        for (image, reason) in [
            (MARKER.to_vec(), "is shorter"),
            (signed(b"elf", b"xx", 2, 6), "and the file has fewer"),
            (signed(b"elf", b"xx", 2, u32::MAX), "and the file has fewer"),
            (signed(b"elf", b"xx", 2, 5), "and the file has fewer"),
            (signed(b"elf", b"xx", 1, 2), "only PKCS#7"),
            (signed(b"elf", b"xx", 2, 2), "not a PKCS#7 message"),
            (signed(b"elf", b"", 2, 0), "not a PKCS#7 message"),
        ] {
            let (_, trailer) = split(&image);
            assert!(
                matches!(&trailer, Trailer::Malformed(why) if why.contains(reason)),
                "{reason}: {trailer:?}"
            );
        }
        let mut padded = signed(b"elf", b"xx", 2, 2);
        let at = padded.len() - MARKER.len() - 6;
        padded[at] = 1;
        assert!(matches!(split(&padded), (b"elf", Trailer::Malformed(why)) if why.contains("must be zero")));
    }

    #[test]
    fn bytes_are_shown_as_modinfo_shows_them() {
        assert_eq!(colon_hex(&[0xab, 0, 0x1c]), "AB:00:1C");
        assert_eq!(KeyId::Serial(vec![1, 2]).to_string(), "01:02");
    }
}
