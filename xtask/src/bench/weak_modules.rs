// SPDX-License-Identifier: GPL-2.0
//! `weak-modules` over many kernels, beside Red Hat's script of that name, whose file is given.

use anyhow::{Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::bench::Results;
use crate::bench::judgement::LimitCheck;
use crate::bench::scratch::Scratch;
use crate::bench::timing::{Subject, once};
use kernel::context::Context;
use kernel::kdir::Kdir;
use report::process::Cmd;

/// What part of the script's time it may take.
const RATIO: f64 = 0.2;

/// Kernels besides that which the modules are built for.
const KERNELS: usize = 300;

/// A symbol that every module needs, and whose CRC is another in every second kernel.
const SYMBOL: &str = "\tmodule_layout\t";

/// Times `--add-modules` of two modules, one of which needs the other. The script takes minutes:
/// once has to do.
pub fn measure(context: &Context, script: Option<&Utf8Path>) -> Result<Results> {
    let what = format!("weak-modules --add-modules, {KERNELS} kernels");
    let skipped = |why: &str| {
        let judgements = vec![LimitCheck::skipped(&what, RATIO, why.to_owned())];
        Ok(Results { timings: Vec::new(), judgements })
    };
    let Some(script) = script else {
        return skipped("needs the script, which kmod has on RHEL and its likes: --weak-modules FILE");
    };
    let versioned = |kdir: &Kdir| kdir.config().is_ok_and(|config| config.is_yes("CONFIG_MODVERSIONS"));
    let Some(kdir) = Kdir::all(&context.cache, &context.report).into_iter().find(versioned) else {
        return skipped("needs a prepared kernel with CONFIG_MODVERSIONS");
    };
    let scratch = Scratch::new(context, "weak-modules")?;
    let modules = build(context, scratch.path(), &kdir)?;
    let [ours, theirs] =
        ["tool", "script"].map(|name| Fleet::new(context, &scratch.path().join(name), &kdir, &modules));
    let (ours, theirs) = (ours?, theirs?);
    let tool = Cmd::new(&context.program).args(["weak-modules", "--add-modules", "--root"]).arg(&ours.root);
    let by_script = Cmd::new("bash").arg(script).args(["--add-modules", "--no-initramfs"]);
    let by_script = by_script.args(["--dracut", "/bin/true", "--basedir"]).arg(&theirs.root);
    let subjects = vec![
        Subject::new(&what, || ours.run(context, &tool)).before(|| ours.reset()),
        Subject::new("the script", || theirs.run(context, &by_script)).before(|| theirs.reset()),
    ];
    let timings = subjects.into_iter().map(|subject| once(&context.report, subject));
    let timings = timings.collect::<Result<Vec<_>>>()?;
    ensure!(ours.links()? == theirs.links()?, "the script has made other links");
    let judgements = vec![LimitCheck::ratio(&timings[0], &timings[1], RATIO)];
    Ok(Results { timings, judgements })
}

/// Builds the modules, and gives their files.
fn build(context: &Context, dir: &Utf8Path, kdir: &Kdir) -> Result<Vec<Utf8PathBuf>> {
    let head = "// SPDX-License-Identifier: GPL-2.0\n#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n\
                int weak_given(int x);\n";
    let giver = format!("{head}int weak_given(int x) {{ return x + 1; }}\nEXPORT_SYMBOL_GPL(weak_given);\n");
    let taker = format!("{head}int weak_taken(void);\nint weak_taken(void) {{ return weak_given(-1); }}\n");
    let conf = "PACKAGE_NAME=pair\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME=(giver taker)\n";
    let project = dir.join("pair");
    fs_err::create_dir(&project)?;
    for (name, text) in [
        ("dkms.conf", conf),
        ("Kbuild", "obj-m := giver.o taker.o\n"),
        ("giver.c", giver.as_str()),
        ("taker.c", taker.as_str()),
    ] {
        fs_err::write(project.join(name), text)?;
    }
    let target = dir.join("target");
    let words = ["build", "--kernel", kdir.release().as_str(), "--project", project.as_str()];
    let cmd = Cmd::new(&context.program).args(words).args(["--target-dir", target.as_str()]);
    cmd.run(&context.report)?;
    let out = target.join("kmod/pair-1").join(kdir.release()).join("out");
    Ok(["giver", "taker"].map(|name| out.join(format!("{name}.ko"))).to_vec())
}

/// A system with the kernel that the modules are built for, and many others of one module each.
struct Fleet {
    root: Utf8PathBuf,
    /// What is linked, as a package names it.
    named: Vec<Utf8PathBuf>,
}

impl Fleet {
    fn new(context: &Context, root: &Utf8Path, kdir: &Kdir, modules: &[Utf8PathBuf]) -> Result<Self> {
        fs_err::create_dir_all(root)?;
        let symvers = fs_err::read_to_string(kdir.build().join("Module.symvers"))?;
        let line = symvers.lines().find(|line| line.contains(SYMBOL)).unwrap_or_default();
        let changed =
            symvers.replacen(line, &line.replacen(line.get(..10).unwrap_or(" "), "0x00000001", 1), 1);
        let symvers =
            [("same", symvers), ("changed", changed)].map(|(name, text)| packed(context, root, name, &text));
        let [same, changed] = symvers;
        let (same, changed) = (same?, changed?);
        add(root, kdir, kdir.release().as_str(), &same)?;
        for number in 0..KERNELS {
            let symvers = if number % 2 == 0 { &same } else { &changed };
            add(root, kdir, &format!("6.12.{}", 300 + number), symvers)?;
        }
        let extra = root.join("lib/modules").join(kdir.release()).join("extra/pair");
        fs_err::create_dir_all(&extra)?;
        let mut named = Vec::new();
        for module in modules {
            let place = extra.join(module.file_name().unwrap_or_default());
            fs_err::copy(module, &place)?;
            named.push(place);
        }
        Ok(Self { root: root.to_owned(), named })
    }

    fn run(&self, context: &Context, cmd: &Cmd) -> Result<()> {
        let named: Vec<&str> = self.named.iter().map(|path| path.as_str()).collect();
        cmd.clone().input(named.join("\n") + "\n").run(&context.report).map(drop)
    }

    fn kernels(&self) -> Result<Vec<Utf8PathBuf>> {
        let entries = self.root.join("lib/modules").read_dir_utf8()?;
        Ok(entries.map(|entry| entry.map(camino::Utf8DirEntry::into_path)).collect::<Result<_, _>>()?)
    }

    /// Without a link, as when the modules have just been installed.
    fn reset(&self) -> Result<()> {
        for kernel in self.kernels()? {
            let links = kernel.join("weak-updates");
            if links.exists() {
                fs_err::remove_dir_all(links)?;
            }
        }
        Ok(())
    }

    /// The kernels that each module is linked in, and as which file of this system.
    fn links(&self) -> Result<Vec<(Utf8PathBuf, Utf8PathBuf)>> {
        let mut links = Vec::new();
        for kernel in self.kernels()? {
            for module in &self.named {
                let link = kernel.join("weak-updates/pair").join(module.file_name().unwrap_or_default());
                if link.is_symlink() {
                    let leads = link.canonicalize_utf8()?;
                    let root = self.root.canonicalize_utf8()?;
                    links.push((
                        link.strip_prefix(&self.root)?.to_owned(),
                        leads.strip_prefix(root)?.to_owned(),
                    ));
                }
            }
        }
        links.sort();
        Ok(links)
    }
}

/// What a kernel exports, as RHEL has it: compressed.
fn packed(context: &Context, root: &Utf8Path, name: &str, text: &str) -> Result<Utf8PathBuf> {
    let file = root.join(name);
    fs_err::write(&file, text)?;
    Cmd::new("gzip").arg(&file).run(&context.report)?;
    Ok(root.join(format!("{name}.gz")))
}

/// Adds a kernel. All have the same files, by hard links.
fn add(root: &Utf8Path, kdir: &Kdir, release: &str, symvers: &Utf8Path) -> Result<()> {
    let dir = root.join("lib/modules").join(release);
    fs_err::create_dir_all(dir.join("kernel"))?;
    let stock = kdir.stock_module("nls_utf8")?;
    let once = |from: &Utf8Path, name: &str| -> Result<Utf8PathBuf> {
        let place = root.join(name);
        if !place.exists() {
            fs_err::copy(from, &place)?;
        }
        Ok(place)
    };
    let name = stock.file_name().unwrap_or_default();
    fs_err::hard_link(once(&stock, name)?, dir.join("kernel").join(name))?;
    for list in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        fs_err::hard_link(once(&kdir.modules().join(list), list)?, dir.join(list))?;
    }
    fs_err::hard_link(once(&kdir.build().join(".config"), "config")?, dir.join("config"))?;
    fs_err::hard_link(symvers, dir.join("symvers.gz"))?;
    Ok(fs_err::write(dir.join("System.map"), "")?)
}
