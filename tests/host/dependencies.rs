// SPDX-License-Identifier: GPL-2.0
//! What the project depends on may be depended on: licences, and the compiler that is promised.

use std::collections::BTreeSet;

use report::Report;
use report::process::Cmd;
use xtask::repository;

fn cargo() -> Cmd {
    Cmd::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())).cwd(repository())
}

/// What rustc calls this machine.
fn platform() -> String {
    let version = Cmd::new("rustc").arg("-vV").cwd(repository()).read(&Report::silent()).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc says what it runs on").to_owned()
}

/// The packages of the lock file, of this workspace and of others, that are compiled on this
/// machine: only those are sure to be here. deny.toml is held to the rest by the workflow.
fn packages() -> Vec<serde_json::Value> {
    let args = ["metadata", "--format-version=1", "--offline", "--locked", "--filter-platform", &platform()];
    let text = cargo().args(args).read(&Report::silent()).unwrap();
    let mut metadata: serde_json::Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(metadata["packages"].take()).unwrap()
}

/// What `deny.toml` says of licences: those that all may have, and crates that alone have another.
fn allowed() -> (BTreeSet<String>, Vec<(String, String)>) {
    let text = fs_err::read_to_string(repository().join("deny.toml")).unwrap();
    let deny: toml::Value = toml::from_str(&text).unwrap();
    let word = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let words = |value: &toml::Value| value.as_array().unwrap().iter().map(word).collect::<Vec<_>>();
    let licences = &deny["licenses"];
    let exceptions = licences["exceptions"].as_array().unwrap().iter();
    let exceptions = exceptions.map(|one| (word(&one["crate"]), words(&one["allow"]).remove(0))).collect();
    (words(&licences["allow"]).into_iter().collect(), exceptions)
}

/// Whether an expression holds, if the licences for which `allowed` says so may be had. `OR` binds
/// less than `AND`.
fn holds(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let expression = expression.trim();
    if let Some(inner) = expression.strip_prefix('(')
        && let Some((inner, rest)) = inner.split_once(')')
    {
        let (inner, rest) = (holds(inner, allowed), rest.trim());
        return match (rest.strip_prefix("AND "), rest.strip_prefix("OR ")) {
            (Some(rest), _) => inner && holds(rest, allowed),
            (_, Some(rest)) => inner || holds(rest, allowed),
            _ => inner,
        };
    }
    let any_of = expression.split(" OR ").flat_map(|part| part.split('/'));
    any_of.into_iter().any(|part| part.split(" AND ").all(|licence| allowed(licence.trim())))
}

#[test]
fn licences_go_together_with_the_projects_own() {
    let (allowed, exceptions) = allowed();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or_default();
        let excepted = |of: &str| exceptions.iter().any(|(one, licence)| one == name && licence == of);
        let may = |of: &str| allowed.contains(of) || excepted(of);
        assert!(holds(licence, &may), "{name}: {licence:?} is not among the licences in deny.toml");
    }
}

#[test]
fn expressions_are_judged_as_spdx_means_them() {
    let mit = |licence: &str| licence == "MIT";
    for (expression, good) in [
        ("MIT", true),
        ("Apache-2.0 OR MIT", true),
        ("MIT/Apache-2.0", true),
        ("Apache-2.0", false),
        ("MIT AND BSD-3-Clause", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", false),
        ("(MIT OR Apache-2.0) AND MIT", true),
        ("", false),
    ] {
        assert_eq!(holds(expression, &mit), good, "{expression}");
    }
}

/// No dependency needs a newer compiler than this project says it needs. That its own code needs
/// none, clippy says (`incompatible_msrv`).
#[test]
fn the_promised_compiler_compiles_every_dependency() {
    // 1.89 is 1.89.0.
    let numbers = |text: &str| {
        let mut numbers: Vec<u32> = text.split('.').map(|part| part.parse().unwrap()).collect();
        numbers.resize(3, 0);
        numbers
    };
    let packages = packages();
    let own = packages.iter().find(|package| package["name"] == "xtask").unwrap();
    let promised = numbers(own["rust_version"].as_str().unwrap());
    for package in &packages {
        let Some(needs) = package["rust_version"].as_str() else { continue };
        assert!(numbers(needs) <= promised, "{} needs rustc {needs}", package["name"]);
    }
}
