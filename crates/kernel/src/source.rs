// SPDX-License-Identifier: GPL-2.0
//! The kernel's own source: all of it, or as far as building modules needs it.

use anyhow::Result;
use camino::Utf8Path;

use crate::distribution::SourceTar;
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

/// Directories of `arch/` whose code is not x86's; Kconfig reads files of each.
const OTHER_ARCHITECTURES: &[&str] = &[
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
    "xtensa",
];

/// How much of a kernel's source is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// What building modules reads.
    ForModules,
    /// All of it, for a kernel that is made whole.
    #[allow(dead_code, reason = "what makes kernels from source comes next")]
    Whole,
}

/// Unpacks a kernel's source to `into`.
pub(crate) fn unpack(source: SourceTar, extent: Extent, into: &Utf8Path, report: &Report) -> Result<()> {
    fs_err::create_dir_all(into)?;
    let tar = Cmd::new("tar").args(["--extract", "--strip-components=1", "--directory"]).arg(into);
    let mut commands = source.commands;
    commands.push(tar.args(left_out(extent, &source.top)));
    process::pipeline(&commands, report)
}

/// What tar(1) is told to leave out of a source whose paths all begin with `top`.
fn left_out(extent: Extent, top: &str) -> Vec<String> {
    if extent == Extent::Whole {
        return Vec::new();
    }
    let patterns = LEFT_OUT.iter().map(|pattern| format!("--exclude={pattern}"));
    // What is anchored stays so for the patterns that follow.
    let of = |arch: &&str| ["--anchored".to_owned(), format!("--exclude={top}/arch/{arch}/*.[chS]")];
    patterns.chain(OTHER_ARCHITECTURES.iter().flat_map(of)).collect()
}
