// SPDX-License-Identifier: GPL-2.0
//! A distribution's tree as a build root, made in the user's cache.

use std::sync::Arc;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::distribution::known;
use crate::distribution::recipe::Recipe;
use crate::machine::user;
use crate::root::access::Access;
use crate::root::environment::{ENVIRONMENT, namespaces};
use crate::root::removal;
use report::cache::{Lock, partial_name};
use report::durable;
use report::process::Cmd;

/// A tree that is whole.
#[derive(Clone, Debug)]
pub struct TreeRoot {
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

impl TreeRoot {
    /// The tree for `recipe`: from the cache, or made now by one run while others wait. It stays
    /// for as long as this value, or a clone of it, does.
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

    /// The tree for `recipe`, if it was made.
    pub fn made(context: &Context, recipe: &Recipe) -> Result<Option<Self>> {
        let mut root = Self::named(context, recipe);
        if !root.place().join("stamp.json").exists() {
            return Ok(None);
        }
        root.used = Some(Arc::new(context.cache.share(&lock_name(&root.identity), &context.report)?));
        Ok(root.place().join("stamp.json").exists().then_some(root))
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

    /// Makes the tree beside its place and renames it in. A tree can move: nothing in it knows its
    /// path.
    fn make(&self, context: &Context, recipe: &Recipe) -> Result<()> {
        context.require_wet_run(&format!("make build root {}", self.identity))?;
        let distribution = known::named(&recipe.distribution)?;
        known::ensure_programs(context)?;
        let what = format!("build root {} ({} {})", self.identity, distribution.name(), self.name);
        let step = context.report.step("Making", &what);
        let place = self.place();
        let partial = context.cache.partial(place, &context.report, |dir| removal::remove(context, dir))?;
        distribution.make_tree(context, recipe, &partial, &step)?;
        let stamp = Stamp {
            suite: recipe.suite.clone(),
            packages: recipe.packages().to_vec(),
            unprivileged: !user::is_root(),
        };
        durable::replace(&partial.join("stamp.json"), &serde_json::to_vec_pretty(&stamp)?)?;
        debug_assert_eq!(partial, partial_name(place));
        if place.exists() {
            removal::remove(context, place)?;
        }
        durable::publish(&partial, place)?;
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
            outer = outer.arg("--read-at").arg(path).arg(place);
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
