// SPDX-License-Identifier: GPL-2.0
//! The lists of [`options`](super::options) as people read them.

use std::fmt::Write as _;

use super::options::{ADDED, Added, DIRECTORIES, Directory, Keep, NAMED, SEEN};

/// The lists in Markdown: what modules see, what is kept and left out, what is added.
pub fn lists() -> String {
    let mut text = String::new();
    heading(&mut text, "As in the kernel that it stands for, or refused", &["options", "what they decide"]);
    for seen in SEEN {
        row(&mut text, &[&names(seen.options), seen.what]);
    }
    heading(&mut text, "Kept and left out, by where an option is defined", &["directory", "kept", "why"]);
    for Directory { path, keep, why } in DIRECTORIES {
        let path = if path.is_empty() { "everything else".to_owned() } else { format!("`{path}/`") };
        let keep = match keep {
            Keep::All => "built in, and modules",
            Keep::BuiltIn => "built in",
            Keep::Nothing => "nothing",
        };
        row(&mut text, &[&path, keep, why]);
    }
    heading(&mut text, "Kept and left out, by name", &["options", "", "why"]);
    for named in NAMED {
        let keep = if named.keep { "kept" } else { "left out" };
        row(&mut text, &[&names(named.options), keep, named.why]);
    }
    heading(&mut text, "Added", &["option", "", "why"]);
    for Added { option, value, if_known, why } in ADDED {
        let must = if *if_known { "where the kernel has it" } else { "always, or refused" };
        row(&mut text, &[&format!("`{option}={value}`"), must, why]);
    }
    text
}

fn heading(text: &mut String, title: &str, columns: &[&str]) {
    writeln!(text, "\n### {title}\n").ok();
    row(text, columns);
    writeln!(text, "|{}", "---|".repeat(columns.len())).ok();
}

fn row(text: &mut String, cells: &[&str]) {
    writeln!(text, "| {} |", cells.join(" | ")).ok();
}

fn names(options: &[&str]) -> String {
    options.iter().map(|option| format!("`{option}`")).collect::<Vec<_>>().join(", ")
}
