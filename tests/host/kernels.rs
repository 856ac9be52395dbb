// SPDX-License-Identifier: GPL-2.0
//! docs/kernels.md is made of the record of kernels that were tried, and has every kind.

use kmodfile::architecture::Architecture;
use xtask::repository;
use xtask::trial::page;
use xtask::trial::record::{TrialOutcome, TrialRecord, TriedKernel};

fn record() -> TrialRecord {
    TrialRecord::read(&TrialRecord::file(&repository())).unwrap()
}

#[test]
fn the_page_is_made_of_the_record() {
    let written = fs_err::read_to_string(page::file(&repository())).unwrap();
    assert_eq!(written, page::page(&record()), "cargo xtask trial RELEASE writes both");
}

/// A kind of kernel, by what tells it.
type Kind = (&'static str, fn(&TriedKernel) -> bool);

const KINDS: &[Kind] = &[
    ("under development", |kernel| kernel.origin == "sid"),
    ("of the release to come", |kernel| kernel.origin == "forky"),
    ("tried out", |kernel| kernel.origin == "experimental"),
    ("backported", |kernel| kernel.origin == "trixie-backports"),
    ("without Rust, 6.12", |kernel| kernel.rustc.is_none() && kernel.release.line() == "6.12"),
    ("without Rust, 6.1", |kernel| kernel.rustc.is_none() && kernel.release.line() == "6.1"),
    ("arm64, cloud", |kernel| kernel.release.flavour() == "cloud-arm64"),
    ("arm64", |kernel| kernel.release.flavour() == "arm64"),
    ("from source, with MODVERSIONS", |kernel| kernel.origin == "source" && kernel.modversions),
    ("from source, of clang's", |kernel| kernel.origin == "source" && kernel.compiler.starts_with("clang")),
    ("sanitizing", |kernel| kernel.origin == "sanitizing"),
];

#[test]
fn every_kind_of_kernel_was_tried() {
    let record = record();
    let missing: Vec<&str> =
        KINDS.iter().filter(|(_, is)| !record.kernels().iter().any(is)).map(|(name, _)| *name).collect();
    assert!(missing.is_empty(), "not tried: {missing:?}");
    for (line, versions) in [("7.2", 2), ("7.3", 1)] {
        let complete = complete_versions(&record, line);
        assert!(complete.len() >= versions, "of {line} only {complete:?} was tried in all flavours");
    }
}

/// The versions of a line of which all three flavours for amd64 were tried.
fn complete_versions<'a>(record: &'a TrialRecord, line: &str) -> Vec<&'a str> {
    let of_line = |kernel: &&TriedKernel| {
        kernel.architecture == Architecture::Amd64
            && kernel.release.line() == line
            && kernel.origin != "source"
    };
    let kernels: Vec<&TriedKernel> = record.kernels().iter().filter(of_line).collect();
    let has = |version: &str, flavour: &str| {
        kernels.iter().any(|kernel| kernel.release.as_str() == format!("{version}-{flavour}"))
    };
    let versions = kernels.iter().filter(|kernel| kernel.release.flavour() == "amd64");
    let versions = versions.map(|kernel| kernel.release.without_flavour());
    versions.filter(|version| has(version, "cloud-amd64") && has(version, "rt-amd64")).collect()
}

/// What is shipped is not shipped while a kernel on record refuses it.
#[test]
fn nothing_on_record_has_failed() {
    for kernel in record().kernels() {
        for outcome in [&kernel.c, &kernel.rust, &kernel.guard] {
            assert!(!matches!(outcome, TrialOutcome::Failed { .. }), "{}: {outcome:?}", kernel.release);
        }
    }
}
