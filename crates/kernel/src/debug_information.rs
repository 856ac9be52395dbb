// SPDX-License-Identifier: GPL-2.0
//! The debug information of a kernel itself: where it may be, whether it is of that very kernel,
//! and how it is fetched.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use object::{Object as _, ReadCache};

use crate::context::Context;
use crate::discover;
use crate::kdir::Kdir;
use crate::machine::facts;
use crate::origin::Origin;
use crate::prepare::{Prepared, inputs_of};
use report::cache::remove_plain;
use report::durable;
use report::failure::Failure;
use report::size;

/// The kernel with its debug information, below the place of a prepared kernel.
const FETCHED: &str = "vmlinux.debug";

/// How many times as large as its package what is unpacked may be, the package included.
const UNPACKED: u64 = 4;

/// The kernel with its debug information, where it is on this machine and of the same build as
/// `image`, the kernel that is booted. That it is cannot be told of an image that is no ELF file.
pub fn find(kdir: &Kdir, image: &Utf8Path) -> Option<Utf8PathBuf> {
    let build = facts_of(image).and_then(|facts| facts.build);
    let of_image = |file: &Utf8PathBuf| {
        let facts = facts_of(file).filter(|facts| facts.debug);
        facts.is_some_and(|facts| build.is_none() || facts.build == build)
    };
    places(kdir).into_iter().find(of_image)
}

/// Where it may be: fetched, beside what modules are built against, and where distributions install
/// it.
fn places(kdir: &Kdir) -> Vec<Utf8PathBuf> {
    let release = kdir.release();
    let installed = [
        format!("/usr/lib/debug/boot/vmlinux-{release}"),
        format!("/usr/lib/debug/lib/modules/{release}/vmlinux"),
        format!("/usr/lib/debug/boot/vmlinux-{release}.debug"),
    ];
    let own = [fetched(kdir), kdir.build().join("vmlinux")];
    own.into_iter().chain(installed.map(Utf8PathBuf::from)).collect()
}

fn fetched(kdir: &Kdir) -> Utf8PathBuf {
    kdir.place().join(FETCHED)
}

/// What is looked at of a kernel that is an ELF file.
struct ElfFacts {
    /// Names the build: a hash.
    build: Option<Vec<u8>>,
    /// Whether it has debug information.
    debug: bool,
}

/// Only headers and notes are read: such a file has hundreds of megabytes.
fn facts_of(file: &Utf8Path) -> Option<ElfFacts> {
    let cache = ReadCache::new(std::fs::File::open(file).ok()?);
    let elf = object::File::parse(&cache).ok()?;
    let build = elf.build_id().ok()?.map(<[u8]>::to_vec);
    Some(ElfFacts { build, debug: elf.section_by_name(".debug_info").is_some() })
}

/// Fetches the debug information of a prepared kernel, unless it is there already.
///
/// # Errors
///
/// Refused, if the kernel has none, or if the archive's is of another build of it.
pub fn provide(context: &Context, prepared: &Prepared) -> Result<()> {
    let (kdir, release) = (&prepared.kdir, prepared.kdir.release());
    let _lock = context.cache.lock(&format!("debug information of {release}"), &context.report)?;
    // Before its first boot the image is not unpacked yet, and what is there is believed.
    if find(kdir, &kdir.place().join("vmlinux")).is_some() {
        return Ok(());
    }
    require_fetchable(kdir)?;
    context.require_wet_run("fetch debug information")?;
    fetch(context, prepared)?;
    kdir.count_again()
}

/// Refuses a kernel that no archive has the debug information of.
fn require_fetchable(kdir: &Kdir) -> Result<(), Failure> {
    let release = kdir.release();
    let (reason, remedy) = match &kdir.stamp().origin {
        Origin::Archive { .. } => return Ok(()),
        Origin::Sanitizing { of } => (
            "a sanitizing kernel is built without debug information".to_owned(),
            format!("cargo kmod insmod --kernel {of} --kernel-debug"),
        ),
        Origin::Source { source, .. } => (
            "it was made from source, without debug information".to_owned(),
            format!(
                "cargo kmod kernel prepare --source {source} --full, with the options that it was prepared with, and \
                 CONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT=y in its configuration"
            ),
        ),
        Origin::Installed(_) => (
            format!("it is this system's own, and there is no /usr/lib/debug/boot/vmlinux-{release}"),
            format!("install the debug package of {release}"),
        ),
    };
    Err(Failure::refused(format!("debug information of {release}"), reason).remedy(remedy))
}

/// Beside its place first, so that a file there is whole.
fn fetch(context: &Context, prepared: &Prepared) -> Result<()> {
    let (kdir, release) = (&prepared.kdir, prepared.kdir.release());
    let (archive, kernel) = discover::named(context, release)?;
    if inputs_of(&context.cache, &*archive, &kernel, &prepared.root)? != kdir.stamp().inputs {
        let reason =
            format!("the archive has version {}, and the kernel was prepared from another", kernel.version());
        return Err(Failure::refused(format!("debug information of {release}"), reason)
            .remedy(format!("cargo kmod kernel remove {release} && cargo kmod kernel prepare {release}"))
            .into());
    }
    let package = archive.debug_package(&kernel)?;
    facts::require_space(&context.cache, package.size * UNPACKED, "a kernel's debug information needs")?;
    archive.provide(&[package], &context.report)?;
    let step = context.report.step("Unpacking", &format!("the debug information of {release}"));
    let place = fetched(kdir);
    let partial = context.cache.partial(&place, &context.report, remove_plain)?;
    let file = archive.unpack_debug(package, release, &partial, &context.report)?;
    let bytes = fs_err::metadata(&file)?.len();
    durable::publish(&file, &place)?;
    fs_err::remove_dir_all(&partial)?;
    step.done("Unpacked", &format!("the debug information of {release} ({})", size(bytes)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kdir::tests::laid_out;
    use report::cache::Cache;

    #[test]
    fn a_file_that_is_no_elf_file_or_has_no_debug_information_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let cache = &Cache::at(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        let kdir = laid_out(cache, "7.2.11-a");
        let image = kdir.place().join("vmlinux");
        fs_err::write(fetched(&kdir), "text").unwrap();
        assert_eq!(find(&kdir, &image), None);
        // This very program has both.
        let own = Utf8PathBuf::from_path_buf(std::env::current_exe().unwrap()).unwrap();
        fs_err::remove_file(fetched(&kdir)).unwrap();
        fs_err::os::unix::fs::symlink(&own, fetched(&kdir)).unwrap();
        assert_eq!(find(&kdir, &own), Some(fetched(&kdir)));
        // Of a kernel that cannot say which build it is, the name has to do.
        assert_eq!(find(&kdir, &image), Some(fetched(&kdir)));
    }

    #[test]
    fn only_a_kernel_of_an_archive_has_debug_information_to_fetch() {
        let dir = tempfile::tempdir().unwrap();
        let cache = &Cache::at(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        let kdir = laid_out(cache, "7.2.11-a");
        require_fetchable(&kdir).unwrap();
    }
}
