// SPDX-License-Identifier: GPL-2.0
//! The answer to whether a kernel would load a module, and why not.

use std::fmt;

use serde::Serialize;

use crate::compression::Compression;
use crate::crc::Crc;
use crate::load::unpacking::{KernelUnpacker, Kmod, PackingFault, Unpacker, kmod_faults};
use crate::packing::Packing;

/// Whether a kernel would load a module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Every reason why it would not; if there is none, it would.
    pub refusals: Vec<Refusal>,
    /// What the user should know even so.
    pub notes: Vec<Note>,
    /// What the module imports, and who exports it.
    pub imports: Vec<Resolved>,
}

/// An imported symbol, and who exports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// The symbol.
    pub symbol: String,
    /// A module, or `vmlinux`.
    pub exporter: String,
}

/// A reason why a kernel refuses a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is explained by its text (Display)")]
pub enum Refusal {
    Architecture { is: String, must_be: String },
    StructModule { is: u64, must_be: u64 },
    NoSymbolTable,
    Livepatch,
    Vermagic { is: Option<String>, must_be: String },
    NoVersions,
    NoCrc { symbol: String },
    Crc { symbol: String, exporter: String, is: Crc, must_be: Crc },
    Unresolved { symbol: String },
    NotShipped { symbol: String, exporter: String },
    GplOnly { symbol: String, licence: String },
    Namespace { symbol: String, namespace: String },
    Exported { symbol: String },
    Unsigned,
    Signature { why: String },
    Unpacking { by: Unpacker, compression: Compression, fault: PackingFault },
}

/// What the user should know of a module that would be loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "note", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is explained by its text (Display)")]
pub enum Note {
    Unsigned { secure_boot: bool },
    ForeignKey { signer: String, key: String },
    AlsoExported { symbol: String, exporter: String },
    Namespace { symbol: String, namespace: String },
    Memory { bytes: u64 },
}

impl Answer {
    /// Whether the kernel would load it.
    pub fn loads(&self) -> bool {
        self.refusals.is_empty()
    }
}

impl Refusal {
    /// Every reason why a module that is packed so cannot be unpacked where it is to be loaded:
    /// by `kernel`, if that unpacks modules itself, and by `kmod`, which reads it in any case.
    pub fn of_packing(packing: &Packing, kernel: Option<&KernelUnpacker>, kmod: Option<&Kmod>) -> Vec<Self> {
        let compression = packing.compression();
        let of = |by| move |fault| Self::Unpacking { by, compression, fault };
        let kernel = kernel.into_iter().flat_map(|kernel| kernel.faults(packing));
        let kmod = kmod_faults(packing, kmod).into_iter();
        kernel.map(of(Unpacker::Kernel)).chain(kmod.map(of(Unpacker::Kmod))).collect()
    }

    /// How the module is packed again, if how it is packed is the reason.
    pub fn repacking(&self) -> Option<String> {
        let Self::Unpacking { compression, fault, .. } = self else { return None };
        let (program, command) = (compression.program(), compression.command());
        Some(match fault {
            PackingFault::Format => format!("leave it uncompressed: {program} -d"),
            _ => format!("decompress it ({program} -d), and compress it again: {command}"),
        })
    }

    /// Whether the same kernel may load the same module at another time: what the module needs may
    /// get installed, and signatures need not be enforced at every boot. All else is decided by the
    /// two files.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unresolved { .. } | Self::NotShipped { .. } | Self::Unsigned => true,
            Self::Architecture { .. }
            | Self::StructModule { .. }
            | Self::NoSymbolTable
            | Self::Livepatch
            | Self::Vermagic { .. }
            | Self::NoVersions
            | Self::NoCrc { .. }
            | Self::Crc { .. }
            | Self::GplOnly { .. }
            | Self::Namespace { .. }
            | Self::Exported { .. }
            | Self::Signature { .. }
            | Self::Unpacking { .. } => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Architecture { is, must_be } => write!(f, "it is for {is}, the kernel is for {must_be}"),
            Self::StructModule { is, must_be } => {
                write!(f, "its struct module is {is} bytes, the kernel's is {must_be}")
            }
            Self::NoSymbolTable => {
                write!(f, "it has no symbol table: more than its debug information was stripped")
            }
            Self::Livepatch => write!(f, "it is a livepatch, and the kernel has no CONFIG_LIVEPATCH"),
            Self::Vermagic { is: Some(is), must_be } => {
                write!(f, "its vermagic is {is:?}, the kernel's is {must_be:?}")
            }
            Self::Vermagic { is: None, must_be } => {
                write!(f, "it has no vermagic, the kernel's is {must_be:?}")
            }
            Self::NoVersions => write!(f, "it carries no CRCs, and the kernel has CONFIG_MODVERSIONS"),
            Self::NoCrc { symbol } => {
                write!(
                    f,
                    "it carries no CRC of {symbol}: when it was built, Module.symvers was missing or lacked it"
                )
            }
            Self::Crc { symbol, exporter, is, must_be } => {
                write!(f, "it was built for {symbol} with CRC {is}, {exporter} exports it with {must_be}")
            }
            Self::Unresolved { symbol } => write!(f, "it needs {symbol}, which nothing exports"),
            Self::NotShipped { symbol, exporter } => {
                write!(
                    f,
                    "it needs {symbol} of module {exporter}, which the kernel's packages do not contain"
                )
            }
            Self::GplOnly { symbol, licence } => {
                write!(f, "it needs {symbol}, exported for the GPL only, and its licence is {licence:?}")
            }
            Self::Namespace { symbol, namespace } => {
                write!(f, "it needs {symbol} of namespace {namespace}, which it does not import")
            }
            Self::Exported { symbol } => write!(f, "it exports {symbol}, which the kernel exports itself"),
            Self::Unsigned => write!(f, "it is not signed, and the kernel enforces signatures"),
            Self::Signature { why } => write!(f, "its signature cannot be read: {why}"),
            Self::Unpacking { by, compression, fault: PackingFault::Format } => {
                write!(
                    f,
                    "it is compressed with {}, and {by} does not know that: {}",
                    compression.program(),
                    PackingFault::Format
                )
            }
            Self::Unpacking { by, compression, fault } => {
                let (program, command) = (compression.program(), compression.command());
                write!(f, "its {program} is not what {by} takes: {fault}; compress it with: {command}")
            }
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned { secure_boot: true } => {
                write!(f, "not signed: it taints the kernel, which refuses it under Secure Boot")
            }
            Self::Unsigned { secure_boot: false } => write!(f, "not signed: it taints the kernel"),
            Self::ForeignKey { signer, key } => write!(
                f,
                "signed by {signer:?} (key {key}), not by the kernel's own key: trusted where that certificate is enrolled"
            ),
            Self::AlsoExported { symbol, exporter } => {
                write!(f, "{symbol} is also exported by {exporter}: only one of the two can be loaded")
            }
            Self::Namespace { symbol, namespace } => {
                write!(f, "{symbol} is of namespace {namespace}, which it does not import: the kernel warns")
            }
            Self::Memory { bytes } => {
                write!(
                    f,
                    "to unpack it the kernel needs {} MiB of memory in one piece",
                    bytes.div_ceil(1 << 20)
                )
            }
        }
    }
}
