// SPDX-License-Identifier: GPL-2.0
//! The source from which DKMS builds: a project's files in `/usr/src/NAME-VERSION`.
//!
//! A project that imports the kernel's own source has one for each kernel, distinguished by the
//! version: `0.1.0+6.12.107+deb13` holds the source of exactly that kernel, and its `dkms.conf`
//! says that it is for no other.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use crate::dkms::package::DkmsPackage;
use kernel::context::Context;
use kmodfile::release::Release;
use project::Project;
use project::source::SourceTree;
use project::source::fetch::SourceKernel;
use project::stage::{LIST, Sources};
use report::cache::partial_name;
use report::durable;
use report::failure::Failure;

/// The file that DKMS reads.
const CONF: &str = "dkms.conf";

/// The files of a package.
#[derive(Clone, Debug)]
pub struct DkmsSource {
    /// What DKMS calls it.
    pub package: DkmsPackage,
    files: SourceTree,
    programs: Vec<Utf8PathBuf>,
}

/// How a directory differs from what it should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceDrift {
    /// There is no such directory.
    Absent,
    /// These files are changed, missing or added.
    Changed(Vec<Utf8PathBuf>),
}

impl DkmsSource {
    /// The source of `project` for `release`.
    pub fn of(context: &Context, project: &Project, release: &Release) -> Result<Self> {
        let package = package_of(project, release);
        let sources = Sources::for_kernel(context, project, SourceKernel::Named(release))?;
        let mut files: SourceTree =
            sources.files().map(|(path, content)| (path.clone(), content.clone())).collect();
        if project.import.is_some() {
            let conf = files.get_mut(Utf8Path::new(CONF)).context("a project has a dkms.conf")?;
            conf.extend(addition(&package, release).into_bytes());
        }
        let is_program = |path: &&Utf8PathBuf| {
            project.dir.join(path).metadata().is_ok_and(|meta| meta.permissions().mode() & 0o100 != 0)
        };
        let programs = files.keys().filter(is_program).cloned().collect();
        Ok(Self { package, files, programs })
    }

    /// Its files.
    pub fn files(&self) -> &SourceTree {
        &self.files
    }

    /// Whether it must be built after other modules of DKMS (`BUILD_DEPENDS`).
    pub fn depends_on_others(&self) -> bool {
        let conf = self.files.get(Utf8Path::new(CONF)).map(|text| String::from_utf8_lossy(text));
        conf.is_some_and(|text| text.lines().any(|line| line.trim_start().starts_with("BUILD_DEPENDS")))
    }

    /// The licence that `dkms.conf` states, if it is an SPDX expression; otherwise a reference to
    /// the source.
    pub fn licence(&self) -> &str {
        let conf = self.files.get(Utf8Path::new(CONF)).and_then(|text| std::str::from_utf8(text).ok());
        let named = conf.unwrap_or_default().lines().take(3);
        let mut named = named.filter_map(|line| Some(line.split_once("SPDX-License-Identifier:")?.1.trim()));
        let plain = |text: &&str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-.+ ()".contains(c));
        named.find(plain).unwrap_or("LicenseRef-see-source")
    }

    /// How `dir` differs from it, if it does.
    pub fn differs_from(&self, dir: &Utf8Path) -> Result<Option<SourceDrift>> {
        if !dir.exists() {
            return Ok(Some(SourceDrift::Absent));
        }
        let there = read(dir)?;
        let other = |path: &&Utf8PathBuf| self.files.get(*path) != there.get(*path);
        let mut changed: Vec<_> = self.files.keys().chain(there.keys()).filter(other).cloned().collect();
        changed.sort();
        changed.dedup();
        Ok((!changed.is_empty()).then_some(SourceDrift::Changed(changed)))
    }

    /// Writes it beside `dir` and renames it, so that `dir` is never incomplete. `dir` must not
    /// exist.
    pub fn write(&self, dir: &Utf8Path) -> Result<()> {
        let partial = partial_name(dir);
        if partial.exists() {
            fs_err::remove_dir_all(&partial)?;
        }
        self.write_into(&partial)?;
        let names: String = self.files.keys().map(|path| format!("{path}\n")).collect();
        fs_err::write(partial.join(LIST), names)?;
        durable::publish(&partial, dir)
    }

    /// Writes it into `dir`.
    pub fn write_into(&self, dir: &Utf8Path) -> Result<()> {
        for (path, content) in &self.files {
            let file = dir.join(path);
            fs_err::create_dir_all(file.parent().unwrap_or(dir))?;
            fs_err::write(&file, content)?;
        }
        for path in &self.programs {
            fs_err::set_permissions(dir.join(path), std::fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}

/// Removes what [`DkmsSource::write`] has written, recognised by the list in it. Any other
/// directory stays.
pub fn remove(dir: &Utf8Path) -> Result<()> {
    if dir.join(LIST).exists() {
        fs_err::remove_dir_all(dir)?;
    }
    Ok(())
}

/// What DKMS calls a project that is built for `release`.
pub fn package_of(project: &Project, release: &Release) -> DkmsPackage {
    let version = match &project.import {
        None => project.version.clone(),
        Some(_) => format!("{}+{}", project.version, release.without_flavour()),
    };
    DkmsPackage { name: project.name.clone(), version }
}

/// Whether `version` is one of the project's: its own, or that for any kernel.
pub fn is_version_of(project: &Project, version: &str) -> bool {
    match version.strip_prefix(&project.version) {
        Some("") => project.import.is_none(),
        Some(rest) => project.import.is_some() && rest.starts_with('+'),
        None => false,
    }
}

/// What is added to the `dkms.conf` of imported source: it is for this kernel only, and is built
/// automatically when another flavour of that kernel is installed.
fn addition(package: &DkmsPackage, release: &Release) -> String {
    let kernel: String = release.without_flavour().chars().map(literal).collect();
    let rest = if release.flavour().is_empty() { "" } else { "-" };
    format!(
        "\n# This is the source of kernel {}, for no other kernel.\n\
         PACKAGE_VERSION=\"{}\"\nBUILD_EXCLUSIVE_KERNEL=\"^{kernel}{rest}\"\nAUTOINSTALL=\"yes\"\n",
        release.without_flavour(),
        package.version
    )
}

/// A character in a regular expression. Without a backslash, as DKMS lets the shell expand the
/// value twice.
fn literal(c: char) -> String {
    if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c.to_string() } else { format!("[{c}]") }
}

fn read(dir: &Utf8Path) -> Result<SourceTree> {
    let mut tree = SourceTree::new();
    for entry in WalkDir::new(dir) {
        let entry = entry?;
        let path = Utf8Path::from_path(entry.path()).context("a file name is not UTF-8")?;
        if entry.path_is_symlink() {
            return Err(Failure::refused(
                path.as_str(),
                "is a symbolic link in source that DKMS builds as root",
            )
            .remedy("remove it, or the whole directory")
            .into());
        }
        if entry.file_type().is_file() && path != dir.join(LIST) {
            tree.insert(path.strip_prefix(dir)?.to_owned(), fs_err::read(path)?);
        }
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> DkmsSource {
        DkmsSource {
            package: DkmsPackage { name: "x".into(), version: "1".into() },
            files: SourceTree::from([("dkms.conf".into(), b"a".to_vec()), ("d/x.sh".into(), b"b".to_vec())]),
            programs: vec!["d/x.sh".into()],
        }
    }

    #[test]
    fn what_was_written_does_not_differ_and_what_was_changed_does() {
        let dir = tempfile::tempdir().unwrap();
        let place = Utf8Path::from_path(dir.path()).unwrap().join("x-1");
        let source = source();
        assert_eq!(source.differs_from(&place).unwrap(), Some(SourceDrift::Absent));
        source.write(&place).unwrap();
        assert_eq!(source.differs_from(&place).unwrap(), None);
        assert_eq!(place.join("d/x.sh").metadata().unwrap().permissions().mode() & 0o777, 0o755);
        fs_err::write(place.join("dkms.conf"), "other").unwrap();
        fs_err::write(place.join("new"), "").unwrap();
        let changed = vec!["dkms.conf".into(), "new".into()];
        assert_eq!(source.differs_from(&place).unwrap(), Some(SourceDrift::Changed(changed)));
    }

    #[test]
    fn what_a_killed_run_has_left_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let place = Utf8Path::from_path(dir.path()).unwrap().join("x-1");
        fs_err::create_dir_all(partial_name(&place)).unwrap();
        fs_err::write(partial_name(&place).join("half"), "").unwrap();
        source().write(&place).unwrap();
        assert_eq!(source().differs_from(&place).unwrap(), None);
        remove(&place).unwrap();
        assert!(!place.exists());
    }

    #[test]
    fn somebody_elses_directory_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        remove(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        assert!(dir.path().exists());
    }

    #[test]
    fn the_licence_is_the_stated_one() {
        let mut source = source();
        for (text, licence) in [
            ("# SPDX-License-Identifier: GPL-2.0-only OR MIT\n", "GPL-2.0-only OR MIT"),
            ("# SPDX-License-Identifier: %(id)\n", "LicenseRef-see-source"),
            ("PACKAGE_NAME=x\n", "LicenseRef-see-source"),
        ] {
            source.files.insert("dkms.conf".into(), text.into());
            assert_eq!(source.licence(), licence);
        }
    }

    #[test]
    fn imported_source_is_for_its_kernel_alone() {
        let release: Release = "6.12.107+deb13-cloud-amd64".parse().unwrap();
        let package = DkmsPackage { name: "x".into(), version: "0.1.0+6.12.107+deb13".into() };
        let text = addition(&package, &release);
        assert!(text.contains("PACKAGE_VERSION=\"0.1.0+6.12.107+deb13\"\n"), "{text}");
        assert!(text.contains("BUILD_EXCLUSIVE_KERNEL=\"^6[.]12[.]107[+]deb13-\"\n"), "{text}");
    }
}
