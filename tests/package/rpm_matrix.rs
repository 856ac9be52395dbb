// SPDX-License-Identifier: GPL-2.0
//! Both vehicles packaged for several releases and flavours at once: `--long`, as kernels are
//! prepared for it.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;
use deploy::rpm::payload::OpenPackage;
use kernel::discover::KernelFacts;
use kernel::distribution::debian::archive::DebianArchive;
use kernel::distribution::{Age, Archive as _};

use deploy::rpm::ready::Ready;
use deploy::rpm::target::KmodTarget;
use kernel::kdir::Kdir;
use kernel::root::Access;
use kmodfile::module::Module;
use kmodfile::release::Release;
use libtest_mimic::Trial;
use project::Project;
use report::process::Cmd;
use rpm::Package;
use xtask::commands::test::LONG;
use xtask::repository;

use crate::rpm_making::shows_patches;
use crate::suite::{Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    if std::env::var_os(LONG).is_none() {
        return Vec::new();
    }
    vec![
        suite.trial("rpm::the_guard_for_three_flavours_of_two_releases", guard),
        suite.trial("rpm::the_rebuild_for_three_flavours_of_two_releases_with_rust", with_rust),
        suite.trial("rpm::the_rebuild_for_flavours_of_two_releases_without_rust", without_rust),
    ]
}

const FLAVOURS: &[&str] = &["amd64", "cloud-amd64", "rt-amd64"];

/// Versions of the archive that have all of `flavours`, with Rust or without; those first of which
/// most is prepared, then the newest.
fn versions(suite: &Suite, flavours: &[&str], rust: bool) -> Vec<String> {
    let context = suite.context();
    let archive = DebianArchive::open(context, Age::Current).unwrap();
    let mut found: Vec<(String, BTreeSet<String>)> = Vec::new();
    for kernel in archive.kernels() {
        let target = KmodTarget::of(&kernel.release);
        if !flavours.contains(&kernel.release.flavour())
            || KernelFacts::of(&archive.config(&kernel).unwrap()).rust != rust
        {
            continue;
        }
        let flavour = kernel.release.flavour().to_owned();
        match found.iter_mut().find(|(version, _)| *version == target.kversion) {
            Some((_, flavours)) => drop(flavours.insert(flavour)),
            None => found.push((target.kversion, [flavour].into())),
        }
    }
    found.retain(|(_, has)| has.len() == flavours.len());
    let prepared = |version: &str| {
        let release = |flavour: &&&str| format!("{version}-{flavour}").parse().unwrap();
        flavours.iter().filter(|flavour| Kdir::open(&context.cache, &release(flavour)).is_some()).count()
    };
    found.sort_by_key(|(version, _)| std::cmp::Reverse(prepared(version)));
    found.into_iter().map(|(version, _)| version).take(2).collect()
}

struct Matrix {
    _dir: tempfile::TempDir,
    /// Packages of modules by release.
    modules: BTreeMap<Release, Utf8PathBuf>,
    sources: Vec<Utf8PathBuf>,
}

impl Matrix {
    fn of(project: &str, versions: &[String], flavours: &[&str]) -> Self {
        let (temporary, dir) = scratch();
        let variants: Vec<String> = flavours.iter().map(|flavour| format!("-{flavour}")).collect();
        let variants = variants.join(" ");
        let words =
            ["rpm", "--srpm", "--project", project, "--output", dir.as_str(), "--kvariants", &variants];
        let kernels = versions.iter().flat_map(|version| ["--kernel", version]);
        let cmd = tool(&words).args(kernels).cwd(repository());
        let (status, output) = run(&cmd);
        assert_eq!(status, 0, "{output}");
        eprintln!("{output}");
        let files: Vec<_> = dir.read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path()).collect();
        let kernels = versions.len() * flavours.len();
        assert_eq!(files.len(), 2 * kernels + versions.len(), "{files:?}");
        let (mut modules, mut sources) = (BTreeMap::new(), Vec::new());
        for file in files {
            let name = file.file_name().unwrap();
            if name.ends_with(".src.rpm") {
                sources.push(file);
            } else if !name.contains("-debuginfo-") {
                modules.insert(release_of(&file), file);
            }
        }
        assert_eq!((modules.len(), sources.len()), (kernels, versions.len()));
        for version in versions {
            for flavour in flavours {
                assert!(modules.contains_key(&format!("{version}-{flavour}").parse().unwrap()));
            }
        }
        Self { _dir: temporary, modules, sources }
    }

    /// For each kernel: the module is for it, and what `inspect` says it was made of, too.
    fn is_for_its_kernels(&self, module: &str, patched: bool) {
        for (release, file) in &self.modules {
            let package = OpenPackage::read(file).unwrap();
            let named = format!("/{module}.ko");
            let [(path, image)] =
                package.files(|path| path.as_str().ends_with(&named)).unwrap().try_into().unwrap();
            assert!(path.starts_with(format!("/lib/modules/{release}/extra")), "{path}");
            let module = Module::parse(&image).unwrap();
            assert_eq!(module.modinfo.release(), Some(release.as_str()));
            let (status, output) = run(&tool(&["inspect", file.as_str(), "--kernel", release.as_str()]));
            assert!(status == 0 && output.contains(&format!("yes, into {release}")), "{output}");
            assert!(output.lines().any(|line| line.starts_with("for:") && line.ends_with(release.as_str())));
            if patched {
                shows_patches(&output, release);
            }
        }
    }
}

/// The release in whose directory a package has its module.
fn release_of(file: &Utf8PathBuf) -> Release {
    let paths = Package::open(file).unwrap().metadata.get_file_paths().unwrap();
    let release = |path: &std::path::PathBuf| {
        Some(path.to_str()?.strip_prefix("/lib/modules/")?.strip_suffix("/extra")?.to_owned())
    };
    paths.iter().find_map(release).unwrap().parse().unwrap()
}

/// Two versions with all flavours and Rust.
fn versions_with_rust(suite: &Suite) -> Vec<String> {
    let versions = versions(suite, FLAVOURS, true);
    assert_eq!(versions.len(), 2, "{versions:?}");
    versions
}

fn guard(suite: &Suite) {
    let versions = versions_with_rust(suite);
    let guard = Matrix::of(".", &versions, FLAVOURS);
    guard.is_for_its_kernels("cifs_fix", false);
    one_call(suite, &guard, &versions[0]);
}

fn with_rust(suite: &Suite) {
    Matrix::of("cifs", &versions_with_rust(suite), FLAVOURS).is_for_its_kernels("cifs", true);
}

/// Debian's flavour rt of such kernels has source of its own, which the archive's source package
/// does not give by itself.
fn without_rust(suite: &Suite) {
    let flavours = &FLAVOURS[..2];
    let versions = versions(suite, flavours, false);
    assert_eq!(versions.len(), 2, "{versions:?}");
    Matrix::of("cifs", &versions, flavours).is_for_its_kernels("cifs", true);
}

/// All variants of one version by hand in one call of rpmbuild: the same comes out.
fn one_call(suite: &Suite, made: &Matrix, version: &str) {
    let context = suite.context();
    let project = Project::open(&repository()).unwrap();
    let releases: Vec<&Release> =
        made.modules.keys().filter(|release| KmodTarget::of(release).kversion == version).collect();
    assert_eq!(releases.len(), FLAVOURS.len());
    let ready = Ready::provide(context, &project, Some(KmodTarget::of(releases[0]))).unwrap();
    let (_dir, path) = scratch();
    let source = made.sources.iter().find(|file| file.as_str().contains(&format!(".k{version}"))).unwrap();
    fs_err::copy(source, path.join("source.src.rpm")).unwrap();
    fs_err::copy(repository().join("kmod.spec"), path.join("by-hand.spec")).unwrap();
    let script = "rpm2cpio source.src.rpm | cpio --extract --quiet
        exec rpmbuild -bb --target=x86_64 --define \"_topdir $PWD/top\" --define \"_sourcedir $PWD\" \
             --define \"_tmppath $PWD\" --define \"kversion $1\" --define \"kvariants $2\" \
             --define \"kdir $PWD/kernels\" by-hand.spec";
    let variants: Vec<String> =
        releases.iter().map(|release| KmodTarget::of(release).kvariant().to_owned()).collect();
    let cmd = Cmd::new("sh").args(["-e", "-c", script, "sh", version, &variants.join(" ")]).cwd(&path);
    let mut access = Access::default().write(&path);
    fs_err::create_dir(path.join("kernels")).unwrap();
    for release in &releases {
        let kdir = Kdir::open(&context.cache, release).unwrap();
        // A prepared tree with Rust knows its own path.
        fs_err::os::unix::fs::symlink(kdir.build(), path.join("kernels").join(release)).unwrap();
        access = kdir.read_by(access).read_at(kdir.modules(), format!("/usr/lib/modules/{release}"));
    }
    let output = ready.root.inside(context, cmd, &access).finish(&context.report).unwrap();
    assert!(output.status.success(), "{}", output.tail);
    for release in releases {
        let ours = &made.modules[release];
        let built = path.join("top/RPMS/x86_64").join(ours.file_name().unwrap());
        let payload = |file: &Utf8PathBuf| Package::open(file).unwrap().payload;
        assert!(payload(ours) == payload(&built), "{release}: by hand it is another");
    }
}
