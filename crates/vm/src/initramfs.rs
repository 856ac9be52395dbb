// SPDX-License-Identifier: GPL-2.0
//! Writes an initramfs: a cpio archive in the "newc" format
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::fmt::Write as _;

/// One entry of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveEntry<'a> {
    /// Its path, without a leading slash. The kernel makes no directory by itself: each comes
    /// before what is in it.
    pub path: &'a str,
    /// What it is.
    pub kind: EntryKind<'a>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind<'a> {
    /// A directory, mode 0755.
    Directory,
    /// A file, mode 0644.
    File(&'a [u8]),
    /// A program, mode 0755.
    Program(&'a [u8]),
    /// A character device, mode 0600.
    Device {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
}

/// The name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// The archive of `entries`, uncompressed: the guest would decompress it much more slowly than it
/// can be copied.
///
/// # Panics
///
/// On a file of 4 GiB or more, which the format cannot hold.
pub fn archive(entries: &[ArchiveEntry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        let (mode, data, device) = match entry.kind {
            EntryKind::Directory => (0o040_755, [].as_slice(), (0, 0)),
            EntryKind::File(data) => (0o100_644, data, (0, 0)),
            EntryKind::Program(data) => (0o100_755, data, (0, 0)),
            EntryKind::Device { major, minor } => (0o020_600, [].as_slice(), (major, minor)),
        };
        let inode = u32::try_from(number + 1).expect("an archive has fewer than 2^32 entries");
        append(&mut out, entry.path, inode, mode, data, device);
    }
    append(&mut out, TRAILER, 0, 0, &[], (0, 0));
    out
}

/// Appends one entry: 6 bytes of magic, 13 fields of 8 hexadecimal digits, the name with its NUL
/// and the data, each padded to 4 bytes.
fn append(out: &mut Vec<u8>, path: &str, inode: u32, mode: u32, data: &[u8], device: (u32, u32)) {
    let size = u32::try_from(data.len()).expect("a file of an initramfs is smaller than 4 GiB");
    let name_size = u32::try_from(path.len() + 1).expect("a path is short");
    let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
    // inode, mode, uid, gid, links, mtime, size, major, minor, rmajor, rminor, name size, checksum
    // (none)
    let fields = [inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
    let mut head = String::from("070701");
    for field in fields {
        write!(head, "{field:08x}").expect("a String takes all");
    }
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(data);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::Report;
    use report::process::Cmd;

    const ENTRIES: &[ArchiveEntry<'_>] = &[
        ArchiveEntry { path: "dev", kind: EntryKind::Directory },
        ArchiveEntry { path: "dev/console", kind: EntryKind::Device { major: 5, minor: 1 } },
        ArchiveEntry { path: "init", kind: EntryKind::Program(b"#!") },
        ArchiveEntry { path: "modules", kind: EntryKind::Directory },
        ArchiveEntry { path: "modules/x.ko", kind: EntryKind::File(b"12345") },
    ];

    #[test]
    fn one_file_byte_for_byte() {
        let entry = ArchiveEntry { path: "init", kind: EntryKind::Program(b"abc") };
        let expected = concat!(
            "070701",
            "00000001",
            "000081ed",
            "00000000",
            "00000000",
            "00000001",
            "00000000",
            "00000003",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000005",
            "00000000",
            "init\0\0abc\0",
            "070701",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000001",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "0000000b",
            "00000000",
            "TRAILER!!!\0\0\0\0",
        );
        let made = String::from_utf8(archive(&[entry])).unwrap();
        assert_eq!(made, expected);
    }

    #[test]
    fn cpio_lists_it() {
        let Some(cpio) = kernel::machine::programs::find("cpio") else {
            eprintln!("skipped: no cpio on this machine");
            return;
        };
        let cmd = Cmd::new(cpio).args(["-t", "-v", "--quiet"]).input(archive(ENTRIES));
        let listing = cmd.read(&Report::silent()).unwrap();
        let lines: Vec<&str> = listing.lines().collect();
        assert_eq!(lines.len(), ENTRIES.len(), "{listing}");
        assert!(lines[0].starts_with("drwxr-xr-x"), "{listing}");
        assert!(lines[1].starts_with("crw-------") && lines[1].contains("5,"), "{listing}");
        assert!(lines[2].starts_with("-rwxr-xr-x") && lines[2].ends_with(" init"), "{listing}");
        assert!(lines[4].starts_with("-rw-r--r--") && lines[4].ends_with(" modules/x.ko"), "{listing}");
    }

    #[test]
    fn every_part_is_aligned() {
        for length in 0..9 {
            let data = vec![b'x'; length];
            let made = archive(&[ArchiveEntry { path: "f", kind: EntryKind::File(&data) }]);
            assert_eq!(made.len() % 4, 0);
            let text = String::from_utf8(made).unwrap();
            assert_eq!(text.rfind("070701").unwrap() % 4, 0);
        }
    }
}
