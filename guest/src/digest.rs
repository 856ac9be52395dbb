// SPDX-License-Identifier: GPL-2.0
//! SHA-256 of what files hold.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// Bytes read at once.
const BLOCK: usize = 1 << 20;

/// The SHA-256 of a file, in hexadecimal digits.
pub(crate) fn of_file(path: impl AsRef<Path>) -> io::Result<String> {
    let (mut file, mut seen, mut block) = (File::open(path)?, Sha256::new(), vec![0; BLOCK]);
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hex(&seen.finalize())),
            length => seen.update(&block[..length]),
        }
    }
}

/// A digest as sha256sum(1) writes it.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_written_as_sha256sum_does() {
        let expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex(&Sha256::digest(b"")), expected);
    }
}
