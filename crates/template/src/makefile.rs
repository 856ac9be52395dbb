// SPDX-License-Identifier: GPL-2.0
//! `Makefile`: a project without cargo, which dkms and rpmbuild go through, too.

use camino::Utf8PathBuf;

use crate::fill::fill;
use crate::{ModuleName, Name, Text};

/// What is the same in every `Makefile`, the repository's own included: from one comment that says
/// so to the other.
pub const MAKEFILE_BODY: &str = include_str!("../files/makefile-body");

/// What differs between the Makefiles of two projects.
#[derive(Clone, Debug)]
pub struct Makefile {
    /// The comment at its head.
    pub about: Text,
    /// The project, in messages.
    pub name: Name,
    /// The modules that are built.
    pub modules: Vec<ModuleName>,
    /// What they are.
    pub summary: Text,
    /// The command that messages name, `cargo kmod`.
    pub tool: Text,
    /// The directory below `~/.cache` in which prepared kernels are kept.
    pub cache: Name,
    /// Whether it is in Rust.
    pub rust: bool,
    /// A file that is there once the kernel's source is imported, where that is built.
    pub imported: Option<Utf8PathBuf>,
    /// Where modules are installed, below `/lib/modules/RELEASE`.
    pub install_dir: Name,
}

/// The text of a `Makefile`.
pub fn makefile(makefile: &Makefile) -> String {
    let modules: Vec<String> = makefile.modules.iter().map(|module| format!("{module}.ko")).collect();
    let imported = makefile
        .imported
        .iter()
        .map(|file| format!("imported := {file}\nimport := {} build --import-only\n", makefile.tool));
    fill(
        include_str!("../files/makefile"),
        &[
            ("about", &makefile.about.to_string()),
            ("name", makefile.name.as_str()),
            ("modules", &modules.join(" ")),
            ("summary", &makefile.summary.to_string()),
            ("tool", &makefile.tool.to_string()),
            ("cache", makefile.cache.as_str()),
            ("rust", if makefile.rust { "rust := y\n" } else { "" }),
            ("imported", &imported.collect::<String>()),
            ("install_dir", makefile.install_dir.as_str()),
            ("body", MAKEFILE_BODY),
        ],
    )
}
