// SPDX-License-Identifier: GPL-2.0
//! Patches in unified format: read, and applied to files in memory, exactly or not at all.
//!
//! It is as strict as `patch -p1 --fuzz=0`, and stricter where errors could go unnoticed: a hunk
//! whose lines have moved must match in one place only, its line counts must be right, and paths
//! must stay below the root. Nothing is written, so a patch that does not apply leaves nothing
//! incomplete.

use camino::Utf8PathBuf;

use crate::source::{SourceTree, refused_path};

/// The changes of one patch file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    files: Vec<PatchedFile>,
}

/// What is changed in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PatchedFile {
    path: Utf8PathBuf,
    kind: Kind,
    hunks: Vec<Hunk>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Change,
    Create,
    Remove,
}

/// A group of changed lines with their context; lines include their line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hunk {
    header: String,
    /// Line number in the file before, from 1.
    start: usize,
    before: Vec<Vec<u8>>,
    after: Vec<Vec<u8>>,
}

/// A line of a patch file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadablePatch {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a patch does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The file it would change.
    pub path: Utf8PathBuf,
    /// The hunk, with its number from 1; `None` if it concerns the file as a whole.
    pub hunk: Option<(usize, String)>,
    /// What is wrong.
    pub reason: String,
}

impl Patch {
    /// Reads a patch file. Text before and between the changes, such as a description, is skipped.
    pub fn parse(text: &[u8]) -> Result<Self, UnreadablePatch> {
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let mut reader = Reader { lines: &lines, at: 0 };
        let mut files: Vec<PatchedFile> = Vec::new();
        while let Some(line) = reader.peek() {
            refuse_what_has_no_hunks(line).map_err(|reason| reader.unreadable(reason))?;
            if line.starts_with(b"--- ")
                && reader.lines.get(reader.at + 1).is_some_and(|next| next.starts_with(b"+++ "))
            {
                let file = reader.file()?;
                if files.iter().any(|other| other.path == file.path) {
                    return Err(reader.unreadable(format!("{} is changed twice", file.path)));
                }
                files.push(file);
            } else if line.starts_with(b"@@ ") {
                return Err(reader.unreadable("a hunk without the name of a file"));
            } else {
                reader.at += 1;
            }
        }
        if files.is_empty() {
            return Err(UnreadablePatch {
                line: lines.len().max(1),
                reason: "it contains no changes".into(),
            });
        }
        Ok(Self { files })
    }

    /// The files it changes.
    pub fn paths(&self) -> impl Iterator<Item = &Utf8PathBuf> {
        self.files.iter().map(|file| &file.path)
    }

    /// Applies it to `tree`, which is not changed if the patch does not apply.
    pub fn apply(&self, tree: &mut SourceTree) -> Result<(), Rejected> {
        let changed =
            self.files.iter().map(|file| Ok((file, file.applied(tree)?))).collect::<Result<Vec<_>, _>>()?;
        for (file, content) in changed {
            match content {
                Some(content) => tree.insert(file.path.clone(), content),
                None => tree.remove(&file.path),
            };
        }
        Ok(())
    }
}

impl PatchedFile {
    /// The file's new content; `None` if it is removed.
    fn applied(&self, tree: &SourceTree) -> Result<Option<Vec<u8>>, Rejected> {
        let reject =
            |reason: &str| Rejected { path: self.path.clone(), hunk: None, reason: reason.to_owned() };
        let content = match (self.kind, tree.get(&self.path)) {
            (Kind::Create, Some(_)) => return Err(reject("is to be created, but exists already")),
            (Kind::Create, None) => &[],
            (_, None) => return Err(reject("does not exist")),
            (_, Some(content)) => content.as_slice(),
        };
        let mut lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
        let mut done = 0;
        let mut shift = 0;
        for (number, hunk) in self.hunks.iter().enumerate() {
            let expected = hunk.first_line().saturating_add_signed(shift);
            let place = hunk.place(&lines, expected, done).map_err(|reason| Rejected {
                path: self.path.clone(),
                hunk: Some((number + 1, hunk.header.clone())),
                reason,
            })?;
            lines.splice(place..place + hunk.before.len(), hunk.after.iter().map(Vec::as_slice));
            done = place + hunk.after.len();
            shift = done.cast_signed() - (hunk.first_line() + hunk.before.len()).cast_signed();
        }
        let content = lines.concat();
        match self.kind {
            Kind::Remove if !content.is_empty() => {
                Err(reject("is to be removed, but contains more than the patch removes"))
            }
            Kind::Remove => Ok(None),
            _ => Ok(Some(content)),
        }
    }
}

impl Hunk {
    /// Index of its first line in the file before.
    fn first_line(&self) -> usize {
        self.start.saturating_sub(usize::from(!self.before.is_empty()))
    }

    /// The index of the line where it matches: the expected one, otherwise the only other one.
    fn place(&self, lines: &[&[u8]], expected: usize, from: usize) -> Result<usize, String> {
        let fits = |at: usize| {
            let end = at.checked_add(self.before.len());
            end.and_then(|end| lines.get(at..end))
                .is_some_and(|there| there.iter().zip(&self.before).all(|(a, b)| *a == b.as_slice()))
        };
        if self.before.is_empty() {
            // A new file, or nothing to find the place by.
            return if lines.is_empty() {
                Ok(0)
            } else {
                Err("contains no line of the file, so its place is unknown".into())
            };
        }
        if expected >= from && fits(expected) {
            return Ok(expected);
        }
        let places: Vec<usize> = (from..lines.len()).filter(|at| fits(*at)).collect();
        match places.as_slice() {
            [place] => Ok(*place),
            [] => Err(self.nearest_miss(lines, expected)),
            [first, second, ..] => Err(format!(
                "matches at line {} and at line {}, but not where it says",
                first + 1,
                second + 1
            )),
        }
    }

    /// Describes the first line that differs where the hunk was expected.
    fn nearest_miss(&self, lines: &[&[u8]], expected: usize) -> String {
        let show = |line: &[u8]| format!("{:?}", String::from_utf8_lossy(line).trim_end_matches('\n'));
        let there = |index: usize| lines.get(expected + index).copied();
        let differs = |index: &usize| there(*index) != Some(self.before[*index].as_slice());
        match (0..self.before.len()).find(differs) {
            Some(index) => format!(
                "its lines are not in the file: it expects {} at line {}, where there is {}",
                show(&self.before[index]),
                expected + index + 1,
                there(index).map_or_else(|| "no line".to_owned(), show)
            ),
            None => "its lines come before those of the hunk before it".to_owned(),
        }
    }
}

/// Refuses changes without hunks, which would be skipped like text.
fn refuse_what_has_no_hunks(line: &[u8]) -> Result<(), String> {
    const UNKNOWN: &[&str] = &[
        "GIT binary patch",
        "Binary files ",
        "rename from ",
        "copy from ",
        "old mode ",
        "new file mode 12",
        "new file mode 16",
    ];
    match UNKNOWN.iter().find(|start| line.starts_with(start.as_bytes())) {
        Some(what) => Err(format!("{what:?}: binary changes, renames, modes and links are not supported")),
        None => Ok(()),
    }
}

/// Reads the lines of a patch file.
struct Reader<'a> {
    lines: &'a [&'a [u8]],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a [u8]> {
        self.lines.get(self.at).copied()
    }

    fn unreadable(&self, reason: impl Into<String>) -> UnreadablePatch {
        UnreadablePatch { line: self.at + 1, reason: reason.into() }
    }

    /// `--- a/PATH`, `+++ b/PATH` and the hunks.
    fn file(&mut self) -> Result<PatchedFile, UnreadablePatch> {
        let before = self.name(b"--- ")?;
        let after = self.name(b"+++ ")?;
        let (path, kind) = match (before, after) {
            (Some(before), Some(after)) if before == after => (after, Kind::Change),
            (None, Some(after)) => (after, Kind::Create),
            (Some(before), None) => (before, Kind::Remove),
            (Some(before), Some(after)) => {
                return Err(
                    self.unreadable(format!("{before} would become {after}, but renames are not supported"))
                );
            }
            (None, None) => return Err(self.unreadable("both files are /dev/null")),
        };
        let mut hunks = Vec::new();
        while self.peek().is_some_and(|line| line.starts_with(b"@@ ")) {
            hunks.push(self.hunk()?);
        }
        if hunks.is_empty() {
            return Err(self.unreadable(format!("no hunk follows for {path}")));
        }
        Ok(PatchedFile { path, kind, hunks })
    }

    /// A file name without its first component; `None` for `/dev/null`.
    fn name(&mut self, marker: &[u8]) -> Result<Option<Utf8PathBuf>, UnreadablePatch> {
        let line = self.peek().unwrap_or_default();
        let text = String::from_utf8_lossy(&line[marker.len()..]);
        let name = text.split('\t').next().unwrap_or_default().trim_end();
        if name == "/dev/null" {
            self.at += 1;
            return Ok(None);
        }
        let stripped =
            name.split_once('/').filter(|(first, _)| !first.is_empty()).map_or("", |(_, rest)| rest);
        if let Some(why) = refused_path(stripped) {
            return Err(self.unreadable(format!("{name:?} {why}, after removing its first component")));
        }
        self.at += 1;
        Ok(Some(stripped.into()))
    }

    fn hunk(&mut self) -> Result<Hunk, UnreadablePatch> {
        let header = String::from_utf8_lossy(self.peek().unwrap_or_default()).trim_end().to_owned();
        let Some((start, before_count, after_count)) = counts(&header) else {
            return Err(self.unreadable(format!("{header:?} is not the header of a hunk")));
        };
        self.at += 1;
        let mut hunk = Hunk { header, start, before: Vec::new(), after: Vec::new() };
        while hunk.before.len() < before_count || hunk.after.len() < after_count {
            let line = self.peek().ok_or_else(|| self.unreadable("ends within a hunk"))?;
            let (before, after, text) = match line.split_first() {
                Some((b' ', text)) => (true, true, text),
                Some((b'-', text)) => (true, false, text),
                Some((b'+', text)) => (false, true, text),
                // An empty line of context that has lost its blank.
                Some((b'\n', _)) => (true, true, line),
                _ => return Err(self.unreadable("is not a line of a hunk, but the hunk is incomplete")),
            };
            self.at += 1;
            let mut text = text.to_owned();
            if self.peek().is_some_and(|next| next.starts_with(b"\\ ")) {
                self.at += 1;
                text.pop();
            }
            if before {
                hunk.before.push(text.clone());
            }
            if after {
                hunk.after.push(text);
            }
        }
        if (hunk.before.len(), hunk.after.len()) != (before_count, after_count) {
            return Err(self.unreadable("the hunk has different numbers of lines than its header says"));
        }
        let another = |line: &[u8]| {
            matches!(line.first(), Some(b' ' | b'+')) || line.starts_with(b"-") && !is_end(line)
        };
        if self.peek().is_some_and(another) {
            return Err(self.unreadable("the hunk has more lines than its header says"));
        }
        Ok(hunk)
    }
}

/// Whether it is something that may follow a hunk but looks like a removed line: the next file, or
/// the end of a mailed patch.
fn is_end(line: &[u8]) -> bool {
    line.starts_with(b"--- ") || line == b"-- \n" || line == b"---\n"
}

/// The first line and the numbers of lines before and after in `@@ -1,2 +3,4 @@`.
fn counts(header: &str) -> Option<(usize, usize, usize)> {
    let (before, rest) = header.strip_prefix("@@ -")?.split_once(" +")?;
    let (after, _) = rest.split_once(" @@")?;
    let pair = |text: &str| {
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        Some((start.parse::<usize>().ok()?, count.parse::<usize>().ok()?))
    };
    let ((start, before), (_, after)) = (pair(before)?, pair(after)?);
    (before <= 1 << 20 && after <= 1 << 20).then_some((start, before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> SourceTree {
        files.iter().map(|(path, text)| ((*path).into(), text.as_bytes().to_vec())).collect()
    }

    const FILE: &str = "one\ntwo\nthree\nfour\nfive\nsix\n";
    const CHANGE: &str =
        "A description.\n---\n--- a/d/f\n+++ b/d/f\n@@ -2,3 +2,3 @@ in it\n two\n-three\n+THREE\n four\n";

    #[track_caller]
    fn applied(patch: &str, file: &str) -> Result<String, Rejected> {
        let mut tree = tree(&[("d/f", file)]);
        Patch::parse(patch.as_bytes()).unwrap().apply(&mut tree)?;
        Ok(String::from_utf8(tree.remove(&Utf8PathBuf::from("d/f")).unwrap_or_default()).unwrap())
    }

    #[test]
    fn a_change_is_applied_where_it_says_or_where_its_lines_have_moved() {
        assert_eq!(applied(CHANGE, FILE).unwrap(), FILE.replace("three", "THREE"));
        let moved = format!("zero\n{FILE}");
        assert_eq!(applied(CHANGE, &moved).unwrap(), moved.replace("three", "THREE"));
        let again = format!("{FILE}{FILE}");
        assert_eq!(applied(CHANGE, &again).unwrap(), again.replacen("three", "THREE", 1));
    }

    #[test]
    fn later_hunks_follow_the_shift_of_earlier_ones() {
        let patch = "--- a/d/f\n+++ b/d/f\n@@ -1,1 +1,2 @@\n one\n+1.5\n@@ -6,1 +7,2 @@\n six\n+seven\n";
        let file = format!("zero\n{FILE}");
        assert_eq!(applied(patch, &file).unwrap(), file.replace("one\n", "one\n1.5\n") + "seven\n");
    }

    #[test]
    fn what_does_not_match_is_rejected_with_file_hunk_and_line() {
        let rejected = applied(CHANGE, &FILE.replace("four", "FOUR")).unwrap_err();
        assert_eq!(rejected.path, "d/f");
        assert_eq!(rejected.hunk, Some((1, "@@ -2,3 +2,3 @@ in it".to_owned())));
        assert!(
            rejected.reason.contains("\"four\" at line 4, where there is \"FOUR\""),
            "{}",
            rejected.reason
        );
        let twice = format!("x\n{FILE}{FILE}");
        assert!(applied(CHANGE, &twice).unwrap_err().reason.contains("matches at line 3 and at line 9"));
    }

    #[test]
    fn files_are_created_and_removed_as_a_whole() {
        let create = Patch::parse(
            b"--- /dev/null\n+++ b/new\n@@ -0,0 +1,2 @@\n+a\n+b\n\\ No newline at end of file\n",
        );
        let mut files = tree(&[]);
        create.as_ref().unwrap().apply(&mut files).unwrap();
        assert_eq!(files, tree(&[("new", "a\nb")]));
        assert!(create.unwrap().apply(&mut files).unwrap_err().reason.contains("exists already"));
        let remove = Patch::parse(b"--- a/new\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n").unwrap();
        assert!(remove.apply(&mut files).unwrap_err().reason.contains("contains more"));
        let mut files = tree(&[("new", "a\n")]);
        remove.apply(&mut files).unwrap();
        assert!(files.is_empty());
    }

    #[test]
    fn a_patch_that_fails_in_its_second_file_changes_nothing() {
        let patch = format!("{CHANGE}--- a/d/g\n+++ b/d/g\n@@ -1 +1 @@\n-x\n+y\n");
        let mut files = tree(&[("d/f", FILE), ("d/g", "z\n")]);
        let before = files.clone();
        assert_eq!(Patch::parse(patch.as_bytes()).unwrap().apply(&mut files).unwrap_err().path, "d/g");
        assert_eq!(files, before);
    }

    #[test]
    fn an_invalid_patch_is_refused_with_its_line() {
        for (text, line, reason) in [
            ("words\n", 1, "no changes"),
            ("--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n", 1, "leads outside"),
            ("--- a//etc/x\n+++ b//etc/x\n@@ -1 +1 @@\n-a\n+b\n", 1, "absolute"),
            ("--- x\n+++ x\n@@ -1 +1 @@\n-a\n+b\n", 1, "empty"),
            ("--- a/x\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n", 3, "renames"),
            ("--- a/x\n+++ b/x\n@@ -1 @@\n-a\n", 3, "not the header"),
            ("--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n-a\n+b\n", 6, "within a hunk"),
            ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n+c\n", 6, "more lines"),
            ("--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-a\n+b\nwords\n", 6, "not a line of a hunk"),
            ("@@ -1 +1 @@\n-a\n+b\n", 1, "without the name"),
            ("rename from a\nrename to b\n", 1, "not supported"),
            ("new file mode 120000\n", 1, "not supported"),
            ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-b\n+c\n", 11, "twice"),
        ] {
            let found = Patch::parse(text.as_bytes()).unwrap_err();
            assert!(found.line == line && found.reason.contains(reason), "{text:?}: {found:?}");
        }
    }
}
