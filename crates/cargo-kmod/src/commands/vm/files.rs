// SPDX-License-Identifier: GPL-2.0
//! What a program under another kernel sees of files: this machine's, and some of that one's own.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use report::failure::Failure;
use vm::payload::Payload;
use vm::share::{SharedBy, SharedDirectory};
use vm_protocol::{Expect, GuestStep};

/// Where this machine's `/` is in the other one.
pub(super) const ROOT: &str = "/host";

/// The machine's name.
const HOST: &str = "vm";

/// What is that machine's own: the file system, where, and whether there may be none.
const OWN: &[(&str, &str, bool)] = &[
    ("devtmpfs", "dev", true),
    ("devpts", "dev/pts", false),
    ("tmpfs", "dev/shm", false),
    ("proc", "proc", true),
    ("sysfs", "sys", true),
    ("debugfs", "sys/kernel/debug", false),
    ("tracefs", "sys/kernel/tracing", false),
    ("tmpfs", "tmp", true),
    ("tmpfs", "run", true),
    ("tmpfs", "var/tmp", false),
];

/// Who looks names up on QEMU's network (`-netdev user`).
const NAMES: &str = "nameserver 10.0.2.3\n";

/// The files of this machine that are seen.
#[derive(Debug)]
pub(super) struct SeenFiles {
    /// `/`, read-only, then what may be written to.
    pub(super) shares: Vec<SharedDirectory>,
}

impl SeenFiles {
    /// All files, and directories that may be written to. The program begins in `here`, which it
    /// sees even where that machine has files of its own.
    pub(super) fn of(by: SharedBy, here: &Utf8Path, writable: &[Utf8PathBuf]) -> Result<Self> {
        let root = SharedDirectory {
            tag: "root".to_owned(),
            dir: "/".into(),
            at: ROOT.to_owned(),
            writable: false,
            by: by.clone(),
        };
        let mut shares = vec![root];
        if OWN.iter().any(|(_, place, _)| here.starts_with(format!("/{place}"))) {
            let at = format!("{ROOT}{here}");
            let (tag, dir) = ("here".to_owned(), here.to_owned());
            shares.push(SharedDirectory { tag, dir, at, writable: false, by: by.clone() });
        }
        for (number, dir) in writable.iter().enumerate() {
            let real =
                dir.canonicalize_utf8().ok().filter(|dir| dir.is_dir()).ok_or_else(|| {
                    Failure::missing(format!("--share {dir}"), "there is no such directory")
                })?;
            if real == "/" {
                let reason = "all of this machine would be open to a kernel that is being tried";
                return Err(Failure::refused("--share /", reason)
                    .remedy("share a directory below it")
                    .into());
            }
            shares.push(SharedDirectory {
                tag: format!("share{number}"),
                at: format!("{ROOT}{real}"),
                dir: real,
                writable: true,
                by: by.clone(),
            });
        }
        Ok(Self { shares })
    }

    /// Adds the steps that put them in place.
    pub(super) fn mount(&self, payload: &mut Payload, has_network: bool) {
        let mut shares = self.shares.iter();
        if let Some(root) = shares.next() {
            payload.step(root.mount());
        }
        for (file_system, place, must) in OWN {
            let step = GuestStep::Mount {
                file_system: (*file_system).to_owned(),
                source: (*file_system).to_owned(),
                target: format!("{ROOT}/{place}"),
                options: String::new(),
            };
            payload.expect(step, if *must { Expect::Success } else { Expect::Any });
        }
        // What shells show before each line.
        let path = format!("{ROOT}/proc/sys/kernel/hostname");
        payload.expect(GuestStep::WriteFile { path, content: HOST.to_owned() }, Expect::Any);
        for share in shares {
            payload.step(share.mount());
        }
        if has_network {
            let file = "/resolv.conf".to_owned();
            payload.step(GuestStep::WriteFile { path: file.clone(), content: NAMES.to_owned() });
            let bind = GuestStep::Mount {
                file_system: "none".to_owned(),
                source: file,
                target: format!("{ROOT}/etc/resolv.conf"),
                options: "bind".to_owned(),
            };
            payload.expect(bind, Expect::Any);
        }
    }
}
