// SPDX-License-Identifier: GPL-2.0
//! Why a reply was found malformed, in words that logs and counters can rely on.

/// One rule that a reply can break.
///
/// The names ([`Rule::name`]) appear in logs, in counters and in reports. They are stable: a rule
/// may be added, none is renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A successful CREATE reply ends before its fixed part does.
    ShortReply,
    /// The create contexts reach past the end of the reply.
    ContextsOutside,
    /// `Next` is no multiple of 8.
    NextMisaligned,
    /// `Next` points beyond what remains of the contexts.
    NextOutside,
    /// `Next` points into the context's own header.
    NextInHeader,
    /// `DataOffset` points into the context's own header.
    DataInHeader,
    /// The data reach past the end of the context.
    DataOutside,
    /// `NameOffset` points into the context's own header.
    NameInHeader,
    /// The name reaches past the end of the context.
    NameOutside,
    /// The name runs into the data.
    NameOverData,
    /// What remains after a context is too short to be another.
    Trailing,
}

impl Rule {
    /// Every rule, in the order in which counters are shown.
    pub const ALL: [Self; 11] = [
        Self::ShortReply,
        Self::ContextsOutside,
        Self::NextMisaligned,
        Self::NextOutside,
        Self::NextInHeader,
        Self::DataInHeader,
        Self::DataOutside,
        Self::NameInHeader,
        Self::NameOutside,
        Self::NameOverData,
        Self::Trailing,
    ];

    /// Where the rule stands in [`Rule::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The stable name: lower case, digits and hyphens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ShortReply => "create-short-reply",
            Self::ContextsOutside => "create-contexts-outside",
            Self::NextMisaligned => "create-next-misaligned",
            Self::NextOutside => "create-next-outside",
            Self::NextInHeader => "create-next-in-header",
            Self::DataInHeader => "create-data-in-header",
            Self::DataOutside => "create-data-outside",
            Self::NameInHeader => "create-name-in-header",
            Self::NameOutside => "create-name-outside",
            Self::NameOverData => "create-name-over-data",
            Self::Trailing => "create-trailing",
        }
    }

    /// The section of MS-SMB2 that lays down the structure.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            // The reply itself.
            Self::ShortReply | Self::ContextsOutside => "2.2.14",
            // A context in a reply, which is laid out as one in a request.
            _ => "2.2.13.2",
        }
    }
}

/// A rule that was broken, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Which rule.
    pub rule: Rule,
    /// Where the offending field stands, in bytes from the start of the SMB2 header. For a reply
    /// or a list that ends too early, where it ends.
    pub offset: usize,
}
