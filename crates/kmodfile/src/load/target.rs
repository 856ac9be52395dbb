// SPDX-License-Identifier: GPL-2.0
//! The kernel that a module is to be loaded into, as far as loading depends on it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::config::Config;
use crate::crc::Crc;
use crate::load::unpacking::{KernelUnpacker, Kmod};
use crate::module::Module;
use crate::{name, symvers};

/// How `Module.symvers` calls the kernel itself.
pub const VMLINUX: &str = "vmlinux";

/// The kernel that a module is to be loaded into: what it demands of a module. Much of that one of
/// its own modules tells: vermagic, architecture, the size of its `struct module`, its signing key.
#[derive(Clone, Debug)]
pub struct LoadTarget {
    pub(super) vermagic: String,
    pub(super) architecture: String,
    pub(super) struct_module: u64,
    pub(super) exports: HashMap<String, Exported>,
    /// Whether `exports` is all that the kernel exports.
    pub(super) exports_known: bool,
    /// The modules that are installed, where that is known: `Module.symvers` lists what was built,
    /// which may be more.
    pub(super) modules: Option<BTreeSet<String>>,
    pub(super) modversions: bool,
    pub(super) livepatch: bool,
    pub(super) namespaces_required: bool,
    pub(super) signatures: Option<Signatures>,
    pub(super) own_keys: Vec<Vec<u8>>,
    pub(super) unpacker: Option<KernelUnpacker>,
    pub(super) kmod: Option<Kmod>,
}

/// A symbol that the kernel or another module exports.
#[derive(Clone, Debug)]
pub(super) struct Exported {
    pub(super) crc: Crc,
    pub(super) gpl_only: bool,
    pub(super) namespace: String,
    /// The module that exports it, by the name it has when loaded, or [`VMLINUX`].
    pub(super) module: String,
}

/// What a kernel does about signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signatures {
    /// It does not know them.
    Unknown,
    /// An unsigned module taints it; under Secure Boot it may be refused.
    Wanted { secure_boot: bool },
    /// An unsigned module is refused.
    Enforced,
}

impl LoadTarget {
    /// A kernel of this configuration, with the text of its `Module.symvers`. `own` is any one of
    /// its own modules.
    pub fn new(config: &Config, symvers: &str, own: &Module) -> Self {
        Self::as_far_as_known(Some(config), Some(symvers), own)
    }

    /// A kernel of which less may be known. Then nothing is demanded that the kernel might not
    /// demand: without a `Module.symvers` no import is looked up, without a configuration no
    /// signature is missed.
    pub fn as_far_as_known(config: Option<&Config>, symvers: Option<&str>, own: &Module) -> Self {
        let mut exports = HashMap::new();
        for export in symvers.into_iter().flat_map(symvers::parse) {
            let exported = Exported {
                crc: export.crc,
                gpl_only: export.gpl_only,
                namespace: export.namespace.to_owned(),
                module: loaded_name(export.module),
            };
            exports.entry(export.symbol.to_owned()).or_insert(exported);
        }
        let signers = own.signature.signature().map(|signature| signature.signers.iter());
        Self {
            vermagic: own.modinfo.get("vermagic").unwrap_or_default().to_owned(),
            architecture: own.architecture.clone(),
            struct_module: own.struct_module,
            exports,
            exports_known: symvers.is_some(),
            modules: None,
            modversions: config.map_or(own.versions.present(), |config| config.is_yes("CONFIG_MODVERSIONS")),
            livepatch: config.is_none_or(|config| config.is_yes("CONFIG_LIVEPATCH")),
            namespaces_required: config
                .is_some_and(|config| !config.is_yes("CONFIG_MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS")),
            signatures: config.map(Signatures::of),
            own_keys: signers.into_iter().flatten().map(|signer| signer.key.bytes().to_vec()).collect(),
            unpacker: config.and_then(KernelUnpacker::of),
            kmod: None,
        }
    }

    /// The same kernel enforcing signatures: under Secure Boot, or with `module.sig_enforce=1` on
    /// its command line.
    #[must_use]
    pub fn secured(mut self) -> Self {
        if self.signatures != Some(Signatures::Unknown) {
            self.signatures = Some(Signatures::Enforced);
        }
        self
    }

    /// The same kernel with these modules installed, by the names they have when loaded.
    #[must_use]
    pub fn with_modules(self, names: BTreeSet<String>) -> Self {
        Self { modules: Some(names), ..self }
    }

    /// The same kernel in a system whose kmod is this one.
    #[must_use]
    pub fn with_kmod(self, kmod: Option<Kmod>) -> Self {
        Self { kmod, ..self }
    }

    /// Counts `modules` as loaded before, as far as they are for this kernel: what they export is
    /// there, and replaces what modules of the same names exported.
    pub fn also<'a>(&mut self, modules: impl IntoIterator<Item = &'a Module>) {
        let ours = modules
            .into_iter()
            .filter(|module| module.architecture == self.architecture && self.has_vermagic_of(module));
        let named = ours.filter_map(|module| Some((module.name()?, module)));
        let modules: BTreeMap<String, &Module> = named.collect();
        self.exports.retain(|_, exported| !modules.contains_key(&exported.module));
        for (name, module) in modules {
            self.modules.iter_mut().for_each(|there| there.extend([name.clone()]));
            for export in &module.exports {
                let exported = Exported {
                    crc: export.crc.unwrap_or(Crc(0)),
                    gpl_only: export.gpl_only,
                    namespace: export.namespace.clone(),
                    module: name.clone(),
                };
                self.exports.entry(export.symbol.clone()).or_insert(exported);
            }
        }
    }

    /// Whether `module` is installed, as far as is known.
    pub(super) fn has(&self, module: &str) -> bool {
        module == VMLINUX || self.modules.as_ref().is_none_or(|modules| modules.contains(module))
    }

    /// Whether vermagic is the kernel's. For a module with CRCs the release in it does not count.
    pub(super) fn has_vermagic_of(&self, module: &Module) -> bool {
        let compared = |vermagic: &str| match &module.versions.basic {
            Some(_) => vermagic.find(' ').map_or("", |blank| &vermagic[blank..]).to_owned(),
            None => vermagic.to_owned(),
        };
        module.modinfo.get("vermagic").map(compared) == Some(compared(&self.vermagic))
    }
}

impl Signatures {
    fn of(config: &Config) -> Self {
        match (config.is_yes("CONFIG_MODULE_SIG"), config.is_yes("CONFIG_MODULE_SIG_FORCE")) {
            (false, _) => Self::Unknown,
            (true, true) => Self::Enforced,
            (true, false) => {
                Self::Wanted { secure_boot: config.is_yes("CONFIG_LOCK_DOWN_IN_EFI_SECURE_BOOT") }
            }
        }
    }
}

/// The name that a module in `Module.symvers` has when loaded: `dns_x` for `fs/dns-x`.
fn loaded_name(path: &str) -> String {
    name::loaded(path.rsplit('/').next().unwrap_or(path))
}
