// SPDX-License-Identifier: GPL-2.0
//! The source of a kernel in the packages of this family: SUSE's `kernel-source` holds it patched,
//! a source package holds a tar file and patches.
//!
//! Which patches, and in which order, the spec says: `PatchN: NAME`. Fedora's and RHEL's have one
//! that is often empty, `patch-*-redhat.patch`, and one for trials. Nothing of the spec is run; a
//! macro in a name stands for any text, and the name must then be that of a file in the package.

use std::fs::File;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::distribution::archive::SourceTar;
use crate::distribution::rpm_family::contents::{rpm2cpio, unpack};
use kmodfile::release::Release;
use report::Report;
use report::durable;
use report::failure::Failure;
use report::process::{self, Cmd};

/// What is read of a source package.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SpecSource {
    /// The tar file, and the directory that everything in it is below.
    tarball: String,
    /// The patches, in the order in which they are applied.
    patches: Vec<String>,
}

/// The source of a kernel, in `kernel-source` or in a source package. A source that has patches is
/// patched once, and kept beside the package.
pub(super) fn source_tar(rpm: &Utf8Path, release: &Release, report: &Report) -> Result<SourceTar> {
    if !rpm.as_str().ends_with(".src.rpm") {
        return of_suse(rpm, release, report);
    }
    let dir = tempfile::tempdir_in(rpm.parent().context("a file is in a directory")?)?;
    let path = Utf8Path::from_path(dir.path()).context("the directory's name is text")?;
    unpack(&[rpm.to_owned()], &["*.spec", "*.patch"], path, report)?;
    let names = names_in(rpm, report)?;
    let spec = spec_in(path).with_context(|| format!("{rpm} holds no spec"))?;
    let read = read_spec(&fs_err::read_to_string(spec)?, &names);
    let Some(source) = read else {
        let reason =
            format!("its source package {} has no tar file of a kernel", rpm.file_name().unwrap_or_default());
        return Err(Failure::refused(release.as_str(), reason).into());
    };
    let written = |name: &&String| path.join(name).metadata().is_ok_and(|meta| meta.len() > 0);
    let patches: Vec<Utf8PathBuf> =
        source.patches.iter().filter(written).map(|name| path.join(name)).collect();
    if patches.is_empty() {
        let file = Arc::new(File::open(rpm).with_context(|| format!("opening {rpm}"))?);
        let commands = tarball(Arc::clone(&file), &source.tarball);
        return Ok(SourceTar { commands, top: top(&source.tarball).to_owned(), file });
    }
    let patched = Utf8PathBuf::from(format!("{rpm}.patched.tar"));
    if !patched.exists() {
        let step = report.step("Patching", &format!("source {}: {}", top(&source.tarball), patches.len()));
        make_patched(rpm, &source.tarball, &patches, path, &patched, report)?;
        step.done("Patched", top(&source.tarball));
    }
    tar_of(&patched)
}

/// The directory in a tar file that was made here.
const TOP: &str = "linux";

/// Unpacks, patches, and packs again. Fuzz is what rpmbuild(8) allows for kernels: one line.
fn make_patched(
    rpm: &Utf8Path,
    name: &str,
    patches: &[Utf8PathBuf],
    scratch: &Utf8Path,
    into: &Utf8Path,
    report: &Report,
) -> Result<()> {
    let tree = scratch.join(TOP);
    fs_err::create_dir(&tree)?;
    let mut commands = tarball(Arc::new(File::open(rpm)?), name);
    commands.push(Cmd::new("tar").args(["--extract", "--strip-components=1", "--directory"]).arg(&tree));
    process::pipeline(&commands, report)?;
    for patch in patches {
        let cmd =
            Cmd::new("patch").args(["-p1", "--fuzz=1", "--silent", "--force", "--no-backup-if-mismatch"]);
        cmd.arg(format!("--input={patch}")).cwd(&tree).run(report)?;
    }
    pack(scratch, into, report)
}

/// The commands that write the tar file `name` of the source package, decompressed.
fn tarball(rpm: Arc<File>, name: &str) -> Vec<Cmd> {
    // Names in a source package may have a step before them, as rpm's version has it.
    let stepped = format!("./{name}");
    let cpio = Cmd::new("cpio").args(["--extract", "--to-stdout", "--quiet", name, &stepped]);
    let unpack = match name.rsplit('.').next() {
        Some("xz") => vec![Cmd::new("xz").args(["--decompress", "--stdout", "--threads=0"])],
        Some("gz") => vec![Cmd::new("gzip").args(["--decompress", "--stdout"])],
        Some("zst") => vec![Cmd::new("zstd").args(["--decompress", "--stdout"])],
        Some("bz2") => vec![Cmd::new("bzip2").args(["--decompress", "--stdout"])],
        _ => Vec::new(),
    };
    [rpm2cpio(rpm), cpio].into_iter().chain(unpack).collect()
}

/// The names of the files in a source package.
fn names_in(rpm: &Utf8Path, report: &Report) -> Result<Vec<String>> {
    let listed =
        Cmd::new("rpm").args(["--query", "--package", "--list", "--nosignature"]).arg(rpm).read(report)?;
    Ok(listed.lines().map(str::to_owned).collect())
}

fn spec_in(dir: &Utf8Path) -> Option<Utf8PathBuf> {
    let entries = dir.read_dir_utf8().ok()?.filter_map(Result::ok).map(|entry| entry.path().to_owned());
    entries.into_iter().find(|file| file.extension() == Some("spec"))
}

/// Source and patches that a spec names, of which there are the files `names`.
fn read_spec(spec: &str, names: &[String]) -> Option<SpecSource> {
    let tarball = names.iter().find(|name| name.starts_with("linux-") && name.contains(".tar"))?.clone();
    let mut patches: Vec<(u32, String)> = Vec::new();
    for line in spec.lines() {
        let Some((tag, value)) = line.split_once(':') else { continue };
        let number = tag.strip_prefix("Patch").and_then(|number| number.trim().parse::<u32>().ok());
        let Some(number) = number else { continue };
        let wanted = value.trim().rsplit('/').next().unwrap_or_default();
        patches.extend(names.iter().find(|name| matches(wanted, name)).map(|name| (number, name.clone())));
    }
    patches.sort();
    Some(SpecSource { tarball, patches: patches.into_iter().map(|(_, name)| name).collect() })
}

/// Whether a name of a spec, in which macros stand for any text, is that of a file.
fn matches(wanted: &str, name: &str) -> bool {
    let Some((before, rest)) = wanted.split_once("%{") else { return wanted == name };
    let Some((_, after)) = rest.split_once('}') else { return false };
    let Some(tail) = name.strip_prefix(before) else { return false };
    (0..=tail.len()).filter(|at| tail.is_char_boundary(*at)).any(|at| matches(after, &tail[at..]))
}

/// `linux-6.17.1` of `linux-6.17.1.tar.xz`.
fn top(tarball: &str) -> &str {
    tarball.split(".tar").next().unwrap_or(tarball)
}

/// `kernel-source` holds the whole source, patched, below `/usr/src/linux-VERSION`. That is more
/// levels than one, so that it is packed again, once, and kept beside the package.
fn of_suse(rpm: &Utf8Path, release: &Release, report: &Report) -> Result<SourceTar> {
    let packed = Utf8PathBuf::from(format!("{rpm}.source.tar"));
    if !packed.exists() {
        let dir = tempfile::tempdir_in(rpm.parent().context("a file is in a directory")?)?;
        let path = Utf8Path::from_path(dir.path()).context("the directory's name is text")?;
        unpack(&[rpm.to_owned()], &["./usr/src/linux-*"], path, report)?;
        let sources = path.join("usr/src");
        let version = release.as_str().rsplit_once('-').map_or(release.as_str(), |(version, _)| version);
        let source = sources.join(format!("linux-{version}"));
        if !source.join("Kbuild").exists() {
            let reason =
                format!("{} does not hold /usr/src/linux-{version}", rpm.file_name().unwrap_or_default());
            return Err(Failure::refused(release.as_str(), reason).into());
        }
        fs_err::rename(source, path.join(TOP))?;
        pack(path, &packed, report)?;
    }
    tar_of(&packed)
}

/// A tar file that was made here.
fn tar_of(packed: &Utf8Path) -> Result<SourceTar> {
    let file = Arc::new(File::open(packed).with_context(|| format!("opening {packed}"))?);
    Ok(SourceTar { commands: vec![Cmd::new("cat").stdin(Arc::clone(&file))], top: TOP.to_owned(), file })
}

/// Packs the directory [`TOP`] of `scratch`.
fn pack(scratch: &Utf8Path, into: &Utf8Path, report: &Report) -> Result<()> {
    let packed = scratch.join("packed.tar");
    let tar = Cmd::new("tar").args(["--create", "--file"]).arg(&packed);
    tar.arg("--directory").arg(scratch).arg(TOP).run(report)?;
    durable::publish(&packed, into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_names_source_and_patches_in_order() {
        let spec = "Name: kernel\nSource0: linux-%{tarfile_release}.tar.xz\nPatch999999: linux-kernel-test.patch\n\
            Patch1: patch-%{patchversion}-redhat.patch\nPatch2: gone.patch\nPatch3: fix.patch\n%prep\nApplyOptionalPatch x: y\n";
        let names = [
            "kernel.spec",
            "linux-6.17.1.tar.xz",
            "linux-kernel-test.patch",
            "patch-6.17-redhat.patch",
            "fix.patch",
        ];
        let names: Vec<String> = names.map(str::to_owned).to_vec();
        let source = read_spec(spec, &names).unwrap();
        assert_eq!(source.tarball, "linux-6.17.1.tar.xz");
        assert_eq!(source.patches, ["patch-6.17-redhat.patch", "fix.patch", "linux-kernel-test.patch"]);
        assert_eq!(top(&source.tarball), "linux-6.17.1");
        assert_eq!(read_spec(spec, &names[..1]), None);
    }

    #[test]
    fn a_macro_stands_for_any_text() {
        for (wanted, name, is) in [
            ("patch-%{v}-redhat.patch", "patch-6.17-redhat.patch", true),
            ("%{a}-%{b}.patch", "x-y.patch", true),
            ("patch-%{v}", "patch-", true),
            ("patch-%{v}.patch", "other.patch", false),
            ("patch-%{v", "patch-1", false),
        ] {
            assert_eq!(matches(wanted, name), is, "{wanted} {name}");
        }
    }
}
