// SPDX-License-Identifier: GPL-2.0
//! What a shell would have to be asked, and what is known without one: commands whose output is the
//! value of a variable, and variables that only a running shell has.

/// A command substitution whose value is known without running anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownCommand {
    /// `nproc`: `$parallel_jobs`.
    Processors,
    /// `uname -r`: `$kernelver`, although a shell would give the release of the running kernel.
    Release,
    /// `uname -m`: `$arch`.
    Machine,
    /// `pwd`: `$PWD`.
    Directory,
}

impl KnownCommand {
    /// The command in the parentheses or backticks of a substitution. The list is closed: whatever
    /// else stands there needs a shell.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut words: Vec<&str> = text.split_whitespace().collect();
        // What is done if it fails, which it does not.
        if let [.., "||", "echo", number] = words.as_slice()
            && number.chars().all(|c| c.is_ascii_digit())
        {
            words.truncate(words.len() - 3);
        }
        words.pop_if(|last| *last == "2>/dev/null");
        let (program, options) = words.split_first()?;
        let program =
            ["/usr/bin/", "/bin/"].iter().find_map(|dir| program.strip_prefix(dir)).unwrap_or(program);
        match (program, options) {
            ("nproc", [] | ["--all"]) | ("getconf", ["_NPROCESSORS_ONLN"]) => Some(Self::Processors),
            ("uname", ["-r" | "--kernel-release"]) => Some(Self::Release),
            ("uname", ["-m" | "--machine"]) | ("arch", []) => Some(Self::Machine),
            ("pwd", [] | ["-L" | "-P"]) => Some(Self::Directory),
            _ => None,
        }
    }

    /// The variable that has the value.
    pub(super) fn variable(self) -> &'static str {
        match self {
            Self::Processors => "parallel_jobs",
            Self::Release => "kernelver",
            Self::Machine => "arch",
            Self::Directory => "PWD",
        }
    }
}

/// Variables that bash sets by itself to what changes from run to run, or that say how it was
/// started (bash(1), "Shell Variables").
pub(super) const RUNNING: &[&str] = &[
    "_",
    "BASHOPTS",
    "BASHPID",
    "BASH_ALIASES",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_ARGV0",
    "BASH_CMDS",
    "BASH_COMMAND",
    "BASH_LINENO",
    "BASH_LOADABLES_PATH",
    "BASH_MONOSECONDS",
    "BASH_REMATCH",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASH_TRAPSIG",
    "BASH_VERSINFO",
    "BASH_VERSION",
    "COMP_WORDBREAKS",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "HOSTNAME",
    "LINENO",
    "PIPESTATUS",
    "PPID",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
];
