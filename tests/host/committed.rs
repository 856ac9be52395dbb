// SPDX-License-Identifier: GPL-2.0
//! The projects of this repository and what the templates give: the same. Where a project says
//! something of its own, in the head of its `kmod.spec` and around the body of its `Makefile`, that
//! is read from it.

use camino::Utf8PathBuf;
use template::{
    Date, Licence, MAKEFILE_BODY, ModuleName, PREPARED, PackageName, Spec, Text, Version, kmod_spec,
};
use xtask::repository;

/// The files of this name in the repository and in directories right below it.
fn committed(name: &str) -> Vec<(Utf8PathBuf, String)> {
    let root = repository();
    let entries = root.read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path());
    let dirs = entries.filter(|path| path.is_dir()).chain([root.clone()]);
    let files = dirs.map(|dir| dir.join(name)).filter(|file| file.is_file());
    let files: Vec<_> = files.map(|file| (file.clone(), fs_err::read_to_string(file).unwrap())).collect();
    assert!(files.len() >= 2, "{name}: {files:?}");
    files
}

/// What a spec says of its project.
fn head(text: &str) -> Spec {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("# SPDX-License-Identifier: GPL-2.0"));
    let line = |line: &str| Text::parse(line).unwrap();
    let about = lines.map_while(|text| text.strip_prefix("# ")).map(line).collect();
    let global = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("%global kmod_{name} ")));
        line.unwrap_or_else(|| panic!("no kmod_{name}"))
    };
    let description = text.split_once("%global kmod_description \\\n").unwrap().1;
    let last = description.lines().position(|line| !line.ends_with('\\')).unwrap();
    let description =
        description.lines().take(last + 1).map(|text| line(text.trim_end_matches('\\'))).collect();
    let entry = text.split_once("%changelog\n* ").unwrap().1.lines().next().unwrap();
    let (day, who) = entry.split_at("Sun Nov 22 2026".len());
    Spec {
        about,
        name: PackageName::parse(global("name")).unwrap(),
        version: Version::parse(global("version")).unwrap(),
        licence: Licence::parse(global("license")).unwrap(),
        summary: line(global("summary")),
        description,
        modules: global("modules").split(' ').map(|name| ModuleName::parse(name).unwrap()).collect(),
        packager: line(who.rsplit_once(" - ").unwrap().0.trim()),
        date: date(day),
    }
}

fn date(shown: &str) -> Date {
    let days = (2020..2040).flat_map(|year| {
        let months = (1..=12).flat_map(move |month| (1..=31).map(move |day| (year, month, day)));
        months.filter_map(|(year, month, day)| Date::new(year, month, day).ok())
    });
    days.into_iter().find(|date| date.to_string() == shown).unwrap_or_else(|| panic!("{shown:?}: no day"))
}

#[test]
fn every_spec_is_what_the_template_gives() {
    for (file, text) in committed("kmod.spec") {
        let made = kmod_spec(&head(&text));
        let other = made.lines().zip(text.lines()).enumerate().find(|(_, (made, there))| made != there);
        assert!(
            made == text,
            "{file} is not what the template gives; the first line that differs: {other:?}"
        );
    }
}

#[test]
fn every_makefile_has_the_body_of_the_template() {
    let (begin, end) = (MAKEFILE_BODY.lines().next().unwrap(), MAKEFILE_BODY.lines().last().unwrap());
    for (file, text) in committed("Makefile") {
        let from = text.find(begin).unwrap_or_else(|| panic!("{file}: no line {begin:?}"));
        let to = text.find(end).unwrap_or_else(|| panic!("{file}: no line {end:?}")) + end.len() + 1;
        let there = text[from..to].lines().enumerate();
        let other = there.zip(MAKEFILE_BODY.lines()).find(|((_, there), made)| there != made);
        assert!(text[from..to] == *MAKEFILE_BODY, "{file} is not what the template gives: {other:?}");
    }
}

#[test]
fn every_prepared_script_is_the_templates() {
    for (file, text) in committed("prepared.sh") {
        assert!(text == PREPARED, "{file} is not what the template gives");
    }
}
