// SPDX-License-Identifier: GPL-2.0
//! The second reading. When bash has read the file, DKMS (`safe_source`) has it write a line
//! `NAME[INDEX]="VALUE"` for each directive, and reads these lines, in a shell that has none of
//! the file's own variables. Nothing in the value is quoted for that.

/// What a value is as the text between the quotes of such a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// It is one word.
    Word,
    /// Quotes in it end the quotation before a blank or an operator: then bash takes the rest for
    /// a command, and the assignment for one that is made for that alone.
    Broken,
    /// A quote in it has no end: bash reads no further.
    Open,
    /// It runs programs.
    Program,
}

/// The value as it stands in that line: bash has split it into words and put them together again,
/// and a carriage return at its end is gone.
pub(super) fn respaced(value: &str) -> String {
    let value = value.strip_suffix('\r').unwrap_or(value);
    let mut text = String::new();
    for c in value.chars().map(|c| if is_blank(c) { ' ' } else { c }) {
        if c != ' ' || !text.ends_with(' ') {
            text.push(c);
        }
    }
    text
}

fn is_blank(c: char) -> bool {
    " \t\n".contains(c)
}

/// What `text` is between the quotes.
pub(super) fn shape(text: &str) -> Shape {
    let mut quoted = true;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '`' => return Shape::Program,
            '$' if rest.as_str().starts_with('(') => return Shape::Program,
            '\\' => drop(rest.next()),
            '"' => quoted = !quoted,
            '\'' if !quoted && !rest.by_ref().any(|c| c == '\'') => return Shape::Open,
            c if !quoted && (is_blank(c) || ";&|<>()".contains(c)) => return Shape::Broken,
            _ => {}
        }
    }
    if quoted && !ends_escaped(text) { Shape::Word } else { Shape::Open }
}

/// Whether the quote after `text` is not one.
fn ends_escaped(text: &str) -> bool {
    text.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_single() {
        for (value, text) in [("a  b", "a b"), (" a\n\tb ", " a b "), ("a\r", "a"), ("", ""), ("  ", " ")] {
            assert_eq!(respaced(value), text);
        }
    }

    #[test]
    fn quotes_in_a_value_may_break_it() {
        for (text, expected) in [
            ("make all", Shape::Word),
            ("make A=\"b\" c", Shape::Word),
            ("make A='b c'", Shape::Word),
            ("make A=\\\"b c\\\"", Shape::Word),
            ("\"'a b'\"", Shape::Word),
            ("make A=\"b c\" d", Shape::Broken),
            ("make A=\"b;c\"", Shape::Broken),
            ("a \"", Shape::Open),
            ("a\\", Shape::Open),
            ("a\"'b\"", Shape::Open),
            ("make -j$(nproc)", Shape::Program),
            ("make -j`nproc`", Shape::Program),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }
}
