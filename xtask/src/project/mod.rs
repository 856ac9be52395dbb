// SPDX-License-Identifier: GPL-2.0
//! A project: a directory of module sources with a `dkms.conf`.

pub mod build;
pub mod dkms_conf;
pub mod stage;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::failure::Failure;
use crate::kernel::config::Config;
use crate::kernel::prepare::Rust;
use crate::kernel::release::Release;
use crate::source::import::Import;
use dkms_conf::DkmsConf;

/// A module source directory, as its `dkms.conf` describes it.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its directory.
    pub dir: Utf8PathBuf,
    /// `PACKAGE_NAME`.
    pub name: String,
    /// `PACKAGE_VERSION`.
    pub version: String,
    /// The modules it builds.
    pub modules: Vec<Module>,
    /// The make command, as words, with variables still in it.
    pub make: Vec<String>,
    /// Modules of the kernel that `insmod` loads first (`PROJECT_LOADS`).
    pub loads: Vec<String>,
    /// What belongs to the project, where the directory holds more (`PROJECT_FILES`).
    pub files: Option<Vec<Utf8PathBuf>>,
    /// Options that a kernel must have, or with `!` must not have (`BUILD_EXCLUSIVE_CONFIG`).
    pub needs: Vec<String>,
    /// What it takes of the kernel's source, where it has an `import.toml`.
    pub import: Option<Import>,
}

/// One module of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// `BUILT_MODULE_NAME`: the file name without `.ko`.
    pub name: String,
    /// `BUILT_MODULE_LOCATION`: where in the built tree its file is.
    pub location: Utf8PathBuf,
}

impl Project {
    /// Reads the project in `dir`.
    pub fn open(dir: &Utf8Path) -> Result<Self> {
        let dir = dir.canonicalize_utf8().map_err(|error| {
            Failure::usage(format!("project {dir}"), error.to_string())
                .remedy("--project DIR, a directory with a dkms.conf")
        })?;
        let file = dir.join("dkms.conf");
        let text = fs_err::read_to_string(&file).map_err(|_| {
            Failure::usage(format!("project {dir}"), "there is no dkms.conf in it")
                .remedy("--project DIR, a directory with a dkms.conf")
        })?;
        let conf = DkmsConf::parse(&text).map_err(|error| {
            Failure::refused(format!("{file}:{}", error.line), error.reason)
                .remedy("plain assignments are read: NAME=\"value\", NAME[0]=\"value\"")
        })?;
        let import = Import::open(&dir)?;
        Ok(Self { import, ..Self::described(dir, &file, &conf)? })
    }

    /// Whether it is in Rust: its `dkms.conf` says that the kernel must be, too.
    pub fn rust(&self) -> Rust {
        if self.needs.iter().any(|option| option == "CONFIG_RUST") { Rust::Needed } else { Rust::Optional }
    }

    /// The first of the options that it needs which a kernel does not have as needed.
    pub fn excluded_by(&self, config: &Config) -> Option<&str> {
        let met = |option: &str| match option.strip_prefix('!') {
            Some(unwanted) => config.get(unwanted).is_none(),
            None => matches!(config.get(option), Some("y" | "m")),
        };
        self.needs.iter().map(String::as_str).find(|option| !met(option))
    }

    /// Refuses a kernel that lacks an option.
    pub fn require(&self, release: &Release, config: &Config) -> Result<()> {
        match self.excluded_by(config) {
            None => Ok(()),
            Some(option) => Err(Failure::refused(
                release.as_str(),
                format!(
                    "its configuration does not have {option}, which {} needs (BUILD_EXCLUSIVE_CONFIG)",
                    self.name
                ),
            )
            .remedy("choose another kernel: cargo xtask kernel list")
            .into()),
        }
    }

    fn described(dir: Utf8PathBuf, file: &Utf8Path, conf: &DkmsConf) -> Result<Self> {
        let required = |name: &str| {
            let value = conf.scalar(name).filter(|value| plain_name(value));
            value.map(str::to_owned).ok_or_else(|| {
                Failure::refused(file.as_str(), format!("{name} is missing, or is no plain name"))
                    .remedy(format!("set {name}=\"…\" in it"))
            })
        };
        let name = required("PACKAGE_NAME")?;
        let modules = modules(conf, &name);
        if let Some(module) =
            modules.iter().find(|module| !plain_name(&module.name) || leaves(&module.location))
        {
            return Err(Failure::refused(
                file.as_str(),
                format!("module {:?} is no plain name, or its place is outside the project", module.name),
            )
            .into());
        }
        let words = |name: &str| {
            conf.scalar(name).map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        let files =
            words("PROJECT_FILES").map(|files| files.into_iter().map(Utf8PathBuf::from).collect::<Vec<_>>());
        if let Some(outside) = files.iter().flatten().find(|path| leaves(path)) {
            return Err(Failure::refused(
                file.as_str(),
                format!("PROJECT_FILES: {outside} is outside the project"),
            )
            .into());
        }
        let loads = words("PROJECT_LOADS").unwrap_or_default();
        let make =
            words("MAKE").unwrap_or_else(|| DEFAULT_MAKE.iter().map(|word| (*word).to_owned()).collect());
        let needs = words("BUILD_EXCLUSIVE_CONFIG").unwrap_or_default();
        let version = required("PACKAGE_VERSION")?;
        Ok(Self { dir, version, name, modules, make, loads, files, needs, import: None })
    }
}

/// What DKMS runs when `MAKE` is not set (dkms(8)).
const DEFAULT_MAKE: &[&str] =
    &["make", "-C", "${kernel_source_dir}", "M=${dkms_tree}/${PACKAGE_NAME}/${PACKAGE_VERSION}/build"];

fn modules(conf: &DkmsConf, package: &str) -> Vec<Module> {
    let names = conf.array("BUILT_MODULE_NAME");
    let locations = conf.array("BUILT_MODULE_LOCATION");
    let location = |index: u32| {
        locations.get(&index).map_or_else(Utf8PathBuf::new, |text| Utf8PathBuf::from(text.as_str()))
    };
    if names.is_empty() {
        return vec![Module { name: package.to_owned(), location: location(0) }];
    }
    names.iter().map(|(index, name)| Module { name: name.clone(), location: location(*index) }).collect()
}

/// Whether `text` can be a part of file names and of make's command line.
fn plain_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.+~".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(allowed)
}

fn leaves(path: &Utf8Path) -> bool {
    path.is_absolute() || path.components().any(|part| part == camino::Utf8Component::ParentDir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(text: &str) -> Result<Project> {
        Project::described("/p".into(), Utf8Path::new("/p/dkms.conf"), &DkmsConf::parse(text).unwrap())
    }

    #[test]
    fn one_module_is_named_after_the_package() {
        let project = project("PACKAGE_NAME=x\nPACKAGE_VERSION=1.0\n").unwrap();
        assert_eq!(project.modules, [Module { name: "x".into(), location: "".into() }]);
        assert_eq!(project.make, DEFAULT_MAKE);
    }

    #[test]
    fn a_kernel_without_what_is_needed_is_refused() {
        let head = "PACKAGE_NAME=x\nPACKAGE_VERSION=1\n";
        let project = project(&format!("{head}BUILD_EXCLUSIVE_CONFIG=\"CONFIG_A !CONFIG_B\"\n")).unwrap();
        for (config, lacks) in [
            ("CONFIG_A=m\n", None),
            ("CONFIG_A=y\nCONFIG_B=y\n", Some("!CONFIG_B")),
            ("CONFIG_A=1\n", Some("CONFIG_A")),
            ("", Some("CONFIG_A")),
        ] {
            assert_eq!(project.excluded_by(&Config::parse(config)), lacks, "{config}");
        }
        assert_eq!(project.rust(), Rust::Optional);
    }

    #[test]
    fn nothing_outside_the_project_is_named() {
        let head = "PACKAGE_NAME=x\nPACKAGE_VERSION=1\n";
        for line in ["BUILT_MODULE_NAME[0]=../x", "BUILT_MODULE_LOCATION[0]=/etc", "PROJECT_FILES=\"a ../b\""]
        {
            assert!(project(&format!("{head}{line}\n")).is_err(), "{line}");
        }
        assert!(project("PACKAGE_NAME=../x\nPACKAGE_VERSION=1\n").is_err());
    }
}
