// SPDX-License-Identifier: GPL-2.0
//! As much of a log as a report shows: its beginning and its end, and how much is between them.
//!
//! What is in a log, and what a result says that its log is called, was written by whoever ran the
//! cell: no file outside the directory of results is read, and what is for terminals is taken out.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::results::ResultsDir;

/// So much of a log is shown, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExcerptLimit {
    /// Of its beginning.
    pub(crate) beginning: u64,
    /// Of its end.
    pub(crate) end: u64,
}

impl ExcerptLimit {
    /// What is usual.
    pub(crate) const USUAL: Self = Self { beginning: 16 << 10, end: 64 << 10 };

    /// What each of `count` logs may have, so that all have no more than `all` bytes.
    pub(crate) fn shared(all: u64, count: usize) -> Self {
        let each = all / u64::try_from(count).unwrap_or(u64::MAX).max(1);
        let usual = Self::USUAL;
        if usual.beginning + usual.end <= each {
            return usual;
        }
        let beginning = each / 5;
        Self { beginning, end: each - beginning }
    }
}

/// The beginning and the end of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogExcerpt {
    /// Where the whole is, from the directory of results.
    pub(crate) place: Utf8PathBuf,
    /// The size of the whole.
    pub(crate) bytes: u64,
    /// The beginning; the whole, if nothing is left out.
    pub(crate) beginning: String,
    /// So many bytes are left out after it.
    pub(crate) left_out: u64,
    /// What comes after them.
    pub(crate) end: String,
}

impl LogExcerpt {
    /// Reads the log that a result calls `name`.
    ///
    /// # Errors
    ///
    /// In a line, why it cannot be shown.
    pub(crate) fn read(results: &ResultsDir, name: &Utf8Path, limit: ExcerptLimit) -> Result<Self, String> {
        let path = find(results, name)?;
        let place = path.strip_prefix(results.dir()).unwrap_or(&path).to_owned();
        let cannot = |error: std::io::Error| format!("{place} cannot be read: {error}");
        let mut file = File::open(&path).map_err(cannot)?;
        let bytes = file.metadata().map_err(cannot)?.len();
        let mut read = |from: u64, length: u64| -> Result<Vec<u8>, String> {
            let mut part = Vec::new();
            file.seek(SeekFrom::Start(from)).map_err(cannot)?;
            file.by_ref().take(length).read_to_end(&mut part).map_err(cannot)?;
            Ok(part)
        };
        if bytes <= limit.beginning + limit.end {
            let beginning = plain(&read(0, bytes)?);
            return Ok(Self { place, bytes, beginning, left_out: 0, end: String::new() });
        }
        let (beginning, end) = (read(0, limit.beginning)?, read(bytes - limit.end, limit.end)?);
        let (beginning, end) = (whole_lines_of_beginning(&beginning), whole_lines_of_end(&end));
        let left_out = bytes - beginning.len() as u64 - end.len() as u64;
        Ok(Self { place, bytes, beginning: plain(beginning), left_out, end: plain(end) })
    }

    /// As one text, with a line that says how much is left out, and where it is.
    pub(crate) fn text(&self) -> String {
        if self.left_out == 0 {
            return self.beginning.clone();
        }
        let line = format!("[{} left out; the whole is {}]", report::size(self.left_out), self.place);
        format!("{}{line}\n{}", self.beginning, self.end)
    }
}

/// The log's own path, from the root of the file system, if it is below the directory of results.
fn find(results: &ResultsDir, name: &Utf8Path) -> Result<Utf8PathBuf, String> {
    if !name.components().all(|part| matches!(part, Utf8Component::Normal(_))) {
        return Err(format!("{name} is not in the directory of results, and is not read"));
    }
    let path = results.dir().join(name);
    if !path.exists() {
        return Err(format!("{name} is not there any more"));
    }
    let real = path.canonicalize_utf8().map_err(|error| format!("{name}: {error}"))?;
    if !real.starts_with(results.dir()) {
        return Err(format!("{name} leads out of the directory of results, and is not read"));
    }
    if !real.is_file() {
        return Err(format!("{name} is no file"));
    }
    Ok(real)
}

/// Without the part of a line at the end, if there is a whole one before it.
fn whole_lines_of_beginning(bytes: &[u8]) -> &[u8] {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(bytes, |at| &bytes[..=at])
}

/// Without the part of a line at the beginning, if there is a whole one after it.
fn whole_lines_of_end(bytes: &[u8]) -> &[u8] {
    let rest = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes, |at| &bytes[at + 1..]);
    if rest.is_empty() { bytes } else { rest }
}

/// Text without what a terminal would have done: colours, and carriage returns at ends of lines.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                // Parameters, until a letter or the like; a sequence is never longer than its line.
                while chars.next_if(|c| matches!(c, '\u{20}'..='\u{3f}')).is_some() {}
                chars.next_if(|c| matches!(c, '\u{40}'..='\u{7e}'));
            }
            '\r' if matches!(chars.peek(), Some('\n' | '\r')) => {}
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: ExcerptLimit = ExcerptLimit { beginning: 20, end: 30 };

    struct Scratch {
        _dir: tempfile::TempDir,
        results: ResultsDir,
    }

    impl Scratch {
        fn with(content: &[u8]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let results = ResultsDir::create(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
            fs_err::write(results.dir().join("cells/log"), content).unwrap();
            Self { _dir: dir, results }
        }

        fn read(&self, name: &str) -> Result<LogExcerpt, String> {
            LogExcerpt::read(&self.results, Utf8Path::new(name), LIMIT)
        }
    }

    #[test]
    fn a_short_log_is_shown_whole_and_of_a_long_one_it_is_said_what_is_not() {
        let short = Scratch::with(b"one\ntwo\n").read("cells/log").unwrap();
        assert_eq!((short.text().as_str(), short.left_out, short.bytes), ("one\ntwo\n", 0, 8));
        let lines: String = (0..100).map(|number| format!("line {number:02}\n")).collect();
        let scratch = Scratch::with(lines.as_bytes());
        let long = scratch.read("cells/log").unwrap();
        assert_eq!(
            (long.beginning.as_str(), long.end.as_str()),
            ("line 00\nline 01\n", "line 97\nline 98\nline 99\n")
        );
        assert_eq!(long.left_out, 800 - 16 - 24);
        assert!(long.text().contains("line 01\n[760 B left out; the whole is cells/log]\nline 97"));
        // One line without an end.
        let long = Scratch::with(&[b'x'; 1000]).read("cells/log").unwrap();
        assert_eq!((long.beginning.len(), long.left_out, long.end.len()), (20, 950, 30));
    }

    #[test]
    fn what_is_for_terminals_is_taken_out_and_what_is_no_text_is_replaced() {
        for (bytes, shown) in [
            (&b"\x1b[31;1mred\x1b[0m\r\n"[..], "red\n"),
            (b"a\r\r\nb", "a\nb"),
            (b"50%\r99%", "50%\r99%"),
            (b"\xff\xfeA", "\u{fffd}\u{fffd}A"),
            (b"\x1b[", ""),
            (b"\x1b]0;x\x07", "\x1b]0;x\x07"),
            ("\x1b[é".as_bytes(), "é"),
        ] {
            assert_eq!(plain(bytes), shown, "{bytes:?}");
        }
    }

    #[test]
    fn no_file_is_read_that_is_not_below_the_results() {
        let scratch = Scratch::with(b"here");
        assert_eq!(scratch.read("cells/log").unwrap().text(), "here");
        let dir = scratch.results.dir();
        std::os::unix::fs::symlink("/etc/passwd", dir.join("link")).unwrap();
        for (name, said) in [
            ("/etc/passwd", "not in the directory of results"),
            ("cells/../../etc/passwd", "not in the directory of results"),
            ("link", "leads out"),
            ("cells", "no file"),
            ("gone", "not there any more"),
        ] {
            let error = scratch.read(name).unwrap_err();
            assert!(error.contains(said), "{name}: {error}");
        }
    }

    #[test]
    fn many_logs_share_what_a_page_has_room_for() {
        assert_eq!(ExcerptLimit::shared(6 << 20, 10), ExcerptLimit::USUAL);
        assert_eq!(ExcerptLimit::shared(6 << 20, 0), ExcerptLimit::USUAL);
        assert_eq!(ExcerptLimit::shared(100_000, 100), ExcerptLimit { beginning: 200, end: 800 });
    }
}
