// SPDX-License-Identifier: GPL-2.0
//! Makes a Debian tree with mmdebstrap, as root or, through user namespaces, as anybody else.

use anyhow::Result;
use camino::Utf8Path;

use crate::context::Context;
use crate::distribution::debian::mirror::{self, AptMirror, KEYRING};
use crate::distribution::recipe::Recipe;
use crate::machine::{apt, user};
use crate::root::environment::namespaces;
use report::Step;
use report::process::Cmd;

/// Makes `place/tree`.
pub(super) fn make_tree(context: &Context, recipe: &Recipe, place: &Utf8Path, step: &Step<'_>) -> Result<()> {
    let make = if user::is_root() { as_root } else { as_user };
    make(context, recipe, place, step)
}

/// Makes `place/tree` directly. In namespaces of its own, so that neither a process nor a mount is
/// left when this program is killed.
fn as_root(context: &Context, recipe: &Recipe, place: &Utf8Path, step: &Step<'_>) -> Result<()> {
    let tree = place.join("tree");
    let cmd = mmdebstrap(context, recipe, "root", "directory", &tree)?;
    let cmd = cmd.wrapped_in(namespaces().arg("--mount-proc"), "mmdebstrap");
    apt::run_counted(&cmd.log(place.join("mmdebstrap.log")), step, &context.report)?;
    // Device nodes are bound one by one when the tree is entered.
    fs_err::remove_dir_all(tree.join("dev"))?;
    Ok(fs_err::create_dir(tree.join("dev"))?)
}

/// Makes a tar file first: mmdebstrap's own user namespace has other identities than the one the
/// tree is entered in.
fn as_user(context: &Context, recipe: &Recipe, place: &Utf8Path, step: &Step<'_>) -> Result<()> {
    let (tar, tree) = (place.join("tree.tar"), place.join("tree"));
    let cmd = mmdebstrap(context, recipe, "unshare", "tar", &tar)?;
    // Asked to end, it removes what it made in the temporary directory.
    let cmd = cmd.bound("TERM").log(place.join("mmdebstrap.log"));
    apt::run_counted(&cmd, step, &context.report)?;
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
    let mirror = AptMirror::of_host(report)?;
    let mut cmd = Cmd::new("mmdebstrap")
        .arg(format!("--mode={mode}"))
        .arg(format!("--format={format}"))
        // What apt prints says how far it is; by itself mmdebstrap says nothing for minutes.
        .args(["--verbose", "--variant=minbase"])
        .env("LC_ALL", "C.UTF-8")
        .arg("--dpkgopt=path-exclude=/usr/share/doc/*")
        .arg("--dpkgopt=path-exclude=/usr/share/man/*")
        .arg("--dpkgopt=path-exclude=/usr/share/locale/*")
        .arg(format!("--include={}", recipe.packages().join(",")));
    for setting in mirror::settings_of_host(report)? {
        cmd = cmd.arg(format!("--aptopt={setting}"));
    }
    let source = format!("deb [signed-by={KEYRING}] {} {} main", mirror.main, recipe.suite);
    Ok(cmd.arg(&recipe.suite).arg(target).arg(source))
}
