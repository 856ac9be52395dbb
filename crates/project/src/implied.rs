// SPDX-License-Identifier: GPL-2.0
//! The `dkms.conf` that a directory of module sources without one stands for: what its `Kbuild` or
//! `Makefile` builds, under the name of its module or of the directory.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};

use crate::kbuild::KbuildFile;
use dkms_conf::directives::plain_name;
use kmodfile::name;

/// The version of a project whose sources name none. `modinfo` of what was built says more.
pub const NO_VERSION: &str = "0";

/// Directories below the project are looked into this deep.
const DEPTH: usize = 4;

/// Whether the directory builds modules and has no `dkms.conf` to say so.
pub fn is_implied(dir: &Utf8Path) -> bool {
    KbuildFile::of(dir).is_some_and(|file| file.builds_modules())
}

/// The text of the `dkms.conf`; none where the directory builds no module.
pub fn text(dir: &Utf8Path) -> Option<String> {
    let found = Found::below(dir)?;
    let name = found.name(dir);
    let mut text = format!("PACKAGE_NAME=\"{name}\"\nPACKAGE_VERSION=\"{}\"\n", found.version(dir));
    let (modules, hidden) = found.by_name();
    for (location, module) in hidden {
        let file = location.join(module);
        writeln!(text, "# {file}.ko has the name of another: DEST_MODULE_NAME can give it one of its own.")
            .ok();
    }
    for (index, (location, module)) in modules.into_iter().enumerate() {
        writeln!(text, "BUILT_MODULE_NAME[{index}]=\"{module}\"").ok();
        if location != "" {
            writeln!(text, "BUILT_MODULE_LOCATION[{index}]=\"{location}\"").ok();
        }
        writeln!(text, "DEST_MODULE_LOCATION[{index}]=\"/extra\"").ok();
    }
    if found.rust {
        text.push_str("BUILD_EXCLUSIVE_CONFIG=\"CONFIG_RUST\"\n");
    }
    text.push_str("AUTOINSTALL=\"yes\"\n");
    Some(text)
}

/// A module's directory below the project's, and its name.
type Place = (Utf8PathBuf, String);

/// What the files of Kbuild below a directory name.
#[derive(Default)]
struct Found {
    modules: Vec<Place>,
    /// Whether any object is made of Rust.
    rust: bool,
}

impl Found {
    fn below(dir: &Utf8Path) -> Option<Self> {
        let top = KbuildFile::of(dir).filter(KbuildFile::builds_modules)?;
        let mut found = Self::default();
        found.add(dir, Utf8Path::new(""), &top, DEPTH);
        Some(found)
    }

    fn add(&mut self, project: &Utf8Path, location: &Utf8Path, file: &KbuildFile, depth: usize) {
        // An object may lie in a directory of its own: `obj-m := src/hello.o`.
        let place = |object: &String| {
            let path = location.join(object);
            (path.parent().map(Utf8Path::to_owned).unwrap_or_default(), path.file_name().map(str::to_owned))
        };
        for (directory, name) in file.modules.iter().map(place) {
            self.modules.extend(name.filter(|name| plain_name(name)).map(|name| (directory, name)));
        }
        self.rust |=
            file.objects.iter().any(|object| project.join(location).join(format!("{object}.rs")).is_file());
        for directory in file.directories.iter().filter(|_| depth > 0) {
            let location = location.join(directory);
            if let Some(file) = KbuildFile::of(&project.join(&location)) {
                self.add(project, &location, &file, depth - 1);
            }
        }
    }

    /// The modules that can be installed beside each other: of several with one name the first; and
    /// the others. They may lie in branches of which make takes one.
    fn by_name(&self) -> (Vec<&Place>, Vec<&Place>) {
        let mut seen = BTreeSet::new();
        self.modules.iter().partition(|(_, name)| seen.insert(name::loaded(name)))
    }

    /// The only module's name, or the directory's.
    fn name(&self, dir: &Utf8Path) -> String {
        let directory = || {
            let name = dir.file_name().unwrap_or_default();
            let name = name.replace(|c: char| !c.is_ascii_alphanumeric() && !"-_.+~".contains(c), "-");
            if plain_name(&name) { name } else { "module".to_owned() }
        };
        match self.modules.as_slice() {
            [(_, name)] => name.clone(),
            _ => directory(),
        }
    }

    /// What `MODULE_VERSION` of a source in C says.
    fn version(&self, dir: &Utf8Path) -> String {
        let stated = |location: &Utf8Path| {
            let sources = dir.join(location).read_dir_utf8().ok()?;
            let mut sources: Vec<_> = sources.flatten().map(|entry| entry.into_path()).collect();
            sources.sort_unstable();
            let sources = sources.iter().filter(|path| path.extension() == Some("c"));
            sources.filter_map(|path| fs_err::read(path).ok()).find_map(|source| version_in(&source))
        };
        self.modules
            .iter()
            .find_map(|(location, _)| stated(location))
            .unwrap_or_else(|| NO_VERSION.to_owned())
    }
}

/// The version in a source's `MODULE_VERSION("1.0");`.
fn version_in(source: &[u8]) -> Option<String> {
    let source = String::from_utf8_lossy(source);
    let (before, rest) = source.split_once("MODULE_VERSION(")?;
    let in_comment =
        before.rsplit('\n').next().is_some_and(|line| line.contains("//") || line.contains("/*"));
    let (version, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
    (plain_name(version) && !in_comment).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("the project");
        for (name, text) in files {
            fs_err::create_dir_all(path.join(name).parent().unwrap()).unwrap();
            fs_err::write(path.join(name), text).unwrap();
        }
        (dir, path)
    }

    #[test]
    fn one_module_gives_the_project_its_name() {
        let (_dir, path) = project(&[
            ("Makefile", "obj-m := hello.o\n"),
            ("hello.c", "#include <linux/module.h>\nMODULE_LICENSE(\"GPL\"); MODULE_VERSION(\"1.2\");\n"),
        ]);
        let text = text(&path).unwrap();
        assert!(text.contains("PACKAGE_NAME=\"hello\"\nPACKAGE_VERSION=\"1.2\"\n"), "{text}");
        assert!(text.contains("BUILT_MODULE_NAME[0]=\"hello\"") && !text.contains("CONFIG_RUST"), "{text}");
    }

    #[test]
    fn several_are_found_below_and_rust_is_noticed() {
        let (_dir, path) = project(&[
            ("Kbuild", "obj-m += a/ b.o\n"),
            ("Makefile", "all:\n"),
            ("a/Makefile", "obj-m := inner.o\n"),
            ("b.rs", ""),
        ]);
        let text = text(&path).unwrap();
        assert!(text.contains("PACKAGE_NAME=\"the-project\"\nPACKAGE_VERSION=\"0\"\n"), "{text}");
        assert!(text.contains("BUILT_MODULE_NAME[1]=\"inner\"\nBUILT_MODULE_LOCATION[1]=\"a\"\n"), "{text}");
        assert!(text.contains("BUILD_EXCLUSIVE_CONFIG=\"CONFIG_RUST\""), "{text}");
    }

    #[test]
    fn of_several_modules_with_one_name_one_is_described_and_the_others_are_named() {
        let (_dir, path) = project(&[
            ("Kbuild", "ifdef OLD\nobj-m += v5/\nelse\nobj-m += v6/\nendif\n"),
            ("v5/Kbuild", "obj-m := a-b.o\n"),
            ("v6/Kbuild", "obj-m := a_b.o c.o\n"),
        ]);
        let text = text(&path).unwrap();
        assert!(text.contains("\n# v6/a_b.ko has the name of another"), "{text}");
        let values = dkms_conf::DkmsConf::parse(&text).unwrap().evaluate(&Default::default()).unwrap().values;
        let names = dkms_conf::directives::modules(&values, "p").unwrap();
        assert_eq!(names.iter().map(|module| module.name.as_str()).collect::<Vec<_>>(), ["a-b", "c"]);
    }

    #[test]
    fn a_directory_that_builds_no_module_is_no_project() {
        for files in
            [&[("Makefile", "all:\n\tcc x.c\n")][..], &[("Kbuild", "obj-y := x.o\n")], &[("x.c", "")]]
        {
            let (_dir, path) = project(files);
            assert!(text(&path).is_none() && !is_implied(&path));
        }
    }

    #[test]
    fn a_directory_that_contains_itself_ends() {
        let (_dir, path) = project(&[("Kbuild", "obj-m := ./ x.o\n")]);
        assert!(text(&path).unwrap().contains("\"x\""));
    }
}
