// SPDX-License-Identifier: GPL-2.0
//! Projects that use each other's modules: built in order, known to each other's make, and built
//! again when what they need has changed.

use camino::Utf8Path;
use kmodfile::module::Module;
use libtest_mimic::Trial;

use crate::chained::{BASE, BASE_HEADER, TOP, pair, project};
use crate::rpm::versioned;
use crate::suite::{Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("chain::what_is_needed_is_built_first_and_again_when_it_changes", in_order),
        suite.trial("chain::symbols_of_a_needed_module_have_its_crcs", crcs),
        suite.trial("chain::what_is_beside_is_found_and_what_is_nowhere_is_said", found),
        suite.trial("chain::a_circle_and_an_absent_project_are_refused", refused),
    ]
}

fn build(top: &Utf8Path, kernel: &str, more: &[&str]) -> (i32, String) {
    let target = top.join("target");
    let words = ["build", "--project", top.as_str(), "--kernel", kernel, "--target-dir", target.as_str()];
    run(&tool(&[&words[..], more].concat()))
}

fn in_order(suite: &Suite) {
    let (_dir, dir) = scratch();
    let (base, top) = pair(&dir, "");
    let kernel = suite.prepared().kdir.release().as_str();
    let needs = ["--needs", base.as_str()];
    let (status, said) = build(&top, kernel, &[&needs[..], &["--dry-run"]].concat());
    assert!(status == 0 && said.contains("would build base 1 first"), "{said}");
    let (status, said) = build(&top, kernel, &[]);
    assert!(status == 1 && said.contains("base.h"), "{said}");
    let (status, said) = build(&top, kernel, &needs);
    assert_eq!(status, 0, "{said}");
    let at = |what: &str| said.find(what).unwrap_or_else(|| panic!("{what}: {said}"));
    assert!(at("Built base 1") < at("Building top 1"), "{said}");
    let file = top.join(format!("target/kmod/top-1/{kernel}/out/top.ko"));
    let module = Module::read(&file).unwrap();
    assert_eq!(module.modinfo.get("depends"), Some("base"));
    let (_, said) = build(&top, kernel, &needs);
    assert!(said.contains("Fresh base 1") && said.contains("Fresh top 1"), "{said}");
    // A change there is one here; a change here is none there.
    fs_err::write(base.join("base.h"), BASE_HEADER.replace("int value;", "int more; int value;")).unwrap();
    let (_, said) = build(&top, kernel, &needs);
    assert!(said.contains("Built base 1") && said.contains("Built top 1"), "{said}");
    let source = fs_err::read_to_string(top.join("top.c")).unwrap();
    fs_err::write(top.join("top.c"), format!("{source}\n")).unwrap();
    let (_, said) = build(&top, kernel, &needs);
    assert!(said.contains("Fresh base 1") && said.contains("Built top 1"), "{said}");
    // Together they can be loaded; one without the other cannot.
    let base = top.join(format!("target/kmod/base-1/{kernel}/out/base.ko"));
    let inspect = |files: &[&Utf8Path]| {
        run(&tool(&["inspect", "--kernel", kernel]).args(files.iter().map(|file| file.as_str())))
    };
    let (status, said) = inspect(&[&base, &file]);
    assert_eq!(status, 0, "{said}");
    let (status, said) = inspect(&[&file]);
    assert!(status == 4 && said.contains("base_value"), "{said}");
}

/// Where the kernel has CRCs for its symbols, those of a needed module have some, too.
fn crcs(suite: &Suite) {
    let kernel = versioned(suite).to_string();
    let (_dir, dir) = scratch();
    let (base, top) = pair(&dir, "");
    // With a declaration of its own, so that what the first changes is no change of its source.
    let source = fs_err::read_to_string(top.join("top.c")).unwrap();
    fs_err::write(top.join("top.c"), source.replace("#include \"base.h\"\n", BASE_HEADER)).unwrap();
    let (status, said) = build(&top, &kernel, &["--needs", base.as_str()]);
    assert_eq!(status, 0, "{said}");
    let crcs = || {
        let read = |name: &str| {
            Module::read(&top.join(format!("target/kmod/{name}-1/{kernel}/out/{name}.ko"))).unwrap()
        };
        let (exporting, importing) = (read("base"), read("top"));
        let exported = exporting.exports.iter().find(|export| export.symbol == "base_value").unwrap().crc;
        (exported, importing.versions.get("base_value"))
    };
    let (exported, imported) = crcs();
    assert!(exported.is_some() && imported == exported, "{exported:?} {imported:?}");
    // A prototype that is another one has another CRC, in both; in the second nothing else changes.
    for name in ["base.h", "base.c"] {
        let text = fs_err::read_to_string(base.join(name)).unwrap();
        let changed = text.replace("int base_value(struct base *base)", "long base_value(struct base *base)");
        fs_err::write(base.join(name), changed).unwrap();
    }
    let (status, said) = build(&top, &kernel, &["--needs", base.as_str()]);
    assert_eq!(status, 0, "{said}");
    let (now, imported) = crcs();
    assert!(now != exported && imported == now, "{exported:?} {now:?} {imported:?}");
}

fn found(suite: &Suite) {
    let (_dir, dir) = scratch();
    let base = project(&dir, "base", BASE, "");
    fs_err::write(base.join("base.h"), BASE_HEADER).unwrap();
    let top = project(&dir, "top", TOP, "BUILD_DEPENDS[0]=\"base\"\nBUILD_DEPENDS[1]=\"zlib-dkms\"");
    let kernel = suite.prepared().kdir.release().as_str();
    let (status, said) = build(&top, kernel, &[]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("Built base 1"), "{said}");
    assert!(said.contains("BUILD_DEPENDS names zlib-dkms, and no project beside it is called so"), "{said}");
}

fn refused(suite: &Suite) {
    let (_dir, dir) = scratch();
    let base = project(&dir, "base", BASE, "BUILD_DEPENDS=top");
    let top = project(&dir, "top", TOP, "BUILD_DEPENDS=base");
    let kernel = suite.prepared().kdir.release().as_str();
    let (status, said) = build(&top, kernel, &[]);
    assert!(status == 4 && said.contains("top: needs itself: top needs base needs top"), "{said}");
    let (status, said) = build(&base, kernel, &["--needs", "/nowhere"]);
    assert!(status == 3 && said.contains("/nowhere: there is no such directory"), "{said}");
    // What it needs does not build: that is what is said.
    let (base, top) = pair(&dir.join("more"), "");
    fs_err::write(base.join("base.c"), "int x = undeclared;\n").unwrap();
    let (status, said) = build(&top, kernel, &["--needs", base.as_str()]);
    assert!(status == 1 && said.contains("building base, which top needs"), "{said}");
}
