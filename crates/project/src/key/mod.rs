// SPDX-License-Identifier: GPL-2.0
//! Makes, reads and checks module-signing keys and their certificates.
//!
//! OpenSSL does the cryptography, as it does in the kernel's own `sign-file`.

pub mod certificate;
pub mod generate;
pub mod pair;

use kernel::machine::programs::{Program, program};

/// Programs that make keys and verify signatures.
pub const PROGRAMS: &[Program] =
    &[program("openssl", "openssl", "makes signing keys and verifies signatures")
        .in_rpms("openssl", "openssl")];

/// The environment variable with a key's passphrase or a token's PIN, the same that the kernel's
/// `sign-file` reads.
pub const PIN: &str = "KBUILD_SIGN_PIN";

/// The passphrase or PIN, if one was given.
pub fn pin() -> Option<std::ffi::OsString> {
    std::env::var_os(PIN).filter(|pin| !pin.is_empty())
}
