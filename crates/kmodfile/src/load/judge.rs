// SPDX-License-Identifier: GPL-2.0
//! Compares a module with a kernel, rule by rule.

use crate::exports::Export;
use crate::load::answer::{Answer, Note, Refusal, Resolved};
use crate::load::target::{Exported, LoadTarget, Signatures, VMLINUX};
use crate::module::{Import, Module};
use crate::name;
use crate::packing::Packing;
use crate::signature::Trailer;

/// Licences compatible with the GPL (include/linux/license.h).
const GPL_COMPATIBLE: &[&str] =
    &["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

/// An undefined symbol that some assemblers leave behind and x86 kernels ignore.
const PASSED_OVER: &str = "_GLOBAL_OFFSET_TABLE_";

/// The symbol whose CRC stands for the layout of the kernel's `struct module`.
const LAYOUT: &str = "module_layout";

/// So much memory unpacking may need without a word about it: with the dictionary of xz -9.
const USUAL_MEMORY: u64 = 64 << 20;

impl LoadTarget {
    /// Whether this kernel would load `module`, not compressed; if not, every reason why, not only
    /// the first.
    pub fn judge(&self, module: &Module) -> Answer {
        self.judge_packed(module, None)
    }

    /// The same for a module whose file is packed so.
    pub fn judge_packed(&self, module: &Module, packing: Option<&Packing>) -> Answer {
        let mut judging = Judging { target: self, module, answer: Answer::default() };
        judging.shape();
        judging.vermagic();
        judging.versions();
        judging.imports();
        judging.exports();
        judging.signature();
        packing.into_iter().for_each(|packing| judging.packing(packing));
        judging.answer
    }
}

struct Judging<'a> {
    target: &'a LoadTarget,
    module: &'a Module,
    answer: Answer,
}

impl Judging<'_> {
    fn refuse(&mut self, refusal: Refusal) {
        self.answer.refusals.push(refusal);
    }

    fn note(&mut self, note: Note) {
        self.answer.notes.push(note);
    }

    fn packing(&mut self, packing: &Packing) {
        let unpacker = self.target.unpacker.as_ref();
        self.answer.refusals.extend(Refusal::of_packing(packing, unpacker, self.target.kmod.as_ref()));
        let bytes = unpacker.map_or(0, |kernel| kernel.memory(packing));
        if bytes > USUAL_MEMORY {
            self.note(Note::Memory { bytes });
        }
    }

    /// What the ELF file must look like.
    fn shape(&mut self) {
        let (module, target) = (self.module, self.target);
        if module.architecture != target.architecture {
            let (is, must_be) = (module.architecture.clone(), target.architecture.clone());
            self.refuse(Refusal::Architecture { is, must_be });
        } else if module.struct_module != target.struct_module {
            let (is, must_be) = (module.struct_module, target.struct_module);
            self.refuse(Refusal::StructModule { is, must_be });
        }
        if !module.symbols {
            self.refuse(Refusal::NoSymbolTable);
        }
        if module.modinfo.get("livepatch").is_some() && !target.livepatch {
            self.refuse(Refusal::Livepatch);
        }
    }

    fn vermagic(&mut self) {
        if !self.target.has_vermagic_of(self.module) {
            let (is, must_be) = (self.module.modinfo.get("vermagic"), self.target.vermagic.clone());
            self.refuse(Refusal::Vermagic { is: is.map(str::to_owned), must_be });
        }
    }

    fn versions(&mut self) {
        if !self.target.modversions {
            return;
        }
        if !self.module.versions.present() {
            self.refuse(Refusal::NoVersions);
        } else if let Some(layout) = self.target.exports.get(LAYOUT) {
            self.version(LAYOUT, layout);
        }
    }

    /// Compares one symbol's CRC.
    fn version(&mut self, symbol: &str, exported: &Exported) {
        let versions = &self.module.versions;
        let must_be = exported.crc;
        if !self.target.modversions || !versions.present() {
            return;
        }
        match versions.get(symbol) {
            Some(is) if is == must_be => {}
            Some(is) => {
                let (symbol, exporter) = (symbol.to_owned(), exported.module.clone());
                self.refuse(Refusal::Crc { symbol, exporter, is, must_be });
            }
            // Among extended versions, the kernel lets one be missing.
            None if versions.extended.is_some() => {}
            None => self.refuse(Refusal::NoCrc { symbol: symbol.to_owned() }),
        }
    }

    fn imports(&mut self) {
        if !self.target.exports_known {
            return;
        }
        for import in &self.module.imports {
            self.import(import);
        }
    }

    fn import(&mut self, import: &Import) {
        let symbol = import.symbol.clone();
        let Some(exported) = self.target.exports.get(&import.symbol) else {
            if !import.weak && import.symbol != PASSED_OVER {
                self.refuse(Refusal::Unresolved { symbol });
            }
            return;
        };
        self.answer.imports.push(Resolved { symbol: symbol.clone(), exporter: exported.module.clone() });
        if !self.target.has(&exported.module) {
            let exporter = exported.module.clone();
            return self.refuse(Refusal::NotShipped { symbol, exporter });
        }
        let licence = self.module.modinfo.get("license").unwrap_or("unspecified");
        if exported.gpl_only && !GPL_COMPATIBLE.contains(&licence) {
            // For this module the symbol does not exist, so nothing else is compared.
            return self.refuse(Refusal::GplOnly { symbol, licence: licence.to_owned() });
        }
        self.version(&import.symbol, exported);
        if !self.may_use(&exported.namespace) {
            let namespace = exported.namespace.clone();
            match self.target.namespaces_required {
                true => self.refuse(Refusal::Namespace { symbol, namespace }),
                false => self.note(Note::Namespace { symbol, namespace }),
            }
        }
    }

    /// Whether the module imports `namespace`, or is one of the modules that it is meant for.
    fn may_use(&self, namespace: &str) -> bool {
        let imported = || self.module.modinfo.all("import_ns").any(|import| import == namespace);
        namespace.is_empty() || is_for(namespace, &self.module.name().unwrap_or_default()) || imported()
    }

    fn exports(&mut self) {
        let name = self.module.name();
        for Export { symbol, .. } in &self.module.exports {
            let other = self.target.exports.get(symbol).map(|exported| exported.module.as_str());
            match other {
                None => {}
                Some(other) if Some(other) == name.as_deref() => {}
                Some(VMLINUX) => self.refuse(Refusal::Exported { symbol: symbol.clone() }),
                Some(other) => {
                    self.note(Note::AlsoExported { symbol: symbol.clone(), exporter: other.to_owned() });
                }
            }
        }
    }

    fn signature(&mut self) {
        let enforced = match self.target.signatures {
            None | Some(Signatures::Unknown) => return,
            Some(Signatures::Wanted { secure_boot }) => Err(secure_boot),
            Some(Signatures::Enforced) => Ok(()),
        };
        match (&self.module.signature, enforced) {
            (Trailer::Malformed(why), _) => self.refuse(Refusal::Signature { why: why.clone() }),
            (Trailer::Unsigned, Ok(())) => self.refuse(Refusal::Unsigned),
            (Trailer::Unsigned, Err(secure_boot)) => self.note(Note::Unsigned { secure_boot }),
            (Trailer::Signed(signature), _) => {
                let own = |key: &Vec<u8>| signature.signers.iter().any(|signer| signer.key.bytes() == key);
                if !self.target.own_keys.iter().any(own) {
                    let signer = &signature.signers[0];
                    let (signer, key) = (signer.name.clone().unwrap_or_default(), signer.key.to_string());
                    self.note(Note::ForeignKey { signer, key });
                }
            }
        }
    }
}

/// Whether a namespace of the form `module:a,b-*` names this module; a star stands for any ending.
fn is_for(namespace: &str, module: &str) -> bool {
    let Some(names) = namespace.strip_prefix("module:") else { return false };
    names.split(',').any(|name| match name.strip_suffix('*') {
        Some(beginning) => name::loaded(module).starts_with(&name::loaded(beginning)),
        None => name::loaded(name) == name::loaded(module),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::crc::Crc;
    use crate::modinfo::Modinfo;
    use crate::versions::Versions;

    const SYMVERS: &str = "\
0x00000001\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t
0x00000002\tprintk\tvmlinux\tEXPORT_SYMBOL\t
0x00000003\tgpl\tvmlinux\tEXPORT_SYMBOL_GPL\t
0x00000004\tspaced\tfs/some/spaced\tEXPORT_SYMBOL_GPL\tSPACE
0x00000005\tprivate\tarch/x86/kvm/kvm\tEXPORT_SYMBOL_GPL\tmodule:kvm-amd,kvm-i*
";

    fn module(modinfo: &str, imports: &[&str]) -> Module {
        let import = |symbol: &&str| Import { symbol: (*symbol).to_owned(), weak: false };
        Module {
            modinfo: Modinfo::parse(modinfo.as_bytes()),
            architecture: "x86_64".into(),
            imports: imports.iter().map(import).collect(),
            symbols: true,
            struct_module: 64,
            ..Module::default()
        }
    }

    const GOOD: &str = "name=m\0license=GPL\0vermagic=7.2.1 SMP mod_unload ";

    fn kernel(config: &str) -> LoadTarget {
        LoadTarget::new(&Config::parse(config), SYMVERS, &module(GOOD, &[]))
    }

    /// A module that carries these CRCs.
    fn versioned(modinfo: &str, imports: &[&str], crcs: &[(&str, u32)]) -> Module {
        let crcs = crcs.iter().map(|(symbol, crc)| ((*symbol).to_owned(), Crc(*crc)));
        let versions = Versions { basic: Some(crcs.collect()), extended: None };
        Module { versions, ..module(modinfo, imports) }
    }

    /// The only reason why not.
    #[track_caller]
    fn refusal(target: &LoadTarget, module: &Module) -> String {
        let answer = target.judge(module);
        assert_eq!(answer.refusals.len(), 1, "{:?}", answer.refusals);
        answer.refusals[0].to_string()
    }

    #[test]
    fn what_fits_would_load() {
        let answer = kernel("").judge(&module(GOOD, &["printk", "gpl", "_GLOBAL_OFFSET_TABLE_"]));
        assert!(answer.loads() && answer.notes.is_empty(), "{answer:?}");
        assert_eq!(answer.imports[1], Resolved { symbol: "gpl".into(), exporter: "vmlinux".into() });
    }

    #[test]
    fn each_reason_is_given() {
        let target = kernel("");
        let name = |rest: &str| format!("name=m\0{rest}");
        for (module, reason) in [
            (Module { architecture: "aarch64".into(), ..module(GOOD, &[]) }, "aarch64"),
            (Module { struct_module: 63, ..module(GOOD, &[]) }, "63 bytes"),
            (Module { symbols: false, ..module(GOOD, &[]) }, "symbol table"),
            (module(&GOOD.replace("7.2.1", "7.2.2"), &[]), "7.2.2"),
            (module("name=m\0license=GPL", &[]), "no vermagic"),
            (module(&format!("{GOOD}\0livepatch=Y"), &[]), "livepatch"),
            (module(GOOD, &["nowhere"]), "nowhere"),
            (module(&name("license=Proprietary\0vermagic=7.2.1 SMP mod_unload "), &["gpl"]), "Proprietary"),
            (module(&name("vermagic=7.2.1 SMP mod_unload "), &["gpl"]), "unspecified"),
            (module(GOOD, &["spaced"]), "namespace SPACE"),
            (module(GOOD, &["private"]), "module:kvm-amd"),
        ] {
            let text = refusal(&target, &module);
            assert!(text.contains(reason), "{reason}: {text}");
        }
        assert_eq!(target.judge(&module("", &["nowhere", "spaced", "gpl"])).refusals.len(), 4);
    }

    #[test]
    fn what_exports_must_be_installed() {
        let mut target = kernel("");
        let imports = module(&format!("{GOOD}\0import_ns=SPACE"), &["spaced", "printk"]);
        assert!(target.judge(&imports).loads());
        target.modules = Some(["other".to_owned()].into());
        assert!(refusal(&target, &imports).contains("of module spaced"));
        target.modules = Some(["spaced".to_owned()].into());
        assert!(target.judge(&imports).loads());
    }

    #[test]
    fn what_is_not_known_of_a_kernel_refuses_nothing() {
        let own = module(GOOD, &[]);
        let foreign = module(&format!("{GOOD}\0livepatch=Y"), &["nowhere", "spaced"]);
        let target = LoadTarget::as_far_as_known(None, None, &own);
        assert_eq!(target.judge(&foreign), Answer::default());
        assert!(refusal(&target, &module(&GOOD.replace("7.2.1", "7.2.2"), &[])).contains("vermagic"));
        // That it enforces signatures may be known from elsewhere.
        assert_eq!(target.secured().judge(&foreign).refusals, [Refusal::Unsigned]);
        // Its own modules show that they carry CRCs.
        let target = LoadTarget::as_far_as_known(None, Some(SYMVERS), &versioned(GOOD, &[], &[]));
        let other = versioned(GOOD, &["printk"], &[("module_layout", 1), ("printk", 9)]);
        assert!(refusal(&target, &other).contains("0x00000009"));
        let answer = LoadTarget::as_far_as_known(None, Some(SYMVERS), &own).judge(&module(GOOD, &["spaced"]));
        assert!(answer.loads() && answer.notes.len() == 1, "{answer:?}");
    }

    #[test]
    fn a_weak_import_may_be_missing() {
        let mut module = module(GOOD, &["nowhere"]);
        module.imports[0].weak = true;
        assert!(kernel("").judge(&module).loads());
    }

    #[test]
    fn namespaces_are_imported_or_name_the_module() {
        let imports = module(&format!("{GOOD}\0import_ns=X\0import_ns=SPACE"), &["spaced"]);
        assert!(kernel("").judge(&imports).loads());
        let lenient = kernel("CONFIG_MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS=y\n");
        let answer = lenient.judge(&module(GOOD, &["spaced"]));
        assert!(answer.loads() && answer.notes.len() == 1);
        for (name, may) in
            [("kvm_amd", true), ("kvm-amd", true), ("kvm_intel", true), ("kvm", false), ("kvm_amd2", false)]
        {
            assert_eq!(is_for("module:kvm-amd,kvm-i*", name), may, "{name}");
        }
    }

    #[test]
    fn crcs_are_compared_where_the_kernel_has_them() {
        let target = kernel("CONFIG_MODVERSIONS=y\n");
        let fits = [("module_layout", 1), ("printk", 2)];
        assert!(target.judge(&versioned(GOOD, &["printk"], &fits)).loads());
        // With CRCs, another release may be the same.
        assert!(target.judge(&versioned(&GOOD.replace("7.2.1", "7.2.9"), &["printk"], &fits)).loads());
        let other = versioned(GOOD, &["printk"], &[("module_layout", 1), ("printk", 9)]);
        let text = refusal(&target, &other);
        assert!(text.contains("0x00000009") && text.contains("0x00000002"), "{text}");
        assert!(kernel("").judge(&other).loads());
        assert!(refusal(&target, &versioned(GOOD, &["printk"], &fits[..1])).contains("no CRC of printk"));
        assert!(refusal(&target, &versioned(GOOD, &[], &[("module_layout", 7)])).contains("module_layout"));
        assert!(refusal(&target, &module(GOOD, &["printk"])).contains("carries no CRCs"));
    }

    #[test]
    fn a_missing_extended_version_is_accepted() {
        let target = kernel("CONFIG_MODVERSIONS=y\n");
        let mut module = versioned(GOOD, &["printk"], &[]);
        module.versions.extended = Some([("module_layout".to_owned(), Crc(1))].into());
        assert!(target.judge(&module).loads());
    }

    fn export(symbol: &str) -> Export {
        Export { symbol: symbol.into(), namespace: String::new(), gpl_only: false, crc: None }
    }

    #[test]
    fn what_another_exports_cannot_be_exported() {
        let mut module = module(GOOD, &[]);
        module.exports = vec![export("printk")];
        assert!(refusal(&kernel(""), &module).contains("printk"));
        module.exports = vec![export("spaced")];
        assert!(matches!(kernel("").judge(&module).notes[0], Note::AlsoExported { .. }));
        // A newer build of a module exports what the older one did.
        module.modinfo = Modinfo::parse(GOOD.replace("name=m", "name=spaced").as_bytes());
        assert!(kernel("").judge(&module).notes.is_empty());
    }

    #[test]
    fn exports_of_modules_that_are_loaded_before_count() {
        let mut target = kernel("");
        let mut first = module(GOOD, &[]);
        first.exports = vec![export("first_does")];
        let second = module(&GOOD.replace("name=m", "name=second"), &["first_does"]);
        assert!(!target.judge(&second).loads());
        target.also([&first]);
        assert_eq!(target.judge(&second).imports[0].exporter, "m");
        assert!(target.judge(&first).loads());
        // A module for another kernel does not count.
        let mut target = kernel("");
        first.modinfo = Modinfo::parse(GOOD.replace("7.2.1", "7.2.2").as_bytes());
        target.also([&first]);
        assert!(!target.judge(&second).loads());
    }

    #[test]
    fn the_kernel_decides_about_signatures() {
        let wanted = "CONFIG_MODULE_SIG=y\nCONFIG_LOCK_DOWN_IN_EFI_SECURE_BOOT=y\n";
        let unsigned = module(GOOD, &[]);
        assert!(kernel("").judge(&unsigned).notes.is_empty());
        assert_eq!(kernel(wanted).judge(&unsigned).notes, [Note::Unsigned { secure_boot: true }]);
        assert!(refusal(&kernel(wanted).secured(), &unsigned).contains("not signed"));
        assert!(
            refusal(&kernel(&format!("{wanted}CONFIG_MODULE_SIG_FORCE=y\n")), &unsigned)
                .contains("not signed")
        );
        let malformed = Module { signature: Trailer::Malformed("why".into()), ..unsigned };
        assert!(refusal(&kernel(wanted), &malformed).contains("why"));
        assert!(kernel("").judge(&malformed).loads());
    }
}
