// SPDX-License-Identifier: GPL-2.0
//! A reader of `dkms.conf` (dkms(8), "DKMS.CONF"), which executes nothing.
//!
//! DKMS has bash source the file. Here it is read as what it almost always is: assignments, in the
//! shell's grammar, of text and of the values of other variables. Whatever else a shell would do is
//! refused, with its place.

mod again;
pub(crate) mod known;
mod statement;
pub(crate) mod values;
mod word;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{DirectivePlace, ReadError};
use crate::names;
use crate::reader::again::{Shape, respaced, shape};
use crate::reader::known::{KnownCommand, RUNNING};
use crate::reader::statement::{Assignment, Value};
use crate::reader::values::Values;
use crate::reader::word::{Cursor, Part, Position, SUBSTITUTION, Word, ends_word};

/// The most bytes that all values together may have: a value may contain others many times over.
const MOST: usize = 4 << 20;

/// The highest index that an array may have. DKMS looks at every index below the highest one used.
pub const HIGHEST: u32 = 9999;

/// The assignments of a `dkms.conf`, read and not yet evaluated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DkmsConf {
    assignments: Vec<Assignment>,
    carriage_returns: bool,
}

/// Variables that are set before the file is read, such as `kernelver`.
pub type Given = BTreeMap<&'static str, String>;

/// What evaluating gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluated {
    /// What the file assigned; the directives of DKMS as DKMS takes them.
    pub values: Values,
    /// Variables that were used and are not set, with the line; they are empty, as in a shell.
    pub unset: Vec<(String, usize)>,
    /// Variables that were used.
    pub used: BTreeSet<String>,
    /// Directives whose quotes are such that DKMS loses the value; here they keep it.
    pub lost: Vec<DirectivePlace>,
    /// Directives with a quote that has no end where DKMS reads them a second time: it loses all
    /// that it would read after them.
    pub open: Vec<DirectivePlace>,
    /// Whether lines end with a carriage return.
    pub carriage_returns: bool,
    /// What was used of what is given, with the line.
    pub taken: Vec<(Taken, usize)>,
}

/// A value that was given, by how it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// By the name of its variable.
    Variable(String),
    /// As the output of a command, which was not run.
    Output(KnownCommand),
}

impl DkmsConf {
    /// Reads the text of a `dkms.conf`.
    ///
    /// # Errors
    ///
    /// It has something other than assignments, an error in its syntax, or a byte order mark.
    pub fn parse(text: &str) -> Result<Self, ReadError> {
        // DKMS drops carriage returns at the ends of lines, too.
        if text.starts_with('\u{feff}') {
            let start = Cursor::new(text).at();
            return Err(start.wrong("a byte order mark, which bash takes for a part of the first word"));
        }
        let carriage_returns = text.contains("\r\n");
        let assignments = statement::all(&text.replace("\r\n", "\n"))?;
        Ok(Self { assignments, carriage_returns })
    }

    /// The same file as if it assigned this value wherever it assigns the variable one word, so
    /// that what it makes of the variable is made of this.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let named = self.assignments.iter_mut().filter(|assignment| assignment.name == name);
        named.for_each(|assignment| assignment.assign(value));
        self
    }

    /// Carries out the assignments, one after another, and then reads each directive a second time,
    /// as DKMS does ([`reread`]).
    ///
    /// # Errors
    ///
    /// A value would be split into words by a shell, grows without measure, or is not an index; or
    /// a variable is used that only a running shell has.
    pub fn evaluate(&self, given: &Given) -> Result<Evaluated, ReadError> {
        let mut state = State::new(given, Evaluated::default());
        self.assignments.iter().try_for_each(|assignment| state.assign(assignment))?;
        let done = Evaluated { carriage_returns: self.carriage_returns, ..state.done };
        Ok(read_again(done, given))
    }
}

/// What DKMS takes of `values` that bash has read. It reads each directive a second time, as the
/// text between double quotes, where only `given` and directives are set: of several blanks one is
/// left, `\\` is `\`, quotes vanish, and `$NAME` in what was quoted has its value after all.
///
/// A value that runs programs stays as it is, and so does one that DKMS loses by this: it is named
/// in [`Evaluated::lost`].
///
/// ```
/// use dkms_conf::{Given, Values, reread};
///
/// let mut values = Values::default();
/// values.set("MAKE", 0, "make  V=\"1\" KVER=$kernelver");
/// values.set("PRE_BUILD", 0, "x.sh \"a b\"");
/// let given = Given::from([("kernelver", "6.12.1".to_owned())]);
/// let taken = reread(values, &given);
/// assert_eq!(taken.values.scalar("MAKE"), Some("make V=1 KVER=6.12.1"));
/// assert_eq!(taken.lost[0].directive, "PRE_BUILD");
/// ```
pub fn reread(values: Values, given: &Given) -> Evaluated {
    read_again(Evaluated { values, ..Evaluated::default() }, given)
}

fn read_again(mut done: Evaluated, given: &Given) -> Evaluated {
    let mut state = State::new(given, Evaluated::default());
    for name in names::all() {
        let elements: Vec<(u32, String)> =
            done.values.array(name).map(|(index, value)| (index, respaced(value))).collect();
        for (index, text) in elements {
            let place = DirectivePlace::of(&done.values, name, index);
            let value = match shape(&text) {
                // Some programs are known by what they print.
                Shape::Word | Shape::Program => state.between_quotes(&text).unwrap_or(text),
                Shape::Broken => {
                    done.lost.push(place.clone());
                    text
                }
                Shape::Open => {
                    done.open.push(place.clone());
                    text
                }
            };
            let line = place.line.unwrap_or(1);
            done.unset.extend(state.done.unset.drain(..).map(|(name, _)| (name, line)));
            done.taken.extend(state.done.taken.drain(..).map(|(taken, _)| (taken, line)));
            state.done.values.set(name, index, value.clone());
            done.values.replace(name, index, value);
        }
    }
    done.used.append(&mut state.done.used);
    done
}

struct State<'a> {
    given: &'a Given,
    done: Evaluated,
    length: usize,
}

impl<'a> State<'a> {
    fn new(given: &'a Given, done: Evaluated) -> Self {
        Self { given, done, length: 0 }
    }

    /// The value of what stands between double quotes; `None` if that takes a shell, or too much.
    fn between_quotes(&mut self, text: &str) -> Option<String> {
        let line = format!("\"{text}\"");
        let mut cursor = Cursor::new(&line);
        let word = Word::read(&mut cursor, None).ok().filter(|_| cursor.peek().is_none())?;
        self.word(&word).ok()
    }

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
            Part::Value { name, index } => return self.value(name, *index, at),
            Part::Output(command) => {
                let value = self.given.get(command.variable()).cloned();
                self.done.taken.push((Taken::Output(*command), at.line));
                value.ok_or_else(|| at.needs_shell(SUBSTITUTION))?
            }
        })
    }

    /// A variable's value; empty, as in a shell, if it has none.
    fn value(&mut self, name: &str, index: u32, at: Position) -> Result<String, ReadError> {
        let assigned = self.done.values.element(name, index).is_some();
        let value = self.get(name, index);
        match &value {
            None if RUNNING.contains(&name) => {
                return Err(at.needs_shell(format!("`${name}`, which only a running shell has")));
            }
            None => self.done.unset.push((name.to_owned(), at.line)),
            Some(_) if !assigned => self.done.taken.push((Taken::Variable(name.to_owned()), at.line)),
            Some(_) => {}
        }
        Ok(value.unwrap_or_default())
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
    let mut state = State::new(given, Evaluated::default());
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
