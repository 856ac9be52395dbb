// SPDX-License-Identifier: GPL-2.0
//! Whole kernels from source, compiled here, and a module that is built for each and booted on it:
//! `--long`, as each takes some ten minutes of a processor.

use anyhow::{Context as _, Result, ensure};
use kmodfile::file::ModuleFile;
use libtest_mimic::{Failed, Trial};
use report::Report;
use report::process::Cmd;
use xtask::commands::test::LONG;

use crate::bench::Bench;
use crate::commands::tool;
use crate::kernel_source;

/// What each kernel has at least.
const MACHINE: &str = include_str!("source/machine.config");

/// A kernel, and a module for it.
struct Kind {
    name: &'static str,
    /// What it has beyond the least.
    options: &'static str,
    language: &'static str,
    /// Whether the module carries CRCs.
    versions: bool,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "modversions",
        options: include_str!("source/modversions.config"),
        language: "--c",
        versions: true,
    },
    Kind {
        name: "thinlto",
        options: include_str!("source/thinlto.config"),
        language: "--c",
        versions: false,
    },
    Kind { name: "rust", options: include_str!("source/rust.config"), language: "--rust", versions: true },
];

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    if std::env::var_os(LONG).is_none() {
        return Vec::new();
    }
    let trial = |kind: &'static Kind| {
        Trial::test(format!("a_whole_kernel_from_source_loads_a_module_{}", kind.name), move || {
            let bench = bench.context("trials are run with a bench").map_err(|error| error.to_string())?;
            loaded(bench, kind).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    KINDS.iter().map(trial).collect()
}

fn loaded(bench: &Bench, kind: &Kind) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let dir = camino::Utf8Path::from_path(scratch.path()).context("not UTF-8")?;
    let source = kernel_source::tarball(&bench.context, bench.prepared.kdir.release(), dir)?;
    let config = dir.join("config");
    fs_err::write(&config, format!("{MACHINE}{}", kind.options))?;
    let variant = format!("-test-{}", kind.name);
    let words = ["--json", "kernel", "prepare", "--full", "--minimal", "--localversion", &variant];
    let words = [&words[..], &["--source", source.as_str(), "--config", config.as_str()]].concat();
    let (status, text) = tool(&words)?;
    ensure!(status == 0, "status {status}: {text}");
    let result: serde_json::Value = serde_json::from_str(&text)?;
    let release = result["release"].as_str().context("no release")?;
    ensure!(release.ends_with(&variant), "{release}");

    let new = Cmd::new(env!("CARGO_BIN_EXE_xtask")).args([
        "new",
        "small",
        kind.language,
        "--author",
        "S <s@example.org>",
    ]);
    new.cwd(dir).run(&Report::silent())?;
    let (project, target) = (dir.join("small"), dir.join("target"));
    let words = ["--json", "--target-dir", target.as_str(), "insmod", "--project", project.as_str()];
    let (status, text) = tool(&[&words[..], &["--kernel", release]].concat())?;
    ensure!(status == 0, "status {status}: {text}");
    let outcomes: serde_json::Value = serde_json::from_str(&text)?;
    ensure!(outcomes[0]["verdict"] == "pass", "{outcomes}");

    let module = walkdir::WalkDir::new(&target).into_iter().filter_map(Result::ok);
    let module = module.map(walkdir::DirEntry::into_path).find(|path| path.ends_with("small.ko"));
    let module =
        camino::Utf8PathBuf::from_path_buf(module.context("no module")?).ok().context("not UTF-8")?;
    let versions = ModuleFile::read(&module)?.module()?.versions;
    let carries = versions.basic.or(versions.extended).is_some_and(|versions| !versions.is_empty());
    ensure!(carries == kind.versions, "{module}");
    let (status, text) = tool(&["kernel", "remove", release])?;
    ensure!(status == 0, "{text}");
    Ok(())
}
