// SPDX-License-Identifier: GPL-2.0
//! The artefacts in one directory, and what is proven of them.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use object::Object as _;

use crate::artefacts::compiler::rustc_of;
use crate::artefacts::glob::GLOBS;
use crate::rust::{self, Proof};
use kmodfile::architecture::Architecture;
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::failure::Failure;

/// What no kernel with Rust is without.
pub(crate) const NEEDED: &[&str] = &["rust/libcore.rmeta", "rust/libkernel.rmeta", "rust/libmacros.so"];

/// Removes what making the artefacts in `tree` left beside them: objects that were only linked, and
/// what another flavour cannot begin with of the libraries that macros were made of. No build of a
/// module opens them.
///
/// # Errors
///
/// If one cannot be removed.
pub(crate) fn discard_by_products(tree: &Utf8Path) -> Result<()> {
    let rust = tree.join("rust");
    if !rust.exists() {
        return Ok(());
    }
    for entry in walkdir::WalkDir::new(rust) {
        let entry = entry?;
        let path = Utf8Path::from_path(entry.path()).context("make's own files have names in UTF-8")?;
        let linked = entry.file_type().is_file() && matches!(path.extension(), Some("o" | "rlib"));
        let is_artefact = || GLOBS.iter().any(|glob| glob.matches(path.strip_prefix(tree).unwrap_or(path)));
        if linked && !is_artefact() && !is_of_every_flavour(path) {
            fs_err::remove_file(path)?;
        }
    }
    Ok(())
}

/// Whether a file of `rust/` is a library that macros were made of, and hangs on no configuration:
/// the command that make noted for it does not read the options.
pub(crate) fn is_of_every_flavour(file: &Utf8Path) -> bool {
    file.extension() == Some("rlib")
        && fs_err::read_to_string(note_of(file)).is_ok_and(|note| !note.contains("rustc_cfg"))
}

/// Where make notes the command that made a file (scripts/Kbuild.include).
pub(crate) fn note_of(file: &Utf8Path) -> Utf8PathBuf {
    file.with_file_name(format!(".{}.cmd", file.file_name().unwrap_or_default()))
}

/// The artefacts of one kernel, in a tree that has them where a build tree has.
#[derive(Clone, Debug)]
pub struct Artefacts {
    tree: Utf8PathBuf,
    files: Vec<Utf8PathBuf>,
}

impl Artefacts {
    /// Those in `tree`.
    ///
    /// # Errors
    ///
    /// Missing, if it lacks one that every kernel with Rust has.
    pub fn in_tree(tree: &Utf8Path) -> Result<Self> {
        let files: Vec<_> = GLOBS.iter().flat_map(|glob| glob.files(tree)).collect();
        if let Some(lacking) = NEEDED.iter().find(|name| !files.iter().any(|file| file == *name)) {
            let reason = format!("holds no Rust artefacts: {lacking} is not there");
            return Err(Failure::missing(tree.as_str(), reason)
                .remedy("make them: cargo kmod kernel prepare RELEASE")
                .into());
        }
        Ok(Self { tree: tree.to_owned(), files })
    }

    /// The tree that they are in.
    pub fn tree(&self) -> &Utf8Path {
        &self.tree
    }

    /// The files, below the tree, sorted within each pattern.
    pub fn files(&self) -> &[Utf8PathBuf] {
        &self.files
    }

    /// Reads one of the files.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn read(&self, file: &Utf8Path) -> Result<Vec<u8>> {
        Ok(fs_err::read(self.tree.join(file))?)
    }

    /// Copies all of them to the same places below `tree`.
    ///
    /// # Errors
    ///
    /// If one cannot be copied.
    pub fn copy_to(&self, tree: &Utf8Path) -> Result<()> {
        for file in &self.files {
            let to = tree.join(file);
            fs_err::create_dir_all(to.parent().context("a file is in a directory")?)?;
            fs_err::copy(self.tree.join(file), to)?;
        }
        Ok(())
    }

    /// The proof that modules built against them load into the kernel of this configuration and
    /// these symbols, when they are built on a machine of `host`.
    ///
    /// # Errors
    ///
    /// Refused: another rustc made them, they were made to build on another architecture, or they
    /// lack a symbol that the kernel exports.
    pub fn prove(
        &self,
        release: &Release,
        config: &Config,
        symvers: &str,
        host: Architecture,
    ) -> Result<Proof> {
        let wanted = config.get("CONFIG_RUSTC_VERSION_TEXT").unwrap_or_default();
        for file in &self.files {
            match file.extension() {
                Some("rmeta") => self.require_rustc(file, &self.read(file)?, wanted)?,
                Some("so") => {
                    let bytes = self.read(file)?;
                    self.require_host(file, &bytes, host)?;
                    self.require_rustc(file, &bytes, wanted)?;
                }
                _ => {}
            }
        }
        rust::prove(release, symvers, &self.tree)
    }

    /// rustc says of a crate of another rustc only that it cannot find it.
    fn require_rustc(&self, file: &Utf8Path, bytes: &[u8], wanted: &str) -> Result<(), Failure> {
        let found = rustc_of(bytes).unwrap_or_else(|| "no rustc that is known".to_owned());
        if found == wanted {
            return Ok(());
        }
        let reason = format!("made by {found}, but the kernel, and so its modules, by {wanted}");
        Err(Failure::refused(self.tree.join(file).as_str(), reason)
            .remedy("take the artefacts that were made for this kernel, or make them: cargo kmod kernel prepare RELEASE"))
    }

    /// A procedural macro is a program that rustc loads.
    fn require_host(&self, file: &Utf8Path, bytes: &[u8], host: Architecture) -> Result<(), Failure> {
        let found = object::File::parse(bytes).ok().map(|file| file.architecture());
        let is = |architecture: Architecture| match architecture {
            Architecture::Amd64 => object::Architecture::X86_64,
            Architecture::Arm64 => object::Architecture::Aarch64,
        };
        if found == Some(is(host)) {
            return Ok(());
        }
        let made_for = Architecture::ALL.into_iter().find(|known| found == Some(is(*known)));
        let made_for = made_for.map_or("no architecture that is known", Architecture::debian);
        let reason = format!(
            "a macro that rustc runs on {made_for}, and modules are to be built on {}",
            host.debian()
        );
        Err(Failure::refused(self.tree.join(file).as_str(), reason)
            .remedy("take the artefacts that were made on this architecture, or make them: cargo kmod kernel prepare RELEASE"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_only_made_to_be_linked_goes_and_what_builds_read_stays() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Utf8Path::from_path(dir.path()).unwrap();
        discard_by_products(tree).unwrap();
        let table = [
            ("rust/core.o", false),
            ("rust/libsyn.rlib", true),
            ("rust/libffi.rlib", false),
            ("rust/unnoted.rlib", false),
            ("rust/host/libsyn.rlib", false),
            ("rust/libcore.rmeta", true),
            ("rust/libmacros.so", true),
            ("rust/bindings/bindings_generated.rs", true),
            ("rust/helpers/helpers_module.bc", true),
            ("tools/objtool/objtool-in.o", true),
        ];
        for (name, _) in table {
            fs_err::create_dir_all(tree.join(name).parent().unwrap()).unwrap();
            fs_err::write(tree.join(name), "").unwrap();
        }
        let note = |name: &str, text: &str| fs_err::write(note_of(&tree.join(name)), text).unwrap();
        note("rust/libsyn.rlib", "savedcmd_rust/libsyn.rlib := rustc --crate-type rlib\n");
        note("rust/libffi.rlib", "savedcmd_rust/libffi.rlib := rustc @./include/generated/rustc_cfg\n");
        discard_by_products(tree).unwrap();
        for (name, stays) in table {
            assert_eq!(tree.join(name).exists(), stays, "{name}");
        }
    }
}
