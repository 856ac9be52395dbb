// SPDX-License-Identifier: GPL-2.0
//! What is mounted where (proc_pid_mountinfo(5)).

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

/// Mount points at or below `dir`, deepest first, in this process's mount namespace.
pub fn below(dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let dir = dir.canonicalize_utf8()?;
    let mut points = points_below(&fs_err::read_to_string("/proc/self/mountinfo")?, &dir);
    points.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    Ok(points)
}

/// Mount points at or below `dir` in the text of a mountinfo file.
fn points_below(mountinfo: &str, dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let point = |line: &str| line.split(' ').nth(4).map(unescape);
    mountinfo.lines().filter_map(point).filter(|point| point.starts_with(dir)).collect()
}

/// Undoes the octal escapes of blanks, tabs, newlines and backslashes.
fn unescape(field: &str) -> Utf8PathBuf {
    let escapes = [(r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", r"\")];
    Utf8PathBuf::from(escapes.iter().fold(field.to_owned(), |text, (code, plain)| text.replace(code, plain)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:6 / /dev rw,nosuid - devtmpfs devtmpfs rw
40 22 0:6 / /cache/roots/a/dev rw,nosuid - devtmpfs devtmpfs rw
41 22 0:6 / /cache/roots/ab/dev rw,nosuid - devtmpfs devtmpfs rw
42 22 0:6 /x /cache/roots/a/with\\040blank rw - devtmpfs devtmpfs rw
";

    #[test]
    fn only_what_is_below_is_found() {
        let found = points_below(MOUNTINFO, Utf8Path::new("/cache/roots/a"));
        assert_eq!(found, ["/cache/roots/a/dev", "/cache/roots/a/with blank"]);
    }
}
