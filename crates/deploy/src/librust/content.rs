// SPDX-License-Identifier: GPL-2.0
//! What is in a package of artefacts, whatever its format.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use kernel::artefacts::{Artefacts, MANIFEST, Manifest};
use kernel::context::Context;
use kernel::distribution::ArchiveKernel;
use kernel::prepare::Prepared;
use kernel::root::Access;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::durable::digest;
use report::failure::Failure;
use report::process::Cmd;

/// One path in a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A file.
    File(Vec<u8>),
    /// A link to this.
    Link(String),
}

/// Paths below `/`, and what is there.
pub type Items = BTreeMap<Utf8PathBuf, Item>;

/// The artefacts of one prepared kernel, as they are packaged: macros without what only debuggers
/// read, and a description of all.
#[derive(Debug)]
pub struct PackagedArtefacts {
    /// The package's own description of them.
    pub manifest: Manifest,
    /// The files, in a directory of their own.
    artefacts: Artefacts,
    /// The version of the package that has the compiler, in the kernel's build root.
    pub compiler: String,
    _dir: TempDir,
}

impl PackagedArtefacts {
    /// Takes those of `prepared`, which was made from the packages of `kernel`.
    ///
    /// # Errors
    ///
    /// Refused: a kernel without Rust, one of another architecture than this machine's, or
    /// artefacts that fail the proof.
    pub fn of(context: &Context, prepared: &Prepared, kernel: &ArchiveKernel) -> Result<Self> {
        let kdir = &prepared.kdir;
        let host = require_native(kdir.stamp().architecture, &kernel.release)?;
        require_rust(kdir.stamp().rust_symbols, &kernel.release)?;
        let dir = tempfile::tempdir_in(context.cache.path(""))?;
        let tree = Utf8Path::from_path(dir.path()).context("the cache's name is text")?.to_owned();
        Artefacts::in_tree(&kdir.build())?.copy_to(&tree)?;
        let artefacts = Artefacts::in_tree(&tree)?;
        let macros = artefacts.files().iter().filter(|file| file.extension() == Some("so"));
        let strip =
            Cmd::new("strip").args(["--strip-unneeded", "--remove-section=.comment"]).args(macros).cwd(&tree);
        let inside = |cmd| prepared.root.inside(context, cmd, &Access::default().write(&tree));
        inside(strip).run(&context.report)?;
        let symvers = fs_err::read_to_string(kdir.build().join("Module.symvers"))?;
        let config = kdir.config()?;
        artefacts.prove(&kernel.release, &config, &symvers, host)?;
        warn_of_place(context, &artefacts, kdir.place())?;
        let query = ["--show", "--showformat=${Version}", "rustc"];
        let compiler = inside(Cmd::new("dpkg-query").args(query)).read(&context.report)?;
        let manifest = Manifest {
            release: kernel.release.clone(),
            version: kernel.version().to_owned(),
            rustc: config.get("CONFIG_RUSTC_VERSION_TEXT").unwrap_or_default().to_owned(),
            host,
            symvers: digest(symvers.as_bytes()),
            files: Manifest::digests(&artefacts)?,
        };
        Ok(Self { manifest, artefacts, compiler, _dir: dir })
    }

    /// The files, where packages of every format have them.
    ///
    /// # Errors
    ///
    /// If one cannot be read.
    pub fn items(&self) -> Result<Items> {
        let place = Manifest::place_of(&self.manifest.release);
        let files = self.artefacts.files().iter();
        let files = files.map(|file| Ok((place.join(file), Item::File(self.artefacts.read(file)?))));
        let mut items = files.collect::<Result<Items>>()?;
        items.insert(place.join(MANIFEST), Item::File(self.manifest.text().into_bytes()));
        Ok(items)
    }

    /// Whether rustc is told what it compiles for by a file of these.
    pub fn has_target(&self) -> bool {
        self.artefacts.files().iter().any(|file| file == "scripts/target.json")
    }
}

fn require_rust(symbols: usize, release: &Release) -> Result<(), Failure> {
    if symbols > 0 {
        return Ok(());
    }
    let reason = "is a kernel without Rust (CONFIG_RUST is not set), so there are no artefacts to package";
    Err(Failure::refused(release.as_str(), reason).remedy("choose one that has Rust: cargo kmod kernel list"))
}

/// Macros run where modules are built, beside the programs of the headers package.
fn require_native(kernel: Architecture, release: &Release) -> Result<Architecture, Failure> {
    if Architecture::native() == Some(kernel) {
        return Ok(kernel);
    }
    let reason = format!(
        "its artefacts were cross-built here, with macros that run on {} alone, and the programs of its headers run on {}",
        std::env::consts::ARCH,
        kernel.debian()
    );
    let remedy = format!("package it on a machine of {}", kernel.debian());
    Err(Failure::refused(release.as_str(), reason).remedy(remedy))
}

/// Artefacts that know where they were made are as good, but not the same everywhere.
fn warn_of_place(context: &Context, artefacts: &Artefacts, place: &Utf8Path) -> Result<()> {
    for file in artefacts.files() {
        if knows(&artefacts.read(file)?, place.as_str()) {
            context.report.warn(&format!(
                "{file} knows the directory that it was made in ({place}), so that the package is the same only when it is made there"
            ));
            return Ok(());
        }
    }
    Ok(())
}

/// Whether `text` is somewhere in `bytes`.
fn knows(bytes: &[u8], text: &str) -> bool {
    let Some((first, rest)) = text.as_bytes().split_first() else { return true };
    let mut left = bytes;
    while let Some(at) = left.iter().position(|byte| byte == first) {
        left = &left[at + 1..];
        if left.starts_with(rest) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::failure::Exit;

    #[test]
    fn text_is_found_wherever_it_is() {
        for (bytes, found) in
            [("aab", true), ("xab", true), ("ab", true), ("a", false), ("ba", false), ("", false)]
        {
            assert_eq!(knows(bytes.as_bytes(), "ab"), found, "{bytes}");
        }
    }

    #[test]
    fn what_cannot_be_packaged_is_refused_with_the_reason() {
        let release: Release = "7.2.1-x".parse().unwrap();
        let other = Architecture::ALL.into_iter().find(|one| Some(*one) != Architecture::native()).unwrap();
        let failure = require_native(other, &release).unwrap_err();
        assert!(failure.exit == Exit::Refused && failure.reason.contains("cross-built"), "{failure}");
        let failure = require_rust(0, &release).unwrap_err();
        assert!(failure.exit == Exit::Refused && failure.reason.contains("without Rust"), "{failure}");
        require_rust(1, &release).unwrap();
    }
}
