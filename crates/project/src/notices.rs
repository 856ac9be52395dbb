// SPDX-License-Identifier: GPL-2.0
//! What the user should know of a `dkms.conf` that can be read: what in it has no effect here, and
//! what some DKMS makes otherwise of it.

use std::collections::BTreeSet;

use crate::given;
use dkms_conf::Evaluated;
use dkms_conf::directives::{self, HOOKS, REMOVED};
use dkms_conf::objections::objections;

/// Directives that DKMS does not know: they are for this tool alone.
pub const OURS: &[&str] = &["PROJECT_FILES", "PROJECT_LOADS"];

/// The names of all directives, DKMS's and this tool's.
pub fn directives() -> impl Iterator<Item = &'static str> {
    directives::all().chain(OURS.iter().copied())
}

/// Whether `name` is a directive, and not a variable that the file has for itself.
pub fn is_directive(name: &str) -> bool {
    directives().any(|known| known == name)
}

/// What the user should know, a line each.
pub fn notices(evaluated: &Evaluated) -> Vec<String> {
    let unset = evaluated.unset.iter();
    let unset = unset.map(|(name, line)| format!("line {line}: ${name} {}", given::why_unset(name)));
    let taken = evaluated.taken.iter();
    let taken =
        taken.filter_map(|(taken, line)| Some(format!("line {line}: {}", given::differs_from_dkms(taken)?)));
    let names = evaluated.values.names();
    let of_names = names.filter_map(|name| Some(format!("{name} {}", without_effect(name, evaluated)?)));
    let of_dkms = objections(evaluated).into_iter().map(|objection| objection.to_string());
    let mut said = BTreeSet::new();
    let all = unset.chain(taken).chain(of_names).chain(of_dkms);
    all.filter(|notice| said.insert(notice.clone())).collect()
}

/// Why what the file assigns to `name` has no effect on a build; `None` if it has one.
fn without_effect(name: &str, evaluated: &Evaluated) -> Option<&'static str> {
    if REMOVED.contains(&name) {
        Some("has no effect since DKMS 3.0")
    } else if name == "POST_BUILD" {
        Some("is not run: DKMS runs it after it has built the modules and copied them away")
    } else if HOOKS.contains(&name) {
        Some("is run by DKMS alone, when it adds, installs or removes the package")
    } else if is_directive(name) || evaluated.used.contains(name) {
        None
    } else {
        Some("is not a directive of DKMS, and nothing in the file uses it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dkms_conf::DkmsConf;

    #[test]
    fn what_is_said_of_a_variable_is_true() {
        let values = given::given(given::Facts { package: Some(("x", "1")), target: None });
        let rest = "BUILT_MODULE_NAME=x\nDEST_MODULE_LOCATION=/extra\n";
        let said = |text: &str| {
            notices(&DkmsConf::parse(&format!("{text}{rest}")).unwrap().evaluate(&values).unwrap())
        };
        for text in [
            "A=$UID$EUID",
            "A=$HOSTTYPE-$MACHTYPE-$OSTYPE",
            "A=-j$parallel_jobs",
            "A=-j$(nproc)",
            "A=$SHELL$IFS",
        ] {
            let said = said(&format!("{text}\nMAKE=$A\n"));
            assert!(said.is_empty(), "{text}: {said:?}");
        }
        for (text, expected) in [
            ("$PWD", "line 1: the current directory is that of the build here"),
            ("$(pwd)", "line 1: the current directory is that of the build here"),
            ("$(uname -r)", "line 1: $(uname -r) is the running kernel for DKMS"),
            ("$HOME", "line 1: $HOME is of the environment that DKMS is called in"),
            ("$current_kernel", "line 1: $current_kernel is set by DKMS for its own use"),
            ("$OTHER", "line 1: $OTHER is not set; it is empty, as for DKMS"),
        ] {
            let said = said(&format!("MAKE=\"make {text}\"\n"));
            assert!(said.len() == 1 && said[0].starts_with(expected), "{text}: {said:?}");
        }
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let text = "PACKAGE_NAME=x\nAUTO_INSTALL=yes\nDIR=src\nBUILT_MODULE_LOCATION=$DIR\nREMAKE_INITRD=no\n\
                    MAKE=\"m $OTHER\"\nPRE_INSTALL=x.sh\nPRE_BUILD=y.sh\nPROJECT_LOADS=z\nPATCH[2]=p\n\
                    AUTOINSTALL=Y\nDEST_MODULE_LOCATION=/extra\n";
        let notices = notices(&DkmsConf::parse(text).unwrap().evaluate(&Default::default()).unwrap());
        assert_eq!(notices.len(), 6, "{notices:?}");
        for (notice, said) in notices.iter().zip([
            "line 6: $OTHER",
            "AUTO_INSTALL is not a directive",
            "PRE_INSTALL is run by DKMS alone",
            "REMAKE_INITRD",
            "line 11: AUTOINSTALL[0] is \"Y\"",
            "line 10: PATCH[2] is the only one",
        ]) {
            assert!(notice.starts_with(said), "{notice}");
        }
    }
}
