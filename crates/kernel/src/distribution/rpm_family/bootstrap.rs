// SPDX-License-Identifier: GPL-2.0
//! Makes a tree with the machine's own dnf(8) or zypper(8) and its own repositories.

use anyhow::Result;
use camino::Utf8Path;

use crate::context::Context;
use crate::distribution::recipe::Recipe;
use crate::distribution::rpm_family::host::HostSystem;
use crate::distribution::rpm_family::repositories::RepositoryTool;
use crate::machine::rpm_progress;
use crate::root::environment::namespaces;
use report::Step;
use report::failure::Failure;
use report::process::Cmd;

/// What every root has besides what was asked for: the shell and its programs.
const LEAST: &[&str] = &["bash", "coreutils", "gawk", "grep", "sed", "util-linux"];

/// Makes `place/tree`, in namespaces of its own, so that neither a process nor a mount is left when
/// this program is killed.
pub(super) fn make_tree(
    context: &Context,
    recipe: &Recipe,
    tool: RepositoryTool,
    place: &Utf8Path,
    step: &Step<'_>,
) -> Result<()> {
    let here = HostSystem::here();
    if here.suite != recipe.suite {
        let reason = format!(
            "a root of {} is wanted, and this machine's repositories are those of {}",
            recipe.suite, here.suite
        );
        return Err(Failure::refused("build root", reason)
            .remedy("prepare the kernel again: cargo kmod kernel prepare RELEASE")
            .into());
    }
    let tree = place.join("tree");
    fs_err::create_dir_all(&tree)?;
    let cmd = match tool {
        RepositoryTool::Dnf => dnf(context, &tree, &here),
        RepositoryTool::Zypper => zypper(&tree),
    };
    let cmd = cmd.args(LEAST).args(recipe.packages()).env("LC_ALL", "C.UTF-8");
    let cmd = cmd.wrapped_in(namespaces().arg("--mount-proc"), tool.program());
    rpm_progress::run_counted(&cmd.log(place.join("install.log")), &[0], step, &context.report)?;
    // Device nodes are bound one by one when the tree is entered.
    let dev = tree.join("dev");
    if dev.exists() {
        fs_err::remove_dir_all(&dev)?;
    }
    Ok(fs_err::create_dir(dev)?)
}

/// dnf, 4 or 5; 5 takes the repositories of the machine only if it is told to.
fn dnf(context: &Context, tree: &Utf8Path, here: &HostSystem) -> Cmd {
    let said = Cmd::new("dnf").arg("--version").read(&context.report).unwrap_or_default();
    let five = said.contains("dnf5").then_some("--use-host-config");
    Cmd::new("dnf")
        .args(["--assumeyes", "--setopt=install_weak_deps=False", "--setopt=tsflags=nodocs"])
        .arg(format!("--installroot={tree}"))
        .arg(format!("--releasever={}", here.version))
        .args(five)
        .arg("install")
}

fn zypper(tree: &Utf8Path) -> Cmd {
    Cmd::new("zypper")
        .args(["--non-interactive", "--gpg-auto-import-keys"])
        .arg(format!("--installroot={tree}"))
        .args(["install", "--no-recommends"])
}
