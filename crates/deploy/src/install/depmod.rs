// SPDX-License-Identifier: GPL-2.0
//! depmod(8), in the one way in which everything here runs it: what it complains of is shown, and
//! what it wrote is looked at. Its exit status is 0 whatever it did not index.

use std::collections::BTreeSet;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::install::system::TargetSystem;
use crate::install::tree::{self, ReleaseTree};
use kernel::root::host;
use kmodfile::name::of_file;
use kmodfile::release::Release;
use report::Report;
use report::failure::Failure;
use report::process::Cmd;

/// The modules that an index lists, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed(BTreeSet<String>);

impl Listed {
    /// Those of the modules.dep in `dir`; none if there is no such file.
    fn read(dir: &Utf8Path) -> Result<Self> {
        let file = dir.join("modules.dep");
        if !file.exists() {
            return Ok(Self(BTreeSet::new()));
        }
        Ok(Self::parse(&fs_err::read_to_string(file)?))
    }

    /// Reads the text of a modules.dep (modules.dep(5)): `FILE: FILE...`, the first being the
    /// module, the others what it depends on.
    fn parse(dep: &str) -> Self {
        let name = |line: &str| of_file(Utf8Path::new(line.split_once(':')?.0).file_name()?);
        Self(dep.lines().filter_map(name).collect())
    }

    /// Those of `names` that are not listed.
    pub fn missing<'a>(&self, names: &'a BTreeSet<String>) -> Vec<&'a str> {
        names.iter().map(String::as_str).filter(|name| !self.0.contains(*name)).collect()
    }
}

/// Runs depmod over the modules below `base` with the configuration of `conf` alone; with none,
/// depmod's own. What it complains of is shown, with the root of `system` where `base` stands for
/// it. Gives what the index lists now.
///
/// # Errors
///
/// depmod failed.
pub fn over(
    report: &Report,
    system: &TargetSystem,
    base: &Utf8Path,
    conf: &[Utf8PathBuf],
    release: &Release,
) -> Result<Listed> {
    let cmd = Cmd::new("depmod").args(["-b", base.as_str()]);
    let cmd = conf.iter().fold(cmd, |cmd, path| cmd.args(["-C", path.as_str()]));
    let cmd = host::inside(cmd.arg(release.as_str()));
    let mut complaints = Vec::new();
    let output = cmd.finish_with(report, |line| {
        report.output_line(line);
        complaints.extend(is_complaint(line).then(|| line.to_owned()));
    })?;
    if !output.status.success() {
        return Err(cmd.failure(&output));
    }
    for line in complaints {
        report.warn(&if base == "/" { line } else { line.replace(base.as_str(), system.root().as_str()) });
    }
    Listed::read(&base.join(TargetSystem::relative_dir(release)))
}

/// Runs depmod in the system itself, with the configuration that is its own. The index must then
/// list the modules `wanted`, by name; others that are there and that it does not list are named in
/// a warning, and so are links that lead nowhere.
///
/// # Errors
///
/// depmod failed; refused, if it did not index one of those that are wanted.
pub fn in_place(
    report: &Report,
    system: &TargetSystem,
    release: &Release,
    wanted: &BTreeSet<String>,
) -> Result<()> {
    let tree = ReleaseTree::scan(system, release)?;
    tree.dangling().iter().for_each(|link| report.warn(&link.to_string()));
    let listed = over(report, system, system.root(), &configuration(system), release)?;
    require(release, &listed, wanted)?;
    for name in listed.missing(&tree.names()) {
        report.warn(&format!("kernel {release}: depmod did not index {name}, which is there"));
    }
    Ok(())
}

/// The configuration that a system's own depmod would read; `/dev/null` where a tree has none, as
/// with no argument depmod reads that of the machine.
fn configuration(system: &TargetSystem) -> Vec<Utf8PathBuf> {
    if system.is_host() {
        return Vec::new();
    }
    let own: Vec<Utf8PathBuf> = tree::depmod_d(system).into_values().collect();
    if own.is_empty() { vec!["/dev/null".into()] } else { own }
}

/// Refuses an index that does not list each of `wanted`.
///
/// # Errors
///
/// Refused, with the first that is missing.
pub fn require(release: &Release, listed: &Listed, wanted: &BTreeSet<String>) -> Result<()> {
    let missing = listed.missing(wanted);
    let Some(first) = missing.first() else { return Ok(()) };
    Err(Failure::refused(
        format!("kernel {release}"),
        format!(
            "depmod did not index {} of its modules, {first} among them, although it reported success",
            missing.len()
        ),
    )
    .remedy("run the command again with -v and see what depmod says")
    .into())
}

/// Whether a line of what a program printed is one in which depmod complains: its exit status does
/// not show it.
pub fn is_complaint(line: &str) -> bool {
    ["depmod: WARNING: ", "depmod: ERROR: "].iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_that_depmod_does_not_list_are_named() {
        let there: BTreeSet<String> = ["a", "b_c"].map(str::to_owned).into();
        for (dep, missing) in [
            ("kernel/a.ko: extra/b-c.ko.xz\nextra/b-c.ko.xz:\n", vec![]),
            ("kernel/a.ko:\nextra/a.ko:\n", vec!["b_c"]),
            ("kernel/a.ko: extra/b-c.ko.xz\n", vec!["b_c"]),
            ("", vec!["a", "b_c"]),
        ] {
            let listed = Listed::parse(dep);
            assert_eq!(listed.missing(&there), missing, "{dep}");
            let release = "7.1".parse().unwrap();
            assert_eq!(require(&release, &listed, &there).is_ok(), missing.is_empty(), "{dep}");
        }
    }

    #[test]
    fn complaints_are_told_from_what_depmod_says_otherwise() {
        for (line, complains) in [
            ("depmod: ERROR: fstatat(4, x.ko): No such file or directory", true),
            ("depmod: WARNING: could not open modules.order at /x: No such file or directory", true),
            ("depmod: ERROR", false),
            ("kernel/a.ko:", false),
        ] {
            assert_eq!(is_complaint(line), complains, "{line}");
        }
    }
}
