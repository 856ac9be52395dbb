// SPDX-License-Identifier: GPL-2.0
//! Words of the shell's grammar (bash(1), "QUOTING" and "EXPANSION"), as far as they execute
//! nothing: text, quotes, the names of variables, and commands whose output is known. The crate
//! `shlex` splits and unquotes words, but knows no variables, no arrays and no places in the text.

use crate::error::ReadError;
use crate::reader::known::KnownCommand;

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Position {
    /// Something that only a shell could carry out.
    pub(super) fn needs_shell(self, reason: impl Into<String>) -> ReadError {
        ReadError { line: self.line, column: self.column, reason: reason.into(), needs_shell: true }
    }

    /// Something that is wrong for a shell, too.
    pub(super) fn wrong(self, reason: impl Into<String>) -> ReadError {
        ReadError { needs_shell: false, ..self.needs_shell(reason) }
    }
}

/// A word: its pieces, one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word(pub(super) Vec<Piece>);

impl Word {
    /// This text, quoted.
    pub(super) fn literal(text: &str, at: Position) -> Self {
        Self(vec![Piece { part: Part::Text(text.to_owned()), quoted: true, at }])
    }

    /// Whether it is a plain 0.
    pub(super) fn is_zero(&self) -> bool {
        matches!(&self.0[..], [Piece { part: Part::Text(text), .. }] if text == "0")
    }
}

/// A part of a word that is quoted as a whole, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) part: Part,
    pub(super) quoted: bool,
    pub(super) at: Position,
}

/// What a piece is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Literal text.
    Text(String),
    /// A variable's value, `$NAME`, `${NAME}` or `${NAME[INDEX]}`.
    Value { name: String, index: u32 },
    /// All elements of an array, `${NAME[@]}`.
    All(String),
    /// How many elements an array has, `${#NAME[@]}`.
    Count(String),
    /// The output of a command, `$(nproc)` or the same in backticks.
    Output(KnownCommand),
}

/// Why a command is not run.
pub(super) const SUBSTITUTION: &str = "a command substitution, which is not executed";

/// Where in a text the reader is.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
    at: Position,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, at: Position { line: 1, column: 1 } }
    }

    pub(super) fn at(&self) -> Position {
        self.at
    }

    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        self.at = match c {
            '\n' => Position { line: self.at.line + 1, column: 1 },
            _ => Position { column: self.at.column + 1, ..self.at },
        };
        Some(c)
    }

    pub(super) fn skip(&mut self) {
        self.bump();
    }

    /// Passes over `text` if it is next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let next = self.rest.starts_with(text);
        if next {
            text.chars().for_each(|_| self.skip());
        }
        next
    }

    /// Passes over characters as long as they are `wanted`, and gives them.
    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let before = self.rest;
        while self.peek().is_some_and(&wanted) {
            self.skip();
        }
        &before[..before.len() - self.rest.len()]
    }

    /// Passes over a variable's name, and gives it; an empty one if there is none.
    pub(super) fn name(&mut self) -> &'a str {
        match self.peek() {
            Some(c) if c.is_ascii_digit() => "",
            _ => self.take_while(|c| c.is_ascii_alphanumeric() || c == '_'),
        }
    }

    /// Passes over blanks and line continuations.
    pub(super) fn blanks(&mut self) {
        while self.take(" ") || self.take("\t") || self.take("\\\n") {}
    }
}

/// Whether `c` ends a word outside quotes.
pub(super) fn ends_word(c: char) -> bool {
    " \t\n;&|<>()".contains(c)
}

impl Word {
    /// Reads a word up to its end or, if `closing` is given, up to that.
    pub(super) fn read(cursor: &mut Cursor<'_>, closing: Option<char>) -> Result<Self, ReadError> {
        let mut word = Self::default();
        if cursor.peek() == Some('~') {
            return Err(cursor.at().needs_shell("a `~`, which a shell would expand"));
        }
        while let Some(c) = cursor.peek() {
            if ends_word(c) || closing == Some(c) {
                break;
            }
            word.piece(cursor, c)?;
        }
        Ok(word)
    }

    /// Reads what begins with `c`, outside quotes.
    fn piece(&mut self, cursor: &mut Cursor<'_>, c: char) -> Result<(), ReadError> {
        let at = cursor.at();
        match c {
            '\'' => {
                cursor.skip();
                let text = cursor.take_while(|c| c != '\'');
                self.text(text, true, at);
                cursor.bump().map(drop).ok_or_else(|| at.wrong("a quote that is not closed"))
            }
            '"' => self.double_quoted(cursor),
            '\\' => {
                cursor.skip();
                // A line that ends with a backslash continues in the next.
                match cursor.bump() {
                    Some('\n') => {}
                    Some(c) => self.text(c.encode_utf8(&mut [0; 4]), true, at),
                    None => return Err(at.wrong("a backslash at the end of the file")),
                }
                Ok(())
            }
            '$' | '`' => self.dollar(cursor, false),
            c => {
                cursor.skip();
                self.text(c.encode_utf8(&mut [0; 4]), false, at);
                Ok(())
            }
        }
    }

    fn double_quoted(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ReadError> {
        let opened = cursor.at();
        cursor.skip();
        // Even if there is nothing in it: an empty quotation is a word.
        self.text("", true, opened);
        loop {
            let at = cursor.at();
            match cursor.peek() {
                None => return Err(opened.wrong("a quote that is not closed")),
                Some('"') => {
                    cursor.skip();
                    return Ok(());
                }
                Some('$' | '`') => self.dollar(cursor, true)?,
                Some('\\') => {
                    cursor.skip();
                    match cursor.peek() {
                        Some('\n') => cursor.skip(),
                        Some(c) if "$`\"\\".contains(c) => {
                            cursor.skip();
                            self.text(c.encode_utf8(&mut [0; 4]), true, at);
                        }
                        _ => self.text("\\", true, at),
                    }
                }
                Some(_) => self.text(cursor.take_while(|c| !"\"$`\\".contains(c)), true, at),
            }
        }
    }

    /// Reads what begins with `$` or a backtick.
    fn dollar(&mut self, cursor: &mut Cursor<'_>, quoted: bool) -> Result<(), ReadError> {
        let at = cursor.at();
        let backtick = cursor.bump() == Some('`');
        let part = match cursor.peek() {
            _ if backtick => output(cursor, '`', at)?,
            Some('(') if cursor.rest().starts_with("((") => {
                return Err(at.needs_shell("arithmetic, which is not evaluated"));
            }
            Some('(') => {
                cursor.skip();
                output(cursor, ')', at)?
            }
            Some('{') => braced(cursor, at)?,
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                Part::Value { name: cursor.name().to_owned(), index: 0 }
            }
            Some(c) if c.is_ascii_digit() || "@*#?-$!".contains(c) => {
                return Err(at.needs_shell("a parameter of a running shell; none is running"));
            }
            Some('\'' | '"') if !quoted => {
                return Err(at.needs_shell("quoting that only bash knows ($'…')"));
            }
            _ => {
                self.text("$", quoted, at);
                return Ok(());
            }
        };
        self.0.push(Piece { part, quoted, at });
        Ok(())
    }

    fn text(&mut self, text: &str, quoted: bool, at: Position) {
        match self.0.last_mut() {
            Some(Piece { part: Part::Text(before), quoted: same, .. }) if *same == quoted => {
                before.push_str(text);
            }
            _ => self.0.push(Piece { part: Part::Text(text.to_owned()), quoted, at }),
        }
    }
}

/// The command of a substitution that ends with `closing`; the cursor is on its beginning.
fn output(cursor: &mut Cursor<'_>, closing: char, at: Position) -> Result<Part, ReadError> {
    let known = cursor.rest().split_once(closing).and_then(|(text, _)| KnownCommand::of(text));
    let command = known.ok_or_else(|| at.needs_shell(SUBSTITUTION))?;
    cursor.take_while(|c| c != closing);
    cursor.skip();
    Ok(Part::Output(command))
}

/// What is in the braces of `${…}`; the cursor is on the opening one.
fn braced(cursor: &mut Cursor<'_>, at: Position) -> Result<Part, ReadError> {
    cursor.skip();
    let count = cursor.take("#");
    let name = cursor.name().to_owned();
    let elements = cursor.take("[@]");
    let index = if cursor.take("[") {
        let digits = cursor.take_while(|c| c.is_ascii_digit());
        cursor.take("]").then(|| digits.parse().ok()).flatten()
    } else {
        Some(0)
    };
    let closed = cursor.take("}");
    match (name.is_empty() || !closed, count, elements, index) {
        (false, true, true, Some(0)) => Ok(Part::Count(name)),
        (false, false, true, Some(0)) => Ok(Part::All(name)),
        (false, false, false, Some(index)) => Ok(Part::Value { name, index }),
        _ if cursor.peek().is_none() && !closed => Err(at.wrong("a brace that is not closed")),
        _ => Err(at.needs_shell("a parameter expansion with an operator, which is not evaluated")),
    }
}
