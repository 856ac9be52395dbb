// SPDX-License-Identifier: GPL-2.0
//! The `kmod.spec` of a project that has none: the template, filled in with what the project's
//! sources state.

use camino::{Utf8Path, Utf8PathBuf};
use template::in_tree::{Files, licence};
use template::{Date, Invalid, Licence, ModuleName, PackageName, Spec, Text, Version, kmod_spec};

use project::Project;
use project::source::SourceTree;
use report::failure::Failure;

/// The file with the licence, which the spec packages.
const LICENSE: &str = "LICENSE";

/// Other names of it.
const LICENCES: &[&str] = &["COPYING", "LICENSE.txt", "LICENSE.md", "LICENCE"];

/// A spec, and what goes into the source package with it.
#[derive(Debug)]
pub(super) struct GeneratedSpec {
    /// The spec.
    pub(super) text: String,
    /// Files to add to the project's own.
    pub(super) files: SourceTree,
}

impl GeneratedSpec {
    /// Generates the spec for `project`, whose own files are `sources`. The first entry in its
    /// changelog has the time `date`.
    ///
    /// # Errors
    ///
    /// Refused, if a spec needs something that the project does not state.
    pub(super) fn of(project: &Project, sources: &SourceTree, date: u64) -> Result<Self, Failure> {
        let invalid = |what: &str, invalid: Invalid| unable(project, &format!("{what} {invalid}"));
        if project.import.is_some() {
            return Err(unable(project, "the licence of the imported files is not known"));
        }
        let texts = texts(sources);
        let licence = stated_licence(&texts).map_err(|reason| unable(project, &reason))?;
        let name = PackageName::parse(&project.name).map_err(|why| invalid("the name", why))?;
        let version = project.version.replace('-', "_");
        let text = |text: &str| Text::parse(text).map_err(|why| invalid("the text", why));
        let summary = match description(&texts).map(Text::parse) {
            Some(Ok(text)) => text,
            _ => text(&format!("Kernel modules {}", project.name))?,
        };
        let spec = Spec {
            about: vec![text("Generated from the sources of the project.")?],
            version: Version::parse(&version).map_err(|why| invalid("the version", why))?,
            licence,
            description: vec![summary.clone()],
            summary,
            modules: modules(project)?,
            packager: text(&format!("The developers of {name}"))?,
            date: Date::of_seconds(date).map_err(|why| invalid("the date", why))?,
            name,
        };
        let files = licence_file(sources, &spec.licence).into_iter().collect();
        Ok(Self { text: kmod_spec(&spec), files })
    }
}

fn unable(project: &Project, reason: &str) -> Failure {
    let reason = format!("has no kmod.spec, and none can be generated: {reason}");
    Failure::refused(format!("project {}", project.dir), reason)
        .remedy("write a kmod.spec; a project made with cargo kmod new has one to start from")
}

/// The file to add where there is no `LICENSE`: a copy of it under another name, or what the
/// sources state.
fn licence_file(sources: &SourceTree, licence: &Licence) -> Option<(Utf8PathBuf, Vec<u8>)> {
    if sources.contains_key(Utf8Path::new(LICENSE)) {
        return None;
    }
    let copy = LICENCES.iter().find_map(|name| sources.get(Utf8Path::new(name)).cloned());
    let stated = || format!("The sources state this licence: {licence}\n").into_bytes();
    Some((LICENSE.into(), copy.unwrap_or_else(stated)))
}

fn modules(project: &Project) -> Result<Vec<ModuleName>, Failure> {
    let modules = project.modules.iter().map(|module| {
        ModuleName::parse(&module.installed_name).map_err(|invalid| unable(project, &invalid.to_string()))
    });
    modules.collect()
}

/// The files that modules are compiled from.
fn texts(sources: &SourceTree) -> Files {
    let compiled = sources.iter().filter(|(path, _)| {
        matches!(path.extension(), Some("c" | "h" | "S" | "rs")) && !path.ends_with(".mod.c")
    });
    compiled.map(|(path, bytes)| (path.clone(), String::from_utf8_lossy(bytes).into_owned())).collect()
}

/// The licence in the SPDX lines of the sources; otherwise that in `MODULE_LICENSE`, as far as the
/// kernel gives it a meaning of its own (Documentation/process/license-rules.rst).
fn stated_licence(sources: &Files) -> Result<Licence, String> {
    let spdx = sources.values().any(|text| text.contains("SPDX-License-Identifier:"));
    if spdx {
        return licence(sources).map_err(|invalid| invalid.to_string());
    }
    let stated = sources.values().find_map(|text| literal(text, "MODULE_LICENSE"));
    let meaning = match stated {
        Some("GPL" | "GPL v2" | "GPL and additional rights") => "GPL-2.0-only",
        Some("Dual MIT/GPL") => "MIT OR GPL-2.0-only",
        Some(other) => return Err(format!("MODULE_LICENSE({other:?}) does not say which licence it is")),
        None => return Err("no source has an SPDX-License-Identifier".to_owned()),
    };
    Licence::parse(meaning).map_err(|invalid| invalid.to_string())
}

/// What a module says of itself, in C or Rust.
fn description(sources: &Files) -> Option<&str> {
    sources
        .values()
        .find_map(|text| literal(text, "MODULE_DESCRIPTION").or_else(|| literal_after(text, "description:")))
}

/// The string in `macro("string")`, outside comments of one line.
fn literal<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with(['/', '*']));
    lines.into_iter().find_map(|line| {
        let rest = line.strip_prefix(name)?.trim_start().strip_prefix('(')?;
        quoted(rest)
    })
}

/// The string in a line `field "string"`.
fn literal_after<'a>(text: &'a str, field: &str) -> Option<&'a str> {
    text.lines().find_map(|line| quoted(line.trim_start().strip_prefix(field)?))
}

fn quoted(text: &str) -> Option<&str> {
    text.trim_start().strip_prefix('"')?.split_once('"').map(|(string, _)| string)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "// SPDX-License-Identifier: GPL-2.0\n\
                          MODULE_DESCRIPTION(\"Says hello\");\nMODULE_LICENSE(\"GPL\");\n";

    fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Project, SourceTree) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap();
        for (name, text) in files {
            fs_err::write(path.join(name), text).unwrap();
        }
        let project = Project::open(path).unwrap();
        let own = project::stage::Sources::read(&project).unwrap().own().clone();
        (dir, project, own)
    }

    fn generated(conf: &str, makefile: &str, source: &str) -> Result<GeneratedSpec, Failure> {
        let conf = format!("PACKAGE_NAME=hello\nPACKAGE_VERSION=1.0-rc1\n{conf}");
        let (_dir, project, own) =
            project(&[("dkms.conf", &conf), ("Makefile", makefile), ("hello.c", source)]);
        GeneratedSpec::of(&project, &own, 0)
    }

    #[test]
    fn what_the_sources_state_is_in_the_spec() {
        let spec = generated("", "obj-m := hello.o\n", SOURCE).unwrap();
        for line in [
            "%global kmod_name hello",
            "%global kmod_version 1.0_rc1",
            "%global kmod_license GPL-2.0-only",
            "%global kmod_summary Says hello",
            "%global kmod_modules hello",
        ] {
            assert!(spec.text.lines().any(|there| there == line), "{line}\n{}", spec.text);
        }
        assert_eq!(spec.files.keys().collect::<Vec<_>>(), [LICENSE]);
        assert!(spec.files[Utf8Path::new(LICENSE)].ends_with(b"GPL-2.0-only\n"));
        let other = "BUILT_MODULE_NAME=(a b)\nBUILT_MODULE_LOCATION=(a b)\nDEST_MODULE_NAME=(c)\n";
        let other = generated(other, "", SOURCE).unwrap();
        assert!(other.text.contains("%global kmod_modules c b\n"), "{}", other.text);
    }

    #[test]
    fn a_licence_file_is_packaged_under_whatever_name_it_has() {
        let licence = Licence::parse("MIT").unwrap();
        let with = |name: &str| SourceTree::from([(name.into(), b"text".to_vec())]);
        assert_eq!(licence_file(&with(LICENSE), &licence), None);
        assert_eq!(licence_file(&with("COPYING"), &licence), Some((LICENSE.into(), b"text".to_vec())));
        let (_, stated) = licence_file(&with("x.c"), &licence).unwrap();
        assert_eq!(stated, b"The sources state this licence: MIT\n");
    }

    #[test]
    fn rust_and_a_description_that_a_spec_cannot_have() {
        let rust = Files::from([("x.rs".into(), "module! {\n    description: \"It\",\n}\n".to_owned())]);
        assert_eq!(description(&rust), Some("It"));
        let spec = generated("", "", &SOURCE.replace("Says hello", "100 %")).unwrap();
        assert!(spec.text.contains("kmod_summary Kernel modules hello\n"), "{}", spec.text);
    }

    #[test]
    fn what_cannot_be_known_is_refused_with_the_reason() {
        let bare = "MODULE_LICENSE(\"Dual BSD/GPL\");\n";
        for (conf, source, reason) in
            [("", bare, "does not say which licence"), ("", "", "no source has an SPDX-License-Identifier")]
        {
            let error = generated(conf, "", source).unwrap_err().to_string();
            assert!(error.contains("none can be generated: ") && error.contains(reason), "{error}");
        }
        let plain = generated("", "", "MODULE_LICENSE(\"GPL\");\n").unwrap();
        assert!(plain.text.contains("kmod_license GPL-2.0-only\n"));
    }
}
