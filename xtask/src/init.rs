// SPDX-License-Identifier: GPL-2.0
//! Builds the sample's init: the tool's, with the steps about a share. Who does not need those does
//! not have it built.

use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use guest::ShareStep;
use sha2::{Digest as _, Sha256};
use vm::Init;
use vm::init::OwnInit;
use walkdir::WalkDir;

use crate::repository;
use kernel::context::Context;
use kmodfile::architecture::Architecture;
use report::ProgressUnit;
use report::failure::{Exit, Failure};
use report::process::Cmd;

/// Where the tool's own init was built; it is built again below the same directory if that is gone.
const TARGET_DIR: &str = env!("VM_INIT_TARGET_DIR");

/// What the init is made of, below the repository.
const SOURCES: [&str; 8] = [
    "guest/Cargo.toml",
    "guest/src",
    "crates/vm/init/Cargo.toml",
    "crates/vm/init/src",
    "crates/vm/protocol/Cargo.toml",
    "crates/vm/protocol/src",
    "Cargo.toml",
    "Cargo.lock",
];

/// The sample's init for machines of `architecture`, built if need be.
///
/// # Errors
///
/// Missing, if Rust has no standard library for such machines here.
pub fn init(context: &Context, architecture: Architecture) -> Result<Init<ShareStep>> {
    Init::read(&program(context, OwnInit::of(architecture)?)?)
}

/// Its program. To ask cargo takes a twentieth of an emulated run, so it is asked only when the
/// sources, or this program itself, are not those for which it last built the init.
fn program(context: &Context, own: &OwnInit) -> Result<Utf8PathBuf> {
    let stamp = repository().join(format!("target/guest-{}.stamp", own.target));
    let sources = sources(context)?;
    let built = fs_err::read_to_string(&stamp).unwrap_or_default();
    if let Some((_, executable)) = built.split_once('\n').filter(|(of, _)| *of == sources)
        && Utf8Path::new(executable).exists()
    {
        return Ok(executable.into());
    }
    let executable = build(context, own)?;
    fs_err::create_dir_all(repository().join("target"))?;
    let file = tempfile::NamedTempFile::new_in(repository().join("target"))?;
    fs_err::write(file.path(), format!("{sources}\n{executable}"))?;
    file.persist(&stamp)?;
    Ok(executable)
}

/// A hash over the sources of the init and what tells this program from another, which any other
/// compiler would have made.
fn sources(context: &Context) -> Result<String> {
    let mut hash = Sha256::new();
    for entry in SOURCES.iter().flat_map(|source| WalkDir::new(repository().join(source)).sort_by_file_name())
    {
        let entry = entry?;
        if entry.file_type().is_file() {
            let bytes = fs_err::read(entry.path())?;
            hash.update(format!("{}\0{}\0", entry.path().display(), bytes.len()));
            hash.update(bytes);
        }
    }
    let program = fs_err::metadata(&context.program)?;
    hash.update(format!("{} {} {}", program.len(), program.mtime(), program.mtime_nsec()));
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Compiles it as the tool's own is (crates/vm/build.rs), so that what they have in common is
/// compiled once.
fn build(context: &Context, own: &OwnInit) -> Result<Utf8PathBuf> {
    let step = context.report.step("Compiling", "the init of the virtual machine");
    step.count(ProgressUnit::Things("crate", "crates"), 0);
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let cmd = Cmd::new(cargo)
        .args(["build", "--locked", "--package", "guest", "--bin", "guest", "--profile", "init"])
        .args(["--target", own.target, "--target-dir", TARGET_DIR])
        .args(["--message-format", "json-render-diagnostics"])
        .env("CARGO_ENCODED_RUSTFLAGS", own.flags.replace(' ', "\x1f"))
        .cwd(repository());
    let mut compiled = 0;
    let output = cmd.finish_with(&context.report, |line| {
        if line.starts_with('{') {
            compiled += u64::from(line.contains("\"compiler-artifact\""));
            step.reach(compiled);
        } else {
            context.report.output_line(line);
        }
    })?;
    if !output.status.success() {
        return Err(cmd.failure(&output)).context(
            "building the init of the virtual machine (it links to libc.a, of Debian's package libc6-dev)",
        );
    }
    step.done("Compiled", "the init of the virtual machine");
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
