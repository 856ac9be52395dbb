// SPDX-License-Identifier: GPL-2.0
//! `kmod.spec`: what makes kmod RPMs of a project, with this tool or with rpmbuild alone.

use crate::fill::fill;
use crate::{Date, Licence, ModuleName, PackageName, Text, Version};

/// What differs between the specs of two projects.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The comment at its head, line by line: what is packaged.
    pub about: Vec<Text>,
    /// `kmod_name`: packages are called `kmod-NAME`.
    pub name: PackageName,
    /// `kmod_version`.
    pub version: Version,
    /// `kmod_license`.
    pub licence: Licence,
    /// `kmod_summary`.
    pub summary: Text,
    /// `kmod_description`, line by line.
    pub description: Vec<Text>,
    /// `kmod_modules`: by the names they are installed under. How they are built is for the
    /// project's `dkms.conf` to say.
    pub modules: Vec<ModuleName>,
    /// Who made the first package.
    pub packager: Text,
    /// The day of the first package, which is also the time of everything in it.
    pub date: Date,
}

/// The text of a `kmod.spec`.
pub fn kmod_spec(spec: &Spec) -> String {
    let lines = |lines: &[Text], before: &str, between: &str| {
        lines.iter().map(|line| format!("{before}{line}")).collect::<Vec<_>>().join(between)
    };
    let modules: Vec<&str> = spec.modules.iter().map(ModuleName::as_str).collect();
    fill(
        include_str!("../files/kmod.spec"),
        &[
            ("about", &lines(&spec.about, "# ", "\n")),
            ("name", spec.name.as_str()),
            ("version", &spec.version.to_string()),
            ("licence", &spec.licence.to_string()),
            ("summary", &spec.summary.to_string()),
            ("description", &lines(&spec.description, "", "\\\n")),
            ("modules", &modules.join(" ")),
            ("packager", &spec.packager.to_string()),
            ("date", &spec.date.to_string()),
        ],
    )
}
