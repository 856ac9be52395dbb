// SPDX-License-Identifier: GPL-2.0
//! What `cargo kmod new` makes, as whoever made it would use it: by the installed program alone, in
//! a directory far from this checkout. It builds, boots, packages and passes its own tests, with
//! nothing else written.

use anyhow::{Context as _, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use libtest_mimic::{Failed, Trial};
use report::Report;
use report::process::{Cmd, Output};
use xtask::repository;

use crate::bench::Bench;

/// Names and options of what is made. The name of a module of the kernel's own may not be that of
/// another module.
const KINDS: &[(&str, &[&str])] = &[
    ("new_rust", &["hello-rust", "--rust"]),
    ("new_c", &["hello-c", "--c"]),
    ("new_fix_of_a_directory", &["isofs-fix", "--fix", "fs/isofs"]),
    ("new_fix_of_a_file", &["dummy-fix", "--fix", "drivers/net/dummy.c"]),
    ("a_makefile_alone_is_a_project", &[]),
];

/// A trial for each kind.
pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let trial = |(name, words): &(&str, &'static [&'static str])| {
        let words = *words;
        Trial::test(*name, move || {
            let bench = bench.expect("trials are run with a bench");
            let outcome = if words.is_empty() { makefile_alone(bench) } else { made(bench, words) };
            outcome.map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    KINDS.iter().map(trial).collect()
}

/// The program as `cargo install` would put it.
fn program() -> Result<Utf8PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let build = Cmd::new(cargo).args(["build", "--locked", "--package", "cargo-kmod", "--quiet"]);
    build.cwd(repository()).run(&Report::silent())?;
    Ok(Utf8Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("cargo-kmod"))
}

/// Runs the program in `dir` as `cargo kmod WORDS`, where nothing tells it of this checkout.
fn kmod(program: &Utf8Path, dir: &Utf8Path, words: &[&str]) -> Result<Output> {
    let cmd = Cmd::new(program).arg("kmod").args(words).cwd(dir);
    cmd.env("CARGO_HOME", dir.as_str()).finish(&Report::silent())
}

fn succeeds(output: &Output, what: &str) -> Result<()> {
    ensure!(output.status.success(), "{what}: {}: {}", output.status, output.tail);
    Ok(())
}

fn made(bench: &Bench, words: &[&str]) -> Result<()> {
    let (program, scratch) = (program()?, tempfile::tempdir()?);
    let above = Utf8Path::from_path(scratch.path()).context("not UTF-8")?;
    let (name, release) = (words[0], bench.prepared.kdir.release().as_str());
    let of_kernel: &[&str] = if words.contains(&"--fix") { &["--kernel", release] } else { &[] };
    let author = ["--author", "Somebody <somebody@example.org>"];
    let new = [&["new"], words, of_kernel, author.as_slice()].concat();
    succeeds(&kmod(&program, above, &new)?, "new")?;
    let again = kmod(&program, above, &new)?;
    ensure!(again.status.code() == Some(4) && again.tail.contains("is there already"), "{}", again.tail);
    let dir = above.join(name);
    let tests = Cmd::new("./tests/run").args(["--kernel", release]).cwd(&dir);
    let tests = tests.env("KMOD", format!("{program} kmod"));
    succeeds(&tests.finish(&Report::silent())?, "tests/run")?;
    let rpm = kmod(&program, &dir, &["rpm", "--kernel", release, "--json"])?;
    succeeds(&rpm, "rpm")?;
    ensure!(rpm.text().contains(&format!("kmod-{name}")), "{}", rpm.text());
    Ok(())
}

/// A directory with a source and one line of `Makefile`, from below it.
fn makefile_alone(bench: &Bench) -> Result<()> {
    let (program, scratch) = (program()?, tempfile::tempdir()?);
    let dir = Utf8Path::from_path(scratch.path()).context("not UTF-8")?;
    fs_err::write(dir.join("Makefile"), "obj-m := alone.o\n")?;
    let source = "#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\nMODULE_VERSION(\"1.4\");\n";
    fs_err::write(dir.join("alone.c"), source)?;
    fs_err::create_dir(dir.join("below"))?;
    let words = ["--json", "insmod", "--kernel", bench.prepared.kdir.release().as_str()];
    let output = kmod(&program, &dir.join("below"), &words)?;
    succeeds(&output, "insmod")?;
    let outcomes: serde_json::Value = serde_json::from_str(&output.text())?;
    ensure!(outcomes[0]["verdict"] == "pass", "{outcomes}");
    ensure!(dir.join("target/kmod/alone-1.4").is_dir(), "no version in the place of the build");
    let rpm = kmod(&program, dir, &["rpm"])?;
    ensure!(rpm.status.code() == Some(2) && rpm.tail.contains("dkms conf --project"), "{}", rpm.tail);
    succeeds(&kmod(&program, dir, &["dkms", "conf"])?, "dkms conf")?;
    let conf = fs_err::read_to_string(dir.join("dkms.conf"))?;
    ensure!(conf.contains("PACKAGE_NAME=\"alone\"\nPACKAGE_VERSION=\"1.4\"\n"), "{conf}");
    Ok(())
}
