// SPDX-License-Identifier: GPL-2.0
//! The floor plan holds: crates depend downwards only, files of a crate do not import one another
//! in a circle, the tool's crates know nothing of this repository's sample, and no two public types
//! share a name.

mod imports;

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use report::Report;
use report::process::Cmd;
use walkdir::WalkDir;
use xtask::repository;

use imports::Crate;

/// The tool's crates, each on a floor above those that it may depend on. What is on the same floor
/// does not know one another.
const FLOORS: &[&[&str]] = &[
    &["report", "kmodfile", "dkms-conf", "template", "vm-protocol"],
    &["kernel", "vm-init"],
    &["project"],
    &["vm", "deploy", "matrix"],
    &["cargo-kmod"],
];

#[test]
fn crates_depend_downwards_only() {
    let floor_of = |name: &str| FLOORS.iter().position(|floor| floor.contains(&name));
    for (name, dependencies) in dependencies() {
        let Some(floor) = floor_of(&name) else { panic!("{name} is on no floor of the plan") };
        for dependency in dependencies {
            let below = floor_of(&dependency).unwrap_or_else(|| panic!("{name} depends on {dependency}"));
            assert!(below < floor, "{name} depends on {dependency}, which is not below it");
        }
    }
}

/// What each crate below `crates/` depends on of this workspace, tests left out.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let args = ["metadata", "--format-version=1", "--no-deps", "--offline"];
    let text = Cmd::new(cargo).args(args).cwd(repository()).read(&Report::silent()).unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&text).unwrap();
    let of_the_tool = |package: &&serde_json::Value| {
        let manifest = Utf8Path::new(package["manifest_path"].as_str().unwrap());
        manifest.strip_prefix(repository()).is_ok_and(|path| path.starts_with("crates"))
    };
    let own = |package: &serde_json::Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        let local = all.filter(|dependency| !dependency["path"].is_null() && dependency["kind"] != "dev");
        local.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
    };
    let packages = metadata["packages"].as_array().unwrap().iter().filter(of_the_tool);
    packages.map(|package| (package["name"].as_str().unwrap().to_owned(), own(package))).collect()
}

/// The source directories of all crates of the workspace that run on the host.
fn sources() -> Vec<Utf8PathBuf> {
    let tool = WalkDir::new(repository().join("crates")).into_iter().map(|entry| entry.unwrap());
    let tool = tool.filter(|entry| entry.file_name() == "Cargo.toml");
    let tool = tool.map(|entry| Utf8PathBuf::try_from(entry.into_path()).unwrap().with_file_name("src"));
    tool.chain(["xtask/src", "capture/src", "guest/src"].map(|dir| repository().join(dir))).collect()
}

#[test]
fn files_of_a_crate_import_one_another_in_no_circle() {
    let circles: Vec<String> = sources()
        .iter()
        .flat_map(|dir| {
            let inner = dir.strip_prefix(repository()).unwrap().to_owned();
            Crate::read(dir).circles().into_iter().map(move |files| format!("{inner}: {}", files.join(", ")))
        })
        .collect();
    assert!(circles.is_empty(), "{} circles:\n{}", circles.len(), circles.join("\n"));
}

/// Lines below `crates/` that must not be there.
#[test]
fn the_tool_knows_neither_the_sample_nor_this_checkout() {
    let mut lines = Vec::new();
    for entry in WalkDir::new(repository().join("crates")) {
        let entry = entry.unwrap();
        let path = Utf8Path::from_path(entry.path()).unwrap();
        let Some(text) = entry.file_type().is_file().then(|| fs_err::read_to_string(path).unwrap()) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            let lower = line.to_lowercase();
            let sample = ["smb", "cifs", "samba"].iter().any(|word| lower.contains(word));
            let checkout = lower.contains("cargo_manifest_dir") && path.file_name() != Some("build.rs");
            if sample || checkout {
                lines.push(format!(
                    "{}:{}: {}",
                    path.strip_prefix(repository()).unwrap(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    assert!(lines.is_empty(), "{} lines:\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn no_two_public_types_share_a_name() {
    let mut types: BTreeMap<String, BTreeSet<Utf8PathBuf>> = BTreeMap::new();
    for file in sources().iter().flat_map(|dir| imports::files(dir)) {
        let text = fs_err::read_to_string(&file).unwrap();
        let names = text.lines().filter_map(|line| {
            let line = line.strip_prefix("pub ")?;
            let rest =
                ["struct ", "enum ", "trait ", "type "].iter().find_map(|kind| line.strip_prefix(kind))?;
            Some(rest.split(|c: char| !c.is_alphanumeric()).next()?.to_owned())
        });
        for name in names {
            types.entry(name).or_default().insert(file.strip_prefix(repository()).unwrap().to_owned());
        }
    }
    // A struct of the same name in each is what a command line of clap's is.
    types.remove("Cli");
    types.remove("Command");
    types.retain(|_, files| files.len() > 1);
    let shared: Vec<String> = types.iter().map(|(name, files)| format!("{name}: {files:?}")).collect();
    assert!(shared.is_empty(), "{} names:\n{}", shared.len(), shared.join("\n"));
}
