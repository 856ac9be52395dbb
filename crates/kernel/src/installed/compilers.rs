// SPDX-License-Identifier: GPL-2.0
//! The compilers of this machine, as far as installed kernels ask for them.

use std::collections::BTreeMap;

use crate::root::host;
use kmodfile::architecture::Architecture;
use report::Report;
use report::process::Cmd;

/// What programs this machine can run, and which compilers it has.
#[derive(Clone, Debug, Default)]
pub struct CompilersHere {
    /// What its programs are for.
    pub architecture: Option<Architecture>,
    /// What each that it has says of its version, by its command.
    pub said: BTreeMap<String, String>,
}

impl CompilersHere {
    /// Asks those of `commands` that this machine has.
    pub fn ask<'a>(commands: impl IntoIterator<Item = &'a str>, report: &Report) -> Self {
        let mut here = Self { architecture: Architecture::native(), said: BTreeMap::new() };
        for command in commands {
            if here.said.contains_key(command) {
                continue;
            }
            let said = host::inside(Cmd::new(command).arg("--version")).read(report);
            let line = said.ok().and_then(|text| text.lines().next().map(str::to_owned));
            here.said.extend(line.map(|line| (command.to_owned(), line)));
        }
        here
    }
}

/// The version in what a C compiler says of itself: `12.2.0` of `gcc-12 (Debian 12.2.0-14) 12.2.0`,
/// `14.2.1` of `gcc (GCC) 14.2.1 20240912 (Red Hat 14.2.1-3)`.
pub fn version(said: &str) -> Option<&str> {
    let mut depth = 0;
    said.split(' ').find(|word| {
        depth += word.matches('(').count();
        let outside = depth == 0;
        depth = depth.saturating_sub(word.matches(')').count());
        outside && word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compilers_version_is_read() {
        for (said, is) in [
            ("gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0", Some("12.2.0")),
            ("gcc (GCC) 14.2.1 20240912 (Red Hat 14.2.1-3)", Some("14.2.1")),
            ("gcc (GCC) 15.2.1 20260103", Some("15.2.1")),
            ("gcc (SUSE Linux) 15.2.0", Some("15.2.0")),
            ("Debian clang version 21.1.8 (14)", Some("21.1.8")),
            ("clang version 18.1.8 (Fedora 18.1.8-1.fc40)", Some("18.1.8")),
            ("cc", None),
        ] {
            assert_eq!(version(said), is, "{said}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_says_nothing() {
        let here = CompilersHere::ask(["no-such-compiler-1", "make"], &Report::silent());
        assert_eq!(here.said.keys().collect::<Vec<_>>(), ["make"]);
    }
}
