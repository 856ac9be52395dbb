// SPDX-License-Identifier: GPL-2.0
//! `install`, `uninstall` and `status` over a small system with real modules of the prepared
//! kernel, and the real depmod and modprobe.

mod initramfs;
mod kills;
mod lifecycle;
mod refusals;
mod trouble;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use camino::{Utf8Path, Utf8PathBuf};
use deploy::install::modprobe::{self, ModprobeAnswer};
use deploy::install::system::TargetSystem;
use kernel::kdir::Kdir;
use kmodfile::disk::modules_in;
use kmodfile::file::ModuleFile;
use kmodfile::release::Release;
use libtest_mimic::Trial;
use report::Report;
use report::process::Cmd;

use crate::suite::{PROGRAM, Suite, run};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    [
        lifecycle::trials(suite),
        refusals::trials(suite),
        trouble::trials(suite),
        initramfs::trials(suite),
        kills::trials(suite),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The module that is replaced, and one that needs it, so that there is something to depend on.
const MODULE: &str = "dns_resolver";
const OTHERS: [&str; 3] = ["libarc4", "nls_utf8", "cifs_md4"];

/// A system with a few modules of a real kernel, and modules to install in it.
pub(super) struct Fixture {
    dir: tempfile::TempDir,
    pub(super) release: Release,
}

impl Fixture {
    /// A system without anything of the tool's, depmod's files made.
    pub(super) fn new(suite: &Suite) -> Self {
        let kdir = &suite.prepared().kdir;
        let fixture = Self { dir: in_memory(), release: kdir.release().clone() };
        let place = fixture.system_dir().join("lib/modules").join(&fixture.release);
        for name in OTHERS.iter().chain([&MODULE]) {
            let file = kdir.stock_module(name).unwrap();
            let target = place.join(file.strip_prefix(kdir.modules()).unwrap());
            fs_err::create_dir_all(target.parent().unwrap()).unwrap();
            copy(&file, &target);
        }
        for list in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
            copy(&kdir.modules().join(list), &place.join(list));
        }
        // A configuration like a distribution's, and a mode that is not the usual one.
        fs_err::create_dir_all(fixture.system_dir().join("etc/depmod.d")).unwrap();
        fs_err::write(fixture.system_dir().join("etc/depmod.d/dist.conf"), "search updates built-in\n")
            .unwrap();
        fixture.depmod();
        fs_err::set_permissions(place.join("modules.alias"), std::fs::Permissions::from_mode(0o640)).unwrap();
        fixture.make_modules(kdir);
        fixture
    }

    /// Two builds of the module: one plain, one as the distribution has it, compressed.
    fn make_modules(&self, kdir: &Kdir) {
        let stock = kdir.stock_module(MODULE).unwrap();
        fs_err::write(self.first(), ModuleFile::read(&stock).unwrap().image).unwrap();
        fs_err::copy(&stock, self.second()).unwrap();
    }

    /// A second kernel in the same system: the modules of the first under another name. Gives it,
    /// and a module that says it is for it.
    pub(super) fn another_kernel(&self) -> (Release, Utf8PathBuf) {
        let (other, bytes) = self.for_another_kernel(&fs_err::read(self.first()).unwrap());
        let modules = self.system_dir().join("lib/modules").join(&other);
        copy(&self.modules(), &modules);
        for file in modules_in(&modules).unwrap() {
            let own = self.for_another_kernel(&ModuleFile::read(&file).unwrap().image).1;
            fs_err::remove_file(&file).unwrap();
            fs_err::write(file.with_extension(""), own).unwrap();
        }
        self.depmod_of(&other);
        let dir = self.path().join("another");
        fs_err::create_dir(&dir).unwrap();
        let file = dir.join(format!("{MODULE}.ko"));
        fs_err::write(&file, bytes).unwrap();
        (other, file)
    }

    /// A module's image, made to say that it is for another kernel, whose name is as long.
    pub(super) fn for_another_kernel(&self, image: &[u8]) -> (Release, Vec<u8>) {
        let own = self.release.as_str();
        let digit = if own.starts_with('9') { "8" } else { "9" };
        let other = own.replacen(|c: char| c.is_ascii_digit(), digit, 1);
        let mut bytes = image.to_vec();
        let said = format!("vermagic={own} ").into_bytes();
        let at =
            bytes.windows(said.len()).position(|window| window == said).expect("vermagic names the release");
        bytes[at..at + said.len()].copy_from_slice(format!("vermagic={other} ").as_bytes());
        (other.parse().unwrap(), bytes)
    }

    pub(super) fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.dir.path()).unwrap()
    }

    /// The directory that is `/` of the system.
    pub(super) fn system_dir(&self) -> Utf8PathBuf {
        self.path().join("system")
    }

    pub(super) fn modules(&self) -> Utf8PathBuf {
        self.system_dir().join("lib/modules").join(&self.release)
    }

    /// The module to install.
    pub(super) fn first(&self) -> Utf8PathBuf {
        self.path().join(format!("{MODULE}.ko"))
    }

    /// The module to install instead of it; its name differs by the compression.
    pub(super) fn second(&self) -> Utf8PathBuf {
        let stock = ["xz", "zst", "gz"].map(|end| self.path().join(format!("{MODULE}.ko.{end}")));
        stock.iter().find(|path| path.exists()).unwrap_or(&stock[0]).clone()
    }

    pub(super) fn depmod(&self) {
        self.depmod_of(&self.release);
    }

    fn depmod_of(&self, release: &Release) {
        let root = self.system_dir();
        let cmd = Cmd::new("depmod").args(["-b", root.as_str(), "-C", root.join("etc/depmod.d").as_str()]);
        cmd.arg(release.as_str()).run(&Report::silent()).unwrap();
    }

    /// The tool over the system at `root`, with a cache of its own.
    pub(super) fn tool_at(&self, root: &Utf8Path, args: &[&str]) -> Cmd {
        let (command, rest) = args.split_first().unwrap();
        Cmd::new(PROGRAM)
            .args([command, "--root", root.as_str()])
            .args(rest)
            .env("XDG_CACHE_HOME", self.path().join("cache"))
    }

    /// The tool over the system.
    pub(super) fn tool(&self, args: &[&str]) -> Cmd {
        self.tool_at(&self.system_dir(), args)
    }

    /// Runs the tool over the system, which must end well.
    #[track_caller]
    pub(super) fn must(&self, args: &[&str]) -> String {
        let (status, output) = run(&self.tool(args));
        assert_eq!(status, 0, "{args:?}: {output}");
        output
    }

    pub(super) fn install(&self) {
        self.must(&["install", self.first().as_str()]);
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        snapshot(&self.system_dir())
    }

    /// What modprobe would load of the system at `root`.
    pub(super) fn loads_at(&self, root: &Utf8Path) -> ModprobeAnswer {
        let system = TargetSystem::open(root).unwrap();
        modprobe::ask(system.root(), system.root(), &self.release, MODULE, &Report::silent()).unwrap()
    }

    pub(super) fn loads(&self) -> ModprobeAnswer {
        self.loads_at(&self.system_dir())
    }

    /// The stock module, relative to the release's directory.
    pub(super) fn stock(&self, suite: &Suite) -> Utf8PathBuf {
        let kdir = &suite.prepared().kdir;
        kdir.stock_module(MODULE).unwrap().strip_prefix(kdir.modules()).unwrap().to_owned()
    }
}

/// A directory in memory where there is room for it: the tool writes everything through to the
/// disk, and there it costs nothing.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Copies with the times: they are what the tool sees a change by.
fn copy(from: &Utf8Path, to: &Utf8Path) {
    Cmd::new("cp").args(["--archive", from.as_str(), to.as_str()]).run(&Report::silent()).unwrap();
}

/// Everything below a directory: kind, mode, owner and bytes by path.
pub(super) type Snapshot = BTreeMap<Utf8PathBuf, (u32, u32, Vec<u8>)>;

pub(super) fn snapshot(dir: &Utf8Path) -> Snapshot {
    let entries = walkdir::WalkDir::new(dir).min_depth(1).into_iter().map(Result::unwrap);
    let one = |entry: walkdir::DirEntry| {
        let path = Utf8PathBuf::from_path_buf(entry.into_path()).unwrap();
        let meta = path.symlink_metadata().unwrap();
        let bytes = if meta.is_file() { fs_err::read(&path).unwrap() } else { Vec::new() };
        (path.strip_prefix(dir).unwrap().to_owned(), (meta.mode(), meta.uid(), bytes))
    };
    entries.map(one).collect()
}

/// The paths in which two snapshots differ; empty when they are the same.
pub(super) fn differences(a: &Snapshot, b: &Snapshot) -> Vec<Utf8PathBuf> {
    let mut paths: Vec<Utf8PathBuf> = a.keys().chain(b.keys()).cloned().collect();
    paths.sort();
    paths.dedup();
    paths.retain(|path| a.get(path) != b.get(path));
    paths
}

#[track_caller]
pub(super) fn assert_same(a: &Snapshot, b: &Snapshot) {
    let differing = differences(a, b);
    assert!(differing.is_empty(), "these differ: {differing:?}");
}
