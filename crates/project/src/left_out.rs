// SPDX-License-Identifier: GPL-2.0
//! What `PROJECT_FILES` leaves out of a project, and make misses: a file that was added to the
//! project and not to that list.

use camino::{Utf8Path, Utf8PathBuf};

/// What says of a file that it is not there: make of one that it should build or build from, the C
/// compiler of one that is included.
const ABSENT: [&str; 3] = ["No rule to make target", "No such file or directory", "couldn't read"];

/// The entry of a project's directory that the output of make asks for, and that is not one of the
/// `listed`.
pub(crate) fn missed(dir: &Utf8Path, listed: &[Utf8PathBuf], output: &str) -> Option<String> {
    let entries = dir.read_dir_utf8().ok()?.flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_owned())
        .filter(|name| !name.starts_with('.') && !listed.iter().any(|path| path.starts_with(name)))
        .collect();
    names.sort();
    let absent: Vec<&str> =
        output.lines().filter(|line| ABSENT.iter().any(|say| line.contains(say))).collect();
    let is_missed = |name: &String| absent.iter().any(|line| asks_for(line, name));
    names.into_iter().find(is_missed)
}

/// Whether a line names the file, the object that is made of it, or something below the directory.
fn asks_for(line: &str, name: &str) -> bool {
    let object = Utf8Path::new(name).with_extension("o");
    let words = line.split(|c: char| c.is_whitespace() || "'`\":,".contains(c));
    words.map(Utf8Path::new).flat_map(Utf8Path::components).any(|part| {
        let part = part.as_str();
        part == name || part == object.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_make_misses_and_the_list_leaves_out_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        for file in ["first.c", "second.c", "third.rs", "own.h", "README.md", "sub/x.c", "listed/y.c"] {
            fs_err::create_dir_all(dir.join(file).parent().unwrap()).unwrap();
            fs_err::write(dir.join(file), "").unwrap();
        }
        let listed = ["first.c", "listed/y.c"].map(Utf8PathBuf::from);
        for (line, expected) in [
            ("make[4]: *** No rule to make target 'second.o', needed by './'.  Stop.", Some("second.c")),
            ("make[4]: *** No rule to make target 'third.o', needed by './'.  Stop.", Some("third.rs")),
            ("make[2]: *** No rule to make target '/b/sub/x.o', needed by '/b/'.  Stop.", Some("sub")),
            ("first.c:3:10: fatal error: own.h: No such file or directory", Some("own.h")),
            ("first.c:3:10: fatal error: other.h: No such file or directory", None),
            ("make[4]: *** No rule to make target 'first.o', needed by './'.  Stop.", None),
            ("make[4]: *** No rule to make target 'listed/z.o', needed by './'.  Stop.", None),
            ("second.c:3:10: error: expected ';'", None),
        ] {
            assert_eq!(missed(dir, &listed, line).as_deref(), expected, "{line}");
        }
    }
}
