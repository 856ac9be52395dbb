// SPDX-License-Identifier: GPL-2.0
//! Whether a module that was built for one kernel would load into another through weak-updates.
//! This depends on the CRC of each symbol that it imports, and on the part of vermagic that the
//! kernel compares (kernel/module/version.c).

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Serialize;

use kmodfile::config::Config;
use kmodfile::crc::Crc;
use kmodfile::module::Module;
use kmodfile::symvers;

/// What a kernel exports to modules.
#[derive(Clone, Debug, Default)]
pub struct Kabi {
    exports: HashMap<String, Crc>,
}

/// A symbol that differs from what the module was built against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SymbolDifference {
    /// Its name.
    pub symbol: String,
    /// Its CRC in the module.
    pub module: Crc,
    /// Its CRC in the kernel; `None` if it is not exported.
    pub kernel: Option<Crc>,
}

impl fmt::Display for SymbolDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kernel {
            Some(kernel) => {
                write!(f, "{}: {} in the module, {kernel} in the kernel", self.symbol, self.module)
            }
            None => write!(f, "{}: not exported", self.symbol),
        }
    }
}

impl Kabi {
    /// Reads the text of a `Module.symvers`.
    pub fn of_symvers(text: &str) -> Self {
        let exports = symvers::parse(text).map(|export| (export.symbol.to_owned(), export.crc));
        Self { exports: exports.collect() }
    }

    /// The same kernel with `modules` loaded, including what they export.
    #[must_use]
    pub fn with<'a>(mut self, modules: impl IntoIterator<Item = &'a Module>) -> Self {
        for export in modules.into_iter().flat_map(|module| &module.exports) {
            if let Some(crc) = export.crc {
                self.exports.insert(export.symbol.clone(), crc);
            }
        }
        self
    }

    /// The symbols in which `module` differs, by name. A weak import may be missing.
    pub fn differences(&self, module: &Module) -> Vec<SymbolDifference> {
        let weak = |symbol: &str| module.imports.iter().any(|import| import.symbol == symbol && import.weak);
        let differs = |(symbol, crc): (&str, Crc)| {
            let kernel = self.exports.get(symbol).copied();
            let fits = kernel == Some(crc) || (kernel.is_none() && weak(symbol));
            (!fits).then(|| SymbolDifference { symbol: symbol.to_owned(), module: crc, kernel })
        };
        module.versions.all().filter_map(differs).collect()
    }
}

/// The words of vermagic after the release, for a kernel with this configuration
/// (include/linux/vermagic.h, and asm/vermagic.h of each architecture).
pub fn vermagic_words(config: &Config) -> String {
    let preempt = match (config.is_yes("CONFIG_PREEMPT_RT"), config.is_yes("CONFIG_PREEMPT_BUILD")) {
        (true, _) => "preempt_rt",
        (false, true) => "preempt",
        (false, false) => "",
    };
    let option = |name: &str, word: &'static str| if config.is_yes(name) { word } else { "" };
    let words = [
        option("CONFIG_SMP", "SMP"),
        preempt,
        option("CONFIG_MODULE_UNLOAD", "mod_unload"),
        option("CONFIG_MODVERSIONS", "modversions"),
        option("CONFIG_ARM64", "aarch64"),
    ];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Why a module would not load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Obstacle {
    /// The module or the kernel has no CRCs: then a module is for one release only.
    NoVersions,
    /// The words of vermagic differ.
    Vermagic {
        /// The module's.
        module: String,
        /// The kernel's.
        kernel: String,
    },
    /// Symbols differ.
    Symbols(Vec<SymbolDifference>),
}

/// Why `module` would not load into a kernel; `None` if it would.
pub fn obstacle(module: &Module, kabi: &Kabi, config: &Config) -> Option<Obstacle> {
    if !module.versions.present() || !config.is_yes("CONFIG_MODVERSIONS") {
        return Some(Obstacle::NoVersions);
    }
    let vermagic = module.modinfo.get("vermagic").unwrap_or_default();
    let words = vermagic.split_whitespace().skip(1).collect::<Vec<_>>().join(" ");
    let kernel = vermagic_words(config);
    if words != kernel {
        return Some(Obstacle::Vermagic { module: words, kernel });
    }
    let differences = kabi.differences(module);
    (!differences.is_empty()).then_some(Obstacle::Symbols(differences))
}

/// Counts the symbols that are changed or missing in a kernel, for a table.
pub fn counts(differences: &[SymbolDifference]) -> BTreeMap<&'static str, usize> {
    let kind =
        |difference: &SymbolDifference| if difference.kernel.is_some() { "changed" } else { "missing" };
    let mut counts = BTreeMap::new();
    differences.iter().for_each(|difference| *counts.entry(kind(difference)).or_default() += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use kmodfile::modinfo::Modinfo;
    use kmodfile::module::Import;
    use kmodfile::versions::Versions;

    const CONFIG: &str =
        "CONFIG_SMP=y\nCONFIG_PREEMPT_BUILD=y\nCONFIG_MODULE_UNLOAD=y\nCONFIG_MODVERSIONS=y\n";

    fn module(crcs: &[(&str, u32)], vermagic: &str) -> Module {
        let versions = crcs.iter().map(|(symbol, crc)| ((*symbol).to_owned(), Crc(*crc))).collect();
        Module {
            modinfo: Modinfo::parse(format!("vermagic={vermagic} \0").as_bytes()),
            architecture: "x86_64".into(),
            imports: vec![Import { symbol: "weak".into(), weak: true }],
            versions: Versions { basic: Some(versions), extended: None },
            symbols: true,
            struct_module: 64,
            ..Module::default()
        }
    }

    const VERMAGIC: &str = "6.12.94 SMP preempt mod_unload modversions";

    fn kabi() -> Kabi {
        Kabi::of_symvers(
            "0x00000001\tone\tvmlinux\tEXPORT_SYMBOL\t\n0x00000002\ttwo\tfs/x\tEXPORT_SYMBOL\t\n",
        )
    }

    #[test]
    fn equal_crcs_load_whatever_the_release() {
        let module = module(&[("one", 1), ("two", 2), ("weak", 3)], VERMAGIC);
        assert_eq!(obstacle(&module, &kabi(), &Config::parse(CONFIG)), None);
    }

    #[test]
    fn what_differs_is_named() {
        let module = module(&[("one", 9), ("three", 3)], VERMAGIC);
        let Some(Obstacle::Symbols(all)) = obstacle(&module, &kabi(), &Config::parse(CONFIG)) else {
            panic!()
        };
        let text: Vec<_> = all.iter().map(SymbolDifference::to_string).collect();
        assert_eq!(text, ["one: 0x00000009 in the module, 0x00000001 in the kernel", "three: not exported"]);
        assert_eq!(counts(&all), [("changed", 1), ("missing", 1)].into());
    }

    #[test]
    fn vermagic_and_the_lack_of_crcs_are_obstacles() {
        let fits = module(&[("one", 1)], VERMAGIC);
        let rt = CONFIG.replace("PREEMPT_BUILD", "PREEMPT_RT");
        let Some(Obstacle::Vermagic { kernel, .. }) = obstacle(&fits, &kabi(), &Config::parse(&rt)) else {
            panic!()
        };
        assert_eq!(kernel, "SMP preempt_rt mod_unload modversions");
        let without = CONFIG.replace("CONFIG_MODVERSIONS=y\n", "");
        assert_eq!(obstacle(&fits, &kabi(), &Config::parse(&without)), Some(Obstacle::NoVersions));
    }
}
