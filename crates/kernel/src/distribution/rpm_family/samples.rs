// SPDX-License-Identifier: GPL-2.0
//! Indexes of repositories, for tests.

/// A package as createrepo_c writes it.
pub(super) fn entry(
    name: &str,
    version: &str,
    release: &str,
    arch: &str,
    provides: &[(&str, &str)],
) -> String {
    let entries: String = provides
        .iter()
        .map(|(name, value)| {
            let (ver, rel) = value.split_once('-').unwrap_or((value, ""));
            format!("<rpm:entry name=\"{name}\" flags=\"EQ\" epoch=\"0\" ver=\"{ver}\" rel=\"{rel}\"/>")
        })
        .collect();
    format!(
        "<package type=\"rpm\">\n  <name>{name}</name>\n  <arch>{arch}</arch>\n  \
         <version epoch=\"0\" ver=\"{version}\" rel=\"{release}\"/>\n  \
         <checksum type=\"sha256\" pkgid=\"YES\">{name}{version}{release}</checksum>\n  \
         <summary>A &amp; B</summary>\n  <size package=\"12\" installed=\"34\" archive=\"56\"/>\n  \
         <location href=\"Packages/k/{name}-{version}-{release}.{arch}.rpm\"/>\n  <format>\n    \
         <rpm:license>GPL</rpm:license><rpm:sourcerpm>kernel-{version}-{release}.src.rpm</rpm:sourcerpm>\n    \
         <rpm:provides>{entries}</rpm:provides>\n    <rpm:requires><rpm:entry name=\"kernel-uname-r\" \
         flags=\"EQ\" epoch=\"0\" ver=\"9\" rel=\"9\"/></rpm:requires>\n  </format>\n</package>\n"
    )
}

pub(super) fn index(entries: &[String]) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata xmlns=\"http://linux.duke.edu/metadata/common\" \
         xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\" packages=\"{}\">\n{}</metadata>\n",
        entries.len(),
        entries.concat()
    )
}
