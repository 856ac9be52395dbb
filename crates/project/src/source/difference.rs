// SPDX-License-Identifier: GPL-2.0
//! The difference between two trees, as a patch in unified format.

use std::collections::BTreeSet;
use std::ops::Range;

use camino::Utf8Path;
use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices, group_diff_ops};

use crate::source::SourceTree;

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// The patch that turns `before` into `after`; empty if they are equal.
pub fn patch(before: &SourceTree, after: &SourceTree) -> Vec<u8> {
    let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let file = |path: &Utf8Path| file_patch(path, before.get(path), after.get(path));
    paths.into_iter().flat_map(|path| file(path)).collect()
}

fn file_patch(path: &Utf8Path, before: Option<&Vec<u8>>, after: Option<&Vec<u8>>) -> Vec<u8> {
    if before == after {
        return Vec::new();
    }
    let name =
        |side: &str, there: bool| if there { format!("{side}/{path}") } else { "/dev/null".to_owned() };
    let mut text =
        format!("--- {}\n+++ {}\n", name("a", before.is_some()), name("b", after.is_some())).into_bytes();
    let lines = |content: Option<&'_ Vec<u8>>| -> Vec<Vec<u8>> {
        let content = content.map(Vec::as_slice).unwrap_or_default();
        content.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    };
    let (before, after) = (lines(before), lines(after));
    for ops in group_diff_ops(capture_diff_slices(Algorithm::Myers, &before, &after), CONTEXT) {
        hunk(&mut text, &ops, &before, &after);
    }
    text
}

fn hunk(text: &mut Vec<u8>, ops: &[DiffOp], before: &[Vec<u8>], after: &[Vec<u8>]) {
    let (Some(first), Some(last)) = (ops.first(), ops.last()) else { return };
    let old = first.old_range().start..last.old_range().end;
    let new = first.new_range().start..last.new_range().end;
    text.extend(format!("@@ -{} +{} @@\n", span(&old), span(&new)).bytes());
    for op in ops {
        if op.tag() == DiffTag::Equal {
            lines(text, b' ', &before[op.old_range()]);
        } else {
            lines(text, b'-', &before[op.old_range()]);
            lines(text, b'+', &after[op.new_range()]);
        }
    }
}

/// `START,COUNT`, with lines counted from 1; for an empty range, the line before it.
fn span(range: &Range<usize>) -> String {
    format!("{},{}", range.start + usize::from(!range.is_empty()), range.len())
}

fn lines(text: &mut Vec<u8>, mark: u8, lines: &[Vec<u8>]) {
    for line in lines {
        text.push(mark);
        text.extend(line);
        if !line.ends_with(b"\n") {
            text.extend(b"\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::patch::Patch;

    fn tree(files: &[(&str, &str)]) -> SourceTree {
        files.iter().map(|(path, text)| ((*path).into(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_difference_applied_gives_the_other_tree() {
        let long = (1..40).map(|n| format!("{n}\n")).collect::<String>();
        for (before, after) in [
            (tree(&[("f", "a\nb\nc\n")]), tree(&[("f", "a\nB\nc\n")])),
            (tree(&[("f", "a\nb")]), tree(&[("f", "a\nb\n")])),
            (tree(&[("f", "a\n")]), tree(&[("f", "a\n"), ("g", "new\n")])),
            (tree(&[("f", "a\n"), ("g", "old\n")]), tree(&[("f", "a\n")])),
            (tree(&[("f", &long)]), tree(&[("f", &long.replace("3\n", "3\nx\n").replace("39\n", ""))])),
            (tree(&[("f", "a\n")]), tree(&[("f", "--- x\n++ y\na\n")])),
        ] {
            let text = patch(&before, &after);
            let mut made = before.clone();
            Patch::parse(&text).unwrap().apply(&mut made).unwrap();
            assert_eq!(made, after, "{}", String::from_utf8_lossy(&text));
        }
        assert!(patch(&tree(&[("f", "a\n")]), &tree(&[("f", "a\n")])).is_empty());
    }
}
