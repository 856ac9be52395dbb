// SPDX-License-Identifier: GPL-2.0
//! The header of gzip (RFC 1952).

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

/// A member of a file of gzip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GzipMember {
    /// What its header has that it need not have.
    pub fields: BTreeSet<GzipField>,
}

/// What a header of gzip may have (RFC 1952, 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GzipField {
    /// `FTEXT`: a guess that it is text.
    Text,
    /// `FHCRC`: a check of the header.
    HeaderCheck,
    /// `FEXTRA`: whatever a program put there.
    Extra,
    /// `FNAME`: the file's name, which gzip(1) stores unless told not to.
    Name,
    /// `FCOMMENT`.
    Comment,
}

const FIELDS: [(u8, GzipField); 5] = [
    (1, GzipField::Text),
    (2, GzipField::HeaderCheck),
    (4, GzipField::Extra),
    (8, GzipField::Name),
    (16, GzipField::Comment),
];

impl GzipMember {
    /// Reads the header of a member.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let flags = bytes.get(3)?;
        let set = FIELDS.into_iter().filter(|(flag, _)| flags & flag != 0);
        Some(Self { fields: set.map(|(_, field)| field).collect() })
    }
}

impl fmt::Display for GzipField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "a mark as text",
            Self::HeaderCheck => "a check of its own",
            Self::Extra => "an extra field",
            Self::Name => "a file's name",
            Self::Comment => "a comment",
        })
    }
}
