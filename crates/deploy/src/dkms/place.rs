// SPDX-License-Identifier: GPL-2.0
//! Where DKMS keeps its files: on the machine, or in another system's tree.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::dkms::package::DkmsPackage;
use dkms_conf::{DkmsConf, Given};
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;

/// What DKMS calls the machine's architecture in its directories: it builds for no other.
pub fn arch() -> &'static str {
    Architecture::native().unwrap_or_default().machine()
}

/// The three trees of DKMS (dkms(8), `--dkmstree --sourcetree --installtree`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    root: Option<Utf8PathBuf>,
    /// Whether dkms has to be told about the trees.
    told: bool,
    dkms: Utf8PathBuf,
    source: Utf8PathBuf,
    install: Utf8PathBuf,
}

impl Place {
    /// Those of the machine, as configured in its framework.conf.
    pub fn machine() -> Self {
        let mut place = Self { root: None, told: false, ..Self::below(Utf8Path::new("/")) };
        for file in framework_files() {
            let text = fs_err::read_to_string(file).unwrap_or_default();
            // Anything but plain assignments is for DKMS alone; it reports errors itself.
            let conf = DkmsConf::parse(&text).and_then(|conf| conf.evaluate(&Given::new()));
            let values = conf.unwrap_or_default().values;
            let set = |tree: &mut Utf8PathBuf, name: &str| {
                if let Some(dir) = values.scalar(name).filter(|dir| dir.starts_with('/')) {
                    *tree = dir.into();
                }
            };
            set(&mut place.dkms, "dkms_tree");
            set(&mut place.source, "source_tree");
            set(&mut place.install, "install_tree");
        }
        place
    }

    /// Those of the system whose `/` is `dir`.
    pub fn in_root(dir: &Utf8Path) -> Result<Self> {
        let dir = dir.canonicalize_utf8().map_err(|error| {
            report::failure::Failure::usage(format!("--root {dir}"), error.to_string())
                .remedy("give the root directory of a system")
        })?;
        Ok(if dir == "/" { Self::machine() } else { Self::below(&dir) })
    }

    fn below(dir: &Utf8Path) -> Self {
        Self {
            root: Some(dir.to_owned()),
            told: true,
            dkms: dir.join("var/lib/dkms"),
            source: dir.join("usr/src"),
            install: dir.join("lib/modules"),
        }
    }

    /// The same with another DKMS tree.
    pub(super) fn with_tree(&self, tree: &Utf8Path) -> Self {
        Self { dkms: tree.to_owned(), told: true, ..self.clone() }
    }

    /// The other system's root directory; `None` for the machine.
    pub fn root(&self) -> Option<&Utf8Path> {
        self.root.as_deref()
    }

    /// `/var/lib/dkms`.
    pub fn tree(&self) -> &Utf8Path {
        &self.dkms
    }

    /// `/lib/modules`.
    pub fn install(&self) -> &Utf8Path {
        &self.install
    }

    /// The directory with a package's source: `/usr/src/NAME-VERSION`.
    pub fn source_of(&self, package: &DkmsPackage) -> Utf8PathBuf {
        self.source.join(format!("{}-{}", package.name, package.version))
    }

    /// The directory with everything that DKMS keeps of a package.
    pub fn package(&self, package: &DkmsPackage) -> Utf8PathBuf {
        self.dkms.join(&package.name).join(&package.version)
    }

    /// The directory with what was built of a package for a kernel: `module/` and `log/`.
    pub fn built(&self, package: &DkmsPackage, release: &Release) -> Utf8PathBuf {
        self.package(package).join(release).join(arch())
    }

    /// The link that tells which version is installed for a kernel.
    pub fn active_link(&self, name: &str, release: &Release) -> Utf8PathBuf {
        self.dkms.join(name).join(format!("kernel-{release}-{}", arch()))
    }

    /// The directory with the kernel's own modules that DKMS has moved away.
    pub fn originals(&self, name: &str, release: &Release) -> Utf8PathBuf {
        self.dkms.join(name).join("original_module").join(release).join(arch())
    }

    /// The modules of a kernel: `/lib/modules/RELEASE`.
    pub fn modules(&self, release: &Release) -> Utf8PathBuf {
        self.install.join(release)
    }

    /// The options that tell dkms about the trees: none on the machine.
    pub(super) fn options(&self) -> Vec<String> {
        if !self.told {
            return Vec::new();
        }
        let pairs =
            [("--dkmstree", &self.dkms), ("--sourcetree", &self.source), ("--installtree", &self.install)];
        pairs.iter().flat_map(|(option, dir)| [(*option).to_owned(), dir.to_string()]).collect()
    }
}

fn framework_files() -> Vec<Utf8PathBuf> {
    let dir = Utf8Path::new("/etc/dkms/framework.conf.d");
    let entries = dir.read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
    let mut more: Vec<_> = entries.map(|entry| entry.into_path()).collect();
    more.retain(|path| path.extension() == Some("conf"));
    more.sort();
    std::iter::once("/etc/dkms/framework.conf".into()).chain(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_system_has_its_trees_below_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap();
        let place = Place::in_root(&root).unwrap();
        let package = DkmsPackage { name: "x".into(), version: "1".into() };
        let release: Release = "6.12.1-cloud-amd64".parse().unwrap();
        assert_eq!(place.source_of(&package), root.join("usr/src/x-1"));
        assert_eq!(place.built(&package, &release), root.join("var/lib/dkms/x/1/6.12.1-cloud-amd64/x86_64"));
        assert_eq!(place.options().len(), 6);
        assert!(Place::machine().options().is_empty());
        assert!(Place::in_root(&root.join("nowhere")).is_err());
    }
}
