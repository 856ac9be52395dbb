// SPDX-License-Identifier: GPL-2.0
//! Enters a build root: runs inside the private namespaces that [`super::tree`] starts it in,
//! mounts what a command needs, changes root, and becomes the command.
//!
//! The root itself is read-only to the command, unless changes are kept elsewhere (see
//! [`super::scratch`]); `/tmp` and `/run` are empty and private to the command.

use std::ffi::{CStr, CString};
use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::mount::{MountFlags, MountPropagationFlags};

use report::process::Cmd;

/// How to enter; the arguments of the hidden command `enter-root`.
#[derive(Clone, Debug, clap::Args)]
pub struct RootEntry {
    /// The tree that becomes `/`.
    #[arg(long)]
    pub root: Utf8PathBuf,
    /// Trees laid over it, the last on top.
    #[arg(long, requires = "changes")]
    pub layer: Vec<Utf8PathBuf>,
    /// Where changes to it are kept, in `upper` and `work`; without, it is read-only.
    #[arg(long)]
    pub changes: Option<Utf8PathBuf>,
    /// Paths of the host seen read-only, at the same place.
    #[arg(long)]
    pub read: Vec<Utf8PathBuf>,
    /// Paths of the host seen read-only, each with the place where it is seen.
    #[arg(long, num_args = 2, value_names = ["PATH", "PLACE"])]
    pub read_at: Vec<Utf8PathBuf>,
    /// Paths of the host that may be written, at the same place.
    #[arg(long)]
    pub write: Vec<Utf8PathBuf>,
    /// Directory to start in.
    #[arg(long)]
    pub cwd: Option<Utf8PathBuf>,
    /// Standard input is a terminal made for the command, and becomes its own.
    #[arg(long)]
    pub terminal: bool,
    /// Environment, NAME=VALUE.
    #[arg(long)]
    pub env: Vec<String>,
    /// Names of variables taken over from this program's own environment: secrets, which no
    /// argument may hold.
    #[arg(long)]
    pub keep_env: Vec<String>,
    /// The command.
    #[arg(last = true, required = true)]
    pub command: Vec<String>,
}

/// Device nodes that builds use. Not the terminal: what reaches it can type into the user's shell.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom"];

impl RootEntry {
    /// Becomes the command; returns only when that fails.
    pub fn run(&self) -> Result<()> {
        ensure!(
            rustix::process::getpid().as_raw_nonzero().get() == 1,
            "enter-root runs in namespaces of its own only"
        );
        // Without a session of its own, the command would have the user's terminal as its own.
        rustix::process::setsid().context("leaving the terminal")?;
        if self.terminal {
            rustix::process::ioctl_tiocsctty(std::io::stdin()).context("taking the terminal")?;
        }
        let root = &self.root;
        rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .context("making mounts private")?;
        match &self.changes {
            Some(changes) => {
                overlay(root, &self.layer, changes)?;
                self.make_mount_points()?;
            }
            None => {
                bind(root, root)?;
                self.make_mount_points()?;
                read_only(root)?;
            }
        }
        // Not sticky: in a sticky directory the kernel lets nobody open a node for writing that
        // belongs to another, and in a user namespace the host's nodes do (fs.protected_regular).
        tmpfs(&root.join("dev"), c"mode=0755")?;
        for dir in ["tmp", "run"] {
            tmpfs(&root.join(dir), c"mode=1777")?;
        }
        devices(root)?;
        processes(root)?;
        self.mount_host_paths()?;
        rustix::process::chroot(root.as_std_path()).with_context(|| format!("entering {root}"))?;
        rustix::process::chdir(self.cwd.as_deref().unwrap_or(Utf8Path::new("/")).as_std_path())?;
        Err(self.command().exec())
    }

    fn command(&self) -> Cmd {
        let (program, args) = self.command.split_first().expect("clap requires a command");
        let envs = self.env.iter().filter_map(|pair| pair.split_once('='));
        let cmd =
            envs.fold(Cmd::new(program).args(args).clean_env(), |cmd, (name, value)| cmd.env(name, value));
        let kept = self.keep_env.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        kept.fold(cmd, |cmd, (name, value)| cmd.secret_env(name, value))
    }

    fn host_paths(&self) -> Vec<HostPath<'_>> {
        let same = |path, write| HostPath { path, place: path, write };
        let read = self.read.iter().map(|path| same(path, false));
        let write = self.write.iter().map(|path| same(path, true));
        // Each use of the option has two values.
        let pairs = self.read_at.as_chunks().0;
        let elsewhere = pairs.iter().map(|[path, place]| HostPath { path, place, write: false });
        let mut all: Vec<_> = read.chain(write).chain(elsewhere).collect();
        // Outer directories first, so that an inner one is mounted on top.
        all.sort_by_key(|host| host.place.components().count());
        all
    }

    /// Paths below `/tmp` and `/run` get theirs once the empty file systems are there.
    fn make_mount_points(&self) -> Result<()> {
        self.host_paths()
            .iter()
            .filter(|host| !in_scratch(host.place))
            .try_for_each(|host| host.mount_point(&self.root))
    }

    fn mount_host_paths(&self) -> Result<()> {
        for host in self.host_paths() {
            if in_scratch(host.place) {
                host.mount_point(&self.root)?;
            }
            let target = inside(&self.root, host.place);
            bind(host.path, &target)?;
            if !host.write {
                read_only(&target)?;
            }
        }
        Ok(())
    }
}

/// A path of the host, and where it is seen.
struct HostPath<'a> {
    path: &'a Utf8Path,
    place: &'a Utf8Path,
    write: bool,
}

impl HostPath<'_> {
    fn mount_point(&self, root: &Utf8Path) -> Result<()> {
        let target = inside(root, self.place);
        if self.path.is_dir() {
            fs_err::create_dir_all(target)?;
        } else if !target.exists() {
            fs_err::create_dir_all(target.parent().unwrap_or(root))?;
            fs_err::write(target, "")?;
        }
        Ok(())
    }
}

fn in_scratch(path: &Utf8Path) -> bool {
    path.starts_with("/tmp") || path.starts_with("/run")
}

/// Where the host's absolute `path` is found below `root`.
fn inside(root: &Utf8Path, path: &Utf8Path) -> Utf8PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn bind(source: &Utf8Path, target: &Utf8Path) -> Result<()> {
    rustix::mount::mount_bind_recursive(source.as_std_path(), target.as_std_path())
        .with_context(|| format!("mounting {source} at {target}"))
}

/// Mounts, in the place of `root`, the overlay of it, `layers` and `changes`.
fn overlay(root: &Utf8Path, layers: &[Utf8PathBuf], changes: &Utf8Path) -> Result<()> {
    let lower: Vec<String> =
        layers.iter().rev().map(Utf8PathBuf::as_path).chain([root]).map(overlay_path).collect();
    let (upper, work) = (overlay_path(changes.join("upper")), overlay_path(changes.join("work")));
    // `userxattr`: what an overlay notes about files goes into attributes that an ordinary user may
    // write as well.
    let options = format!("lowerdir={},upperdir={upper},workdir={work},userxattr", lower.join(":"));
    let options = CString::new(options).context("a path holds a NUL")?;
    rustix::mount::mount("overlay", root.as_std_path(), "overlay", MountFlags::empty(), options.as_c_str())
        .with_context(|| format!("laying {changes} over {root}"))
}

/// A path as an option of an overlay's mount: what separates options and layers is escaped.
fn overlay_path(path: impl AsRef<Utf8Path>) -> String {
    path.as_ref().as_str().replace('\\', r"\\").replace(':', r"\:").replace(',', r"\,")
}

fn read_only(target: &Utf8Path) -> Result<()> {
    // A mount that came from outside a user namespace has flags that may not be dropped: keep them.
    let inherited = inherited_flags(target)?;
    rustix::mount::mount_remount(target.as_std_path(), MountFlags::BIND | MountFlags::RDONLY | inherited, c"")
        .with_context(|| format!("making {target} read-only"))
}

fn inherited_flags(target: &Utf8Path) -> Result<MountFlags> {
    use rustix::fs::StatVfsMountFlags as Stat;
    let now = rustix::fs::statvfs(target.as_std_path())?.f_flag;
    let pairs = [
        (Stat::NOSUID, MountFlags::NOSUID),
        (Stat::NODEV, MountFlags::NODEV),
        (Stat::NOEXEC, MountFlags::NOEXEC),
        (Stat::NOATIME, MountFlags::NOATIME),
        (Stat::NODIRATIME, MountFlags::NODIRATIME),
        (Stat::RELATIME, MountFlags::RELATIME),
    ];
    let kept = pairs.iter().filter(|(stat, _)| now.contains(*stat)).map(|(_, mount)| *mount);
    Ok(kept.fold(MountFlags::empty(), |all, flag| all | flag))
}

fn tmpfs(target: &Utf8Path, mode: &CStr) -> Result<()> {
    fs_err::create_dir_all(target).ok();
    rustix::mount::mount("tmpfs", target.as_std_path(), "tmpfs", MountFlags::NOSUID, mode)
        .with_context(|| format!("mounting an empty {target}"))
}

/// Single nodes of the host's `/dev`, never the directory: what reaches into it could do harm
/// there.
fn devices(root: &Utf8Path) -> Result<()> {
    let dev = root.join("dev");
    for name in DEVICES {
        let host = Utf8Path::new("/dev").join(name);
        if host.exists() {
            fs_err::write(dev.join(name), "")?;
            bind(&host, &dev.join(name))?;
        }
    }
    for (name, to) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        symlink(to, dev.join(name))?;
    }
    Ok(fs_err::create_dir(dev.join("shm"))?)
}

/// A `/proc` of our own PID namespace; where a container forbids that, the host's.
fn processes(root: &Utf8Path) -> Result<()> {
    let proc = root.join("proc");
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match rustix::mount::mount("proc", proc.as_std_path(), "proc", flags, None) {
        Ok(()) => Ok(()),
        Err(_) => bind(Utf8Path::new("/proc"), &proc),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_of_namespaces_of_its_own_it_refuses() {
        let entry = RootEntry {
            root: "/".into(),
            layer: Vec::new(),
            changes: None,
            read: Vec::new(),
            read_at: Vec::new(),
            write: Vec::new(),
            cwd: None,
            terminal: false,
            env: Vec::new(),
            keep_env: Vec::new(),
            command: vec!["true".into()],
        };
        assert!(entry.run().unwrap_err().to_string().contains("namespaces of its own"));
    }
}
