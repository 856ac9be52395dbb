// SPDX-License-Identifier: GPL-2.0
//! A Debian tree as a build root, made by mmdebstrap in the user's cache, as root or, through user
//! namespaces, as anybody else.

use std::sync::Arc;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::archive::mirror::{self, KEYRING, Mirror};
use crate::context::Context;
use crate::machine::programs;
use crate::root::recipe::Recipe;
use crate::root::{Access, ENVIRONMENT, removal};
use report::cache::{Lock, partial_name};
use report::process::Cmd;

/// A Debian tree that is whole.
#[derive(Clone, Debug)]
pub struct DebianRoot {
    name: String,
    identity: String,
    tree: Utf8PathBuf,
    used: Option<Arc<Lock>>,
}

/// Written last: a tree without it is half-made.
#[derive(Debug, Serialize, Deserialize)]
struct Stamp {
    suite: String,
    packages: Vec<String>,
    unprivileged: bool,
}

impl DebianRoot {
    /// The tree for `recipe`: from the cache, or made now by one run while others wait. It stays for as long as this
    /// value, or a clone of it, does.
    pub fn provide(context: &Context, recipe: &Recipe) -> Result<Self> {
        let mut root = Self::named(context, recipe);
        let stamp = root.place().join("stamp.json");
        let lock_name = lock_name(&root.identity);
        loop {
            root.used = Some(Arc::new(context.cache.share(&lock_name, &context.report)?));
            if stamp.exists() {
                return Ok(root);
            }
            root.used = None;
            let _lock = context.cache.lock(&lock_name, &context.report)?;
            if !stamp.exists() {
                root.make(context, recipe)?;
            }
        }
    }

    /// Where the tree for `recipe` is, made or not.
    fn named(context: &Context, recipe: &Recipe) -> Self {
        let identity = recipe.identity();
        let tree = context.cache.path(format!("roots/{identity}/tree"));
        Self { name: recipe.suite.clone(), identity, tree, used: None }
    }

    /// The suite's codename.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Suite and hash of its recipe.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The tree itself.
    pub fn tree(&self) -> &Utf8Path {
        &self.tree
    }

    fn place(&self) -> &Utf8Path {
        self.tree.parent().expect("a tree is inside its place")
    }

    /// Makes the tree beside its place and renames it in. A tree can move: nothing in it knows its path.
    fn make(&self, context: &Context, recipe: &Recipe) -> Result<()> {
        programs::ensure(context, &[programs::ROOTS])?;
        let step =
            context.report.step("Making", &format!("build root {} (Debian {})", self.identity, self.name));
        let place = self.place();
        let partial = context.cache.partial(place, &context.report, |dir| removal::remove(context, dir))?;
        if programs::is_root() {
            bootstrap_as_root(context, recipe, &partial)?;
        } else {
            bootstrap_as_user(context, recipe, &partial)?;
        }
        let stamp = Stamp {
            suite: recipe.suite.clone(),
            packages: recipe.packages.clone(),
            unprivileged: !programs::is_root(),
        };
        fs_err::write(partial.join("stamp.json"), serde_json::to_vec_pretty(&stamp)?)?;
        debug_assert_eq!(partial, partial_name(place));
        if place.exists() {
            removal::remove(context, place)?;
        }
        fs_err::rename(partial, place)?;
        step.done("Made", &format!("build root {}", self.identity));
        Ok(())
    }

    /// `cmd` as it runs in this tree.
    pub fn inside(&self, context: &Context, cmd: Cmd, access: &Access) -> Cmd {
        self.inside_with(context, cmd, access, |outer| outer)
    }

    /// The same, with more words for `enter-root`.
    pub(super) fn inside_with(
        &self,
        context: &Context,
        cmd: Cmd,
        access: &Access,
        words: impl FnOnce(Cmd) -> Cmd,
    ) -> Cmd {
        let outer =
            namespaces().arg("--net").arg(&context.program).arg("enter-root").arg("--root").arg(&self.tree);
        let mut outer = words(outer);
        for path in &access.read {
            outer = outer.arg("--read").arg(path);
        }
        for (path, place) in &access.read_at {
            outer = outer.arg("--read-at").arg(format!("{path}:{place}"));
        }
        for path in &access.write {
            outer = outer.arg("--write").arg(path);
        }
        if let Some(dir) = cmd.dir() {
            outer = outer.arg("--cwd").arg(dir);
        }
        for (name, value) in ENVIRONMENT {
            outer = outer.arg("--env").arg(format!("{name}={value}"));
        }
        for (name, value) in cmd.environment() {
            outer = outer.arg("--env").arg(format!("{name}={}", value.to_string_lossy()));
        }
        for name in cmd.secret_names() {
            outer = outer.arg("--keep-env").arg(name);
        }
        cmd.wrapped_in(outer.arg("--"), &self.name)
    }
}

/// The name of the lock on the tree of this identity.
pub fn lock_name(identity: &str) -> String {
    format!("build root {identity}")
}

/// `unshare` with mount and PID namespaces of its own and, for an ordinary user, a user namespace in
/// which they are root. All processes in it end with this program, even if that is killed.
pub(super) fn namespaces() -> Cmd {
    let cmd = Cmd::new("unshare").bound("KILL");
    let cmd = if programs::is_root() { cmd } else { cmd.args(["--map-auto", "--map-root-user"]) };
    cmd.args(["--mount", "--pid", "--fork", "--kill-child=KILL"])
}

/// Makes `place/tree` directly. In namespaces of its own, so that neither a process nor a mount is left
/// when this program is killed.
fn bootstrap_as_root(context: &Context, recipe: &Recipe, place: &Utf8Path) -> Result<()> {
    let tree = place.join("tree");
    let cmd = mmdebstrap(context, recipe, "root", "directory", &tree)?;
    let cmd = cmd.wrapped_in(namespaces().arg("--mount-proc"), "mmdebstrap");
    cmd.log(place.join("mmdebstrap.log")).run(&context.report)?;
    // Device nodes are bound one by one when the tree is entered.
    fs_err::remove_dir_all(tree.join("dev"))?;
    Ok(fs_err::create_dir(tree.join("dev"))?)
}

/// Makes a tar file first: mmdebstrap's own user namespace has other identities than the one the tree is
/// entered in.
fn bootstrap_as_user(context: &Context, recipe: &Recipe, place: &Utf8Path) -> Result<()> {
    let (tar, tree) = (place.join("tree.tar"), place.join("tree"));
    let cmd = mmdebstrap(context, recipe, "unshare", "tar", &tar)?;
    // Asked to end, it removes what it made in the temporary directory.
    cmd.bound("TERM").log(place.join("mmdebstrap.log")).run(&context.report)?;
    fs_err::create_dir_all(&tree)?;
    let untar = ["tar", "--extract", "--numeric-owner", "--same-permissions", "--exclude=./dev/*", "--file"];
    namespaces().args(untar).arg(&tar).arg("--directory").arg(&tree).run(&context.report)?;
    Ok(fs_err::remove_file(&tar)?)
}

/// The mmdebstrap command for `recipe` (mmdebstrap(1)).
fn mmdebstrap(
    context: &Context,
    recipe: &Recipe,
    mode: &str,
    format: &str,
    target: &Utf8Path,
) -> Result<Cmd> {
    let report = &context.report;
    let mirror = Mirror::of_host(report)?;
    let mut cmd = Cmd::new("mmdebstrap")
        .arg(format!("--mode={mode}"))
        .arg(format!("--format={format}"))
        .args(["--variant=minbase", "--architectures=amd64"])
        .arg("--dpkgopt=path-exclude=/usr/share/doc/*")
        .arg("--dpkgopt=path-exclude=/usr/share/man/*")
        .arg("--dpkgopt=path-exclude=/usr/share/locale/*")
        .arg(format!("--include={}", recipe.packages.join(",")));
    for setting in mirror::settings_of_host(report)? {
        cmd = cmd.arg(format!("--aptopt={setting}"));
    }
    let source = format!("deb [signed-by={KEYRING}] {} {} main", mirror.main, recipe.suite);
    Ok(cmd.arg(&recipe.suite).arg(target).arg(source))
}
