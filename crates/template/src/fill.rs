// SPDX-License-Identifier: GPL-2.0
//! Puts values into a template: `{{name}}` is replaced, and a line that is nothing but that is
//! replaced by the value's lines, of which there may be none.
//!
//! The templates need nothing more: what differs between kinds of repositories is which files there
//! are, not loops and conditions within them. So this is a page of code instead of a template
//! engine. Values are never looked at for further places, and the templates are parts of this
//! crate: one that names a value that there is not is a bug, found by the tests, which render every
//! kind.

/// The template with its places filled.
///
/// # Panics
///
/// If the template has a place with no value.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len());
    for line in template.split_inclusive('\n') {
        match place(line).filter(|(before, _, after)| before.is_empty() && *after == "\n") {
            Some((_, name, _)) => filled.push_str(&block(value(values, name))),
            None => fill_line(&mut filled, line, values),
        }
    }
    filled
}

fn fill_line(filled: &mut String, line: &str, values: &[(&str, &str)]) {
    let mut rest = line;
    while let Some((before, name, after)) = place(rest) {
        filled.push_str(before);
        filled.push_str(value(values, name));
        rest = after;
    }
    filled.push_str(rest);
}

/// What comes before the first place, its name, and what comes after it.
fn place(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find("{{").map(|at| from + at) {
        let inner = &text[at + 2..];
        if let Some((name, after)) = inner.split_once("}}").filter(|(name, _)| is_name(name)) {
            return Some((&text[..at], name, after));
        }
        from = at + 1;
    }
    None
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

fn value<'a>(values: &[(&str, &'a str)], name: &str) -> &'a str {
    let found = values.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("the template has a place {name:?}, and there is no value for it")).1
}

/// As whole lines.
fn block(value: &str) -> String {
    if value.is_empty() || value.ends_with('\n') { value.to_owned() } else { format!("{value}\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_values_are_left_alone() {
        let values = [("a", "{{b}}"), ("b", "B"), ("none", ""), ("lines", "1\n2")];
        for (template, filled) in [
            ("x{{a}}{{b}}y\n", "x{{b}}By\n"),
            ("x\n{{none}}\ny\n", "x\ny\n"),
            ("x{{none}}\ny\n", "x\ny\n"),
            ("{{lines}}\n", "1\n2\n"),
            ("  {{lines}}\n", "  1\n2\n"),
            ("${{ github.ref }} {{{b}}} {{A}}\n", "${{ github.ref }} {B} {{A}}\n"),
            ("{{b}}", "B"),
            ("", ""),
        ] {
            assert_eq!(fill(template, &values), filled);
        }
    }

    #[test]
    #[should_panic(expected = "no value for it")]
    fn a_place_without_a_value_is_a_bug() {
        fill("{{unknown}}", &[("known", "")]);
    }
}
