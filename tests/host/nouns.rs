// SPDX-License-Identifier: GPL-2.0
//! Nouns agree with their numbers: what is counted in a message is said by `report::counted`, and
//! no count stands before a noun in the plural that a message has for all.

use regex_lite::Regex;
use xtask::repository;

/// What programs count in their messages.
const COUNTED: &str = "answers|archives|certificates|commits|connections|directories|drivers|entries|errors|files|\
    headers|hours|images|kernels|keys|lines|links|messages|modules|months|objects|options|packages|packets|\
    pages|patches|problems|processes|programs|reasons|releases|replies|requests|roots|rows|rules|sections|\
    steps|subsystems|symbols|targets|tests|variants|warnings|weeks|days|minutes";

/// Counts that cannot be 1, or are no more than a name: the file, and the noun with what is before
/// it.
const ALWAYS_MANY: [(&str, &str); 14] = [
    // Said only from ten on.
    ("crates/cargo-kmod/src/commands/sign.rs", "{} modules"),
    ("crates/cargo-kmod/src/commands/inspect.rs", "{} modules"),
    ("crates/cargo-kmod/src/commands/man.rs", "{} pages"),
    ("crates/cargo-kmod/src/commands/new.rs", "{} files"),
    ("crates/cargo-kmod/src/commands/setup.rs", "{} manual pages"),
    ("crates/deploy/src/dkms/target.rs", "{} kernels"),
    // Thousands, or it is no kernel with Rust.
    ("crates/deploy/src/rpm/sbom.rs", "{count} Rust symbols"),
    ("crates/kernel/src/rust.rs", "{wanted} Rust symbols"),
    ("xtask/src/commands/demo.rs", "{0} Rust symbols"),
    // One is named instead.
    ("crates/kernel/src/distribution/debian/archive.rs", "{} packages"),
    // The names of measurements.
    ("xtask/src/bench/inspect.rs", "{count} modules"),
    ("xtask/src/bench/rpm.rs", "{} packages"),
    ("xtask/src/bench/weak_modules.rs", "{KERNELS} kernels"),
    ("guest/src/lib.rs", "{count} files"),
];

#[test]
fn counts_and_nouns_agree() {
    let count =
        Regex::new(&format!(r"\{{[^{{}} \n]*\}}(?: \\\n\s*| )(?:[a-zA-Z]+ )?(?:{COUNTED})\b")).unwrap();
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(repository()).into_iter().filter_entry(|entry| {
        let name = entry.file_name().to_string_lossy();
        !matches!(&*name, "target" | "tests" | ".git" | "fuzz" | "workload")
    }) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(repository()).unwrap().display().to_string();
        if !path.ends_with(".rs") {
            continue;
        }
        let text = fs_err::read_to_string(entry.path()).unwrap();
        let code =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for hit in count.find_iter(&code) {
            let hit =
                hit.as_str().split_whitespace().filter(|word| *word != "\\").collect::<Vec<_>>().join(" ");
            if !ALWAYS_MANY.contains(&(path.as_str(), hit.as_str())) {
                found.push(format!("{path}: {hit}"));
            }
        }
    }
    assert!(found.is_empty(), "say these by report::counted:\n{}", found.join("\n"));
}
