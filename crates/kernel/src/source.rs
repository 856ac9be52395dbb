// SPDX-License-Identifier: GPL-2.0
//! The kernel's own source: all of it, or as far as building modules needs it.

use anyhow::Result;
use camino::Utf8Path;

use crate::distribution::SourceTar;
use kmodfile::architecture::Architecture;
use report::Report;
use report::process::{self, Cmd};

/// What modules do not need: code that is compiled into the kernel only, other architectures,
/// documentation. Every `Kconfig` and `Makefile` stays, and the headers that modules and `rust/`
/// include. It takes the tree from 1.6 GB to a quarter, and unpacking from 20 s to a third.
/// Patterns of tar(1), where `*` matches `/`.
const LEFT_OUT: &[&str] = &[
    "*/Documentation/*.rst",
    "*/Documentation/*.svg",
    "*/Documentation/*.txt",
    "*/Documentation/*.yaml",
    "*/drivers/*.[cS]",
    "*/drivers/accel/*.h",
    "*/drivers/gpu/drm/*/*.h",
    "*/drivers/net/*.h",
    "*/drivers/scsi/*.h",
    "*/fs/*.c",
    "*/net/*.c",
    "*/samples/*.[ch]",
    "*/sound/*.c",
    "*/tools/perf",
    "*/tools/testing",
    "*.dts",
    "*.dtsi",
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
    tar.args(left_out(extent, top))
}

/// What tar(1) is told to leave out of a source whose paths all begin with `top`.
fn left_out(extent: Extent, top: &str) -> Vec<String> {
    let Extent::ForModules(architecture) = extent else { return Vec::new() };
    let patterns = LEFT_OUT.iter().map(|pattern| format!("--exclude={pattern}"));
    // What is anchored stays so for the patterns that follow.
    let of = |arch: &&str| ["--anchored".to_owned(), format!("--exclude={top}/arch/{arch}/*.[chS]")];
    let others = ARCHITECTURES.iter().filter(|other| **other != architecture.source());
    patterns.chain(others.flat_map(of)).collect()
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
}
