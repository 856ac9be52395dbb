// SPDX-License-Identifier: GPL-2.0
//! Systems with kernels, laid out as each distribution lays them out; what is in the files is our
//! own.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err::os::unix::fs::symlink;
use kmodfile::architecture::Architecture;
use report::Report;
use report::cache::Cache;
use report::failure::Exit;
use report::failure::exit_of;

use super::adopt;
use super::compilers::CompilersHere;
use super::layout::{self, Headers, InstalledKernel};
use super::package_family::PackageFamily;
use super::readiness::{Obstruction, Readiness, Surveyed};
use super::system::SystemRoot;
use crate::distribution::recipe::Recipe;
use crate::kdir::{Kdir, Stamp};
use crate::origin::{InstalledTree, Origin};

const RUSTC: &str = "rustc 1.89.0 (29483883e 2025-08-04)";
const GCC: &str = "gcc (GCC) 15.2.1 20260103";

/// A system's tree.
struct System {
    dir: tempfile::TempDir,
}

impl System {
    fn new(id: &str) -> Self {
        let system = Self { dir: tempfile::tempdir().unwrap() };
        system.write("etc/os-release", &format!("ID={id}\n"));
        system
    }

    fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.dir.path()).unwrap()
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        let path = self.root().join(name.trim_start_matches('/'));
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.path(name), text).unwrap();
    }

    fn link(&self, name: &str, target: &str) {
        symlink(target, self.path(name)).unwrap();
    }

    /// A program, or a library that a compiler loads, for a machine.
    fn program(&self, name: &str, machine: object::elf::Machine) {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[18..20].copy_from_slice(&machine.0.to_le_bytes());
        fs_err::write(self.path(name), bytes).unwrap();
        fs_err::set_permissions(self.path(name), Permissions::from_mode(0o755)).unwrap();
    }

    fn modules(&self, dir: &str) {
        self.write(&format!("{dir}/modules.dep"), "");
        self.write(&format!("{dir}/kernel/fs/x.ko"), "");
    }

    /// What a build tree holds whose programs are in `programs`.
    fn build(&self, dir: &str, programs: &str, release: &str, rust: bool) {
        let rust = if rust {
            format!("CONFIG_RUST=y\nCONFIG_RUSTC_VERSION_TEXT=\"{RUSTC}\"\n")
        } else {
            String::new()
        };
        let config = format!("CONFIG_X86_64=y\nCONFIG_CC_VERSION_TEXT=\"{GCC}\"\nCONFIG_SMP=y\n{rust}");
        self.write(&format!("{dir}/.config"), &config);
        self.write(&format!("{dir}/include/config/auto.conf"), &config);
        self.write(&format!("{dir}/include/generated/autoconf.h"), "#define CONFIG_SMP 1\n");
        self.write(
            &format!("{dir}/include/generated/utsrelease.h"),
            &format!("#define UTS_RELEASE \"{release}\"\n"),
        );
        self.write(&format!("{dir}/Module.symvers"), "0x0\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n");
        for name in ["scripts/basic/fixdep", "scripts/mod/modpost"] {
            self.program(&format!("{programs}/{name}"), object::elf::EM_X86_64);
        }
    }

    fn artefacts(&self, dir: &str) {
        for name in ["libcore", "libkernel", "libpin_init"] {
            self.rmeta(&format!("{dir}/{name}.rmeta"), RUSTC);
        }
        self.program(&format!("{dir}/libmacros.so"), object::elf::EM_X86_64);
    }

    fn rmeta(&self, name: &str, rustc: &str) {
        let head = [b"rust\0\0\0\x0a\0\0\0\0\0\0\0\0\x23", rustc.as_bytes(), b"\xc1"].concat();
        fs_err::write(self.path(name), head).unwrap();
    }

    fn kernels(&self) -> Vec<InstalledKernel> {
        layout::all(&SystemRoot::open(self.root()).unwrap(), None)
    }

    /// The only kernel there.
    fn kernel(&self) -> InstalledKernel {
        let kernels = self.kernels();
        assert_eq!(kernels.len(), 1, "{kernels:?}");
        kernels.into_iter().next().unwrap()
    }

    fn readiness(&self) -> Readiness {
        self.readiness_with(&here())
    }

    fn readiness_with(&self, here: &CompilersHere) -> Readiness {
        let system = SystemRoot::open(self.root()).unwrap();
        let kernel = self.kernel();
        Surveyed::new(&system, PackageFamily::of(&system), &kernel).readiness(here)
    }

    /// What is in the way of Rust, C being ready.
    fn obstruction_in_rust(&self) -> Obstruction {
        let readiness = self.readiness();
        assert_eq!(readiness.c, None);
        readiness.rust.unwrap()
    }
}

fn here() -> CompilersHere {
    let said = [("gcc", GCC), ("rustc", RUSTC)].map(|(name, said)| (name.to_owned(), said.to_owned()));
    CompilersHere { architecture: Some(Architecture::Amd64), said: said.into_iter().collect() }
}

const READY: Readiness = Readiness { c: None, rust: None };

fn places(kernel: &InstalledKernel) -> (&str, &str) {
    match &kernel.headers {
        Headers::There { build, source } => (build.as_str(), source.as_str()),
        other => panic!("{other:?}"),
    }
}

/// Headers of a flavour beside those of all, and the programs in a package of their own.
fn debian(release: &str, rust: bool) -> System {
    let system = System::new("debian");
    let headers = format!("usr/src/linux-headers-{release}");
    system.link("lib", "usr/lib");
    system.modules(&format!("usr/lib/modules/{release}"));
    system.link(&format!("usr/lib/modules/{release}/build"), &format!("/{headers}"));
    system.link(&format!("usr/lib/modules/{release}/source"), "/usr/src/linux-headers-6.12.9-common");
    system.build(&headers, "usr/lib/linux-kbuild-6.12", release, rust);
    system.link(&format!("{headers}/scripts"), "../../lib/linux-kbuild-6.12/scripts");
    system.write(&format!("{headers}/Makefile"), "include /usr/src/linux-headers-6.12.9-common/Makefile\n");
    system.write(&format!("{headers}/include/config/kernel.release"), "6.12.9\n");
    system.write("usr/src/linux-headers-6.12.9-common/Makefile", "include $(srctree)/scripts/x\n");
    system.write(&format!("boot/vmlinuz-{release}"), "image");
    system
}

#[test]
fn debian_has_headers_of_a_flavour_and_of_all() {
    let system = debian("6.12.9-amd64", false);
    let kernel = system.kernel();
    assert_eq!(
        places(&kernel),
        ("/usr/src/linux-headers-6.12.9-amd64", "/usr/src/linux-headers-6.12.9-common")
    );
    assert_eq!(kernel.image.unwrap(), "/boot/vmlinuz-6.12.9-amd64");
    let readiness = system.readiness();
    assert!(readiness.c.is_none() && readiness.rust.unwrap().why.contains("CONFIG_RUST is not set"));
}

#[test]
fn debians_headers_have_no_artefacts_and_the_tool_makes_them() {
    let system = debian("7.2.1-amd64", true);
    let obstruction = system.obstruction_in_rust();
    assert_eq!(obstruction.remedy.unwrap(), "cargo kmod kernel prepare 7.2.1-amd64");
    // A package of them may be there, or be named by a link.
    system.link("usr/src/linux-headers-7.2.1-amd64/rust", "../linux-librust-7.2.1-amd64/rust");
    let obstruction = system.obstruction_in_rust();
    assert_eq!(obstruction.remedy.unwrap(), "apt-get install linux-librust-7.2.1-amd64");
    system.artefacts("usr/src/linux-librust-7.2.1-amd64/rust");
    assert_eq!(system.readiness(), READY);
}

/// As Debian, but everything of the flavour's directory is a link to the common one.
fn ubuntu() -> System {
    let (system, release) = (System::new("ubuntu"), "6.17.0-5-generic");
    let (headers, common) = (format!("usr/src/linux-headers-{release}"), "linux-headers-6.17.0-5");
    system.link("lib", "usr/lib");
    system.modules(&format!("usr/lib/modules/{release}"));
    system.link(&format!("usr/lib/modules/{release}/build"), &format!("/{headers}"));
    system.build(&headers, &headers, release, true);
    system.write(&format!("usr/src/{common}/Makefile"), "all:\n");
    system.link(&format!("{headers}/Makefile"), &format!("../{common}/Makefile"));
    system.link(&format!("{headers}/rust"), &format!("../linux-lib-rust-{release}/rust"));
    system.write(&format!("boot/vmlinuz-{release}"), "image");
    system
}

#[test]
fn ubuntu_has_artefacts_in_a_package_that_a_link_leads_to() {
    let system = ubuntu();
    assert_eq!(
        places(&system.kernel()),
        ("/usr/src/linux-headers-6.17.0-5-generic", "/usr/src/linux-headers-6.17.0-5")
    );
    let obstruction = system.obstruction_in_rust();
    assert!(obstruction.why.contains("leads to ../linux-lib-rust-6.17.0-5-generic/rust, which is not there"));
    assert_eq!(obstruction.remedy.as_deref(), Some("apt-get install linux-lib-rust-6.17.0-5-generic"));
    assert_eq!(obstruction.failure(&system.kernel()).exit, Exit::Missing);
    system.artefacts("usr/src/linux-lib-rust-6.17.0-5-generic/rust");
    assert_eq!(system.readiness(), READY);
}

fn arch() -> System {
    let (system, dir) = (System::new("arch"), "usr/lib/modules/7.2.3-arch1-1");
    system.link("lib", "usr/lib");
    system.modules(dir);
    system.write(&format!("{dir}/pkgbase"), "linux-zen\n");
    system.write(&format!("{dir}/vmlinuz"), "image");
    system
}

#[test]
fn arch_has_all_in_the_directory_of_the_modules() {
    let system = arch();
    let c = system.readiness().c.unwrap();
    assert_eq!((c.remedy.as_deref(), c.wrong), (Some("pacman -S linux-zen-headers"), false));
    let build = "usr/lib/modules/7.2.3-arch1-1/build";
    system.build(build, build, "7.2.3-arch1-1", true);
    system.write(&format!("{build}/Makefile"), "VERSION = 7\ninclude $(srctree)/x\n");
    system.link("usr/src/linux-zen", "../lib/modules/7.2.3-arch1-1/build");
    assert_eq!(system.obstruction_in_rust().remedy.unwrap(), "pacman -S linux-zen-headers");
    system.artefacts(&format!("{build}/rust"));
    let kernel = system.kernel();
    assert_eq!(places(&kernel), (&*format!("/{build}"), &*format!("/{build}")));
    assert_eq!(kernel.image.unwrap(), "/usr/lib/modules/7.2.3-arch1-1/vmlinuz");
    assert_eq!(system.readiness(), READY);
}

#[test]
fn armbian_has_artefacts_inside_the_headers() {
    let (system, release) = (System::new("debian"), "6.18.2-current-rockchip64");
    system.write("etc/armbian-release", "BOARD=x\n");
    system.modules(&format!("lib/modules/{release}"));
    system.link(&format!("lib/modules/{release}/build"), &format!("/usr/src/linux-headers-{release}"));
    let c = system.readiness().c.unwrap();
    assert!(c.why.contains(&format!("leads to /usr/src/linux-headers-{release}, which is not there")));
    assert_eq!(c.remedy.unwrap(), "apt-get install linux-headers-current-rockchip64");
    let headers = format!("usr/src/linux-headers-{release}");
    system.build(&headers, &headers, release, true);
    system.write(&format!("{headers}/Makefile"), "VERSION = 6\n");
    system.artefacts(&format!("{headers}/rust"));
    assert_eq!(places(&system.kernel()).0, format!("/{headers}"));
    assert_eq!(system.readiness(), READY);
}

#[test]
fn fedora_keeps_headers_of_all_kernels_together_and_has_no_artefacts() {
    let (system, release) = (System::new("fedora"), "6.18.5-200.fc43.x86_64");
    system.link("lib", "usr/lib");
    let modules = format!("usr/lib/modules/{release}");
    system.modules(&modules);
    for name in ["config", "vmlinuz", "System.map", "symvers.xz"] {
        system.write(&format!("{modules}/{name}"), "x");
    }
    // Both links are there without the package.
    system.link(&format!("{modules}/build"), &format!("/usr/src/kernels/{release}"));
    system.link(&format!("{modules}/source"), "build");
    let c = system.readiness().c.unwrap();
    assert_eq!(c.remedy.unwrap(), format!("dnf install kernel-devel-{release}"));
    let headers = format!("usr/src/kernels/{release}");
    system.build(&headers, &headers, release, true);
    system.write(&format!("{headers}/Makefile"), "VERSION = 6\n");
    let kernel = system.kernel();
    assert_eq!(places(&kernel).0, format!("/{headers}"));
    assert_eq!(kernel.image.unwrap(), format!("/{modules}/vmlinuz"));
    let remedy = system.obstruction_in_rust().remedy.unwrap();
    assert_eq!(remedy, format!("cargo kmod kernel prepare --source DIR --config-of {release}"));
}

#[test]
fn opensuse_keeps_what_is_built_apart_from_the_source() {
    let (system, release) = (System::new("opensuse-tumbleweed"), "6.17.1-1-default");
    system.write("etc/os-release", "ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n");
    system.link("lib", "usr/lib");
    let (modules, source) = (format!("usr/lib/modules/{release}"), "usr/src/linux-6.17.1-1");
    let build = format!("{source}-obj/x86_64/default");
    system.modules(&modules);
    assert_eq!(system.readiness().c.unwrap().remedy.unwrap(), "zypper install kernel-default-devel");
    system.link(&format!("{modules}/build"), &format!("/{build}"));
    system.link(&format!("{modules}/source"), &format!("/{source}"));
    system.write(&format!("{source}/Makefile"), "VERSION = 6\n");
    system.build(&build, &build, release, false);
    system.write(&format!("{build}/Makefile"), "include ../../../linux-6.17.1-1/Makefile\n");
    let kernel = system.kernel();
    assert_eq!(places(&kernel), (&*format!("/{build}"), &*format!("/{source}")));
    assert_eq!(system.readiness().c, None);
}

#[test]
fn nixos_has_its_kernel_in_the_store() {
    let (system, release) = (System::new("nixos"), "6.18.5");
    let (out, dev) = ("nix/store/0a-linux-6.18.5", "nix/store/0b-linux-6.18.5-dev");
    system.link("run/booted-system/kernel-modules", "/nix/store/0c-kernel-modules");
    system.link(
        "nix/store/0c-kernel-modules/lib/modules/6.18.5",
        "/nix/store/0a-linux-6.18.5/lib/modules/6.18.5",
    );
    system.modules(&format!("{out}/lib/modules/{release}"));
    let c = system.readiness().c.unwrap();
    assert!(c.remedy.unwrap().contains("boot.kernelPackages.kernel.dev"));
    let build = format!("{dev}/lib/modules/{release}/build");
    system.build(&build, &build, release, true);
    let source = format!("/{dev}/lib/modules/{release}/source");
    system.write(&format!("{source}/Makefile"), "VERSION = 6\n");
    system.write(&format!("{build}/Makefile"), &format!("include {source}/Makefile\n"));
    // Found in the store, and by the link that newer ones have.
    for _ in 0..2 {
        assert_eq!(places(&system.kernel()), (&*format!("/{build}"), &*source));
        assert_eq!(system.readiness().c, None);
        let link = system.path(&format!("{out}/lib/modules/{release}/build"));
        if !link.is_symlink() {
            symlink(format!("/{build}"), link).unwrap();
        }
    }
}

#[test]
fn newest_come_first_and_what_an_uninstalled_kernel_left_is_none() {
    let system = debian("6.12.9-amd64", false);
    system.modules("usr/lib/modules/6.12.107-amd64");
    system.write("usr/lib/modules/6.12.94-amd64/updates/x.ko", "");
    let root = SystemRoot::open(system.root()).unwrap();
    let running = "6.18.44-other".parse().unwrap();
    let kernels = layout::all(&root, Some(&running));
    let names: Vec<_> = kernels.iter().map(|kernel| (kernel.release.as_str(), kernel.running)).collect();
    assert_eq!(names, [("6.18.44-other", true), ("6.12.107-amd64", false), ("6.12.9-amd64", false)]);
    assert_eq!(kernels[0].headers, Headers::Absent);
}

#[test]
fn artefacts_of_another_rustc_or_machine_are_refused() {
    let (system, dir) = (ubuntu(), "usr/src/linux-lib-rust-6.17.0-5-generic/rust");
    system.artefacts(dir);
    system.rmeta(&format!("{dir}/libkernel.rmeta"), "rustc 1.75.0 (82e1608df 2023-12-21)");
    let obstruction = system.obstruction_in_rust();
    assert!(obstruction.wrong && obstruction.why.contains("libkernel.rmeta was made by `rustc 1.75.0"));
    system.artefacts(dir);
    system.program(&format!("{dir}/libmacros.so"), object::elf::EM_AARCH64);
    let obstruction = system.obstruction_in_rust();
    assert!(obstruction.why.contains("libmacros.so is for aarch64 and does not run here, on x86_64"));
    assert_eq!(obstruction.failure(&system.kernel()).exit, Exit::Refused);
    system.artefacts(dir);
    let mut here = here();
    here.said.insert("rustc".to_owned(), "rustc 1.90.0 (x)".to_owned());
    let obstruction = system.readiness_with(&here).rust.unwrap();
    assert!(obstruction.wrong && obstruction.why.contains("this machine has `rustc 1.90.0 (x)`"));
    here.said.remove("rustc");
    let obstruction = system.readiness_with(&here).rust.unwrap();
    assert_eq!((obstruction.wrong, obstruction.remedy.as_deref()), (false, Some("apt-get install rustc")));
}

/// How headers are spoilt, what is then said of them, and whether they are wrong or only not whole.
type Case<'a> = (&'a dyn Fn(&System), &'a str, bool);

#[test]
fn headers_that_are_not_whole_or_not_right_are_told_by_name() {
    let headers = "usr/src/linux-headers-6.12.9-amd64";
    let fresh = || debian("6.12.9-amd64", false);
    let cases: &[Case<'_>] = &[
        (&|system| system.write(&format!("{headers}/Module.symvers"), ""), "Module.symvers", false),
        (
            &|system| {
                fs_err::remove_file(system.path(&format!("{headers}/include/generated/autoconf.h"))).unwrap()
            },
            "autoconf.h",
            false,
        ),
        (
            &|system| fs_err::remove_dir_all(system.path("usr/lib/linux-kbuild-6.12")).unwrap(),
            "scripts/basic/fixdep",
            false,
        ),
        (
            &|system| {
                system.program("usr/lib/linux-kbuild-6.12/scripts/mod/modpost", object::elf::EM_AARCH64)
            },
            "modpost is for aarch64",
            true,
        ),
        (
            &|system| {
                let file = system.path("usr/lib/linux-kbuild-6.12/scripts/mod/modpost");
                fs_err::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
            },
            "modpost is not executable",
            true,
        ),
        (
            &|system| {
                let config = format!(
                    "CONFIG_X86_64=y\nCONFIG_CC_VERSION_TEXT=\"{GCC}\"\nCONFIG_SMP=y\nCONFIG_KASAN=y\n"
                );
                system.write(&format!("{headers}/.config"), &config);
            },
            "CONFIG_KASAN is y in it, and was not set",
            true,
        ),
        (
            &|system| {
                for name in [".config", "include/config/auto.conf"] {
                    system.write(
                        &format!("{headers}/{name}"),
                        &format!("CONFIG_ARM64=y\nCONFIG_CC_VERSION_TEXT=\"{GCC}\"\n"),
                    );
                }
            },
            "for arm64, and this machine is amd64",
            true,
        ),
        (
            &|system| {
                system.write(
                    &format!("{headers}/include/generated/utsrelease.h"),
                    "#define UTS_RELEASE \"6.12.8-amd64\"\n",
                )
            },
            "",
            false,
        ),
    ];
    for (spoil, why, wrong) in cases {
        let system = fresh();
        spoil(&system);
        if why.is_empty() {
            let kernel = system.kernels().into_iter().find(|kernel| kernel.modules.is_some()).unwrap();
            assert!(matches!(kernel.headers, Headers::OfAnother { .. }), "{kernel:?}");
            continue;
        }
        let c = system.readiness().c.unwrap();
        assert!(c.why.contains(why) && c.wrong == *wrong && c.remedy.is_some(), "{c:?}");
        assert_eq!(c.failure(&system.kernel()).exit, if *wrong { Exit::Refused } else { Exit::Missing });
    }
}

#[test]
fn a_compiler_that_is_missing_or_another_is_named() {
    let system = debian("6.12.9-amd64", false);
    let mut here = here();
    here.said.insert("gcc".to_owned(), "gcc (GCC) 12.2.0".to_owned());
    let c = system.readiness_with(&here).c.unwrap();
    assert!(c.wrong && c.why.contains("this machine's gcc is `gcc (GCC) 12.2.0`"), "{c:?}");
    here.said.clear();
    let c = system.readiness_with(&here).c.unwrap();
    assert_eq!((c.wrong, c.remedy.as_deref()), (false, Some("apt-get install gcc")));
}

#[test]
fn a_survey_tells_what_brings_the_image_and_what_is_in_the_way() {
    let system = debian("6.12.9-amd64", false);
    fs_err::remove_file(system.path("boot/vmlinuz-6.12.9-amd64")).unwrap();
    let surveyed = adopt::survey(system.root(), None, &Report::silent()).unwrap();
    assert_eq!((surveyed.len(), &surveyed[0].kernel.image), (1, &None));
    assert_eq!(surveyed[0].image_from, "apt-get install linux-image-6.12.9-amd64");
    assert!(adopt::obstruction(&surveyed[0], true).is_some());
}

/// A kernel in a cache whose build tree is that of `system`.
fn stamped(system: &System, cache: &Cache, origin: Origin) -> Kdir {
    let release = "6.12.9-amd64".parse().unwrap();
    let place = Kdir::place_of(cache, &release);
    fs_err::create_dir_all(&place).unwrap();
    let build = system.path("usr/src/linux-headers-6.12.9-amd64");
    if !place.join("build").exists() {
        symlink(build, place.join("build")).unwrap();
        symlink(system.path("usr/src/linux-headers-6.12.9-common"), place.join("source")).unwrap();
    }
    let stamp = Stamp {
        release,
        inputs: String::new(),
        recipe: Recipe::host(),
        architecture: Architecture::Amd64,
        origin,
        tools: String::new(),
        place,
        rust_symbols: 0,
        seconds: 0.0,
        make_seconds: 0.0,
        bytes: 0,
        of_some: Vec::new(),
        kept: Vec::new(),
    };
    let kdir = Kdir::made(stamp).unwrap();
    kdir.write_stamp().unwrap();
    kdir
}

#[test]
fn a_prepared_kernel_that_was_edited_is_refused_and_an_installed_one_looked_at_again() {
    let system = debian("6.12.9-amd64", false);
    let headers = "usr/src/linux-headers-6.12.9-amd64";
    for name in ["scripts/Makefile.build", "scripts/module.lds"] {
        system.write(&format!("usr/lib/linux-kbuild-6.12/{name}"), "");
    }
    system.write("usr/src/linux-headers-6.12.9-common/scripts/Makefile.build", "");
    let cache = &Cache::at(system.path("cache")).unwrap();
    let image = cache.path("kernels/6.12.9-amd64/image/lib/modules/6.12.9-amd64/modules.builtin");
    fs_err::create_dir_all(image.parent().unwrap()).unwrap();
    fs_err::write(image, "").unwrap();
    let installed = InstalledTree {
        build: system.path(headers),
        source: system.path("usr/src/linux-headers-6.12.9-common"),
        modules: system.path("usr/lib/modules/6.12.9-amd64"),
        image: None,
        others: Vec::new(),
        rust: false,
        image_from: "install it".to_owned(),
    };
    for origin in [Origin::Archive { suite: "x".to_owned(), version: None }, Origin::Installed(installed)] {
        let is_installed = matches!(origin, Origin::Installed(_));
        let config = fs_err::read_to_string(system.path(&format!("{headers}/.config"))).unwrap();
        let kdir = stamped(&system, cache, origin);
        let release = kdir.release();
        Kdir::require_unchanged(cache, release).unwrap();
        assert!(Kdir::open(cache, release).is_some() && kdir.is_installed() == is_installed);
        system.write(&format!("{headers}/.config"), &format!("{config}CONFIG_KASAN=y\n"));
        assert!(Kdir::open(cache, release).is_none() && Kdir::all(cache, &Report::silent()).is_empty());
        let refused = Kdir::require_unchanged(cache, release);
        assert_eq!((refused.is_err(), Kdir::was_installed(cache, release)), (!is_installed, is_installed));
        if let Err(failure) = refused {
            assert!(failure.exit == Exit::Refused && failure.reason.contains(".config was changed"));
        }
        let unbootable = kdir.vmlinuz().unwrap_err();
        assert_eq!(exit_of(&unbootable), Exit::Missing);
        assert_eq!(unbootable.to_string().contains("nor"), is_installed, "{unbootable}");
        system.write(&format!("{headers}/.config"), &config);
        Kdir::require_unchanged(cache, release).unwrap();
        assert!(Kdir::open(cache, release).is_some());
    }
}
