// SPDX-License-Identifier: GPL-2.0
//! Packages of artefacts, made in either format.

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::Serialize;

use crate::librust::deb;
use crate::librust::order::ArtefactOrder;
use crate::librust::rpm;
use kernel::artefacts::Manifest;
use kernel::context::Context;
use kmodfile::release::Release;
use report::durable::digest;

/// The format of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageFormat {
    /// Debian's (deb(5)).
    Deb,
    /// rpm's.
    Rpm,
}

/// A package that was made.
#[derive(Clone, Debug, Serialize)]
pub struct MadeArtefactPackage {
    /// The kernel that it is for.
    pub release: Release,
    /// Its format.
    pub format: PackageFormat,
    /// The file.
    pub file: Utf8PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its hash, in hexadecimal.
    pub sha256: String,
}

impl MadeArtefactPackage {
    /// Makes the package that `order` asks for, in this format.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn make(context: &Context, order: &ArtefactOrder<'_>, format: PackageFormat) -> Result<Self> {
        fs_err::create_dir_all(order.output)?;
        let release = &order.packaged.manifest.release;
        let name = Manifest::package_of(release);
        let what = match format {
            PackageFormat::Deb => format!("{name} as .deb"),
            PackageFormat::Rpm => format!("{name} as .rpm"),
        };
        let step = context.report.step("Packaging", &what);
        let file = match format {
            PackageFormat::Deb => deb::make(context, order)?,
            PackageFormat::Rpm => rpm::make(order)?,
        };
        let bytes = fs_err::read(&file)?;
        step.done("Packaged", &what);
        let (size, sha256) = (bytes.len() as u64, digest(&bytes));
        Ok(Self { release: release.clone(), format, file, size, sha256 })
    }
}
