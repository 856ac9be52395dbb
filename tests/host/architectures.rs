// SPDX-License-Identifier: GPL-2.0
//! No architecture is taken for granted: what depends on one asks `kmodfile::architecture`, or is
//! a table with a row for each.

use regex_lite::Regex;
use xtask::repository;

/// Where an architecture may be named: the file, what the line holds, and why.
const NAMED: [(&str, &str, &str); 31] = [
    ("crates/kmodfile/src/architecture.rs", "", "the table"),
    ("crates/kmodfile/src/load/unpacking.rs", "XzFilterKind::Arm64", "a filter of xz"),
    ("crates/kmodfile/src/packing/xz.rs", "Arm64", "a filter of xz"),
    ("crates/vm/src/board.rs", "", "the table of machines"),
    ("crates/vm/build.rs", "\"x86_64\", \"aarch64\"", "an init for each"),
    ("crates/vm/src/init.rs", "VM_INIT_X86_64", "the init of each"),
    ("crates/vm/src/init.rs", "VM_INIT_AARCH64", "the init of each"),
    ("crates/vm/src/init.rs", "Architecture::Amd64", "the init of each"),
    ("crates/vm/src/init.rs", "Architecture::Arm64", "the init of each"),
    ("crates/vm/src/init.rs", "object::Architecture::", "what an ELF file calls each"),
    (
        "crates/vm/src/coverage/instrumented.rs",
        "== Architecture::X86_64",
        "how an ELF file's call is written",
    ),
    ("crates/vm/src/boot.rs", "is_arm64_image", "a form of a kernel's image, which says itself what it is"),
    ("crates/vm/src/kernel_image.rs", "arm64", "a form of a kernel's image, which says itself what it is"),
    ("crates/kernel/src/source.rs", "\"arm64\",", "the directories of the kernel's source"),
    (
        "crates/kernel/src/distribution/debian/distribution.rs",
        "Architecture::Amd64 => \"cloud-amd64\"",
        "each",
    ),
    (
        "crates/kernel/src/distribution/debian/distribution.rs",
        "Architecture::Arm64 => \"cloud-arm64\"",
        "each",
    ),
    (
        "crates/kernel/src/distribution/debian/distribution.rs",
        "signed",
        "Secure Boot's chain is of amd64 only",
    ),
    (
        "crates/kernel/src/distribution/debian/distribution.rs",
        "architecture: Architecture::Amd64,",
        "Secure Boot's chain is of amd64 only, which is checked",
    ),
    (
        "crates/kernel/src/distribution/rpm_family/distribution.rs",
        "architecture: Architecture::Amd64,",
        "Secure Boot's chain is of amd64 only, which is checked",
    ),
    ("crates/kernel/src/distribution/rpm_family/family.rs", "x86_64", "Secure Boot's chain is of amd64 only"),
    ("crates/project/src/given.rs", "Architecture::Amd64 => \"x86_64-pc-linux-gnu\"", "each"),
    ("crates/project/src/given.rs", "Architecture::Arm64 => \"aarch64-unknown-linux-gnu\"", "each"),
    ("crates/deploy/src/rpm/kabi.rs", "CONFIG_ARM64", "one that has a word of its own in vermagic"),
    ("crates/cargo-kmod/src/cli.rs", "cargo kmod ", "an example in help"),
    ("crates/kernel/src/artefacts/collection.rs", "=> object::Architecture::", "what an ELF file calls each"),
    ("crates/kernel/src/installed/readiness.rs", "object::elf::EM_", "what an ELF file calls each"),
    ("crates/kernel/src/from_source/wanted.rs", "(\"CONFIG_", "a table of what is said of each"),
    ("crates/kernel/src/sanitizing/options.rs", "CRYPTO_*_X86_64", "options that go where they are there"),
    (
        "crates/cargo-kmod/src/commands/kernel/list.rs",
        "Architecture of the archive's kernels, amd64 or arm64",
        "help of the option that takes one",
    ),
    ("crates/cargo-kmod/src/commands/rpm.rs", "cargo kmod rpm ", "an example in help"),
    ("crates/cargo-kmod/src/commands/rpm.rs", "rpmbuild -bb ", "an example in help"),
];

#[test]
fn no_architecture_is_taken_for_granted() {
    let name = Regex::new(r"(?i)x86[_-]64|amd64|aarch64|arm64|ttyS0|ttyAMA0").unwrap();
    let mut used = [false; NAMED.len()];
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(repository().join("crates")).sort_by_file_name() {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(repository()).unwrap().display().to_string();
        if !path.ends_with(".rs") || path.contains("/tests/") || is_for_tests(&path) {
            continue;
        }
        let text = fs_err::read_to_string(entry.path()).unwrap();
        // There the comments on fields are help.
        let help = path.starts_with("crates/cargo-kmod/src/commands/");
        for line in code(&text, help).filter(|line| name.is_match(line)) {
            let allowed = NAMED
                .iter()
                .enumerate()
                .filter(|(_, (file, holds, _))| *file == path && line.contains(holds));
            let allowed: Vec<usize> = allowed.map(|(at, _)| at).collect();
            allowed.iter().for_each(|at| used[*at] = true);
            if allowed.is_empty() {
                found.push(format!("{path}: {}", line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "ask Architecture instead of naming one:\n{}", found.join("\n"));
    let unused: Vec<_> = NAMED.iter().zip(used).filter(|(_, used)| !used).map(|(named, _)| named).collect();
    assert!(unused.is_empty(), "not there any more: {unused:#?}");
}

/// Files that only tests are compiled with: what they have is made up, or was captured.
fn is_for_tests(path: &str) -> bool {
    path.ends_with("/tests.rs") || path == "crates/deploy/src/rpm/weak_updates/made.rs"
}

/// The lines of a source that are neither comments nor, at its end, its tests; those that are
/// `help` besides.
fn code(text: &str, help: bool) -> impl Iterator<Item = &str> {
    let before_tests = text.split("mod tests {").next().unwrap_or_default();
    let is_help = move |line: &str| help && line.starts_with("///");
    before_tests.lines().filter(move |line| {
        let line = line.trim_start();
        !line.starts_with("//") || is_help(line)
    })
}
