// SPDX-License-Identifier: GPL-2.0
//! Builds the init that runs inside the machine.

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;

use crate::context::{Context, repository};
use crate::failure::{Exit, Failure};
use crate::process::Cmd;

/// The initramfs holds no C library, so the init is linked statically; there is no need to relocate it either.
/// Naming the target, though it is the host's, keeps these flags away from build scripts and from the ordinary builds.
const TARGET: &str = "x86_64-unknown-linux-gnu";
const FLAGS: &str = "-Ctarget-feature=+crt-static\x1f-Crelocation-model=static";

/// The init, built if need be; cargo decides whether there is need.
pub fn init(context: &Context) -> Result<Utf8PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Cmd::new(cargo)
        .args(["build", "--locked", "--package", "guest", "--bin", "guest", "--profile", "guest"])
        .args(["--target", TARGET, "--message-format", "json-render-diagnostics"])
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS)
        .cwd(repository())
        .run(&context.report)
        .context(
            "building the init of the virtual machine (it links to libc.a, of Debian's package libc6-dev)",
        )?;
    executable(&output.text()).ok_or_else(|| {
        Failure::new(Exit::Failed, "guest", "cargo built it and did not say where it is").into()
    })
}

/// The executable that cargo's messages tell of, one JSON object a line
/// (<https://doc.rust-lang.org/cargo/reference/external-tools.html#json-messages>).
fn executable(messages: &str) -> Option<Utf8PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let executable = |message: serde_json::Value| Some(message.get("executable")?.as_str()?.into());
    messages.filter_map(executable).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executable_is_found_among_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"guest"},"executable":"/t/guest/guest"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(executable(messages).unwrap(), "/t/guest/guest");
        assert_eq!(executable("no json"), None);
    }
}
