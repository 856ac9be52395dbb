// SPDX-License-Identifier: GPL-2.0
//! Why the kernel's module loader refused a module.

use std::fmt;

use serde::Serialize;
use vm_protocol::{Errno, LogLine};

/// Why the module loader refused a module; what the module's own initialisation returns is no
/// refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoaderRefusal {
    /// It has no signature, and the kernel insists on one.
    Unsigned,
    /// It is signed with a key that the kernel does not have.
    UnavailableKey,
    /// Its signature is made by means that the kernel does not know.
    UnsupportedSignature,
    /// Its signature is broken, is of another module, or is made with a key that is no longer
    /// valid.
    BadSignature,
    /// Lockdown forbids modules without a valid signature. It does not say what is wrong with this
    /// one's.
    Lockdown,
    /// It was built for another release, or for another configuration.
    VersionMagic,
    /// It uses a symbol that is not there.
    UnknownSymbol,
    /// It uses a symbol that is another than the one it was built with.
    SymbolVersion,
    /// It is not a module that this kernel can load.
    Malformed,
    /// Modules may not be loaded.
    NotPermitted,
}

/// Phrases of the kernel log and what they stand for (kernel/module/, security/lockdown/). The
/// first that is in a line decides, so the longer come first.
const PHRASES: &[(&str, LoaderRefusal)] = &[
    ("Loading of unsigned module is rejected", LoaderRefusal::Unsigned),
    ("Loading of module with unavailable key is rejected", LoaderRefusal::UnavailableKey),
    ("Loading of module with unsupported crypto is rejected", LoaderRefusal::UnsupportedSignature),
    ("Loading of ", LoaderRefusal::BadSignature),
    ("unsigned module loading is restricted", LoaderRefusal::Lockdown),
    ("disagrees about version of symbol", LoaderRefusal::SymbolVersion),
    ("no symbol version for", LoaderRefusal::SymbolVersion),
    ("version magic", LoaderRefusal::VersionMagic),
    ("Unknown symbol", LoaderRefusal::UnknownSymbol),
    ("Unknown rela", LoaderRefusal::Malformed),
];

impl LoaderRefusal {
    /// What the failure of a step that loads a module tells, given the kernel log since it began.
    /// None if it was not the loader that failed it.
    pub fn of(errno: Errno, log: &[LogLine]) -> Option<Self> {
        // The first line is the cause: a symbol of another version is reported as unknown besides.
        log.iter().find_map(|line| Self::told_by(&line.text)).or_else(|| Self::meant_by(errno))
    }

    /// What a line of the kernel log tells.
    fn told_by(line: &str) -> Option<Self> {
        PHRASES.iter().find(|(phrase, _)| line.contains(phrase)).map(|(_, refusal)| *refusal)
    }

    /// What an error stands for that a module's own initialisation does not return.
    fn meant_by(errno: Errno) -> Option<Self> {
        Some(match errno {
            Errno::ENOEXEC => Self::Malformed,
            Errno::ENOKEY => Self::UnavailableKey,
            Errno::ENOPKG => Self::UnsupportedSignature,
            Errno::EKEYREJECTED | Errno::EKEYEXPIRED | Errno::EKEYREVOKED | Errno::EBADMSG => {
                Self::BadSignature
            }
            Errno::EPERM => Self::NotPermitted,
            _ => return None,
        })
    }
}

impl fmt::Display for LoaderRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsigned => "not signed",
            Self::UnavailableKey => "signed with an unknown key",
            Self::UnsupportedSignature => "signed in an unknown way",
            Self::BadSignature => "bad signature",
            Self::Lockdown => "lockdown",
            Self::VersionMagic => "version magic",
            Self::UnknownSymbol => "unknown symbol",
            Self::SymbolVersion => "symbol version",
            Self::Malformed => "malformed",
            Self::NotPermitted => "not permitted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[&str]) -> Vec<LogLine> {
        lines.iter().map(|text| LogLine { level: 3, micros: 0, text: (*text).into() }).collect()
    }

    #[test]
    fn the_kernels_words_tell_refusals_apart_that_share_an_error() {
        let table: &[(Errno, &[&str], Option<LoaderRefusal>)] = &[
            (Errno::EKEYREJECTED, &["Loading of unsigned module is rejected"], Some(LoaderRefusal::Unsigned)),
            (
                Errno::EKEYREJECTED,
                &["Loading of module with unavailable key is rejected"],
                Some(LoaderRefusal::UnavailableKey),
            ),
            (Errno::EKEYREJECTED, &[], Some(LoaderRefusal::BadSignature)),
            (
                Errno::EPERM,
                &["Lockdown: init: unsigned module loading is restricted; see man kernel_lockdown.7"],
                Some(LoaderRefusal::Lockdown),
            ),
            (Errno::EPERM, &[], Some(LoaderRefusal::NotPermitted)),
            (Errno::ENOEXEC, &["x: version magic '7' should be '8'"], Some(LoaderRefusal::VersionMagic)),
            (Errno::ENOEXEC, &[], Some(LoaderRefusal::Malformed)),
            (Errno::ENOENT, &["x: Unknown symbol gone (err -2)"], Some(LoaderRefusal::UnknownSymbol)),
            (
                Errno::EINVAL,
                &["x: disagrees about version of symbol y", "x: Unknown symbol y (err -22)"],
                Some(LoaderRefusal::SymbolVersion),
            ),
            (Errno::ENODEV, &["x: loading out-of-tree module taints kernel."], None),
        ];
        for (errno, lines, expected) in table {
            assert_eq!(LoaderRefusal::of(*errno, &log(lines)), *expected, "{errno} {lines:?}");
        }
    }
}
