// SPDX-License-Identifier: GPL-2.0
//! The state of a release that was written when this tool had another name: recognised by what is
//! in it, and renamed, so that what was installed then can still be uninstalled.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::install::journal::STATE;
use crate::install::record::Record;
use crate::install::system::TargetSystem;
use kmodfile::release::Release;
use report::durable;
use report::failure::Failure;

/// The state directory of an earlier name in a release's directory, if there is one and none of
/// today's name.
///
/// # Errors
///
/// Refused, if it holds a journal: the files that belong to it have names that are not known here.
pub(super) fn find(system: &TargetSystem, release: &Release) -> Result<Option<Utf8PathBuf>> {
    let dir = system.path(TargetSystem::relative_dir(release));
    if dir.join(STATE).exists() {
        return Ok(None);
    }
    let entries = dir.read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
    let hidden = entries.filter(|entry| entry.file_name().starts_with('.')).map(|entry| entry.into_path());
    let Some(state) = hidden.into_iter().find(|path| is_state(path)) else { return Ok(None) };
    let journals = ["journal.undo", "journal.forward"].map(|name| state.join(name));
    match journals.into_iter().find(|journal| journal.exists()) {
        None => Ok(Some(state)),
        Some(journal) => {
            Err(Failure::refused(journal.as_str(), "an earlier version of this tool was stopped half-way")
                .remedy("run that version's `status` command once, which finishes or undoes the change")
                .into())
        }
    }
}

/// Renames it to today's name.
pub(super) fn adopt(state: &Utf8Path) -> Result<()> {
    fs_err::rename(state, state.with_file_name(STATE))?;
    durable::sync_dir(state.parent().unwrap_or(state))
}

/// Whether a directory holds a record of this tool's.
fn is_state(dir: &Utf8Path) -> bool {
    let record = fs_err::read(dir.join("record.json"));
    record.is_ok_and(|bytes| serde_json::from_slice::<Record>(&bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::failure::{Exit, exit_of};

    #[test]
    fn a_record_under_another_name_is_found_by_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap();
        let release: Release = "7.1".parse().unwrap();
        let modules = root.join("lib/modules/7.1");
        for (file, text) in [(".other/record.json", "{}"), (".vim/x", ""), ("kernel/x", "")] {
            fs_err::create_dir_all(modules.join(file).parent().unwrap()).unwrap();
            fs_err::write(modules.join(file), text).unwrap();
        }
        let system = TargetSystem::open(&root).unwrap();
        assert_eq!(find(&system, &release).unwrap(), None);
        let earlier = modules.join(".earlier");
        fs_err::create_dir(&earlier).unwrap();
        fs_err::write(earlier.join("record.json"), Record::default().bytes()).unwrap();
        assert_eq!(find(&system, &release).unwrap(), Some(earlier.clone()));
        fs_err::write(earlier.join("journal.forward"), "").unwrap();
        assert_eq!(exit_of(&find(&system, &release).unwrap_err()), Exit::Refused);
        fs_err::remove_file(earlier.join("journal.forward")).unwrap();
        adopt(&earlier).unwrap();
        assert_eq!(Record::read(&system, &release).unwrap(), Record::default());
        assert!(modules.join(STATE).join("record.json").exists() && !earlier.exists());
        assert_eq!(find(&system, &release).unwrap(), None);
    }
}
