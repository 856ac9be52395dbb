// SPDX-License-Identifier: GPL-2.0
//! Reading modules: every part of a well-formed one is found, and a damaged one gives a value or an
//! error, never a panic.

use kmodfile::config::Config;
use kmodfile::crc::Crc;
use kmodfile::error::ParseError;
use kmodfile::exports::Export;
use kmodfile::file::ModuleFile;
use kmodfile::load::target::LoadTarget;
use kmodfile::module::Module;
use kmodfile::signature::{KeyId, Trailer};
use object::Architecture;

use crate::elf::{Exports, module, signed};

fn read(exports: Exports) -> Module {
    Module::parse(&module(Architecture::X86_64, exports)).unwrap()
}

#[test]
fn what_a_module_says_of_itself_is_read() {
    let module = read(Exports::Flags);
    assert_eq!((module.name().as_deref(), module.architecture.as_str()), (Some("made"), "x86_64"));
    assert_eq!(module.modinfo.depends(), ["one", "two_three"]);
    assert_eq!(module.modinfo.all("import_ns").collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(module.compilers, ["GCC: (Made) 14", "rustc version 1.85.1 (made)"]);
    assert!(module.rust && module.symbols && !module.debug_info);
    assert_eq!((module.build_id.as_deref(), module.struct_module), (Some("abcdef"), 0x500));
    assert_eq!(module.signature, Trailer::Unsigned);
}

#[test]
fn imports_and_their_crcs_are_read() {
    let module = read(Exports::Flags);
    let imports = module.imports.iter().map(|import| (import.symbol.as_str(), import.weak));
    assert_eq!(imports.collect::<Vec<_>>(), [("needed", false), ("wanted", true)]);
    assert_eq!(module.versions.get("needed"), Some(Crc(2)));
    assert_eq!((module.versions.get("module_layout"), module.versions.get("other")), (Some(Crc(1)), None));
}

#[test]
fn exports_are_the_same_in_either_form() {
    let export = |symbol: &str, namespace: &str, gpl_only, crc| Export {
        symbol: symbol.to_owned(),
        namespace: namespace.to_owned(),
        gpl_only,
        crc: Some(Crc(crc)),
    };
    let expected = [
        export("plain", "", false, 0x1000),
        export("spaced", "NS", false, 0x1007),
        export("only_gpl", "", true, 0x1011),
    ];
    assert_eq!(read(Exports::Tables).exports, expected);
    assert_eq!(read(Exports::Flags).exports, expected);
}

#[test]
fn a_signature_is_read() {
    let elf = module(Architecture::X86_64, Exports::Flags);
    let module = Module::parse(&signed(&elf, "Made by nobody", &[0x8f, 1, 2])).unwrap();
    let Trailer::Signed(signature) = &module.signature else { panic!("{:?}", module.signature) };
    let [signer] = signature.signers.as_slice() else { panic!("{signature:?}") };
    assert_eq!((signer.name.as_deref(), signer.hash.as_str()), (Some("Made by nobody"), "sha512"));
    assert_eq!(
        (&signer.key, signer.key.to_string().as_str()),
        (&KeyId::Serial(vec![0x8f, 1, 2]), "8F:01:02")
    );
    assert_eq!(signer.value, [0x5a; 32]);
    assert_eq!(Module { signature: Trailer::Unsigned, ..module }, Module::parse(&elf).unwrap());
}

#[test]
fn another_architecture_is_read_and_named() {
    let module = Module::parse(&module(Architecture::X86_64, Exports::Flags)).unwrap();
    let mut other = crate::elf::module(Architecture::X86_64, Exports::Flags);
    other[18] = 183; // EM_AARCH64
    let other = Module::parse(&other).map(|module| module.architecture);
    assert_eq!((module.architecture.as_str(), other), ("x86_64", Ok("aarch64".to_owned())));
}

#[test]
fn a_truncated_module_is_damaged_wherever_it_ends() {
    let whole = module(Architecture::X86_64, Exports::Tables);
    for end in 4..whole.len() {
        let error = Module::parse(&whole[..end]).expect_err("it is not whole");
        assert!(matches!(error, ParseError::Damaged(_) | ParseError::NotAModule(_)), "{end}: {error:?}");
    }
}

/// Pseudo-random numbers, the same in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit as u64) as usize
    }

    /// `bytes` with some of them changed, mostly to numbers that parsers stumble over, and
    /// sometimes cut off.
    fn damaged(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let width = [1, 2, 4, 8][self.below(4)].min(bytes.len() - at);
            let value = [0, 1, 0x7f, 0xff, 0x7fff_ffff, u64::MAX, bytes.len() as u64, self.0][self.below(8)];
            bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
        if self.below(8) == 0 {
            bytes.truncate(self.below(bytes.len()));
        }
        bytes
    }
}

/// Neither reading nor judging panics, and what is read twice is the same.
#[test]
fn damaged_modules_are_read_or_refused() {
    let forms = [Exports::Tables, Exports::Flags].map(|form| module(Architecture::X86_64, form));
    let own = Module::parse(&forms[0]).unwrap();
    let config = Config::parse("CONFIG_MODVERSIONS=y\nCONFIG_MODULE_SIG=y\n");
    let target = LoadTarget::new(&config, "0x00000002\tneeded\tvmlinux\tEXPORT_SYMBOL_GPL\tNS\n", &own);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut read, mut refused) = (0, 0);
    for round in 0..6_000 {
        let form = &forms[random.below(2)];
        let image = if random.below(2) == 0 { form.clone() } else { signed(form, "Made", &[1, 2, 3]) };
        let image = random.damaged(&image);
        match Module::parse(&image) {
            Ok(module) => {
                read += 1;
                refused += usize::from(!target.judge(&module).loads());
                assert_eq!(Module::parse(&image), Ok(module), "round {round}");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    // Both outcomes must occur, or this does not test the readers.
    assert!(read > 500 && read < 5_500 && refused > 50, "{read} read, {refused} refused");
}

#[test]
fn damaged_compressed_modules_are_decompressed_or_refused() {
    use kmodfile::compression::Compression;
    let module = module(Architecture::X86_64, Exports::Flags);
    let mut random = Random(42);
    for kind in Compression::ALL {
        let packed = kind.compress(&module).unwrap();
        for _ in 0..300 {
            if let Ok(file) = ModuleFile::of("x.ko".into(), random.damaged(&packed)) {
                // No checksum covers the damage, or it is not taken for compressed at all.
                file.module().ok();
            }
        }
    }
}
