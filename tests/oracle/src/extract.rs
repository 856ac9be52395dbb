// SPDX-License-Identifier: GPL-2.0
//! Takes single definitions out of C source: a function, a table, a structure, a macro.

use anyhow::{Context, Result};

/// The definition of the function `name`, from its return type on to its closing brace.
///
/// # Errors
///
/// There is none.
pub fn function(source: &str, name: &str) -> Result<String> {
    let code = without_text(source);
    let call = format!("{name}(");
    for (at, _) in code.match_indices(&call) {
        let whole_word = !code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let Some(end) = closing(&code, at + name.len(), '(', ')') else { continue };
        if whole_word && code[end..].trim_start().starts_with('{') {
            return definition(source, &code, at, '\0').with_context(|| format!("{name} has no end"));
        }
    }
    anyhow::bail!("no function {name} in it")
}

/// The definition of something between braces that begins with `start`, to the semicolon after it.
///
/// # Errors
///
/// There is none.
pub fn braced(source: &str, start: &str) -> Result<String> {
    let code = without_text(source);
    let at = code.find(start).with_context(|| format!("no `{start}` in it"))?;
    definition(source, &code, at, ';').with_context(|| format!("`{start}` has no end"))
}

/// The macro `name`, with the lines that it goes on over.
///
/// # Errors
///
/// There is none.
pub fn define(source: &str, name: &str) -> Result<String> {
    let start = format!("#define {name}");
    let at = source.find(&start).with_context(|| format!("no macro {name} in it"))?;
    let mut text = String::new();
    for line in source[at..].lines() {
        text.push_str(line);
        text.push('\n');
        if !line.ends_with('\\') {
            break;
        }
    }
    Ok(text)
}

/// The definition around `at`: from after what precedes it to its closing brace, or on to `last`.
fn definition(source: &str, code: &str, at: usize, last: char) -> Option<String> {
    // At the left margin a definition follows on a blank line or a directive; comments are blank in
    // `code`.
    let blank = |text: &str| text.trim().is_empty();
    let mut start = code[..at].rfind('\n').map_or(0, |end| end + 1);
    while let Some(line) =
        code[..start].strip_suffix('\n').map(|text| text.rfind('\n').map_or(0, |at| at + 1))
    {
        if blank(&code[line..start]) || code[line..start].starts_with('#') {
            break;
        }
        start = line;
    }
    let mut end = closing(code, at, '{', '}')?;
    if last != '\0' {
        end += code[end..].find(last)? + 1;
    }
    Some(format!("{}\n\n", &source[start..end]))
}

/// The source with comments and what literals hold blanked out, byte for byte.
fn without_text(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                source[at..].find("*/").map_or(bytes.len(), |len| at + len + 2)
            }
            quote @ (b'"' | b'\'') => {
                let mut end = at + 1;
                while bytes.get(end).is_some_and(|byte| *byte != quote) {
                    end += if bytes[end] == b'\\' { 2 } else { 1 };
                }
                (end + 1).min(bytes.len())
            }
            _ => at + 1,
        };
        if end > at + 1 {
            code[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        at = end;
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// Where the bracket that opens first at or after `from` is closed: the byte after it.
fn closing(code: &str, from: usize, open: char, close: char) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        if char::from(byte) == open {
            depth += 1;
        } else if char::from(byte) == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at + 1);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "/* one(x) { */\nint one(int x);\n\n/* about */\nstatic int\none(int x)\n{\n\
        \tputs(\"}\"); /* } */\n\treturn '{';\n}\n\nstruct two {\n\tint a;\n} __packed;\n\n#define THREE(x) \\\n\tx\nrest\n";

    #[test]
    fn definitions_are_found_whole() {
        let one = function(SOURCE, "one").unwrap();
        assert!(one.starts_with("static int\none(int x)\n{") && one.trim_end().ends_with("'{';\n}"), "{one}");
        assert_eq!(braced(SOURCE, "struct two {").unwrap(), "struct two {\n\tint a;\n} __packed;\n\n");
        assert_eq!(define(SOURCE, "THREE").unwrap(), "#define THREE(x) \\\n\tx\n");
        assert!(function(SOURCE, "puts").is_err());
        assert!(braced(SOURCE, "struct three {").is_err());
    }
}
