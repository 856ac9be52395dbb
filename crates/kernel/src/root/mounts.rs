// SPDX-License-Identifier: GPL-2.0
//! What is mounted where (proc_pid_mountinfo(5)).

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

/// Mount points at or below `dir`, deepest first, in this process's mount namespace.
pub fn below(dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let dir = dir.canonicalize_utf8()?;
    // A name that is no UTF-8 is none of ours, and must not hide the others.
    let mountinfo = fs_err::read("/proc/self/mountinfo")?;
    let mut points = points_below(&String::from_utf8_lossy(&mountinfo), &dir);
    points.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    Ok(points)
}

/// Mount points at or below `dir` in the text of a mountinfo file.
fn points_below(mountinfo: &str, dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let point = |line: &str| line.split(' ').nth(4).map(unescape);
    mountinfo.lines().filter_map(point).filter(|point| point.starts_with(dir)).collect()
}

/// Undoes the octal escapes, by which no field holds a blank, a newline or a backslash.
fn unescape(field: &str) -> Utf8PathBuf {
    let mut parts = field.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(byte) => text.extend([char::from(byte).to_string().as_str(), &part[3..]]),
            None => text.extend(["\\", part]),
        }
    }
    text.into()
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

    #[test]
    fn every_escape_is_undone_once() {
        for (field, path) in [
            (r"/a\040b\011c\012d", "/a b\tc\nd"),
            (r"/a\134040b", r"/a\040b"),
            (r"/a:b,c\043d", "/a:b,c#d"),
            (r"/kaputt\04", r"/kaputt\04"),
        ] {
            assert_eq!(unescape(field), path);
        }
    }
}
