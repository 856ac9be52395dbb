// SPDX-License-Identifier: GPL-2.0
//! The patch series of the rebuild are whole.

use project::source::series::{DIR, Series};
use xtask::repository;

/// Of each kernel line, also those of patches that it shares with another.
#[test]
fn every_patch_of_a_series_is_found() {
    let project = repository().join("cifs");
    let mut found = 0;
    for line in project.join(DIR).read_dir_utf8().unwrap() {
        let release = line.unwrap().file_name().parse().unwrap();
        let series = Series::open(&project, &release).unwrap().unwrap();
        for name in series.names() {
            assert!(series.file(name).is_file(), "{release}: {name}");
            found += 1;
        }
    }
    assert!(found > 10, "{found}");
}
