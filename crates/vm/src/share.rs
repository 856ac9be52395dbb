// SPDX-License-Identifier: GPL-2.0
//! Directories of the host that a machine sees while it runs.
//!
//! By 9P, which QEMU itself serves, where the kernel has it; else by virtiofs, whose daemon is in a
//! root of its own, and sees the directory and nothing else of the host.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use vm_protocol::GuestStep;

use crate::child_process::ChildProcess;
use crate::modules::ModuleTree;
use crate::session::Session;
use crate::verdict::Ending;
use kernel::context::Context;
use kernel::distribution::known;
use kernel::root::{Access, Root, RootChoice};
use kmodfile::release::Release;
use report::failure::{Exit, Failure};
use report::process::Cmd;

/// Where the daemon is in its root.
const DAEMON: &str = "/usr/libexec/virtiofsd";

/// Where the daemon sees the directory that it shares.
const PLACE: &str = "/run/shared";

/// How long it may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the kernel sees directories of the host.
#[derive(Clone, Debug)]
pub enum SharedBy {
    /// 9P over virtio.
    NineP,
    /// virtiofs, whose daemon is in this root.
    Virtiofs(Root),
}

/// A directory of the host in a machine.
#[derive(Clone, Debug)]
pub struct SharedDirectory {
    /// Its name between QEMU and the guest.
    pub tag: String,
    /// The directory.
    pub dir: Utf8PathBuf,
    /// Where it is in the machine.
    pub at: String,
    /// Whether the machine may write to it. Otherwise the host sees to it that it cannot.
    pub writable: bool,
    /// How.
    pub by: SharedBy,
}

impl SharedBy {
    /// What the kernel with the modules `tree` has for it.
    ///
    /// # Errors
    ///
    /// Refused, if it has nothing.
    pub fn of(context: &Context, release: &Release, tree: &ModuleTree) -> Result<Self> {
        let has = |names: &[&str]| names.iter().all(|name| tree.contains(name) || tree.is_builtin(name));
        if has(&["9p", "9pnet_virtio"]) {
            return Ok(Self::NineP);
        }
        if !has(&["virtiofs"]) {
            return Err(cannot(release).into());
        }
        let root = Root::provide(context, &known::usual().file_daemon(), RootChoice::Made)?;
        Ok(Self::Virtiofs(root))
    }

    /// The modules that the guest needs for it.
    pub fn modules(&self) -> &'static [&'static str] {
        match self {
            Self::NineP => &["9p", "9pnet_virtio"],
            Self::Virtiofs(_) => &["virtiofs"],
        }
    }
}

fn cannot(release: &Release) -> Failure {
    let reason = "has neither 9P (CONFIG_9P_FS, CONFIG_NET_9P_VIRTIO) nor virtiofs (CONFIG_VIRTIO_FS), and so \
                  cannot see a directory of the host";
    Failure::refused(release.as_str(), reason)
        .remedy("choose another kernel (cargo kmod kernel list), or run a program in insmod: --test FILE")
}

impl SharedDirectory {
    /// The step that mounts it.
    pub fn mount<X>(&self) -> GuestStep<X> {
        let (file_system, options) = match self.by {
            SharedBy::NineP => ("9p", "trans=virtio,version=9p2000.L,msize=262144,cache=loose"),
            SharedBy::Virtiofs(_) => ("virtiofs", ""),
        };
        GuestStep::Mount {
            file_system: file_system.to_owned(),
            source: self.tag.clone(),
            target: self.at.clone(),
            options: options.to_owned(),
        }
    }

    /// Adds the device to QEMU's command.
    pub(crate) fn add_to(&self, cmd: Cmd, session: &Utf8Path) -> Cmd {
        let Self { tag, dir, .. } = self;
        match self.by {
            SharedBy::NineP => {
                let dir = dir.as_str().replace(',', ",,");
                let read_only = if self.writable { "off" } else { "on" };
                let options = format!(
                    "local,id={tag},path={dir},security_model=none,multidevs=remap,readonly={read_only}"
                );
                cmd.args(["-fsdev", &options])
                    .args(["-device", &format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}")])
            }
            SharedBy::Virtiofs(_) => {
                let socket = session.join(tag).as_str().replace(',', ",,");
                cmd.args(["-chardev", &format!("socket,id={tag},path={socket}")])
                    .args(["-device", &format!("vhost-user-fs-pci,chardev={tag},tag={tag}")])
            }
        }
    }

    /// Starts what serves it, if that is not QEMU; it ends with the value.
    pub(crate) fn serve(&self, context: &Context, session: &Session) -> Result<Option<ChildProcess>> {
        let SharedBy::Virtiofs(root) = &self.by else { return Ok(None) };
        let socket = session.path(&self.tag);
        let dir = if self.writable { self.dir.as_str() } else { PLACE };
        let cmd = Cmd::new(DAEMON)
            .args(["--sandbox", "none", "--socket-path", socket.as_str(), "--shared-dir", dir])
            .args(["--cache", "auto", "--log-level", "error"]);
        let cmd = if self.writable { cmd } else { cmd.arg("--readonly") };
        let access = Access::default().write(session.dir());
        let access = if self.writable { access.write(&self.dir) } else { access.read_at(&self.dir, PLACE) };
        let cmd = root.inside(context, cmd, &access);
        context.report.command(&cmd.line());
        let mut daemon = ChildProcess::watch("virtiofsd", cmd.spawn(Stdio::null(), Stdio::piped())?);
        let started = Instant::now();
        while !socket.exists() {
            let failed =
                |why: &str| Failure::new(Exit::Failed, self.dir.as_str(), format!("cannot be shared: {why}"));
            match daemon.ended()? {
                Some(Ending::Died(how)) => return Err(failed(&how).into()),
                Some(_) => return Err(failed("virtiofsd ended").into()),
                None if started.elapsed() > PATIENCE => return Err(failed("virtiofsd does not begin").into()),
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
        Ok(Some(daemon))
    }
}
