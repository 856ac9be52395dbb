// SPDX-License-Identifier: GPL-2.0
//! akmod packages: what kmodtool(1) would have them be, and that akmods(8) gets from one the
//! package for each kernel. akmods itself is not in Debian: what it runs is run here, by the same
//! words.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};
use deploy::rpm::ready;
use kernel::kdir::Kdir;
use kernel::machine::user;
use kernel::prepare::{self, Rust};
use kernel::root::Access;
use kernel::root::scratch::Scratch;
use kernel::root::tree::TreeRoot;
use kmodfile::release::Release;
use libtest_mimic::Trial;
use report::process::{Cmd, Output};
use rpm::{BuildConfig, CompressionType, CompressionWithLevel, Dependency, FileOptions};
use rpm::{DependencyFlags, Package, PackageBuilder};

use crate::rpm::{suite_root, uname_version};
use crate::suite::{Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("akmod::it_is_what_kmodtool_would_have_it_be", conventions),
        suite.trial("akmod::akmods_builds_for_each_kernel_and_the_kernel_takes_it_along", as_akmods_does),
        suite.trial("akmod::a_kernel_that_cannot_be_built_for_leaves_a_log_with_the_reason", failures),
        suite.trial("akmod::macros_of_the_families_change_nothing", macros_of_families),
        suite.trial("akmod::source_of_one_kernel_is_refused", of_one_kernel),
    ]
}

/// Two modules, of which one is not for every kernel.
const PROJECT: &[(&str, &str)] = &[
    (
        "dkms.conf",
        "PACKAGE_NAME=lamp\nPACKAGE_VERSION=1.2\nBUILT_MODULE_NAME=(lamp bulb)\n\
         DEST_MODULE_LOCATION=(/extra /extra)\nBUILD_EXCLUSIVE_KERNEL[1]='-cloud-'\n",
    ),
    ("Kbuild", "obj-m := lamp.o bulb.o\n"),
    ("lamp.c", MODULE),
    ("bulb.c", MODULE),
];

const MODULE: &str = "// SPDX-License-Identifier: GPL-2.0\n#include <linux/module.h>\n\
                      MODULE_LICENSE(\"GPL\");\nMODULE_DESCRIPTION(\"Gives light\");\n";

/// What the tool makes of the project; trials share it.
struct Made {
    _dir: tempfile::TempDir,
    dir: Utf8PathBuf,
}

static MADE: OnceLock<Made> = OnceLock::new();

impl Made {
    fn get(suite: &Suite) -> &'static Self {
        MADE.get_or_init(|| {
            let (temporary, dir) = scratch();
            let project = dir.join("project");
            fs_err::create_dir(&project).unwrap();
            for (name, text) in PROJECT {
                fs_err::write(project.join(name), text).unwrap();
            }
            let release = suite.prepared().kdir.release().as_str();
            let output = dir.join("made");
            let words = ["rpm", "--akmod", "--srpm", "--project", project.as_str(), "--kernel", release];
            let (status, said) = run(&tool(&words).arg("--output").arg(&output));
            assert_eq!(status, 0, "{said}");
            assert!(said.contains("source for akmods"), "{said}");
            Self { _dir: temporary, dir: output }
        })
    }

    fn akmod(&self) -> Utf8PathBuf {
        self.dir.join("akmod-lamp-1.2-1.x86_64.rpm")
    }

    fn common(&self) -> Utf8PathBuf {
        self.dir.join("lamp-kmod-common-1.2-1.noarch.rpm")
    }
}

/// What a package requires, or provides, but of rpm: `NAME = VERSION`.
fn said(dependencies: Vec<Dependency>) -> Vec<String> {
    let ours = dependencies.into_iter().filter(|one| !one.flags.contains(DependencyFlags::RPMLIB));
    let mut lines: Vec<String> = ours
        .map(|one| {
            let sign = [
                (DependencyFlags::GREATER, ">"),
                (DependencyFlags::LESS, "<"),
                (DependencyFlags::EQUAL, "="),
            ];
            let sign: String =
                sign.iter().filter(|(flag, _)| one.flags.contains(*flag)).map(|(_, sign)| *sign).collect();
            format!("{} {sign} {}", one.name, one.version).trim_end().trim_end_matches(' ').to_owned()
        })
        .collect();
    lines.sort();
    lines.dedup();
    lines
}

fn requires(package: &Package) -> Vec<String> {
    said(package.metadata.get_requires().unwrap())
}

fn provides(package: &Package) -> Vec<String> {
    said(package.metadata.get_provides().unwrap())
}

fn conventions(suite: &Suite) {
    let made = Made::get(suite);
    let akmod = Package::open(made.akmod()).unwrap();
    let required = [
        "(kernel-64k-devel-matched if kernel-64k-core)",
        "(kernel-debug-devel-matched if kernel-debug-core)",
        "(kernel-devel-matched if kernel-core)",
        "(kernel-rt-devel if kernel-rt-core)",
        "/bin/sh",
        "akmods",
        "elfutils-libelf-devel",
        "gcc",
        "kmod",
        "kmodtool",
        "lamp-kmod-common >= 1.2",
        "make",
        "patch",
    ];
    assert_eq!(requires(&akmod), required);
    assert_eq!(provides(&akmod), ["akmod-lamp = 1.2-1", "akmod-lamp(x86-64) = 1.2-1", "lamp-kmod = 1.2-1"]);
    let files = akmod.metadata.get_file_entries().unwrap();
    let files: BTreeMap<String, String> = files
        .into_iter()
        .map(|file| (file.path().display().to_string(), file.linkto().unwrap_or_default().to_owned()))
        .collect();
    let source = "/usr/src/akmods/lamp-kmod-1.2-1.src.rpm";
    assert_eq!(
        files,
        [(source, ""), ("/usr/src/akmods/lamp-kmod.latest", "lamp-kmod-1.2-1.src.rpm")]
            .map(|(file, target)| (file.to_owned(), target.to_owned()))
            .into()
    );
    let script = akmod.metadata.get_post_trans_script().unwrap().script;
    assert!(script.contains("nohup /usr/sbin/akmods --from-akmod-posttrans --akmod lamp "), "{script}");
    let script = akmod.metadata.get_post_install_script().unwrap().script;
    assert!(script.contains(&format!("/usr/sbin/akmods-ostree-post lamp {source}")), "{script}");
    assert_eq!(provides(&Package::open(made.common()).unwrap()), ["lamp-kmod-common = 1.2-1"]);
}

/// A machine with rpm, rpmbuild and dnf, on which kernels are installed with what kernel-devel has
/// of them; there is no cargo.
struct Machine<'a> {
    suite: &'a Suite,
    scratch: Option<Scratch>,
    kernels: Vec<Kdir>,
    /// Seen in it at the same path.
    files: Utf8PathBuf,
    _dir: tempfile::TempDir,
}

impl<'a> Machine<'a> {
    fn new(suite: &'a Suite, kernels: Vec<Kdir>) -> Self {
        let context = suite.context();
        let recipe = ready::recipe(&suite.prepared().kdir).unwrap().with(["dnf"]);
        let root = TreeRoot::provide(context, &recipe).unwrap();
        let dir = tempfile::tempdir_in(context.cache.path("")).unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        let files = path.join("files");
        fs_err::create_dir(&files).unwrap();
        let scratch = Scratch::over(&root, &path.join("changes")).unwrap();
        let scratch = kernels.iter().fold(scratch, |scratch, kdir| scratch.with_layer(kdir.image()));
        let machine = Self { suite, scratch: Some(scratch), kernels, files, _dir: dir };
        machine.sh("! command -v cargo; rpm --initdb; mkdir -p /usr/share/licenses /usr/src/kernels
             getent passwd akmods > /dev/null || useradd --system --home-dir /var/cache/akmods akmods
             mkdir -p /var/cache/akmods/lamp; chown -R akmods /var/cache/akmods");
        // The kernels' directories are below a home, into which akmods' user does not see.
        for above in machine.kernels[0].build().ancestors().skip(3) {
            machine.sh(&format!("test ! -O {above} || chmod o+x {above}"));
        }
        for kdir in &machine.kernels {
            let (release, build) = (kdir.release(), kdir.build());
            machine.sh(&format!("depmod {release}; ln -s {build} /usr/src/kernels/{release}"));
        }
        machine.stand_ins();
        for package in [Made::get(suite).akmod(), Made::get(suite).common()] {
            fs_err::copy(&package, machine.files.join(package.file_name().unwrap())).unwrap();
        }
        machine
    }

    /// The packages of a distribution that ours require, as far as rpm sees them, and an akmods
    /// that writes down how it is called.
    fn stand_ins(&self) {
        let mut system = builder("system", "1");
        for name in ["/bin/sh", "elfutils-libelf-devel", "gcc", "kmod", "make", "patch"] {
            system.provides(Dependency::any(name));
        }
        self.write("system", system);
        self.write("kmodtool", builder("kmodtool", "1"));
        let mut akmods = builder("akmods", "0.6");
        let script = "#!/bin/sh\necho \"$@\" > /var/cache/akmods/called\n";
        let options = FileOptions::new("/usr/sbin/akmods").mode(0o100_755);
        akmods.with_file_contents(script, options).unwrap();
        self.write("akmods", akmods);
        for (at, kdir) in self.kernels.iter().enumerate() {
            let (version, release) = ((at + 1).to_string(), uname_version(kdir.release()));
            let mut core = builder("kernel-core", &version);
            core.provides(Dependency::eq("kernel-uname-r", release.as_str()));
            self.write(&format!("kernel-core-{version}"), core);
            let mut devel = builder("kernel-devel", &version);
            devel.provides(Dependency::eq("kernel-devel-uname-r", release));
            devel.provides(Dependency::any("kernel-devel-matched"));
            self.write(&format!("kernel-devel-{version}"), devel);
        }
    }

    fn write(&self, name: &str, mut builder: PackageBuilder) {
        builder.build().unwrap().write_file(self.files.join(format!("{name}.rpm"))).unwrap();
    }

    fn finish(&self, script: &str) -> Output {
        let context = self.suite.context();
        let cmd = Cmd::new("bash").args(["-e", "-c", script]).cwd(&self.files);
        let access = self.kernels.iter().fold(Access::default(), |access, kdir| kdir.read_by(access));
        let access = access.write(&self.files);
        self.scratch.as_ref().unwrap().inside(context, cmd, &access).finish(&context.report).unwrap()
    }

    #[track_caller]
    fn sh(&self, script: &str) -> String {
        let output = self.finish(script);
        assert!(output.status.success(), "{script}: {}{}", output.text(), output.tail);
        output.text().trim_end().to_owned()
    }

    fn install(&self) {
        // The stand-ins have no digest that newer rpms verify; ours have.
        self.sh("for file in system kernel-* akmods kmodtool; do
               rpm --install --nodeps --nodigest --nosignature ${file%.rpm}.rpm
             done
             rpm --install lamp-kmod-common-*.rpm; rpm --install akmod-lamp-*.rpm
             for second in $(seq 100); do test ! -e /var/cache/akmods/called || break; sleep 0.1; done");
    }

    /// What akmods(8) does for one kernel: akmodsbuild(1) as its own user, then dnf; the log of a
    /// failure stays.
    fn akmods(&self, release: &str) -> Output {
        let user =
            if user::is_root() { "runuser -s /bin/bash -c \"$build\" akmods" } else { "bash -c \"$build\"" };
        self.finish(&format!(
            r#"release='{release}'
            build="set -e; release='$release'"'
            top=$(mktemp -d -p /tmp akmodsbuild.XXXXXXXX)
            mkdir "$top"/{{BUILD,SOURCES,SPECS,SRPMS,RPMS,RPMS/x86_64}}
            rpmbuild --define "_topdir     $top/" --define "_buildtree  $top/BUILD" \
              --define "_specdir    $top/SPECS" --define "_sourcedir  $top/SOURCES" \
              --define "_srcrpmdir  $top/SRPMS" --define "_rpmdir     $top/RPMS" \
              --define "_smp_mflags -j2" --define "kernels     $release" --target x86_64 \
              --rebuild /usr/src/akmods/lamp-kmod.latest > /var/cache/akmods/lamp/.last.log 2>&1
            mkdir -p /var/cache/akmods/results
            mv "$top"/RPMS/x86_64/* /var/cache/akmods/results/'
            cache=/var/cache/akmods/lamp verrel=$(rpm -qp --qf '%{{VERSION}}-%{{RELEASE}}' /usr/src/akmods/lamp-kmod.latest)
            rm -rf /var/cache/akmods/results
            if ! {user}; then
              cp -f $cache/.last.log "$cache/$verrel-for-$release.failed.log"
              tail -n 35 $cache/.last.log
              exit 4
            fi
            dnf -y install --nogpgcheck --disablerepo='*' $(find /var/cache/akmods/results -name '*.rpm' | grep -v debuginfo)
            cp /var/cache/akmods/results/* ."#
        ))
    }

    /// Where modprobe(8) would load a module from.
    fn loaded(&self, release: &Release, module: &str) -> String {
        self.finish(&format!("modinfo -k {release} -F filename {module}")).text().trim().to_owned()
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            scratch.remove(self.suite.context()).ok();
        }
    }
}

/// An empty package.
fn builder(name: &str, version: &str) -> PackageBuilder {
    let compression: CompressionWithLevel = CompressionType::Xz.into();
    let mut builder = PackageBuilder::new(name, version, "GPL-2.0-only", "x86_64", "A stand-in");
    builder.using_config(BuildConfig::v4().compression(compression));
    builder
}

/// The default kernel, and the plain one of the same version.
fn kernels(suite: &Suite) -> Vec<Kdir> {
    let first = suite.prepared().kdir.clone();
    let sibling: Release = first.release().as_str().replace("-cloud-", "-").parse().unwrap();
    let context = suite.context();
    let sibling = prepare::provide_for(context, Some(&sibling), context.root_fs, Rust::Optional).unwrap();
    vec![first, sibling.kdir]
}

fn as_akmods_does(suite: &Suite) {
    let machine = Machine::new(suite, kernels(suite));
    let [cloud, plain] = [0, 1].map(|at| machine.kernels[at].release().clone());
    let refused = machine.finish("rpm --install akmod-lamp-*.rpm 2>&1");
    for name in ["akmods", "kmodtool", "lamp-kmod-common >= 1.2"] {
        let line = format!("{name} is needed by akmod-lamp-1.2-1");
        assert!(!refused.status.success() && refused.text().contains(&line), "{}", refused.text());
    }
    machine.install();
    assert_eq!(machine.sh("cat /var/cache/akmods/called"), "--from-akmod-posttrans --akmod lamp");

    // For the second the machine has a key: its modules are signed with it.
    for release in [&cloud, &plain] {
        if release == &plain {
            let key = machine.files.join("key");
            let (status, said) = run(&tool(&["key", "new", "--name", "machine", "--output", key.as_str()]));
            assert_eq!(status, 0, "{said}");
            machine.sh("install -D -m 0644 key/MOK.der /etc/pki/akmods/certs/public_key.der
                 install -D -m 0400 -o akmods key/MOK.priv /etc/pki/akmods/private/private_key.priv");
        }
        let built = machine.akmods(release.as_str());
        assert!(built.status.success(), "{}{}", built.text(), built.tail);
        is_for(&machine, release);
    }
    let signed = |release: &Release| {
        machine.finish(&format!("modinfo -k {release} -F signer lamp")).text().trim().to_owned()
    };
    assert_eq!([signed(&cloud), signed(&plain)], ["", "machine"]);
    assert!(machine.loaded(&cloud, "bulb").ends_with("/extra/lamp/bulb.ko"));
    assert_eq!(machine.loaded(&plain, "bulb"), "");

    machine.sh("dnf -y --disablerepo='*' remove kernel-core-1");
    assert_eq!(machine.sh("rpm --query --all 'kmod-lamp-*'"), format!("kmod-lamp-{plain}-1.2-1.x86_64"));
    machine.sh(&format!("test ! -e /lib/modules/{cloud}/extra"));
    assert_eq!(machine.loaded(&cloud, "lamp"), "");
    assert!(machine.loaded(&plain, "lamp").ends_with("/extra/lamp/lamp.ko"));
}

/// What akmods(8) asks of a package that it has installed, and what kmodtool(1) puts into one.
fn is_for(machine: &Machine<'_>, release: &Release) {
    let name = format!("kmod-lamp-{release}");
    let package = Package::open(machine.files.join(format!("{name}-1.2-1.x86_64.rpm"))).unwrap();
    let uname = uname_version(release);
    let required = requires(&package);
    for wanted in [format!("kernel-uname-r = {uname}"), "lamp-kmod-common >= 1.2".to_owned()] {
        assert!(required.contains(&wanted), "{required:?}");
    }
    let provided = provides(&package);
    for wanted in [format!("kernel-modules-for-kernel = {uname}"), "lamp-kmod = 1.2-1".to_owned()] {
        assert!(provided.contains(&wanted), "{provided:?}");
    }
    let bulb = provided.iter().any(|one| one.starts_with("kmod(bulb.ko) = "));
    assert_eq!(bulb, release.as_str().contains("-cloud-"), "{provided:?}");
    let file = machine.loaded(release, "lamp");
    assert!(file.ends_with(&format!("/lib/modules/{release}/extra/lamp/lamp.ko")), "{file}");
    let vermagic = machine.sh(&format!("modinfo -k {release} -F vermagic lamp"));
    assert!(vermagic.starts_with(&format!("{release} ")), "{vermagic}");
    // Whose the directory is, and whether that is as new as the source.
    let newest = machine.sh(&format!(
        "rpm --query --queryformat '%{{NAME}} %{{VERSION}}-%{{RELEASE}}' --file /lib/modules/{release}/extra/lamp
         echo; rpm --query --package --queryformat '%{{VERSION}}-%{{RELEASE}}' /usr/src/akmods/lamp-kmod.latest"
    ));
    assert_eq!(newest, format!("{name} 1.2-1\n1.2-1"));
}

fn failures(suite: &Suite) {
    let machine = Machine::new(suite, vec![suite.prepared().kdir.clone()]);
    machine.install();
    let release = "6.99.7-200.fc99.x86_64";
    for (release, reason) in [
        (
            release,
            format!(
                "{release}: there is no kernel directory /usr/src/kernels/{release}: install kernel-devel of that release"
            ),
        ),
        ("6.99,x", "kernels: 6.99,x is not what uname -r prints".to_owned()),
    ] {
        let built = machine.akmods(release);
        assert_eq!(built.status.code(), Some(4), "{}{}", built.text(), built.tail);
        assert!(built.text().contains(&reason), "{}", built.text());
    }
    let log = machine.sh(&format!("cat /var/cache/akmods/lamp/1.2-1-for-{release}.failed.log"));
    assert!(log.contains("install kernel-devel"), "{log}");
    assert_eq!(machine.sh("rpm --query --all 'kmod-lamp-*'"), "");
}

/// Macros as the families' rpm has them. Were one of ours to use them, it would fail, or sign.
const FAMILIES: &str = "\
%kernel_module_package(n:v:r:s:f:xp:) %{error:kernel_module_package is another's}
%suse_kernel_module_package(n:v:r:t:f:x:X:p:b) %{error:suse_kernel_module_package is another's}
%kernel_module_package_buildreqs %kernel_module_package_build_requires_are_another_s
%kmodtool /bin/false
%kmodtool_prefix /bin/false
%buildforkernels akmod
%__modsign_install_post /bin/false
%modsign_os /bin/false
%__kmodtool_modsign_install_post /bin/false
%__brp_kmod_sign /bin/false
%brp_kmod_sign /bin/false
";

fn macros_of_families(suite: &Suite) {
    let source = Made::get(suite).dir.read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path());
    let source = source.into_iter().find(|file| file.as_str().ends_with(".src.rpm")).unwrap();
    let build = |macros: &str, mode: &str| by_hand(suite, &source, macros, mode);
    let release = suite.prepared().kdir.release();
    for mode in [
        "--define 'srpm yes'".to_owned(),
        "--define 'kmod_akmod 1'".to_owned(),
        format!("--define 'kernels {release}'"),
    ] {
        let (none, both) = (build("", &mode), build(FAMILIES, &mode));
        assert!(!none.is_empty());
        assert_eq!(none.keys().collect::<Vec<_>>(), both.keys().collect::<Vec<_>>(), "{mode}");
        assert!(none == both, "{mode}: another came out");
    }
}

/// The packages that rpmbuild makes of a source package, by their names.
fn by_hand(suite: &Suite, source: &Utf8Path, macros: &str, mode: &str) -> BTreeMap<String, Vec<u8>> {
    let context = suite.context();
    let dir = tempfile::tempdir_in(context.cache.path("")).unwrap();
    let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
    // What rpm is told of its directories is in what it makes.
    let files = path.join("files");
    fs_err::create_dir_all(files.join("kernels")).unwrap();
    fs_err::copy(source, files.join("source.src.rpm")).unwrap();
    fs_err::write(files.join("macros.families"), macros).unwrap();
    let kdir = &suite.prepared().kdir;
    fs_err::os::unix::fs::symlink(kdir.build(), files.join("kernels").join(kdir.release())).unwrap();
    let script = format!(
        "cp macros.families /usr/lib/rpm/macros.d/; mkdir -p /top/SPECS /top/SOURCES; cp source.src.rpm /top/SOURCES
         cd /top/SOURCES; rpm2cpio source.src.rpm | cpio --extract --quiet; mv *.spec ../SPECS/lamp-kmod.spec
         rpmbuild -bb --target=x86_64 --define '_topdir /top' --define '_dbpath /top/db' --define 'kdir {files}/kernels' \
           {mode} ../SPECS/lamp-kmod.spec 2>&1
         cp /top/RPMS/*/*.rpm {files}; rm {files}/source.src.rpm"
    );
    let root = suite_root(suite);
    let root = root.tree().expect("a made root");
    let scratch = Scratch::over(root, &path.join("changes")).unwrap();
    let access = kdir.read_by(Access::default()).write(&files);
    let access = access.read_at(kdir.modules(), format!("/usr/lib/modules/{}", kdir.release()));
    let cmd = Cmd::new("bash").args(["-e", "-c", &script]).cwd(&files);
    let output = scratch.inside(context, cmd, &access).finish(&context.report).unwrap();
    scratch.remove(context).unwrap();
    assert!(output.status.success(), "{mode}: {}{}", output.text(), output.tail);
    let made = files.read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path());
    let made = made.filter(|file| file.extension() == Some("rpm"));
    made.map(|file| (file.file_name().unwrap().to_owned(), fs_err::read(file).unwrap())).collect()
}

fn of_one_kernel(suite: &Suite) {
    let release = suite.prepared().kdir.release();
    let (_dir, output) = scratch();
    let words =
        ["rpm", "--akmod", "--project", "cifs", "--kernel", release.as_str(), "--output", output.as_str()];
    let (status, said) = run(&tool(&words).cwd(xtask::repository()));
    let reason =
        format!("akmods builds one source for every kernel, and this project's has files of {release} in it");
    assert!(status == 4 && said.contains(&reason), "{status}: {said}");
    assert_eq!(output.read_dir_utf8().unwrap().count(), 0);
}
