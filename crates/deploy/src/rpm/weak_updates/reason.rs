// SPDX-License-Identifier: GPL-2.0
//! Why a kernel has no link to a module.

use std::fmt;

use camino::Utf8PathBuf;
use serde::Serialize;

use kmodfile::load::answer::Refusal;
use kmodfile::release::Release;

/// A module that a kernel has no link to, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotLinked {
    /// The kernel.
    pub kernel: Release,
    /// The module's file, as seen on the system itself.
    pub module: Utf8PathBuf,
    /// Every reason.
    pub reasons: Vec<WhyNot>,
}

impl NotLinked {
    /// Whether there is nothing wrong: the kernel has the module, from elsewhere.
    pub fn is_served(&self) -> bool {
        self.reasons.iter().all(|why| matches!(why, WhyNot::Own { .. } | WhyNot::Other { .. }))
    }
}

impl fmt::Display for NotLinked {
    /// In one line, with the first of the reasons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} out of {}: ", self.module, self.kernel)?;
        let Some((first, more)) = self.reasons.split_first() else { return f.write_str("for no reason") };
        write!(f, "{first}")?;
        match more.len() {
            0 => Ok(()),
            more => write!(f, "; and {} (-v)", report::counted(more, "more reason", "more reasons")),
        }
    }
}

/// A reason why a kernel has no link to a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum WhyNot {
    /// The kernel would not load it.
    Kernel(Refusal),
    /// It needs another module that is not linked.
    Needs {
        /// The symbol.
        symbol: String,
        /// The file of the module that exports it.
        of: Utf8PathBuf,
    },
    /// It and others import from one another.
    Circle {
        /// All of them.
        of: Vec<Utf8PathBuf>,
    },
    /// Another of its package would not load.
    Package {
        /// That one's file.
        of: Utf8PathBuf,
    },
    /// The kernel has a module of that name of its own.
    Own {
        /// Its file.
        file: Utf8PathBuf,
    },
    /// Another build of the module is linked.
    Other {
        /// Its file.
        file: Utf8PathBuf,
    },
    /// It cannot be read.
    Damaged {
        /// What is wrong with it.
        reason: String,
    },
    /// It is no longer there.
    Gone,
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(refusal) => write!(f, "{refusal}"),
            Self::Needs { symbol, of } => write!(f, "it needs {symbol} of {of}, which is not linked either"),
            Self::Circle { of } => {
                let of: Vec<&str> = of.iter().map(|file| file.as_str()).collect();
                write!(f, "{} import from one another in a circle, so that none loads first", of.join(", "))
            }
            Self::Package { of } => write!(f, "{of} of the same package would not load"),
            Self::Own { file } => write!(f, "the kernel has {file} of its own"),
            Self::Other { file } => write!(f, "the kernel has a link to {file}"),
            Self::Damaged { reason } => f.write_str(reason),
            Self::Gone => f.write_str("it is not there any more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_has_the_first_reason_and_how_many_there_are() {
        let unresolved = |symbol: &str| WhyNot::Kernel(Refusal::Unresolved { symbol: symbol.into() });
        let of = |reasons: &[WhyNot]| NotLinked {
            kernel: "6.12.2".parse().unwrap(),
            module: "/lib/modules/6.12.1/extra/x.ko".into(),
            reasons: reasons.to_vec(),
        };
        let start = "/lib/modules/6.12.1/extra/x.ko out of 6.12.2: it needs a, which nothing exports";
        for (reasons, end) in [
            (&[unresolved("a")][..], ""),
            (&[unresolved("a"), unresolved("b")], "; and 1 more reason (-v)"),
            (&[unresolved("a"), unresolved("b"), unresolved("c")], "; and 2 more reasons (-v)"),
        ] {
            assert_eq!(of(reasons).to_string(), format!("{start}{end}"));
        }
        let json = serde_json::to_value(of(&[unresolved("a"), WhyNot::Gone])).unwrap();
        assert_eq!(json["reasons"][0]["symbol"], "a");
        assert_eq!(json["reasons"][1]["why"], "gone");
        assert!(of(&[WhyNot::Own { file: "/x".into() }]).is_served() && !of(&[WhyNot::Gone]).is_served());
    }
}
