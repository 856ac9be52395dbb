// SPDX-License-Identifier: GPL-2.0
//! Fingerprints of inputs: results with the same fingerprint were made from the same inputs.
//!
//! The encoding that is hashed is defined here, byte for byte: every value with its name, every
//! text with its length. No two inputs can be confused, and nothing depends on how a type happens
//! to print itself.

use sha2::{Digest as _, Sha256};

/// A fingerprint in the making.
#[derive(Clone, Debug)]
#[must_use]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// A fingerprint for this kind of result; `revision` changes when the way of making it does.
    pub fn new(kind: &str, revision: u32) -> Self {
        Self(Sha256::new()).text("kind", kind).number("revision", revision.into())
    }

    /// Adds a text.
    pub fn text(self, name: &str, value: &str) -> Self {
        self.bytes(name, value.as_bytes())
    }

    /// Adds bytes.
    pub fn bytes(self, name: &str, value: &[u8]) -> Self {
        self.field(b'b', name).raw(value)
    }

    /// Adds a number.
    pub fn number(mut self, name: &str, value: u64) -> Self {
        self = self.field(b'n', name);
        self.0.update(value.to_le_bytes());
        self
    }

    /// Adds a yes or no.
    pub fn flag(self, name: &str, value: bool) -> Self {
        self.number(name, value.into())
    }

    /// Adds a text that need not be there.
    pub fn optional(self, name: &str, value: Option<&str>) -> Self {
        self.list(name, value)
    }

    /// Adds texts in their order.
    pub fn list<T: AsRef<str>>(mut self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        let values: Vec<T> = values.into_iter().collect();
        self = self.field(b'l', name);
        self.0.update((values.len() as u64).to_le_bytes());
        values.iter().fold(self, |print, value| print.raw(value.as_ref().as_bytes()))
    }

    /// The fingerprint in hexadecimal digits.
    pub fn hex(self) -> String {
        hex::encode(self.0.finalize())
    }

    fn field(mut self, kind: u8, name: &str) -> Self {
        self.0.update([kind]);
        self.raw(name.as_bytes())
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> Fingerprint {
        Fingerprint::new("x", 1)
    }

    #[test]
    fn what_is_different_looks_different() {
        let all = [
            new().hex(),
            Fingerprint::new("x", 2).hex(),
            Fingerprint::new("y", 1).hex(),
            new().text("a", "b").hex(),
            new().text("a", "").hex(),
            new().text("ab", "").hex(),
            new().text("a", "b").text("c", "d").hex(),
            new().text("a", "bc").text("", "d").hex(),
            new().list("a", ["b", "c"]).hex(),
            new().list("a", ["bc"]).hex(),
            new().list("a", ["b"]).text("", "c").hex(),
            new().optional("a", None).hex(),
            new().optional("a", Some("")).hex(),
            new().number("a", 1).hex(),
            new().flag("a", false).hex(),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{index}");
        }
    }

    /// Caches are keyed by it: if this fails, every user's kernels and build roots will be made
    /// again.
    #[test]
    fn it_stays_as_it_is() {
        let print = new().text("suite", "s").list("packages", ["a", "b"]).flag("root", true);
        assert_eq!(print.hex(), "6b095b3e943d370d12be30c4e2e463c5e3e56273d53e7ab13550f984314c4e2a");
    }
}
