// SPDX-License-Identifier: GPL-2.0
//! The files of a new repository.

use camino::{Utf8Path, Utf8PathBuf};

use crate::ci::{self, CiShare, Installation, MatrixPath, Pipeline};
use crate::fill::fill;
use crate::in_tree::InTreeModule;
use crate::makefile::{Makefile, makefile};
use crate::spec::{Spec, kmod_spec};
use crate::{Date, Fix, Licence, ModuleName, Name, PackageName, Source, Text, Version};

/// What is in a new repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A module in C.
    C,
    /// A module in Rust, with a `cargo xtask` of its own.
    Rust,
    /// A rebuild of one of the kernel's own modules: an import list and an empty patch series.
    Fix(Fix),
}

/// What a new repository is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its name.
    pub name: Name,
    /// What is in it.
    pub kind: Kind,
    /// Who wrote it.
    pub author: Text,
    /// Today.
    pub date: Date,
    /// Where it takes the tool from.
    pub tool: Source,
    /// The directory below `~/.cache` in which the tool keeps prepared kernels.
    pub cache: Name,
}

/// A file of a new repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is, relative to the repository.
    pub path: Utf8PathBuf,
    /// What is in it.
    pub text: String,
    /// Whether it is a program.
    pub executable: bool,
}

/// The script that DKMS runs before it builds a module in Rust.
pub const PREPARED: &str = include_str!("../files/prepared.sh");

/// The files of a new repository, in the order of their paths.
pub fn files(request: &Request) -> Vec<File> {
    let new = New { request, module: request.name.module() };
    let mut files = new.every_kind();
    files.extend(match &request.kind {
        Kind::C => new.in_c(),
        Kind::Rust => new.in_rust(),
        Kind::Fix(fix) => new.of_fix(fix),
    });
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn plain(path: impl Into<Utf8PathBuf>, text: impl Into<String>) -> File {
    File { path: path.into(), text: text.into(), executable: false }
}

fn program(path: impl Into<Utf8PathBuf>, text: impl Into<String>) -> File {
    File { executable: true, ..plain(path, text) }
}

/// A repository that is being made.
struct New<'a> {
    request: &'a Request,
    module: ModuleName,
}

impl New<'_> {
    fn every_kind(&self) -> Vec<File> {
        vec![
            plain(".github/workflows/kmod.yml", ci::github(&self.pipeline())),
            plain(".gitignore", include_str!("../files/gitignore")),
            plain(".gitlab-ci.yml", ci::gitlab(&self.pipeline())),
            program(ci::PREPARE, ci::script(&self.tool_for_ci())),
            plain("LICENSE", include_str!("../files/LICENSE")),
            plain("Makefile", makefile(&self.makefile())),
            plain("kmod.spec", kmod_spec(&self.spec())),
            plain(MATRIX, self.matrix()),
        ]
    }

    /// What CI runs, and whoever wants to know before that.
    fn pipeline(&self) -> Pipeline {
        Pipeline {
            file: MatrixPath::parse(MATRIX).expect("a path of our own"),
            tool: own(self.command()),
            install: Installation::Prepared,
            cache: self.request.cache.clone(),
            share: CiShare::Kernel,
        }
    }

    /// A rebuild is for the line whose patches it has, and `tests/run` would only do it again.
    fn matrix(&self) -> String {
        let values = match &self.request.kind {
            Kind::C | Kind::Rust => {
                [("newest", "two"), ("count", "2"), ("steps", "\"build\", \"insmod\", \"run:tests/run\"")]
            }
            Kind::Fix(_) => [("newest", "one"), ("count", "1"), ("steps", "\"build\", \"insmod\"")],
        };
        self.fill(include_str!("../files/matrix.toml"), &values)
    }

    fn in_c(&self) -> Vec<File> {
        let source = format!("{}.c", self.module);
        vec![
            plain("Kbuild", self.fill(include_str!("../files/kbuild-c"), &[])),
            plain("README.md", self.fill(include_str!("../files/readme-c.md"), &[])),
            plain(
                "dkms.conf",
                self.dkms_conf("", "", &["Kbuild", "Makefile", "dkms.conf", "LICENSE", &source]),
            ),
            plain(source.as_str(), self.fill(include_str!("../files/module.c"), &[])),
            program("tests/run", self.fill(include_str!("../files/tests-run"), &[])),
        ]
    }

    fn in_rust(&self) -> Vec<File> {
        let source = format!("{}.rs", self.module);
        let owned = ["Kbuild", "Makefile", "dkms.conf", "LICENSE", "prepared.sh", &source];
        let values = [("type_name", self.request.name.type_name()), ("ascii_author", self.ascii_author())];
        let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
        let mut files = self.xtask();
        files.extend([
            plain("Kbuild", self.fill(include_str!("../files/kbuild-rust"), &[])),
            plain("README.md", self.fill(include_str!("../files/readme-rust.md"), &[])),
            plain("dkms.conf", self.dkms_conf("CONFIG_RUST", PRE_BUILD, &owned)),
            plain(source.as_str(), self.fill(include_str!("../files/module.rs"), &values)),
            program("prepared.sh", PREPARED),
            program("tests/run", self.fill(include_str!("../files/tests-run"), &[])),
        ]);
        files
    }

    /// `cargo xtask`: a program of the repository's own, where the tool can be a dependency.
    fn xtask(&self) -> Vec<File> {
        let Some(dependency) = self.request.tool.dependency() else {
            return vec![plain(".cargo/config.toml", include_str!("../files/cargo-config-installed.toml"))];
        };
        let manifest = self.fill(include_str!("../files/xtask.toml"), &[("dependency", &dependency)]);
        vec![
            plain(".cargo/config.toml", include_str!("../files/cargo-config.toml")),
            plain("Cargo.toml", include_str!("../files/workspace.toml")),
            plain("xtask/Cargo.toml", manifest),
            plain("xtask/src/main.rs", include_str!("../files/xtask-main.rs")),
        ]
    }

    fn of_fix(&self, fix: &Fix) -> Vec<File> {
        let owned = ["Kbuild", "Makefile", "dkms.conf", "LICENSE"];
        let path = fix.path().to_string();
        let imports = [fix.path()].into_iter().chain(fix.also());
        let imports: String = imports.map(|path| format!("    \"{path}\",\n")).collect();
        let object = if fix.path().is_file() {
            fix.path().as_path().with_extension("o").into_string()
        } else {
            format!("{path}/")
        };
        let line = fix.line().to_string();
        let imported = imported(fix);
        let values: [(&str, &str); 8] = [
            ("path", &path),
            ("imports", &imports),
            ("imported", imported.as_str()),
            ("object", &object),
            ("options", &words(&options(fix))),
            ("modules", &words(&names(fix))),
            ("line", &line),
            ("exclusive", &option_checks(&self.request.name, fix)),
        ];
        vec![
            plain("Kbuild", self.fill(include_str!("../files/kbuild-fix"), &values)),
            plain("README.md", self.fill(include_str!("../files/readme-fix.md"), &values)),
            plain("dkms.conf", self.dkms_conf(&words(&options(fix)), "", &owned)),
            plain("import.toml", self.fill(include_str!("../files/import.toml"), &values)),
            plain(format!("patches/{line}/series"), self.fill(include_str!("../files/series"), &values)),
            program("tests/run", self.fill(include_str!("../files/tests-run-fix"), &values)),
        ]
    }

    /// A template with what every file may name.
    fn fill(&self, template: &str, more: &[(&str, &str)]) -> String {
        let request = self.request;
        let author = request.author.to_string();
        let values = [
            ("name", request.name.as_str()),
            ("module", self.module.as_str()),
            ("author", &author),
            ("command", self.command()),
            ("version", VERSION),
        ];
        fill(template, &[&values, more].concat())
    }

    /// The command as it is called in the repository.
    fn command(&self) -> &'static str {
        if self.request.kind == Kind::Rust { "cargo xtask" } else { "cargo kmod" }
    }

    /// What makes that command available.
    fn tool_for_ci(&self) -> String {
        match self.request.kind {
            // Compiled with the first use.
            Kind::Rust if self.request.tool != Source::Installed => String::new(),
            Kind::C | Kind::Rust | Kind::Fix(_) => self.request.tool.install(),
        }
    }

    /// Who wrote it, where nothing but ASCII is taken, as by the kernel's `module!`.
    fn ascii_author(&self) -> String {
        let author = self.request.author.to_string();
        if author.is_ascii() { author } else { format!("The {} authors", self.request.name) }
    }

    fn modules(&self) -> Vec<ModuleName> {
        match &self.request.kind {
            Kind::C | Kind::Rust => vec![self.module.clone()],
            Kind::Fix(fix) => fix.modules().iter().map(|module| module.name.clone()).collect(),
        }
    }

    /// Where its modules are built, where that is not the repository's own directory.
    fn built(&self) -> Option<&Utf8Path> {
        match &self.request.kind {
            Kind::C | Kind::Rust => None,
            Kind::Fix(fix) => Some(fix.path().dir()),
        }
    }

    fn summary(&self) -> Text {
        own(&match &self.request.kind {
            Kind::C | Kind::Rust => "Says hello when it is loaded".to_owned(),
            Kind::Fix(fix) => format!("The kernel's own {}, rebuilt with patches", list(&names(fix))),
        })
    }

    fn makefile(&self) -> Makefile {
        let fix = match &self.request.kind {
            Kind::Fix(fix) => Some(fix),
            Kind::C | Kind::Rust => None,
        };
        Makefile {
            about: own("Without cargo: a thin wrapper around the kernel's build system."),
            name: self.request.name.clone(),
            modules: self.modules(),
            summary: self.summary(),
            tool: own(self.command()),
            cache: self.request.cache.clone(),
            rust: self.request.kind == Kind::Rust,
            imported: fix.map(imported),
            install_dir: own_name(if fix.is_some() { "updates" } else { "extra" }),
        }
    }

    fn spec(&self) -> Spec {
        let request = self.request;
        let (licence, description) = match &request.kind {
            Kind::C | Kind::Rust => {
                (own_licence(), "A kernel module that says hello when it is loaded.".to_owned())
            }
            Kind::Fix(fix) => {
                let description = format!("{} of the kernel's own source, rebuilt with patches.", fix.path());
                (fix.licence().clone(), description)
            }
        };
        Spec {
            about: vec![own(&format!(
                "kmod-{}: for one kernel version, a package for each of its variants.",
                request.name
            ))],
            name: PackageName::from(&request.name),
            version: Version::parse(VERSION).expect("a version of our own"),
            licence,
            summary: self.summary(),
            description: vec![own(&description)],
            modules: self.modules(),
            packager: request.author.clone(),
            date: request.date,
        }
    }

    fn dkms_conf(&self, options: &str, pre_build: &str, owned: &[&str]) -> String {
        let destination = self.built().map_or_else(|| "/extra".to_owned(), |dir| format!("/kernel/{dir}"));
        let modules = self.modules().into_iter().enumerate().map(|(index, module)| {
            let location = self.built().map(|dir| format!("BUILT_MODULE_LOCATION[{index}]=\"{dir}\"\n"));
            format!(
                "BUILT_MODULE_NAME[{index}]=\"{module}\"\n{}DEST_MODULE_LOCATION[{index}]=\"{destination}\"\n",
                location.unwrap_or_default()
            )
        });
        let exclusive = match options {
            "" => String::new(),
            _ => format!(
                "# A kernel without these cannot have it, and DKMS then leaves it out without an error.\nBUILD_EXCLUSIVE_CONFIG=\"{options}\"\n\n"
            ),
        };
        // Of a kernel's source only one kernel's module is made, so DKMS does not build it for the
        // next by itself.
        let auto = if matches!(self.request.kind, Kind::Fix(_)) { "no" } else { "yes" };
        let values = [
            ("modules", modules.collect::<String>()),
            ("autoinstall", auto.to_owned()),
            ("exclusive", exclusive),
            ("pre_build", pre_build.to_owned()),
            ("files", owned.join(" ")),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.fill(include_str!("../files/dkms.conf"), &values)
    }
}

/// What is tried on which kernels.
const MATRIX: &str = "matrix.toml";

/// The first version of a new repository.
const VERSION: &str = "0.1.0";

/// For a kernel with Rust that nobody has prepared.
const PRE_BUILD: &str = "\
# A kernel with Rust that nobody has prepared is passed over, too, when DKMS builds for it by itself.
PRE_BUILD=\"prepared.sh $kernelver $kernel_source_dir\"
";

/// A text of our own, made of what was let in.
fn own(text: &str) -> Text {
    Text::parse(text).expect("texts of our own are plain, and what they are made of is")
}

fn own_name(name: &str) -> Name {
    Name::parse(name).expect("a name of our own")
}

fn own_licence() -> Licence {
    Licence::parse("GPL-2.0-only").expect("a licence of our own")
}

fn names(fix: &Fix) -> Vec<&str> {
    fix.modules().iter().map(|module| module.name.as_str()).collect()
}

/// The options that make its modules modules, each once.
fn options(fix: &Fix) -> Vec<&str> {
    let mut options: Vec<&str> = Vec::new();
    for option in fix.modules().iter().filter_map(|module: &InTreeModule| module.option.as_ref()) {
        if !options.contains(&option.as_str()) {
            options.push(option.as_str());
        }
    }
    options
}

fn words(words: &[&str]) -> String {
    words.join(" ")
}

/// As prose.
fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The file that is there once its source is imported.
fn imported(fix: &Fix) -> Utf8PathBuf {
    if fix.path().is_file() { fix.path().as_path().to_owned() } else { fix.path().as_path().join("Makefile") }
}

/// Lines of a Kbuild file that refuse a kernel without the module.
fn option_checks(name: &Name, fix: &Fix) -> String {
    let check = |option: &&str| {
        format!(
            "ifneq ($({option}),m)\n\
             $(error {name}: $(abspath $(objtree)): this kernel does not have it as a module ({option} is not m))\n\
             endif\n"
        )
    };
    options(fix).iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConfigOption, KernelPath, Line};

    fn request(name: &str, kind: Kind) -> Request {
        Request {
            name: Name::parse(name).unwrap(),
            kind,
            author: Text::parse("Łucja O'Neil <l@example.org>").unwrap(),
            date: Date::new(2026, 11, 26).unwrap(),
            tool: Source::Path("/a b/it's".into()),
            cache: Name::parse("cached").unwrap(),
        }
    }

    fn fix(path: &str, modules: &[(&str, &str)], also: &[&str]) -> Kind {
        let module = |(name, option): &(&str, &str)| InTreeModule {
            name: ModuleName::parse(name).unwrap(),
            option: (!option.is_empty()).then(|| ConfigOption::parse(option).unwrap()),
        };
        let fix = Fix::new(
            KernelPath::parse(path).unwrap(),
            modules.iter().map(module).collect(),
            also.iter().map(|path| KernelPath::parse(path).unwrap()).collect(),
            Line::parse("7.2").unwrap(),
            Licence::parse("GPL-2.0-or-later").unwrap(),
        );
        Kind::Fix(fix.unwrap())
    }

    /// Every kind, with all that may differ within one.
    fn all() -> Vec<(Request, Vec<File>)> {
        let modules = [("one", "CONFIG_A"), ("two", "CONFIG_A"), ("three", "CONFIG_B")];
        let kinds = [
            Kind::C,
            Kind::Rust,
            fix("fs/a", &modules, &["fs/n/*.h"]),
            fix("drivers/net/one.c", &[("one", "")], &[]),
        ];
        kinds.into_iter().map(|kind| request("new-one", kind)).map(|new| (new.clone(), files(&new))).collect()
    }

    fn text<'a>(files: &'a [File], path: &str) -> &'a str {
        &files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}")).text
    }

    /// The value of `NAME="value"`.
    fn assigned<'a>(conf: &'a str, name: &str) -> &'a str {
        let line = conf.lines().find_map(|line| line.strip_prefix(&format!("{name}=\"")));
        line.unwrap_or_else(|| panic!("no {name}")).trim_end_matches('"')
    }

    #[test]
    fn every_place_is_filled_and_every_file_ends_cleanly() {
        for (_, files) in all() {
            for File { path, text, .. } in files.iter().filter(|file| file.path != "LICENSE") {
                // GitHub's expressions are no places.
                assert!(!text.replace("${{", "").contains("{{"), "{path}:\n{text}");
                assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{path}:\n{text}");
                assert!(!text.contains("\n\n\n"), "{path}:\n{text}");
                assert!(!text.lines().any(|line| line.ends_with([' ', '\t'])), "{path}:\n{text}");
                let licensed =
                    text.lines().take(2).any(|line| line.contains("SPDX-License-Identifier: GPL-2.0"));
                assert!(licensed || path.extension() == Some("md"), "{path}");
            }
        }
    }

    #[test]
    fn paths_are_inside_once_and_programs_begin_with_their_interpreter() {
        for (_, files) in all() {
            assert!(files.is_sorted_by(|a, b| a.path < b.path));
            for File { path, text, executable } in &files {
                let inside = |part| matches!(part, camino::Utf8Component::Normal(_));
                assert!(path.components().all(inside), "{path}");
                assert_eq!(text.starts_with("#!/bin/sh\n"), *executable, "{path}");
            }
        }
    }

    /// What is named in one file is there in another.
    #[test]
    fn files_agree_on_names_versions_and_places() {
        for (request, files) in all() {
            let (conf, spec) = (text(&files, "dkms.conf"), text(&files, "kmod.spec"));
            assert_eq!(assigned(conf, "PACKAGE_NAME"), request.name.as_str());
            assert!(spec.contains(&format!("%global kmod_name {}\n", request.name)));
            let version = assigned(conf, "PACKAGE_VERSION");
            assert!(spec.contains(&format!("%global kmod_version {version}\n")), "{version}");
            for name in assigned(conf, "PROJECT_FILES").split(' ') {
                text(&files, name);
            }
            let built: Vec<String> = (0..)
                .map_while(|index| {
                    let name = format!("BUILT_MODULE_NAME[{index}]");
                    conf.contains(&name).then(|| assigned(conf, &name).to_owned())
                })
                .collect();
            assert!(spec.contains(&format!("%global kmod_modules {}\n", built.join(" "))), "{built:?}");
            let objects = built.iter().map(|name| format!("{name}.ko")).collect::<Vec<_>>().join(" ");
            assert!(text(&files, "Makefile").contains(&format!("objects := {objects}\n")), "{objects}");
        }
    }

    #[test]
    fn a_fix_imports_builds_and_replaces_what_was_named() {
        let of = |kind| files(&request("new-one", kind));
        let dir = of(fix("fs/a", &[("one", "CONFIG_A"), ("two", "CONFIG_B")], &["fs/n/*.h"]));
        let conf = text(&dir, "dkms.conf");
        assert!(text(&dir, "import.toml").ends_with("kernel = [\n    \"fs/a\",\n    \"fs/n/*.h\",\n]\n"));
        assert!(text(&dir, "Kbuild").ends_with("\nobj-m := fs/a/\n"));
        assert!(text(&dir, "Kbuild").contains("ifneq ($(CONFIG_B),m)\n"));
        assert_eq!(assigned(conf, "BUILD_EXCLUSIVE_CONFIG"), "CONFIG_A CONFIG_B");
        assert_eq!(assigned(conf, "DEST_MODULE_LOCATION[1]"), "/kernel/fs/a");
        assert_eq!(assigned(conf, "BUILT_MODULE_LOCATION[1]"), "fs/a");
        assert!(text(&dir, "Makefile").contains("imported := fs/a/Makefile\n"));
        assert!(text(&dir, "patches/7.2/series").lines().all(|line| line.starts_with('#')));

        let file = of(fix("drivers/net/one.c", &[("one", "")], &[]));
        assert!(text(&file, "Kbuild").ends_with("\nobj-m := drivers/net/one.o\n"));
        assert!(!text(&file, "dkms.conf").contains("BUILD_EXCLUSIVE_CONFIG"));
        assert_eq!(assigned(text(&file, "dkms.conf"), "DEST_MODULE_LOCATION[0]"), "/kernel/drivers/net");
        assert!(text(&file, "kmod.spec").contains("%global kmod_modules one\n"));
        assert!(text(&file, "Makefile").contains("imported := drivers/net/one.c\n"));
    }

    #[test]
    fn what_needs_quoting_is_quoted() {
        let [(_, c), (_, rust), ..] = &all()[..] else { panic!("fewer kinds") };
        assert!(text(c, ".ci/prepare").ends_with("cargo install --locked --path '/a b/it'\\''s'\n"));
        assert!(text(rust, "xtask/Cargo.toml").ends_with("cargo-kmod = { path = \"/a b/it's\" }\n"));
        assert!(text(c, "new_one.c").contains("MODULE_AUTHOR(\"Łucja O'Neil <l@example.org>\");"));
    }

    /// The kernel's `module!` takes nothing else.
    #[test]
    fn a_module_in_rust_is_in_ascii() {
        let (_, files) = &all()[1];
        let source = text(files, "new_one.rs");
        assert!(source.is_ascii() && source.contains("authors: [\"The new-one authors\"]"), "{source}");
        assert!(source.contains("struct NewOne;") && source.contains("name: \"new_one\""), "{source}");
    }
}
