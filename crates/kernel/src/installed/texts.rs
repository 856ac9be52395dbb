// SPDX-License-Identifier: GPL-2.0
//! What the files say that the packages of an installed kernel left in a system.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::installed::system::SystemRoot;
use kmodfile::compression::Compression;
use kmodfile::config::Config;

/// The configuration of the kernel `release` in the system whose `/` is `root`, if it is there.
pub fn config(root: &Utf8Path, release: &str) -> Result<Option<Config>> {
    let modules = Utf8Path::new("lib/modules").join(release);
    let places = [
        modules.join("config"),
        format!("boot/config-{release}").into(),
        modules.join("build/.config"),
        format!("usr/src/linux-headers-{release}/.config").into(),
    ];
    let text = first(root, &places, |text| text.contains("CONFIG_"))?;
    Ok(text.map(|text| Config::parse(&text)))
}

/// The text of what that kernel exports, its `Module.symvers`, if it is there.
pub fn symvers(root: &Utf8Path, release: &str) -> Result<Option<String>> {
    let modules = Utf8Path::new("lib/modules").join(release);
    let packed =
        |path: String| ["", ".gz", ".xz", ".zst"].map(|end| Utf8PathBuf::from(format!("{path}{end}")));
    let places = [
        &packed(format!("{modules}/symvers"))[..],
        &packed(format!("boot/symvers-{release}")),
        &[
            modules.join("build/Module.symvers"),
            format!("usr/src/kernels/{release}/Module.symvers").into(),
            format!("usr/src/linux-headers-{release}/Module.symvers").into(),
        ],
    ]
    .concat();
    // A tree in which only modules were built has a list of theirs alone.
    first(root, &places, |text| text.contains("\tvmlinux\t"))
}

/// The text of the first of `places` that is there and is `right`, its compression undone.
fn first(root: &Utf8Path, places: &[Utf8PathBuf], right: impl Fn(&str) -> bool) -> Result<Option<String>> {
    let Ok(system) = SystemRoot::open(root) else { return Ok(None) };
    for place in places {
        let Some(bytes) = system.read(place) else { continue };
        let bytes = match Compression::of(&bytes) {
            None => bytes,
            Some(kind) => {
                kind.decompress(&bytes).with_context(|| format!("decompressing {}", root.join(place)))?
            }
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if right(&text) {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_followed_as_the_system_itself_would() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        assert!(config(root, "7.1").unwrap().is_none() && symvers(root, "7.1").unwrap().is_none());
        let headers = root.join("usr/src/linux-headers-x");
        fs_err::create_dir_all(&headers).unwrap();
        fs_err::create_dir_all(root.join("lib/modules/7.1")).unwrap();
        fs_err::write(headers.join(".config"), "CONFIG_RUST=y\n").unwrap();
        let symbols = "0x00000001\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n";
        fs_err::write(headers.join("Module.symvers"), symbols).unwrap();
        std::os::unix::fs::symlink("/usr/src/linux-headers-x", root.join("lib/modules/7.1/build")).unwrap();
        assert!(config(root, "7.1").unwrap().unwrap().is_yes("CONFIG_RUST"));
        assert_eq!(symvers(root, "7.1").unwrap().unwrap(), symbols);
        // What a kernel's package ships comes before what its headers do; a directory of the name
        // is passed over.
        let shipped = symbols.replace("printk", "shipped");
        let packed = Compression::Xz.compress(shipped.as_bytes()).unwrap();
        fs_err::create_dir_all(root.join("lib/modules/7.1/symvers")).unwrap();
        fs_err::write(root.join("lib/modules/7.1/symvers.xz"), packed).unwrap();
        assert_eq!(symvers(root, "7.1").unwrap().unwrap(), shipped);
        fs_err::write(root.join("lib/modules/7.1/symvers.xz"), "0x00000001\tx\tdrivers/x\tEXPORT_SYMBOL\t\n")
            .unwrap();
        assert_eq!(symvers(root, "7.1").unwrap().unwrap(), symbols);
    }

    #[test]
    fn nothing_outside_the_root_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let outside = Utf8Path::from_path(dir.path()).unwrap();
        let root = outside.join("root");
        fs_err::create_dir_all(root.join("boot")).unwrap();
        fs_err::write(outside.join("config"), "CONFIG_RUST=y\n").unwrap();
        for link in ["../../config", outside.join("config").as_str()] {
            let place = root.join("boot/config-7.1");
            std::os::unix::fs::symlink(link, &place).unwrap();
            assert!(config(&root, "7.1").unwrap().is_none(), "{link}");
            fs_err::remove_file(place).unwrap();
        }
    }
}
