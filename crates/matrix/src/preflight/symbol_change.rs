// SPDX-License-Identifier: GPL-2.0
//! What has changed, from one kernel to another, of the symbols that a module imports.

use std::collections::BTreeMap;
use std::fmt;

use kmodfile::crc::Crc;
use kmodfile::module::Module;
use kmodfile::symvers::{self, SymversEntry};
use serde::{Deserialize, Serialize};

/// A change of a symbol that a module imports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each is explained by its text (Display)")]
pub enum SymbolChange {
    /// Nothing exports it any more.
    Gone { symbol: String, exporter: String },
    /// Another module exports it.
    Moved { symbol: String, from: String, to: String },
    /// It is of another namespace; empty is none.
    Namespace { symbol: String, from: String, to: String },
    /// Only modules with a licence compatible with the GPL may use it now.
    GplOnly { symbol: String },
    /// Its CRC is another one: what it takes or points to has changed.
    Crc { symbol: String, from: String, to: String },
    /// It takes or returns something else, or is something else.
    Prototype { symbol: String, from: String, to: String },
}

/// What a kernel exports, by name.
pub(super) type Exported<'a> = BTreeMap<&'a str, SymversEntry<'a>>;

/// Reads the text of a `Module.symvers`.
pub(super) fn exported(text: &str) -> Exported<'_> {
    symvers::parse(text).map(|entry| (entry.symbol, entry)).collect()
}

/// What has changed between what an `old` kernel exports and a `new` one, of what a module that was
/// built for the old one imports. What the old one does not export itself is of another module of
/// the user's, and is no business of the kernel's.
///
/// Symbols of Rust are left out: their names carry a hash over compiler and crates, so they are
/// other ones for each kernel.
pub(super) fn changes(module: &Module, old: &Exported<'_>, new: &Exported<'_>) -> Vec<SymbolChange> {
    let imports = module.imports.iter().filter(|import| !import.symbol.starts_with("_R"));
    let of = |symbol: &str| match (old.get(symbol), new.get(symbol)) {
        (Some(was), Some(is)) => of_both(module, was, is),
        (Some(was), None) => {
            vec![SymbolChange::Gone { symbol: symbol.to_owned(), exporter: was.module.to_owned() }]
        }
        (None, _) => Vec::new(),
    };
    imports.flat_map(|import| of(&import.symbol)).collect()
}

fn of_both(module: &Module, was: &SymversEntry<'_>, is: &SymversEntry<'_>) -> Vec<SymbolChange> {
    let mut changes = Vec::new();
    let symbol = || is.symbol.to_owned();
    if was.module != is.module {
        let (from, to) = (was.module.to_owned(), is.module.to_owned());
        changes.push(SymbolChange::Moved { symbol: symbol(), from, to });
    }
    if was.namespace != is.namespace {
        let (from, to) = (was.namespace.to_owned(), is.namespace.to_owned());
        changes.push(SymbolChange::Namespace { symbol: symbol(), from, to });
    }
    if is.gpl_only && !was.gpl_only {
        changes.push(SymbolChange::GplOnly { symbol: symbol() });
    }
    // A kernel without module versions has zeros; what the module carries is what was built
    // against.
    let built_against = module.versions.get(is.symbol).unwrap_or(was.crc);
    if [built_against, is.crc].iter().all(|crc| *crc != Crc(0)) && built_against != is.crc {
        let (from, to) = (built_against.to_string(), is.crc.to_string());
        changes.push(SymbolChange::Crc { symbol: symbol(), from, to });
    }
    changes
}

impl SymbolChange {
    /// The symbol.
    pub fn symbol(&self) -> &str {
        match self {
            Self::Gone { symbol, .. }
            | Self::Moved { symbol, .. }
            | Self::Namespace { symbol, .. }
            | Self::GplOnly { symbol }
            | Self::Crc { symbol, .. }
            | Self::Prototype { symbol, .. } => symbol,
        }
    }
}

impl fmt::Display for SymbolChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = |name: &str| if name.is_empty() { "none".to_owned() } else { name.to_owned() };
        match self {
            Self::Gone { symbol, exporter } => write!(f, "{symbol} is gone; {exporter} exported it"),
            Self::Moved { symbol, from, to } => {
                write!(f, "{symbol} is exported by {to}, no longer by {from}")
            }
            Self::Namespace { symbol, from, to } => {
                write!(f, "{symbol} is of the namespace {}, before of {}", none(to), none(from))
            }
            Self::GplOnly { symbol } => write!(f, "{symbol} is for modules under the GPL only"),
            Self::Crc { symbol, from, to } => {
                write!(f, "{symbol} has the CRC {to}, before {from}: what was built before is not loaded")
            }
            Self::Prototype { symbol, from, to } => {
                write!(f, "{symbol} has another prototype\n  was {from}\n  now {to}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kmodfile::modinfo::Modinfo;
    use kmodfile::module::Import;
    use kmodfile::versions::Versions;

    use super::*;

    fn module(imports: &[&str], crcs: &[(&str, u32)]) -> Module {
        let import = |symbol: &&str| Import { symbol: (*symbol).to_owned(), weak: false };
        let crcs = crcs.iter().map(|(symbol, crc)| ((*symbol).to_owned(), Crc(*crc)));
        Module {
            modinfo: Modinfo::parse(b"name=m"),
            architecture: "x86_64".into(),
            imports: imports.iter().map(import).collect(),
            versions: Versions { basic: Some(crcs.collect()), extended: None },
            symbols: true,
            struct_module: 64,
            ..Module::default()
        }
    }

    fn shown(module: &Module, old: &str, new: &str) -> Vec<String> {
        let found = changes(module, &exported(old), &exported(new));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_change_of_an_imported_symbol_is_told() {
        let line = |crc: u32, symbol: &str, module: &str, kind: &str, namespace: &str| {
            format!("{crc:#010x}\t{symbol}\t{module}\tEXPORT_SYMBOL{kind}\t{namespace}\n")
        };
        let was = line(0, "f", "vmlinux", "", "");
        for (is, said) in [
            (was.clone(), None),
            (String::new(), Some("f is gone; vmlinux exported it")),
            (line(0, "f", "lib/f", "", ""), Some("f is exported by lib/f, no longer by vmlinux")),
            (line(0, "f", "vmlinux", "", "NS"), Some("f is of the namespace NS, before of none")),
            (line(0, "f", "vmlinux", "_GPL", ""), Some("f is for modules under the GPL only")),
            // A kernel without module versions has no CRCs to compare.
            (line(7, "f", "vmlinux", "", ""), None),
        ] {
            let found = shown(&module(&["f"], &[]), &was, &is);
            assert_eq!(found, said.into_iter().collect::<Vec<_>>(), "{is}");
        }
        let (five, six) = (line(5, "f", "vmlinux", "", ""), line(6, "f", "vmlinux", "", ""));
        let said = ["f has the CRC 0x00000006, before 0x00000005: what was built before is not loaded"];
        assert_eq!(shown(&module(&["f"], &[("f", 5)]), &five, &six), said);
        // What it was built against counts, not what the kernel has that is there of that name now.
        assert_eq!(shown(&module(&["f"], &[("f", 6)]), &five, &six), [""; 0]);
        assert_eq!(shown(&module(&["f"], &[]), &five, &six), said);
    }

    #[test]
    fn what_is_not_the_kernels_or_not_imported_is_passed_over() {
        let old = "0x0\tf\tvmlinux\tEXPORT_SYMBOL\t\n0x0\t_RNvC6kernel\tvmlinux\tEXPORT_SYMBOL_GPL\t\n";
        assert_eq!(shown(&module(&["of_my_other_module", "_RNvC6kernel"], &[]), old, ""), [""; 0]);
        assert_eq!(shown(&module(&[], &[]), old, ""), [""; 0]);
    }

    #[test]
    fn changes_are_kept_as_they_are() {
        let change = SymbolChange::Moved { symbol: "f".into(), from: "a".into(), to: "b".into() };
        let text = serde_json::to_string(&change).unwrap();
        assert_eq!(text, r#"{"change":"moved","symbol":"f","from":"a","to":"b"}"#);
        assert_eq!(serde_json::from_str::<SymbolChange>(&text).unwrap(), change);
    }
}
