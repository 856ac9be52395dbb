// SPDX-License-Identifier: GPL-2.0
//! Modules made by the tests, byte by byte as Kbuild makes them, to be read back and to be damaged.

use cms::cert::IssuerAndSerialNumber;
use cms::cert::x509::name::RdnSequence;
use cms::cert::x509::serial_number::SerialNumber;
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos};
use der::asn1::{Any, ObjectIdentifier, OctetString, SetOfVec};
use der::{Encode as _, Tag};
use kmodfile::signature::MARKER;
use object::write::{Object, Relocation, SectionId, StandardSegment, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope, elf,
};

/// Where a module marks its exports that are for the GPL only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exports {
    /// In `__ksymtab_gpl`.
    Tables,
    /// In `__kflagstab`.
    Flags,
}

/// The `.modinfo` of these modules.
pub(crate) const MODINFO: &[u8] =
    b"license=GPL\0import_ns=A\0import_ns=B\0name=made\0depends=one,two-three\0vermagic=7.2.1 SMP mod_unload modversions \0";

/// A module of this architecture that imports `needed` and, weakly, `wanted`, and exports `plain`,
/// `spaced` in namespace `NS`, and `only_gpl`.
pub(crate) fn module(architecture: Architecture, exports: Exports) -> Vec<u8> {
    let mut making = Making(Object::new(BinaryFormat::Elf, architecture, Endianness::Little));
    making.section(".modinfo", MODINFO);
    making.section(".gnu.linkonce.this_module", &[0; 0x500]);
    making.section(".comment", b"\0GCC: (Made) 14\0rustc version 1.85.1 (made)\0GCC: (Made) 14\0");
    making.section(
        ".note.gnu.build-id",
        &[&[4, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0][..], b"GNU\0\xab\xcd\xef\0"].concat(),
    );
    let crcs = [(1, "module_layout"), (2, "needed"), (3, "wanted")];
    making.section("__versions", &crcs.map(|(crc, name)| version(crc, name)).concat());
    making.symbol("needed", SymbolSection::Undefined, 0, false);
    making.symbol("wanted", SymbolSection::Undefined, 0, true);
    let text = making.section(".text", &[0xc3; 64]);
    let strings = b"plain\0\0spaced\0NS\0only_gpl\0\0";
    let names = making.section("__ksymtab_strings", strings);
    let all = [(0, 5), (7, 14), (17, 26)];
    let (in_first, in_gpl) = if exports == Exports::Tables { all.split_at(2) } else { (&all[..], &[][..]) };
    for (name, entries, crcs) in
        [("__ksymtab", in_first, "__kcrctab"), ("__ksymtab_gpl", in_gpl, "__kcrctab_gpl")]
    {
        if !entries.is_empty() {
            making.exports(name, entries, text, names);
            let numbers = entries.iter().map(|(at, _)| 0x1000_u32 + at);
            making.section(crcs, &numbers.flat_map(u32::to_le_bytes).collect::<Vec<_>>());
        }
    }
    if exports == Exports::Flags {
        making.section("__kflagstab", &[0, 0, 1]);
    }
    making.0.write().unwrap()
}

/// An entry of `__versions`.
fn version(crc: u64, name: &str) -> Vec<u8> {
    let mut entry = crc.to_le_bytes().to_vec();
    entry.extend(name.bytes());
    entry.resize(64, 0);
    entry
}

struct Making(Object<'static>);

impl Making {
    fn section(&mut self, name: &str, data: &[u8]) -> SectionId {
        let segment = self.0.segment_name(StandardSegment::Data).to_vec();
        let kind = if name.starts_with(".note") { SectionKind::Note } else { SectionKind::ReadOnlyData };
        let section = self.0.add_section(segment, name.as_bytes().to_vec(), kind);
        self.0.append_section_data(section, data, 8);
        section
    }

    fn symbol(&mut self, name: &str, section: SymbolSection, value: u64, weak: bool) -> SymbolId {
        self.0.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value,
            size: 0,
            kind: SymbolKind::Data,
            scope: if section == SymbolSection::Undefined {
                SymbolScope::Unknown
            } else {
                SymbolScope::Compilation
            },
            weak,
            section,
            flags: SymbolFlags::None,
        })
    }

    /// A table of exports: for each a relative reference to the symbol, its name and its namespace.
    fn exports(&mut self, name: &str, entries: &[(u32, u32)], text: SectionId, names: SectionId) {
        let table = self.section(name, &vec![0; entries.len() * 12]);
        let (text, names) = (self.0.section_symbol(text), self.0.section_symbol(names));
        for (index, (name, namespace)) in entries.iter().enumerate() {
            let targets = [(text, 8), (names, i64::from(*name)), (names, i64::from(*namespace))];
            for (field, (symbol, addend)) in targets.into_iter().enumerate() {
                let offset = (index * 12 + field * 4) as u64;
                let flags = RelocationFlags::Elf { r_type: elf::R_X86_64_PC32 };
                self.0.add_relocation(table, Relocation { offset, symbol, addend, flags }).unwrap();
            }
        }
    }
}

/// `module` followed by a signature of `CN=name`, whose certificate has the serial number `serial`:
/// correct in every respect, except that no key made it.
pub(crate) fn signed(module: &[u8], name: &str, serial: &[u8]) -> Vec<u8> {
    let message = message(name, serial);
    let mut block = [0; 12];
    block[2] = 2;
    block[8..].copy_from_slice(&(message.len() as u32).to_be_bytes());
    [module, &message, &block, MARKER].concat()
}

/// The PKCS#7 message of such a signature.
pub(crate) fn message(name: &str, serial: &[u8]) -> Vec<u8> {
    let oid = ObjectIdentifier::new_unwrap;
    let sha512 = AlgorithmIdentifierOwned { oid: oid("2.16.840.1.101.3.4.2.3"), parameters: None };
    let rsa = AlgorithmIdentifierOwned { oid: oid("1.2.840.113549.1.1.1"), parameters: None };
    let issuer: RdnSequence = format!("CN={name},O=Made").parse().unwrap();
    let serial_number = SerialNumber::new(serial).unwrap();
    let signer = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber { issuer, serial_number }),
        digest_alg: sha512.clone(),
        signed_attrs: None,
        signature_algorithm: rsa,
        signature: OctetString::new([0x5a; 32]).unwrap(),
        unsigned_attrs: None,
    };
    let data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![sha512]).unwrap(),
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: oid("1.2.840.113549.1.7.1"),
            econtent: None,
        },
        certificates: None,
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![signer]).unwrap()),
    };
    let content = Any::encode_from(&data).unwrap();
    assert_eq!(der::Tagged::tag(&content), Tag::Sequence);
    ContentInfo { content_type: oid("1.2.840.113549.1.7.2"), content }.to_der().unwrap()
}
