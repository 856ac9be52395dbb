// SPDX-License-Identifier: GPL-2.0
//! Places in the source, as addr2line(1) tells them, which the compilers' build root has.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use kernel::context::Context;
use kernel::prepare::Prepared;
use kernel::root::Access;
use kernel::toolchain::Toolchain;
use report::process::Cmd;
use serde::Serialize;

use crate::symbol_name::demangled;

/// A line of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourcePlace {
    /// The function that it is in.
    pub function: String,
    /// The file; of the project's own, its path in the project.
    pub file: Utf8PathBuf,
    /// The line's number.
    pub line: u32,
    /// What stands there, if the file can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What addr2line says of addresses in a file, or `within` one section of it, for each.
pub(crate) fn ask(
    context: &Context,
    prepared: &Prepared,
    file: &Utf8Path,
    within: &[&str],
    addresses: &[(usize, u64)],
) -> Result<Vec<Vec<SourcePlace>>> {
    let program = Toolchain::of(&prepared.kdir.config()?).binutils("addr2line");
    let cmd = Cmd::new(program)
        .args(["--addresses", "--functions", "--inlines", "--exe", file.as_str()])
        .args(within)
        .args(addresses.iter().map(|(_, address)| format!("{address:#x}")));
    let access = Access::default().read(file.parent().context("a file is in a directory")?);
    Ok(answers(&prepared.root.inside(context, cmd, &access).read(&context.report)?))
}

/// Reads addr2line's answers: a line with each address, then pairs of lines, a function and
/// `FILE:LINE`. What it does not know is `??`.
fn answers(text: &str) -> Vec<Vec<SourcePlace>> {
    let mut all = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("0x") {
            all.push(Vec::new());
            continue;
        }
        let Some((places, place)) = all.last_mut().zip(lines.next()) else { break };
        let place = place.split_once(" (discriminator").map_or(place, |(place, _)| place);
        let Some((file, line_number)) = place.rsplit_once(':') else { continue };
        if let Ok(number) = line_number.parse()
            && file != "??"
        {
            places.push(SourcePlace {
                function: demangled(line),
                file: file.into(),
                line: number,
                text: None,
            });
        }
    }
    all
}

/// A line of a text, by its number, without tabs: it is shown in a column.
pub(crate) fn line_of(text: &str, number: u32) -> Option<String> {
    let line = text.lines().nth((number as usize).checked_sub(1)?)?;
    let words = line.trim().split('\t').filter(|words| !words.is_empty());
    Some(words.collect::<Vec<_>>().join(" ")).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_with_what_was_inlined() {
        let text = "\
0x000000000000001b
helper
/s/build/x.h:7
x_init
/s/build/x.c:13 (discriminator 2)
0x0000000000000040
??
??:0
0x0000000000000050
_RNvXCs1_5helloNtB2_5HelloNtCs2_6kernel6Module4init
hello.rs:9
";
        let answers = answers(text);
        let shown: Vec<Vec<String>> = answers
            .iter()
            .map(|places| places.iter().map(|p| format!("{} {}:{}", p.function, p.file, p.line)).collect())
            .collect();
        let inlined = vec!["helper /s/build/x.h:7".to_owned(), "x_init /s/build/x.c:13".to_owned()];
        let rust = vec!["<hello::Hello as kernel::Module>::init hello.rs:9".to_owned()];
        assert_eq!(shown, [inlined, vec![], rust]);
    }
}
