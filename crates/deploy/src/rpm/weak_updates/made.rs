// SPDX-License-Identifier: GPL-2.0
//! Modules made by tests.

use kmodfile::crc::Crc;
use kmodfile::exports::Export;
use kmodfile::modinfo::Modinfo;
use kmodfile::module::{Import, Module};
use kmodfile::versions::Versions;

/// The vermagic of all of them but for the release.
const VERMAGIC: &str = "SMP preempt mod_unload modversions ";

/// A module that imports and exports these symbols, separated by blanks. A symbol's CRC is 1, or
/// what follows it after a colon.
pub(super) fn module(imports: &str, exports: &str) -> Module {
    let symbols = |list: &str| -> Vec<(String, Crc)> {
        let one = |word: &str| {
            let (symbol, crc) = word.split_once(':').unwrap_or((word, "1"));
            (symbol.to_owned(), Crc(crc.parse().unwrap()))
        };
        list.split_whitespace().map(one).collect()
    };
    let import = |(symbol, _): &(String, Crc)| Import { symbol: symbol.clone(), weak: false };
    let export = |(symbol, crc): (String, Crc)| Export {
        symbol,
        crc: Some(crc),
        gpl_only: false,
        namespace: String::new(),
    };
    // A module's name is what its file's is; here it only has to be its own.
    let name = format!("made_{}_{}", imports, exports).replace([' ', ':'], "_");
    Module {
        modinfo: Modinfo::parse(format!("license=GPL\0name={name}\0vermagic=6.12.1 {VERMAGIC}\0").as_bytes()),
        architecture: "x86_64".into(),
        imports: symbols(imports).iter().map(import).collect(),
        versions: Versions {
            basic: Some(symbols(imports).into_iter().chain([("module_layout".to_owned(), Crc(1))]).collect()),
            extended: None,
        },
        exports: symbols(exports).into_iter().map(export).collect(),
        symbols: true,
        struct_module: 64,
        ..Module::default()
    }
}
