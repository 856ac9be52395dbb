// SPDX-License-Identifier: GPL-2.0
//! The .deb, made by dpkg-deb(1) in the kernel's build root: it is the same wherever that is.

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::{Compression, GzBuilder};

use crate::librust::content::{Item, Items};
use crate::librust::order::ArtefactOrder;
use crate::librust::words::{ENTRY, REVISION, copyright, day, description, summary};
use kernel::artefacts::Manifest;
use kernel::context::Context;
use kernel::root::Access;
use report::process::Cmd;

/// Makes the package in the order's directory.
pub(super) fn make(context: &Context, order: &ArtefactOrder<'_>) -> Result<Utf8PathBuf> {
    let manifest = &order.packaged.manifest;
    let (package, version) = (Manifest::package_of(&manifest.release), version(manifest));
    let dir = tempfile::tempdir_in(context.cache.path(""))?;
    let tree = Utf8Path::from_path(dir.path()).context("the cache's name is text")?.join("tree");
    let mut items = items(order)?;
    let size: u64 = items.values().map(kibibytes).sum();
    let inside = |cmd: Cmd| {
        let access = Access::default().write(dir.path().to_str().unwrap_or_default());
        order.prepared.root.inside(context, cmd, &access)
    };
    write(&tree, &items)?;
    let files = items.iter().filter(|(_, item)| matches!(item, Item::File(_))).map(|(path, _)| path);
    let sums = inside(Cmd::new("md5sum").args(files).cwd(&tree)).read(&context.report)?;
    let control: Items = [
        ("control", control(order, size)),
        ("md5sums", format!("{sums}\n")),
        ("postinst", postinst(manifest, order.packaged.has_target())),
        ("prerm", prerm(manifest, order.packaged.has_target())),
    ]
    .map(|(name, text)| (Utf8Path::new("DEBIAN").join(name), Item::File(text.into_bytes())))
    .into();
    write(&tree, &control)?;
    items.extend(control);
    let name = format!(
        "{package}_{}_{}.deb",
        version.split_once(':').map_or(&*version, |(_, rest)| rest),
        manifest.host.debian()
    );
    let build = Cmd::new("dpkg-deb")
        .args(["--root-owner-group", "-Zxz", "--build"])
        .arg(&tree)
        .arg(dir.path().join("package.deb"))
        .env("SOURCE_DATE_EPOCH", order.date.to_string());
    inside(build).run(&context.report)?;
    let file = order.output.join(name);
    fs_err::copy(dir.path().join("package.deb"), &file)?;
    Ok(file)
}

/// The version of the headers, and that this is not the distribution's own.
fn version(manifest: &Manifest) -> String {
    format!("{}{REVISION}", manifest.version)
}

/// Everything in the package but what is for dpkg alone.
fn items(order: &ArtefactOrder<'_>) -> Result<Items> {
    let manifest = &order.packaged.manifest;
    let release = &manifest.release;
    let package = Manifest::package_of(release);
    let mut items = order.packaged.items()?;
    // A new name in a directory of another package, which no other has.
    let headers = Utf8PathBuf::from(format!("usr/src/linux-headers-{release}"));
    items.insert(headers.join("rust"), Item::Link(format!("../{package}/rust")));
    let doc = Utf8Path::new("usr/share/doc").join(&package);
    items.insert(doc.join("copyright"), Item::File(copyright(manifest).into_bytes()));
    let changelog = format!(
        "linux-librust ({}) unstable; urgency=medium\n\n  * {ENTRY}\n\n -- {}  {}\n",
        version(manifest),
        order.packager.as_str(),
        day(order.date)?
    );
    items.insert(doc.join("changelog.Debian.gz"), Item::File(gzip(changelog.as_bytes())?));
    Ok(items)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).operating_system(3).write(Vec::new(), Compression::best());
    gzip.write_all(bytes)?;
    Ok(gzip.finish()?)
}

/// Size on disk (deb-control(5), deb-substvars(5)).
fn kibibytes(item: &Item) -> u64 {
    match item {
        Item::File(bytes) => (bytes.len() as u64).div_ceil(1024),
        Item::Link(_) => 1,
    }
}

/// Writes `items` below `tree`, with the modes that they have in a package.
fn write(tree: &Utf8Path, items: &Items) -> Result<()> {
    let mode = |path: &Utf8Path, mode| fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode));
    for (path, item) in items {
        let to = tree.join(path);
        for dir in path.parent().into_iter().flat_map(Utf8Path::ancestors) {
            fs_err::create_dir_all(tree.join(dir))?;
            mode(&tree.join(dir), 0o755)?;
        }
        match item {
            Item::Link(target) => symlink(target, &to)?,
            Item::File(bytes) => {
                fs_err::write(&to, bytes)?;
                let script = matches!(path.file_name(), Some("postinst" | "prerm"));
                mode(&to, if script { 0o755 } else { 0o644 })?;
            }
        }
    }
    Ok(())
}

/// Fields of the package (deb-control(5)).
fn control(order: &ArtefactOrder<'_>, size: u64) -> String {
    let manifest = &order.packaged.manifest;
    let release = &manifest.release;
    let text: String = description(manifest).iter().map(|line| format!(" {line}\n")).collect();
    format!(
        "Package: {}
Version: {}
Architecture: {}
Maintainer: {}
Installed-Size: {size}
Depends: linux-headers-{release} (= {}), rustc (= {}), libc6, libgcc-s1
Suggests: bindgen
Section: kernel
Priority: optional
Homepage: https://rust-for-linux.com/
Description: {}
{text}",
        Manifest::package_of(release),
        version(manifest),
        manifest.host.debian(),
        order.packager.as_str(),
        manifest.version,
        order.packaged.compiler,
        summary(manifest),
    )
}

/// The directory of Kbuild's programs is shared by all flavours of a version, and so is the file
/// that rustc reads there. As an alternative it is there while one of them is installed.
const TARGET: &str = "scripts=$(readlink -f /usr/src/linux-headers-RELEASE/scripts)
name=$(basename \"$(dirname \"$scripts\")\")-target.json
";

/// Modules that could not be built when the headers were installed are built now: what is told when
/// headers come is told again.
fn postinst(manifest: &Manifest, has_target: bool) -> String {
    let target = "if [ \"$1\" = configure ]; then
    scripts
    update-alternatives --quiet --install \"$scripts/target.json\" \"$name\" \\
        /usr/src/linux-librust-RELEASE/scripts/target.json 10
fi
";
    let tell = "if [ \"$1\" = configure ] && [ -d /etc/kernel/header_postinst.d ]; then
    run-parts --report --arg=RELEASE /etc/kernel/header_postinst.d ||
        echo >&2 'linux-librust-RELEASE: a module could not be built, see above'
fi
";
    script(manifest, &[if has_target { target } else { "" }, tell])
}

fn prerm(manifest: &Manifest, has_target: bool) -> String {
    let target = "if [ \"$1\" = remove ] || [ \"$1\" = deconfigure ]; then
    scripts
    update-alternatives --quiet --remove \"$name\" /usr/src/linux-librust-RELEASE/scripts/target.json
fi
";
    script(manifest, &[if has_target { target } else { "" }])
}

/// A script of dpkg's; the line `scripts` in it finds out where Kbuild's are.
fn script(manifest: &Manifest, parts: &[&str]) -> String {
    let find: String = TARGET.lines().map(|line| format!("    {line}\n")).collect();
    let body = parts.concat().replace("    scripts\n", &find);
    format!("#!/bin/sh\nset -e\n\n{body}").replace("RELEASE", manifest.release.as_str())
}
