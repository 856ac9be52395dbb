// SPDX-License-Identifier: GPL-2.0
//! Which files that a module is made of are the project's, and where the user has them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use camino::{Utf8Path, Utf8PathBuf};

/// A file of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceFile {
    /// Its path in the project.
    pub(crate) name: Utf8PathBuf,
    /// Where it is: the user's own, or its staged copy, where that was patched or imported.
    pub(crate) path: Utf8PathBuf,
    /// The lines that have nothing but brackets: the end of something, and not a line of code.
    brackets: Rc<BTreeSet<u32>>,
}

impl SourceFile {
    /// Whether a line has code.
    pub(crate) fn is_code(&self, line: u32) -> bool {
        !self.brackets.contains(&line)
    }
}

/// The files of a project, by the paths that compilers knew them by.
pub(crate) struct SourceFiles {
    project: Utf8PathBuf,
    stage: Utf8PathBuf,
    known: BTreeMap<Utf8PathBuf, Option<SourceFile>>,
}

impl SourceFiles {
    /// Those of the project in a directory, built in a staged copy of that.
    pub(crate) fn between(project: &Utf8Path, stage: &Utf8Path) -> Self {
        Self { project: project.to_owned(), stage: stage.to_owned(), known: BTreeMap::new() }
    }

    /// The file that a compiler knew by this path, if it is the project's.
    pub(crate) fn find(&mut self, path: &Utf8Path) -> Option<SourceFile> {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let found = self.look_for(path);
        self.known.insert(path.to_owned(), found.clone());
        found
    }

    /// Compilers are told to leave out the directory; a file of the kernel's has then such a path
    /// too, and is not in the stage.
    fn look_for(&self, path: &Utf8Path) -> Option<SourceFile> {
        let name = if path.is_absolute() { path.strip_prefix(&self.stage).ok()? } else { path };
        // Kbuild's own.
        if name.as_str().ends_with(".mod.c") {
            return None;
        }
        let (staged, own) = (self.stage.join(name), self.project.join(name));
        let text = fs_err::read(&staged).ok()?;
        let path = if fs_err::read(&own).is_ok_and(|own| own == text) { own } else { staged };
        let brackets = Rc::new(brackets(&String::from_utf8_lossy(&text)));
        Some(SourceFile { name: name.to_owned(), path, brackets })
    }
}

/// The numbers of the lines with nothing but brackets, and what separates them.
fn brackets(text: &str) -> BTreeSet<u32> {
    let only = |line: &str| !line.trim().is_empty() && line.chars().all(|c| " \t{}()[];,".contains(c));
    (1..).zip(text.lines()).filter(|(_, line)| only(line)).map(|(number, _)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_something_is_no_line_of_code() {
        let text = "int f(void)\n{\n\tif (x) {\n\t\tg();\n\t}\n\n\t});\n}";
        assert_eq!(brackets(text), BTreeSet::from([2, 5, 7, 8]));
    }

    #[test]
    fn files_of_the_project_are_told_from_those_of_the_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (project, stage) = (dir.join("project"), dir.join("stage"));
        for (file, text) in [
            ("project/a.c", "a"),
            ("stage/a.c", "a"),
            ("project/src/b.rs", "b"),
            ("stage/src/b.rs", "patched"),
            ("stage/imported.c", "c"),
            ("stage/a.mod.c", "made"),
        ] {
            let file = dir.join(file);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, text).unwrap();
        }
        let mut files = SourceFiles::between(&project, &stage);
        for (path, expected) in [
            ("a.c".into(), Some(project.join("a.c"))),
            (stage.join("a.c"), Some(project.join("a.c"))),
            ("src/b.rs".into(), Some(stage.join("src/b.rs"))),
            ("imported.c".into(), Some(stage.join("imported.c"))),
            ("a.mod.c".into(), None),
            ("include/linux/slab.h".into(), None),
            ("/usr/lib/core.rs".into(), None),
        ] {
            for _ in 0..2 {
                assert_eq!(files.find(&path).map(|file| file.path), expected, "{path}");
            }
        }
    }
}
