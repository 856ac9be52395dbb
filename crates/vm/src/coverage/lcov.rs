// SPDX-License-Identifier: GPL-2.0
//! Coverage as lcov(1) writes it: a tracefile, geninfo(1), section "TRACEFILE FORMAT".

use std::fmt::{self, Write as _};

use crate::coverage::measured::{Coverage, FileCoverage};

/// What was reached in several runs, each with its name.
pub fn tracefile<'a>(all: impl IntoIterator<Item = (&'a str, &'a Coverage)>) -> String {
    let mut text = String::new();
    for (name, coverage) in all {
        for file in coverage.files.values() {
            record(&mut text, name, file).expect("a string takes all that is written to it");
        }
    }
    text
}

/// The record of one file. A name may have letters, digits and underscores only.
fn record(text: &mut String, name: &str, file: &FileCoverage) -> fmt::Result {
    writeln!(text, "TN:{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "_"))?;
    writeln!(text, "SF:{}", file.path)?;
    for (line, function) in file.functions.keys() {
        writeln!(text, "FN:{line},{function}")?;
    }
    for ((_, function), count) in &file.functions {
        writeln!(text, "FNDA:{count},{function}")?;
    }
    let entered = file.functions.values().filter(|count| **count > 0).count();
    writeln!(text, "FNF:{}\nFNH:{entered}", file.functions.len())?;
    for (line, count) in &file.lines {
        writeln!(text, "DA:{line},{count}")?;
    }
    writeln!(text, "LF:{}\nLH:{}\nend_of_record", file.lines.len(), file.reached())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_record_a_file() {
        let file = FileCoverage {
            path: "/p/a.c".into(),
            lines: BTreeMap::from([(3, 1), (4, 0), (9, 12)]),
            functions: BTreeMap::from([((3, "a_init".to_owned()), 1), ((8, "a_show".to_owned()), 0)]),
        };
        let coverage = Coverage { files: BTreeMap::from([("a.c".into(), file)]), ..Coverage::default() };
        let expected = "\
TN:7_2_13_x
SF:/p/a.c
FN:3,a_init
FN:8,a_show
FNDA:1,a_init
FNDA:0,a_show
FNF:2
FNH:1
DA:3,1
DA:4,0
DA:9,12
LF:3
LH:2
end_of_record
";
        assert_eq!(tracefile([("7.2.13-x", &coverage)]), expected);
        assert_eq!(tracefile([]), "");
    }
}
