// SPDX-License-Identifier: GPL-2.0
//! kmod RPMs of both vehicles: what they say of themselves, that they are the same each time, and
//! that their source builds without this tool.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};
use kernel::discover::{self, KernelFacts};
use kernel::distribution::debian::archive::DebianArchive;
use kernel::distribution::{Age, Archive as _, ArchiveKernel, known};

use deploy::rpm::ready::Ready;
use deploy::rpm::target::KmodTarget;
use kernel::kdir::Kdir;
use kernel::root::{Access, Root};
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use kmodfile::symvers;
use libtest_mimic::Trial;
use project::Project;
use report::process::Cmd;
use rpm::{DependencyFlags, Package};
use xtask::commands::test::LONG;

use crate::suite::{Suite, run, scratch, tool};

/// Packages of one vehicle, source and all, which trials share.
pub(crate) struct Made {
    _dir: tempfile::TempDir,
    /// Where they are.
    pub(crate) dir: Utf8PathBuf,
    /// The kernel they are for.
    pub(crate) release: Release,
}

/// `SOURCE_DATE_EPOCH` of what trials compare: the time of the last commit, which it is otherwise,
/// may change meanwhile.
const DATE: &str = "1795305600";

static GUARD: OnceLock<Made> = OnceLock::new();
static REBUILD: OnceLock<Made> = OnceLock::new();

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    let mut trials = vec![
        suite.trial("rpm::a_kernel_without_modversions_is_required_by_name", the_guard),
        suite.trial("rpm::a_kernel_with_modversions_is_required_by_the_crc_of_each_symbol", the_rebuild),
        suite.trial("rpm::the_guard_is_the_same_twice", the_same_twice),
        suite.trial("rpm::the_source_package_builds_with_rpmbuild_alone", rpmbuild_alone),
        suite.trial("rpm::another_source_than_the_specs_is_refused", another_source),
        suite.trial("rpm::an_error_of_rpmbuild_is_shown_with_its_line", nonsense),
        suite.trial("rpm::a_project_without_a_spec_is_packaged_with_a_generated_one", without_a_spec),
    ];
    // Cross compilers make a root of their own, and a kernel: minutes.
    if std::env::var_os(LONG).is_some() {
        trials.push(suite.trial("rpm::of_two_architectures_each_gets_its_package", of_two_architectures));
    }
    trials
}

/// The guard for the default kernel.
pub(crate) fn guard(suite: &Suite) -> &'static Made {
    GUARD.get_or_init(|| Made::by_the_tool(".", suite.prepared().kdir.release()))
}

/// The rebuild for a kernel with MODVERSIONS.
pub(crate) fn rebuild(suite: &Suite) -> &'static Made {
    REBUILD.get_or_init(|| Made::by_the_tool("cifs", &versioned(suite)))
}

/// A kernel with MODVERSIONS: one that is prepared, else the newest of the archive.
pub(crate) fn versioned(suite: &Suite) -> Release {
    let prepared = Kdir::all(&suite.context().cache, &suite.context().report);
    let with = |kdir: &&Kdir| {
        kdir.release().flavour() == known::usual().default_flavour(Architecture::Amd64)
            && kdir.config().unwrap().is_yes("CONFIG_MODVERSIONS")
    };
    if let Some(kdir) = prepared.iter().find(with) {
        return kdir.release().clone();
    }
    let archive = DebianArchive::open(suite.context(), Age::Current).unwrap();
    let fits = |kernel: &ArchiveKernel| {
        kernel.release.flavour() == known::usual().default_flavour(Architecture::Amd64)
            && KernelFacts::of(&archive.config(kernel).unwrap()).modversions
    };
    archive.kernels().into_iter().find(fits).expect("a kernel with MODVERSIONS in the archive").release
}

impl Made {
    pub(crate) fn by_the_tool(project: &str, release: &Release) -> Self {
        let (temporary, dir) = scratch();
        let args =
            ["rpm", "--srpm", "--project", project, "--kernel", release.as_str(), "--output", dir.as_str()];
        let cmd = tool(&args).cwd(xtask::repository()).env("SOURCE_DATE_EPOCH", DATE);
        let (status, output) = run(&cmd);
        assert_eq!(status, 0, "{output}");
        Self { _dir: temporary, dir, release: release.clone() }
    }

    /// The one package whose file name begins and ends so.
    pub(crate) fn file(&self, begin: &str, end: &str) -> Utf8PathBuf {
        let is_it = |path: &Utf8PathBuf| {
            let name = path.file_name().unwrap();
            name.strip_prefix(begin).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
                && name.ends_with(end)
        };
        let all: Vec<_> = self.dir.read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path()).collect();
        let mut found = all.iter().filter(|path| is_it(path));
        let file = found.next().unwrap_or_else(|| panic!("no {begin}…{end} among {all:?}"));
        assert!(found.next().is_none(), "more than one {begin}…{end} among {all:?}");
        file.clone()
    }

    /// The package of this name for its kernel.
    pub(crate) fn package(&self, name: &str) -> Utf8PathBuf {
        self.file(&format!("{name}{}-", KmodTarget::of(&self.release).suffix()), ".x86_64.rpm")
    }
}

/// What a package requires of others, by name: not of rpm itself.
fn requires(package: &Package) -> BTreeMap<String, String> {
    let all = package.metadata.get_requires().unwrap();
    let ours = all.into_iter().filter(|dependency| !dependency.flags.contains(DependencyFlags::RPMLIB));
    ours.map(|dependency| (dependency.name.to_string(), dependency.version.to_string())).collect()
}

/// The symbols that a package requires of a kernel, each with its CRC as it is written there.
pub(crate) fn symbols_required(package: &Utf8Path) -> BTreeMap<String, String> {
    let all = requires(&Package::open(package).unwrap()).into_iter();
    let symbol = |name: &str| Some(name.strip_prefix("kernel(")?.strip_suffix(')')?.to_owned());
    all.filter_map(|(name, version)| Some((symbol(&name)?, version))).collect()
}

fn names(package: &Package) -> Vec<String> {
    let paths = package.metadata.get_file_paths().unwrap();
    let mut names: Vec<_> = paths.into_iter().map(|path| path.display().to_string()).collect();
    names.sort();
    names
}

/// The version of `kernel-uname-r`, in which rpm allows one hyphen.
pub(crate) fn uname_version(release: &Release) -> String {
    let text = release.as_str();
    if text.matches('-').count() > 1 { text.replace('-', "_") } else { text.to_owned() }
}

fn the_guard(suite: &Suite) {
    let release = suite.prepared().kdir.release();
    let package = Package::open(guard(suite).package("kmod-cifs-fix")).unwrap();
    let name = format!("kmod-cifs-fix{}", KmodTarget::of(release).suffix());
    let config = format!("config({name})");
    let full =
        format!("{}-{}", package.metadata.get_version().unwrap(), package.metadata.get_release().unwrap());
    assert_eq!(
        requires(&package),
        [("/bin/sh", ""), ("kmod", ""), ("kernel-uname-r", &uname_version(release)), (&config, &full)]
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .into()
    );
    let provides: BTreeMap<_, _> = package
        .metadata
        .get_provides()
        .unwrap()
        .into_iter()
        .map(|dependency| (dependency.name.to_string(), dependency.version.to_string()))
        .collect();
    for provided in ["kmod-cifs-fix", "kmod(cifs_fix.ko)", name.as_str()] {
        assert_eq!(provides.get(provided), Some(&full), "{provides:?}");
    }
    let extra = format!("/lib/modules/{release}/extra");
    // Some distributions' rpm puts the version behind the name of the directory for licences.
    let versioned = format!("{name}-{}", package.metadata.get_version().unwrap());
    assert_eq!(
        names(&package).into_iter().map(|path| path.replace(&versioned, &name)).collect::<Vec<_>>(),
        [
            format!("/etc/depmod.d/{name}.conf"),
            extra.clone(),
            format!("{extra}/cifs-fix"),
            format!("{extra}/cifs-fix/cifs_fix.ko"),
            format!("/usr/share/doc/{name}"),
            format!("/usr/share/doc/{name}/{name}.spdx.json"),
            format!("/usr/share/licenses/{name}"),
            format!("/usr/share/licenses/{name}/LICENSE"),
        ]
    );
    assert_eq!(package.metadata.get_build_host().unwrap(), "reproducible");
    let debug = Package::open(guard(suite).file(&format!("{name}-debuginfo-"), ".rpm")).unwrap();
    assert!(names(&debug).iter().any(|path| path.contains(&format!("{extra}/cifs-fix/cifs_fix.ko"))));
}

fn the_rebuild(suite: &Suite) {
    let made = rebuild(suite);
    let kdir = Kdir::open(&suite.context().cache, &made.release).unwrap();
    let text = fs_err::read_to_string(kdir.build().join("Module.symvers")).unwrap();
    let exported: BTreeMap<_, _> = symvers::parse(&text).map(|export| (export.symbol, export.crc)).collect();
    let required = requires(&Package::open(made.package("kmod-cifs")).unwrap());
    let symbols: BTreeMap<_, _> = required
        .iter()
        .filter_map(|(name, version)| Some((name.strip_prefix("kernel(")?.strip_suffix(')')?, version)))
        .collect();
    for (symbol, version) in &symbols {
        assert_eq!(**version, exported[symbol].to_string(), "{symbol}");
    }
    // As the module itself has it, which is what the kernel compares.
    let module = module_in(suite, &made.package("kmod-cifs"));
    let versions = kmodfile::module::Module::parse(&module).unwrap().versions;
    let in_module: Vec<_> =
        versions.all().map(|(symbol, crc)| (symbol.to_owned(), crc.to_string())).collect();
    assert!(in_module.len() > 300, "{}", in_module.len());
    for (symbol, crc) in &in_module {
        assert_eq!(symbols.get(symbol.as_str()), Some(&crc), "{symbol}");
    }
    assert_eq!(symbols.len(), in_module.len());
    assert!(!required.contains_key("kernel-uname-r"), "with CRCs a module is not for one release");
}

/// Asked for in one call, from a machine of the first.
fn of_two_architectures(suite: &Suite) {
    let distribution = known::usual();
    let archive = distribution.archive_for(suite.context(), Age::Current, Architecture::Arm64).unwrap();
    let foreign = discover::default(distribution, &*archive).unwrap().release;
    let native = suite.prepared().kdir.release();
    let (_dir, dir) = scratch();
    let words = ["rpm", "--kernel", native.as_str(), "--kernel", foreign.as_str(), "--output", dir.as_str()];
    let (status, output) = run(&tool(&words));
    assert_eq!(status, 0, "{output}");
    for (release, machine) in [(native, "x86_64"), (&foreign, "aarch64")] {
        let begin = format!("kmod-cifs-fix{}-0", KmodTarget::of(release).suffix());
        let is_it = |path: &Utf8PathBuf| path.file_name().unwrap().starts_with(&begin);
        let mut files = dir.read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path());
        let file = files.find(is_it).unwrap_or_else(|| panic!("no {begin}"));
        let package = Package::open(&file).unwrap();
        assert_eq!(package.metadata.get_arch().unwrap(), machine, "{file}");
        let required = requires(&package);
        assert_eq!(required.get("kernel-uname-r"), Some(&uname_version(release)), "{required:?}");
        let module = kmodfile::module::Module::parse(&module_in(suite, &file)).unwrap();
        let vermagic = module.modinfo.get("vermagic").unwrap_or_default();
        assert!(vermagic.starts_with(release.as_str()), "{vermagic}");
        assert_eq!(vermagic.trim_end().ends_with("aarch64"), machine == "aarch64", "{vermagic}");
    }
}

/// The one module in a package, unpacked where rpm is.
pub(crate) fn module_in(suite: &Suite, package: &Utf8Path) -> Vec<u8> {
    let (_dir, path) = scratch();
    fs_err::copy(package, path.join("package.rpm")).unwrap();
    let script = "rpm2cpio package.rpm | cpio --extract --make-directories --quiet; find . -name '*.ko' -exec cp '{}' module \\;";
    let cmd = Cmd::new("sh").args(["-e", "-c", script]).cwd(&path);
    suite_root(suite)
        .inside(suite.context(), cmd, &Access::default().write(&path))
        .run(&suite.context().report)
        .unwrap();
    fs_err::read(path.join("module")).unwrap()
}

/// The default kernel's build root with rpm in it.
pub(crate) fn suite_root(suite: &Suite) -> Root {
    let recipe = deploy::rpm::ready::recipe(&suite.prepared().kdir).unwrap();
    Root::provide(suite.context(), &recipe, suite.context().root_fs).unwrap()
}

fn ready(suite: &Suite, release: &Release) -> Ready {
    let project = Project::open(&xtask::repository().join("cifs")).unwrap();
    Ready::provide(suite.context(), &project, Some(KmodTarget::of(release))).unwrap()
}

fn the_same_twice(suite: &Suite) {
    let made = guard(suite);
    let (_dir, again) = scratch();
    let release = suite.prepared().kdir.release().as_str();
    let cmd = tool(&["rpm", "--srpm", "--kernel", release, "--output", again.as_str()]);
    let (status, output) = run(&cmd.env("SOURCE_DATE_EPOCH", DATE));
    assert_eq!(status, 0, "{output}");
    let mut compared = 0;
    for entry in again.read_dir_utf8().unwrap() {
        let file = entry.unwrap().into_path();
        let before = fs_err::read(made.dir.join(file.file_name().unwrap())).unwrap();
        assert!(fs_err::read(&file).unwrap() == before, "{file} differs");
        compared += 1;
    }
    assert_eq!(compared, 3, "source, modules and debug information");
}

/// As its user would, where kernel-devel is installed: no define but `_topdir`, neither cargo nor
/// the tool in the root.
fn rpmbuild_alone(suite: &Suite) {
    let made = rebuild(suite);
    let srpm = made.file("cifs-kmod-", ".src.rpm");
    let ready = ready(suite, &made.release);
    let (_dir, path) = scratch();
    fs_err::copy(&srpm, path.join("source.src.rpm")).unwrap();
    let script = "! command -v cargo; exec rpmbuild --rebuild --define \"_topdir $PWD/top\" --define \"_tmppath $PWD\" source.src.rpm";
    let kdir = &ready.prepared.kdir;
    let access = kdir
        .read_by(Access::default())
        .read_at(kdir.modules(), format!("/usr/lib/modules/{}", made.release))
        .read_at(kdir.build(), format!("/usr/src/kernels/{}", made.release))
        .write(&path);
    let cmd = Cmd::new("sh").args(["-e", "-c", script]).cwd(&path);
    let output = ready.root.inside(suite.context(), cmd, &access).finish(&suite.context().report).unwrap();
    assert!(output.status.success(), "{}", output.tail);
    let ours = made.package("kmod-cifs");
    let built = path.join("top/RPMS/x86_64").join(ours.file_name().unwrap());
    let (ours, built) = (Package::open(ours).unwrap(), Package::open(built).unwrap());
    // --rebuild notes in a tag which source package it was (RPMTAG_COOKIE), -bb does not. All else
    // is the same.
    assert!(ours.payload == built.payload, "the tool's package holds something else");
    assert_eq!(requires(&ours), requires(&built));
    assert_eq!(ours.metadata.get_nevra().unwrap(), built.metadata.get_nevra().unwrap());
}

/// The source package's spec, with another archive put in the place of its own.
fn another_source(suite: &Suite) {
    let made = rebuild(suite);
    let (_dir, path) = scratch();
    fs_err::copy(made.file("cifs-kmod-", ".src.rpm"), path.join("source.src.rpm")).unwrap();
    let script = "rpm2cpio source.src.rpm | cpio --extract --quiet; for file in cifs-*.tar.gz; do echo other > \"$file\"; done
        exec rpmbuild -bp --nodeps --define \"_topdir $PWD/top\" --define \"_sourcedir $PWD\" --define \"_tmppath $PWD\" cifs-kmod.spec";
    let cmd = Cmd::new("sh").args(["-c", script]).cwd(&path);
    let access = Access::default().write(&path);
    let ready = ready(suite, &made.release);
    let output = ready.root.inside(suite.context(), cmd, &access).finish(&suite.context().report).unwrap();
    assert!(!output.status.success(), "{}", output.tail);
    assert!(output.tail.contains("is not the source that this spec was written for"), "{}", output.tail);
}

/// What is generated is a spec that rpmbuild takes: the package has the module, and the source
/// package builds.
fn without_a_spec(suite: &Suite) {
    let (_dir, path) = scratch();
    let source = "// SPDX-License-Identifier: GPL-2.0\n#include <linux/module.h>\n\
                  MODULE_DESCRIPTION(\"Says hello\");\nMODULE_LICENSE(\"GPL\");\n";
    let files = [("hello.c", source), ("Makefile", "obj-m := hello.o\n")];
    for (name, text) in
        files.into_iter().chain([("dkms.conf", "PACKAGE_NAME=hello\nPACKAGE_VERSION=1.0-rc1\n")])
    {
        fs_err::write(path.join(name), text).unwrap();
    }
    let made = Made::by_the_tool(path.as_str(), suite.prepared().kdir.release());
    let package = Package::open(made.package("kmod-hello")).unwrap();
    assert_eq!(package.metadata.get_version().unwrap(), "1.0_rc1");
    assert_eq!(package.metadata.get_license().unwrap(), "GPL-2.0-only");
    let module = format!("/lib/modules/{}/extra/hello/hello.ko", made.release);
    assert!(names(&package).contains(&module), "{:?}", names(&package));
    assert!(made.file("hello-kmod-", ".src.rpm").exists());
}

/// A project with a copy of the guard's spec in which `from` is `to`.
pub(crate) fn edited(from: &str, to: &str) -> (tempfile::TempDir, Utf8PathBuf) {
    let (dir, path) = scratch();
    let repository = xtask::repository();
    for file in ["Kbuild", "Makefile", "LICENSE"] {
        fs_err::copy(repository.join(file), path.join(file)).unwrap();
    }
    let conf = "PACKAGE_NAME=edited\nPACKAGE_VERSION=0.1.0\nBUILT_MODULE_NAME=cifs_fix\n";
    fs_err::write(path.join("dkms.conf"), conf).unwrap();
    let text = fs_err::read_to_string(repository.join("kmod.spec")).unwrap();
    assert!(text.contains(from), "the spec has no {from:?}");
    fs_err::write(path.join("kmod.spec"), text.replacen(from, to, 1)).unwrap();
    (dir, path)
}

fn nonsense(suite: &Suite) {
    let release = suite.prepared().kdir.release().as_str();
    for (from, to, status, said) in [
        ("%description\n", "%nonsense\n%if\n%description\n", 1, "line "),
        ("%global kmod_version 0.1.0", "%global kmod_version 0.1-0", 4, "'-'"),
        (
            "%global kmod_version 0.1.0",
            "%global kmod_version 0.2.0",
            4,
            "the version of the project is 0.1.0",
        ),
    ] {
        let (_dir, project) = edited(from, to);
        let (found, output) = run(&tool(&[
            "rpm",
            "--project",
            project.as_str(),
            "--kernel",
            release,
            "--output",
            project.as_str(),
        ]));
        assert_eq!(found, status, "{output}");
        assert!(output.contains(said) && output.contains("kmod.spec"), "{output}");
    }
}
