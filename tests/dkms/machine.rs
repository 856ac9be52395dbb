// SPDX-License-Identifier: GPL-2.0
//! A system with DKMS on which a kernel is installed: an overlay over a build root of the kernel's
//! own suite. What is run there is the distribution's dkms, kmod and compilers, and the tool
//! itself.

use camino::{Utf8Path, Utf8PathBuf};
use kernel::context::Context;
use kernel::distribution::recipe::Recipe;
use kernel::kdir::Kdir;
use kernel::root::Access;
use kernel::root::scratch::Scratch;
use kernel::root::tree::TreeRoot;
use kmodfile::release::Release;
use report::Report;
use report::process::Cmd;
use xtask::repository;

/// What such a system has beyond what a kernel is built with.
const PACKAGES: &[&str] = &["dkms", "linux-base", "openssl", "rpm", "tiny-initramfs"];

/// The system.
pub(crate) struct Machine<'a> {
    context: &'a Context,
    pub(crate) tree: Scratch,
    pub(crate) release: Release,
    dir: tempfile::TempDir,
}

impl<'a> Machine<'a> {
    /// With the kernel of `kdir` installed, but no headers.
    pub(crate) fn with_kernel(context: &'a Context, kdir: &Kdir) -> Self {
        Self::with_kernels(context, std::slice::from_ref(kdir)).expect("one kernel is given")
    }

    /// With several kernels that are built with the same compilers, the first of them `$KERNEL`;
    /// none for none.
    pub(crate) fn with_kernels(context: &'a Context, kdirs: &[Kdir]) -> Option<Self> {
        let layers = |tree| kdirs.iter().fold(tree, |tree: Scratch, kdir| tree.with_layer(kdir.image()));
        let machine = Self::over(context, kdirs.first()?, layers);
        kdirs.iter().for_each(|kdir| drop(machine.ok(&format!("depmod {}", kdir.release()))));
        Some(machine)
    }

    /// With no kernel at all; what `kdir` was built with is there.
    pub(crate) fn over(context: &'a Context, kdir: &Kdir, layers: impl FnOnce(Scratch) -> Scratch) -> Self {
        let recipe: Recipe = kdir.stamp().recipe.clone().with(PACKAGES.iter().copied());
        // The headers of newer kernels depend on the compiler by this name.
        let compiler = recipe.packages().iter().find(|name| name.starts_with("gcc-"));
        let compiler = compiler.map(|compiler| format!("{compiler}-for-host"));
        let recipe = recipe.with(compiler);
        let root = TreeRoot::provide(context, &recipe).unwrap_or_else(|error| panic!("{error:#}"));
        let dir = tempfile::tempdir_in(context.cache.path("")).unwrap();
        let changes = Utf8Path::from_path(dir.path()).unwrap().join("changes");
        let tree = layers(Scratch::over(&root, &changes).unwrap());
        Self { context, tree, release: kdir.release().clone(), dir }
    }

    /// A directory of the host that is seen there at the same path.
    pub(crate) fn shared(&self) -> Utf8PathBuf {
        let dir = Utf8Path::from_path(self.dir.path()).unwrap().join("shared");
        fs_err::create_dir_all(&dir).unwrap();
        dir
    }

    fn inside(&self, cmd: Cmd) -> Cmd {
        let cache = self.context.cache.dir();
        let program = &self.context.program;
        let access = Access::default()
            .read(program.parent().unwrap())
            .read(repository())
            .write(cache)
            .write(self.shared());
        let cmd = cmd
            .env("XDG_CACHE_HOME", cache.parent().unwrap())
            .env("KERNEL", self.release.as_str())
            .env("KDIR", Kdir::place_of(&self.context.cache, &self.release).join("build"))
            .env("REPOSITORY", repository())
            .env("XTASK", program)
            .cwd(repository());
        self.tree.inside(self.context, cmd, &access)
    }

    /// Runs a script, `$KERNEL` the release; gives its status and all it said.
    pub(crate) fn sh(&self, script: &str) -> (i32, String) {
        let cmd = self.inside(Cmd::new("bash").args(["-c", script]));
        let mut text = String::new();
        let output = cmd.finish_with(&Report::silent(), |line| text.extend([line, "\n"])).unwrap();
        (output.status.code().unwrap_or(-1), text)
    }

    /// Runs a script that must end well.
    #[track_caller]
    pub(crate) fn ok(&self, script: &str) -> String {
        let (status, text) = self.sh(script);
        assert_eq!(status, 0, "{script}:\n{text}");
        text
    }

    /// Runs the tool there, which must end well.
    #[track_caller]
    pub(crate) fn tool_ok(&self, words: &str) -> String {
        self.ok(&format!("$XTASK {words}"))
    }

    /// The file that modprobe takes for a module; empty if none.
    pub(crate) fn resolved(&self, module: &str) -> String {
        let (_, text) = self.sh(&format!("modprobe -S $KERNEL --show-depends {module} 2>/dev/null"));
        // What it depends on stands before it, what it only wants loaded after it.
        let begin = format!("{module}.ko");
        let is = |file: &&str| file.rsplit('/').next().is_some_and(|name| name.starts_with(&begin));
        let mut files = text.lines().filter_map(|line| line.strip_prefix("insmod ")).map(str::trim);
        files.rfind(is).unwrap_or_default().to_owned()
    }

    /// All files below the kernel's modules and their hashes, as one text.
    pub(crate) fn modules(&self) -> String {
        self.ok("cd /lib/modules/$KERNEL && find . -type f -print0 | sort -z | xargs -0 sha256sum")
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        // Files of the tree's root user, and the work directory of the overlay, are not the
        // temporary directory's to remove.
        let changes = Utf8Path::from_path(self.dir.path()).unwrap().join("changes");
        kernel::root::removal::remove(self.context, &changes).ok();
    }
}
