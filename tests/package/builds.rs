// SPDX-License-Identifier: GPL-2.0
//! Builds: the guard through the tool, and through `make` alone.

use camino::{Utf8Path, Utf8PathBuf};
use kernel::prepare::Prepared;
use kernel::root::Access;
use kmodfile::module::Module;
use libtest_mimic::Trial;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use project::Project;
use project::build::{Object, build};
use project::stage::Sources;
use report::process::{Cmd, Output};
use xtask::repository;

use crate::suite::{Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("build::the_guard_is_for_its_kernel_and_cannot_panic", the_guard),
        suite.trial("build::a_place_in_the_module_is_found_in_the_source", debug_information_is_kept),
        suite.trial("build::the_source_tree_is_not_written_to", the_source_tree_is_untouched),
        suite.trial("build::nothing_changed_is_one_line", nothing_changed),
        suite.trial(
            "build::a_program_before_make_costs_what_was_made_only_if_it_changed_something",
            before_make,
        ),
        suite.trial("build::an_error_in_the_source_is_shown", an_error_is_shown),
        suite.trial("build::a_file_that_is_missed_and_not_listed_is_named", missed_file),
        suite.trial("build::no_module_is_written_over_another", no_module_over_another),
        suite.trial("make::builds_installs_and_cleans_without_cargo", make_alone),
        suite.trial("make::clippy_has_nothing_to_say_of_the_module", clippy_of_the_kernel),
        suite.trial("make::checkpatch_has_nothing_to_say_of_what_is_c", checkpatch),
        suite.trial("make::a_module_that_lacks_the_function_is_refused", another_module_is_refused),
        suite.trial("make::a_kernel_without_artefacts_is_refused", without_artefacts),
    ]
}

fn the_guard(suite: &Suite) {
    let project = Project::open(&repository()).unwrap();
    let built = build(suite.context(), &project, suite.prepared()).unwrap();
    let object = built.object("cifs_fix").unwrap();
    let module = Module::read(&object.file).unwrap();
    module.modinfo.require_vermagic(&object.file, &built.release).unwrap();
    assert_eq!(module.modinfo.get("license"), Some("GPL"));
    let panics: Vec<_> =
        module.imports.iter().filter(|import| import.symbol.contains("9panicking")).collect();
    assert!(panics.is_empty(), "the guard can panic: {panics:?}");
    assert!(object.size < object.unstripped_size);
}

/// The shipped module, asked for a place in itself, leads to `NAME.ko.debug` beside it and from
/// there to the source.
fn debug_information_is_kept(suite: &Suite) {
    let built = build(suite.context(), &Project::open(&repository()).unwrap(), suite.prepared()).unwrap();
    let Object { file, debug, .. } = built.object("cifs_fix").unwrap();
    let debug = debug.as_ref().unwrap();
    assert_eq!(debug, &Utf8PathBuf::from(format!("{file}.debug")));
    let image = fs_err::read(file).unwrap();
    let elf = object::File::parse(image.as_slice()).unwrap();
    let kept = fs_err::read(debug).unwrap();
    let kept = object::File::parse(kept.as_slice()).unwrap();
    assert!(elf.section_by_name(".debug_info").is_none() && kept.section_by_name(".debug_info").is_some());
    assert_eq!(elf.build_id().unwrap().unwrap(), kept.build_id().unwrap().unwrap());
    let text = elf.section_by_name(".text").unwrap().index();
    let of_the_guard = |symbol: &object::Symbol<'_, '_>| {
        symbol.section_index() == Some(text)
            && symbol.kind() == object::SymbolKind::Text
            && symbol.name().is_ok_and(|name| name.contains("8cifs_fix6kprobe"))
    };
    let functions: Vec<_> = elf.symbols().filter(of_the_guard).collect();
    assert!(!functions.is_empty());
    let places = functions.iter().map(|function| format!("{:#x}", function.address() + 1));
    // By the name of the stripped file alone: the link in it is followed.
    let cmd = Cmd::new("addr2line").args(["--section=.text", "-e"]).arg(file).args(places);
    let access = Access::default().read(file.parent().unwrap());
    let found = suite.prepared().root.inside(suite.context(), cmd, &access);
    let found = found.read(&suite.context().report).unwrap();
    assert_eq!(found.lines().count(), functions.len());
    for line in found.lines() {
        let (source, number) = line.split_once(':').unwrap();
        let number: u32 = number.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(source.ends_with(".rs") && number > 0, "{line}");
    }
    assert!(found.contains("module/kprobe.rs:"), "{found}");
}

/// Names, sizes and times of all files below `dir` but the build's own place.
fn listing(dir: &Utf8Path) -> Vec<String> {
    let ours = |entry: &walkdir::DirEntry| !matches!(entry.file_name().to_str(), Some("target" | ".git"));
    let entries = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().filter_entry(ours);
    let line = |entry: walkdir::DirEntry| {
        let meta = entry.metadata().unwrap();
        format!("{} {} {:?}", entry.path().display(), meta.len(), meta.modified().unwrap())
    };
    entries.map(|entry| line(entry.unwrap())).collect()
}

fn the_source_tree_is_untouched(suite: &Suite) {
    let (_dir, copy) = project_copy();
    let before = listing(&copy);
    let (status, output) = run(&tool(&["build", "--project", copy.as_str(), "--kernel", release(suite)]));
    assert_eq!(status, 0, "{output}");
    assert_eq!(listing(&copy), before);
}

/// Who adds a file to a new project adds it to Kbuild, and to PROJECT_FILES only once it is told.
fn missed_file(suite: &Suite) {
    let (_dir, dir) = scratch();
    let project = dir.join("hello");
    let (status, output) = run(&tool(&["new", "hello", "--c"]).cwd(&dir));
    assert_eq!(status, 0, "{output}");
    let kbuild = fs_err::read_to_string(project.join("Kbuild")).unwrap();
    fs_err::write(project.join("Kbuild"), format!("{kbuild}hello-y := main.o second.o\n")).unwrap();
    fs_err::rename(project.join("hello.c"), project.join("main.c")).unwrap();
    fs_err::write(project.join("second.c"), "// SPDX-License-Identifier: GPL-2.0\n").unwrap();
    let conf = fs_err::read_to_string(project.join("dkms.conf")).unwrap();
    let list = |files: &str| {
        fs_err::write(project.join("dkms.conf"), conf.replace("LICENSE hello.c", files)).unwrap();
        run(&tool(&["build", "--project", project.as_str(), "--kernel", release(suite)]))
    };
    let (status, output) = list("LICENSE main.c second.c");
    assert_eq!(status, 0, "{output}");
    // What was made of it before does not stand in for it.
    let (status, output) = list("LICENSE main.c");
    assert_eq!(status, 1, "{output}");
    assert!(output.contains("remedy: add second.c to PROJECT_FILES in dkms.conf"), "{output}");
}

fn release(suite: &Suite) -> &str {
    suite.prepared().kdir.release().as_str()
}

fn nothing_changed(suite: &Suite) {
    let (status, output) = run(&tool(&["build", "--kernel", release(suite)]));
    assert_eq!(status, 0, "{output}");
    let (status, output) = run(&tool(&["build", "--kernel", release(suite)]));
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("Fresh cifs-fix") && !output.contains("Building"), "{output}");
}

/// A copy of the guard's project, as a packager would have it: nothing of cargo's.
fn project_copy() -> (tempfile::TempDir, Utf8PathBuf) {
    let (dir, path) = scratch();
    let copy = path.join("guard");
    Sources::read(&Project::open(&repository()).unwrap()).unwrap().write(&copy).unwrap();
    (dir, copy)
}

fn an_error_is_shown(suite: &Suite) {
    let (_dir, copy) = project_copy();
    let conf = fs_err::read_to_string(copy.join("dkms.conf")).unwrap();
    let conf = conf.replace("PACKAGE_NAME=\"cifs-fix\"", "PACKAGE_NAME=\"broken\"");
    fs_err::write(copy.join("dkms.conf"), conf).unwrap();
    fs_err::write(copy.join("module/cifs_fix.rs"), "fn broken( {\n").unwrap();
    let (status, output) = run(&tool(&["build", "--project", copy.as_str(), "--kernel", release(suite)]));
    assert_eq!(status, 1, "{output}");
    assert!(output.contains("cifs_fix.rs:1") && output.contains("whole output: "), "{output}");
}

/// A module in C that says `text`.
fn module_in_c(text: &str) -> String {
    format!("#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\nMODULE_DESCRIPTION(\"{text}\");\n")
}

/// Names that are exchanged stay so in each form of the modules; two modules of which one would
/// take the other's place are refused, with a `dkms.conf` and without.
fn no_module_over_another(suite: &Suite) {
    let (_dir, path) = scratch();
    let write = |name: &str, text: &str| {
        fs_err::create_dir_all(path.join(name).parent().unwrap()).unwrap();
        fs_err::write(path.join(name), text).unwrap();
    };
    write("Kbuild", "obj-m := a.o b.o\n");
    for name in ["a", "b"] {
        write(&format!("{name}.c"), &module_in_c(&format!("was built as {name}")));
    }
    let conf = "PACKAGE_NAME=exchanged\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME=(a b)\n\
                DEST_MODULE_LOCATION=(/extra /extra)\n";
    write("dkms.conf", &format!("{conf}DEST_MODULE_NAME=(b a)\n"));
    let build = |more: &[&str]| {
        let args = ["build", "--project", path.as_str(), "--kernel", release(suite)];
        run(&tool(&[&args[..], more].concat()))
    };
    let (status, output) = build(&["--compress"]);
    assert_eq!(status, 0, "{output}");
    let built = build_of(suite, &path);
    let out = built.objects[0].file.parent().unwrap();
    let said = |file: &Utf8Path| Module::read(file).unwrap().modinfo.get("description").map(str::to_owned);
    for (name, text) in [("a", "was built as b"), ("b", "was built as a")] {
        for end in ["", ".xz"] {
            assert_eq!(said(&out.join(format!("{name}.ko{end}"))).as_deref(), Some(text), "{name}.ko{end}");
        }
    }

    write("dkms.conf", &format!("{conf}DEST_MODULE_NAME=(s s)\n"));
    let (status, output) = build(&[]);
    assert!(status == 4 && output.contains("DEST_MODULE_NAME[1]: s is the name of module 0"), "{output}");

    // What make built is known only when it has. Kbuild refuses two files of one name, and takes
    // these for two.
    fs_err::remove_file(path.join("dkms.conf")).unwrap();
    write("Kbuild", "obj-m := x/ y/\n");
    for (dir, name) in [("x", "a-module"), ("y", "a_module")] {
        write(&format!("{dir}/Kbuild"), &format!("obj-m := {name}.o\n"));
        write(&format!("{dir}/{name}.c"), &module_in_c(dir));
    }
    let (status, output) = build(&[]);
    assert!(status == 4 && output.contains("the name of x/a-module.ko and of y/a_module.ko"), "{output}");
    assert!(output.contains("remedy: give each a DEST_MODULE_NAME"), "{output}");
}

/// What was built of the project in `path`.
fn build_of(suite: &Suite, path: &Utf8Path) -> project::build::Built {
    build(suite.context(), &Project::open(path).unwrap(), suite.prepared()).unwrap()
}

/// The object file of a project with a `PRE_BUILD` is kept from one build to the next, until that
/// changes a file.
fn before_make(suite: &Suite) {
    let (_dir, path) = scratch();
    let source = repository().join("tests/dkms/replacement");
    for file in ["Kbuild", "nls_utf8.c"] {
        fs_err::copy(source.join(file), path.join(file)).unwrap();
    }
    let conf = fs_err::read_to_string(source.join("dkms.conf")).unwrap();
    let conf = conf.replace("replacement", "before-make") + "\nPRE_BUILD=\"before.sh x\"\n";
    let made = |program: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::write(path.join("before.sh"), format!("#!/bin/sh\n# {program}\n{program}\n")).unwrap();
        fs_err::set_permissions(path.join("before.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        fs_err::write(path.join("dkms.conf"), &conf).unwrap();
        let built = build(suite.context(), &Project::open(&path).unwrap(), suite.prepared()).unwrap();
        let object = built.objects[0].unstripped.with_extension("o");
        object.metadata().unwrap().modified().unwrap()
    };
    made("touch changed");
    let first = made("true");
    assert_eq!(made("test $# = 1"), first);
    let changed = made("echo >> nls_utf8.c");
    assert_ne!(changed, first);
    assert_ne!(made("true"), changed);
}

/// `make` in a copy, in the kernel's root, as on a machine that runs the kernel and has its tree.
fn make(suite: &Suite, copy: &Utf8Path, words: &[&str]) -> Output {
    make_with(suite, suite.prepared(), copy, words)
}

fn make_with(suite: &Suite, prepared: &Prepared, copy: &Utf8Path, words: &[&str]) -> Output {
    let kdir = &prepared.kdir;
    let access = kdir
        .read_by(Access::default())
        .read_at(kdir.modules(), format!("/usr/lib/modules/{}", kdir.release()))
        .write(copy.parent().unwrap());
    let cmd = Cmd::new("make").args(words).arg(format!("KDIR={}", kdir.build())).cwd(copy);
    prepared.root.inside(suite.context(), cmd, &access).finish(&suite.context().report).unwrap()
}

fn make_alone(suite: &Suite) {
    let (_dir, copy) = project_copy();
    let help = make(suite, &copy, &["help"]);
    assert!(help.status.success() && help.text().contains("KDIR=DIR"), "{}", help.tail);
    let built = make(suite, &copy, &[]);
    assert!(built.status.success(), "{}", built.tail);
    Module::read(&copy.join("cifs_fix.ko")).unwrap();
    let to = copy.parent().unwrap().join("installed");
    let installed = make(suite, &copy, &["modules_install", &format!("INSTALL_MOD_PATH={to}")]);
    assert!(installed.status.success(), "{}", installed.tail);
    let extra = to.join(format!("lib/modules/{}/extra", release(suite)));
    assert!(
        extra.join("cifs_fix.ko.xz").exists() || extra.join("cifs_fix.ko").exists(),
        "{}",
        installed.tail
    );
    let sources = listing(&copy).len();
    assert!(make(suite, &copy, &["clean"]).status.success());
    assert!(!copy.join("cifs_fix.ko").exists() && listing(&copy).len() < sources);
    assert!(copy.join("module/cifs_fix.rs").exists());
}

/// The kernel's own lints, by the clippy of the compiler that the kernel was built with.
fn clippy_of_the_kernel(suite: &Suite) {
    let (_dir, copy) = project_copy();
    let prepared =
        suite.prepared().clone().with_packages(suite.context(), &["rust-clippy".to_owned()]).unwrap();
    let clippy = |copy: &Utf8Path| make_with(suite, &prepared, copy, &["clippy"]);
    let clean = clippy(&copy);
    assert!(clean.status.success(), "{}", clean.tail);
    let file = copy.join("module/counters.rs");
    let text = fs_err::read_to_string(&file).unwrap();
    fs_err::write(&file, format!("{text}\nfn _lint(x: u32) -> u32 {{\n    return x;\n}}\n")).unwrap();
    let linted = clippy(&copy);
    assert!(!linted.status.success() && linted.tail.contains("needless_return"), "{}", linted.tail);
}

/// The kernel's checkpatch.pl over the module's C, that of the rebuild, and that of the tests.
fn checkpatch(suite: &Suite) {
    let (_dir, copy) = project_copy();
    let checked = make(suite, &copy, &["checkpatch"]);
    assert!(checked.status.success(), "{}", checked.tail);
    let script = suite.prepared().kdir.place().join("source/scripts/checkpatch.pl");
    let strict = ["--strict"].map(str::to_owned).to_vec();
    // What imitates the kernel's macros for the verifier's judge looks like them.
    let oracle =
        ["--ignore", "MACRO_ARG_UNUSED,NEW_TYPEDEFS,PREFER_DEFINED_ATTRIBUTE_MACRO,IS_ENABLED_CONFIG"];
    let oracle = oracle.map(str::to_owned).to_vec();
    // What is wrong on purpose there does crash the kernel.
    let faulty = ["--strict", "--ignore", "AVOID_BUG"].map(str::to_owned).to_vec();
    let dirs =
        [("cifs/fs", &strict), ("tests/vm", &faulty), ("tests/dkms", &strict), ("tests/oracle/c", &oracle)];
    for (dir, options) in dirs {
        let walk =
            walkdir::WalkDir::new(repository().join(dir)).into_iter().map(|entry| entry.unwrap().into_path());
        let files: Vec<_> =
            walk.filter(|path| path.extension().is_some_and(|end| end == "c" || end == "h")).collect();
        assert!(!files.is_empty(), "{dir} has no C");
        let perl = Cmd::new("perl").arg(&script).args(["--no-tree", "--terse"]).args(options).arg("--file");
        // It writes a file beside what it checks with: into a directory of its own.
        let output = perl.args(files).cwd(copy.parent().unwrap()).finish(&suite.context().report).unwrap();
        assert!(output.status.success(), "{dir}: {}", output.tail);
    }
}

fn another_module_is_refused(suite: &Suite) {
    let (_dir, copy) = project_copy();
    let other = suite.prepared().kdir.stock_module("nls_utf8").unwrap();
    let file = copy.join(other.file_name().unwrap());
    fs_err::copy(&other, &file).unwrap();
    let output = make(suite, &copy, &["modules", &format!("CIFS_KO={file}")]);
    assert!(!output.status.success() && output.tail.contains("smb2_check_message"), "{}", output.tail);
}

fn without_artefacts(suite: &Suite) {
    let (_dir, copy) = project_copy();
    let bare = copy.parent().unwrap().join("bare");
    fs_err::create_dir(&bare).unwrap();
    fs_err::write(bare.join("Makefile"), "").unwrap();
    fs_err::write(bare.join(".config"), "CONFIG_RUST=y\n").unwrap();
    let cmd = Cmd::new("make").arg(format!("KDIR={bare}")).cwd(&copy);
    let cmd =
        suite.prepared().root.inside(suite.context(), cmd, &Access::default().write(copy.parent().unwrap()));
    let output = cmd.finish(&suite.context().report).unwrap();
    assert!(
        !output.status.success() && output.tail.contains("cargo xtask kernel prepare"),
        "{}",
        output.tail
    );
}
