// SPDX-License-Identifier: GPL-2.0
//! Where this program was installed from, as cargo keeps it (`$CARGO_HOME/.crates2.json`).

use camino::Utf8PathBuf;
use template::{GitUrl, Source, Version};

use crate::tool::Tool;

/// The package of the program.
const PACKAGE: &str = "cargo-kmod";

/// Where a project's own `cargo xtask` can take the tool from: the directory, git repository or
/// registry that this program was installed from, as long as that is there.
pub(crate) fn source(tool: &Tool) -> Source {
    if let Some(home) = tool.home {
        return Source::Path(home().join("crates/cargo-kmod"));
    }
    let home = std::env::var("CARGO_HOME").map(Utf8PathBuf::from);
    let home = home.or_else(|_| std::env::var("HOME").map(|home| Utf8PathBuf::from(home).join(".cargo")));
    let record = home.ok().and_then(|home| fs_err::read(home.join(".crates2.json")).ok());
    let found = record.as_deref().and_then(recorded);
    found.filter(|source| source.path().is_none_or(|dir| dir.is_dir())).unwrap_or(Source::Installed)
}

/// The source in cargo's record, whose keys are `NAME VERSION (KIND+URL)`.
fn recorded(json: &[u8]) -> Option<Source> {
    let record: serde_json::Value = serde_json::from_slice(json).ok()?;
    record.get("installs")?.as_object()?.keys().find_map(|key| {
        let mut words = key.splitn(3, ' ');
        let (name, version, from) = (words.next()?, words.next()?, words.next()?);
        let (kind, url) = from.strip_prefix('(')?.strip_suffix(')')?.split_once('+')?;
        let url = url.split('#').next()?;
        match kind {
            _ if name != PACKAGE => None,
            "path" => Some(Source::Path(url.strip_prefix("file://")?.into())),
            "git" => Some(Source::Git(GitUrl::parse(url.split('?').next()?).ok()?)),
            "registry" | "sparse" => Some(Source::Version(Version::parse(version).ok()?)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_installing_is_read() {
        let record = |from: &str| {
            let key = format!("cargo-kmod 0.1.0 ({from})");
            let json = serde_json::json!({ "installs": { "other 1.0.0 (path+file:///other)": {}, key: {} } });
            recorded(json.to_string().as_bytes())
        };
        assert_eq!(
            record("path+file:///src/crates/cargo-kmod"),
            Some(Source::Path("/src/crates/cargo-kmod".into()))
        );
        let url = GitUrl::parse("https://example.org/cargo-kmod.git").unwrap();
        assert_eq!(record("git+https://example.org/cargo-kmod.git?branch=x#0123"), Some(Source::Git(url)));
        let version = Version::parse("0.1.0").unwrap();
        assert_eq!(record("registry+https://example.org/index"), Some(Source::Version(version)));
        assert_eq!(record("nonsense"), None);
        assert_eq!(recorded(b"{"), None);
    }
}
