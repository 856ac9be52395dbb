// SPDX-License-Identifier: GPL-2.0
//! Packages of a kernel's Rust artefacts: made of the default kernel, installed beside the
//! distribution's own headers in a system of their own, given to `prepare`, and spoilt.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

use camino::{Utf8Path, Utf8PathBuf};
use kernel::artefacts::{GLOBS, MANIFEST, Manifest};
use kernel::machine::user;
use kernel::root::Access;
use kernel::root::scratch::Scratch;
use kernel::root::tree::TreeRoot;
use libtest_mimic::Trial;
use report::durable::digest;
use report::process::{Cmd, Output};
use xtask::commands::test::LONG;
use xtask::repository;

use crate::suite::{PROGRAM, Suite, run, scratch, tool};

/// With `--long`: the packages of a kernel take minutes to compress.
pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    if std::env::var_os(LONG).is_none() {
        return Vec::new();
    }
    vec![suite.trial("librust::a_package_is_made_installed_built_with_and_spoilt", whole)]
}

/// A package takes a minute to make: all that is said of it is said of one.
fn whole(suite: &Suite) {
    let (_dir, output) = scratch();
    let made = Packages::make(suite, &output.join("first"));
    let again = Packages::make(suite, &output.join("second"));
    assert!(made.bytes() == again.bytes(), "two runs differ");
    for file in [&made.deb, &made.rpm] {
        let size = file.metadata().unwrap().len();
        assert!(size <= 40 << 20, "{file}: {size} bytes");
    }
    let system = System::new(suite, &made);
    nothing_but_the_patterns_is_opened(&system);
    clean(&system);
    refused(suite, &made);
    let repository = a_repository(suite, &made, &output.join("repository"));
    installed_from_it(&system, &repository);
    found_by_itself(suite, &made, &repository);
}

/// The packages of the default kernel.
struct Packages {
    deb: Utf8PathBuf,
    rpm: Utf8PathBuf,
}

impl Packages {
    fn make(suite: &Suite, output: &Utf8Path) -> Self {
        let release = suite.prepared().kdir.release();
        let packager = "Some Body <some.body@debian.org>";
        let words =
            ["kernel", "package", release.as_str(), "--packager", packager, "--output", output.as_str()];
        let (status, said) = run(&tool(&words));
        assert_eq!(status, 0, "{said}");
        let with = |extension: &str| {
            let mut entries = output.read_dir_utf8().unwrap().map(|entry| entry.unwrap().path().to_owned());
            entries.find(|file| file.extension() == Some(extension)).unwrap()
        };
        Self { deb: with("deb"), rpm: with("rpm") }
    }

    fn bytes(&self) -> [Vec<u8>; 2] {
        [fs_err::read(&self.deb).unwrap(), fs_err::read(&self.rpm).unwrap()]
    }
}

/// A system with the headers of the default kernel, as its distribution ships them.
struct System<'a> {
    suite: &'a Suite,
    scratch: Scratch,
    files: Utf8PathBuf,
    _dir: tempfile::TempDir,
}

impl<'a> System<'a> {
    fn new(suite: &'a Suite, made: &Packages) -> Self {
        let context = suite.context();
        let kdir = &suite.prepared().kdir;
        let more = ["dkms", "lintian", "make", "rpm", "rpmlint", "strace"].map(str::to_owned);
        let headers = format!("linux-headers-{}", kdir.release());
        let recipe = kdir.stamp().recipe.clone().with(more).with([headers]);
        let root = TreeRoot::provide(context, &recipe).unwrap();
        let dir = tempfile::tempdir_in(context.cache.path("")).unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        let files = path.join("files");
        fs_err::create_dir(&files).unwrap();
        for (from, name) in [(&made.deb, "librust.deb"), (&made.rpm, "librust.rpm")] {
            fs_err::copy(from, files.join(name)).unwrap();
        }
        let words = ["new", "x", "--rust", "--author", "Somebody <somebody@example.org>"];
        let (status, said) = run(&tool(&words).cwd(&files));
        assert_eq!(status, 0, "{said}");
        let scratch = Scratch::over(&root, &path.join("changes")).unwrap();
        Self { suite, scratch, files, _dir: dir }
    }

    fn finish(&self, script: &str) -> Output {
        let cmd = Cmd::new("sh").args(["-e", "-c", script]).cwd(&self.files);
        let access = Access::default().write(&self.files);
        let context = self.suite.context();
        self.scratch.inside(context, cmd, &access).finish(&context.report).unwrap()
    }

    #[track_caller]
    fn sh(&self, script: &str) -> String {
        let output = self.finish(script);
        assert!(output.status.success(), "{script}: {}", output.tail);
        output.text().trim().to_owned()
    }
}

/// Installed, a build opens of the kernel what its headers packages own, and what the patterns
/// name; removed, nothing is left.
fn nothing_but_the_patterns_is_opened(system: &System<'_>) {
    let release = system.suite.prepared().kdir.release();
    let list = "find /usr/src /usr/lib/linux-kbuild-* /etc/alternatives | sort";
    let before = system.sh(list);
    let build = format!("make -C x KVER={release}");
    let bare = system.finish(&format!("{build} 2>&1"));
    assert!(!bare.status.success() && bare.text().contains("no Rust artefacts there"), "{}", bare.text());
    system.sh("dpkg -i librust.deb");
    system.sh(&format!("strace -f -y -e trace=openat -o trace {build}; test -e x/x.ko"));
    let place = Utf8Path::new("/").join(Manifest::place_of(release));
    let owned: BTreeSet<String> = before.lines().map(str::to_owned).collect();
    let trace = fs_err::read_to_string(system.files.join("trace")).unwrap();
    let opened: BTreeSet<&str> = trace.lines().filter_map(opened).collect();
    let of_kernel = |path: &&str| path.starts_with("/usr/src/") || path.starts_with("/usr/lib/linux-kbuild-");
    let (ours, others): (Vec<_>, Vec<_>) =
        opened.into_iter().filter(of_kernel).partition(|path| Utf8Path::new(path).starts_with(&place));
    assert!(ours.iter().any(|path| path.ends_with("libkernel.rmeta")), "{ours:?}");
    for path in ours {
        let below = Utf8Path::new(path).strip_prefix(&place).unwrap();
        let known =
            GLOBS.iter().any(|glob| glob.matches(below)) || ["", "rust", "scripts"].contains(&below.as_str());
        assert!(known, "{path} is opened, and no pattern names it");
    }
    for path in others {
        assert!(owned.contains(path), "{path} is opened, and no headers package has it");
    }
    system.sh(&format!("cp -r x /usr/src/x-0.1.0; dkms install x/0.1.0 -k {release}"));
    assert!(system.sh("dkms status").contains("installed"));
    system.sh("dkms remove x/0.1.0 --all; rm -rf /usr/src/x-0.1.0");
    system.sh(&format!("dpkg --purge linux-librust-{release}"));
    assert_eq!(system.sh(list), before, "something is left");
}

/// The file that a line of strace(1) shows as opened.
fn opened(line: &str) -> Option<&str> {
    let (_, result) = line.rsplit_once(" = ")?;
    result.split_once('<')?.1.strip_suffix('>')
}

fn clean(system: &System<'_>) {
    assert_eq!(system.sh("lintian --allow-root --info --display-info librust.deb 2>&1"), "");
    let config = repository().join("tests/package/rpmlint-librust.toml");
    fs_err::copy(config, system.files.join("filter.toml")).unwrap();
    let said = system.finish("rpmlint --config filter.toml librust.rpm").text();
    assert!(said.contains("0 errors, 0 warnings"), "{said}");
}

/// A cache that shares archive and roots with the user's, but no kernels.
fn elsewhere(suite: &Suite) -> (tempfile::TempDir, Utf8PathBuf) {
    let dir = tempfile::tempdir_in(suite.context().cache.path("")).unwrap();
    let base = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
    fs_err::create_dir(base.join("cargo-kmod")).unwrap();
    for part in ["archive", "roots"] {
        symlink(suite.context().cache.path(part), base.join("cargo-kmod").join(part)).unwrap();
    }
    (dir, base)
}

/// What is wrong with a package is said, and nothing is prepared; of the whole one, a kernel is.
fn refused(suite: &Suite, made: &Packages) {
    let release = suite.prepared().kdir.release();
    let (_dir, base) = elsewhere(suite);
    let prepare = |file: &Utf8Path| {
        let words = ["kernel", "prepare", release.as_str(), "--from", file.as_str()];
        run(&tool(&words).env("XDG_CACHE_HOME", &base))
    };
    let refuse = |file: &Utf8Path, exit: i32, said: &str| {
        let (status, text) = prepare(file);
        assert!(status == exit && text.contains(said), "{file}: {status} {text}");
        assert!(!base.join("cargo-kmod/kernels").join(release).exists(), "{file}: something is left");
    };
    refuse(&base.join("none.deb"), 3, "no such file");
    for file in [&made.deb, &made.rpm] {
        let bytes = fs_err::read(file).unwrap();
        let short = base.join("short").with_extension(file.extension().unwrap());
        fs_err::write(&short, &bytes[..bytes.len() / 2]).unwrap();
        refuse(&short, 4, "package");
    }
    for (what, said) in [
        (Spoilt::Release, "holds the Rust artefacts of kernel 7.0.1-other"),
        (Spoilt::Version, "and its headers are"),
        (Spoilt::File, "is not the file that it was made with"),
        (Spoilt::Rustc, "made by rustc 9"),
        (Spoilt::Host, "a macro that rustc runs on arm64"),
        (Spoilt::Symbols, "are not exported by the artefacts"),
    ] {
        refuse(&spoil(&made.deb, what, &base), 4, said);
    }
    // Both hold the same artefacts.
    for (file, said) in [(&made.rpm, "exported Rust symbols"), (&made.deb, "Fresh kernel")] {
        let (status, text) = prepare(file);
        assert!(status == 0 && text.contains(said), "{text}");
        assert!(!text.contains("Making kernel tree"), "{text}");
    }
}

/// The repository of all kernels of a cache that has one: its package is the one that the kernel
/// was prepared with.
fn a_repository(suite: &Suite, made: &Packages, output: &Utf8Path) -> Utf8PathBuf {
    let release = suite.prepared().kdir.release();
    let (_dir, base) = elsewhere(suite);
    let tool = |words: &[&str]| {
        let (status, said) = run(&tool(words).env("XDG_CACHE_HOME", &base));
        assert_eq!(status, 0, "{said}");
        said
    };
    tool(&["kernel", "prepare", release.as_str(), "--from", made.deb.as_str()]);
    let packager = "Some Body <some.body@debian.org>";
    let said = tool(&["kernel", "package", "--all", "--packager", packager, "--output", output.as_str()]);
    assert!(said.contains(&format!("deb [trusted=yes] file:{output} ./")), "{said}");
    let deb = output.join(made.deb.file_name().unwrap());
    assert!(fs_err::read(deb).unwrap() == fs_err::read(&made.deb).unwrap(), "the package is another");
    output.to_owned()
}

/// apt takes the package from the repository.
fn installed_from_it(system: &System<'_>, repository: &Utf8Path) {
    let release = system.suite.prepared().kdir.release();
    let files = system.files.join("repository");
    fs_err::create_dir(&files).unwrap();
    for entry in repository.read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        fs_err::copy(entry.path(), files.join(entry.file_name())).unwrap();
    }
    let only = "-o Dir::Etc::sourcelist=/tmp/only.list -o Dir::Etc::sourceparts=-";
    system.sh(&format!(
        "echo 'deb [trusted=yes] file:{files} ./' > /tmp/only.list
         apt-get {only} -o APT::Sandbox::User=root update
         apt-get {only} -o APT::Sandbox::User=root install --yes linux-librust-{release}
         make -C x clean KVER={release}; make -C x KVER={release}; test -e x/x.ko
         dpkg --purge linux-librust-{release}"
    ));
}

/// Installed, or in a source of the host's apt, the artefacts are found without being told. In a
/// mount namespace of its own: nothing of this machine changes.
fn found_by_itself(suite: &Suite, made: &Packages, repository: &Utf8Path) {
    if !user::is_root() {
        eprintln!("not tried: only root can lay something over /usr/src and /etc/apt");
        return;
    }
    let release = suite.prepared().kdir.release();
    let prepare = |before: &str| {
        let (_dir, base) = elsewhere(suite);
        // The host's other sources say where its mirror is.
        let script = format!("sources={base}/sources\n{before}\nexec \"$@\"");
        let own = Cmd::new("unshare").args(["--mount", "--propagation", "private", "sh", "-e", "-c"]);
        let own = own.args([script.as_str(), "sh", PROGRAM, "kernel", "prepare", release.as_str()]);
        let (status, said) = run(&own.env("XDG_CACHE_HOME", &base));
        assert!(status == 0 && !said.contains("Making kernel tree"), "{said}");
        assert!(said.contains("exported Rust symbols"), "{said}");
        said
    };
    prepare(&format!("mount -t tmpfs none /usr/src\ndpkg-deb --extract {} /", made.deb));
    let said = prepare(&format!(
        "cp -r /etc/apt/sources.list.d $sources
         mount -t tmpfs none /etc/apt/sources.list.d
         cp -r $sources/. /etc/apt/sources.list.d
         mount -t tmpfs none /var/cache/apt
         mkdir -p /var/cache/apt/archives/partial
         echo 'deb [trusted=yes] file:{repository} ./' > /etc/apt/sources.list.d/own.list
         mount -t tmpfs none /var/lib/apt/lists
         apt-get -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/own.list -o Dir::Etc::sourceparts=- \\
             -o APT::Sandbox::User=root update >&2"
    ));
    assert!(said.contains(&format!("Fetched linux-librust-{release}")), "{said}");
}

/// What is wrong with a package that is otherwise as it should be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spoilt {
    Release,
    Version,
    File,
    Rustc,
    Host,
    Symbols,
}

/// A copy of the package `deb` with something wrong in it.
fn spoil(deb: &Utf8Path, what: Spoilt, base: &Utf8Path) -> Utf8PathBuf {
    let (_dir, tree) = scratch();
    let tree = tree.join("tree");
    let (status, said) = run(&Cmd::new("dpkg-deb").arg("--raw-extract").arg(deb).arg(&tree));
    assert_eq!(status, 0, "{said}");
    let src = tree.join("usr/src");
    let mut entries = src.read_dir_utf8().unwrap().map(|entry| entry.unwrap().path().to_owned());
    let dir = entries.find(|path| path.join(MANIFEST).exists()).unwrap();
    let mut manifest = Manifest::read(&dir).unwrap();
    let mut change = |file: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let bytes = change(fs_err::read(dir.join(file)).unwrap());
        fs_err::write(dir.join(file), &bytes).unwrap();
        manifest.files.insert(file.into(), digest(&bytes));
    };
    match what {
        Spoilt::File => fs_err::write(dir.join("rust/libffi.rmeta"), "").unwrap(),
        Spoilt::Rustc => change("rust/libcore.rmeta", &|mut bytes| {
            let at = bytes.windows(6).position(|window| window == b"rustc ").unwrap();
            bytes[at + 6] = b'9';
            bytes
        }),
        // The architecture of an ELF file: EM_AARCH64.
        Spoilt::Host => change("rust/libmacros.so", &|mut bytes| {
            bytes[18] = 183;
            bytes
        }),
        Spoilt::Symbols => change("rust/exports_kernel_generated.h", &|_| Vec::new()),
        Spoilt::Release => manifest.release = "7.0.1-other".parse().unwrap(),
        Spoilt::Version => manifest.version = "7.0.1-1".to_owned(),
    }
    fs_err::write(dir.join(MANIFEST), manifest.text()).unwrap();
    let spoilt = base.join("spoilt.deb");
    let (status, said) = run(&Cmd::new("dpkg-deb").args(["-Znone", "--build"]).arg(&tree).arg(&spoilt));
    assert_eq!(status, 0, "{said}");
    spoilt
}
