// SPDX-License-Identifier: GPL-2.0
//! Which project a command is about: the one named, or the one that the user stands in.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::elsewhere;
use crate::implied::is_implied;
use kernel::context::Context;
use report::failure::Failure;

/// The directory of the project: `named`; else the tool's own; else the nearest one from here
/// upwards that is a project.
///
/// # Errors
///
/// Usage, if none is named and there is none here.
pub fn directory(context: &Context, named: Option<&Utf8Path>) -> Result<Utf8PathBuf> {
    if let Some(dir) = named.or(context.home.as_deref()) {
        return Ok(dir.to_owned());
    }
    let here = std::env::current_dir().context("asking for the current directory")?;
    let here = Utf8PathBuf::try_from(here).context("the current directory's path is not UTF-8")?;
    nearest(&here).map(Utf8Path::to_owned).ok_or_else(|| {
        let reason = "no module project here or in a directory above: no dkms.conf, and no Kbuild or Makefile with obj-m";
        Failure::usage(here.as_str(), format!("{reason}{}", elsewhere::found(&here)))
            .remedy("cd into one, name it with --project DIR, or make one: cargo kmod new NAME")
            .into()
    })
}

/// The nearest directory from `here` upwards that is a project.
fn nearest(here: &Utf8Path) -> Option<&Utf8Path> {
    here.ancestors().find(|dir| dir.join("dkms.conf").is_file() || is_implied(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_project_upwards_is_meant() {
        let dir = tempfile::tempdir().unwrap();
        let top = Utf8Path::from_path(dir.path()).unwrap();
        let inner = top.join("a/b");
        fs_err::create_dir_all(&inner).unwrap();
        assert_eq!(nearest(&inner), None);
        fs_err::write(top.join("dkms.conf"), "").unwrap();
        assert_eq!(nearest(&inner), Some(top));
        fs_err::write(top.join("a/Makefile"), "all:\n").unwrap();
        assert_eq!(nearest(&inner), Some(top));
        fs_err::write(top.join("a/Makefile"), "obj-m := x.o\n").unwrap();
        assert_eq!(nearest(&inner), Some(top.join("a").as_path()));
    }
}
