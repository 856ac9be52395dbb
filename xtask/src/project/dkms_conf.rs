// SPDX-License-Identifier: GPL-2.0
//! A reader of `dkms.conf` (dkms(8), "DKMS.CONF"): plain assignments, read and never executed.

use std::collections::BTreeMap;

/// The assignments of a `dkms.conf`: by name, then by array index; a scalar is index 0, as in bash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DkmsConf(BTreeMap<String, BTreeMap<u32, String>>);

/// A line that is no plain assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl DkmsConf {
    /// Reads the text of a `dkms.conf`.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let mut conf = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, index, value) = assignment(line)
                .map_err(|reason| Unreadable { line: number + 1, reason: reason.to_owned() })?;
            conf.0.entry(name.to_owned()).or_default().insert(index, value);
        }
        Ok(conf)
    }

    /// A variable's value; of an array the first.
    pub fn scalar(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.get(&0).map(String::as_str)
    }

    /// An array by index.
    pub fn array(&self, name: &str) -> BTreeMap<u32, String> {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

/// `NAME=value` or `NAME[index]=value`.
fn assignment(line: &str) -> Result<(&str, u32, String), &'static str> {
    let (target, value) = line.split_once('=').ok_or("not an assignment")?;
    let (name, index) = match target.split_once('[') {
        None => (target, 0),
        Some((name, rest)) => {
            let index = rest.strip_suffix(']').and_then(|index| index.parse().ok());
            (name, index.ok_or("an array index that is no number")?)
        }
    };
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err("not an assignment");
    }
    Ok((name, index, word(value)?))
}

/// One shell word: quoted or bare; a comment may follow. Variables stay as they are written.
fn word(text: &str) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            (None, ' ' | '\t') => {
                let rest = chars.as_str().trim_start();
                return if rest.is_empty() || rest.starts_with('#') {
                    Ok(value)
                } else {
                    Err("more than one word")
                };
            }
            (None, ';' | '&' | '|' | '(' | ')' | '<' | '>') => {
                return Err("a shell command, which is not executed");
            }
            (quote, '`') if quote != Some('\'') => {
                return Err("a command substitution, which is not executed");
            }
            (quote, '$') if quote != Some('\'') && chars.as_str().starts_with('(') => {
                return Err("a command substitution, which is not executed");
            }
            (quote, '\\') if quote != Some('\'') => value.extend(chars.next()),
            (_, c) => value.push(c),
        }
    }
    if quote.is_some() { Err("a quote that is not closed in the same line") } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read() {
        let conf = DkmsConf::parse(
            "# a comment\nPACKAGE_NAME=\"x\"  # said\nBUILT_MODULE_NAME[0]='a'\nBUILT_MODULE_NAME[1]=b\nMAKE=\"make KVER=${kernelver}\"\n",
        )
        .unwrap();
        assert_eq!(conf.scalar("PACKAGE_NAME"), Some("x"));
        assert_eq!(conf.array("BUILT_MODULE_NAME").into_values().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(conf.scalar("MAKE"), Some("make KVER=${kernelver}"));
    }

    #[test]
    fn programs_are_refused_with_line_and_reason() {
        for (text, line, reason) in [
            ("A=1\nif true; then\n", 2, "not an assignment"),
            ("A=$(uname -r)\n", 1, "a command substitution, which is not executed"),
            ("A=\"`uname -r`\"\n", 1, "a command substitution, which is not executed"),
            ("A=1; rm -rf /\n", 1, "a shell command, which is not executed"),
            ("A=\"open\nB=2\n", 1, "a quote that is not closed in the same line"),
            ("A[x]=1\n", 1, "an array index that is no number"),
        ] {
            assert_eq!(DkmsConf::parse(text), Err(Unreadable { line, reason: reason.into() }), "{text:?}");
        }
    }
}
