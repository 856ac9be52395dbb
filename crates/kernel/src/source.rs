// SPDX-License-Identifier: GPL-2.0
//! The kernel's own source, as far as building modules needs it.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use kmodfile::release::Release;
use report::Report;
use report::process::{self, Cmd};

/// What is left out: code that is compiled into the kernel only, other architectures, documentation.
/// Every `Kconfig` and `Makefile` stays, and the headers that modules and `rust/` include. It takes
/// the tree from 1.6 GB to a quarter, and unpacking from 20 s to a third. Patterns of tar(1), where `*` matches `/`.
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

/// Unpacks the source in the package file `deb` to `into`.
pub fn unpack(deb: &Utf8Path, release: &Release, into: &Utf8Path, report: &Report) -> Result<()> {
    fs_err::create_dir_all(into)?;
    let name = format!("linux-source-{}", release.line());
    let mut tar = Cmd::new("tar").args(["--extract", "--strip-components=1", "--directory"]).arg(into);
    for pattern in LEFT_OUT {
        tar = tar.arg(format!("--exclude={pattern}"));
    }
    for arch in OTHER_ARCHITECTURES {
        tar = tar.arg("--anchored").arg(format!("--exclude={name}/arch/{arch}/*.[chS]"));
    }
    process::pipeline(
        &[
            Cmd::new("dpkg-deb").arg("--fsys-tarfile").arg(deb),
            Cmd::new("tar").args(["--extract", "--to-stdout"]).arg(format!("./usr/src/{name}.tar.xz")),
            Cmd::new("xz").args(["--decompress", "--stdout", "--threads=0"]),
            tar,
        ],
        report,
    )
}

/// Unpacks the files of package files into one tree.
pub fn unpack_packages(debs: &[Utf8PathBuf], into: &Utf8Path, report: &Report) -> Result<()> {
    fs_err::create_dir_all(into)?;
    debs.iter().try_for_each(|deb| {
        Cmd::new("dpkg-deb").arg("--extract").arg(deb).arg(into).run(report)?;
        Ok(())
    })
}
