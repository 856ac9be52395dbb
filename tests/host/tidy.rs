// SPDX-License-Identifier: GPL-2.0
//! The repository's own rules, as tests: headers, names, where `unsafe` may be, and that no
//! machine's paths and no archive's host is written down.

use camino::{Utf8Path, Utf8PathBuf};
use report::Report;
use report::process::Cmd;
use walkdir::WalkDir;
use xtask::repository;

/// Files that are not ours to head: generated, or texts of law.
const WITHOUT_HEADER: &[&str] = &["Cargo.lock", "LICENSE"];

/// Kinds of files that carry a licence line.
const WITH_SPDX: &[&str] = &["rs", "toml", "conf", "spec", "c", "h", "sh"];

fn files() -> Vec<(Utf8PathBuf, String)> {
    let root = repository();
    // What fuzzing leaves behind is not kept either.
    let ours = |name: &str| !matches!(name, "target" | ".git" | "corpus" | "artifacts");
    let walk =
        WalkDir::new(&root).into_iter().filter_entry(move |e| e.file_name().to_str().is_some_and(ours));
    let files = walk.filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    let paths = files.filter_map(|entry| Utf8PathBuf::from_path_buf(entry.into_path()).ok());
    let relative = |path: &Utf8Path| path.strip_prefix(&root).unwrap().to_owned();
    paths.filter_map(|path| Some((relative(&path), fs_err::read_to_string(&path).ok()?))).collect()
}

/// Fails with every file that breaks a rule, not only the first.
#[track_caller]
fn assert_none(broken: Vec<String>, rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn every_source_says_its_licence_and_purpose() {
    let named = |path: &Utf8Path| matches!(path.file_name(), Some("Makefile" | "Kbuild" | "run"));
    let concerned = |path: &Utf8Path| {
        let kind = path.extension().is_some_and(|extension| WITH_SPDX.contains(&extension));
        (kind || named(path)) && !WITHOUT_HEADER.iter().any(|name| path.ends_with(name))
    };
    let mut broken = Vec::new();
    for (path, text) in files().iter().filter(|(path, _)| concerned(path)) {
        if !text.lines().take(3).any(|line| line.contains("SPDX-License-Identifier: GPL-2.0")) {
            broken.push(format!("{path}: no SPDX line"));
        }
        if path.extension() == Some("rs") && !text.lines().take(6).any(|line| line.starts_with("//! ")) {
            broken.push(format!("{path}: no //! header"));
        }
    }
    assert_none(broken, "every source begins with its licence, and every Rust file says what it is for");
}

#[test]
fn no_file_is_named_after_nothing() {
    let vague = ["util", "utils", "helper", "helpers", "manager", "common", "misc"];
    let is_vague = |path: &Utf8Path| {
        path.components().any(|part| vague.contains(&part.as_str().split('.').next().unwrap()))
    };
    let broken =
        files().into_iter().filter(|(path, _)| is_vague(path)).map(|(path, _)| path.into_string()).collect();
    assert_none(broken, "a file does one thing, and its name says which");
}

#[test]
fn no_archive_host_and_no_path_of_a_machine_is_written_down() {
    let hosts = [
        ["deb", "debian", "org"],
        ["security", "debian", "org"],
        ["snapshot", "debian", "org"],
        ["ftp", "debian", "org"],
        ["static", "crates", "io"],
        ["index", "crates", "io"],
        ["files", "pythonhosted", "org"],
    ]
    .map(|parts| parts.join("."));
    // A checkout right below one of these says nothing of the machine.
    let everywhere = ["/", "/tmp", "/root", "/home", "/srv", "/usr/src"];
    let above =
        repository().parent().filter(|dir| !everywhere.contains(&dir.as_str())).map(|dir| format!("{dir}/"));
    let forbidden: Vec<String> = hosts.into_iter().chain(above).collect();
    let hits = |text: &str| forbidden.iter().find(|word| text.contains(word.as_str())).cloned();
    let broken = files().iter().filter_map(|(path, text)| Some(format!("{path}: {}", hits(text)?))).collect();
    assert_none(
        broken,
        "the mirror is the one of the host's apt, and nothing depends on where the repository is",
    );
}

/// Modules, and the inits of machines.
const GUESTS: [&str; 5] = ["module", "guest", "crates/vm/init", "cifs/fs", "tests/vm/seeded"];

#[test]
fn unsafe_is_only_where_the_kernel_is_spoken_to() {
    let mut broken = Vec::new();
    for (path, text) in files().iter().filter(|(path, _)| path.extension() == Some("rs")) {
        let block =
            |line: &&str| line.contains(concat!("uns", "afe {")) || line.contains(concat!("uns", "afe impl"));
        let allowed = GUESTS.iter().any(|dir| path.starts_with(dir));
        let lines: Vec<&str> = text.lines().collect();
        for (number, _) in lines.iter().enumerate().filter(|(_, line)| block(line)) {
            let reason = lines[number.saturating_sub(6)..=number].iter().any(|line| line.contains("SAFETY:"));
            if !allowed || !reason {
                broken.push(format!(
                    "{path}:{}: {}",
                    number + 1,
                    if allowed { "no SAFETY reason" } else { "not here" }
                ));
            }
        }
    }
    assert_none(
        broken,
        "unsafe stands in modules and in the inits of machines only, and each block says why it is sound",
    );
}

#[test]
fn text_ends_cleanly() {
    let mut broken = Vec::new();
    // An empty line of a patch's context is a blank.
    let ours = |path: &Utf8Path| !path.ends_with("LICENSE") && path.extension() != Some("patch");
    for (path, text) in files().iter().filter(|(path, _)| ours(path)) {
        if text.lines().any(|line| line.ends_with([' ', '\t'])) {
            broken.push(format!("{path}: trailing blanks"));
        }
        if !text.is_empty() && !text.ends_with('\n') {
            broken.push(format!("{path}: no newline at the end"));
        }
        if text.lines().any(|line| line.starts_with(concat!("<<<<", "<<<")) || line == concat!("====", "==="))
        {
            broken.push(format!("{path}: a merge that was not resolved"));
        }
    }
    assert_none(broken, "no trailing blanks, a newline at the end, no halves of a merge");
}

#[test]
fn ci_runs_the_test_command_of_the_readme() {
    let read = |name: &str| fs_err::read_to_string(repository().join(name)).unwrap();
    let command = read(".ci/run").lines().last().unwrap().trim_start_matches("exec ").to_owned();
    assert!(command.starts_with("cargo xtask test"), "{command}");
    assert!(read("README.md").contains(&command), "README.md does not say `{command}`");
}

#[test]
fn other_programs_are_run_through_one_door() {
    let door = concat!("Comm", "and::new(");
    // The init in the machine has a door of its own; the build script that builds it has no report
    // to show commands in. The oracle's program talks over pipes to one that it has just compiled,
    // and is built without the tool.
    let doors = [
        "crates/report/src/process.rs",
        "crates/vm/build.rs",
        "crates/vm/init/src/program.rs",
        "tests/oracle/src/program.rs",
    ];
    let is_door = |path: &Utf8Path| doors.contains(&path.as_str());
    let hit = |(path, text): &(Utf8PathBuf, String)| {
        path.extension() == Some("rs") && !is_door(path) && text.contains(door)
    };
    let broken = files().into_iter().filter(hit).map(|(path, _)| path.into_string()).collect();
    assert_none(broken, "process.rs is the only door to other programs");
}

/// A command of cargo that must have nothing to say.
#[track_caller]
fn assert_cargo_is_content(args: &[&str]) {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Cmd::new(cargo).args(args).cwd(repository()).finish(&Report::silent()).unwrap();
    assert!(output.status.success(), "cargo {}:\n{}", args.join(" "), output.tail);
}

#[test]
fn the_code_is_formatted() {
    assert_cargo_is_content(&["fmt", "--all", "--check"]);
}

/// Suites that `cargo test` does not run by itself, and that `--all-targets` leaves out for that.
const SUITES: [&str; 3] = ["package", "fuzz", "vm"];

#[test]
fn clippy_has_nothing_to_say() {
    let clippy = ["clippy", "--quiet", "--locked"];
    let deny = ["--", "--deny", "warnings"];
    assert_cargo_is_content(&[&clippy[..], &["--workspace", "--all-targets"], &deny].concat());
    let suites = SUITES.iter().flat_map(|suite| ["--test", suite]).collect::<Vec<_>>();
    assert_cargo_is_content(&[&clippy[..], &["--package", "xtask"], &suites, &deny].concat());
}

#[test]
fn the_documentation_has_no_warning() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let doc = Cmd::new(cargo).args(["doc", "--locked", "--workspace", "--no-deps", "--quiet"]);
    let doc = doc.env("RUSTDOCFLAGS", "-Dwarnings").cwd(repository());
    let output = doc.finish(&Report::silent()).unwrap();
    assert!(output.status.success(), "{}", output.tail);
}

/// The kernel module's files have the kernel's own settings (a copy of which is in `module/`).
#[test]
fn the_module_is_formatted_as_the_kernel_is() {
    let output = Cmd::new("make").arg("rustfmtcheck").cwd(repository()).finish(&Report::silent()).unwrap();
    assert!(output.status.success(), "{}", output.tail);
}

/// Comments keep to what fits beside another window; rustfmt leaves them as they are.
#[test]
fn comments_keep_to_a_hundred_columns() {
    let too_long = |line: &&str| line.trim_start().starts_with("//") && line.chars().count() > 100;
    let mut found = Vec::new();
    for (path, text) in files().iter().filter(|(path, _)| path.extension() == Some("rs")) {
        let lines = text.lines().enumerate().filter(|(_, line)| too_long(line));
        found.extend(lines.map(|(number, _)| format!("{path}:{}", number + 1)));
    }
    assert_none(found, "these comments are wider than 100 columns");
}

/// `fuzz/` is a workspace of its own, and what it builds depends on the tool.
#[test]
fn the_lock_file_of_the_fuzz_targets_is_up_to_date() {
    assert_cargo_is_content(&[
        "metadata",
        "--locked",
        "--format-version=1",
        "--manifest-path=fuzz/Cargo.toml",
    ]);
}
