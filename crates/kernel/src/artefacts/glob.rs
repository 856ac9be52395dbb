// SPDX-License-Identifier: GPL-2.0
//! Which files of a build tree are artefacts: patterns, since every line of kernels has more crates
//! than the one before.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};

/// Files of one directory whose names begin and end alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArtefactGlob {
    /// The directory, below the build tree.
    dir: &'static str,
    begin: &'static str,
    end: &'static str,
}

/// What Kbuild opens when it builds a module in Rust, beyond what a distribution's headers hold;
/// and what the proof reads. A test traces a build and finds whatever is missing here.
pub const GLOBS: &[ArtefactGlob] = &[
    // The crates, for `--extern` and `-L`.
    ArtefactGlob { dir: "rust", begin: "lib", end: ".rmeta" },
    // Procedural macros, which rustc loads: programs of the machine that compiles.
    ArtefactGlob { dir: "rust", begin: "lib", end: ".so" },
    // The names of all exported Rust symbols, for the proof.
    ArtefactGlob { dir: "rust", begin: "exports_", end: "_generated.h" },
    // What rustc compiles for, on x86.
    ArtefactGlob { dir: "scripts", begin: "target", end: ".json" },
    // The C helpers to inline, with CONFIG_RUST_INLINE_HELPERS.
    ArtefactGlob { dir: "rust/helpers", begin: "helpers_module", end: ".bc" },
];

impl ArtefactGlob {
    /// Whether `path`, below a build tree, is such a file.
    pub fn matches(&self, path: &Utf8Path) -> bool {
        let name = path.file_name().unwrap_or_default();
        let rest = name.strip_prefix(self.begin).and_then(|rest| rest.strip_suffix(self.end));
        path.parent() == Some(Utf8Path::new(self.dir)) && rest.is_some()
    }

    /// The files in `tree` that are such, sorted, below it.
    pub(super) fn files(&self, tree: &Utf8Path) -> Vec<Utf8PathBuf> {
        let entries = tree.join(self.dir).read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
        let names = entries.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name().to_owned());
        let mut files: Vec<_> = names.map(|name| Utf8Path::new(self.dir).join(name)).collect();
        files.retain(|file| self.matches(file));
        files.sort();
        files
    }
}

impl fmt::Display for ArtefactGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}*{}", self.dir, self.begin, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_builds_read_is_taken_and_nothing_beside_it() {
        for (path, taken) in [
            ("rust/libcore.rmeta", true),
            ("rust/libmacros.so", true),
            ("rust/exports_kernel_generated.h", true),
            ("scripts/target.json", true),
            ("rust/helpers/helpers_module.bc", true),
            ("rust/libsyn.rlib", false),
            ("rust/kernel.o", false),
            ("rust/.libmacros.so.cmd", false),
            ("rust/bindings/bindings_generated.rs", false),
            ("rust/sub/libcore.rmeta", false),
            ("libcore.rmeta", false),
            ("scripts/mod/modpost", false),
        ] {
            assert_eq!(GLOBS.iter().any(|glob| glob.matches(path.into())), taken, "{path}");
        }
    }
}
