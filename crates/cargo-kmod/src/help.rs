// SPDX-License-Identifier: GPL-2.0
//! The help of the whole tool: commands listed by task, and named as the tool was called.

use clap::builder::StyledStr;
use clap::{Arg, Command};

/// Commands that serve one task: what the task is, and the commands' names in the order in which
/// one needs them.
pub type Group = (&'static str, &'static [&'static str]);

/// The commands of this crate, by task.
pub const GROUPS: &[Group] = &[
    ("Begin", &["new", "doctor"]),
    ("Write a module", &["build", "insmod", "vm", "inspect", "patch"]),
    ("Try it everywhere", &["matrix"]),
    ("Sign it", &["key", "sign"]),
    ("Ship it", &["install", "uninstall", "status", "dkms", "rpm", "weak-modules"]),
    ("Kernels", &["kernel"]),
    ("This tool", &["setup", "completions", "man"]),
];

/// `command` with its subcommands listed by task. What is in no group is listed with the last.
pub fn grouped(command: Command, groups: &[Group]) -> Command {
    let listed = |name: &str| groups.iter().any(|(_, names)| names.contains(&name));
    let about = |name: &str| {
        let found = command.find_subcommand(name)?;
        let about = found.get_about().map(ToString::to_string).unwrap_or_default();
        Some(format!("  {name:<13} {about}\n"))
    };
    let mut text = String::new();
    for (task, names) in groups {
        text.push_str(&format!("{task}:\n"));
        text.extend(names.iter().filter_map(|name| about(name)));
        text.push('\n');
    }
    let others = command.get_subcommands().filter(|sub| !sub.is_hide_set() && !listed(sub.get_name()));
    let others: String = others.filter_map(|sub| about(sub.get_name())).collect();
    if !others.is_empty() {
        text.push_str(&format!("Others:\n{others}\n"));
    }
    let template = format!(
        "{{before-help}}{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{text}Options:\n{{options}}{{after-help}}"
    );
    command.help_template(template)
}

/// `command` with `name` in place of the tool's usual one, in every text of its help.
pub fn named(command: Command, name: &'static str) -> Command {
    if name == report::TOOL {
        return command;
    }
    let renamed = |text: &StyledStr| StyledStr::from(text.to_string().replace(report::TOOL, name));
    let mut command =
        command.mut_args(|arg| named_arg(arg, &renamed)).mut_subcommands(|sub| named(sub, name));
    if let Some(text) = command.get_about().map(&renamed) {
        command = command.about(text);
    }
    if let Some(text) = command.get_long_about().map(&renamed) {
        command = command.long_about(text);
    }
    if let Some(text) = command.get_after_help().map(&renamed) {
        command = command.after_help(text);
    }
    command
}

fn named_arg(arg: Arg, renamed: &impl Fn(&StyledStr) -> StyledStr) -> Arg {
    let (help, long) = (arg.get_help().map(renamed), arg.get_long_help().map(renamed));
    let arg = match help {
        Some(text) => arg.help(text),
        None => arg,
    };
    match long {
        Some(text) => arg.long_help(text),
        None => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn every_command_is_listed_by_its_task() {
        let help = grouped(Cli::command(), GROUPS).render_help().to_string();
        for sub in Cli::command().get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let start = format!("  {:<13} ", sub.get_name());
            let lines = help.lines().filter(|line| line.starts_with(&start));
            assert_eq!(lines.count(), 1, "{}:\n{help}", sub.get_name());
        }
        assert!(!help.contains("Others:") && help.contains("--json"), "{help}");
    }

    #[test]
    fn no_help_names_the_tool_otherwise_than_it_was_called() {
        let name = "cargo other";
        let mut pages = vec![named(grouped(Cli::command(), GROUPS), name).name(name).bin_name(name)];
        while let Some(mut page) = pages.pop() {
            let help = page.render_long_help().to_string();
            assert!(!help.contains(report::TOOL), "{help}");
            pages.extend(page.get_subcommands().cloned());
        }
    }
}
