// SPDX-License-Identifier: GPL-2.0
//! The kernel's own source, as far as building modules needs it.

use anyhow::Result;
use camino::Utf8Path;

use crate::distribution::SourceTar;
use report::Report;
use report::process::{self, Cmd};

/// What is left out: code that is compiled into the kernel only, other architectures,
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

/// Unpacks a kernel's source to `into`.
pub(crate) fn unpack(source: SourceTar, into: &Utf8Path, report: &Report) -> Result<()> {
    fs_err::create_dir_all(into)?;
    let mut tar = Cmd::new("tar").args(["--extract", "--strip-components=1", "--directory"]).arg(into);
    for pattern in LEFT_OUT {
        tar = tar.arg(format!("--exclude={pattern}"));
    }
    for arch in OTHER_ARCHITECTURES {
        tar = tar.arg("--anchored").arg(format!("--exclude={}/arch/{arch}/*.[chS]", source.top));
    }
    let mut commands = source.commands;
    commands.push(tar);
    process::pipeline(&commands, report)
}
