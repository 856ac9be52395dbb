// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod man`: manual pages, made of the same words as `--help`.

use anyhow::Result;
use clap::Command;
use clap_mangen::Man;

use crate::tool::Tool;
use camino::Utf8PathBuf;
use clap::Args;
use kernel::context::Context;
use report::failure::{Exit, Failure};

/// `cargo kmod man`.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// The command, such as `kernel prepare` [default: the tool itself]
    pub command: Vec<String>,
    /// Write the pages of all commands into this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub output: Option<Utf8PathBuf>,
}

/// Prints one page, or writes all.
pub fn run(context: &Context, tool: &Tool, args: &ManArgs) -> Result<()> {
    let tool = command_line(tool);
    let Some(dir) = &args.output else {
        let page = page(find(&tool, &args.command)?)?;
        return Ok(report::print(&page)?);
    };
    let pages = of_all(&tool)?;
    if context.dry_run {
        pages.iter().for_each(|(name, _)| context.report.say(&format!("would write {}", dir.join(name))));
        return Ok(());
    }
    fs_err::create_dir_all(dir)?;
    for (name, page) in &pages {
        fs_err::write(dir.join(name), page)?;
    }
    context.report.say(&format!("{} pages in {dir}", pages.len()));
    Ok(())
}

/// The pages of all commands of a tool, by the names of their files.
pub(super) fn pages(tool: &Tool) -> Result<Vec<(String, Vec<u8>)>> {
    of_all(&command_line(tool))
}

/// The page of a command, and those of the commands below it that are not hidden.
fn of_all(command: &Command) -> Result<Vec<(String, Vec<u8>)>> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let mut pages = vec![(format!("{name}.1"), page(command)?)];
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages.extend(of_all(below)?);
    }
    Ok(pages)
}

/// The commands by the names of their pages, which have no blank: `cargo-kmod`.
fn command_line(tool: &Tool) -> Command {
    let name = tool.program_name();
    let mut command = tool.command_line().name(name.clone()).bin_name(name).disable_help_subcommand(true);
    command.build();
    command
}

/// The command of these words.
fn find<'a>(tool: &'a Command, words: &[String]) -> Result<&'a Command, Failure> {
    words.iter().try_fold(tool, |at, word| {
        at.find_subcommand(word).ok_or_else(|| {
            Failure::new(Exit::Usage, words.join(" "), "is no command of the tool")
                .remedy("cargo kmod --help")
        })
    })
}

/// The page of one command, as man(1) takes it.
fn page(command: &Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        String::from_utf8(page(find(&command_line(&crate::CARGO_KMOD), &words).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn the_tools_page_tells_the_exit_statuses() {
        let page = text(&[]);
        assert!(page.contains(".TH cargo-kmod 1") && page.contains("Exit status"), "{page}");
    }

    #[test]
    fn a_command_of_two_words_has_a_page() {
        let page = text(&["kernel", "prepare"]);
        assert!(page.contains(".TH cargo-kmod-kernel-prepare 1"), "{page}");
        assert!(page.contains("uname"), "{page}");
    }

    #[test]
    fn an_unknown_command_is_named() {
        let error =
            find(&command_line(&crate::CARGO_KMOD), &["no".to_owned(), "such".to_owned()]).unwrap_err();
        assert!(error.to_string().starts_with("no such"), "{error}");
    }

    #[test]
    fn all_pages_are_written_and_none_is_of_a_hidden_command() {
        let pages = pages(&crate::CARGO_KMOD).unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["cargo-kmod.1", "cargo-kmod-insmod.1", "cargo-kmod-kernel-prepare.1"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("enter-root")), "{names:?}");
    }
}
