// SPDX-License-Identifier: GPL-2.0
//! Makes a whole kernel in a build tree that is configured and prepared: its image, its modules,
//! and with them `Module.symvers`, which holds the CRC of everything that it exports.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::context::Context;
use crate::kdir::{build_of, image_of};
use crate::make::{log_file, make_step, run_expecting};
use crate::root::{Access, Root};
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::Step;
use report::process::Cmd;

/// A kernel to be made whole, and with what.
#[derive(Debug)]
pub(crate) struct WholeKernel<'a> {
    pub(crate) context: &'a Context,
    /// Where its compilers are.
    pub(crate) root: &'a Root,
    pub(crate) release: &'a Release,
    /// The configuration of its build tree; the toolchain follows from it.
    pub(crate) config: &'a Config,
    /// Its whole source, which is only read.
    pub(crate) source: &'a Utf8Path,
    /// Its place in the cache. The build tree in it is configured and prepared.
    pub(crate) place: &'a Utf8Path,
}

impl WholeKernel<'_> {
    /// Makes image and modules, and lays them out below the place as a distribution's packages are;
    /// gives the time that make took.
    pub(crate) fn make(&self) -> Result<Duration> {
        let what = format!("whole kernel {}", self.release);
        let step = self.context.report.step("Making", &what);
        let started = Instant::now();
        let image = self.image_name()?;
        let target = image.file_name().context("make names an image")?;
        self.run(&[target, "modules"], &[], "whole.log", expected(self.config), &step)?;
        self.install(&image)?;
        let took = started.elapsed();
        step.done("Made", &what);
        Ok(took)
    }

    /// The file that a machine boots, below the build tree: `arch/x86/boot/bzImage`.
    fn image_name(&self) -> Result<Utf8PathBuf> {
        let cmd = self.step(&["image_name"]).arg("--silent");
        let said = self.inside(cmd).read(&self.context.report)?;
        let name = said.lines().last().filter(|line| line.starts_with("arch/"));
        Ok(name.with_context(|| format!("make image_name says {said:?}"))?.into())
    }

    /// Modules go where depmod(8) looks for them, stripped of debug information as a distribution's
    /// are, then signed if the configuration asks for that, and indexed: Kbuild's own order.
    fn install(&self, image: &Utf8Path) -> Result<()> {
        let step = self.context.report.step("Installing", &format!("the modules of {}", self.release));
        let into = image_of(self.place);
        let boot = into.join("boot");
        fs_err::create_dir_all(&boot)?;
        let words = [format!("INSTALL_MOD_PATH={into}"), "INSTALL_MOD_STRIP=1".to_owned()];
        self.run(&["modules_install"], &words, "modules_install.log", 0, &step)?;
        fs_err::copy(build_of(self.place).join(image), boot.join(format!("vmlinuz-{}", self.release)))?;
        Ok(())
    }

    fn run(
        &self,
        targets: &[&str],
        words: &[String],
        log: &str,
        expected: u64,
        step: &Step<'_>,
    ) -> Result<()> {
        let log = log_file(&self.context.cache, self.release, log)?;
        let cmd = self.step(targets).args(words);
        run_expecting(expected, cmd, &log, |cmd| self.inside(cmd), step, &self.context.report)
    }

    fn step(&self, targets: &[&str]) -> Cmd {
        let build = build_of(self.place);
        make_step(self.release, self.config, self.source, &build, targets, self.context.jobs)
    }

    fn inside(&self, cmd: Cmd) -> Cmd {
        let access = Access::default().read(self.source).write(self.place);
        self.root.inside(self.context, cmd, &access)
    }
}

/// About how many files make announces for a kernel of this configuration.
fn expected(config: &Config) -> u64 {
    config.enabled() as u64 * OBJECTS_AN_OPTION
}

/// What a minimal kernel with what a virtual machine needs has: measured, and not more than a guess
/// for others.
const OBJECTS_AN_OPTION: u64 = 2;

/// Removes from a build tree what was only made to be linked: modules are built against what is
/// left. A tree of which some is removed is as good.
pub(crate) fn trim(build: &Utf8Path) -> Result<()> {
    let entries = walkdir::WalkDir::new(build).into_iter().filter_entry(|entry| {
        let kept = entry.depth() == 1 && KEPT.iter().any(|name| entry.file_name() == *name);
        !kept
    });
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        if entry.file_type().is_file() && is_only_linked(&name) {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Directories of a build tree in which builds of modules run programs or read what was compiled.
const KEPT: &[&str] = &["include", "rust", "scripts", "tools"];

fn is_only_linked(name: &str) -> bool {
    let link = [".o", ".a", ".ko", ".mod", ".mod.c", ".o.cmd", ".a.cmd", ".ko.cmd", ".mod.cmd"];
    link.iter().any(|end| name.ends_with(end)) || name.starts_with(".tmp_vmlinux")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_only_linked_is_removed_and_what_builds_read_stays() {
        let dir = tempfile::tempdir().unwrap();
        let build = Utf8Path::from_path(dir.path()).unwrap();
        let table = [
            ("kernel/fork.o", false),
            ("kernel/.fork.o.cmd", false),
            ("built-in.a", false),
            ("drivers/x/x.ko", false),
            ("drivers/x/x.mod.c", false),
            (".tmp_vmlinux1.kallsyms.S", false),
            ("vmlinux", true),
            ("Module.symvers", true),
            ("certs/signing_key.pem", true),
            ("scripts/module-common.o", true),
            ("tools/objtool/objtool-in.o", true),
            ("rust/core.o", true),
            ("drivers/scripts/x.o", false),
            ("arch/x86/include/generated/asm/x.h", true),
        ];
        for (name, _) in table {
            fs_err::create_dir_all(build.join(name).parent().unwrap()).unwrap();
            fs_err::write(build.join(name), "").unwrap();
        }
        trim(build).unwrap();
        for (name, stays) in table {
            assert_eq!(build.join(name).exists(), stays, "{name}");
        }
    }
}
