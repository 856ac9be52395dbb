// SPDX-License-Identifier: GPL-2.0
//! `weak-modules` with real modules of a kernel with MODVERSIONS, and the real depmod and modprobe:
//! `giver` exports a symbol, `taker` imports it, and each is in a package of its own.

mod dependence;
mod links;
mod packing;
mod upgrade;

use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};
use kernel::kdir::Kdir;
use kmodfile::release::Release;
use libtest_mimic::Trial;
use report::Report;
use report::process::Cmd;

use crate::rpm::versioned;
use crate::suite::{Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    [links::trials(suite), dependence::trials(suite), upgrade::trials(suite), packing::trials(suite)]
        .into_iter()
        .flatten()
        .collect()
}

/// A kernel that would load what is built for the first one: all its symbols are the same.
const SAME: &str = "6.12.201";
/// One in which the CRC of one symbol that all modules need is another.
const CHANGED: &str = "6.12.202";
/// The symbol.
const SYMBOL: &str = "module_layout";

/// The two modules, built for a kernel with MODVERSIONS.
struct Pair {
    _dir: tempfile::TempDir,
    out: Utf8PathBuf,
    release: Release,
}

/// The pair as it is, and with another type in the function that it shares, so that the CRC is
/// another.
fn pair(suite: &Suite) -> &'static [Pair; 2] {
    static PAIRS: OnceLock<[Pair; 2]> = OnceLock::new();
    PAIRS.get_or_init(|| ["int", "long"].map(|shared| Pair::build(suite, shared)))
}

impl Pair {
    fn build(suite: &Suite, shared: &str) -> Self {
        let (dir, path) = scratch();
        let release = versioned(suite);
        let head =
            "// SPDX-License-Identifier: GPL-2.0\n#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n";
        let declared = format!("{shared} weak_given({shared} x);\n");
        let files = [
            (
                "dkms.conf",
                "PACKAGE_NAME=pair\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME[0]=giver\n\
                 BUILT_MODULE_NAME[1]=taker\nDEST_MODULE_LOCATION[0]=/extra\nDEST_MODULE_LOCATION[1]=/extra\n"
                    .to_owned(),
            ),
            ("Kbuild", "obj-m := giver.o taker.o\n".to_owned()),
            (
                "giver.c",
                format!(
                    "{head}{declared}{shared} weak_given({shared} x) {{ return x + 1; }}\n\
                     EXPORT_SYMBOL_GPL(weak_given);\n"
                ),
            ),
            (
                "taker.c",
                format!(
                    "{head}{declared}static int __init taker_init(void) {{ return weak_given(-1); }}\n\
                     static void __exit taker_exit(void) {{}}\n\
                     module_init(taker_init);\nmodule_exit(taker_exit);\n"
                ),
            ),
        ];
        let project = path.join("pair");
        fs_err::create_dir(&project).unwrap();
        files.iter().for_each(|(name, text)| fs_err::write(project.join(name), text).unwrap());
        let args = ["build", "--project", project.as_str(), "--kernel", release.as_str()];
        let (status, output) = run(&tool(&args).env("CARGO_TARGET_DIR", path.join("target")));
        assert_eq!(status, 0, "{output}");
        let out = path.join("target/kmod/pair-1").join(&release).join("out");
        Self { _dir: dir, out, release }
    }

    fn file(&self, module: &str) -> Utf8PathBuf {
        self.out.join(format!("{module}.ko"))
    }
}

/// A system with the kernel that the pair is for and two others, each with a module of its own, and
/// what each exports.
struct Fleet {
    _dir: tempfile::TempDir,
    root: Utf8PathBuf,
    built_for: Release,
}

impl Fleet {
    fn new(suite: &Suite, merged: bool) -> Self {
        let (dir, path) = scratch();
        let path = path.canonicalize_utf8().unwrap();
        let root = path.join("root");
        fs_err::create_dir_all(root.join("usr/lib")).unwrap();
        if merged {
            std::os::unix::fs::symlink("usr/lib", root.join("lib")).unwrap();
        }
        let built_for = pair(suite)[0].release.clone();
        let kdir = Kdir::open(&suite.context().cache, &built_for).unwrap();
        let symvers = fs_err::read_to_string(kdir.build().join("Module.symvers")).unwrap();
        let line = symvers.lines().find(|line| line.contains(&format!("\t{SYMBOL}\t"))).unwrap();
        let changed = symvers.replace(line, &line.replacen(&line[..10], "0x00000001", 1));
        let stock = kdir.stock_module("nls_utf8").unwrap();
        for (kernel, symvers) in [(built_for.as_str(), &symvers), (SAME, &symvers), (CHANGED, &changed)] {
            let modules = root.join("lib/modules").join(kernel);
            fs_err::create_dir_all(modules.join("kernel")).unwrap();
            fs_err::copy(&stock, modules.join("kernel").join(stock.file_name().unwrap())).unwrap();
            for list in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
                fs_err::copy(kdir.modules().join(list), modules.join(list)).unwrap();
            }
            fs_err::write(modules.join("symvers"), symvers).unwrap();
            fs_err::copy(kdir.build().join(".config"), modules.join("config")).unwrap();
        }
        Self { _dir: dir, root, built_for }
    }

    fn modules(&self, kernel: &str) -> Utf8PathBuf {
        self.root.join("lib/modules").join(kernel)
    }

    /// A module's path, as packages give it.
    fn seen(&self, module: &str) -> String {
        format!("/lib/modules/{}/extra/{module}/{module}.ko", self.built_for)
    }

    /// Puts a module where its package would.
    fn put(&self, pair: &Pair, module: &str) {
        let file = self.root.join(self.seen(module).trim_start_matches('/'));
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::copy(pair.file(module), file).unwrap();
    }

    fn take_away(&self, module: &str) {
        fs_err::remove_file(self.root.join(self.seen(module).trim_start_matches('/'))).unwrap();
    }

    fn cmd(&self, args: &[&str], input: &[String]) -> Cmd {
        tool(&["weak-modules", "--root", self.root.as_str()]).args(args).input(input.join("\n"))
    }

    /// Runs it, which must end well.
    #[track_caller]
    fn weak(&self, args: &[&str], input: &[String]) -> String {
        let (status, output) = run(&self.cmd(args, input));
        assert_eq!(status, 0, "{args:?}: {output}");
        output
    }

    #[track_caller]
    fn add(&self, modules: &[&str]) -> String {
        self.weak(&["--add-modules"], &modules.iter().map(|module| self.seen(module)).collect::<Vec<_>>())
    }

    #[track_caller]
    fn remove(&self, modules: &[&str]) -> String {
        self.weak(&["--remove-modules"], &modules.iter().map(|module| self.seen(module)).collect::<Vec<_>>())
    }

    /// All links, relative to `lib/modules`, and what is written in them.
    fn links(&self) -> Vec<(String, String)> {
        let modules = self.root.join("lib/modules").canonicalize_utf8().unwrap();
        let entries = walkdir::WalkDir::new(&modules).sort_by_file_name().into_iter().map(Result::unwrap);
        let links = entries.filter(|entry| entry.path_is_symlink());
        let shown = links.map(|entry| {
            let link = Utf8Path::from_path(entry.path()).unwrap();
            (link.strip_prefix(&modules).unwrap().to_string(), link.read_link_utf8().unwrap().to_string())
        });
        shown.collect()
    }

    /// The links to these modules, in this order, that a kernel should have, and no others.
    fn links_of(&self, kernel: &str, modules: &[&str]) -> Vec<(String, String)> {
        let one = |module: &&str| {
            (
                format!("{kernel}/weak-updates/{module}/{module}.ko"),
                format!("../../../{}/extra/{module}/{module}.ko", self.built_for),
            )
        };
        modules.iter().map(one).collect()
    }

    /// The files that modprobe would load for `module`, what it needs first.
    fn loads(&self, kernel: &str, module: &str) -> Vec<String> {
        loads_at(&self.root, kernel, module)
    }
}

/// The files that modprobe would load for `module` of the system in `root`.
fn loads_at(root: &Utf8Path, kernel: &str, module: &str) -> Vec<String> {
    let cmd = Cmd::new("modprobe").args(["-d", root.as_str(), "-C", "/dev/null", "-S", kernel]);
    let output = cmd.args(["--show-depends", module]).finish(&Report::silent()).unwrap();
    let dir = format!("insmod {root}/lib/modules/{kernel}/");
    output.text().lines().filter_map(|line| Some(line.strip_prefix(&dir)?.trim_end().to_owned())).collect()
}
