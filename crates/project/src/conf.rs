// SPDX-License-Identifier: GPL-2.0
//! Errors of `dkms-conf`, which knows no exit statuses and no options, as what the user is told:
//! the one place where each gets its remedy.

use camino::Utf8Path;
use dkms_conf::{DirectiveError, ReadError};
use report::failure::Failure;

/// A `dkms.conf` that cannot be read.
pub(crate) fn unreadable(file: &Utf8Path, error: ReadError) -> Failure {
    let remedy = if error.needs_shell {
        "write plain assignments, NAME=\"value\" or NAME[0]=\"value\"; \
         or have a shell evaluate it in a sandbox: --allow-shell"
    } else {
        "fix it: it is read as bash would read it"
    };
    Failure::refused(format!("{file}:{}:{}", error.line, error.column), error.reason).remedy(remedy)
}

/// A `dkms.conf` with a directive that makes no sense.
pub(crate) fn invalid(file: &Utf8Path, error: &DirectiveError) -> Failure {
    let remedy = match error {
        DirectiveError::Pattern { .. } => {
            "fix the expression: it is an extended one of POSIX, which bash matches as grep -E does"
                .to_owned()
        }
        DirectiveError::Placeholder { directive, package, .. } if package.is_empty() => {
            format!("set {directive}=\"…\" in it, or --set {directive}=…")
        }
        DirectiveError::Placeholder { directive, package, .. } => format!(
            "--set {directive}=…; or set it in the file, name the directory {package}-VERSION, or tag the version in git"
        ),
        DirectiveError::InstalledTwice { .. } => {
            "give each module a DEST_MODULE_NAME of its own; DKMS refuses this since 3.1.7".to_owned()
        }
        DirectiveError::NoInstalledName { name, .. } => {
            let plain = name.rsplit('/').next().unwrap_or_default();
            format!("set DEST_MODULE_NAME=\"{plain}\", too")
        }
        DirectiveError::Unnamed { .. }
        | DirectiveError::Twice { .. }
        | DirectiveError::Name { .. }
        | DirectiveError::Outside { .. } => "fix it: dkms(8) describes each directive".to_owned(),
    };
    let line = error.line().map_or_else(String::new, |line| format!(":{line}"));
    Failure::refused(format!("{file}{line}"), error.to_string()).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dkms_conf::{DkmsConf, directives};
    use report::failure::Exit;

    #[test]
    fn what_cannot_be_read_is_refused_with_its_place() {
        for (text, object, remedy) in [
            ("A=1\nB=$(x)\n", "/p/dkms.conf:2:3", "--allow-shell"),
            ("A='", "/p/dkms.conf:1:3", "as bash would"),
        ] {
            let failure = unreadable("/p/dkms.conf".into(), DkmsConf::parse(text).unwrap_err());
            assert_eq!((failure.exit, failure.object.as_str()), (Exit::Refused, object));
            assert!(failure.remedy.as_ref().unwrap().contains(remedy), "{failure:?}");
        }
    }

    #[test]
    fn a_directive_that_makes_no_sense_is_refused_with_a_remedy() {
        let values =
            |text: &str| DkmsConf::parse(text).unwrap().evaluate(&Default::default()).unwrap().values;
        let of = |error: DirectiveError| invalid("/p/dkms.conf".into(), &error);
        for (failure, line, remedy) in [
            (of(directives::modules(&values("BUILT_MODULE_NAME=x.ko"), "x").unwrap_err()), ":1", "dkms(8)"),
            (of(directives::modules(&values("BUILT_MODULE_NAME=a/x"), "x").unwrap_err()), ":1", "=\"x\""),
            (
                of(directives::patches(&values("PATCH=a\nPATCH_MATCH='('"), "6.1").unwrap_err()),
                ":2",
                "grep -E",
            ),
            (of(directives::version("x", "#V#", "y").unwrap_err()), "", "name the directory x-VERSION"),
        ] {
            assert_eq!(failure.exit, Exit::Refused);
            assert_eq!(failure.object, format!("/p/dkms.conf{line}"));
            assert!(failure.remedy.as_ref().unwrap().contains(remedy), "{failure:?}");
        }
    }
}
