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

/// The least that starts an init in a machine of ours, tells what it did, and loads modules. One
/// module is its own, for what can only be read of one.
const MACHINE: &str = "\
CONFIG_64BIT=y
CONFIG_EXPERT=y
CONFIG_PROCESSOR_SELECT=y
CONFIG_CPU_SUP_AMD=y
CONFIG_PRINTK=y
CONFIG_BUG=y
CONFIG_MULTIUSER=y
CONFIG_FUTEX=y
CONFIG_EPOLL=y
CONFIG_EVENTFD=y
CONFIG_POSIX_TIMERS=y
CONFIG_FILE_LOCKING=y
CONFIG_KALLSYMS=y
CONFIG_MODULES=y
CONFIG_MODULE_UNLOAD=y
CONFIG_BLK_DEV_INITRD=y
CONFIG_BINFMT_ELF=y
CONFIG_TTY=y
CONFIG_SERIAL_8250=y
CONFIG_SERIAL_8250_CONSOLE=y
CONFIG_PCI=y
CONFIG_PCI_MSI=y
CONFIG_HYPERVISOR_GUEST=y
CONFIG_PVH=y
CONFIG_VIRTIO_MENU=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_CONSOLE=y
CONFIG_DEVTMPFS=y
CONFIG_PROC_FS=y
CONFIG_PROC_SYSCTL=y
CONFIG_SYSFS=y
CONFIG_SHMEM=y
CONFIG_TMPFS=y
CONFIG_CONFIGFS_FS=m
";

/// A kernel, and a module for it.
struct Kind {
    name: &'static str,
    /// What it has beyond the least.
    options: &'static [&'static str],
    language: &'static str,
    /// Whether the module carries CRCs.
    versions: bool,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "modversions",
        options: &["CONFIG_MODVERSIONS=y", "CONFIG_BASIC_MODVERSIONS=y"],
        language: "--c",
        versions: true,
    },
    Kind {
        name: "thinlto",
        options: &["CONFIG_CC_IS_CLANG=y", "CONFIG_LTO_CLANG_THIN=y"],
        language: "--c",
        versions: false,
    },
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
    fs_err::write(&config, format!("{MACHINE}{}\n", kind.options.join("\n")))?;
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
