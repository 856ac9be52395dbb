// SPDX-License-Identifier: GPL-2.0
//! The root that was provided for a recipe: the host where it serves, or a tree.

use anyhow::Result;

use crate::context::Context;
use crate::distribution::known;
use crate::distribution::recipe::Recipe;
use crate::root::access::Access;
use crate::root::choice::RootChoice;
use crate::root::host;
use crate::root::tree::TreeRoot;
use report::failure::Failure;
use report::process::Cmd;

/// Where a command runs.
#[derive(Clone, Debug)]
pub enum Root {
    /// The machine itself.
    Host,
    /// A tree in the cache.
    Tree(TreeRoot),
}

impl Root {
    /// The root for `recipe`, made if need be.
    pub fn provide(context: &Context, recipe: &Recipe, choice: RootChoice) -> Result<Self> {
        if host_serves(context, recipe, choice)? {
            return Ok(Self::Host);
        }
        TreeRoot::provide(context, recipe).map(Self::Tree)
    }

    /// The root for `recipe`, if there is one without making it.
    pub fn made(context: &Context, recipe: &Recipe, choice: RootChoice) -> Result<Option<Self>> {
        if host_serves(context, recipe, choice)? {
            return Ok(Some(Self::Host));
        }
        Ok(TreeRoot::made(context, recipe)?.map(Self::Tree))
    }

    /// Whether it is the machine itself, where paths are what they are and no shell of a project's
    /// is run.
    pub fn is_host(&self) -> bool {
        matches!(self, Self::Host)
    }

    /// The tree, if it is one.
    pub fn tree(&self) -> Option<&TreeRoot> {
        match self {
            Self::Host => None,
            Self::Tree(root) => Some(root),
        }
    }

    /// Its name in messages.
    pub fn name(&self) -> &str {
        self.tree().map_or("host", TreeRoot::name)
    }

    /// What the contents of the root are known by: two roots with the same identity build the same.
    pub fn identity(&self) -> &str {
        self.tree().map_or("host", TreeRoot::identity)
    }

    /// `cmd` as it is to be run in this root: with a clean environment, the distribution's own
    /// programs first, and only what `access` names of the host's files.
    pub fn inside(&self, context: &Context, cmd: Cmd, access: &Access) -> Cmd {
        match self {
            Self::Host => host::inside(cmd),
            Self::Tree(root) => root.inside(context, cmd, access),
        }
    }

    /// The same on the terminal that is its standard input, which becomes its own: it is told when
    /// the size changes.
    pub(super) fn on_terminal(&self, context: &Context, cmd: Cmd, access: &Access) -> Cmd {
        match self {
            Self::Host => host::inside(cmd.wrapped_in(Cmd::new("setsid").args(["--ctty", "--wait"]), "host")),
            Self::Tree(root) => root.inside_with(context, cmd, access, |outer| outer.arg("--terminal")),
        }
    }
}

/// What is installed here is built for here: its programs are this machine's.
fn of_this_machine(recipe: &Recipe, choice: RootChoice) -> Result<bool> {
    let remedy =
        "cargo kmod kernel prepare RELEASE makes a kernel of its distribution's archive, with such a root";
    if choice == RootChoice::Made && recipe.packages().is_empty() {
        let reason =
            "a kernel that is installed is built for with this machine's own programs, not in a made root";
        return Err(Failure::refused("--root-fs made", reason).remedy(remedy).into());
    }
    if !recipe.packages().is_empty() {
        let reason = "is to be in a build root, and a kernel that is installed here is built for on the machine itself";
        return Err(Failure::refused(recipe.packages().join(", "), reason).remedy(remedy).into());
    }
    Ok(true)
}

fn host_serves(context: &Context, recipe: &Recipe, choice: RootChoice) -> Result<bool> {
    if recipe.is_host() {
        return of_this_machine(recipe, choice);
    }
    let serves = || known::named(&recipe.distribution)?.host_serves(recipe, &context.report);
    Ok(match choice {
        RootChoice::Made => false,
        RootChoice::Auto => serves()?.is_ok(),
        RootChoice::Host => serves()?.map(|()| true)?,
    })
}
