// SPDX-License-Identifier: GPL-2.0
//! A module-signing key and its certificate: made, read, and checked to belong together.
//!
//! OpenSSL does the cryptography, as it does in the kernel's own `sign-file`.

pub mod certificate;
pub mod generate;
pub mod pair;

use kernel::machine::programs::{Program, program};

/// Needed to make keys and to check signatures.
pub const PROGRAMS: &[Program] = &[program("openssl", "openssl", "makes signing keys and checks signatures")];

/// The environment variable that holds a key's passphrase or a token's PIN, as the kernel's `sign-file` has it.
pub const PIN: &str = "KBUILD_SIGN_PIN";

/// The passphrase or PIN, if one was given.
pub fn pin() -> Option<std::ffi::OsString> {
    std::env::var_os(PIN).filter(|pin| !pin.is_empty())
}
