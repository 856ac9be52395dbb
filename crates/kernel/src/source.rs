// SPDX-License-Identifier: GPL-2.0
//! The kernel's own source: all of it, or as far as building modules needs it.

use anyhow::Result;
use camino::Utf8Path;

use crate::distribution::SourceTar;
use kmodfile::architecture::Architecture;
use report::Report;
use report::fingerprint::Fingerprint;
use report::process::{self, Cmd};

/// What modules do not need: code that is compiled into the kernel only, other architectures,
/// documentation. Every `Kconfig` and `Makefile` stays, and the headers that modules and `rust/`
/// include. It takes the tree from 1.6 GB to a quarter, and unpacking from 20 s to a third.
/// Patterns of tar(1) below the top of the source, where `*` matches `/`. Directories further down
/// have the same names: `rust/helpers/net` is compiled for modules.
const LEFT_OUT: &[&str] = &[
    "Documentation/*.rst",
    "Documentation/*.svg",
    "Documentation/*.txt",
    "Documentation/*.yaml",
    "drivers/*.[cS]",
    "drivers/accel/*.h",
    "drivers/gpu/drm/*/*.h",
    "drivers/net/*.h",
    "drivers/scsi/*.h",
    "fs/*.c",
    "net/*.c",
    "samples/*.[ch]",
    "sound/*.c",
    "tools/perf",
    "tools/testing",
    "arch/*.dts",
    "arch/*.dtsi",
];

/// Directories of `arch/`; Kconfig reads files of each, and code only of the kernel's own.
const ARCHITECTURES: &[&str] = &[
    "alpha",
    "arc",
    "arm",
    "arm64",
    "csky",
    "hexagon",
    "loongarch",
    "m68k",
    "microblaze",
    "mips",
    "nios2",
    "openrisc",
    "parisc",
    "powerpc",
    "riscv",
    "s390",
    "sh",
    "sparc",
    "x86",
    "xtensa",
];

/// How much of a kernel's source is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// What building modules for this architecture reads.
    ForModules(Architecture),
    /// All of it, for a kernel that is made whole.
    Whole,
}

/// Unpacks a kernel's source to `into`.
pub(crate) fn unpack(source: SourceTar, extent: Extent, into: &Utf8Path, report: &Report) -> Result<()> {
    fs_err::create_dir_all(into)?;
    let mut commands = source.commands;
    commands.push(extract(extent, &source.top, into));
    process::pipeline(&commands, report)
}

/// The tar(1) that unpacks a source whose paths all begin with `top`.
pub(crate) fn extract(extent: Extent, top: &str, into: &Utf8Path) -> Cmd {
    let tar = Cmd::new("tar").args(["--extract", "--strip-components=1", "--directory"]).arg(into);
    tar.arg("--anchored").args(left_out(extent, top))
}

/// What tells one extent from another, and from the same as an earlier version of the tool had it.
pub(crate) fn identity(extent: Extent) -> String {
    Fingerprint::new("source", 1).list("left out", left_out(extent, "")).hex()
}

/// What tar(1) is told to leave out of a source whose paths all begin with `top`.
fn left_out(extent: Extent, top: &str) -> Vec<String> {
    let Extent::ForModules(architecture) = extent else { return Vec::new() };
    let patterns = LEFT_OUT.iter().map(|pattern| format!("--exclude={top}/{pattern}"));
    let others = ARCHITECTURES.iter().filter(|other| **other != architecture.source());
    patterns.chain(others.map(|arch| format!("--exclude={top}/arch/{arch}/*.[chS]"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_the_kernels_own_architecture_stays() {
        for architecture in Architecture::ALL {
            let options = left_out(Extent::ForModules(architecture), "t");
            for known in Architecture::ALL {
                let option = format!("--exclude=t/arch/{}/*.[chS]", known.source());
                assert_eq!(options.contains(&option), known != architecture, "{architecture} {known}");
            }
        }
    }

    /// Names of directories of the kernel's that stand at its top, and elsewhere as well.
    #[test]
    fn what_modules_are_compiled_from_stays_though_its_directory_is_called_like_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap();
        let table = [
            ("rust/helpers/net/genetlink.c", true),
            ("rust/helpers/drivers/x.c", true),
            ("tools/lib/api/fs/fs.c", true),
            ("net/core/sock.c", false),
            ("fs/inode.c", false),
            ("drivers/char/mem.c", false),
            ("drivers/char/Kconfig", true),
            ("arch/s390/kernel/x.c", false),
            ("arch/x86/kernel/x.c", true),
            ("arch/arm/boot/dts/x.dts", false),
            ("include/net/sock.h", true),
        ];
        for (name, _) in table {
            let file = path.join("top").join(name);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, "").unwrap();
        }
        let tar = path.join("source.tar");
        Cmd::new("tar")
            .args(["-C", path.as_str(), "-cf", tar.as_str(), "top"])
            .run(&Report::silent())
            .unwrap();
        let into = path.join("into");
        fs_err::create_dir(&into).unwrap();
        let extract = extract(Extent::ForModules(Architecture::Amd64), "top", &into);
        extract.args(["--file", tar.as_str()]).run(&Report::silent()).unwrap();
        for (name, stays) in table {
            assert_eq!(into.join(name).exists(), stays, "{name}");
        }
    }
}
