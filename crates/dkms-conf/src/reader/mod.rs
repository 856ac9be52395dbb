// SPDX-License-Identifier: GPL-2.0
//! A reader of `dkms.conf` (dkms(8), "DKMS.CONF"), which executes nothing.
//!
//! DKMS has bash source the file. Here it is read as what it almost always is: assignments, in the
//! shell's grammar, of text and of the values of other variables. Whatever else a shell would do is
//! refused, with its place.

mod statement;
pub(crate) mod values;
mod word;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::ReadError;
use crate::reader::statement::{Assignment, Value};
use crate::reader::values::Values;
use crate::reader::word::{Cursor, Part, Position, Word, ends_word};

/// The most bytes that all values together may have: a value may contain others many times over.
const MOST: usize = 4 << 20;

/// The highest index that an array may have. DKMS looks at every index below the highest one used.
pub const HIGHEST: u32 = 9999;

/// The assignments of a `dkms.conf`, read and not yet evaluated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DkmsConf(Vec<Assignment>);

/// Variables that are set before the file is read, such as `kernelver`.
pub type Given = BTreeMap<&'static str, String>;

/// What evaluating gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluated {
    /// What the file assigned.
    pub values: Values,
    /// Variables that were used and are not set, with the line; they are empty, as in a shell.
    pub unset: Vec<(String, usize)>,
    /// Variables that were used.
    pub used: BTreeSet<String>,
}

impl DkmsConf {
    /// Reads the text of a `dkms.conf`.
    ///
    /// # Errors
    ///
    /// It has something other than assignments, or an error in its syntax.
    pub fn parse(text: &str) -> Result<Self, ReadError> {
        // DKMS drops carriage returns at the ends of lines, too.
        statement::all(&text.replace("\r\n", "\n")).map(Self)
    }

    /// Carries out the assignments, one after another.
    ///
    /// # Errors
    ///
    /// A value would be split into words by a shell, grows without measure, or is not an index.
    pub fn evaluate(&self, given: &Given) -> Result<Evaluated, ReadError> {
        let mut state = State { given, done: Evaluated::default(), length: 0 };
        self.0.iter().try_for_each(|assignment| state.assign(assignment))?;
        Ok(state.done)
    }
}

struct State<'a> {
    given: &'a Given,
    done: Evaluated,
    length: usize,
}

impl State<'_> {
    fn assign(&mut self, assignment: &Assignment) -> Result<(), ReadError> {
        let Assignment { name, at, append, .. } = assignment;
        match &assignment.value {
            Value::Word(word) => {
                let index = assignment.index.as_ref().map_or(Ok(0), |index| self.index(index, *at))?;
                let value = self.word(word)?;
                self.set(name, index, value, *append, *at);
            }
            Value::Array(elements) => {
                // Read first: an element may refer to the array itself.
                let elements: Vec<(Option<u32>, Vec<String>)> = elements
                    .iter()
                    .map(|(index, word)| match index {
                        Some(index) => Ok((Some(self.index(index, *at)?), vec![self.word(word)?])),
                        None => Ok((None, self.split(word)?)),
                    })
                    .collect::<Result<_, ReadError>>()?;
                if !append {
                    self.done.values.clear(name);
                }
                self.fill(name, elements, *at)?;
            }
        }
        Ok(())
    }

    /// Sets elements; one without an index follows the one before it.
    fn fill(
        &mut self,
        name: &str,
        elements: Vec<(Option<u32>, Vec<String>)>,
        at: Position,
    ) -> Result<(), ReadError> {
        let mut next = self.done.values.array(name).map(|(index, _)| index + 1).max().unwrap_or(0);
        for (index, values) in elements {
            next = index.unwrap_or(next);
            for value in values {
                if next > HIGHEST {
                    return Err(at.wrong(format!("an array of more than {HIGHEST} elements")));
                }
                self.set(name, next, value, false, at);
                next += 1;
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, index: u32, value: String, append: bool, at: Position) {
        let before = if append { self.get(name, index).unwrap_or_default() } else { String::new() };
        self.done.values.set_in(at.line, name, index, before + &value);
    }

    /// What the file assigned, else what was given.
    fn get(&self, name: &str, index: u32) -> Option<String> {
        let given = || self.given.get(name).filter(|_| index == 0).cloned();
        self.done.values.element(name, index).map(str::to_owned).or_else(given)
    }

    fn index(&mut self, word: &Word, at: Position) -> Result<u32, ReadError> {
        let text = self.word(word)?;
        let index = text.parse().map_err(|_| at.needs_shell("an array index that is not a number"))?;
        if index > HIGHEST { Err(at.wrong(format!("an array index above {HIGHEST}"))) } else { Ok(index) }
    }

    /// A word's value.
    fn word(&mut self, word: &Word) -> Result<String, ReadError> {
        let mut value = String::new();
        for piece in &word.0 {
            value.push_str(&self.part(&piece.part, piece.at)?);
            self.grow(value.len(), piece.at)?;
        }
        Ok(value)
    }

    fn part(&mut self, part: &Part, at: Position) -> Result<String, ReadError> {
        if let Part::Value { name, .. } | Part::All(name) | Part::Count(name) = part {
            self.done.used.insert(name.clone());
        }
        let elements = |name: &str| self.done.values.array(name).map(|(_, value)| value).collect::<Vec<_>>();
        Ok(match part {
            Part::Text(text) => text.clone(),
            Part::Count(name) => elements(name).len().to_string(),
            Part::All(name) => elements(name).join(" "),
            Part::Value { name, index } => self.get(name, *index).unwrap_or_else(|| {
                self.done.unset.push((name.clone(), at.line));
                String::new()
            }),
        })
    }

    /// The words that an element of an array becomes; several if it is `"${OTHER[@]}"`.
    fn split(&mut self, word: &Word) -> Result<Vec<String>, ReadError> {
        let mut pieces = word.0.iter().filter(|piece| piece.part != Part::Text(String::new()));
        if let (Some(piece), None) = (pieces.next(), pieces.next())
            && let Part::All(name) = &piece.part
        {
            let elements: Vec<String> =
                self.done.values.array(name).map(|(_, value)| value.to_owned()).collect();
            self.grow(elements.iter().map(String::len).sum(), piece.at)?;
            return Ok(elements);
        }
        for piece in word.0.iter().filter(|piece| !piece.quoted && !matches!(piece.part, Part::Text(_))) {
            if self.part(&piece.part, piece.at)?.contains([' ', '\t', '\n', '*', '?', '[']) {
                return Err(piece.at.needs_shell("a value that a shell would split into words: quote it"));
            }
        }
        Ok(vec![self.word(word)?])
    }

    /// Counts the bytes that values have become.
    fn grow(&mut self, length: usize, at: Position) -> Result<(), ReadError> {
        self.length = self.length.saturating_add(length);
        if self.length > MOST {
            return Err(at.wrong(format!("values that grow beyond {} MiB", MOST >> 20)));
        }
        Ok(())
    }
}

/// The words of a command that a shell would run as exactly these words, with `given` put in for
/// variables. `None` if it takes a shell: for operators, substitutions, patterns, or assignments
/// before the command.
///
/// ```
/// use dkms_conf::{Given, plain_words};
///
/// let given = Given::from([("kernelver", "6.12.1".to_owned())]);
/// let words = plain_words("make 'V=1 2' KVER=$kernelver", &given).unwrap();
/// assert_eq!(words, ["make", "V=1 2", "KVER=6.12.1"]);
/// assert_eq!(plain_words("make && make install", &given), None);
/// ```
pub fn plain_words(command: &str, given: &Given) -> Option<Vec<String>> {
    let mut state = State { given, done: Evaluated::default(), length: 0 };
    let mut cursor = Cursor::new(command);
    let mut words = Vec::new();
    loop {
        cursor.blanks();
        match cursor.peek() {
            None => break,
            Some(c) if c == '#' || ends_word(c) => return None,
            Some(_) => {}
        }
        let word = Word::read(&mut cursor, None).ok()?;
        let pattern = |text: &str| text.contains(['*', '?', '[', '{', '!', '~']);
        let special = word.0.iter().any(|piece| match &piece.part {
            Part::Text(text) => !piece.quoted && pattern(text),
            _ => false,
        });
        let mut split = state.split(&word).ok().filter(|_| !special)?;
        words.append(&mut split);
    }
    let first = words.first()?;
    (state.done.unset.is_empty() && !first.contains('=') && !OF_THE_SHELL.contains(&first.as_str()))
        .then_some(words)
}

/// Words that a command may begin with although they are not programs.
const OF_THE_SHELL: &[&str] = &[
    ".", ":", "case", "cd", "command", "eval", "exec", "exit", "export", "for", "if", "set", "shift",
    "source", "time", "trap", "ulimit", "umask", "unset", "until", "while",
];

#[cfg(test)]
mod tests;
