// SPDX-License-Identifier: GPL-2.0
//! Which lines of a project were reached: measured, for people, and as a tracefile.

use anyhow::Result;
use camino::Utf8Path;
use kernel::context::Context;
use report::{counted, table};
use vm::coverage::{Coverage, FileCoverage, LineRange, RecordingCode, recorded};
use vm::payload::Payload;
use vm::run::Run;

use crate::commands::tested::TestedModules;

/// What a run reached of the project. That nothing is known of it is said.
pub(super) fn measured(
    context: &Context,
    tested: &TestedModules,
    code: &RecordingCode,
    payload: &Payload,
    run: &Run,
) -> Result<Option<Coverage>> {
    let release = &tested.release;
    let Some(reached) = recorded(payload, run)? else {
        let what = "the guest did not come to tell which lines were reached";
        context.report.warn(&format!("{release}: {what}"));
        return Ok(None);
    };
    // Without a project there is no source, and nothing that was compiled to be measured.
    let Some((dir, stage)) = tested.source() else { return Ok(None) };
    let coverage = Coverage::of((dir, stage), code, &reached)?;
    notices(&coverage).iter().for_each(|notice| context.report.warn(&format!("{release}: {notice}")));
    Ok(Some(coverage))
}

/// What is to be said of a measurement that is not whole.
fn notices(coverage: &Coverage) -> Vec<String> {
    let mut all = Vec::new();
    if coverage.files.is_empty() {
        all.push(
            "nothing of the project records what is reached: is KCOV_INSTRUMENT set in its Kbuild, \
             or are KCFLAGS and KRUSTFLAGS not used?"
                .to_owned(),
        );
    }
    if coverage.elsewhere > 0 {
        let count = usize::try_from(coverage.elsewhere).unwrap_or(usize::MAX);
        let places = counted(count, "place was reached that is", "places were reached that are");
        all.push(format!("{places} in no module that is known, as in one whose init failed"));
    }
    let overflowed = coverage.overflowed.iter();
    all.extend(overflowed.map(|step| format!("`{step}` reached more than was recorded of it")));
    all
}

/// So many ranges of lines are shown of a file.
const RANGES: usize = 5;

/// For people: a row for each file.
pub(super) fn shown(coverage: &Coverage) -> String {
    if coverage.files.is_empty() {
        return String::new();
    }
    let mut rows = vec![["    FILE", "LINES", "REACHED", "", "NOT REACHED"].map(str::to_owned).to_vec()];
    rows.extend(coverage.files.iter().map(|(name, file)| row(name, file)));
    format!("\n{}", table(&rows))
}

fn row(name: &Utf8Path, file: &FileCoverage) -> Vec<String> {
    let (lines, reached) = (file.lines.len(), file.reached());
    // Rounded down: all is only what is all.
    let part = (reached * 100).checked_div(lines).unwrap_or(100);
    let unreached = file.unreached();
    let mut ranges: Vec<String> = unreached.iter().take(RANGES).map(LineRange::to_string).collect();
    if unreached.len() > RANGES {
        ranges.push(format!("and {} more", unreached.len() - RANGES));
    }
    vec![format!("    {name}"), lines.to_string(), reached.to_string(), format!("{part}%"), ranges.join(", ")]
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn file(lines: impl IntoIterator<Item = (u32, u64)>) -> FileCoverage {
        FileCoverage { lines: lines.into_iter().collect(), ..FileCoverage::default() }
    }

    #[test]
    fn a_row_a_file() {
        let files = BTreeMap::from([
            ("a.c".into(), file([(3, 1), (4, 0), (6, 0), (9, 12)])),
            ("src/b.rs".into(), file((1..=20).map(|line| (line, u64::from(line % 2))))),
            ("whole.c".into(), file([(1, 1)])),
        ]);
        let shown = shown(&Coverage { files, ..Coverage::default() });
        let expected = "
    FILE      LINES  REACHED        NOT REACHED
    a.c       4      2        50%   4-6
    src/b.rs  20     10       50%   2, 4, 6, 8, 10, and 5 more
    whole.c   1      1        100%";
        assert_eq!(shown, expected);
        assert_eq!(super::shown(&Coverage::default()), "");
    }

    #[test]
    fn what_is_missing_is_said() {
        let files = BTreeMap::from([("a.c".into(), file([(1, 1)]))]);
        let whole = Coverage { files, ..Coverage::default() };
        assert!(notices(&whole).is_empty());
        let overflowed = BTreeSet::from(["insmod x.ko".to_owned()]);
        let part = Coverage { elsewhere: 1, overflowed, ..Coverage::default() };
        let said = notices(&part).join("\n");
        for words in ["KCOV_INSTRUMENT", "1 place was reached", "`insmod x.ko` reached more"] {
            assert!(said.contains(words), "{said}");
        }
    }
}
