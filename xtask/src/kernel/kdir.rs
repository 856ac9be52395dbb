// SPDX-License-Identifier: GPL-2.0
//! A prepared kernel: the tree modules are built against, and the kernel's own image and modules.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::release::Release;
use crate::context::Context;
use crate::failure::Failure;
use crate::root::recipe::Recipe;

/// A kernel in the cache that is whole and proven.
#[derive(Clone, Debug)]
pub struct Kdir {
    place: Utf8PathBuf,
    stamp: Stamp,
}

/// What a prepared kernel was made of. Written last: without it a kernel is half-made and never used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    /// Its release.
    pub release: Release,
    /// Hash of all inputs: packages, build root, recipe.
    pub inputs: String,
    /// What its build root holds.
    pub recipe: Recipe,
    /// Suite of its packages.
    pub suite: String,
    /// Where it was made: the tree knows its own path.
    pub place: Utf8PathBuf,
    /// Exported Rust symbols that were proven equal; 0 for a kernel without Rust.
    pub rust_symbols: usize,
    /// Seconds that making it took, and how many of them make itself.
    pub seconds: f64,
    /// Seconds in the bare `make` steps.
    pub make_seconds: f64,
}

impl Kdir {
    /// Where a kernel of this release is or will be.
    pub fn place_of(context: &Context, release: &Release) -> Utf8PathBuf {
        context.cache.path("kernels").join(release)
    }

    /// The kernel of this release, if it is prepared.
    pub fn open(context: &Context, release: &Release) -> Option<Self> {
        let place = Self::place_of(context, release);
        let stamp: Stamp = serde_json::from_slice(&fs_err::read(place.join("stamp.json")).ok()?).ok()?;
        (stamp.place == place && stamp.release == *release).then_some(Self { place, stamp })
    }

    /// All prepared kernels.
    pub fn all(context: &Context) -> Vec<Self> {
        let dir = context.cache.path("kernels");
        let entries = dir.read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
        entries.filter_map(|entry| Self::open(context, &entry.file_name().parse().ok()?)).collect()
    }

    /// Its directory.
    pub fn place(&self) -> &Utf8Path {
        &self.place
    }

    /// What it was made of.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Its release.
    pub fn release(&self) -> &Release {
        &self.stamp.release
    }

    /// The directory `make -C` takes: `KDIR`.
    pub fn build(&self) -> Utf8PathBuf {
        build_of(&self.place)
    }

    /// The source it was made of.
    pub fn source(&self) -> Utf8PathBuf {
        source_of(&self.place)
    }

    /// Its configuration.
    pub fn config(&self) -> Result<Config> {
        Ok(Config::parse(&fs_err::read_to_string(self.build().join(".config"))?))
    }

    /// Its unpacked packages: `/boot`, `/usr/lib/modules`.
    pub fn image(&self) -> Utf8PathBuf {
        image_of(&self.place)
    }

    /// Its own modules: what `/lib/modules/RELEASE` is on a machine that runs it.
    pub fn modules(&self) -> Utf8PathBuf {
        modules_of(&self.place, self.release())
    }

    /// Its bootable image.
    pub fn vmlinuz(&self) -> Result<Utf8PathBuf> {
        let candidates = [
            self.modules().join("vmlinuz"),
            image_of(&self.place).join(format!("boot/vmlinuz-{}", self.release())),
        ];
        candidates.into_iter().find(|file| file.exists()).ok_or_else(|| {
            Failure::missing(self.release().as_str(), "its packages hold no vmlinuz")
                .remedy(format!(
                    "cargo xtask kernel remove {0} && cargo xtask kernel prepare {0}",
                    self.release()
                ))
                .into()
        })
    }

    /// The kernel's own module of this name, compressed as the distribution ships it.
    pub fn stock_module(&self, name: &str) -> Result<Utf8PathBuf> {
        let wanted = |file: &str| {
            let stem = file.split_once(".ko").map(|(stem, _)| stem);
            stem.is_some_and(|stem| stem.replace('-', "_") == name.replace('-', "_"))
        };
        let files = walkdir::WalkDir::new(self.modules().join("kernel")).into_iter().filter_map(Result::ok);
        files
            .filter(|entry| entry.file_type().is_file() && entry.file_name().to_str().is_some_and(wanted))
            .find_map(|entry| Utf8PathBuf::from_path_buf(entry.into_path()).ok())
            .ok_or_else(|| {
                Failure::missing(
                    format!("{name}.ko"),
                    format!("kernel {} has no such module", self.release()),
                )
                .into()
            })
    }
}

/// The build tree of a kernel at `place`.
pub(super) fn build_of(place: &Utf8Path) -> Utf8PathBuf {
    place.join("build")
}

/// The source of a kernel at `place`.
pub(super) fn source_of(place: &Utf8Path) -> Utf8PathBuf {
    place.join("source")
}

/// The unpacked image and modules packages of a kernel at `place`.
pub(super) fn image_of(place: &Utf8Path) -> Utf8PathBuf {
    place.join("image")
}

fn modules_of(place: &Utf8Path, release: &Release) -> Utf8PathBuf {
    let merged = image_of(place).join("usr/lib/modules").join(release);
    if merged.exists() { merged } else { image_of(place).join("lib/modules").join(release) }
}
