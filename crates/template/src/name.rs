// SPDX-License-Identifier: GPL-2.0
//! Names: of a new repository, of a module, of an option of the kernel, of a place in its source.

use std::fmt::{self, Display};

use camino::{Utf8Path, Utf8PathBuf};

use crate::Invalid;

/// The kernel's `MODULE_NAME_LEN` on 64 bits, `64 - sizeof(unsigned long)`, with the NUL at the
/// end.
const MODULE_NAME_LEN: usize = 56;

/// The name of a new repository and its package: lowercase letters, digits, `-` and `_`, a letter
/// first.
///
/// The module in it has the same name with `_` for `-`, as the kernel itself writes it:
/// [`Name::module`]. Whether the kernel has a module of that name already is for who has a kernel
/// to find out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

/// The name of a package that somebody else's project has, as rpm allows it: letters, digits and
/// `. _ + -`, a letter or digit first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackageName(String);

/// The name of a built module: the file's, without `.ko`.
///
/// The kernel's own begin with digits and have capitals, too: `8021q`, `nf_conntrack`, `TEST`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModuleName(String);

/// An option of the kernel's configuration, `CONFIG_DUMMY`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigOption(String);

/// A file or directory of the kernel's source: plain names between slashes, relative to its root.
/// The last name may begin with `*`, where files of a directory are meant by the end of their
/// names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelPath(Utf8PathBuf);

/// Words that C or Rust keeps for itself. A module's name becomes part of identifiers, and the name
/// of a Rust crate.
const KEYWORDS: &[&str] = &[
    // C, and what the kernel's headers define as one.
    "asm", "auto", "bool", "break", "case", "char", "const", "continue", "current", "default", "do", "double",
    "else", "enum", "extern", "false", "float", "for", "goto", "if", "inline", "int", "linux", "long",
    "register", "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "true",
    "typedef", "typeof", "union", "unix", "unsigned", "void", "volatile", "while", // Rust.
    "abstract", "as", "async", "await", "become", "box", "crate", "dyn", "final", "fn", "gen", "impl", "in",
    "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "self", "super",
    "trait", "try", "type", "unsafe", "unsized", "use", "virtual", "where", "yield",
];

/// Crates that every Rust module of the kernel sees, and what Kbuild and cargo make beside the
/// sources.
const TAKEN: &[&str] = &[
    "alloc",
    "bindings",
    "build_error",
    "compiler_builtins",
    "core",
    "ffi",
    "kernel",
    "macros",
    "module",
    "modules",
    "pin_init",
    "pin_init_internal",
    "proc_macro",
    "proc_macro2",
    "quote",
    "std",
    "syn",
    "uapi",
    "vmlinux",
    "xtask",
    "zerocopy",
];

const NAME: &str = "give a name of lowercase letters, digits, - and _ that begins with a letter";

impl Name {
    /// Takes a word as a name.
    ///
    /// # Errors
    ///
    /// Refused, with a reason: what is no such name, what C, Rust or the build keeps for itself,
    /// what is too long for the kernel.
    pub fn parse(word: &str) -> Result<Self, Invalid> {
        let refuse = |reason: &str| Err(Invalid::new(word, reason, NAME));
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if word.is_empty() {
            return refuse("is empty");
        }
        if let Some(odd) = word.chars().find(|c| !allowed(*c)) {
            return refuse(&format!("{odd:?} cannot be in the name of a module"));
        }
        if !word.starts_with(|c: char| c.is_ascii_lowercase()) {
            return refuse("does not begin with a letter");
        }
        if word.ends_with(['-', '_']) || ["--", "__", "-_", "_-"].iter().any(|twice| word.contains(twice)) {
            return refuse("has a - or _ at its end or beside another");
        }
        let module = word.replace('-', "_");
        if KEYWORDS.contains(&module.as_str()) {
            return refuse("is a keyword of C or Rust");
        }
        if TAKEN.contains(&module.as_str()) {
            return refuse("is the name of something that takes part in every build");
        }
        require_length(word)?;
        Ok(Self(word.to_owned()))
    }

    /// As it was given: the name of the repository and of its packages.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the module in it.
    pub fn module(&self) -> ModuleName {
        ModuleName(self.0.replace('-', "_"))
    }

    /// The same in camel case, as the name of a type: `HelloWorld`.
    pub(crate) fn type_name(&self) -> String {
        let capital = |part: &str| {
            let (first, rest) = part.split_at(part.len().min(1));
            first.to_ascii_uppercase() + rest
        };
        self.0.split(['-', '_']).map(capital).collect()
    }
}

impl PackageName {
    /// Takes a word as the name of a package.
    ///
    /// # Errors
    ///
    /// Refused, if rpm takes no package of that name.
    pub fn parse(word: &str) -> Result<Self, Invalid> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        if word.starts_with(|c: char| c.is_ascii_alphanumeric()) && word.chars().all(allowed) {
            return Ok(Self(word.to_owned()));
        }
        let remedy = "give a name of letters, digits and . _ + - that begins with a letter or digit";
        Err(Invalid::new(word, "is not the name of a package", remedy))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Name> for PackageName {
    fn from(name: &Name) -> Self {
        Self(name.0.clone())
    }
}

impl ModuleName {
    /// Takes a word as the name of a built module.
    ///
    /// # Errors
    ///
    /// Refused, if no module can have that name.
    pub fn parse(word: &str) -> Result<Self, Invalid> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if word.is_empty() || word.starts_with('-') || !word.chars().all(allowed) {
            let remedy = "give a file's name without .ko: letters, digits, - and _";
            return Err(Invalid::new(word, "is not the name of a module", remedy));
        }
        require_length(word)?;
        Ok(Self(word.to_owned()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn require_length(word: &str) -> Result<(), Invalid> {
    if word.len() < MODULE_NAME_LEN {
        return Ok(());
    }
    let reason = format!("has {} bytes, and the kernel takes {}", word.len(), MODULE_NAME_LEN - 1);
    Err(Invalid::new(word, reason, "give a shorter name"))
}

impl ConfigOption {
    /// Takes a word as the name of an option.
    ///
    /// # Errors
    ///
    /// Refused, if it is none, or is without `CONFIG_`.
    pub fn parse(word: &str) -> Result<Self, Invalid> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match word.strip_prefix("CONFIG_") {
            Some(rest) if !rest.is_empty() && rest.chars().all(allowed) => Ok(Self(word.to_owned())),
            _ => Err(Invalid::new(word, "is not an option of the kernel", "give one such as CONFIG_DUMMY")),
        }
    }

    /// As it is written, with `CONFIG_`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl KernelPath {
    /// Takes a word as a path. A slash at the end is dropped.
    ///
    /// # Errors
    ///
    /// Refused, if it is absolute, leads out of the source, or has in it what make, a shell or tar
    /// would take for more than a part of a name.
    pub fn parse(word: &str) -> Result<Self, Invalid> {
        let refuse = |reason: &str| {
            Err(Invalid::new(
                word,
                reason,
                "give a path below the root of the kernel's source, such as fs/isofs",
            ))
        };
        let path = word.strip_suffix('/').unwrap_or(word);
        if path.is_empty() {
            return refuse("is empty");
        }
        if path.starts_with('/') {
            return refuse("is absolute");
        }
        if path.split('/').any(|part| part == "..") {
            return refuse("leads out of the source (..)");
        }
        let (dir, last) = path.rsplit_once('/').map_or((None, path), |(dir, last)| (Some(dir), last));
        // One `*` may begin the last name, below a directory.
        let last =
            last.strip_prefix('*').filter(|_| dir.is_some()).map_or(last.to_owned(), |end| format!("x{end}"));
        let plain = |part: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.+".contains(c);
            !part.is_empty() && part != "." && !part.starts_with('-') && part.chars().all(allowed)
        };
        if !dir.into_iter().flat_map(|dir| dir.split('/')).chain([last.as_str()]).all(plain) {
            return refuse("is not a plain path: names of letters, digits and _ - . + between slashes");
        }
        Ok(Self(path.into()))
    }

    /// As it is written.
    pub fn as_path(&self) -> &Utf8Path {
        &self.0
    }

    /// The source file of a module by itself, where it is one; else it is a directory.
    pub fn is_file(&self) -> bool {
        self.0.extension() == Some("c")
    }

    /// The directory in which what it names is built: itself, or the one that a file is in.
    pub fn dir(&self) -> &Utf8Path {
        if self.is_file() { self.0.parent().unwrap_or(&self.0) } else { &self.0 }
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Display for ConfigOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Display for KernelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_repositories() {
        let longest = "a".repeat(MODULE_NAME_LEN - 1);
        for (word, module) in [
            ("hello", "hello"),
            ("hello-world", "hello_world"),
            ("net2_x", "net2_x"),
            ("intx", "intx"),
            (longest.as_str(), longest.as_str()),
        ] {
            assert_eq!(Name::parse(word).unwrap().module().as_str(), module);
        }
        assert_eq!(Name::parse("hello-wide_world2").unwrap().type_name(), "HelloWideWorld2");
    }

    #[test]
    fn hostile_names_are_refused_with_a_reason() {
        let long = "a".repeat(MODULE_NAME_LEN);
        for (word, reason) in [
            ("", "is empty"),
            ("../x", "'.' cannot"),
            ("a/b", "'/' cannot"),
            ("/etc", "'/' cannot"),
            ("a b", "' ' cannot"),
            ("a\nb", "'\\n' cannot"),
            ("a\0b", "'\\0' cannot"),
            ("$(id)", "'$' cannot"),
            ("`id`", "'`' cannot"),
            ("a;b", "';' cannot"),
            ("a'b", "'\\'' cannot"),
            ("a\"b", "'\"' cannot"),
            ("a%b", "'%' cannot"),
            ("{{name}}", "'{' cannot"),
            ("a.ko", "'.' cannot"),
            ("Hello", "'H' cannot"),
            ("häl", "'ä' cannot"),
            ("-x", "begin with a letter"),
            ("--c", "begin with a letter"),
            ("_x", "begin with a letter"),
            ("1x", "begin with a letter"),
            ("x-", "at its end"),
            ("a--b", "beside another"),
            ("a-_b", "beside another"),
            ("int", "keyword"),
            ("fn", "keyword"),
            ("kernel", "takes part in every build"),
            ("pin-init", "takes part in every build"),
            (long.as_str(), "has 56 bytes, and the kernel takes 55"),
        ] {
            let invalid = Name::parse(word).unwrap_err();
            assert!(invalid.reason.contains(reason) && invalid.word == word, "{invalid}");
        }
    }

    #[test]
    fn names_of_packages_are_those_of_rpm() {
        for word in ["hello", "RTL8812AU", "8021q-fix", "a.b_c+d"] {
            assert_eq!(PackageName::parse(word).unwrap().as_str(), word);
        }
        for word in ["", "-x", "a b", "a~b", "../x", "%{x}", "a\nb"] {
            assert!(PackageName::parse(word).is_err(), "{word}");
        }
    }

    #[test]
    fn names_of_the_kernels_own_modules() {
        for word in ["8021q", "nls_iso8859-1", "isofs", "TEST"] {
            assert_eq!(ModuleName::parse(word).unwrap().as_str(), word);
        }
        for word in ["", "-x", "a b", "a.ko", "../x", "a/b", "$(x)", &"a".repeat(MODULE_NAME_LEN)] {
            assert!(ModuleName::parse(word).is_err(), "{word}");
        }
    }

    #[test]
    fn options_of_the_kernel() {
        assert_eq!(ConfigOption::parse("CONFIG_8139TOO").unwrap().as_str(), "CONFIG_8139TOO");
        for word in ["", "DUMMY", "CONFIG_", "CONFIG_A B", "CONFIG_A)$(shell", "CONFIG_A=m"] {
            assert!(ConfigOption::parse(word).is_err(), "{word}");
        }
    }

    #[test]
    fn paths_in_the_kernels_source() {
        for (word, path, file, dir) in [
            ("fs/isofs", "fs/isofs", false, "fs/isofs"),
            ("fs/isofs/", "fs/isofs", false, "fs/isofs"),
            ("drivers/net/dummy.c", "drivers/net/dummy.c", true, "drivers/net"),
            ("fs/nls/*.h", "fs/nls/*.h", false, "fs/nls/*.h"),
        ] {
            let parsed = KernelPath::parse(word).unwrap();
            assert_eq!(
                (parsed.as_path().as_str(), parsed.is_file(), parsed.dir().as_str()),
                (path, file, dir)
            );
        }
        for (word, reason) in [
            ("", "empty"),
            ("/", "empty"),
            ("/etc", "absolute"),
            ("..", "leads out"),
            ("fs/../../x", "leads out"),
            (".", "plain"),
            ("./fs", "plain"),
            ("fs//x", "plain"),
            ("--to-command=x", "plain"),
            ("fs/-x", "plain"),
            ("fs/a b", "plain"),
            ("fs/$(x)", "plain"),
            ("fs/a\nb", "plain"),
            ("fs/a,b", "plain"),
            ("fs/a\"b", "plain"),
            ("*.h", "plain"),
            ("fs/*/x", "plain"),
            ("fs/*.h*", "plain"),
        ] {
            assert!(KernelPath::parse(word).unwrap_err().reason.contains(reason), "{word}");
        }
    }
}
