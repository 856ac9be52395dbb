// SPDX-License-Identifier: GPL-2.0
//! Modules that a spec has compressed: the kernel that the package is for must be able to unpack
//! them.

use anyhow::Result;
use camino::Utf8Path;

use crate::rpm::payload::OpenPackage;
use kernel::failures::OrFail as _;
use kmodfile::config::Config;
use kmodfile::file::ModuleFile;
use kmodfile::load::answer::Refusal;
use kmodfile::load::unpacking::KernelUnpacker;
use kmodfile::name;
use report::failure::Failure;

/// Looks at each module in a package for a kernel of this configuration.
///
/// # Errors
///
/// Refused, if a module is packed in a way that the kernel, or kmod, does not take.
pub(super) fn require_unpackable(package: &Utf8Path, config: &Config) -> Result<()> {
    let unpacker = KernelUnpacker::of(config);
    let is_module = |path: &Utf8Path| path.file_name().and_then(name::stem).is_some();
    for (path, bytes) in OpenPackage::read(package)?.files(is_module)? {
        let packing = ModuleFile::of(&path, bytes).or_fail()?.packing;
        let refusals =
            packing.iter().flat_map(|packing| Refusal::of_packing(packing, unpacker.as_ref(), None));
        if let Some(refusal) = refusals.into_iter().next() {
            let object = format!("{path} in {}", package.file_name().unwrap_or_default());
            let failure = Failure::refused(object, format!("the kernel would not load it: {refusal}"));
            let remedy = "in kmod.spec compress it so, or not at all: rpm compresses the package";
            return Err(failure.remedy(remedy).into());
        }
    }
    Ok(())
}
