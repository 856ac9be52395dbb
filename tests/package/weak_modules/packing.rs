// SPDX-License-Identifier: GPL-2.0
//! Modules that are compressed: as xz does it, and as a kernel that unpacks them itself takes it.

use kmodfile::compression::Compression;
use libtest_mimic::Trial;

use super::{Fleet, SAME, pair};
use crate::packings::{self, Kernel};
use crate::suite::Suite;

pub(super) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![suite.trial("weak_modules::what_the_kernel_cannot_unpack_is_not_linked", not_unpacked)]
}

fn not_unpacked(suite: &Suite) {
    let fleet = Fleet::new(suite, false);
    let config = "CONFIG_MODVERSIONS=y\nCONFIG_MODULE_COMPRESS_XZ=y\n";
    let configured = |more: &str| {
        fs_err::write(fleet.modules(SAME).join("config"), format!("{config}{more}")).unwrap();
    };
    let module = fs_err::read(pair(suite)[0].file("giver")).unwrap();
    let packings = packings::all(&module);
    let own = |one: &&packings::Packing| one.format == Compression::Xz && one.kernel != Kernel::Loads;
    let seen = format!("{}.xz", fleet.seen("giver"));
    let file = fleet.root.join(seen.trim_start_matches('/'));
    fs_err::create_dir_all(file.parent().unwrap()).unwrap();
    fs_err::write(&file, &packings.iter().find(own).unwrap().bytes).unwrap();
    configured("CONFIG_MODULE_DECOMPRESS=y\n");
    let output = fleet.weak(&["--add-modules"], std::slice::from_ref(&seen));
    assert!(output.contains("its xz is not what the kernel, which unpacks it itself, takes"), "{output}");
    assert!(fleet.links().is_empty(), "{output}");
    // What the kernel leaves to kmod, that takes.
    configured("");
    fleet.weak(&["--add-modules"], std::slice::from_ref(&seen));
    assert_eq!(fleet.loads(SAME, "giver"), ["weak-updates/giver/giver.ko.xz"]);
}
