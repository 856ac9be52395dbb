// SPDX-License-Identifier: GPL-2.0
//! Makes a tree with the machine's own dnf(8) or zypper(8) and its own repositories.

use anyhow::Result;
use camino::Utf8Path;

use crate::context::Context;
use crate::distribution::recipe::Recipe;
use crate::distribution::rpm_family::host::HostSystem;
use crate::distribution::rpm_family::repositories::RepositoryTool;
use crate::root::environment::namespaces;
use report::failure::Failure;
use report::process::Cmd;
use report::{ProgressUnit, Step};

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
    let report = &context.report;
    let output = cmd.log(place.join("install.log")).finish_with(report, |line| {
        if let Some((reached, total)) = installed(line) {
            step.count(ProgressUnit::Things("package step", "package steps"), total);
            step.reach(reached);
        }
        report.output_line(line);
    })?;
    anyhow::ensure!(output.status.success(), "{} could not make the root: {}", tool.program(), output.tail);
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

/// How far dnf or zypper is, by a line that it prints: `  Installing : make-4.4-1.x86_64   3/10` of
/// dnf 4, `[ 3/10] Installing make` of dnf 5, `( 3/10) Installing: make` of zypper.
fn installed(line: &str) -> Option<(u64, u64)> {
    if !line.contains("Installing") {
        return None;
    }
    let words = line.split([' ', '[', ']', '(', ')']).filter_map(|word| word.split_once('/'));
    words.into_iter().find_map(|(reached, total)| Some((reached.parse().ok()?, total.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_counted() {
        for (line, counted) in [
            ("  Installing       : make-1:4.4.1-6.fc43.x86_64                       3/10 ", Some((3, 10))),
            ("[ 3/10] Installing make-1:4.4.1-6.fc43.x86_64  100% | 1.0 MiB/s", Some((3, 10))),
            ("( 3/10) Installing: make-4.4.1-1.1.x86_64 [done]", Some((3, 10))),
            ("Installing dependencies:", None),
            ("  Verifying        : make-1:4.4.1-6.fc43.x86_64                       3/10 ", None),
        ] {
            assert_eq!(installed(line), counted, "{line}");
        }
    }
}
