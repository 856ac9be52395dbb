// SPDX-License-Identifier: GPL-2.0
//! Writes YAML that cannot be malformed, with comments for whoever reads it.
//!
//! A serializer knows no comments, and a pipeline without any teaches nobody. So this is a page of
//! code: mappings and lists in block style, texts plain where nobody could read anything else, and
//! else quoted as JSON quotes them, which YAML reads the same way.

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Yaml {
    /// A text.
    Text(String),
    /// Lines that are a text together: a script.
    Lines(Vec<String>),
    /// `true` or `false`.
    Flag(bool),
    /// A number.
    Number(u32),
    /// Nothing: a key that is there is enough.
    Nothing,
    /// A list.
    List(Vec<Yaml>),
    /// A mapping.
    Map(Map),
}

/// A mapping, in the order in which it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Map {
    entries: Vec<Entry>,
    /// Whether an empty line is between them.
    apart: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    comment: Vec<&'static str>,
    key: &'static str,
    value: Yaml,
}

impl Map {
    /// The same mapping with one entry more.
    #[must_use]
    pub(super) fn with(self, key: &'static str, value: impl Into<Yaml>) -> Self {
        self.said(&[], key, value)
    }

    /// The same mapping with one entry more, these lines of comment before it.
    #[must_use]
    pub(super) fn said(
        mut self,
        comment: &[&'static str],
        key: &'static str,
        value: impl Into<Yaml>,
    ) -> Self {
        self.entries.push(Entry { comment: comment.to_vec(), key, value: value.into() });
        self
    }

    /// The same mapping with the entries of another after its own.
    #[must_use]
    pub(super) fn and(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self
    }

    /// The same mapping with an empty line between its entries.
    #[must_use]
    pub(super) fn apart(self) -> Self {
        Self { apart: true, ..self }
    }

    /// The text of a file: these lines of comment, and this mapping.
    pub(super) fn document(self, head: &[String]) -> String {
        // What ends a line for some readers would end the comment.
        let plain = |c: char| if c.is_control() || is_break(c) { ' ' } else { c };
        let line = |line: &String| format!("# {}\n", line.chars().map(plain).collect::<String>());
        let mut text: String = head.iter().map(line).collect();
        if !head.is_empty() {
            text.push('\n');
        }
        write_map(&mut text, &self.apart(), 0);
        text
    }
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Yaml {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u32> for Yaml {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

impl From<Map> for Yaml {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Yaml {
    fn from(list: Vec<T>) -> Self {
        Self::List(list.into_iter().map(Into::into).collect())
    }
}

/// Columns that one level of nesting takes.
const STEP: usize = 2;

fn write_map(text: &mut String, map: &Map, indent: usize) {
    let margin = " ".repeat(indent);
    for (number, entry) in map.entries.iter().enumerate() {
        if map.apart && number > 0 {
            text.push('\n');
        }
        entry.comment.iter().for_each(|line| text.push_str(&format!("{margin}# {line}\n")));
        text.push_str(&format!("{margin}{}:", entry.key));
        write_after_key(text, &entry.value, indent);
    }
}

/// What comes after the colon of a key.
fn write_after_key(text: &mut String, value: &Yaml, indent: usize) {
    match value {
        Yaml::Map(map) if !map.entries.is_empty() => {
            text.push('\n');
            write_map(text, map, indent + STEP);
        }
        Yaml::List(list) if !list.is_empty() => {
            text.push('\n');
            list.iter().for_each(|item| write_item(text, item, indent + STEP));
        }
        Yaml::Nothing => text.push('\n'),
        other => {
            text.push(' ');
            write_scalar(text, other, indent);
        }
    }
}

fn write_item(text: &mut String, item: &Yaml, indent: usize) {
    let margin = " ".repeat(indent);
    match item {
        Yaml::Map(map) if !map.entries.is_empty() => {
            let mut block = String::new();
            write_map(&mut block, map, indent + STEP);
            // The first key, before which its comment is, stands beside the dash.
            let comment: String =
                map.entries[0].comment.iter().map(|line| format!("{margin}# {line}\n")).collect();
            let lines = map.entries[0].comment.len();
            let rest = block.splitn(lines + 1, '\n').nth(lines).unwrap_or_default();
            text.push_str(&format!("{comment}{margin}- {}", &rest[indent + STEP..]));
        }
        other => {
            text.push_str(&format!("{margin}- "));
            write_scalar(text, other, indent);
        }
    }
}

fn write_scalar(text: &mut String, value: &Yaml, indent: usize) {
    match value {
        Yaml::Text(word) if is_plain(word) => text.push_str(word),
        Yaml::Text(word) => text.push_str(&quoted(word)),
        Yaml::Lines(lines) if is_block(lines) => {
            text.push('|');
            let margin = " ".repeat(indent + STEP);
            for line in lines {
                text.push('\n');
                text.push_str(if line.is_empty() { "" } else { &margin });
                text.push_str(line);
            }
        }
        Yaml::Lines(lines) => text.push_str(&quoted(&format!("{}\n", lines.join("\n")))),
        Yaml::Flag(flag) => text.push_str(&flag.to_string()),
        Yaml::Number(number) => text.push_str(&number.to_string()),
        Yaml::Nothing => text.push_str("null"),
        Yaml::List(list) if list.is_empty() => text.push_str("[]"),
        Yaml::Map(map) if map.entries.is_empty() => text.push_str("{}"),
        // JSON is YAML: what is nested in a place for scalars is written so.
        Yaml::List(list) => {
            text.push_str(&format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", ")))
        }
        Yaml::Map(_) => text.push_str(&flow(value)),
    }
    text.push('\n');
}

fn flow(value: &Yaml) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Yaml::Text(word) => quoted(word),
        Yaml::Lines(lines) => quoted(&format!("{}\n", lines.join("\n"))),
        Yaml::Flag(flag) => flag.to_string(),
        Yaml::Number(number) => number.to_string(),
        Yaml::Nothing => "null".to_owned(),
        Yaml::List(items) => format!("[{}]", list(items.iter().map(flow).collect())),
        Yaml::Map(map) => {
            let entry = |entry: &Entry| format!("{}: {}", quoted(entry.key), flow(&entry.value));
            format!("{{{}}}", list(map.entries.iter().map(entry).collect()))
        }
    }
}

/// Texts that some readers take for something else.
const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "null", "y", "n"];

/// Whether every reader takes it for the text that it is.
fn is_plain(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        || ["./", "~/", "${{ ", "$C"].iter().any(|beginning| text.starts_with(beginning));
    begins
        && text.chars().all(|c| c.is_ascii_graphic() || c == ' ')
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// Whether the lines can stand as they are, indented.
fn is_block(lines: &[String]) -> bool {
    let printable = |line: &String| line.chars().all(|c| !c.is_control() && !is_break(c));
    let ends = |line: Option<&String>| line.is_some_and(|line| !line.trim().is_empty());
    let begins = lines.first().is_some_and(|line| !line.starts_with(' '));
    begins && ends(lines.first()) && ends(lines.last()) && lines.iter().all(printable)
}

/// Characters that YAML takes for the end of a line, or for no part of a text.
fn is_break(c: char) -> bool {
    matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// As JSON quotes it.
fn quoted(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        c if c.is_control() || is_break(c) => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(value: impl Into<Yaml>) -> String {
        Map::default().with("k", value).document(&[])
    }

    #[test]
    fn texts_are_plain_only_where_nobody_reads_anything_else() {
        for text in ["debian:13", "a b", "~/.cache", "${{ matrix.x }}", "./x", "$CI_X == \"y\""] {
            assert_eq!(scalar(text), format!("k: {text}\n"));
        }
        for (text, written) in [
            ("", "\"\""),
            ("yes", "\"yes\""),
            ("NULL", "\"NULL\""),
            ("1.5", "\"1.5\""),
            ("- a", "\"- a\""),
            ("a: b", "\"a: b\""),
            ("a #b", "\"a #b\""),
            ("a:", "\"a:\""),
            (" a", "\" a\""),
            ("[a]", "\"[a]\""),
            ("a\nb", "\"a\\nb\""),
            ("\"\\", "\"\\\"\\\\\""),
            ("\u{2028}", "\"\\u2028\""),
            ("ł", "\"ł\""),
            ("*x", "\"*x\""),
            ("!x", "\"!x\""),
        ] {
            assert_eq!(scalar(text), format!("k: {written}\n"), "{text:?}");
        }
    }

    #[test]
    fn scripts_are_blocks_unless_that_would_change_them() {
        let lines = |lines: &[&str]| Yaml::Lines(lines.iter().map(|line| (*line).to_owned()).collect());
        assert_eq!(scalar(lines(&["a: b", "", "  c # d"])), "k: |\n  a: b\n\n    c # d\n");
        assert_eq!(scalar(lines(&[" a", "b"])), "k: \" a\\nb\\n\"\n");
        assert_eq!(scalar(lines(&["a", ""])), "k: \"a\\n\\n\"\n");
        assert_eq!(scalar(lines(&["a\tb"])), "k: \"a\\tb\\n\"\n");
    }

    #[test]
    fn what_is_nested_stands_below_its_key() {
        let step = Map::default().said(&["why"], "run", "x").with("env", Map::default().with("A", true));
        let map = Map::default().with("steps", vec![Yaml::Map(step), "b".into()]).with("on", Yaml::Nothing);
        let text = map.document(&["head\u{2028}\nx: y".to_owned()]);
        let expected = "# head  x: y\n\nsteps:\n  # why\n  - run: x\n    env:\n      A: true\n  - b\n\non:\n";
        assert_eq!(text, expected);
        assert_eq!(scalar(vec![vec!["a", "b"]]), "k:\n  - [\"a\", \"b\"]\n");
        assert_eq!(scalar(Vec::<Yaml>::new()), "k: []\n");
    }
}
