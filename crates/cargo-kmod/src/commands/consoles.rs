// SPDX-License-Identifier: GPL-2.0
//! Files for what machines print: two runs of one project at the same time have files of their own.

use std::fs::File;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

/// The files of one run, which no other writes to meanwhile.
#[derive(Debug)]
pub(super) struct Consoles {
    first: Utf8PathBuf,
    _claimed: File,
}

impl Consoles {
    /// Those beside `usual`, which is the first one's name; of a second run at the same time it has
    /// a number.
    pub(super) fn claim(usual: &Utf8Path) -> Result<Self> {
        for number in 1_u32.. {
            let first = if number == 1 { usual.to_owned() } else { named(usual, &format!("-{number}")) };
            let file = File::options().create(true).append(true).open(&first)?;
            if file.try_lock().is_ok() {
                return Ok(Self { first, _claimed: file });
            }
        }
        unreachable!("there are fewer runs than numbers")
    }

    /// That of the run whose console is kept.
    pub(super) fn kept(&self) -> &Utf8Path {
        &self.first
    }

    /// That of runs after it.
    pub(super) fn again(&self) -> Utf8PathBuf {
        named(&self.first, "-again")
    }
}

/// The same name with something before its extension.
fn named(file: &Utf8Path, more: &str) -> Utf8PathBuf {
    let (stem, extension) = (file.file_stem().unwrap_or_default(), file.extension().unwrap_or_default());
    file.with_file_name(format!("{stem}{more}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_has_files_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let usual = Utf8Path::from_path(dir.path()).unwrap().join("console.log");
        let name = |consoles: &Consoles| consoles.kept().file_name().unwrap().to_owned();
        let (one, two) = (Consoles::claim(&usual).unwrap(), Consoles::claim(&usual).unwrap());
        assert_eq!([name(&one), name(&two)], ["console.log", "console-2.log"]);
        assert_eq!(two.again().file_name(), Some("console-2-again.log"));
        drop(one);
        assert_eq!(name(&Consoles::claim(&usual).unwrap()), "console.log");
    }
}
