// SPDX-License-Identifier: GPL-2.0
//! The directives of a `dkms.conf` (dkms(8), "DKMS.CONF"), as DKMS takes them.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::exclusive::Exclusive;
use crate::pattern::Pattern;
use crate::reader::{Evaluated, Values};
use kmodfile::release::Release;
use report::failure::Failure;

/// One module of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// `BUILT_MODULE_NAME`: the file name without `.ko`.
    pub name: String,
    /// `BUILT_MODULE_LOCATION`: where in the built tree its file is.
    pub location: Utf8PathBuf,
    /// `DEST_MODULE_NAME`: its file name where it is installed, without `.ko`.
    pub installed_name: String,
    /// `DEST_MODULE_LOCATION`: where below `/lib/modules/RELEASE` it is installed, `/extra`; DKMS wants one.
    pub destination: Option<String>,
    /// `STRIP`: whether debug information is taken out.
    pub strip: bool,
    /// The kernels it alone is for, `BUILD_EXCLUSIVE_*[#]` with an index above 0.
    pub exclusive: Exclusive,
}

impl Module {
    /// A module of this name in this directory, of which nothing else is said.
    pub fn plain(name: String, location: Utf8PathBuf) -> Self {
        let installed_name = name.clone();
        Self {
            name,
            location,
            installed_name,
            destination: None,
            strip: true,
            exclusive: Exclusive::default(),
        }
    }
}

/// What DKMS knows, and what it has known.
const KNOWN: &[&str] = &[
    "AUTOINSTALL",
    "BUILD_DEPENDS",
    "BUILD_DEPENDS_REBUILD",
    "BUILD_EXCLUSIVE_ARCH",
    "BUILD_EXCLUSIVE_CONFIG",
    "BUILD_EXCLUSIVE_KERNEL",
    "BUILD_EXCLUSIVE_KERNEL_MAX",
    "BUILD_EXCLUSIVE_KERNEL_MIN",
    "BUILT_MODULE_LOCATION",
    "BUILT_MODULE_NAME",
    "CLEAN",
    "DEST_MODULE_LOCATION",
    "DEST_MODULE_NAME",
    "MAKE",
    "MAKE_MATCH",
    "NO_WEAK_MODULES",
    "OBSOLETE_BY",
    "PACKAGE_NAME",
    "PACKAGE_VERSION",
    "PATCH",
    "PATCH_MATCH",
    "POST_ADD",
    "POST_BUILD",
    "POST_INSTALL",
    "POST_REMOVE",
    "PRE_BUILD",
    "PRE_INSTALL",
    "STRIP",
];

/// Of this tool alone.
const OURS: &[&str] = &["PROJECT_FILES", "PROJECT_LOADS"];

/// Without effect since DKMS 3.0.
const GONE: &[&str] = &[
    "MODULES_CONF",
    "MODULES_CONF_ALIAS_TYPE",
    "MODULES_CONF_OBSOLETES",
    "MODULES_CONF_OBSOLETE_ONLY",
    "REMAKE_INITRD",
];

/// Programs that are run when DKMS changes the machine, which a build does not.
const OF_DKMS: &[&str] = &["POST_ADD", "POST_INSTALL", "POST_REMOVE", "PRE_INSTALL"];

/// The names of all directives.
pub fn all() -> impl Iterator<Item = &'static str> {
    [KNOWN, OURS, GONE].into_iter().flatten().copied()
}

/// Whether `name` is a directive, and not a variable that the file has for itself.
pub fn is_directive(name: &str) -> bool {
    all().any(|known| known == name)
}

/// What the user should know of a `dkms.conf` that can be read.
pub fn notices(evaluated: &Evaluated) -> Vec<String> {
    let mut notices = Vec::new();
    for (name, line) in &evaluated.unset {
        notices.push(format!("line {line}: ${name} is not set; it is empty, as for DKMS"));
    }
    for name in evaluated.values.names() {
        let said = if GONE.contains(&name) {
            "has no effect since DKMS 3.0"
        } else if name == "POST_BUILD" {
            "is not run: DKMS runs it when the modules are made and put away"
        } else if OF_DKMS.contains(&name) {
            "is run by DKMS alone (dkms-add, dkms-install and the like)"
        } else if name == "BUILD_DEPENDS" {
            "is left to DKMS: other projects' modules are not built first"
        } else if is_directive(name) || evaluated.used.contains(name) {
            continue;
        } else {
            "is no directive of DKMS, and nothing in the file uses it"
        };
        notices.push(format!("{name} {said}"));
    }
    notices
}

/// The modules of the package, by their numbers.
pub fn modules(file: &Utf8Path, values: &Values, package: &str) -> Result<Vec<Module>> {
    let arrays = ["BUILT_MODULE_NAME", "BUILT_MODULE_LOCATION", "DEST_MODULE_NAME", "DEST_MODULE_LOCATION"];
    let highest = arrays.iter().flat_map(|name| values.array(name)).map(|(index, _)| index).max();
    // Without any, DKMS has no module; one is what is meant.
    let count = highest.unwrap_or(0) + 1;
    let modules =
        (0..count).map(|index| module(file, values, package, index, count)).collect::<Result<Vec<_>>>()?;
    for (number, module) in modules.iter().enumerate() {
        let same = |other: &&Module| other.name == module.name && other.location == module.location;
        if modules[..number].iter().any(|other| same(&other)) {
            return Err(refused(file, format!("BUILT_MODULE_NAME[{number}]: {} a second time", module.name)));
        }
    }
    Ok(modules)
}

fn module(file: &Utf8Path, values: &Values, package: &str, index: u32, count: u32) -> Result<Module> {
    let text = |name: &str| values.element(name, index).filter(|text| !text.is_empty());
    let single = (count == 1).then_some(package);
    let name = text("BUILT_MODULE_NAME").or(single).ok_or_else(|| {
        refused(file, format!("BUILT_MODULE_NAME[{index}] is missing; {count} modules are described"))
    })?;
    let location = Utf8PathBuf::from(text("BUILT_MODULE_LOCATION").unwrap_or_default());
    let installed_name = text("DEST_MODULE_NAME").unwrap_or(name);
    for (directive, name) in [("BUILT_MODULE_NAME", name), ("DEST_MODULE_NAME", installed_name)] {
        if !plain_name(name) || name.ends_with(".ko") || name.ends_with(".o") {
            return Err(refused(
                file,
                format!("{directive}[{index}]: {name:?} is no plain name of a module, without .ko"),
            ));
        }
    }
    if leaves(&location) {
        return Err(refused(
            file,
            format!("BUILT_MODULE_LOCATION[{index}]: {location} is outside the project"),
        ));
    }
    let own = |index: u32| Exclusive::read(values, index);
    Ok(Module {
        name: name.to_owned(),
        location,
        installed_name: installed_name.to_owned(),
        destination: text("DEST_MODULE_LOCATION").map(str::to_owned),
        strip: strip(values, index),
        exclusive: if index == 0 { Exclusive::default() } else { own(index)? },
    })
}

fn strip(values: &Values, index: u32) -> bool {
    let said = |index: u32| values.element("STRIP", index).filter(|text| !text.is_empty());
    !said(index).or_else(|| said(0)).is_some_and(|text| text.starts_with(['n', 'N']))
}

/// The command that builds for `release`; for no kernel, the one for all others.
pub fn make(values: &Values, release: Option<&Release>) -> Result<String, Failure> {
    let there = |name: &str, index: u32| values.element(name, index).filter(|text| !text.is_empty());
    let mut chosen = there("MAKE", 0).filter(|_| release.is_none() || there("MAKE_MATCH", 0).is_none());
    for (index, command) in values.array("MAKE").filter(|(_, command)| !command.is_empty()) {
        let (Some(release), Some(pattern)) = (release, there("MAKE_MATCH", index)) else { continue };
        if Pattern::new("MAKE_MATCH", pattern)?.matches(release.as_str()) {
            chosen = Some(command);
        }
    }
    Ok(chosen.unwrap_or(DEFAULT_MAKE).to_owned())
}

/// What DKMS runs when there is no `MAKE`, or none that matches.
pub const DEFAULT_MAKE: &str = "make -C $kernel_source_dir M=$dkms_tree/$module/$module_version/build";

/// The patches for `release`, names of files in `patches/`, in order.
pub fn patches(file: &Utf8Path, values: &Values, release: &Release) -> Result<Vec<Utf8PathBuf>> {
    let mut patches = Vec::new();
    for (index, name) in values.array("PATCH").filter(|(_, name)| !name.is_empty()) {
        let pattern = values.element("PATCH_MATCH", index).filter(|text| !text.is_empty());
        let wanted = match pattern {
            Some(pattern) => Pattern::new("PATCH_MATCH", pattern)?.matches(release.as_str()),
            None => true,
        };
        let path = Utf8PathBuf::from(name);
        if leaves(&path) {
            return Err(refused(file, format!("PATCH[{index}]: {name} is outside of patches/")));
        }
        if wanted {
            patches.push(path);
        }
    }
    Ok(patches)
}

/// The version that the project goes by. Where packaging has not filled in the file's, it is in the name of the
/// directory, `NAME-VERSION`, which is what DKMS itself goes by.
pub fn version(file: &Utf8Path, name: &str, stated: &str) -> Result<String> {
    let mark = |c: char| stated.len() > 2 && stated.starts_with(c) && stated.ends_with(c);
    if !mark('#') && !mark('@') {
        return Ok(stated.to_owned());
    }
    let directory = file.parent().and_then(Utf8Path::file_name).unwrap_or_default();
    let version = directory.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
    version.filter(|version| plain_name(version)).map(str::to_owned).ok_or_else(|| {
        let reason = format!("PACKAGE_VERSION is {stated}, which packaging is to fill in");
        let remedy = format!("set PACKAGE_VERSION=\"…\" in it, or name the directory {name}-VERSION");
        Failure::refused(file.as_str(), reason).remedy(remedy).into()
    })
}

/// The words of a list, such as `PROJECT_LOADS`.
pub fn words(values: &Values, name: &str) -> Option<Vec<String>> {
    values.scalar(name).map(|text| text.split_whitespace().map(str::to_owned).collect())
}

/// Whether `text` can be a part of file names and of make's command line.
pub fn plain_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.+~".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(allowed)
}

/// Whether `path` is not below the directory it is relative to.
pub fn leaves(path: &Utf8Path) -> bool {
    path.is_absolute() || path.components().any(|part| part == camino::Utf8Component::ParentDir)
}

fn refused(file: &Utf8Path, reason: String) -> anyhow::Error {
    Failure::refused(file.as_str(), reason).remedy("mend it: dkms(8) describes each directive").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::DkmsConf;

    fn evaluated(text: &str) -> Evaluated {
        DkmsConf::parse(text).unwrap().evaluate(&Default::default()).unwrap()
    }

    fn modules_of(text: &str) -> Result<Vec<Module>> {
        modules(Utf8Path::new("/p/dkms.conf"), &evaluated(text).values, "package")
    }

    #[test]
    fn modules_are_numbered() {
        let one = modules_of("DEST_MODULE_LOCATION=/extra").unwrap();
        assert_eq!((one[0].name.as_str(), one[0].destination.as_deref()), ("package", Some("/extra")));
        let text = "BUILT_MODULE_NAME=(a b c)\nBUILT_MODULE_LOCATION[1]=src/\nDEST_MODULE_NAME[2]=d\nSTRIP=no\nSTRIP[1]=yes\n\
                    BUILD_EXCLUSIVE_KERNEL_MIN[2]=7";
        let all = modules_of(text).unwrap();
        assert_eq!(all.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(all.iter().map(|m| m.installed_name.as_str()).collect::<Vec<_>>(), ["a", "b", "d"]);
        assert_eq!(all.iter().map(|m| m.strip).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!((all[0].location.as_str(), all[1].location.as_str()), ("", "src/"));
        assert!(all[1].exclusive == Exclusive::default() && all[2].exclusive != Exclusive::default());
    }

    #[test]
    fn modules_that_cannot_be_are_refused_with_their_number() {
        for (text, reason) in [
            ("BUILT_MODULE_NAME[1]=b", "BUILT_MODULE_NAME[0] is missing; 2 modules"),
            ("BUILT_MODULE_NAME[0]=a\nDEST_MODULE_LOCATION[9999]=/extra", "BUILT_MODULE_NAME[1] is missing"),
            ("BUILT_MODULE_NAME=(a a)", "BUILT_MODULE_NAME[1]: a a second time"),
            ("BUILT_MODULE_NAME=x.ko", "no plain name"),
            ("BUILT_MODULE_NAME=../x", "no plain name"),
            ("DEST_MODULE_NAME='x y'", "DEST_MODULE_NAME[0]"),
            ("BUILT_MODULE_LOCATION=/etc", "outside the project"),
            ("BUILT_MODULE_LOCATION=a/../../b", "outside the project"),
        ] {
            let error = modules_of(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn commands_are_chosen_by_the_kernel() {
        let release: Release = "6.12.1-amd64".parse().unwrap();
        for (text, command) in [
            ("", DEFAULT_MAKE),
            ("MAKE=m0", "m0"),
            ("MAKE=''", DEFAULT_MAKE),
            ("MAKE=(m0 m1)", "m0"),
            ("MAKE=(m0 m1)\nMAKE_MATCH[1]='^6\\.'", "m1"),
            ("MAKE=(m0 m1)\nMAKE_MATCH[1]='^5\\.'", "m0"),
            ("MAKE=(m0 m1 m2)\nMAKE_MATCH=('' '^6' amd64)", "m2"),
            ("MAKE=m0\nMAKE_MATCH='^5\\.'", DEFAULT_MAKE),
        ] {
            assert_eq!(make(&evaluated(text).values, Some(&release)).unwrap(), command, "{text}");
        }
    }

    #[test]
    fn patches_are_chosen_by_the_kernel() {
        let names = |text: &str, release: &str| {
            patches("dkms.conf".into(), &evaluated(text).values, &release.parse().unwrap())
        };
        let text = "PATCH=(a.patch b.patch sub/c.patch)\nPATCH_MATCH[1]='^5\\.'";
        assert_eq!(names(text, "6.12.1").unwrap(), ["a.patch", "sub/c.patch"]);
        assert_eq!(names(text, "5.10.1").unwrap(), ["a.patch", "b.patch", "sub/c.patch"]);
        assert!(names("PATCH=../x.patch", "6.1").unwrap_err().to_string().contains("PATCH[0]"));
    }

    #[test]
    fn a_version_that_packaging_fills_in_is_that_of_the_directory() {
        let version = |dir: &str, stated: &str| {
            version(&Utf8Path::new(dir).join("dkms.conf"), "x", stated).map_err(|error| error.to_string())
        };
        assert_eq!(version("/usr/src/x-2.0", "1.0").unwrap(), "1.0");
        assert_eq!(version("/usr/src/x-2.0", "#MODULE_VERSION#").unwrap(), "2.0");
        assert_eq!(version("/usr/src/x-2.0", "@VERSION@").unwrap(), "2.0");
        assert!(version("/usr/src/y-2.0", "#MODULE_VERSION#").unwrap_err().contains("fill in"));
    }

    #[test]
    fn what_is_no_directive_is_said() {
        let text = "PACKAGE_NAME=x\nAUTO_INSTALL=yes\nDIR=src\nBUILT_MODULE_LOCATION=$DIR\nREMAKE_INITRD=no\nMAKE=\"m $OTHER\"\n\
                    PRE_INSTALL=x.sh\nPRE_BUILD=y.sh";
        let notices = notices(&evaluated(text));
        assert_eq!(notices.len(), 4, "{notices:?}");
        for (notice, said) in notices.iter().zip([
            "line 6: $OTHER",
            "AUTO_INSTALL is no directive",
            "PRE_INSTALL is run by DKMS alone",
            "REMAKE_INITRD",
        ]) {
            assert!(notice.starts_with(said), "{notice}");
        }
    }
}
