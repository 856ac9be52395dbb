// SPDX-License-Identifier: GPL-2.0
//! The host as a build root, where its distribution already is the right one.

use report::process::Cmd;

use crate::root::environment::ENVIRONMENT;

/// `cmd` with the environment every root has.
pub fn inside(cmd: Cmd) -> Cmd {
    cmd.environment_of(&ENVIRONMENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::Report;

    #[test]
    fn a_command_on_the_host_has_the_roots_environment() {
        let cmd = inside(Cmd::new("env").env("X", "1"));
        let output = cmd.read(&Report::silent()).unwrap();
        assert!(output.lines().any(|line| line == "X=1") && output.lines().any(|line| line == "HOME=/tmp"));
        assert!(!output.contains("CARGO"), "{output}");
        assert_eq!(cmd.line(), "X=1 env");
    }
}
