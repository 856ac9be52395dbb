// SPDX-License-Identifier: GPL-2.0
//! What a package is called: `PACKAGE_NAME` and `PACKAGE_VERSION`, the two directives that DKMS has
//! to have; and where the version is found while packaging has not yet written it into the file.

use camino::Utf8Path;

use crate::conf::invalid;
use dkms_conf::directives::{self, plain_name};
use dkms_conf::{DirectiveError, Values};
use report::Report;
use report::failure::Failure;
use report::process::Cmd;

/// Name and version of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `PACKAGE_NAME`.
    pub(crate) name: String,
    /// `PACKAGE_VERSION`.
    pub(crate) version: String,
    /// Where the version comes from, if the file has a placeholder for it.
    pub(crate) notice: Option<String>,
}

impl Identity {
    /// That of the package in `dir`, whose directives have these values. A version that is still a
    /// placeholder is that in the directory's name, or the nearest tag of git.
    ///
    /// # Errors
    ///
    /// Refused with the value, if one of the two is missing, empty, a placeholder, or cannot be
    /// part of a file name.
    pub(crate) fn of(dir: &Utf8Path, values: &Values) -> Result<Self, Failure> {
        let file = dir.join("dkms.conf");
        let name = required(&file, values, "PACKAGE_NAME")?.to_owned();
        let stated = stated(&file, values, "PACKAGE_VERSION")?;
        let directory = dir.file_name().unwrap_or_default();
        match directives::version(&name, stated, directory) {
            Ok(version) if version == stated => {
                required(&file, values, "PACKAGE_VERSION")?;
                Ok(Self { name, version, notice: None })
            }
            Ok(version) => {
                let notice = found(stated, &version, "the directory's name");
                Ok(Self { name, version, notice: Some(notice) })
            }
            Err(error) => Self::tagged(dir, &name, stated).ok_or_else(|| invalid(&file, &error)),
        }
    }

    /// With the version of the nearest tag.
    fn tagged(dir: &Utf8Path, name: &str, stated: &str) -> Option<Self> {
        let git = Cmd::new("git").args(["-C", dir.as_str(), "describe", "--tags", "--abbrev=0"]);
        let tag = git.read(&Report::silent()).ok()?;
        let version = version_of_tag(&tag, name)?.to_owned();
        let notice = found(stated, &version, &format!("the nearest tag of git, {tag}"));
        Some(Self { name: name.to_owned(), version, notice: Some(notice) })
    }
}

fn found(stated: &str, version: &str, place: &str) -> String {
    format!("PACKAGE_VERSION is {stated}, a placeholder; {version} is taken, from {place}")
}

/// The version in the name of a tag: `1.2`, `v1.2`, `NAME-1.2`, `release/1.2`.
fn version_of_tag<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let last = tag.rsplit('/').next()?;
    let rest = [name, "release", "version"].iter().find_map(|word| last.strip_prefix(word)).unwrap_or(last);
    let rest = rest.trim_start_matches(['-', '_', '.']);
    let version = rest.strip_prefix(['v', 'V']).unwrap_or(rest);
    (version.starts_with(|c: char| c.is_ascii_digit()) && plain_name(version)).then_some(version)
}

/// A directive's value, which is there and not empty.
fn stated<'a>(file: &Utf8Path, values: &'a Values, name: &str) -> Result<&'a str, Failure> {
    let refused = |reason: &str| {
        Failure::refused(file.as_str(), format!("{name} {reason}"))
            .remedy(format!("set {name}=\"…\" in it, or --set {name}=…"))
    };
    match values.scalar(name) {
        None => Err(refused("is missing")),
        Some("") => Err(refused("is empty")),
        Some(value) => Ok(value),
    }
}

/// The same, and a plain name.
fn required<'a>(file: &Utf8Path, values: &'a Values, name: &str) -> Result<&'a str, Failure> {
    let value = stated(file, values, name)?;
    if directives::is_placeholder(value) {
        let error = DirectiveError::Placeholder {
            directive: name.to_owned(),
            package: String::new(),
            stated: value.to_owned(),
        };
        return Err(invalid(file, &error));
    }
    if plain_name(value) {
        return Ok(value);
    }
    let reason = format!(
        "{name} is {value:?}: only letters, digits and any of -_.+~ can be in it, a letter or digit first"
    );
    Err(Failure::refused(file.as_str(), reason).remedy(format!("give it another value: --set {name}=…")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dkms_conf::DkmsConf;

    fn of(dir: &Utf8Path, text: &str) -> Result<Identity, Failure> {
        Identity::of(dir, &DkmsConf::parse(text).unwrap().evaluate(&Default::default()).unwrap().values)
    }

    #[test]
    fn what_is_wrong_is_said_with_the_value() {
        for (text, reason, remedy) in [
            ("PACKAGE_VERSION=1", "PACKAGE_NAME is missing", "--set PACKAGE_NAME=…"),
            ("PACKAGE_NAME=\nPACKAGE_VERSION=1", "PACKAGE_NAME is empty", "--set PACKAGE_NAME=…"),
            ("PACKAGE_NAME=x", "PACKAGE_VERSION is missing", "--set PACKAGE_VERSION=…"),
            ("PACKAGE_NAME=x\nPACKAGE_VERSION=''", "PACKAGE_VERSION is empty", "--set PACKAGE_VERSION=…"),
            ("PACKAGE_NAME=../x\nPACKAGE_VERSION=1", "PACKAGE_NAME is \"../x\"", "--set PACKAGE_NAME=…"),
            (
                "PACKAGE_NAME=x\nPACKAGE_VERSION='1 2'",
                "PACKAGE_VERSION is \"1 2\"",
                "--set PACKAGE_VERSION=…",
            ),
            (
                "PACKAGE_NAME=@NAME@\nPACKAGE_VERSION=1",
                "PACKAGE_NAME is @NAME@, a placeholder",
                "--set PACKAGE_NAME=…",
            ),
            (
                "PACKAGE_NAME=x\nPACKAGE_VERSION=__VERSION__",
                "PACKAGE_VERSION is __VERSION__, a placeholder",
                "--set PACKAGE_VERSION=…",
            ),
        ] {
            let failure = of("/p".into(), text).unwrap_err();
            assert_eq!(
                (failure.exit, failure.object.as_str()),
                (report::failure::Exit::Refused, "/p/dkms.conf")
            );
            assert!(failure.to_string().contains(reason), "{text}: {failure}");
            assert!(failure.remedy.as_ref().unwrap().contains(remedy), "{text}: {failure:?}");
        }
    }

    #[test]
    fn a_placeholder_is_replaced_by_what_is_nearest_and_that_is_said() {
        let text = "PACKAGE_NAME=hello\nPACKAGE_VERSION=@PKGVER@\n";
        let by_name = of("/src/hello-1.1".into(), text).unwrap();
        assert_eq!(by_name.version, "1.1");
        assert!(by_name.notice.unwrap().contains("1.1 is taken, from the directory's name"));
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let git = |args: &[&str]| {
            let own = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-C", dir.as_str()];
            Cmd::new("git").args(own).args(args).run(&Report::silent()).unwrap();
        };
        git(&["init", "--quiet"]);
        git(&["commit", "--quiet", "--allow-empty", "-m", "x"]);
        assert!(of(dir, text).is_err());
        git(&["tag", "hello-v2.3"]);
        git(&["commit", "--quiet", "--allow-empty", "-m", "y"]);
        let tagged = of(dir, text).unwrap();
        assert_eq!(tagged.version, "2.3");
        let notice = tagged.notice.unwrap();
        assert!(
            notice.contains("@PKGVER@") && notice.contains("the nearest tag of git, hello-v2.3"),
            "{notice}"
        );
        // What is stated is what counts.
        assert_eq!(of(dir, "PACKAGE_NAME=hello\nPACKAGE_VERSION=1\n").unwrap().notice, None);
    }

    #[test]
    fn the_version_in_a_tag_is_what_follows_words() {
        for (tag, version) in [
            ("1.2", Some("1.2")),
            ("v1.2-rc1", Some("1.2-rc1")),
            ("hello-1.2", Some("1.2")),
            ("hello_v1.2", Some("1.2")),
            ("release/1.2", Some("1.2")),
            ("release-1.2", Some("1.2")),
            ("nightly", None),
            ("other-1.2", None),
            ("v", None),
        ] {
            assert_eq!(version_of_tag(tag, "hello"), version, "{tag}");
        }
    }
}
