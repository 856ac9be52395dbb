// SPDX-License-Identifier: GPL-2.0
//! The values that a `dkms.conf` gives to its variables.

use std::collections::BTreeMap;
use std::fmt;

use crate::names;

/// Values by name, then by array index; a scalar is index 0, as in bash. Each may know the line
/// that it was last set in, which makes no difference to whether two are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<String, BTreeMap<u32, Value>>);

#[derive(Clone, Debug)]
struct Value {
    text: String,
    line: Option<usize>,
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Value {}

impl Values {
    /// A variable's value; of an array, the element with index 0.
    pub fn scalar(&self, name: &str) -> Option<&str> {
        self.element(name, 0)
    }

    /// One element of an array.
    pub fn element(&self, name: &str, index: u32) -> Option<&str> {
        self.0.get(name)?.get(&index).map(|value| value.text.as_str())
    }

    /// The elements of an array, by index.
    pub fn array(&self, name: &str) -> impl Iterator<Item = (u32, &str)> {
        self.0.get(name).into_iter().flatten().map(|(index, value)| (*index, value.text.as_str()))
    }

    /// The line of the file, from 1, in which an element was last set; `None` if it was not set
    /// there.
    pub fn line(&self, name: &str, index: u32) -> Option<usize> {
        self.0.get(name)?.get(&index)?.line
    }

    /// Sets one element.
    pub fn set(&mut self, name: &str, index: u32, value: impl Into<String>) {
        self.set_value(name, index, Value { text: value.into(), line: None });
    }

    /// Sets one element, in this line of the file.
    pub(crate) fn set_in(&mut self, line: usize, name: &str, index: u32, value: String) {
        self.set_value(name, index, Value { text: value, line: Some(line) });
    }

    /// Gives an element that is there another value, of the same line.
    pub(crate) fn replace(&mut self, name: &str, index: u32, text: String) {
        let line = self.line(name, index);
        self.set_value(name, index, Value { text, line });
    }

    fn set_value(&mut self, name: &str, index: u32, value: Value) {
        self.0.entry(name.to_owned()).or_default().insert(index, value);
    }

    /// Makes `name` an array without elements.
    pub fn clear(&mut self, name: &str) {
        self.0.insert(name.to_owned(), BTreeMap::new());
    }

    /// Puts `new` in place of `old` wherever that stands in a value.
    pub fn replace_text(&mut self, old: &str, new: &str) {
        let values = self.0.values_mut().flat_map(BTreeMap::values_mut);
        values.for_each(|value| value.text = value.text.replace(old, new));
    }

    /// The names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// As a `dkms.conf` that gives the same values.
impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, elements) in &self.0 {
            match (elements.len(), elements.get(&0)) {
                (0, _) => writeln!(f, "{name}=()")?,
                (1, Some(value)) => writeln!(f, "{name}={}", quoted(name, &value.text))?,
                _ => {
                    for (index, value) in elements {
                        writeln!(f, "{name}[{index}]={}", quoted(name, &value.text))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A value as one word, that of a directive as one that also the second reading gives again.
fn quoted(name: &str, text: &str) -> Quoted {
    if !names::all().any(|known| known == name) {
        return Quoted(text.to_owned());
    }
    let special = |c: char| "\"$`\\".contains(c);
    Quoted(text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect())
}

/// Text as one word of the shell, in which nothing is special. The crate `shlex` quotes only where
/// it must and refuses NUL, which a value may have.
struct Quoted(String);

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "'\\''"))
    }
}
