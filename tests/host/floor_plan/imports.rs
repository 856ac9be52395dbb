// SPDX-License-Identifier: GPL-2.0
//! Which file of a crate imports from which, read from its `use` lines and the paths in its code.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

/// A module's path below the crate, empty for its root.
type ModulePath = Vec<String>;

/// A crate: its files by the path of their module, and what each imports.
pub(super) struct Crate {
    edges: BTreeMap<ModulePath, BTreeSet<ModulePath>>,
}

/// The Rust files below `dir`.
pub(super) fn files(dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = WalkDir::new(dir).sort_by_file_name().into_iter().filter_map(Result::ok);
    let paths = entries.filter_map(|entry| Utf8PathBuf::try_from(entry.into_path()).ok());
    paths.filter(|path| path.extension() == Some("rs")).collect()
}

impl Crate {
    /// Reads the crate whose sources are in `dir`.
    pub(super) fn read(dir: &Utf8Path) -> Self {
        let texts: BTreeMap<ModulePath, String> = files(dir)
            .iter()
            .filter_map(|file| Some((module_of(file.strip_prefix(dir).ok()?)?, code(file))))
            .collect();
        let shown: BTreeMap<ModulePath, Vec<(String, ModulePath)>> =
            texts.iter().map(|(module, text)| (module.clone(), shown_on(module, text, &texts))).collect();
        let imports = |module: &ModulePath, text: &String| {
            let paths = paths_in(text).into_iter().filter_map(|path| absolute(module, &path, &texts));
            let owners = paths.filter_map(|path| owner(&path, &texts, &shown));
            owners.filter(|owner| owner != module).collect()
        };
        Self { edges: texts.iter().map(|(module, text)| (module.clone(), imports(module, text))).collect() }
    }

    /// Sets of files each of which imports, by way of others, itself.
    pub(super) fn circles(&self) -> Vec<Vec<String>> {
        let reached: BTreeMap<&ModulePath, BTreeSet<&ModulePath>> =
            self.edges.keys().map(|module| (module, self.reached_from(module))).collect();
        let mut circles = BTreeSet::new();
        for (module, others) in &reached {
            let with_it = others.iter().filter(|other| reached[**other].contains(module));
            let circle: Vec<String> = with_it.map(|other| name(other)).collect();
            if !circle.is_empty() {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    fn reached_from<'a>(&'a self, module: &ModulePath) -> BTreeSet<&'a ModulePath> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&ModulePath> = self.edges[module].iter().collect();
        while let Some(module) = next.pop() {
            if reached.insert(module) {
                next.extend(&self.edges[module]);
            }
        }
        reached
    }
}

fn name(module: &ModulePath) -> String {
    if module.is_empty() { "(root)".to_owned() } else { module.join("::") }
}

/// The module that a file is; none for a program of its own beside the library, and for tests.
fn module_of(file: &Utf8Path) -> Option<ModulePath> {
    let mut parts: ModulePath = file.with_extension("").iter().map(str::to_owned).collect();
    match parts.last()?.as_str() {
        "main" | "tests" => return None,
        "lib" | "mod" => drop(parts.pop()),
        _ => {}
    }
    Some(parts)
}

/// A file's text without comments and without its tests.
fn code(file: &Utf8Path) -> String {
    let text = fs_err::read_to_string(file).unwrap();
    let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// All paths that begin in the crate, or that a `use` takes.
fn paths_in(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for statement in uses(text) {
        expand("", &statement, &mut paths);
    }
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in text.match_indices(start) {
            let bounded =
                text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
            let path = text[at..].split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next();
            paths.extend(path.filter(|_| bounded).map(segments));
        }
    }
    paths
}

/// The trees of all `use` statements at the left margin.
fn uses(text: &str) -> Vec<String> {
    let starts = ["\nuse ", "\npub use ", "\npub(crate) use ", "\npub(super) use "];
    let text = format!("\n{text}");
    let found = starts.iter().flat_map(|start| text.match_indices(start).map(|(at, _)| at + start.len()));
    found.filter_map(|at| Some(text[at..].split_once(';')?.0.replace(['\n', ' '], ""))).collect()
}

/// The paths of a tree such as `a::{b, c::{d, e}}`.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<Vec<String>>) {
    let Some((head, rest)) = tree.split_once('{') else {
        return paths.push(segments(&format!("{prefix}{tree}")));
    };
    let inner = rest.strip_suffix('}').unwrap_or(rest);
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if start < at {
                    expand(&format!("{prefix}{head}"), &inner[start..at], paths);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").filter(|part| !part.is_empty() && *part != "self").map(str::to_owned).collect()
}

/// A path from the root of the crate, if it leads to something of the crate.
fn absolute(
    module: &ModulePath,
    path: &[String],
    texts: &BTreeMap<ModulePath, String>,
) -> Option<ModulePath> {
    let first = path.first()?;
    if first == "crate" {
        return Some(path[1..].to_vec());
    }
    let ups = path.iter().take_while(|part| *part == "super").count();
    if ups > 0 {
        return Some([&module[..module.len().checked_sub(ups)?], &path[ups..]].concat());
    }
    // A child's own name, as in `pub use child::Thing`.
    let child = [module.as_slice(), std::slice::from_ref(first)].concat();
    texts.contains_key(&child).then(|| [module.as_slice(), path].concat())
}

/// What a module shows of others by `pub use`: the name, and where it is from.
fn shown_on(
    module: &ModulePath,
    text: &str,
    texts: &BTreeMap<ModulePath, String>,
) -> Vec<(String, ModulePath)> {
    let mut paths = Vec::new();
    for line in text.split("\npub").skip(1).filter_map(|rest| {
        let rest = rest.strip_prefix("(crate)").or(rest.strip_prefix("(super)")).unwrap_or(rest);
        Some(rest.strip_prefix(" use ")?.split_once(';')?.0.replace(['\n', ' '], ""))
    }) {
        expand("", &line, &mut paths);
    }
    let named = paths.iter().filter_map(|path| Some((path.last()?.clone(), absolute(module, path, texts)?)));
    named.collect()
}

/// The file that what a path names stands in: followed where a module only shows it.
fn owner(
    path: &[String],
    texts: &BTreeMap<ModulePath, String>,
    shown: &BTreeMap<ModulePath, Vec<(String, ModulePath)>>,
) -> Option<ModulePath> {
    let length = (0..=path.len()).rev().find(|length| texts.contains_key(&path[..*length]))?;
    let (module, rest) = path.split_at(length);
    let from = rest.first().and_then(|name| shown[module].iter().find(|(shown, _)| shown == name));
    match from {
        Some((_, from)) if from.as_slice() != path => owner(from, texts, shown),
        _ => (!path.is_empty()).then(|| module.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        for (name, text) in files {
            fs_err::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
            fs_err::write(dir.join(name), text).unwrap();
        }
        Crate::read(dir).circles()
    }

    #[test]
    fn a_circle_is_seen_through_every_form_of_import() {
        let found = [vec!["a".to_owned(), "b".to_owned()]];
        let lib = ("lib.rs", "mod a;\nmod b;\n");
        for (a, b) in [
            ("use crate::b::B;\n", "use crate::a::A;\n"),
            ("use crate::b::{self, B};\n", "fn f() { crate::a::f(); }\n"),
            ("use super::b;\nfn f() { b::g(); }\n", "use super::a::A;\n"),
        ] {
            assert_eq!(circles(&[lib, ("a.rs", a), ("b.rs", b)]), found, "{a} {b}");
        }
    }

    #[test]
    fn what_is_shown_elsewhere_is_imported_from_where_it_stands() {
        let lib = ("lib.rs", "mod a;\nmod b;\npub use a::A;\n");
        assert!(circles(&[lib, ("a.rs", ""), ("b.rs", "use crate::A;\n")]).is_empty());
        let back = [lib, ("a.rs", "use crate::b::B;\n"), ("b.rs", "use crate::A;\n")];
        assert_eq!(circles(&back), [["a", "b"]]);
    }

    #[test]
    fn a_parent_and_its_child_are_a_circle_when_each_needs_the_other() {
        let parent = ("p/mod.rs", "mod c;\nuse c::C;\npub struct P;\n");
        let found = circles(&[("lib.rs", "mod p;\n"), parent, ("p/c.rs", "use super::P;\n")]);
        assert_eq!(found, [["p", "p::c"]]);
        assert!(circles(&[("lib.rs", "mod p;\n"), parent, ("p/c.rs", "use std::fmt;\n")]).is_empty());
    }

    #[test]
    fn comments_and_tests_count_for_nothing() {
        let a = ("a.rs", "// use crate::b::B;\n\n#[cfg(test)]\nmod tests {\n    use crate::b::B;\n}\n");
        assert!(circles(&[("lib.rs", ""), a, ("b.rs", "use crate::a::A;\n")]).is_empty());
    }
}
