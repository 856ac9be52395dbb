// SPDX-License-Identifier: GPL-2.0
//! Which rustc made a crate: rustc writes its own version near the beginning of a crate's metadata,
//! and reads no crate of another.

use object::{Object as _, ObjectSection as _};

/// What metadata begins with.
const MAGIC: &[u8] = b"rust\0\0\0";

/// How far from the beginning the version is looked for: behind numbers, which differ from one
/// compiler to another.
const NEAR: usize = 64;

/// What `rustc --version` prints of the compiler that made `bytes`: a file of metadata (`.rmeta`),
/// or a procedural macro (`.so`). `None`, if it is neither.
pub fn rustc_of(bytes: &[u8]) -> Option<String> {
    if bytes.starts_with(MAGIC) {
        return of_metadata(bytes);
    }
    let file = object::File::parse(bytes).ok()?;
    of_metadata(file.section_by_name(".rustc")?.data().ok()?)
}

/// The version: text behind its length, which is one byte.
fn of_metadata(bytes: &[u8]) -> Option<String> {
    let near = bytes.strip_prefix(MAGIC)?;
    let name = b"rustc ";
    let start = near.windows(name.len()).take(NEAR).position(|window| window == name)?;
    let length = usize::from(*near.get(start.checked_sub(1)?)?);
    let text = std::str::from_utf8(near.get(start..start + length)?).ok()?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_behind_its_length() {
        let metadata = |length: u8, text: &str| {
            let mut bytes = b"rust\0\0\0\x0a\xbf\x2f\x6a\0\0\0\0\0".to_vec();
            bytes.push(length);
            bytes.extend(text.bytes());
            bytes
        };
        let text = "rustc 1.85.1 (4eb161250 2025-03-15)";
        let longer = format!("{text}\u{1}and more");
        assert_eq!(rustc_of(&metadata(35, &longer)).as_deref(), Some(text));
        assert_eq!(rustc_of(&metadata(200, text)), None, "shorter than it says");
        assert_eq!(rustc_of(&metadata(4, "gcc ")), None);
        assert_eq!(rustc_of(b"rust\0\0\0"), None);
        assert_eq!(rustc_of(b"\x7fELF"), None);
        assert_eq!(rustc_of(b""), None);
    }
}
