// SPDX-License-Identifier: GPL-2.0
//! Takes what an installed system loads modules with into a machine: its `/lib/modules/RELEASE`,
//! its modprobe.d and its modprobe(8), so that the machine loads what that system would.
//!
//! Of the modules only those are taken that are asked for and what modprobe says they need. kmod's
//! own files say which are there; nothing is looked for that it would not find.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use kernel::context::Context;
use kernel::root::Access;
use kernel::root::scratch::Scratch;
use kmodfile::release::Release;
use report::process::Cmd;

/// modprobe(8) and depmod(8) are this program under other names.
const KMOD: &str = "/usr/bin/kmod";

/// The name that the guest, and the kernel in it, call it by (`CONFIG_MODPROBE_PATH`).
const MODPROBE: &str = "/sbin/modprobe";

/// Directories that modprobe reads its configuration from (modprobe.d(5)).
const CONFIGURATION: &[&str] = &["/etc/modprobe.d", "/usr/lib/modprobe.d", "/usr/local/lib/modprobe.d"];

/// What else of a system is taken into the machine, by absolute paths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Further<'a> {
    /// Programs, with their libraries.
    pub programs: &'a [&'a str],
    /// Files and directories; of a directory, not what is in it.
    pub files: &'a [&'a str],
}

/// The part of a system that loads modules, as a cpio archive.
#[derive(Clone, Debug)]
pub struct SystemArchive {
    archive: Vec<u8>,
}

impl SystemArchive {
    /// What `tree` loads the modules `names` of `release` with, and those modules. A name that is
    /// built in or an alias is fine; one that modprobe does not know is an error. The tree must
    /// hold cpio, kmod and find.
    pub fn of(context: &Context, tree: &Scratch, release: &Release, names: &[&str]) -> Result<Self> {
        Self::with(context, tree, release, names, &Further::default())
    }

    /// The same, and `further`.
    pub fn with(
        context: &Context,
        tree: &Scratch,
        release: &Release,
        names: &[&str],
        further: &Further<'_>,
    ) -> Result<Self> {
        let mut files = modules(context, tree, release, names)?;
        files.extend(metadata(context, tree, release)?);
        for program in [KMOD].iter().chain(further.programs) {
            files.extend(with_libraries(context, tree, program)?);
        }
        files.extend(further.files.iter().map(Utf8PathBuf::from));
        files.extend([MODPROBE.into()]);
        let (links, files) = resolved(context, tree, &files)?;
        let listed: Vec<String> = with_parents(links.iter().chain(&files));
        let dir = tempfile::tempdir()?;
        let dir = Utf8Path::from_path(dir.path()).context("the temporary directory's path is not UTF-8")?;
        let out = dir.join("system.cpio");
        let cmd = Cmd::new("cpio")
            .args(["--create", "--quiet", "--format=newc", "--null", "--file"])
            .arg(&out)
            .cwd("/")
            .input(listed.join("\0"));
        tree.inside(context, cmd, &Access::default().write(dir)).run(&context.report)?;
        Ok(Self { archive: fs_err::read(&out)? })
    }

    /// The archive, for an initramfs to begin with.
    pub(super) fn archive(&self) -> &[u8] {
        &self.archive
    }
}

/// The files of the modules `names` and of what they need, as `modprobe --show-depends` gives them.
fn modules(
    context: &Context,
    tree: &Scratch,
    release: &Release,
    names: &[&str],
) -> Result<BTreeSet<Utf8PathBuf>> {
    let cmd = Cmd::new("modprobe").args(["--set-version", release.as_str(), "--show-depends", "--all"]);
    Ok(shown_files(&tree.read(context, cmd.args(names))?))
}

/// The paths in the output of `modprobe --show-depends`: lines of `insmod PATH PARAMETERS`, or
/// `builtin NAME`.
fn shown_files(text: &str) -> BTreeSet<Utf8PathBuf> {
    let path = |line: &str| line.strip_prefix("insmod ")?.split(' ').next().map(Utf8PathBuf::from);
    text.lines().filter_map(path).collect()
}

/// modules.dep and the like, and the configuration of modprobe.
fn metadata(context: &Context, tree: &Scratch, release: &Release) -> Result<Vec<Utf8PathBuf>> {
    let modules = format!("/lib/modules/{release}/");
    let list = Cmd::new("find").arg(modules).args(["-maxdepth", "1", "-name", "modules.*", "-type", "f"]);
    let mut files = lines(&tree.read(context, list)?);
    // Not every system has all of them; find says so on standard error and lists the others.
    let list = Cmd::new("find").args(CONFIGURATION).args(["-name", "*.conf"]);
    files.extend(lines(&tree.inside(context, list, &Access::default()).finish(&context.report)?.text()));
    Ok(files)
}

/// A program and its libraries.
fn with_libraries(context: &Context, tree: &Scratch, program: &str) -> Result<Vec<Utf8PathBuf>> {
    let mut files = vec![program.into()];
    files.extend(libraries(&tree.read(context, Cmd::new("ldd").arg(program))?));
    Ok(files)
}

/// The absolute paths in the output of ldd(1): `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)` for
/// the loader.
fn libraries(text: &str) -> Vec<Utf8PathBuf> {
    text.split_whitespace().filter(|word| word.starts_with('/')).map(Utf8PathBuf::from).collect()
}

/// For each path the symbolic links it leads through, and the files at the ends of them, all
/// relative to `/`.
fn resolved<'a>(
    context: &Context,
    tree: &Scratch,
    paths: impl IntoIterator<Item = &'a Utf8PathBuf>,
) -> Result<(BTreeSet<Utf8PathBuf>, BTreeSet<Utf8PathBuf>)> {
    let mut wanted: BTreeSet<Utf8PathBuf> = paths.into_iter().cloned().collect();
    let (mut links, mut files) = (BTreeSet::new(), BTreeSet::new());
    // A link may lead to a path that leads through another.
    while !wanted.is_empty() {
        let all = with_parents(&wanted);
        let list = Cmd::new("find").args(all.iter().map(|path| format!("/{path}")));
        let list = list.args(["-maxdepth", "0", "-printf", r"%y %p\0%l\0"]);
        let text = tree.read(context, list)?;
        let seen = found(&text);
        wanted = wanted.into_iter().filter_map(|path| step(path, &seen, &mut links, &mut files)).collect();
    }
    Ok((links, files))
}

/// One entry of the output of find: its path, and where it leads if it is a link.
fn found(text: &str) -> Vec<(Utf8PathBuf, Option<Utf8PathBuf>)> {
    let fields: Vec<&str> = text.split('\0').collect();
    fields
        .chunks_exact(2)
        .filter_map(|pair| {
            let (kind, path) = pair[0].split_once(' ')?;
            Some((Utf8PathBuf::from(path), (kind == "l").then(|| Utf8PathBuf::from(pair[1]))))
        })
        .collect()
}

/// `path` with its first link followed, which is noted; none, and the path noted, if there is no
/// link on the way.
fn step(
    path: Utf8PathBuf,
    seen: &[(Utf8PathBuf, Option<Utf8PathBuf>)],
    links: &mut BTreeSet<Utf8PathBuf>,
    files: &mut BTreeSet<Utf8PathBuf>,
) -> Option<Utf8PathBuf> {
    let first = seen.iter().filter(|(at, to)| to.is_some() && path.starts_with(at));
    let Some((link, Some(target))) = first.min_by_key(|(at, _)| at.components().count()) else {
        files.insert(path);
        return None;
    };
    links.insert(link.clone());
    let rest = path.strip_prefix(link).expect("it is a prefix");
    let target = normal(&link.parent().unwrap_or(link).join(target));
    Some(if rest.as_str().is_empty() { target } else { target.join(rest) })
}

/// `path` without `.` and `..`.
fn normal(path: &Utf8Path) -> Utf8PathBuf {
    let mut out = Utf8PathBuf::from("/");
    for part in path.components() {
        match part {
            camino::Utf8Component::Normal(name) => out.push(name),
            camino::Utf8Component::ParentDir => {
                out.pop();
            }
            _ => {}
        }
    }
    out
}

/// The paths and the directories they are in, each before what is in it, without the leading `/`.
fn with_parents<'a>(paths: impl IntoIterator<Item = &'a Utf8PathBuf>) -> Vec<String> {
    let all: BTreeSet<&Utf8Path> = paths.into_iter().flat_map(|path| path.ancestors()).collect();
    let relative = all.into_iter().map(|path| path.as_str().trim_start_matches('/').to_owned());
    relative.filter(|path| !path.is_empty()).collect()
}

fn lines(text: &str) -> Vec<Utf8PathBuf> {
    text.lines().map(Utf8PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn show_depends_is_read() {
        let text = "insmod /lib/modules/6.12/kernel/a.ko.xz \nbuiltin ext4\ninsmod /lib/modules/6.12/extra/b.ko x=1\n";
        let files: Vec<_> = shown_files(text).into_iter().collect();
        assert_eq!(files, ["/lib/modules/6.12/extra/b.ko", "/lib/modules/6.12/kernel/a.ko.xz"]);
    }

    #[test]
    fn ldd_is_read() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        assert_eq!(libraries(text), ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
    }

    #[test]
    fn links_are_followed_one_at_a_time() {
        let seen =
            found("l /sbin\0usr/sbin\0d /usr\0\0l /usr/sbin/modprobe\0../bin/kmod\0f /usr/bin/kmod\0\0");
        let (mut links, mut files) = (BTreeSet::new(), BTreeSet::new());
        let mut path = Some(Utf8PathBuf::from("/sbin/modprobe"));
        let mut way = Vec::new();
        while let Some(now) = path {
            way.push(now.clone());
            path = step(now, &seen, &mut links, &mut files);
        }
        assert_eq!(way, ["/sbin/modprobe", "/usr/sbin/modprobe", "/usr/bin/kmod"]);
        assert_eq!(
            with_parents(links.iter().chain(&files)),
            ["sbin", "usr", "usr/bin", "usr/bin/kmod", "usr/sbin", "usr/sbin/modprobe"]
        );
    }
}
