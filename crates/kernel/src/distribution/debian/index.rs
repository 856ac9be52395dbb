// SPDX-License-Identifier: GPL-2.0
//! Debian's indexes of packages (deb-control(5)).

use std::cmp::Ordering;

use crate::distribution::package::{Dependency, Package};
use crate::version;

/// The name of a package's file once fetched.
pub fn file_name(package: &Package) -> String {
    let version = package.version.replace(':', "%3a");
    format!("{}_{version}_{}.deb", package.name, package.architecture)
}

/// Older to newer.
pub fn by_version(a: &Package, b: &Package) -> Ordering {
    version::compare(&a.version, &b.version)
}

/// Whether `text` can be the name of a package (Debian Policy, 5.6.7).
pub fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() > 1 && text.starts_with(allowed) && text.chars().all(|c| allowed(c) || "+-.".contains(c))
}

/// Reads a `Packages` index of `suite` in the repository at `uri`; keeps the packages whose name
/// `wanted` says yes to. Paragraphs that lack a field are left out: an index is signed, so that is
/// another kind of file.
pub fn read_index(index: &str, uri: &str, suite: &str, wanted: impl Fn(&str) -> bool) -> Vec<Package> {
    let name = |paragraph: &&str| field(paragraph, "Package").is_some_and(&wanted);
    index.split("\n\n").filter(name).filter_map(|paragraph| read_paragraph(paragraph, uri, suite)).collect()
}

fn read_paragraph(paragraph: &str, uri: &str, suite: &str) -> Option<Package> {
    Some(Package {
        name: field(paragraph, "Package")?.to_owned(),
        version: field(paragraph, "Version")?.to_owned(),
        suite: suite.to_owned(),
        architecture: field(paragraph, "Architecture")?.to_owned(),
        depends: field(paragraph, "Depends").map(dependencies).unwrap_or_default(),
        size: field(paragraph, "Size")?.parse().ok()?,
        sha256: field(paragraph, "SHA256")?.to_owned(),
        uri: format!("{uri}/{}", field(paragraph, "Filename")?),
    })
}

/// A single-line field.
fn field<'a>(paragraph: &'a str, name: &str) -> Option<&'a str> {
    paragraph.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

fn dependencies(field: &str) -> Vec<Dependency> {
    field.split(',').filter_map(|alternatives| dependency(alternatives.split('|').next()?)).collect()
}

fn dependency(text: &str) -> Option<Dependency> {
    let (name, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let exact =
        rest.trim().strip_prefix("(=").and_then(|rest| rest.strip_suffix(')')).map(|v| v.trim().to_owned());
    (!name.is_empty()).then(|| Dependency { name: name.to_owned(), exact })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "\
Package: linux-headers-7.2.11+deb13-cloud-amd64
Source: linux
Version: 7.2.11-1~bpo13+1
Installed-Size: 7266
Architecture: amd64
Depends: gcc-14-for-host, linux-base (>= 4.12~), linux-headers-7.2.11+deb13-common (= 7.2.11-1~bpo13+1), dracut | initramfs-tools
Description: Linux 7.2.11 for x86-64 cloud (module development)
Filename: pool/main/l/linux/linux-headers-7.2.11+deb13-cloud-amd64_7.2.11-1~bpo13+1_amd64.deb
Size: 1481764
SHA256: d5b078b6

Package: bash
Version: 5.2-1
Architecture: amd64
Filename: pool/bash.deb
Size: 1
SHA256: 00

Package: linux-broken
Version: 1
";

    #[test]
    fn names_are_told_from_options_and_lists() {
        for (text, is) in
            [("libstdc++6", true), ("--x", false), ("a,b", false), ("x", false), ("Upper", false)]
        {
            assert_eq!(is_name(text), is, "{text}");
        }
    }

    #[test]
    fn wanted_paragraphs_are_read_whole() {
        let packages =
            read_index(INDEX, "http://m/debian", "trixie-backports", |name| name.starts_with("linux-"));
        let [package] = packages.as_slice() else { panic!("{packages:?}") };
        assert_eq!(file_name(package), "linux-headers-7.2.11+deb13-cloud-amd64_7.2.11-1~bpo13+1_amd64.deb");
        assert_eq!((package.size, package.suite.as_str()), (1_481_764, "trixie-backports"));
        assert!(
            package.uri.starts_with("http://m/debian/pool/main/l/linux/linux-headers-7.2.11"),
            "{}",
            package.uri
        );
        let exact = |d: &Dependency| (d.name.clone(), d.exact.clone());
        assert_eq!(
            package.depends.iter().map(exact).collect::<Vec<_>>(),
            [
                ("gcc-14-for-host".to_owned(), None),
                ("linux-base".to_owned(), None),
                ("linux-headers-7.2.11+deb13-common".to_owned(), Some("7.2.11-1~bpo13+1".to_owned())),
                ("dracut".to_owned(), None),
            ]
        );
    }
}
