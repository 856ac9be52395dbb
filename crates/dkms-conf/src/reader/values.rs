// SPDX-License-Identifier: GPL-2.0
//! The values that a `dkms.conf` gives to its variables.

use std::collections::BTreeMap;
use std::fmt;

/// Values by name, then by array index; a scalar is index 0, as in bash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<String, BTreeMap<u32, String>>);

impl Values {
    /// A variable's value; of an array, the element with index 0.
    pub fn scalar(&self, name: &str) -> Option<&str> {
        self.element(name, 0)
    }

    /// One element of an array.
    pub fn element(&self, name: &str, index: u32) -> Option<&str> {
        self.0.get(name)?.get(&index).map(String::as_str)
    }

    /// The elements of an array, by index.
    pub fn array(&self, name: &str) -> impl Iterator<Item = (u32, &str)> {
        self.0.get(name).into_iter().flatten().map(|(index, value)| (*index, value.as_str()))
    }

    /// Sets one element.
    pub fn set(&mut self, name: &str, index: u32, value: impl Into<String>) {
        self.0.entry(name.to_owned()).or_default().insert(index, value.into());
    }

    /// Makes `name` an array without elements.
    pub fn clear(&mut self, name: &str) {
        self.0.insert(name.to_owned(), BTreeMap::new());
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
            match (elements.len(), elements.contains_key(&0)) {
                (0, _) => writeln!(f, "{name}=()")?,
                (1, true) => writeln!(f, "{name}={}", Quoted(&elements[&0]))?,
                _ => {
                    for (index, value) in elements {
                        writeln!(f, "{name}[{index}]={}", Quoted(value))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Text as one word of the shell, in which nothing is special. The crate `shlex` quotes only where
/// it must and refuses NUL, which a value may have.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "'\\''"))
    }
}
