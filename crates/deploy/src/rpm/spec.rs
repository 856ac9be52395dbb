// SPDX-License-Identifier: GPL-2.0
//! A project's `kmod.spec`. The `%global` lines at its head tell what is packaged; the rest is the
//! same in every project.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::rpm::archive::SourceArchive;
use crate::rpm::generated::GeneratedSpec;
use crate::rpm::source_date;
use crate::rpm::target::KmodTarget;
use project::Project;
use project::source::SourceTree;
use project::stage::Sources;
use report::Report;
use report::failure::Failure;

/// Its file name in a project.
pub const FILE: &str = "kmod.spec";

/// A `kmod.spec` that was read.
#[derive(Clone, Debug)]
pub struct KmodSpec {
    /// Its file.
    pub file: Utf8PathBuf,
    /// `kmod_name`.
    pub name: String,
    /// `kmod_version`.
    pub version: String,
    /// Files that go into the source package besides the project's own, where the spec needs them.
    pub added: SourceTree,
    text: String,
}

impl KmodSpec {
    /// The spec of a project: its own `kmod.spec`, otherwise a generated one.
    ///
    /// # Errors
    ///
    /// Refused, if its own is not for this version of the project, or if none can be generated.
    pub fn of(project: &Project, report: &Report) -> Result<Self> {
        let file = project.dir.join(FILE);
        match fs_err::read_to_string(&file) {
            Ok(text) => Self::own(project, file, text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let sources = Sources::read(project)?;
                let date = source_date(&project.dir, report)?;
                let generated = GeneratedSpec::of(project, sources.own(), date)?;
                report.note("Generating", &format!("{FILE}, as {} has none", project.dir));
                Ok(Self { added: generated.files, ..Self::parse(file, generated.text)? })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn own(project: &Project, file: Utf8PathBuf, text: String) -> Result<Self> {
        let spec = Self::parse(file, text)?;
        let version = as_version(&project.version);
        if spec.version != version {
            let reason = format!(
                "kmod_version is {}, but the version of the project is {}",
                spec.version, project.version
            );
            return Err(Failure::refused(spec.file.as_str(), reason)
                .remedy(format!("change the line to: %global kmod_version {version}"))
                .into());
        }
        Ok(spec)
    }

    fn parse(file: Utf8PathBuf, text: String) -> Result<Self> {
        let value = |name: &str| {
            global(&text, name).map(str::to_owned).ok_or_else(|| {
                Failure::refused(file.as_str(), format!("lacks a line `%global {name} …`")).remedy(
                    "its head must define kmod_name, kmod_version, and what a kmod.spec made by cargo kmod new defines",
                )
            })
        };
        let (name, version) = (value("kmod_name")?, value("kmod_version")?);
        for (macro_name, value) in [("kmod_name", &name), ("kmod_version", &version)] {
            refuse_characters(&file, macro_name, value)?;
        }
        Ok(Self { name, version, added: SourceTree::new(), file, text })
    }

    /// The spec for the source package: for these kernels by default, and for exactly this source.
    /// `left_out` names the modules that some kernel is excluded from, `RELEASE/MODULE`.
    pub fn for_source(&self, archive: &SourceArchive, targets: &[KmodTarget], left_out: &[String]) -> String {
        let kversion = targets.first().map_or("", |target| target.kversion.as_str());
        let kvariants = targets.iter().map(|target| target.kvariant()).collect::<Vec<_>>().join(" ");
        let left_out = match left_out {
            [] => String::new(),
            some => format!("%{{!?kmod_left_out: %global kmod_left_out {}}}\n", some.join(" ")),
        };
        let settings = format!(
            "%{{!?kversion: %global kversion {kversion}}}\n\
             %{{!?kvariants: %global kvariants {kvariants}}}\n\
             {left_out}%global source_sha256 {}\n",
            archive.sha256()
        );
        self.with(&settings)
    }

    /// The spec for exactly this source, and for whatever kernel akmods builds it.
    pub fn for_akmods(&self, archive: &SourceArchive) -> String {
        self.with(&format!("%global source_sha256 {}\n", archive.sha256()))
    }

    /// The text, with lines before all that it defines.
    fn with(&self, settings: &str) -> String {
        let at = self.text.find("%global kmod_name").unwrap_or(0);
        format!("{}{settings}{}", &self.text[..at], &self.text[at..])
    }
}

/// The value of `%global NAME value`.
fn global<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value =
        |line: &'a str| line.strip_prefix("%global ")?.trim_start().strip_prefix(name)?.strip_prefix(' ');
    text.lines().find_map(value).map(str::trim).filter(|value| !value.is_empty())
}

/// A version as rpm allows it: `-` is a separator there.
fn as_version(version: &str) -> String {
    version.replace('-', "_")
}

/// Refuses characters that rpm does not allow in a name or version, or that would change a path.
fn refuse_characters(file: &Utf8Path, name: &str, value: &str) -> Result<(), Failure> {
    let dash = name == "kmod_name";
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._+~^".contains(c) || (dash && c == '-');
    let begins = value.starts_with(|c: char| c.is_ascii_alphanumeric());
    match value.chars().find(|c| !allowed(*c)) {
        None if begins => Ok(()),
        odd => {
            let odd = odd.or(value.chars().next()).unwrap_or(' ');
            Err(Failure::refused(file.as_str(), format!("{name}: rpm does not allow {odd:?} in {value:?}"))
                .remedy("begin with a letter or digit, then use letters, digits and . _ + ~ ^"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# a spec\n%global kmod_name x-y\n%global kmod_version 1.0\n%global kmod_modules x\n";

    fn parse(text: &str) -> Result<KmodSpec> {
        KmodSpec::parse("kmod.spec".into(), text.to_owned())
    }

    #[test]
    fn the_head_is_read() {
        let spec = parse(HEAD).unwrap();
        assert_eq!((spec.name.as_str(), spec.version.as_str()), ("x-y", "1.0"));
        for (from, to, named) in [
            ("kmod_version 1.0", "kmod_version 1-0", "'-'"),
            ("kmod_name x-y", "kmod_name ../x", "'/'"),
            ("kmod_name x-y", "kmod_name %{x}", "'%'"),
            ("kmod_name x-y", "kmod_other x", "kmod_name"),
        ] {
            let error = parse(&HEAD.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn the_source_package_knows_its_kernels_and_its_source() {
        let archive = SourceArchive { name: "x-1.tar.gz".into(), content: Vec::new() };
        let target = |release: &str| KmodTarget::of(&release.parse().unwrap());
        let targets = [target("6.12.107+deb13-amd64"), target("6.12.107+deb13-cloud-amd64")];
        let text = parse(HEAD).unwrap().for_source(&archive, &targets, &[]);
        assert!(text.starts_with("# a spec\n%{!?kversion: %global kversion 6.12.107+deb13}\n"), "{text}");
        assert!(text.contains("kvariants -amd64 -cloud-amd64}\n"), "{text}");
        assert!(text.contains(&format!("source_sha256 {}\n%global kmod_name", archive.sha256())), "{text}");
        let plain =
            parse(HEAD).unwrap().for_source(&archive, &[target("6.18.44")], &["6.18.44/y".to_owned()]);
        assert!(plain.contains("%{!?kmod_left_out: %global kmod_left_out 6.18.44/y}\n"), "{plain}");
        assert!(plain.contains("kvariants \"\"}\n"), "{plain}");
        let any = parse(HEAD).unwrap().for_akmods(&archive);
        assert_eq!(
            any,
            HEAD.replacen("%global", &format!("%global source_sha256 {}\n%global", archive.sha256()), 1)
        );
    }
}
