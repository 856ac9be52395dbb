// SPDX-License-Identifier: GPL-2.0
//! kmod RPMs of projects that know nothing of this tool: what their `dkms.conf` says is what is
//! built, by the tool and by rpmbuild alone.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use deploy::rpm::payload::OpenPackage;
use deploy::rpm::target::KmodTarget;
use kernel::root::Access;
use kmodfile::module::Module;
use libtest_mimic::Trial;
use report::process::Cmd;
use rpm::Package;

use crate::rpm::{Made, suite_root};
use crate::suite::{Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("foreign::rpm_builds_what_dkms_conf_says", own_make),
        suite.trial("foreign::rpmbuild_alone_chooses_for_its_kernel_as_dkms_does", another_kernel),
        suite.trial("foreign::a_module_that_a_kernel_is_excluded_from_is_not_packaged", left_out),
        suite.trial("foreign::without_a_history_the_same_comes_out_twice", twice),
        suite.trial("foreign::a_project_in_rust_is_built_by_its_own_command", rust),
    ]
}

/// A driver as they are found: in a directory of its own, made by a target of its own that takes a
/// variable, patched and configured before, and installed under another name.
const OWN: &[(&str, &str)] = &[
    (
        "dkms.conf",
        "PACKAGE_NAME=\"Own\"\n\
         PACKAGE_VERSION=\"1.0-rc1\"\n\
         BUILT_MODULE_NAME=(inner plain)\n\
         BUILT_MODULE_LOCATION=(driver/src driver)\n\
         DEST_MODULE_NAME[0]=outer\n\
         DEST_MODULE_LOCATION=(/extra /extra)\n\
         STRIP[1]=no\n\
         PATCH=(always.patch seven.patch old.patch)\n\
         PATCH_MATCH=('' '^7\\.' '^[56]\\.')\n\
         PRE_BUILD=\"./configure $kernelver\"\n\
         MAKE[0]=\"make -C driver KSRC=$kernel_source_dir KIND=other drivers\"\n\
         MAKE[1]=\"make -C driver KSRC=$kernel_source_dir KIND=seven drivers\"\n\
         MAKE_MATCH[1]=\"^7\\.\"\n\
         BUILD_EXCLUSIVE_KERNEL_MIN=\"6.1\"\n",
    ),
    (
        "driver/Makefile",
        "drivers:\n\t$(MAKE) -C $(KSRC) M=$(CURDIR) KIND=$(KIND) modules\n\
         modules:\n\t@echo this target is none of the project; false\n",
    ),
    ("driver/Kbuild", "obj-m := src/ plain.o\n"),
    ("driver/src/Kbuild", "obj-m := inner.o\nccflags-y := -DKIND=\\\"$(KIND)\\\" -I$(src)/../generated\n"),
    (
        "driver/src/inner.c",
        "// SPDX-License-Identifier: GPL-2.0\n\
         #include <linux/module.h>\n\
         #include \"configured.h\"\n\
         #include \"linked.h\"\n\
         MODULE_DESCRIPTION(\"Says what it was made of\");\n\
         MODULE_LICENSE(\"GPL\");\n\
         MODULE_INFO(kind, KIND);\n\
         MODULE_INFO(configured, CONFIGURED);\n\
         MODULE_INFO(first, \"no\");\n\
         MODULE_INFO(linked, LINKED);\n\
         MODULE_INFO(second, \"no\");\n",
    ),
    (
        "driver/plain.c",
        "// SPDX-License-Identifier: GPL-2.0\n#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n\
         MODULE_DESCRIPTION(\"Another\");\n",
    ),
    ("shared/linked.h", "#define LINKED \"yes\"\n"),
    (
        "configure",
        "#!/bin/sh\nmkdir -p driver/generated\necho \"#define CONFIGURED \\\"$1\\\"\" > driver/generated/configured.h\n",
    ),
    ("patches/always.patch", PATCH_FIRST),
    ("patches/seven.patch", PATCH_SECOND),
    ("patches/old.patch", PATCH_OLD),
];

const PATCH_FIRST: &str = "--- a/driver/src/inner.c\n+++ b/driver/src/inner.c\n@@ -7,3 +7,3 @@\n \
                           MODULE_INFO(kind, KIND);\n MODULE_INFO(configured, CONFIGURED);\n\
                           -MODULE_INFO(first, \"no\");\n+MODULE_INFO(first, \"yes\");\n";
const PATCH_SECOND: &str = "--- a/driver/src/inner.c\n+++ b/driver/src/inner.c\n@@ -10,2 +10,2 @@\n \
                            MODULE_INFO(linked, LINKED);\n\
                            -MODULE_INFO(second, \"no\");\n+MODULE_INFO(second, \"seven\");\n";
const PATCH_OLD: &str = "--- a/driver/src/inner.c\n+++ b/driver/src/inner.c\n@@ -10,2 +10,2 @@\n \
                         MODULE_INFO(linked, LINKED);\n\
                         -MODULE_INFO(second, \"no\");\n+MODULE_INFO(second, \"old\");\n";

/// Lays a project out, `configure` as a program, and one header as a link.
fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Utf8PathBuf) {
    let (dir, path) = scratch();
    for (name, text) in files {
        fs_err::create_dir_all(path.join(name).parent().unwrap()).unwrap();
        fs_err::write(path.join(name), text).unwrap();
    }
    if path.join("configure").exists() {
        fs_err::set_permissions(path.join("configure"), Permissions::from_mode(0o755)).unwrap();
        fs_err::os::unix::fs::symlink("../../shared/linked.h", path.join("driver/src/linked.h")).unwrap();
    }
    (dir, path)
}

/// The modules in a package, by the names of their files.
fn modules(package: &Utf8Path) -> Vec<(String, Vec<u8>)> {
    let files = OpenPackage::read(package).unwrap().files(|path| path.extension() == Some("ko")).unwrap();
    files.into_iter().map(|(path, image)| (path.file_name().unwrap().to_owned(), image)).collect()
}

/// What a module says of itself, of `fields`.
fn info(image: &[u8], fields: &[&str]) -> Vec<String> {
    let module = Module::parse(image).unwrap();
    fields.iter().map(|field| module.modinfo.get(field).unwrap_or_default().to_owned()).collect()
}

const FIELDS: &[&str] = &["kind", "first", "second", "linked", "configured"];

fn own_make(suite: &Suite) {
    let (_dir, project) = project(OWN);
    let release = suite.prepared().kdir.release();
    let made = Made::by_the_tool(project.as_str(), release);
    let package = made.package("kmod-Own");
    assert_eq!(Package::open(&package).unwrap().metadata.get_version().unwrap(), "1.0_rc1");
    let modules = modules(&package);
    let [(outer, inner), (plain, unstripped)] = modules.as_slice() else { panic!("{modules:?}") };
    assert_eq!((outer.as_str(), plain.as_str()), ("outer.ko", "plain.ko"));
    assert_eq!(info(inner, FIELDS), ["seven", "yes", "seven", "yes", release.as_str()]);
    let debug = |image: &[u8]| image.windows(11).any(|window| window == b".debug_info");
    assert!(!debug(inner) && debug(unstripped), "STRIP is not heeded");

    // The same as what `build` makes.
    let (status, output) =
        run(&tool(&["build", "--project", project.as_str(), "--kernel", release.as_str()]));
    assert_eq!(status, 0, "{output}");
    let built = xtask::repository().join("target/kmod/Own-1.0-rc1").join(release).join("out");
    assert_eq!(info(&fs_err::read(built.join("outer.ko")).unwrap(), FIELDS), info(inner, FIELDS));
    assert!(built.join("plain.ko").exists());
}

/// rpmbuild alone, of the source package that the tool made, with `kversion` and `kvariants` of its
/// own, as far as `stage` (rpmbuild(8)). All of its kernels are the prepared one, so that what is
/// built is for that one; which the choice of commands does not know.
fn by_hand(
    suite: &Suite,
    source: &Utf8Path,
    kernel: (&str, &str),
    stage: &str,
) -> (bool, String, Utf8PathBuf, tempfile::TempDir) {
    let (dir, path) = scratch();
    let (kversion, kvariants) = kernel;
    fs_err::copy(source, path.join("source.src.rpm")).unwrap();
    fs_err::create_dir(path.join("kernels")).unwrap();
    let kdir = &suite.prepared().kdir;
    let place = path.join("kernels").join(format!("{kversion}{kvariants}"));
    fs_err::os::unix::fs::symlink(kdir.build(), place).unwrap();
    let script = "rpm2cpio source.src.rpm | cpio --extract --quiet
        exec rpmbuild \"$3\" --target=x86_64 --define \"_topdir $PWD/top\" --define \"_sourcedir $PWD\" \
             --define \"_tmppath $PWD\" --define \"kversion $1\" --define \"kvariants $2\" \
             --define \"kdir $PWD/kernels\" *.spec";
    let kvariants = if kvariants.is_empty() { "\"\"" } else { kvariants };
    let cmd = Cmd::new("sh").args(["-e", "-c", script, "sh", kversion, kvariants, stage]).cwd(&path);
    let access = kdir
        .read_by(Access::default())
        .read_at(kdir.modules(), format!("/usr/lib/modules/{}", kdir.release()))
        .write(&path);
    let (root, context) = (suite_root(suite), suite.context());
    let output = root.inside(context, cmd, &access).finish(&context.report).unwrap();
    (output.status.success(), output.tail, path, dir)
}

/// What rpmbuild leaves of a module after `%build`.
fn left_by_build(path: &Utf8Path, name: &str) -> Vec<u8> {
    let script = format!("find '{path}/top' -path '*/.kmod/modules-*/{name}' -exec cat '{{}}' +");
    let cmd = Cmd::new("sh").args(["-c", &script]);
    cmd.run(&report::Report::silent()).unwrap().stdout
}

fn another_kernel(suite: &Suite) {
    let (_dir, project) = project(OWN);
    let made = Made::by_the_tool(project.as_str(), suite.prepared().kdir.release());
    let source = made.file("Own-kmod-", ".src.rpm");

    let target = KmodTarget::of(&made.release);
    let variant = made.release.as_str().strip_prefix(&target.kversion).unwrap();
    let (good, output, path, _built) = by_hand(suite, &source, (&target.kversion, variant), "-bb");
    assert!(good, "{output}");
    let ours = made.package("kmod-Own");
    let built = path.join("top/RPMS/x86_64").join(ours.file_name().unwrap());
    assert!(modules(&ours) == modules(&built), "by hand it is another");

    let (good, output, path, _built) = by_hand(suite, &source, ("6.12.1", "-amd64"), "-bc");
    assert!(good, "{output}");
    let module = left_by_build(&path, "outer.ko");
    assert_eq!(info(&module, FIELDS), ["other", "yes", "old", "yes", "6.12.1-amd64"]);

    let (good, output, ..) = by_hand(suite, &source, ("5.10.1", "-amd64"), "-bc");
    let reason =
        "5.10.1-amd64: Own is not for this kernel: it is older than 6.1 (BUILD_EXCLUSIVE_KERNEL_MIN)";
    assert!(!good && output.contains(reason), "{output}");
}

fn left_out(suite: &Suite) {
    let conf = format!("{}BUILD_EXCLUSIVE_KERNEL[1]=\"^6\\.\"\n", OWN[0].1);
    let files: Vec<_> =
        std::iter::once(("dkms.conf", conf.as_str())).chain(OWN[1..].iter().copied()).collect();
    let (_dir, project) = project(&files);
    let made = Made::by_the_tool(project.as_str(), suite.prepared().kdir.release());
    let package = made.package("kmod-Own");
    let names: Vec<String> = modules(&package).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["outer.ko"]);
    let provides = Package::open(&package).unwrap().metadata.get_provides().unwrap();
    assert!(provides.iter().all(|provided| provided.name != "kmod(plain.ko)"), "{provides:?}");

    // A kernel that the spec was not told of, by hand: what is packaged is said, not guessed.
    let source = made.file("Own-kmod-", ".src.rpm");
    let (good, output, ..) = by_hand(suite, &source, ("7.9.1", "-amd64"), "-bc");
    assert!(!good && output.contains("give --define 'kmod_left_out 7.9.1-amd64/plain'"), "{output}");
}

/// rpm passes over an entry of the changelog whose year it takes for a mistake, and with it over
/// the time that everything in the package has.
fn twice(suite: &Suite) {
    let (_dir, project) = project(&[
        ("dkms.conf", "PACKAGE_NAME=plain\nPACKAGE_VERSION=1\n"),
        ("Kbuild", "obj-m := plain.o\n"),
        ("plain.c", OWN.iter().find(|(name, _)| *name == "driver/plain.c").unwrap().1),
    ]);
    let release = suite.prepared().kdir.release().as_str();
    let made = ["first", "second"].map(|name| {
        // In the project, where packages go by default.
        let output = project.join("target").join(name);
        let target = project.join("target");
        let words = ["--target-dir", target.as_str(), "rpm", "--srpm", "--project", project.as_str()];
        let (status, said) = run(&tool(&words).args(["--kernel", release, "--output", output.as_str()]));
        assert_eq!(status, 0, "{said}");
        let files = output.read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path());
        let mut files: Vec<_> = files.map(|file| fs_err::read(file).unwrap()).collect();
        files.sort();
        (files, output)
    });
    assert!(made[0].0 == made[1].0, "another came out");
    let target = KmodTarget::of(suite.prepared().kdir.release());
    let name = format!("kmod-plain{}-1-1.k{}.x86_64.rpm", target.suffix(), target.kversion);
    let package = Package::open(made[0].1.join(name)).unwrap();
    assert_eq!(package.metadata.get_changelog_entries().unwrap().len(), 1);
}

fn rust(suite: &Suite) {
    let source = "// SPDX-License-Identifier: GPL-2.0\n//! Says hello.\n\nuse kernel::prelude::*;\n\n\
                  module! {\n    type: Hello,\n    name: \"hello\",\n    authors: [\"Jane Doe\"],\n    \
                  description: \"Says hello from Rust\",\n    license: \"GPL\",\n}\n\nstruct Hello;\n\n\
                  impl kernel::Module for Hello {\n    \
                  fn init(_module: &'static ThisModule) -> Result<Self> {\n        Ok(Self)\n    }\n}\n";
    let (_dir, project) = project(&[
        (
            "dkms.conf",
            "PACKAGE_NAME=hello\nPACKAGE_VERSION=2.0\nBUILT_MODULE_LOCATION=rust\n\
             BUILD_EXCLUSIVE_CONFIG=CONFIG_RUST\nMAKE=\"make -C rust KSRC=$kernel_source_dir hello\"\n",
        ),
        ("rust/Kbuild", "obj-m := hello.o\n"),
        ("rust/Makefile", "hello:\n\t$(MAKE) -C $(KSRC) M=$(CURDIR)\n"),
        ("rust/hello.rs", source),
    ]);
    let made = Made::by_the_tool(project.as_str(), suite.prepared().kdir.release());
    let modules = modules(&made.package("kmod-hello"));
    let [(_, image)] = modules.as_slice() else { panic!("{modules:?}") };
    assert_eq!(info(image, &["description", "license"]), ["Says hello from Rust", "GPL"]);
    // No path of the machine that built it.
    assert!(!image.windows(6).any(|window| window == b"/.kmod"), "a path of the build is in it");
}
