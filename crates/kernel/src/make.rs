// SPDX-License-Identifier: GPL-2.0
//! The make steps that prepare a kernel tree, and the paths that make can handle.

use camino::Utf8Path;

use kmodfile::config::Config;
use kmodfile::release::Release;
use report::failure::Failure;
use report::process::Cmd;

/// The first make step's targets.
pub const CONFIGURE: &[&str] = &["olddefconfig"];

/// The second make step's targets.
pub const PREPARE: &[&str] = &["prepare", "modules_prepare", "rust/"];

/// The same for a kernel without Rust.
pub const PREPARE_WITHOUT_RUST: &[&str] = &["prepare", "modules_prepare"];

/// One make step of preparing a kernel, to be run in its build root.
pub fn make_step(
    release: &Release,
    config: &Config,
    source: &Utf8Path,
    build: &Utf8Path,
    targets: &[&str],
    jobs: usize,
) -> Cmd {
    Cmd::new("make")
        .arg("-C")
        .arg(source)
        .arg(format!("O={build}"))
        .arg(format!("CC={}", config.compiler().unwrap_or("gcc")))
        .arg(format!("KERNELRELEASE={release}"))
        .arg("LOCALVERSION=")
        .arg(format!("-j{jobs}"))
        .args(targets)
        // Nothing of this machine or hour goes into the artefacts.
        .env("KBUILD_BUILD_TIMESTAMP", "@0")
        .env("KBUILD_BUILD_USER", "kmod")
        .env("KBUILD_BUILD_HOST", "kmod")
}

/// Refuses a directory that make and Kbuild cannot handle: blanks separate words, colons separate
/// rules, and recipes are shell commands. Kbuild itself refuses blanks and colons, but late, and
/// without a remedy.
pub fn require_path(path: &Utf8Path, remedy: &str) -> Result<(), Failure> {
    let refused = |c: &char| c.is_whitespace() || c.is_control() || ":;#$%\\\"'`&|<>()*?[]{}~!".contains(*c);
    let Some(found) = path.as_str().chars().find(refused) else { return Ok(()) };
    let shown = match found {
        ' ' => "a space".to_owned(),
        '\n' => "a newline".to_owned(),
        other => format!("`{}`", other.escape_debug()),
    };
    Err(Failure::refused(path.as_str(), format!("make cannot handle a path with {shown} in it"))
        .remedy(remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_make_would_take_apart_is_refused_by_name() {
        require_path(Utf8Path::new("/home/a-b_c.d+e,f@g=h/ü"), "move it").unwrap();
        for (path, named) in [("/a b", "a space"), ("/a:b", "`:`"), ("/a\nb", "a newline"), ("/$a", "`$`")] {
            let failure = require_path(Utf8Path::new(path), "move it").unwrap_err();
            assert!(failure.reason.contains(named), "{failure}");
            assert_eq!((failure.object.as_str(), failure.remedy.as_deref()), (path, Some("move it")));
        }
    }
}
