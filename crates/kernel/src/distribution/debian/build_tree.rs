// SPDX-License-Identifier: GPL-2.0
//! Debian's headers packages as a build tree that is not installed: where they lead to one another
//! by absolute names, these are those of another place.

use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::distribution::debian::source;
use crate::kdir::{build_of, source_of};
use kmodfile::release::Release;
use report::Report;

/// Lays out the packages in `debs` at `place`: the headers of `release` in `build`, those of all
/// flavours in `source`, Kbuild's programs in `kbuild`.
pub(super) fn lay_out(
    debs: &[Utf8PathBuf],
    release: &Release,
    place: &Utf8Path,
    report: &Report,
) -> Result<()> {
    let unpacked = place.join("headers");
    source::unpack(debs, &unpacked, report)?;
    let headers = Utf8PathBuf::from(source::headers_of(release));
    let makefile = fs_err::read_to_string(unpacked.join(&headers).join("Makefile"))?;
    let common = included(&makefile).with_context(|| format!("{headers}/Makefile leads nowhere"))?;
    let scripts = headers.join(unpacked.join(&headers).join("scripts").read_link_utf8()?);
    let programs = plain(&scripts);
    let programs = programs.parent().context("Kbuild's scripts are in a directory")?;
    let (build, source, kbuild) = (build_of(place), source_of(place), place.join("kbuild"));
    fs_err::rename(unpacked.join(&headers), &build)?;
    fs_err::rename(unpacked.join(plain(common)), &source)?;
    fs_err::rename(unpacked.join(programs), &kbuild)?;
    for (tree, dir) in [(&build, "scripts"), (&build, "tools"), (&source, "scripts"), (&source, "tools")] {
        let link = tree.join(dir);
        if link.is_symlink() {
            fs_err::remove_file(&link)?;
            symlink(format!("../kbuild/{dir}"), &link)?;
        }
    }
    fs_err::write(build.join("Makefile"), format!("KBUILD_OUTPUT={build}\ninclude {source}/Makefile\n"))?;
    Ok(fs_err::remove_dir_all(unpacked)?)
}

/// The directory of the Makefile that a headers package's own includes.
fn included(makefile: &str) -> Option<&Utf8Path> {
    let file = makefile.lines().find_map(|line| line.strip_prefix("include "))?;
    Utf8Path::new(file.trim()).parent()
}

/// A path below `/`, without steps upwards and without the first `/`.
fn plain(path: &Utf8Path) -> Utf8PathBuf {
    let mut plain = Utf8PathBuf::new();
    for component in path.components() {
        match component {
            Utf8Component::Normal(name) => plain.push(name),
            Utf8Component::ParentDir => drop(plain.pop()),
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_of_all_flavours_are_where_the_makefile_leads() {
        let text = "KBUILD_OUTPUT=/usr/src/linux-headers-x\ninclude /usr/src/linux-headers-common/Makefile\n";
        assert_eq!(included(text).unwrap(), "/usr/src/linux-headers-common");
        assert_eq!(included("all:\n"), None);
    }

    #[test]
    fn paths_are_those_below_the_root() {
        for (path, expected) in [
            ("usr/src/linux-headers-x/../../lib/linux-kbuild-x/scripts", "usr/lib/linux-kbuild-x/scripts"),
            ("/usr/src/x", "usr/src/x"),
            ("../../etc", "etc"),
        ] {
            assert_eq!(plain(path.into()), expected, "{path}");
        }
    }
}
