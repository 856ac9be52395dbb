// SPDX-License-Identifier: GPL-2.0
//! What a kernel's Kconfig files say of an option (Documentation/kbuild/kconfig-language.rst), as
//! far as the user has to be told why it was not taken: whether it can be set at all, and what it
//! depends on.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::Utf8Path;

use kmodfile::architecture::Architecture;
use kmodfile::config::Config;

/// All options of a kernel's source, by name without `CONFIG_`.
#[derive(Debug, Default)]
pub(crate) struct KconfigOptions(BTreeMap<String, KconfigOption>);

#[derive(Debug, Default, PartialEq, Eq)]
struct KconfigOption {
    /// Whether it has a prompt: others follow from what is asked.
    asked: bool,
    /// What each of its definitions depends on.
    definitions: Vec<Vec<String>>,
}

/// Why an option of a configuration was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// This source has no such option.
    Unknown,
    /// Nobody sets it: it follows from others.
    NotAsked,
    /// It depends on these, which do not hold; none, where that is not to be told.
    Needs(Vec<String>),
}

impl KconfigOptions {
    /// Reads the Kconfig files of a source for this architecture.
    pub(crate) fn of_source(source: &Utf8Path, architecture: Architecture) -> Result<Self> {
        let mut options = Self::default();
        let of_arch = source.join("arch").join(architecture.source());
        let others = |path: &std::path::Path| {
            path.parent() == Some(source.join("arch").as_std_path()) && path.is_dir() && path != of_arch
        };
        let walk = walkdir::WalkDir::new(source).sort_by_file_name().into_iter();
        for entry in walk.filter_entry(|entry| !others(entry.path())) {
            let entry = entry?;
            let is_kconfig = entry.file_name().to_string_lossy().starts_with("Kconfig");
            if is_kconfig && entry.file_type().is_file() {
                options.read(&String::from_utf8_lossy(&fs_err::read(entry.path())?));
            }
        }
        Ok(options)
    }

    /// Adds what one file says.
    fn read(&mut self, text: &str) {
        let text = text.replace("\\\n", " ");
        // What every `if` and `menu` around asks for.
        let mut around: Vec<Vec<String>> = Vec::new();
        let mut open: Option<String> = None;
        let mut helps = false;
        for line in text.lines() {
            let indented = line.starts_with([' ', '\t']);
            let line = line.trim();
            let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
            let rest = rest.trim();
            helps &= indented || line.is_empty();
            match word {
                "" => {}
                _ if helps => {}
                "help" => helps = true,
                "config" | "menuconfig" => {
                    self.0.entry(rest.to_owned()).or_default().definitions.push(around.concat());
                    open = Some(rest.to_owned());
                }
                "if" | "menu" | "choice" => {
                    around.push(if word == "if" { vec![rest.to_owned()] } else { Vec::new() });
                    open = None;
                }
                "endif" | "endmenu" | "endchoice" => {
                    around.pop();
                    open = None;
                }
                "source" | "comment" => open = None,
                "depends" => {
                    let needed = rest.strip_prefix("on ").unwrap_or(rest).trim().to_owned();
                    match &open {
                        Some(name) => self.last(name).extend([needed]),
                        None => around.last_mut().into_iter().for_each(|of| of.push(needed.clone())),
                    }
                }
                "bool" | "tristate" | "int" | "hex" | "string" | "prompt" => {
                    if let Some(option) = open.as_ref().and_then(|name| self.0.get_mut(name)) {
                        option.asked |= rest.starts_with(['"', '\'']);
                    }
                }
                _ => {}
            }
        }
    }

    /// What the last definition of an option depends on.
    fn last(&mut self, name: &str) -> &mut Vec<String> {
        let option = self.0.entry(name.to_owned()).or_default();
        if option.definitions.is_empty() {
            option.definitions.push(Vec::new());
        }
        option.definitions.last_mut().expect("there is one now")
    }

    /// Why `option`, with `CONFIG_`, is not as it was asked for in a kernel of this configuration.
    pub(crate) fn why_not(&self, option: &str, config: &Config) -> NotTaken {
        let name = option.strip_prefix("CONFIG_").unwrap_or(option);
        let Some(known) = self.0.get(name) else { return NotTaken::Unknown };
        if !known.asked {
            return NotTaken::NotAsked;
        }
        // Of several definitions one would do: what that is, is not to be told in a line.
        let [needed] = known.definitions.as_slice() else { return NotTaken::Needs(Vec::new()) };
        NotTaken::Needs(needed.iter().flat_map(|expression| unmet(expression, config)).collect())
    }
}

/// The parts of an expression, all of which it asks for, that do not hold.
fn unmet(expression: &str, config: &Config) -> Vec<String> {
    let words = words(expression);
    let mut depth = 0_i32;
    let parts = words.split(|word| {
        depth += i32::from(word == "(") - i32::from(word == ")");
        word == "&&" && depth == 0
    });
    let alternatives = words.iter().any(|word| word == "||");
    let parts: Vec<&[String]> =
        if alternatives && !is_conjunction(&words) { vec![&words] } else { parts.collect() };
    let fails = |part: &&[String]| Parser { words: part, at: 0, config }.any_of() == Some(false);
    parts.into_iter().filter(fails).map(shown).collect()
}

/// Whether no `||` is outside of all brackets, which binds less than `&&`.
fn is_conjunction(words: &[String]) -> bool {
    let mut depth = 0_i32;
    !words.iter().any(|word| {
        depth += i32::from(word == "(") - i32::from(word == ")");
        word == "||" && depth == 0
    })
}

fn shown(words: &[String]) -> String {
    words.join(" ").replace("( ", "(").replace(" )", ")").replace("! ", "!")
}

/// Names, strings, operators, and macros of make's form, which nobody here can evaluate.
fn words(expression: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = expression.trim();
    while let Some(first) = rest.chars().next() {
        let is_name = |c: char| c.is_alphanumeric() || "_-.\"'".contains(c);
        let length = match first {
            '#' => break,
            '$' => closing(rest),
            c if is_name(c) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
            _ if ["&&", "||", "!=", "<=", ">="].iter().any(|two| rest.starts_with(two)) => 2,
            _ => first.len_utf8(),
        };
        words.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    words
}

/// The length of a macro, `$(name,…)`, with its brackets.
fn closing(text: &str) -> usize {
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if c == ')' && depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// Evaluates an expression; `None` is what cannot be known here.
struct Parser<'a> {
    words: &'a [String],
    at: usize,
    config: &'a Config,
}

impl Parser<'_> {
    fn next(&mut self) -> &str {
        let word = self.words.get(self.at).map_or("", String::as_str);
        self.at += 1;
        word
    }

    fn takes(&mut self, word: &str) -> bool {
        let is = self.words.get(self.at).is_some_and(|found| found == word);
        self.at += usize::from(is);
        is
    }

    fn any_of(&mut self) -> Option<bool> {
        let mut result = self.all_of();
        while self.takes("||") {
            result = match (result, self.all_of()) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
        }
        result
    }

    fn all_of(&mut self) -> Option<bool> {
        let mut result = self.one();
        while self.takes("&&") {
            result = match (result, self.one()) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
        }
        result
    }

    fn one(&mut self) -> Option<bool> {
        if self.takes("!") {
            return self.one().map(|holds| !holds);
        }
        if self.takes("(") {
            let inner = self.any_of();
            self.takes(")");
            return inner;
        }
        let first = self.next().to_owned();
        for operator in ["=", "!=", "<", "<=", ">", ">="] {
            if self.takes(operator) {
                let second = self.next().to_owned();
                return self.compared(&first, operator, &second);
            }
        }
        self.value(&first).map(|value| value != "n")
    }

    fn compared(&self, first: &str, operator: &str, second: &str) -> Option<bool> {
        let (first, second) = (self.value(first)?, self.value(second)?);
        let order = match (first.parse::<i64>(), second.parse::<i64>()) {
            (Ok(first), Ok(second)) => first.cmp(&second),
            _ => first.cmp(&second),
        };
        Some(match operator {
            "=" => order.is_eq(),
            "!=" => order.is_ne(),
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            _ => order.is_ge(),
        })
    }

    /// The value of a name or a constant; `n` is what is not set.
    fn value(&self, word: &str) -> Option<String> {
        let constant = matches!(word, "y" | "m" | "n") || word.starts_with(|c: char| c.is_ascii_digit());
        if word.starts_with('$') || word.is_empty() {
            return None;
        }
        if constant || word.starts_with(['"', '\'']) {
            return Some(word.trim_matches(['"', '\'']).to_owned());
        }
        Some(self.config.get(&format!("CONFIG_{word}")).unwrap_or("n").to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KCONFIG: &str = "\
config SOFT
\tbool \"Soft\"
\tdepends on !HARD || \\
\t\t(MILD && OLD)
\tdepends on $(success,test -e x)
\tdepends on GCC >= 120000 && NET
\thelp
\t  config HIDDEN
\t  depends on NOTHING

config SILENT
\tdef_bool y

if NET
menu \"Drivers\"
\tdepends on PCI
config INNER
\ttristate
\tprompt \"Inner\"
endmenu
endif

config TWICE
\tbool \"One\"
\tdepends on A
config TWICE
\tbool
";

    #[test]
    fn why_an_option_was_not_taken_is_read() {
        let mut options = KconfigOptions::default();
        options.read(KCONFIG);
        let needs = |parts: &[&str]| NotTaken::Needs(parts.iter().map(|part| (*part).to_owned()).collect());
        for (option, config, why) in [
            ("SOFT", "HARD=y GCC=130000 NET=y", needs(&["!HARD || (MILD && OLD)"])),
            ("SOFT", "HARD=y MILD=y OLD=m GCC=130000 NET=m", needs(&[])),
            ("SOFT", "GCC=110000", needs(&["GCC >= 120000", "NET"])),
            ("HIDDEN", "", NotTaken::Unknown),
            ("SILENT", "", NotTaken::NotAsked),
            ("INNER", "NET=y", needs(&["PCI"])),
            ("INNER", "", needs(&["NET", "PCI"])),
            ("TWICE", "", needs(&[])),
        ] {
            let text: String = config.split(' ').map(|set| format!("CONFIG_{set}\n")).collect();
            let found = options.why_not(&format!("CONFIG_{option}"), &Config::parse(&text));
            assert_eq!(found, why, "{option} {config}");
        }
    }

    #[test]
    fn expressions_have_their_values() {
        let config = Config::parse("CONFIG_A=y\nCONFIG_M=m\nCONFIG_S=\"x\"\n");
        for (expression, value) in [
            ("A && M", Some(true)),
            ("A && B || M", Some(true)),
            ("A && (B || !M)", Some(false)),
            ("S = \"x\"", Some(true)),
            ("S != x && A", Some(true)),
            ("M = y", Some(false)),
            ("$(cc-option,-f(x)) && B", Some(false)),
            ("$(cc-option,-fx) && A", None),
            ("A || $(x)", Some(true)),
            ("", None),
        ] {
            let words = words(expression);
            let found = Parser { words: &words, at: 0, config: &config }.any_of();
            assert_eq!(found, value, "{expression}");
        }
    }
}
