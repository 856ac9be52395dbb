// SPDX-License-Identifier: GPL-2.0
//! Where client and verifier disagree, and that is right.

use oracle::Function;
use verify::{Cursor, header};

use crate::comparison::Comparison;

/// One disagreement.
pub(crate) struct Disagreement {
    /// Why it is right.
    pub(crate) reason: &'static str,
    /// Whether this is a case of it; the second is the client's answers.
    pub(crate) covers: fn(&Comparison, &[i32]) -> bool,
}

/// All of them.
pub(crate) const DISAGREEMENTS: &[Disagreement] = &[
    Disagreement {
        reason: "NEGOTIATE: get_neg_ctxt_len comes out a byte too long when the security blob ends at \
                 byte 193, or a byte after the contexts begin; older kernels accept both, and an \
                 honest server can send the first",
        covers: |one, theirs| {
            let bytes = Cursor::new(&one.questions[0].bytes);
            let blob = bytes.size16(120).zip(bytes.size16(122));
            let end = blob.map_or(0, |(offset, length)| offset + length);
            let contexts = bytes.size32(124).unwrap_or(0);
            one.questions[0].function == Function::CheckMessage
                && bytes.le16(12) == Some(header::NEGOTIATE)
                && one.ours.is_ok()
                && theirs[0] == 1
                && (end == 193 || end == contexts.saturating_add(1))
        },
    },
    Disagreement {
        reason: "DFS: no referrals at all is -ENOENT to the client, which is an answer and no malformed one",
        covers: |one, theirs| {
            one.questions[0].function == Function::ParseReferrals && one.ours.is_ok() && theirs == [-2]
        },
    },
    Disagreement {
        reason: "NTLM: a challenge that offers neither NTLM nor extended security is well-formed, and the \
                 client refuses it by itself",
        covers: |one, _| {
            let flags = Cursor::new(&one.questions[0].bytes).le32(20).unwrap_or(0);
            one.questions[0].function == Function::DecodeChallenge
                && one.ours.is_ok()
                && flags & 0x0008_0200 == 0
        },
    },
];
