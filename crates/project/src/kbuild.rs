// SPDX-License-Identifier: GPL-2.0
//! What a `Kbuild` or a `Makefile` says it builds (Documentation/kbuild/modules.rst, "Creating a
//! Kbuild File for an External Module"): enough to know a directory of module sources when one sees
//! it. What is really built, `modules.order` says.

use camino::{Utf8Path, Utf8PathBuf};

/// What the assignments to `obj-m` and `obj-$(CONFIG_…)` name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KbuildFile {
    /// Modules, by their names without `.o`.
    pub modules: Vec<String>,
    /// Directories with further files of this kind.
    pub directories: Vec<Utf8PathBuf>,
    /// All objects that any assignment names, without `.o`: modules, and what they are composed of.
    pub objects: Vec<String>,
    /// Whether something is named by a variable, which only make knows.
    pub variable: bool,
}

impl KbuildFile {
    /// Reads the text of a file. Conditionals are not evaluated: what is in any branch counts.
    pub fn parse(text: &str) -> Self {
        let mut file = Self::default();
        for line in text.replace("\\\n", " ").lines() {
            let line = line.split('#').next().unwrap_or_default();
            let Some((target, words)) = assignment(line) else { continue };
            for word in words.split_whitespace() {
                file.take(target, word);
            }
        }
        file
    }

    fn take(&mut self, target: &str, word: &str) {
        let of_modules = target == "obj-m" || target.starts_with("obj-$(CONFIG_");
        if word.contains('$') {
            self.variable |= of_modules;
        } else if let Some(name) = word.strip_suffix(".o") {
            push(&mut self.objects, name.to_owned());
            if of_modules {
                push(&mut self.modules, name.to_owned());
            }
        } else if of_modules && word.ends_with('/') {
            push(&mut self.directories, Utf8PathBuf::from(word.trim_end_matches('/')));
        }
    }

    /// Whether it builds modules.
    pub fn builds_modules(&self) -> bool {
        self.variable || !self.modules.is_empty() || !self.directories.is_empty()
    }

    /// The file of `dir` that Kbuild reads: `Kbuild`, or else `Makefile`.
    pub fn of(dir: &Utf8Path) -> Option<Self> {
        let read = |name: &str| fs_err::read(dir.join(name)).ok();
        let bytes = read("Kbuild").or_else(|| read("Makefile"))?;
        Some(Self::parse(&String::from_utf8_lossy(&bytes)))
    }
}

/// The target and the words of `target := words`.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (left, words) = line.split_once('=')?;
    let target = left.trim_end_matches([':', '+', '?']).trim();
    let plain = !target.is_empty() && !target.contains(char::is_whitespace);
    (plain && !line.starts_with('\t')).then_some((target, words))
}

fn push<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if !list.contains(&value) {
        list.push(value);
    }
}

/// A module that was built: its directory below that of the build, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderedModule {
    /// Its directory, empty for the build's own.
    pub location: Utf8PathBuf,
    /// Its name without suffix.
    pub name: String,
}

/// The modules of a `modules.order`: a path a line, ending with `.o` or `.ko`. Kernels before 6.13
/// write it from the root of the file system, `build` being the directory.
pub fn modules_order(text: &str, build: &Utf8Path) -> Vec<OrderedModule> {
    let module = |line: &str| {
        let path = line.strip_suffix(".ko").or_else(|| line.strip_suffix(".o"))?;
        let path = Utf8Path::new(path);
        let path = path.strip_prefix(build).or_else(|_| path.strip_prefix(".")).unwrap_or(path);
        let location = path.parent().map(Utf8Path::to_owned).unwrap_or_default();
        (!path.is_absolute()).then(|| Some(OrderedModule { location, name: path.file_name()?.to_owned() }))?
    };
    text.lines().filter_map(|line| module(line.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_in_many_ways() {
        for (text, modules, directories) in [
            ("obj-m := hello.o\n", &["hello"][..], &[][..]),
            ("obj-m += a.o b.o # c.o\nobj-m += a.o\n", &["a", "b"], &[]),
            ("obj-m = \\\n  a.o \\\n  b.o\n", &["a", "b"], &[]),
            ("ifneq ($(KERNELRELEASE),)\n  obj-m:=x.o\nelse\nall:\n\tobj-m = no.o\nendif\n", &["x"], &[]),
            ("obj-$(CONFIG_E1000E) += e1000e.o\ne1000e-objs := netdev.o ich.o\n", &["e1000e"], &[]),
            ("obj-m += core/ drivers/usb/\n", &[], &["core", "drivers/usb"]),
            ("obj-y += built_in.o\nCFLAGS = -O2\n", &[], &[]),
            ("all:\n\techo obj-m := x.o\n", &[], &[]),
        ] {
            let file = KbuildFile::parse(text);
            assert_eq!(file.modules, modules, "{text}");
            assert_eq!(file.directories, directories, "{text}");
            assert_eq!(file.builds_modules(), !modules.is_empty() || !directories.is_empty(), "{text}");
        }
    }

    #[test]
    fn what_a_variable_names_only_make_knows() {
        let file = KbuildFile::parse("obj-m := $(NAME).o\n");
        assert!(file.variable && file.builds_modules() && file.modules.is_empty());
    }

    #[test]
    fn parts_of_modules_are_objects() {
        let file = KbuildFile::parse("obj-m := a.o\na-y := main.o parser.o\na-$(CONFIG_X) += extra.o\n");
        assert_eq!(file.objects, ["a", "main", "parser", "extra"]);
    }

    #[test]
    fn what_was_built_is_read_as_every_kernel_writes_it() {
        let module =
            |location: &str, name: &str| OrderedModule { location: location.into(), name: name.into() };
        for (text, modules) in [
            ("/s/build/hello.o\n", vec![module("", "hello")]),
            ("hello.o\nsub/deep/x.o\n", vec![module("", "hello"), module("sub/deep", "x")]),
            ("./hello.o\n", vec![module("", "hello")]),
            ("/s/build/sub/hello.ko\n", vec![module("sub", "hello")]),
            ("/elsewhere/x.o\nnonsense\n", vec![]),
        ] {
            assert_eq!(modules_order(text, Utf8Path::new("/s/build")), modules, "{text}");
        }
    }
}
