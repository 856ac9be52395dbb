// SPDX-License-Identifier: GPL-2.0
//! Runs the tool the way a user does, with a cache of its own.

use camino::{Utf8Path, Utf8PathBuf};
use report::Report;
use report::process::Cmd;
use tempfile::TempDir;

/// The tool's program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_xtask");

/// A directory that vanishes with the test.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.0.path()).unwrap()
    }

    /// The tool's cache when `XDG_CACHE_HOME` is this directory.
    pub(crate) fn cache(&self) -> Utf8PathBuf {
        self.path().join("cargo-kmod")
    }

    /// The tool with this directory as the user's cache.
    pub(crate) fn tool(&self, args: &[&str]) -> Cmd {
        Cmd::new(PROGRAM).args(args).env("XDG_CACHE_HOME", self.path())
    }
}

/// Runs to the end; gives exit status and both outputs.
pub(crate) fn run(cmd: &Cmd) -> (i32, String) {
    let mut text = String::new();
    let output = cmd.finish_with(&Report::silent(), |line| text.extend([line, "\n"])).unwrap();
    (output.status.code().unwrap_or(-1), text)
}

/// The end of a failed run: its status, what the error says, and the remedy must be there.
#[track_caller]
pub(crate) fn assert_refused(cmd: &Cmd, status: i32, object: &str, reason: &str, remedy: &str) {
    let (found, output) = run(cmd);
    assert_eq!(found, status, "{output}");
    let error = output.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{output}"));
    assert!(error.contains(object), "the object {object:?} is not named: {output}");
    assert!(output.contains(reason), "the reason {reason:?} is not given: {output}");
    assert!(
        output.lines().any(|line| line.starts_with("remedy: ") && line.contains(remedy)),
        "the remedy {remedy:?} is not given: {output}"
    );
}
