// SPDX-License-Identifier: GPL-2.0
//! The version is kept in `Cargo.toml`; what DKMS reads has to say the same.

use camino::Utf8Path;
use project::Project;
use xtask::repository;

#[test]
fn dkms_conf_says_the_version_of_the_workspace() {
    for project in ["", "cifs"] {
        let project = Project::open(&repository().join(Utf8Path::new(project))).unwrap();
        assert_eq!(project.version, env!("CARGO_PKG_VERSION"), "{}", project.dir);
    }
}
