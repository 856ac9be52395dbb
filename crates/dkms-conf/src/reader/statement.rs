// SPDX-License-Identifier: GPL-2.0
//! Statements of a `dkms.conf`: assignments, and nothing else.

use crate::error::ReadError;
use crate::reader::word::{Cursor, Part, Position, Word, ends_word};

/// `NAME=…`, `NAME[…]=…`, or either with `+=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) index: Option<Word>,
    pub(super) append: bool,
    pub(super) value: Value,
    pub(super) at: Position,
}

impl Assignment {
    /// Has it assign this text, if it assigns one word, to the variable itself or its first
    /// element.
    pub(super) fn assign(&mut self, text: &str) {
        let first = self.index.as_ref().is_none_or(Word::is_zero);
        if let (true, Value::Word(word)) = (first, &mut self.value) {
            *word = Word::literal(text, self.at);
            self.append = false;
        }
    }
}

/// What is assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// One word.
    Word(Word),
    /// `(…)`: elements, some with `[INDEX]=` before them.
    Array(Vec<(Option<Word>, Word)>),
}

/// Reads all assignments in a file.
pub(super) fn all(text: &str) -> Result<Vec<Assignment>, ReadError> {
    let mut cursor = Cursor::new(text);
    let mut assignments = Vec::new();
    loop {
        insignificant(&mut cursor);
        if cursor.peek().is_none() {
            return Ok(assignments);
        }
        statement(&mut cursor, &mut assignments)?;
    }
}

/// Passes over blanks, empty lines and comments.
fn insignificant(cursor: &mut Cursor<'_>) {
    loop {
        cursor.blanks();
        match cursor.peek() {
            Some('#') => drop(cursor.take_while(|c| c != '\n')),
            Some('\n') => cursor.skip(),
            _ => return,
        }
    }
}

/// One or more assignments, up to the end of the line or a `;`.
fn statement(cursor: &mut Cursor<'_>, to: &mut Vec<Assignment>) -> Result<(), ReadError> {
    let exported = cursor.rest().strip_prefix("export").is_some_and(|rest| rest.starts_with([' ', '\t']));
    if exported {
        cursor.take("export");
        cursor.blanks();
    }
    loop {
        let before = cursor.clone();
        let name = cursor.name();
        let is_end = cursor.peek().is_none_or(ends_word);
        match assignment(cursor, name, before.at())? {
            Some(assignment) => to.push(assignment),
            // Only exported, not assigned.
            None if exported && !name.is_empty() && is_end => {}
            None => return Err(command(&before)),
        }
        cursor.blanks();
        match cursor.peek() {
            None | Some('\n' | '#') => return Ok(()),
            Some(';') if !cursor.rest().starts_with(";;") => {
                cursor.skip();
                return Ok(());
            }
            Some(c) if ends_word(c) => {
                return Err(cursor
                    .at()
                    .needs_shell(format!("`{c}`: a shell command, which is not executed")));
            }
            Some(_) => {}
        }
    }
}

/// The error for a line that is not an assignment.
fn command(cursor: &Cursor<'_>) -> ReadError {
    let rest = cursor.rest();
    let word = rest.split(ends_word).next().filter(|word| !word.is_empty());
    let word: String = word.unwrap_or(rest).chars().take(20).collect();
    let assigned = rest[rest.len().min(word.len())..].trim_start_matches([' ', '\t']).starts_with('=');
    let hint = if assigned { "; an assignment has no blank before the =" } else { "" };
    cursor.at().needs_shell(format!("`{word}`: a shell command, which is not executed{hint}"))
}

/// The assignment to `name`, which was just read; `None` if it is not assigned to.
fn assignment(cursor: &mut Cursor<'_>, name: &str, at: Position) -> Result<Option<Assignment>, ReadError> {
    if name.is_empty() {
        return Ok(None);
    }
    let index = if cursor.take("[") { Some(index(cursor)?) } else { None };
    let append = cursor.take("+=");
    if !append && !cursor.take("=") {
        return Ok(None);
    }
    let value = if cursor.peek() == Some('(') {
        if index.is_some() {
            return Err(cursor.at().wrong("an array as an element of an array"));
        }
        Value::Array(array(cursor)?)
    } else {
        Value::Word(Word::read(cursor, None)?)
    };
    Ok(Some(Assignment { name: name.to_owned(), index, append, value, at }))
}

/// The index after a `[`, and the `]`.
fn index(cursor: &mut Cursor<'_>) -> Result<Word, ReadError> {
    let at = cursor.at();
    let index = Word::read(cursor, Some(']'))?;
    if cursor.take("]") { Ok(index) } else { Err(at.needs_shell("an array index that is not a number")) }
}

/// The elements of an array; the cursor is on the opening parenthesis.
fn array(cursor: &mut Cursor<'_>) -> Result<Vec<(Option<Word>, Word)>, ReadError> {
    let opened = cursor.at();
    cursor.skip();
    let mut elements = Vec::new();
    loop {
        insignificant(cursor);
        match cursor.peek() {
            None => return Err(opened.wrong("a parenthesis that is not closed")),
            Some(')') => {
                cursor.skip();
                return Ok(elements);
            }
            Some(c) if ends_word(c) => {
                return Err(cursor
                    .at()
                    .needs_shell(format!("`{c}`: a shell command, which is not executed")));
            }
            Some('[') => {
                let at = cursor.at();
                cursor.skip();
                let index = index(cursor)?;
                if !cursor.take("=") {
                    return Err(at.needs_shell("a pattern for file names, which is not expanded"));
                }
                elements.push((Some(index), Word::read(cursor, None)?));
            }
            Some(_) => elements.push((None, element(cursor)?)),
        }
    }
}

/// An element without index, in which a shell would expand patterns to file names.
fn element(cursor: &mut Cursor<'_>) -> Result<Word, ReadError> {
    let word = Word::read(cursor, None)?;
    for piece in word.0.iter().filter(|piece| !piece.quoted) {
        if matches!(&piece.part, Part::Text(text) if text.contains(['*', '?', '[', '{'])) {
            return Err(piece.at.needs_shell("a pattern for file names, which is not expanded"));
        }
    }
    Ok(word)
}
