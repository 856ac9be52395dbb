// SPDX-License-Identifier: GPL-2.0
//! Modules of one package that import from those of another.

use libtest_mimic::Trial;

use super::{Fleet, SAME, pair};
use crate::suite::Suite;

pub(super) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("weak_modules::what_imports_from_another_package_comes_and_goes_with_it", comes_and_goes),
        suite.trial("weak_modules::another_crc_of_the_other_package_takes_the_link_away", another_crc),
        suite.trial("weak_modules::a_kernels_own_module_counts", own_module),
    ]
}

fn comes_and_goes(suite: &Suite) {
    let fleet = Fleet::new(suite, false);
    let ours = &pair(suite)[0];
    fleet.put(ours, "taker");
    let output = fleet.add(&["taker"]);
    assert!(
        output.contains(&format!("out of {SAME}: it needs weak_given, which nothing exports")),
        "{output}"
    );
    assert!(fleet.links().is_empty());
    // The one that exports brings the other with it.
    fleet.put(ours, "giver");
    fleet.add(&["giver"]);
    assert_eq!(fleet.links(), fleet.links_of(SAME, &["giver", "taker"]));
    let both = ["weak-updates/giver/giver.ko", "weak-updates/taker/taker.ko"];
    assert_eq!(fleet.loads(SAME, "taker"), both);
    // And takes it away.
    fleet.take_away("giver");
    let output = fleet.remove(&["giver"]);
    assert!(
        output.contains(&format!("{} out of {SAME}: it needs weak_given", fleet.seen("taker"))),
        "{output}"
    );
    assert!(fleet.links().is_empty(), "{output}");
    // Whatever the order in which they are named, and for a new kernel.
    fleet.put(ours, "giver");
    fleet.add(&["taker", "giver"]);
    assert_eq!(fleet.loads(SAME, "taker"), both);
    fleet.weak(&["--remove-kernel", SAME], &[]);
    assert!(fleet.links().is_empty());
    fleet.weak(&["--add-kernel", SAME], &[]);
    assert_eq!(fleet.loads(SAME, "taker"), both);
}

/// The exporting package is upgraded, and the other is not.
fn another_crc(suite: &Suite) {
    let fleet = Fleet::new(suite, false);
    let [ours, other] = pair(suite);
    fleet.put(ours, "giver");
    fleet.put(ours, "taker");
    fleet.add(&["giver", "taker"]);
    fleet.put(other, "giver");
    let output = fleet.add(&["giver"]);
    assert!(
        output.contains("it was built for weak_given with CRC 0x")
            && output.contains(", giver exports it with 0x"),
        "{output}"
    );
    assert_eq!(fleet.links(), fleet.links_of(SAME, &["giver"]));
    fleet.put(other, "taker");
    fleet.add(&["taker"]);
    assert_eq!(fleet.links(), fleet.links_of(SAME, &["giver", "taker"]));
}

/// What exports is the kernel's own: in `extra`, or in `updates` as DKMS has it.
fn own_module(suite: &Suite) {
    for dir in ["extra", "updates/dkms"] {
        let fleet = Fleet::new(suite, false);
        let ours = &pair(suite)[0];
        fleet.put(ours, "taker");
        let own = fleet.modules(SAME).join(dir).join("giver.ko");
        fs_err::create_dir_all(own.parent().unwrap()).unwrap();
        fs_err::copy(ours.file("giver"), &own).unwrap();
        fleet.add(&["taker"]);
        assert_eq!(fleet.links(), fleet.links_of(SAME, &["taker"]), "{dir}");
        // It is not linked beside one of its own.
        fleet.put(ours, "giver");
        let output = fleet.weak(&["--add-modules", "--verbose"], &[fleet.seen("giver")]);
        assert!(output.contains(&format!("the kernel has {dir}/giver.ko of its own")), "{output}");
        assert_eq!(fleet.links(), fleet.links_of(SAME, &["taker"]), "{dir}");
    }
}
