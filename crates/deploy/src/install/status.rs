// SPDX-License-Identifier: GPL-2.0
//! Which file modprobe would load and why, whether it is the one in memory, and what the
//! distribution has changed since.

use anyhow::Result;
use camino::Utf8Path;
use serde::Serialize;

use crate::install::installation::stock_of;
use crate::install::journal::Journal;
use crate::install::memory::{self, Memory};
use crate::install::modprobe::{self, ModprobeAnswer};
use crate::install::module::NamedModule;
use crate::install::record::Record;
use crate::install::system::TargetSystem;
use crate::install::tree::{self, ReleaseTree};
use kernel::context::Context;
use kmodfile::release::Release;
use report::durable::digest_of;

/// What is known about one module of one release.
#[derive(Clone, Debug, Serialize)]
pub struct ModuleStatus {
    /// The release.
    pub release: Release,
    /// The module.
    pub module: String,
    /// The file that modprobe would load, relative to the release's directory, or what it would do
    /// instead.
    pub loads: String,
    /// Why that file.
    pub why: String,
    /// Whether this tool installed that file.
    pub ours: bool,
    /// What is in memory now.
    pub memory: Memory,
    /// What the user should know: a stock module that has changed, a file that was changed or is
    /// missing, an unfinished change.
    pub remarks: Vec<String>,
}

/// Finds out about one module of one release.
pub fn of(context: &Context, system: &TargetSystem, release: &Release, name: &str) -> Result<ModuleStatus> {
    let dir = system.release_dir(release)?;
    let record = Record::read(system, release)?;
    let tree = ReleaseTree::scan(system, release)?;
    let answer = modprobe::ask(system.root(), system.root(), release, name, &context.report)?;
    let file = match &answer {
        ModprobeAnswer::File(file) => Some(file.clone()),
        _ => None,
    };
    let ours = file.is_some() && record.modules.get(name).map(|own| &own.file) == file.as_ref();
    let identity = match &file {
        Some(file) if dir.join(file).exists() => Some(NamedModule::read(&dir.join(file))?.identity()),
        _ => None,
    };
    Ok(ModuleStatus {
        release: release.clone(),
        module: name.to_owned(),
        loads: answer.to_string(),
        why: why(system, release, &tree, name, file.as_deref()),
        ours,
        memory: memory::compared(system, release, name, identity.as_ref()),
        remarks: remarks(context, system, release, &record, &tree, name)?,
    })
}

fn why(
    system: &TargetSystem,
    release: &Release,
    tree: &ReleaseTree,
    name: &str,
    file: Option<&Utf8Path>,
) -> String {
    let Some(file) = file else { return String::new() };
    if !tree.named(name).any(|path| path == file) {
        return "listed in modules.dep, but missing: depmod has not run since it was removed".to_owned();
    }
    let others = tree.named(name).count() - 1;
    for (conf, path) in tree::depmod_d(system) {
        let text = fs_err::read_to_string(path).unwrap_or_default();
        if overrides(&text, name, release).any(|dir| file.starts_with(dir)) {
            return format!("override in depmod.d/{conf}");
        }
    }
    if others == 0 {
        "the only module of that name".to_owned()
    } else {
        format!("first of {} in depmod's search order", others + 1)
    }
}

/// The directories in the `override` lines for a module (depmod.d(5)): `override NAME KERNEL DIR`,
/// where KERNEL may be `*`.
fn overrides<'a>(text: &'a str, name: &'a str, release: &'a Release) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["override", module, kernel, dir] => {
                let concerns =
                    module.replace('-', "_") == name && (*kernel == "*" || *kernel == release.as_str());
                concerns.then_some(*dir)
            }
            _ => None,
        }
    })
}

fn remarks(
    context: &Context,
    system: &TargetSystem,
    release: &Release,
    record: &Record,
    tree: &ReleaseTree,
    name: &str,
) -> Result<Vec<String>> {
    let mut remarks = Vec::new();
    if let Some((journal, _)) = Journal::find(system, release)? {
        remarks.push(format!("{} was interrupted and is not finished", journal.name()));
    }
    let Some(own) = record.modules.get(name) else { return Ok(remarks) };
    for (path, digest) in &own.files {
        match digest_of(&system.path(path))? {
            None => remarks.push(format!("/{path} is missing")),
            Some(found) if found != *digest => {
                remarks.push(format!("/{path} has been changed since it was installed"))
            }
            Some(_) => {}
        }
    }
    let now = stock_of(context, system, release, record, tree, name)?;
    match (&own.stock, now) {
        (Some(then), Some(now)) if then.digest != now.digest => remarks.push(format!(
            "the distribution's {} has changed since it was replaced: it was {} and is now {}",
            now.file, then.identity, now.identity
        )),
        (Some(then), None) => remarks.push(format!("the distribution's {} has been removed", then.file)),
        (None, Some(now)) => remarks.push(format!("the distribution now has {}", now.file)),
        _ => {}
    }
    Ok(remarks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn override_lines_are_read() {
        let release = "7.1".parse().unwrap();
        let text = "# override x * no\noverride x-y * extra\noverride x_y 7.2 old\noverride x_y 7.1 updates\noverride z * q\n";
        assert_eq!(overrides(text, "x_y", &release).collect::<Vec<_>>(), ["extra", "updates"]);
    }
}
