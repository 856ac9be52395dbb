// SPDX-License-Identifier: GPL-2.0
//! What has to be known of the kernel's source to rebuild a module of it: read from the text of its
//! files.
//!
//! A `Makefile` is not run, only looked at: modules are what its `obj-$(CONFIG_…)` and `obj-m`
//! lines name outright.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::{ConfigOption, Invalid, KernelPath, Licence, ModuleName};

/// A module that a directory of the kernel's source makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InTreeModule {
    /// Its name.
    pub name: ModuleName,
    /// The option that makes it a module, where it depends on one.
    pub option: Option<ConfigOption>,
}

/// Files of the kernel's source, by their paths.
pub type Files = BTreeMap<Utf8PathBuf, String>;

/// The modules that a directory's `Makefile` makes in it, in order. Modules of directories below it
/// are not among them.
pub fn modules(makefile: &str) -> Vec<InTreeModule> {
    let mut modules: Vec<InTreeModule> = Vec::new();
    for line in logical_lines(makefile) {
        let Some((option, objects)) = objects(&line) else { continue };
        for name in objects.split_whitespace().filter_map(|object| object.strip_suffix(".o")) {
            let Ok(name) = ModuleName::parse(name) else { continue };
            if modules.iter().all(|module| module.name != name) {
                modules.push(InTreeModule { name, option: option.clone() });
            }
        }
    }
    modules
}

/// The lines of a makefile, continued ones as one and without comments.
fn logical_lines(makefile: &str) -> impl Iterator<Item = String> {
    let joined = makefile.replace("\\\n", " ");
    let lines: Vec<String> =
        joined.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned()).collect();
    lines.into_iter()
}

/// The option and the objects of a line that makes modules.
fn objects(line: &str) -> Option<(Option<ConfigOption>, &str)> {
    let (target, objects) = line.split_once('=')?;
    let target = target.trim_end_matches(['+', ':']).trim_end().strip_prefix("obj-")?;
    if target == "m" {
        return Some((None, objects));
    }
    let option = target.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')'));
    Some((Some(ConfigOption::parse(option?).ok()?), objects))
}

/// The headers that `files` include by a path relative to themselves (`#include "../x.h"`) and that
/// are not among them. Those that the kernel's source has are to be imported, too; others are found
/// in some other way (`-I`).
pub fn missing_includes(files: &Files) -> BTreeSet<Utf8PathBuf> {
    let sources = files.iter().filter(|(path, _)| matches!(path.extension(), Some("c" | "h" | "S")));
    let included = sources.flat_map(|(path, text)| {
        let dir = path.parent().unwrap_or(Utf8Path::new(""));
        text.lines().filter_map(quoted_include).filter_map(move |name| below(dir, name))
    });
    included.filter(|path| !files.contains_key(path)).collect()
}

/// The name in `#include "name"`.
fn quoted_include(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("include")?;
    rest.trim_start().strip_prefix('"')?.split_once('"').map(|(name, _)| name)
}

/// `dir/name` without `..`; none when it leads out of the source.
fn below(dir: &Utf8Path, name: &str) -> Option<Utf8PathBuf> {
    let mut path = dir.to_owned();
    for part in Utf8Path::new(name).components() {
        match part {
            Utf8Component::ParentDir if path.pop() => {}
            Utf8Component::CurDir => {}
            Utf8Component::Normal(part) => path.push(part),
            _ => return None,
        }
    }
    Some(path)
}

/// The licence of a module made of `files`: what each says in its SPDX line, together.
///
/// # Errors
///
/// Refused, if none says anything, or one says what is no expression.
pub fn licence(files: &Files) -> Result<Licence, Invalid> {
    let said: BTreeSet<String> = files.values().filter_map(|text| spdx(text)).map(current).collect();
    if said.is_empty() {
        return Err(Invalid::new("licence", "no source names one", "give it"));
    }
    let alone = said.len() == 1;
    let part = |text: &String| if alone || !text.contains(' ') { text.clone() } else { format!("({text})") };
    Licence::parse(&said.iter().map(part).collect::<Vec<_>>().join(" AND "))
}

/// What follows `SPDX-License-Identifier:` in the first lines of a file.
fn spdx(text: &str) -> Option<&str> {
    let line = text.lines().take(3).find_map(|line| line.split_once("SPDX-License-Identifier:"))?.1;
    Some(line.trim_end_matches("*/").trim()).filter(|text| !text.is_empty())
}

/// Identifiers as SPDX has them since its version 3, where the kernel has the older ones.
fn current(text: &str) -> String {
    let identifier = |word: &str| match word {
        "GPL-2.0" => "GPL-2.0-only".to_owned(),
        "GPL-2.0+" => "GPL-2.0-or-later".to_owned(),
        "LGPL-2.0" => "LGPL-2.0-only".to_owned(),
        "LGPL-2.0+" => "LGPL-2.0-or-later".to_owned(),
        "LGPL-2.1" => "LGPL-2.1-only".to_owned(),
        "LGPL-2.1+" => "LGPL-2.1-or-later".to_owned(),
        other => other.to_owned(),
    };
    let parts = text.split_inclusive([' ', '(', ')']).map(|part| {
        let word = part.trim_end_matches([' ', '(', ')']);
        identifier(word) + &part[word.len()..]
    });
    unwrapped(&parts.collect::<String>()).to_owned()
}

/// Without parentheses around all of it.
fn unwrapped(text: &str) -> &str {
    let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) else { return text };
    let mut open = 1_i32;
    let closed_before_the_end = inner.chars().any(|c| {
        open += i32::from(c == '(') - i32::from(c == ')');
        open == 0
    });
    if closed_before_the_end { text } else { unwrapped(inner) }
}

/// The directory whose `Makefile` says what is made of `path`.
pub fn makefile_of(path: &KernelPath) -> Utf8PathBuf {
    path.dir().join("Makefile")
}

/// The modules that are made of `path`, as the `Makefile` of its directory says: all of a
/// directory, the one of a file.
///
/// # Errors
///
/// Refused, if the `Makefile` names none; a file, too, that is one of several of a module, or that
/// has compiler flags of its own, which would be lost.
pub fn modules_of(path: &KernelPath, makefile: &str) -> Result<Vec<InTreeModule>, Invalid> {
    let refuse = |reason: &str, remedy| Err(Invalid::new(&path.to_string(), reason, remedy));
    let mut modules = modules(makefile);
    if !path.is_file() {
        return if modules.is_empty() {
            refuse(
                "its Makefile names no module",
                "give the directory whose Makefile has obj-$(CONFIG_…) += NAME.o",
            )
        } else {
            Ok(modules)
        };
    }
    let stem = path.as_path().file_stem().unwrap_or_default();
    modules.retain(|module| module.name.as_str() == stem);
    let assigned = |line: &str| {
        line.split_once('=').map(|(target, _)| target.trim_end_matches(['+', ':', ' ']).to_owned())
    };
    let targets: Vec<String> = logical_lines(makefile).filter_map(|line| assigned(&line)).collect();
    let names = |words: [String; 2]| targets.iter().any(|target| words.contains(target));
    if modules.is_empty() || names([format!("{stem}-y"), format!("{stem}-objs")]) {
        return refuse("is not the source of a module by itself", "give its directory");
    }
    if names([format!("CFLAGS_{stem}.o"), format!("CFLAGS_REMOVE_{stem}.o")]) {
        return refuse("has compiler flags of its own in the Makefile beside it", "give its directory");
    }
    Ok(modules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(modules: &[InTreeModule]) -> Vec<(&str, Option<&str>)> {
        let option =
            |module: &InTreeModule| module.option.as_ref().map(ConfigOption::as_str).map(str::to_owned);
        modules
            .iter()
            .map(|module| (module.name.as_str(), option(module).map(|text| &*text.leak())))
            .collect()
    }

    const MAKEFILE: &str = "# obj-m += not.o\n\
        obj-$(CONFIG_ONE) += one.o # a comment\n\
        obj-$(CONFIG_TWO):= two.o \\\n\tthree.o\n\
        obj-m\t+= always.o\n\
        obj-y += builtin.o\n\
        obj-$(CONFIG_SUB) += sub/\n\
        obj-$(subst m,y,$(CONFIG_ONE)) += glue.o\n\
        obj-$(CONFIG_ONE) += one.o\n\
        one-y := part.o other.o\n\
        CFLAGS_always.o := -O3\n";

    #[test]
    fn modules_are_what_obj_lines_name() {
        let found = modules(MAKEFILE);
        assert_eq!(
            names(&found),
            [
                ("one", Some("CONFIG_ONE")),
                ("two", Some("CONFIG_TWO")),
                ("three", Some("CONFIG_TWO")),
                ("always", None)
            ]
        );
        assert!(modules("").is_empty() && modules("obj-$(CONFIG_X) += $(objects)\n").is_empty());
    }

    #[test]
    fn a_file_must_be_a_module_by_itself() {
        let of = |path: &str| modules_of(&KernelPath::parse(path).unwrap(), MAKEFILE);
        assert_eq!(names(&of("d/two.c").unwrap()), [("two", Some("CONFIG_TWO"))]);
        assert_eq!(of("d").unwrap().len(), 4);
        for (path, reason) in [
            ("d/one.c", "by itself"),
            ("d/part.c", "by itself"),
            ("d/builtin.c", "by itself"),
            ("d/always.c", "compiler flags"),
        ] {
            assert!(of(path).unwrap_err().reason.contains(reason), "{path}");
        }
        let none = modules_of(&KernelPath::parse("d").unwrap(), "obj-y += x.o\n");
        assert!(none.unwrap_err().reason.contains("names no module"));
        assert_eq!(makefile_of(&KernelPath::parse("a/d/one.c").unwrap()), "a/d/Makefile");
    }

    fn files(files: &[(&str, &str)]) -> Files {
        files.iter().map(|(path, text)| ((*path).into(), (*text).to_owned())).collect()
    }

    #[test]
    fn what_is_included_beside_and_not_there_is_missing() {
        let files = files(&[
            (
                "fs/a/x.c",
                "#include <linux/fs.h>\n#include \"x.h\"\n # include  \"../b/y.h\"\n#include \"sub/./z.h\"\n",
            ),
            ("fs/a/x.h", "#include \"../../../etc/passwd\"\n#include \"/etc/passwd\"\n"),
            ("fs/a/Makefile", "#include \"no.h\"\n"),
        ]);
        let missing: Vec<_> = missing_includes(&files).into_iter().collect();
        assert_eq!(missing, ["fs/a/sub/z.h", "fs/b/y.h"]);
    }

    #[test]
    fn licences_are_put_together() {
        let of = |texts: &[&str]| {
            let one = |(number, text): (usize, &&str)| {
                (Utf8PathBuf::from(format!("{number}.c")), format!("// SPDX-License-Identifier: {text}\n"))
            };
            licence(&texts.iter().enumerate().map(one).collect()).map(|licence| licence.to_string())
        };
        for (texts, together) in [
            (&["GPL-2.0", "GPL-2.0-only"][..], "GPL-2.0-only"),
            (&["GPL-2.0+ */"][..], "GPL-2.0-or-later"),
            (&["LGPL-2.1+", "GPL-2.0"][..], "GPL-2.0-only AND LGPL-2.1-or-later"),
            (
                &["GPL-2.0", "(GPL-2.0+ OR BSD-3-Clause)"][..],
                "GPL-2.0-only AND (GPL-2.0-or-later OR BSD-3-Clause)",
            ),
            (&["(GPL-2.0 OR MIT)"][..], "GPL-2.0-only OR MIT"),
            (&["(MIT) OR (GPL-2.0)", "ISC"][..], "((MIT) OR (GPL-2.0-only)) AND ISC"),
            (
                &["((GPL-2.0 WITH Linux-syscall-note) OR MIT)"][..],
                "(GPL-2.0-only WITH Linux-syscall-note) OR MIT",
            ),
        ] {
            assert_eq!(of(texts).unwrap(), together);
        }
        assert!(of(&[]).is_err() && of(&["GPL; id"]).is_err());
    }
}
