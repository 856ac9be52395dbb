// SPDX-License-Identifier: GPL-2.0
//! The archive of a machine whose packages are RPMs: its own repositories, through its own dnf and
//! zypper. The packages are laid out as Fedora's and SUSE's are; what is in them is the default
//! kernel of the suite.

use camino::Utf8PathBuf;
use kernel::kdir::Kdir;
use kernel::root::Access;
use kernel::root::scratch::Scratch;
use kernel::root::tree::TreeRoot;
use kmodfile::release::Release;
use libtest_mimic::Trial;
use report::Report;
use report::process::Cmd;
use rpm::{BuildConfig, CompressionType, CompressionWithLevel, Dependency, FileOptions, PackageBuilder};
use xtask::repository;

use crate::kernel_source;
use crate::suite::Suite;

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("rpm_family::a_kernel_is_prepared_from_the_repositories_of_dnf", fedora),
        suite.trial("rpm_family::a_kernel_is_found_in_the_repositories_of_zypper", suse),
        suite.trial("rpm_family::what_a_repository_lacks_or_has_wrong_is_said", bad_repositories),
    ]
}

/// What the machine has beyond what the kernel is built with.
const PACKAGES: &[&str] = &["cpio", "createrepo-c", "dnf", "dnf-plugins-core", "rpm", "zypper"];

/// Names that Fedora's packages have for what the machine has of Debian's.
const FEDORAS: &[&str] = &[
    "bc",
    "bindgen-cli",
    "bison",
    "clang",
    "cpio",
    "diffutils",
    "dwarves",
    "elfutils-devel",
    "elfutils-libelf-devel",
    "findutils",
    "flex",
    "gcc",
    "glibc-devel",
    "gzip",
    "kmod",
    "lld",
    "llvm",
    "make",
    "openssl",
    "openssl-devel",
    "patch",
    "perl-interpreter",
    "python3",
    "rsync",
    "rust-src",
    "tar",
    "xz",
    "zstd",
];

/// A patch as Fedora's source package has one beside the tar file.
const PATCH: &str =
    "--- /dev/null\n+++ b/redhat-trial\n@@ -0,0 +1 @@\n+a line that no kernel of others has\n";

/// The kernel's packages as Fedora splits them, of what is in the directory `laid`.
const SPEC: &str = "\
%global debug_package %{nil}
%global __os_install_post %{nil}
Name: kernel
Version: 7
Release: 1
Summary: A kernel
License: GPL-2.0-only
AutoReqProv: no
Source0: TARBALL
Patch1: patch-%{patchversion}-redhat.patch
Patch999999: linux-kernel-test.patch
%description
A kernel.
%package devel
Summary: What builds take
AutoReqProv: no
Provides: kernel-devel-uname-r = RELEASE
%description devel
Its headers.
%package core
Summary: The image
AutoReqProv: no
Provides: kernel-uname-r = RELEASE
%description core
The image.
%package modules
Summary: The modules
AutoReqProv: no
%description modules
The modules.
%install
cp -a %{laid}/. %{buildroot}
%files devel
/usr/src/kernels/RELEASE
%files core
/lib/modules/RELEASE/vmlinuz
%files modules
%exclude /lib/modules/RELEASE/vmlinuz
/lib/modules/RELEASE
";

/// What builds take of a kernel's headers.
const HEADERS: &[&str] = &[
    ".config",
    "Module.symvers",
    "include/config/auto.conf",
    "include/generated/autoconf.h",
    "include/generated/rustc_cfg",
    "vmlinux",
];

struct RepositoryMachine<'a> {
    suite: &'a Suite,
    scratch: Option<Scratch>,
    release: Release,
    /// Seen there at the same path.
    files: Utf8PathBuf,
    _dir: tempfile::TempDir,
}

impl<'a> RepositoryMachine<'a> {
    fn new(suite: &'a Suite, os_release: &str) -> Self {
        let kdir = &suite.prepared().kdir;
        let recipe = kdir.stamp().recipe.clone().with(PACKAGES.iter().copied());
        let root = TreeRoot::provide(suite.context(), &recipe).unwrap_or_else(|error| panic!("{error:#}"));
        let dir = tempfile::tempdir_in(suite.context().cache.path("")).unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        let files = path.join("files");
        fs_err::create_dir_all(files.join("repository")).unwrap();
        let scratch = Scratch::over(&root, &path.join("changes")).unwrap();
        // The version of a package has one hyphen. A kernel is called what make is told.
        let version = kdir.release().as_str().split(['+', '-']).next().unwrap();
        let release = format!("{version}-1.fc43.x86_64").parse().unwrap();
        let machine = Self { suite, scratch: Some(scratch), release, files, _dir: dir };
        fs_err::write(machine.files.join("os-release"), os_release).unwrap();
        machine.ok(
            "rpm --initdb; rm -rf /etc/dnf/plugins/local.conf /usr/bin/apt* /usr/lib/apt /etc/apt /etc/os-release; cp os-release /etc/os-release",
        );
        machine
    }

    /// Runs a script, `$KERNEL` the release and `$TOOL` the tool; gives its status and all it said.
    fn sh(&self, script: &str) -> (i32, String) {
        let context = self.suite.context();
        let access =
            Access::default().read(context.program.parent().unwrap()).read(repository()).write(&self.files);
        let cmd = Cmd::new("bash")
            .args(["-e", "-c", script])
            .cwd(&self.files)
            .env("XDG_CACHE_HOME", self.files.join("cache"))
            .env("PROJECT", repository())
            .env("KERNEL", self.release.as_str())
            .env("TOOL", &context.program);
        let mut text = String::new();
        let cmd = self.scratch.as_ref().unwrap().inside(context, cmd, &access);
        let output = cmd.finish_with(&Report::silent(), |line| text.extend([line, "\n"])).unwrap();
        (output.status.code().unwrap_or(-1), text)
    }

    #[track_caller]
    fn ok(&self, script: &str) -> String {
        let (status, text) = self.sh(script);
        assert_eq!(status, 0, "{script}:\n{text}");
        text
    }

    fn kdir(&self) -> &Kdir {
        &self.suite.prepared().kdir
    }

    /// Puts a package into the repository.
    fn offer(&self, mut builder: PackageBuilder, name: &str) {
        let file = self.files.join("repository").join(format!("{name}.rpm"));
        builder.build().unwrap().write_file(file).unwrap();
    }

    /// The headers alone, in a package that does not say what it was built from.
    fn offer_headers(&self, name: &str, release: &str, place: &str, provides: Option<Dependency>) {
        let mut builder = package(name, "7", release, "x86_64");
        for name in HEADERS {
            let options = FileOptions::new(format!("{place}/{name}"));
            builder.with_file(self.kdir().build().join(name), options).unwrap();
        }
        if let Some(provides) = provides {
            builder.provides(provides);
        }
        self.offer(builder, name);
    }

    /// All of the kernel's packages, and their source in a repository of its own that is not
    /// enabled, as is Fedora's.
    fn offer_kernel(&self) {
        let (laid, release) = (self.files.join("laid"), self.release.as_str());
        let headers = laid.join("usr/src/kernels").join(release);
        for name in HEADERS {
            let file = headers.join(name);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::copy(self.kdir().build().join(name), file).unwrap();
        }
        let modules = laid.join("lib/modules").join(release);
        fs_err::create_dir_all(modules.parent().unwrap()).unwrap();
        let silent = Report::silent();
        Cmd::new("cp").arg("-rL").arg(self.kdir().modules()).arg(&modules).run(&silent).unwrap();
        fs_err::copy(self.kdir().vmlinuz().unwrap(), modules.join("vmlinuz")).unwrap();

        let packed =
            kernel_source::tarball(self.suite.context(), self.kdir().release(), &self.files).unwrap();
        let name = packed.file_name().unwrap();
        let sources = self.files.join("rpmbuild/SOURCES");
        fs_err::create_dir_all(&sources).unwrap();
        fs_err::rename(&packed, sources.join(name)).unwrap();
        fs_err::write(sources.join("patch-7-redhat.patch"), PATCH).unwrap();
        fs_err::write(sources.join("linux-kernel-test.patch"), "").unwrap();
        let spec = SPEC.replace("TARBALL", name).replace("RELEASE", release);
        fs_err::write(self.files.join("kernel.spec"), spec).unwrap();
        self.ok(
            "rpmbuild -ba --define \"_topdir $PWD/rpmbuild\" --define \"laid $PWD/laid\" \
             --define 'patchversion 7' --define '_source_payload w0.gzdio' --define '_binary_payload w0.gzdio' \
             kernel.spec; mv rpmbuild/SRPMS sources; mv rpmbuild/RPMS/*/*.rpm repository; rm -r rpmbuild laid; \
             createrepo_c --quiet sources",
        );
    }

    /// Fedora's names, and rustc in the version that the kernel was built with.
    fn offer_toolchain(&self) {
        let config = self.kdir().config().unwrap();
        let version = config.get("CONFIG_RUSTC_VERSION_TEXT").unwrap().split(' ').nth(1).unwrap().to_owned();
        let mut builder = package("rust", &version, "1", "x86_64");
        for name in FEDORAS {
            builder.provides(Dependency::any(*name));
        }
        self.offer(builder, "rust");
    }

    /// Makes the repository known to dnf or zypper.
    fn enable(&self, dir: &str) {
        let entry = |id: &str, place: &str, enabled: u8| {
            format!(
                "[{id}]\nname={id}\nbaseurl=file://{}/{place}\nenabled={enabled}\ngpgcheck=0\n\n",
                self.files
            )
        };
        let text = [entry("trial", "repository", 1), entry("trial-source", "sources", 0)].concat();
        fs_err::write(self.files.join("trial.repo"), text).unwrap();
        self.ok(&format!("createrepo_c --quiet repository; mkdir -p {dir}; cp trial.repo {dir}"));
    }
}

impl Drop for RepositoryMachine<'_> {
    fn drop(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            scratch.remove(self.suite.context()).ok();
        }
    }
}

fn package(name: &str, version: &str, release: &str, arch: &str) -> PackageBuilder {
    let compression: CompressionWithLevel = CompressionType::None.into();
    let mut builder = PackageBuilder::new(name, version, "GPL-2.0-only", arch, "For a trial");
    builder.using_config(BuildConfig::v4().compression(compression)).release(release);
    builder
}

const FEDORA: &str = "ID=fedora\nVERSION_ID=43\nPLATFORM_ID=\"platform:f43\"\n";

/// Its headers have no Rust artefacts: they are made from the source package, patched, and proven,
/// and the guard is built against them, with the machine's own compilers.
fn fedora(suite: &Suite) {
    let machine = RepositoryMachine::new(suite, FEDORA);
    let release = machine.release.clone();
    machine.offer_kernel();
    machine.offer_toolchain();
    machine.enable("/etc/yum.repos.d");
    let text = machine.ok("dnf --quiet --assumeyes install rust; $TOOL kernel list");
    let row = text.lines().find(|line| line.contains(release.as_str())).unwrap_or_else(|| panic!("{text}"));
    assert!(row.contains("yes"), "{text}");
    let text = machine.ok("$TOOL --root-fs host kernel prepare $KERNEL");
    assert!(text.contains("Patched") && text.contains("exported Rust symbols"), "{text}");
    let text = machine
        .ok("$TOOL --target-dir $PWD/target --root-fs host build --project $PROJECT --kernel $KERNEL; \
         head -1 cache/cargo-kmod/sources/*/redhat-trial");
    assert!(
        text.contains("a line that no kernel of others has") && text.contains("Built cifs-fix"),
        "{text}"
    );
}

/// Its names say less: the release follows from version and flavour.
fn suse(suite: &Suite) {
    let os_release = "ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\nVERSION_ID=\"20261120\"\n";
    let machine = RepositoryMachine::new(suite, os_release);
    machine.offer_headers("kernel-default-devel", "3.1", "/usr/src/linux-7-3-obj/x86_64/default", None);
    machine.enable("/etc/zypp/repos.d");
    let text = machine.ok("$TOOL kernel list");
    assert!(text.lines().any(|line| line.contains("7-3-default") && line.contains("yes")), "{text}");
    let (status, text) = machine.sh("$TOOL kernel prepare 7-3-default");
    assert!(status == 4 && text.contains("no repository has their source, kernel-source"), "{text}");
}

fn bad_repositories(suite: &Suite) {
    let machine = RepositoryMachine::new(suite, FEDORA);
    let (status, text) = machine.sh("$TOOL kernel prepare 6.17.1-300.fc43.x86_64");
    assert!(status == 3 && text.contains("dnf makecache"), "{status}: {text}");
    let release = machine.release.clone();
    let uname = Dependency::eq("kernel-devel-uname-r", release.as_str());
    machine.offer_headers("kernel-devel", "1", &format!("/usr/src/kernels/{release}"), Some(uname));
    machine.enable("/etc/yum.repos.d");
    let (status, text) = machine.sh("$TOOL kernel prepare $KERNEL");
    assert!(status == 4 && text.contains("no repository has their source"), "{status}: {text}");
    let (status, text) = machine.sh("$TOOL kernel prepare 6.17.1-300.fc43.x86_64");
    assert!(status == 3 && text.contains("no such kernel in the archive"), "{status}: {text}");
    // Another file than the index says, and then one whose repository is down.
    machine.ok("rm -r cache/cargo-kmod/archive; echo more >> repository/kernel-devel.rpm");
    let (status, text) = machine.sh("$TOOL kernel prepare $KERNEL");
    assert!(status != 0 && text.contains("kernel-devel"), "{status}: {text}");
    machine.ok("mv repository away; rm -rf cache/cargo-kmod/archive");
    let (status, text) = machine.sh("$TOOL kernel prepare $KERNEL");
    assert!(status == 3 && text.contains("the package repositories"), "{status}: {text}");
    machine.ok("mv away repository");
}
