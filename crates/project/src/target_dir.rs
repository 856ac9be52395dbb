// SPDX-License-Identifier: GPL-2.0
//! The directory for what is built, marked as one that neither backups, nor git, nor the next build
//! take for source.

use anyhow::{Context as _, Result};
use camino::Utf8Path;

/// The file that marks a directory of things that can be made again
/// (<https://bford.info/cachedir/>).
pub const CACHE_TAG: &str = "CACHEDIR.TAG";

/// What the file begins with.
const SIGNATURE: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # Made by cargo kmod: everything in here can be made again.\n";

/// Makes the directory, if it is not there yet. One that is there and has no mark, as cargo gives
/// its own, gets the mark.
pub fn make(dir: &Utf8Path) -> Result<()> {
    let (tag, ignored) = (dir.join(CACHE_TAG), dir.join(".gitignore"));
    if tag.exists() {
        return Ok(());
    }
    let new = !dir.exists();
    let remedy = || format!("making {dir} for what is built; --target-dir DIR puts it elsewhere");
    fs_err::create_dir_all(dir).with_context(remedy)?;
    if new {
        fs_err::write(ignored, "*\n")?;
    }
    Ok(fs_err::write(tag, SIGNATURE)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_marked_once_and_a_directory_of_others_keeps_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (ours, theirs) = (dir.join("a/target"), dir.join("b"));
        fs_err::create_dir(&theirs).unwrap();
        for _ in 0..2 {
            make(&ours).unwrap();
            make(&theirs).unwrap();
        }
        assert!(ours.join(CACHE_TAG).exists() && ours.join(".gitignore").exists());
        assert!(theirs.join(CACHE_TAG).exists() && !theirs.join(".gitignore").exists());
    }
}
