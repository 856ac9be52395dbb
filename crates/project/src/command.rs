// SPDX-License-Identifier: GPL-2.0
//! Commands of a `dkms.conf`: `MAKE` and `PRE_BUILD`. DKMS runs them with bash.
//!
//! Most are a program and its arguments, and are run as such. Those that need a shell get one, but
//! only in a build root, where they can access the staged copy and nothing else of the machine.

use camino::Utf8Path;

use crate::given;
use dkms_conf::{Given, plain_words};
use kernel::root::Root;
use kmodfile::release::Release;
use report::failure::Failure;
use report::process::Cmd;

/// `MAKE` as DKMS runs it: if it begins with `make`, the release and the number of parallel jobs
/// are added.
pub fn make(make: &str, jobs: usize, release: &Release) -> String {
    let rest = make
        .strip_prefix("make")
        .filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\\', ';', '&']));
    match rest {
        Some(rest) => format!("make -j{jobs} KERNELRELEASE={release}{rest}"),
        None => make.to_owned(),
    }
}

/// The command for `line`, the value of `directive`, with `variables` set.
///
/// # Errors
///
/// Refused, if it needs a shell and `root` is the host itself.
pub fn command(directive: &str, line: &str, variables: &Given, root: &Root) -> Result<Cmd, Failure> {
    if let Some(words) = plain_words(line, variables) {
        return Ok(Cmd::new(&words[0]).args(&words[1..]));
    }
    if root.is_host() {
        return Err(Failure::refused(
            format!("{directive} in dkms.conf"),
            format!("{line:?} needs a shell, and none is run on the host itself"),
        )
        .remedy("build in a build root: --root-fs made"));
    }
    Ok(Cmd::new("bash").arg("-c").arg(script(line, variables)))
}

/// The script for the shell: the variables that DKMS sets before it evaluates the line, and the
/// line.
fn script(line: &str, variables: &Given) -> String {
    format!("{}{line}", given::for_shell(variables))
}

/// Whether `file` exists and is executable.
pub fn is_executable(file: &Utf8Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Given {
        Given::from([("kernelver", "7.2".to_owned()), ("module", "it's".to_owned())])
    }

    #[test]
    fn make_gets_the_release() {
        let release = "7.2.1".parse().unwrap();
        for (line, told) in [
            ("make -C x", "make -j2 KERNELRELEASE=7.2.1 -C x"),
            ("make", "make -j2 KERNELRELEASE=7.2.1"),
            ("make; make y", "make -j2 KERNELRELEASE=7.2.1; make y"),
            ("'make' x", "'make' x"),
            ("makefile x", "makefile x"),
            ("A=b make", "A=b make"),
        ] {
            assert_eq!(make(line, 2, &release), told, "{line}");
        }
    }

    #[test]
    fn a_program_is_run_without_a_shell_and_on_the_host_nothing_else() {
        let cmd = command("MAKE", "make KVER=$kernelver 'a b'", &variables(), &Root::Host).unwrap();
        assert_eq!(cmd.line(), "make KVER=7.2 'a b'");
        let failure = command("MAKE", "make && make", &variables(), &Root::Host).unwrap_err();
        assert!(failure.to_string().contains("needs a shell"), "{failure}");
        assert_eq!(failure.remedy.unwrap(), "build in a build root: --root-fs made");
    }

    #[test]
    fn a_shell_has_the_variables() {
        // It has those of its own already, and would refuse to have some of them set.
        let with_its_own = Given::from([("UID", "0".to_owned()), ("PWD", "/x".to_owned())]);
        let variables: Given = variables().into_iter().chain(with_its_own).collect();
        let script = script("make V=$kernelver && true", &variables);
        assert_eq!(script, "kernelver='7.2'\nmodule='it'\\''s'\nmake V=$kernelver && true");
    }
}
