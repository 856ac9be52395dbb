// SPDX-License-Identifier: GPL-2.0
//! The directives of a `dkms.conf` (dkms(8), "DKMS.CONF"), as DKMS takes them.

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::error::{DirectiveError, DirectivePlace};
use crate::exclusive::Exclusive;
use crate::pattern::Pattern;
use crate::reader::values::Values;

pub use crate::names::{HOOKS, REMOVED, all};

/// What a `dkms.conf` says of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleDirectives {
    /// `BUILT_MODULE_NAME`: the file name without `.ko`.
    pub name: String,
    /// `BUILT_MODULE_LOCATION`: the directory of its file in the built tree, with the directory
    /// that `BUILT_MODULE_NAME` may have before the name.
    pub location: Utf8PathBuf,
    /// `DEST_MODULE_NAME`: the name of its installed file, without `.ko`.
    pub installed_name: String,
    /// `DEST_MODULE_LOCATION`: the directory below `/lib/modules/RELEASE` that it is installed
    /// into, `/extra`; DKMS requires one.
    pub destination: Option<String>,
    /// `STRIP`: whether its debug information is stripped.
    pub strip: bool,
    /// The kernels that this module is for: `BUILD_EXCLUSIVE_*[#]` with an index above 0.
    pub exclusive: Exclusive,
}

impl ModuleDirectives {
    /// A module of this name in this directory, with the defaults for everything else.
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

/// The modules of `package`, by their numbers.
///
/// # Errors
///
/// A module has no name, or one that cannot be; it is described twice, is installed under the name
/// of another, or lies outside the package.
pub fn modules(values: &Values, package: &str) -> Result<Vec<ModuleDirectives>, DirectiveError> {
    let arrays = ["BUILT_MODULE_NAME", "BUILT_MODULE_LOCATION", "DEST_MODULE_NAME", "DEST_MODULE_LOCATION"];
    let highest = arrays.iter().flat_map(|name| values.array(name)).map(|(index, _)| index).max();
    // If the file names no module, one named like the package is meant, although DKMS has none
    // then.
    let count = highest.unwrap_or(0) + 1;
    let modules: Vec<ModuleDirectives> =
        (0..count).map(|index| module(values, package, index, count)).collect::<Result<_, _>>()?;
    require_distinct(values, &modules)?;
    Ok(modules)
}

/// Refuses two modules of which one would be the other: the same file that make built, or the same
/// one that is installed. In which `DEST_MODULE_LOCATION` that lies is no difference, as
/// modprobe(8) knows a module by its name alone, in which a dash is an underscore. DKMS refuses the
/// same since 3.1.7 (`read_conf_strict`), though it takes dash and underscore for different.
fn require_distinct(values: &Values, modules: &[ModuleDirectives]) -> Result<(), DirectiveError> {
    let file = |module: &ModuleDirectives| (plain(&module.location), module.name.clone());
    for ((number, index), module) in (0..).zip(0u32..).zip(modules) {
        let before = &modules[..number];
        let place = |directive| DirectivePlace::of(values, directive, index);
        if before.iter().any(|other| file(other) == file(module)) {
            let place = place("BUILT_MODULE_NAME");
            return Err(DirectiveError::Twice { place, name: module.name.clone() });
        }
        let installed = known_as(&module.installed_name);
        if let Some(first) = before.iter().position(|other| known_as(&other.installed_name) == installed) {
            let [name, other] = [module, &before[first]].map(|module| module.installed_name.clone());
            let place = place("DEST_MODULE_NAME");
            return Err(DirectiveError::InstalledTwice { place, name, first, other });
        }
    }
    Ok(())
}

/// A module's name as depmod(8) and the kernel have it.
fn known_as(name: &str) -> String {
    name.replace('-', "_")
}

/// A directory without the dots in it that lead nowhere.
fn plain(dir: &Utf8Path) -> Utf8PathBuf {
    dir.components().filter(|part| *part != Utf8Component::CurDir).collect()
}

fn module(
    values: &Values,
    package: &str,
    index: u32,
    count: u32,
) -> Result<ModuleDirectives, DirectiveError> {
    let text = |name: &str| values.element(name, index).filter(|text| !text.is_empty());
    let single = (count == 1).then_some(package);
    let stated = text("BUILT_MODULE_NAME").or(single).ok_or(DirectiveError::Unnamed { index, count })?;
    let (directory, name) = split(stated);
    let place = |directive| DirectivePlace::of(values, directive, index);
    let installed_name = match text("DEST_MODULE_NAME") {
        Some(installed) => installed.strip_prefix("./").unwrap_or(installed),
        None if matches!(directory, "" | ".") => name,
        None => {
            let place = place("BUILT_MODULE_NAME");
            return Err(DirectiveError::NoInstalledName { place, name: stated.to_owned() });
        }
    };
    for (directive, name) in [("BUILT_MODULE_NAME", name), ("DEST_MODULE_NAME", installed_name)] {
        if !plain_name(name) || name.ends_with(".ko") || name.ends_with(".o") {
            let place = place(directive);
            return Err(DirectiveError::Name { place, name: name.to_owned() });
        }
    }
    let location = text("BUILT_MODULE_LOCATION").unwrap_or_default();
    for (directive, path) in [("BUILT_MODULE_LOCATION", location), ("BUILT_MODULE_NAME", directory)] {
        if leaves(Utf8Path::new(path)) {
            let place = place(directive);
            return Err(DirectiveError::Outside { place, path: path.to_owned(), of: "the project" });
        }
    }
    let location = Utf8PathBuf::from(location);
    let location = if directory.is_empty() { location } else { plain(&location.join(directory)) };
    Ok(ModuleDirectives {
        name: name.to_owned(),
        location,
        installed_name: installed_name.to_owned(),
        destination: text("DEST_MODULE_LOCATION").map(str::to_owned),
        strip: strip(values, index),
        exclusive: if index == 0 { Exclusive::default() } else { Exclusive::read(values, index)? },
    })
}

/// A name's directory, which DKMS lets it have, and what is after the last slash.
fn split(name: &str) -> (&str, &str) {
    match name.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((directory, name)) => (directory, name),
        None => ("", name),
    }
}

fn strip(values: &Values, index: u32) -> bool {
    let said = |index: u32| values.element("STRIP", index).filter(|text| !text.is_empty());
    !said(index).or_else(|| said(0)).is_some_and(|text| text.starts_with(['n', 'N']))
}

/// The command that builds for the kernel `release`; without one, the command for kernels that no
/// `MAKE_MATCH` names.
///
/// # Errors
///
/// A `MAKE_MATCH` is not a regular expression.
pub fn make(values: &Values, release: Option<&str>) -> Result<String, DirectiveError> {
    let there = |name: &str, index: u32| values.element(name, index).filter(|text| !text.is_empty());
    let mut chosen = there("MAKE", 0).filter(|_| release.is_none() || there("MAKE_MATCH", 0).is_none());
    for (index, command) in values.array("MAKE").filter(|(_, command)| !command.is_empty()) {
        let pattern = Pattern::of(values, "MAKE_MATCH", index)?;
        if let (Some(release), Some(pattern)) = (release, pattern)
            && pattern.matches(release)
        {
            chosen = Some(command);
        }
    }
    Ok(chosen.unwrap_or(DEFAULT_MAKE).to_owned())
}

/// What DKMS runs if there is no `MAKE`, or none that matches.
pub const DEFAULT_MAKE: &str = "make -C $kernel_source_dir M=$dkms_tree/$module/$module_version/build";

/// The patches for the kernel `release`: files in `patches/`, in the order they are applied in.
///
/// # Errors
///
/// A `PATCH_MATCH` is not a regular expression, or a patch is outside `patches/`.
pub fn patches(values: &Values, release: &str) -> Result<Vec<Utf8PathBuf>, DirectiveError> {
    let mut patches = Vec::new();
    for (index, name) in values.array("PATCH").filter(|(_, name)| !name.is_empty()) {
        let pattern = Pattern::of(values, "PATCH_MATCH", index)?;
        let wanted = pattern.is_none_or(|pattern| pattern.matches(release));
        let path = Utf8PathBuf::from(name);
        if leaves(&path) {
            let place = DirectivePlace::of(values, "PATCH", index);
            return Err(DirectiveError::Outside { place, path: name.to_owned(), of: "patches/" });
        }
        if wanted {
            patches.push(path);
        }
    }
    Ok(patches)
}

/// The version of `package`, of which its `PACKAGE_VERSION` has `stated` this. If that is still a
/// placeholder, the version is in the name of the file's `directory`, `NAME-VERSION`, which is what
/// DKMS itself goes by.
///
/// # Errors
///
/// It is a placeholder, and the directory is not called so.
///
/// ```
/// use dkms_conf::directives::version;
///
/// assert_eq!(version("hello", "1.0", "hello")?, "1.0");
/// assert_eq!(version("hello", "#MODULE_VERSION#", "hello-1.1")?, "1.1");
/// # Ok::<(), dkms_conf::DirectiveError>(())
/// ```
pub fn version(package: &str, stated: &str, directory: &str) -> Result<String, DirectiveError> {
    if !is_placeholder(stated) {
        return Ok(stated.to_owned());
    }
    let version = directory.strip_prefix(package).and_then(|rest| rest.strip_prefix('-'));
    version.filter(|version| plain_name(version)).map(str::to_owned).ok_or_else(|| {
        DirectiveError::Placeholder {
            directive: "PACKAGE_VERSION".to_owned(),
            package: package.to_owned(),
            stated: stated.to_owned(),
        }
    })
}

/// Whether `text` holds the place for what packaging is to write there: a word between marks
/// (`#MODULE_VERSION#`, `1.0-@REV@`, `__VERSION__`, `%{version}`), or one that says of itself what
/// it is (`VERSION_PLACEHOLDER`).
///
/// ```
/// use dkms_conf::directives::is_placeholder;
///
/// assert!(is_placeholder("@PKGVER@") && is_placeholder("__VERSION__"));
/// assert!(!is_placeholder("1.0") && !is_placeholder("2.0__beta__1") && !is_placeholder("git"));
/// ```
pub fn is_placeholder(text: &str) -> bool {
    let marks = [("#", "#"), ("@", "@"), ("%", "%"), ("{{", "}}"), ("%{", "}"), ("<", ">"), ("[", "]")];
    let word = |text: &str| {
        text.contains(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-. ".contains(c))
    };
    let between = |(open, close): (&str, &str)| {
        let rest = text.split_once(open)?.1;
        rest.split_once(close).map(|(inner, _)| word(inner))
    };
    let underscored = text.strip_prefix("__").and_then(|rest| rest.strip_suffix("__")).is_some_and(word);
    let named = !text.contains(|c: char| c.is_ascii_digit() || c.is_ascii_lowercase())
        && ["VERSION", "PKGVER", "PLACEHOLDER", "PKGNAME"].iter().any(|name| text.contains(name));
    underscored || named || marks.into_iter().any(|pair| between(pair) == Some(true))
}

/// The words of a list; `None` if the variable is not set.
pub fn words(values: &Values, name: &str) -> Option<Vec<String>> {
    values.scalar(name).map(|text| text.split_whitespace().map(str::to_owned).collect())
}

/// Whether `text` is safe as part of a file name and of make's command line.
pub fn plain_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.+~".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(allowed)
}

/// Whether `path` leads out of the directory that it is relative to.
pub fn leaves(path: &Utf8Path) -> bool {
    path.is_absolute() || path.components().any(|part| part == Utf8Component::ParentDir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::DkmsConf;

    fn values(text: &str) -> Values {
        DkmsConf::parse(text).unwrap().evaluate(&Default::default()).unwrap().values
    }

    fn modules_of(text: &str) -> Result<Vec<ModuleDirectives>, DirectiveError> {
        modules(&values(text), "package")
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

    /// What the real dkms makes of it: `package::corpus` builds such a project with it.
    #[test]
    fn a_name_may_have_a_directory() {
        for (text, location, name, installed) in [
            ("BUILT_MODULE_NAME=sub/x\nDEST_MODULE_NAME=y", "sub", "x", "y"),
            ("BUILT_MODULE_NAME=sub//x\nDEST_MODULE_NAME=x", "sub", "x", "x"),
            ("BUILT_MODULE_NAME=sub/x\nBUILT_MODULE_LOCATION=a/\nDEST_MODULE_NAME=x", "a/sub", "x", "x"),
            ("BUILT_MODULE_NAME=./x", "", "x", "x"),
            ("BUILT_MODULE_NAME=x\nDEST_MODULE_NAME=./y", "", "x", "y"),
        ] {
            let module = &modules_of(text).unwrap()[0];
            let found = (module.location.as_str(), module.name.as_str(), module.installed_name.as_str());
            assert_eq!(found, (location, name, installed), "{text}");
        }
    }

    #[test]
    fn modules_that_cannot_be_are_refused_with_their_number() {
        for (text, reason) in [
            ("BUILT_MODULE_NAME[1]=b", "BUILT_MODULE_NAME[0] is missing; 2 modules"),
            ("BUILT_MODULE_NAME[0]=a\nDEST_MODULE_LOCATION[9999]=/extra", "BUILT_MODULE_NAME[1] is missing"),
            ("BUILT_MODULE_NAME=(a a)", "BUILT_MODULE_NAME[1]: a a second time"),
            (
                "BUILT_MODULE_NAME=(a a)\nBUILT_MODULE_LOCATION=(s ./s/)\nDEST_MODULE_NAME[1]=b",
                "a second time",
            ),
            ("BUILT_MODULE_NAME=x.ko", "not a plain module name"),
            ("BUILT_MODULE_NAME=../x", "and no DEST_MODULE_NAME"),
            ("BUILT_MODULE_NAME=../x\nDEST_MODULE_NAME=x", "is outside the project"),
            ("BUILT_MODULE_NAME=/x\nDEST_MODULE_NAME=x", "is outside the project"),
            ("BUILT_MODULE_NAME=sub/x", "and no DEST_MODULE_NAME"),
            ("BUILT_MODULE_NAME=sub/\nDEST_MODULE_NAME=x", "not a plain module name"),
            ("DEST_MODULE_NAME=sub/x", "not a plain module name"),
            ("DEST_MODULE_NAME='x y'", "DEST_MODULE_NAME[0]"),
            ("BUILT_MODULE_LOCATION=/etc", "is outside the project"),
            ("BUILT_MODULE_LOCATION=a/../../b", "is outside the project"),
        ] {
            let error = modules_of(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn two_modules_are_never_installed_as_one() {
        let two = "BUILT_MODULE_NAME=(a b)\n";
        for (text, reason) in [
            ("DEST_MODULE_NAME=(s s)", "DEST_MODULE_NAME[1]: s is the name of module 0 as well"),
            ("DEST_MODULE_NAME[1]=a", "DEST_MODULE_NAME[1]: a is the name of module 0 as well"),
            ("DEST_MODULE_NAME[0]=b", "DEST_MODULE_NAME[1]: b is the name of module 0 as well"),
            ("DEST_MODULE_NAME=(s-t s_t)", "DEST_MODULE_NAME[1]: s_t is, as s-t, the name of module 0"),
            (
                "DEST_MODULE_NAME=(s s)\nDEST_MODULE_LOCATION=(/extra /kernel/net)",
                "DEST_MODULE_NAME[1]: s is",
            ),
            ("BUILT_MODULE_NAME[1]=a\nBUILT_MODULE_LOCATION=(x y)", "DEST_MODULE_NAME[1]: a is"),
            ("DEST_MODULE_NAME=(s s)\nBUILD_EXCLUSIVE_KERNEL_MIN[1]=7", "DEST_MODULE_NAME[1]: s is"),
        ] {
            let error = modules_of(&format!("{two}{text}")).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        // Each gets a name of its own, even if it is that of another file before.
        let swapped = modules_of(&format!("{two}DEST_MODULE_NAME=(b a)")).unwrap();
        assert_eq!(swapped.iter().map(|m| m.installed_name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        let apart = "BUILT_MODULE_NAME=(a a)\nBUILT_MODULE_LOCATION=(x y)\nDEST_MODULE_NAME=(a1 a2)";
        assert_eq!(modules_of(apart).unwrap().len(), 2);
    }

    #[test]
    fn commands_are_chosen_by_the_kernel() {
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
            assert_eq!(make(&values(text), Some("6.12.1-amd64")).unwrap(), command, "{text}");
        }
    }

    #[test]
    fn patches_are_chosen_by_the_kernel() {
        let names = |text: &str, release: &str| patches(&values(text), release);
        let text = "PATCH=(a.patch b.patch sub/c.patch)\nPATCH_MATCH[1]='^5\\.'";
        assert_eq!(names(text, "6.12.1").unwrap(), ["a.patch", "sub/c.patch"]);
        assert_eq!(names(text, "5.10.1").unwrap(), ["a.patch", "b.patch", "sub/c.patch"]);
        assert!(names("PATCH=../x.patch", "6.1").unwrap_err().to_string().contains("PATCH[0]"));
    }

    #[test]
    fn a_placeholder_for_the_version_is_replaced_by_that_of_the_directory() {
        assert_eq!(version("x", "1.0", "x-2.0").unwrap(), "1.0");
        assert_eq!(version("x", "#MODULE_VERSION#", "x-2.0").unwrap(), "2.0");
        assert_eq!(version("x", "@VERSION@", "x-2.0").unwrap(), "2.0");
        for placeholder in [
            "__VERSION__",
            "@PKGVER@",
            "VERSION_PLACEHOLDER",
            "INSERT_VERSION_HERE",
            "%{version}",
            "{{ version }}",
            "<version>",
            "1.2-@REV@",
            "%VERSION%",
        ] {
            assert_eq!(version("x", placeholder, "x-2.0").unwrap(), "2.0", "{placeholder}");
        }
        for version_itself in
            ["1.0", "git", "r42", "20260101", "1.0-rc1", "A", "1.0+VERSION2", "v__1__", "#", "@@"]
        {
            assert_eq!(version("x", version_itself, "x-2.0").unwrap(), version_itself);
        }
        for directory in ["y-2.0", "x", "x-", "x-../y"] {
            let error = version("x", "#MODULE_VERSION#", directory).unwrap_err();
            assert!(error.to_string().contains("placeholder"), "{directory}: {error}");
        }
    }
}
