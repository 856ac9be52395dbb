// SPDX-License-Identifier: GPL-2.0
//! The initramfs of a release: which modules are in it, and how the distribution rebuilds it.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::install::system::TargetSystem;
use kernel::context::Context;
use kernel::root::host;
use kmodfile::name::of_file;
use kmodfile::release::Release;
use report::failure::Failure;
use report::process::Cmd;

/// When the initramfs is rebuilt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum InitramfsChoice {
    /// On the running system, if the module is in it; that of a --root is left alone
    #[default]
    Auto,
    /// Also that of a --root, with its own programs, run in namespaces
    Always,
    /// Never
    Never,
}

/// The program that makes an initramfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Maker {
    /// Debian's and Ubuntu's initramfs-tools.
    UpdateInitramfs,
    /// dracut: Fedora, RHEL, SUSE.
    Dracut,
    /// mkinitcpio: Arch.
    Mkinitcpio,
}

/// An initramfs that is to be rebuilt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rebuild {
    /// The program that makes it.
    pub maker: Maker,
    /// The file, as the system sees it.
    pub image: Utf8PathBuf,
    /// The modules concerned that are in it.
    #[serde(default)]
    pub holds: Vec<String>,
}

impl Maker {
    const ALL: [Self; 3] = [Self::UpdateInitramfs, Self::Dracut, Self::Mkinitcpio];

    fn program(self) -> &'static str {
        match self {
            Self::UpdateInitramfs => "update-initramfs",
            Self::Dracut => "dracut",
            Self::Mkinitcpio => "mkinitcpio",
        }
    }

    fn lister(self) -> &'static str {
        match self {
            Self::UpdateInitramfs => "lsinitramfs",
            Self::Dracut => "lsinitrd",
            Self::Mkinitcpio => "lsinitcpio",
        }
    }

    /// The one that the system has.
    fn of(system: &TargetSystem) -> Option<Self> {
        let has = |program: &str| {
            let dirs = ["usr/sbin", "usr/bin", "sbin", "bin"];
            dirs.iter().any(|dir| system.path(dir).join(program).exists())
        };
        Self::ALL.into_iter().find(|maker| has(maker.program()))
    }

    /// The image of a release that it has made, as a path from the system's `/`.
    fn image(self, system: &TargetSystem, release: &Release) -> Option<Utf8PathBuf> {
        let image = self.images(system, release).into_iter().find(|image| system.path(image).exists())?;
        Some(Utf8Path::new("/").join(image))
    }

    /// Where it may be, from the system's `/`: beside the modules where a system is deployed as an
    /// image, which then takes it from there, else in `/boot`.
    fn images(self, system: &TargetSystem, release: &Release) -> Vec<Utf8PathBuf> {
        let deployed = (self == Self::Dracut).then(|| deployed_image(release));
        let boot = self.names(system, release).into_iter().map(|name| Utf8Path::new("boot").join(name));
        deployed.into_iter().chain(boot).collect()
    }

    /// The names of the image in `/boot`. With dracut they depend on the distribution: Fedora and
    /// RHEL, Debian and Ubuntu, SUSE.
    fn names(self, system: &TargetSystem, release: &Release) -> Vec<String> {
        match self {
            Self::UpdateInitramfs => vec![format!("initrd.img-{release}")],
            Self::Dracut => {
                let (fedora, debian) = (format!("initramfs-{release}.img"), format!("initrd.img-{release}"));
                vec![fedora, debian, format!("initrd-{release}")]
            }
            Self::Mkinitcpio => {
                let pkgbase = system.path(TargetSystem::relative_dir(release)).join("pkgbase");
                let package = fs_err::read_to_string(pkgbase).ok();
                package.iter().map(|package| format!("initramfs-{}.img", package.trim())).collect()
            }
        }
    }

    fn list(self, image: &Utf8Path) -> Cmd {
        Cmd::new(self.lister()).arg(image)
    }

    fn rebuild(self, system: &TargetSystem, image: &Utf8Path, release: &Release) -> Cmd {
        let cmd = Cmd::new(self.program());
        if image.strip_prefix("/").is_ok_and(|image| image == deployed_image(release)) {
            return for_deployment(cmd, system, release).arg(image);
        }
        match self {
            Self::UpdateInitramfs => cmd.args(["-u", "-k", release.as_str()]),
            Self::Dracut => cmd.args(["--force", "--kver", release.as_str()]).arg(image),
            Self::Mkinitcpio => cmd.args(["-k", release.as_str(), "-g"]).arg(image),
        }
    }
}

/// Where ostree and bootc take the initramfs of a release from, as a path from `/`.
fn deployed_image(release: &Release) -> Utf8PathBuf {
    Utf8Path::new("usr/lib/modules").join(release).join("initramfs.img")
}

/// dracut for an image that machines are deployed from, as Fedora makes its own: for any machine,
/// not for the one that it happens to be made on; the same again from the same files; and with what
/// switches to the deployment. Layers of containers have no extended attributes to copy.
fn for_deployment(cmd: Cmd, system: &TargetSystem, release: &Release) -> Cmd {
    let parts = system.path("usr/lib/dracut/modules.d").read_dir_utf8().into_iter().flatten().flatten();
    let mut parts = parts.map(|part| part.file_name().trim_start_matches(char::is_numeric).to_owned());
    let ostree = parts.any(|part| part == "ostree").then_some(["--add", "ostree"]);
    cmd.env("DRACUT_NO_XATTR", "1")
        .args(["--force", "--no-hostonly", "--reproducible", "--kver", release.as_str()])
        .args(ostree.into_iter().flatten())
}

/// The initramfs to rebuild when the modules `names` change, if there is one and any of them is in
/// it. Reports what is left alone.
pub fn concerned(
    context: &Context,
    system: &TargetSystem,
    release: &Release,
    names: &[&str],
    choice: InitramfsChoice,
) -> Result<Option<Rebuild>> {
    let Some(maker) = Maker::of(system).filter(|_| choice != InitramfsChoice::Never) else { return Ok(None) };
    let Some(image) = maker.image(system, release) else {
        let names: Vec<String> =
            maker.images(system, release).iter().map(|image| format!("/{image}")).collect();
        let what = format!(
            "the initramfs of {release}: {} is installed, but there is no {}",
            maker.program(),
            names.join(", ")
        );
        context.report.note("Leaving", &what);
        return Ok(None);
    };
    if !system.is_host() && choice == InitramfsChoice::Auto {
        let path = system.path(image.strip_prefix("/")?);
        context.report.note("Leaving", &format!("{path} as it is; to rebuild it: --initramfs always"));
        return Ok(None);
    }
    let listed = run(system, maker.list(&image))?.run(&context.report)?.text();
    let inside = names_in(&listed, names);
    if inside.is_empty() {
        context
            .report
            .note("Leaving", &format!("{image} as it is: it does not contain {}", names.join(", ")));
        return Ok(None);
    }
    let holds = inside.into_iter().map(str::to_owned).collect();
    Ok(Some(Rebuild { maker, image, holds }))
}

/// Rebuilds it, and checks what came of that: these programs end with status 0 where they are
/// configured to do nothing, and where they put it off. Warns if one of `holds` is no longer in it.
///
/// # Errors
///
/// Refused, if the image was not written.
pub fn rebuild(
    context: &Context,
    system: &TargetSystem,
    release: &Release,
    wanted: &Rebuild,
    holds: &[String],
) -> Result<()> {
    let step = context.report.step("Rebuilding", wanted.image.as_str());
    let file = system.path(wanted.image.strip_prefix("/")?);
    let before = version_of(&file);
    let output = run(system, wanted.maker.rebuild(system, &wanted.image, release))?.run(&context.report)?;
    let program = wanted.maker.program();
    let refused = |reason: String| Failure::refused(file.as_str(), reason);
    if version_of(&file) == before {
        let said = output.tail.trim_end();
        let said = if said.is_empty() { "nothing" } else { said };
        return Err(refused(format!("{program} reported success but did not write it; its output: {said}"))
            .remedy(format!(
                "see how {program} is configured, or leave the initramfs alone: --initramfs never"
            ))
            .into());
    }
    let listed = run(system, wanted.maker.list(&wanted.image))?.run(&context.report)?.text();
    let names: Vec<&str> = holds.iter().map(String::as_str).collect();
    let inside = names_in(&listed, &names);
    for name in names.iter().filter(|name| !inside.contains(name)) {
        context.report.warn(&format!("{file}: {program} left out {name}, which was in it before"));
    }
    step.done("Rebuilt", &format!("{} with {}", wanted.image, program));
    Ok(())
}

/// What changes when a file is written again.
fn version_of(file: &Utf8Path) -> Option<(u64, i64, i64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let meta = file.metadata().ok()?;
    Some((meta.ino(), meta.ctime(), meta.ctime_nsec(), meta.len()))
}

/// `cmd` as the system itself would run it: for a tree with that as its `/`, in namespaces that end
/// with the command.
fn run(system: &TargetSystem, cmd: Cmd) -> Result<Cmd> {
    let cmd = host::inside(cmd);
    if system.is_host() {
        return Ok(cmd);
    }
    use std::os::unix::fs::FileTypeExt as _;
    let null = system.path("dev/null");
    if !null.metadata().is_ok_and(|meta| meta.file_type().is_char_device()) {
        let reason = "is not a device, so that rebuilding the initramfs would create a file there";
        return Err(Failure::missing(null.as_str(), reason)
            .remedy("leave out --initramfs always, and rebuild it on the running system")
            .into());
    }
    let outer = host::inside(Cmd::new("unshare")).args([
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--root",
        system.root().as_str(),
        "--mount-proc",
    ]);
    Ok(cmd.wrapped_in(outer, system.root().as_str()))
}

/// Those of `names` that are modules in a listing of an initramfs.
fn names_in<'a>(listing: &str, names: &[&'a str]) -> Vec<&'a str> {
    // lsinitrd prints modes, sizes and dates before the path.
    let files = listing.lines().filter_map(|line| line.rsplit(['/', ' ']).next());
    let inside: std::collections::BTreeSet<String> = files.filter_map(of_file).collect();
    names.iter().copied().filter(|name| inside.contains(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_of_all_three_are_read() {
        for listing in [
            "usr/lib/modules/7.1/kernel/fs/xfs/xfs.ko.xz\nusr/bin/sh\n",
            "-rw-r--r--   1 root     root   500 Jan  1  2026 usr/lib/modules/7.1/extra/xfs.ko.zst\n",
            "/usr/lib/modules/7.1/xfs.ko\n",
        ] {
            assert_eq!(names_in(listing, &["xfs", "sh"]), ["xfs"], "{listing}");
        }
        assert!(names_in("usr/lib/modules/7.1/kernel/fs/xfs_test.ko\n", &["xfs"]).is_empty());
    }

    #[test]
    fn a_trees_initramfs_is_left_alone_unless_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        for file in ["usr/sbin/update-initramfs", "boot/initrd.img-7.1", "lib/modules/7.1/kernel/x"] {
            fs_err::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs_err::write(root.join(file), "").unwrap();
        }
        let system = TargetSystem::open(root).unwrap();
        let release = "7.1".parse().unwrap();
        assert_eq!(Maker::of(&system), Some(Maker::UpdateInitramfs));
        let image = Maker::UpdateInitramfs.image(&system, &release).unwrap();
        assert_eq!(image, "/boot/initrd.img-7.1");
        let line = Maker::UpdateInitramfs.rebuild(&system, &image, &release).line();
        assert_eq!(line, "update-initramfs -u -k 7.1");
        assert_eq!(Maker::Dracut.image(&system, &release), Some(image), "Debian's dracut names it so, too");
        assert_eq!(Maker::Mkinitcpio.image(&system, &release), None);
        let beside = root.join("usr/lib/modules/7.1/initramfs.img");
        fs_err::create_dir_all(beside.parent().unwrap()).unwrap();
        fs_err::write(beside, "").unwrap();
        let image = Maker::Dracut.image(&system, &release).unwrap();
        assert_eq!(image, "/usr/lib/modules/7.1/initramfs.img", "the image is deployed with that");
        let line = || Maker::Dracut.rebuild(&system, &image, &release).line();
        let end = "--force --no-hostonly --reproducible --kver 7.1 /usr/lib/modules/7.1/initramfs.img";
        assert!(line().ends_with(end), "{}", line());
        fs_err::create_dir_all(root.join("usr/lib/dracut/modules.d/98ostree")).unwrap();
        assert!(line().ends_with("--kver 7.1 --add ostree /usr/lib/modules/7.1/initramfs.img"), "{}", line());
        // There is no device node, so nothing of the tree is run.
        assert!(run(&system, Cmd::new("true")).is_err());
    }
}
