// SPDX-License-Identifier: GPL-2.0
//! Extended regular expressions as glibc's regcomp(3) reads them in the C locale, which is what
//! `[[ … =~ … ]]` of bash is: POSIX.1 (XBD 9.4) where that says something, and what glibc makes of
//! the rest. They are translated to the syntax of the engine, which only has to say whether
//! something matches: which of several matches a program would be given is no question here.

/// Groups and repetitions within one another. The engine and this reader are recursive.
pub(crate) const DEEPEST: u32 = 200;

/// The longest expression in bytes.
const LONGEST: usize = 1 << 16;

/// The highest number in braces (`RE_DUP_MAX`).
const MOST: u32 = 0x7fff;

/// The same expression for the engine, which must let `.` match a newline.
///
/// # Errors
///
/// Why it is no expression for glibc, or has what an engine without backtracking cannot do.
pub(crate) fn translate(expression: &str) -> Result<String, String> {
    if expression.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let mut reader = Reader { rest: expression, out: String::new() };
    reader.alternatives(0)?;
    Ok(reader.out)
}

struct Reader<'a> {
    rest: &'a str,
    out: String,
}

/// What was read: an anchor cannot be repeated.
#[derive(PartialEq, Eq)]
enum Read {
    Atom,
    Anchor,
}

/// A member of a bracket expression.
enum Member {
    One(char),
    Class(&'static [(char, char)]),
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Branches with `|` between them; each may be empty.
    fn alternatives(&mut self, depth: u32) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("more than {DEEPEST} groups in one another"));
        }
        loop {
            match self.peek() {
                None => return Ok(()),
                Some(')') if depth > 0 => return Ok(()),
                Some('|') => {
                    self.bump();
                    self.out.push('|');
                }
                Some(_) => self.repeated(depth)?,
            }
        }
    }

    /// An atom with what repeats it.
    fn repeated(&mut self, depth: u32) -> Result<(), String> {
        let from = self.out.len();
        if self.atom(depth)? == Read::Anchor {
            return Ok(());
        }
        for level in 0.. {
            let Some(times) = self.times()? else { break };
            if level > DEEPEST {
                return Err(format!("more than {DEEPEST} repetitions of one another"));
            }
            self.out.insert_str(from, "(?:");
            self.out.push(')');
            self.out.push_str(&times);
        }
        Ok(())
    }

    /// `*`, `+`, `?` or `{…}`; `None` if there is none.
    fn times(&mut self) -> Result<Option<String>, String> {
        Ok(match self.peek() {
            Some(c @ ('*' | '+' | '?')) => {
                self.bump();
                Some(c.to_string())
            }
            Some('{') => {
                self.bump();
                Some(self.braces()?)
            }
            _ => None,
        })
    }

    /// `N}`, `N,}`, `,M}`, `N,M}` or `,}`.
    fn braces(&mut self) -> Result<String, String> {
        let (least, after) = self.number()?;
        let (most, after) = match after {
            '}' if least.is_none() => return Err("{} without a number".to_owned()),
            '}' => (least, after),
            _ => self.number()?,
        };
        let least = least.unwrap_or(0);
        if after != '}' || most.is_some_and(|most| most < least) {
            return Err("a repetition in braces that is none".to_owned());
        }
        if least.max(most.unwrap_or(0)) > MOST {
            return Err(format!("more than {MOST} repetitions"));
        }
        Ok(match most {
            Some(most) => format!("{{{least},{most}}}"),
            None => format!("{{{least},}}"),
        })
    }

    /// A number in braces, and the `,` or `}` after it.
    fn number(&mut self) -> Result<(Option<u32>, char), String> {
        let mut number: Option<u32> = None;
        loop {
            // glibc takes these two for themselves after a backslash, too.
            let escaped = self.rest.starts_with("\\,") || self.rest.starts_with("\\0");
            if escaped {
                self.bump();
            }
            match self.bump() {
                None => return Err("a { without its }".to_owned()),
                Some(c @ (',' | '}')) => return Ok((number, c)),
                Some(c) => {
                    let digit = c.to_digit(10).ok_or("braces with something else than numbers")?;
                    number = Some(number.unwrap_or(0).saturating_mul(10).saturating_add(digit));
                }
            }
        }
    }

    fn atom(&mut self, depth: u32) -> Result<Read, String> {
        let Some(c) = self.bump() else { return Ok(Read::Atom) };
        match c {
            '*' | '+' | '?' | '{' => return Err(format!("nothing that `{c}` could repeat")),
            '^' | '$' => {
                self.out.push_str(if c == '^' { r"\A" } else { r"\z" });
                return Ok(Read::Anchor);
            }
            '(' => {
                self.out.push_str("(?:");
                self.alternatives(depth + 1)?;
                if !self.take(")") {
                    return Err("a ( without its )".to_owned());
                }
                self.out.push(')');
            }
            '.' => self.out.push('.'),
            '[' => self.brackets()?,
            '\\' => return self.escaped(),
            c => self.literal(c),
        }
        Ok(Read::Atom)
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex_lite::escape(c.encode_utf8(&mut [0; 4])));
    }

    /// What is after a backslash: GNU's operators; all else is for itself.
    fn escaped(&mut self) -> Result<Read, String> {
        let Some(c) = self.bump() else { return Err("a backslash at its end".to_owned()) };
        let anchor = match c {
            '1'..='9' => {
                return Err(format!(
                    "a reference to what was matched before (\\{c}), which is not supported"
                ));
            }
            'w' | 'W' => {
                let not = if c == 'W' { "^" } else { "" };
                self.out.push_str(&format!("[{not}0-9A-Za-z_]"));
                return Ok(Read::Atom);
            }
            's' | 'S' => {
                let not = if c == 'S' { "^" } else { "" };
                self.out.push_str(&format!(r"[{not}\t-\r ]"));
                return Ok(Read::Atom);
            }
            'b' => r"\b",
            'B' => r"\B",
            '<' => r"\b{start}",
            '>' => r"\b{end}",
            '`' => r"\A",
            '\'' => r"\z",
            c => {
                self.literal(c);
                return Ok(Read::Atom);
            }
        };
        self.out.push_str(anchor);
        Ok(Read::Anchor)
    }

    /// A bracket expression; its `[` was just read.
    fn brackets(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.take("^") {
            self.out.push('^');
        }
        let mut first = true;
        while first || !self.take("]") {
            let start = self.member(first)?;
            first = false;
            match start {
                Member::One(start) if self.is_range() => {
                    self.bump();
                    let Member::One(end) = self.member(true)? else {
                        return Err("a range that ends in a class".to_owned());
                    };
                    if end < start {
                        return Err(format!("the range {start}-{end}, which is backwards"));
                    }
                    self.span(start, end);
                }
                Member::One(start) => self.span(start, start),
                Member::Class(spans) => spans.iter().for_each(|(start, end)| self.span(*start, *end)),
            }
        }
        self.out.push(']');
        Ok(())
    }

    /// Whether there is a `-` that is not the last of its bracket expression.
    fn is_range(&self) -> bool {
        self.rest.starts_with('-') && !self.rest.starts_with("-]")
    }

    /// One member. A `-` is one only where `hyphen` allows it, or as the last.
    fn member(&mut self, hyphen: bool) -> Result<Member, String> {
        for (open, close) in [("[:", ":]"), ("[=", "=]"), ("[.", ".]")] {
            if self.take(open) {
                let (name, rest) = self.rest.split_once(close).ok_or("a [ without its ]")?;
                self.rest = rest;
                return named(open, name, close);
            }
        }
        if !hyphen && self.is_range() {
            return Err("a range that begins nowhere".to_owned());
        }
        self.bump().map(Member::One).ok_or_else(|| "a [ without its ]".to_owned())
    }

    fn span(&mut self, start: char, end: char) {
        self.out.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(start), u32::from(end)));
    }
}

/// `[:NAME:]`, `[=NAME=]` or `[.NAME.]`.
fn named(open: &str, name: &str, close: &str) -> Result<Member, String> {
    let mut characters = name.chars();
    match (open, characters.next(), characters.next()) {
        ("[:", _, _) => {
            let class = CLASSES.iter().find(|(known, _)| *known == name);
            class
                .map(|(_, spans)| Member::Class(spans))
                .ok_or_else(|| format!("[:{name}:], which is no class of characters"))
        }
        // In the C locale each character is like none but itself, and there are no others.
        (_, Some(c), None) => Ok(Member::One(c)),
        _ => Err(format!("{open}{name}{close}, which is no character")),
    }
}

/// The classes of characters in the C locale.
const CLASSES: &[(&str, &[(char, char)])] = &[
    ("alnum", &[('0', '9'), ('A', 'Z'), ('a', 'z')]),
    ("alpha", &[('A', 'Z'), ('a', 'z')]),
    ("blank", &[('\t', '\t'), (' ', ' ')]),
    ("cntrl", &[('\0', '\x1f'), ('\x7f', '\x7f')]),
    ("digit", &[('0', '9')]),
    ("graph", &[('!', '~')]),
    ("lower", &[('a', 'z')]),
    ("print", &[(' ', '~')]),
    ("punct", &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
    ("space", &[('\t', '\r'), (' ', ' ')]),
    ("upper", &[('A', 'Z')]),
    ("xdigit", &[('0', '9'), ('A', 'F'), ('a', 'f')]),
];
