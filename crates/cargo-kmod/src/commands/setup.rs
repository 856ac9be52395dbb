// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod setup`: manual pages and completions where man and shells look for them.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use clap_complete::Shell;

use crate::commands::{completions, man};
use crate::tool::Tool;
use kernel::context::Context;
use kernel::machine::user;
use report::failure::Failure;

/// `cargo kmod setup`.
#[derive(Clone, Debug, Args)]
pub struct SetupArgs {
    /// Directory that has or gets share/ [default: ~/.local; for root /usr/local]
    #[arg(long, value_name = "DIR")]
    pub prefix: Option<Utf8PathBuf>,
    /// Remove them again
    #[arg(long)]
    pub uninstall: bool,
}

/// Writes the files, or removes them.
pub fn run(context: &Context, tool: &Tool, args: &SetupArgs) -> Result<()> {
    let prefix = args.prefix.clone().map_or_else(default_prefix, Ok)?;
    let files = files(tool)?;
    let there = files.iter().any(|(path, _)| prefix.join("share").join(path).exists());
    for (path, content) in &files {
        let file = prefix.join("share").join(path);
        match (context.dry_run, args.uninstall) {
            (true, uninstall) => {
                let verb = if uninstall { "remove" } else { "write" };
                context.report.say(&format!("would {verb} {file}"));
            }
            (false, true) => report::durable::remove(&file)?,
            (false, false) => {
                fs_err::create_dir_all(file.parent().unwrap_or(&prefix))?;
                report::durable::write(&file, content)?;
            }
        }
    }
    let names: Vec<&Utf8PathBuf> = files.iter().map(|(path, _)| path).collect();
    context.report.data(&serde_json::json!({ "prefix": prefix, "files": names }));
    if args.uninstall && !there {
        context
            .report
            .note("Fresh", &format!("none of the files is in {prefix}/share, nothing is left to do"));
    } else if !context.dry_run {
        let verb = if args.uninstall { "removed from" } else { "are in" };
        context.report.say(&format!(
            "{} manual pages, and completions for bash, zsh and fish, {verb} {prefix}/share",
            files.len() - SHELLS.len()
        ));
    }
    Ok(())
}

/// Shells, and the directory below `share` in which each looks for completions.
const SHELLS: &[(Shell, &str)] = &[
    (Shell::Bash, "bash-completion/completions"),
    (Shell::Zsh, "zsh/site-functions"),
    (Shell::Fish, "fish/vendor_completions.d"),
];

/// The files, by their paths below `share`.
fn files(tool: &Tool) -> Result<Vec<(Utf8PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for (name, page) in man::pages(tool)? {
        files.push((Utf8Path::new("man/man1").join(name), page));
    }
    let program = tool.program_name();
    for (shell, dir) in SHELLS {
        let name = match shell {
            Shell::Zsh => format!("_{program}"),
            Shell::Fish => format!("{program}.fish"),
            _ => program.clone(),
        };
        files.push((Utf8Path::new(dir).join(name), completions::script(tool, *shell)));
    }
    Ok(files)
}

fn default_prefix() -> Result<Utf8PathBuf, Failure> {
    if user::is_root() {
        return Ok("/usr/local".into());
    }
    let home = std::env::var("HOME").map(|home| Utf8PathBuf::from(home).join(".local"));
    home.map_err(|_| Failure::usage("--prefix", "is needed where HOME is not set").remedy("--prefix DIR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_completions_are_where_they_are_looked_for() {
        let files = files(&crate::CARGO_KMOD).unwrap();
        for path in [
            "man/man1/cargo-kmod.1",
            "man/man1/cargo-kmod-dkms-install.1",
            "bash-completion/completions/cargo-kmod",
            "zsh/site-functions/_cargo-kmod",
            "fish/vendor_completions.d/cargo-kmod.fish",
        ] {
            let found = files.iter().find(|(there, _)| there == path);
            assert!(found.is_some_and(|(_, content)| content.len() > 500), "{path}");
        }
        assert!(!files.iter().any(|(path, _)| path.as_str().contains("enter-root")));
    }
}
