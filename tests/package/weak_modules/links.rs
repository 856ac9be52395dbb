// SPDX-License-Identifier: GPL-2.0
//! Links: where they lead from, what they are understood as, what of them is said.

use std::os::unix::fs::symlink;

use libtest_mimic::Trial;
use report::Report;
use report::process::Cmd;

use super::{CHANGED, Fleet, SAME, SYMBOL, loads_at, pair};
use crate::suite::{Suite, run, tool};

pub(super) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("weak_modules::links_are_made_where_every_crc_is_equal", where_crcs_are_equal),
        suite.trial("weak_modules::links_hold_wherever_the_tree_is", hold_anywhere),
        suite.trial("weak_modules::absolute_links_are_understood", absolute_links),
        suite.trial("weak_modules::a_dangling_link_is_named_by_whatever_runs_depmod", dangling),
        suite.trial("weak_modules::what_depmod_did_not_index_is_refused", not_indexed),
        suite.trial("weak_modules::what_is_not_linked_says_why", says_why),
        suite.trial("weak_modules::a_run_that_was_killed_is_finished_by_the_next", killed),
    ]
}

fn where_crcs_are_equal(suite: &Suite) {
    let fleet = Fleet::new(suite, false);
    fleet.put(&pair(suite)[0], "giver");
    let unknown = fleet.modules("6.12.203");
    fs_err::create_dir_all(unknown.join("kernel")).unwrap();
    let files = [fleet.seen("giver")];
    let planned = fleet.weak(&["--add-modules", "--dry-run"], &files);
    assert!(
        planned.contains(&format!("{SAME}  add")) && !planned.contains(&format!("{CHANGED}  add")),
        "{planned}"
    );
    assert!(planned.contains("warning: kernel 6.12.203"), "{planned}");
    assert!(fleet.links().is_empty(), "a dry run links nothing");
    fleet.add(&["giver"]);
    let expected = fleet.links_of(SAME, &["giver"]);
    assert_eq!(fleet.links(), expected);
    assert!(fleet.add(&["giver"]).contains("no link has to be made"), "again, there is nothing to do");
    fleet.take_away("giver");
    fleet.remove(&["giver"]);
    assert!(fleet.links().is_empty() && !fleet.modules(SAME).join("weak-updates").exists());
    assert!(fleet.remove(&["giver"]).contains("no link has to be made or removed"));
    fleet.put(&pair(suite)[0], "giver");
    fleet.weak(&["--add-kernel", SAME], &[]);
    fleet.weak(&["--add-kernel", CHANGED], &[]);
    assert_eq!(fleet.links(), expected);
    // The package of the module stays when the kernel goes that it was built for.
    fs_err::remove_dir_all(fleet.modules(fleet.built_for.as_str()).join("kernel")).unwrap();
    fleet.weak(&["--remove-kernel", fleet.built_for.as_str()], &[]);
    assert_eq!(fleet.links(), expected);
    fs_err::remove_dir_all(fleet.modules(fleet.built_for.as_str())).unwrap();
    fleet.weak(&["--remove-kernel", fleet.built_for.as_str()], &[]);
    assert!(fleet.links().is_empty());
}

/// The tree is used from outside, as its own system, and at another place.
fn hold_anywhere(suite: &Suite) {
    for merged in [false, true] {
        let fleet = Fleet::new(suite, merged);
        fleet.put(&pair(suite)[0], "giver");
        let output = fleet.weak(&["--add-kernel", SAME], &[]);
        assert!(!output.contains("warning"), "{output}");
        assert_eq!(fleet.links(), fleet.links_of(SAME, &["giver"]), "merged: {merged}");
        assert_eq!(fleet.loads(SAME, "giver"), ["weak-updates/giver/giver.ko"], "merged: {merged}");
        let moved = fleet.root.with_file_name("moved");
        fs_err::rename(&fleet.root, &moved).unwrap();
        let depmod = Cmd::new("depmod").args(["-b", moved.as_str(), "-C", "/dev/null", SAME]);
        let output = depmod.run(&Report::silent()).unwrap();
        assert_eq!(output.tail, "", "depmod complains");
        assert_eq!(loads_at(&moved, SAME, "giver"), ["weak-updates/giver/giver.ko"]);
    }
}

/// As RHEL's script and older versions of this tool wrote them, with and without the directory that
/// is the system's `/`.
fn absolute_links(suite: &Suite) {
    let fleet = Fleet::new(suite, true);
    let link = fleet.modules(SAME).join("weak-updates/giver/giver.ko");
    fs_err::create_dir_all(link.parent().unwrap()).unwrap();
    let seen = fleet.seen("giver");
    for written in [seen.clone(), format!("/usr{seen}"), format!("{}{seen}", fleet.root)] {
        // Depmod of the machine would follow it to the machine's own.
        fleet.put(&pair(suite)[0], "giver");
        symlink(&written, &link).unwrap();
        fleet.weak(&["--add-kernel", SAME], &[]);
        assert_eq!(fleet.links(), fleet.links_of(SAME, &["giver"]), "{written}");
        assert_eq!(fleet.loads(SAME, "giver"), ["weak-updates/giver/giver.ko"], "{written}");
        fs_err::remove_file(&link).unwrap();
        symlink(&written, &link).unwrap();
        fleet.take_away("giver");
        fleet.remove(&["giver"]);
        assert!(fleet.links().is_empty(), "{written}");
        fs_err::create_dir_all(link.parent().unwrap()).unwrap();
    }
}

fn dangling(suite: &Suite) {
    let fleet = Fleet::new(suite, false);
    let make = |kernel: &str| {
        let link = fleet.modules(kernel).join("weak-updates/old/old.ko");
        fs_err::create_dir_all(link.parent().unwrap()).unwrap();
        symlink("../../../6.12.1/extra/old/old.ko", &link).unwrap();
        format!(
            "warning: {link}: this link leads to ../../../6.12.1/extra/old/old.ko, where depmod finds no module"
        )
    };
    let said = make(fleet.built_for.as_str());
    let [giver, taker] = ["giver", "taker"].map(|module| pair(suite)[0].file(module));
    // With the last module the index goes back to what it was, without depmod.
    for words in [["install", giver.as_str()], ["install", taker.as_str()], ["uninstall", "taker"]] {
        let cmd = tool(&words).args(["--root", fleet.root.as_str()]);
        let (status, output) = run(&cmd.env("XDG_CACHE_HOME", fleet.root.with_file_name("cache")));
        assert_eq!(status, 0, "{output}");
        assert!(output.contains(&said), "{words:?}: {output}");
    }
    fleet.weak(&["--remove-kernel", fleet.built_for.as_str()], &[]);
    assert!(fleet.links().is_empty());
    // What is uninstalled was linked in another kernel.
    let seen = format!("/lib/modules/{}/extra/giver.ko", fleet.built_for);
    fleet.weak(&["--add-modules"], &[seen]);
    assert_eq!(fleet.links().len(), 1);
    let uninstall = tool(&["uninstall", "giver", "--root", fleet.root.as_str()]);
    let (status, output) = run(&uninstall.env("XDG_CACHE_HOME", fleet.root.with_file_name("cache")));
    let link = fleet.modules(SAME).join("weak-updates/giver.ko");
    assert!(status == 0 && output.contains(&format!("{link}: this link leads to ")), "{output}");
    fleet.weak(&["--add-kernel", SAME], &[]);
    assert!(fleet.links().is_empty());
    // What plans a kernel's links removes it.
    let said = make(SAME);
    fleet.put(&pair(suite)[0], "giver");
    let output = fleet.weak(&["--add-kernel", SAME], &[]);
    let why = format!("/lib/modules/6.12.1/extra/old/old.ko out of {SAME}: it is not there any more");
    assert!(output.contains(&why) && !output.contains(&said), "{output}");
    assert_eq!(fleet.links(), fleet.links_of(SAME, &["giver"]), "it was removed");
    make(SAME);
    fleet.take_away("giver");
    let output = fleet.remove(&["giver"]);
    assert!(output.contains(&why), "{output}");
    assert!(fleet.links().is_empty());
}

/// depmod is told to pass over a directory, and reports success.
fn not_indexed(suite: &Suite) {
    let fleet = Fleet::new(suite, true);
    fleet.put(&pair(suite)[0], "giver");
    let conf = fleet.root.join("etc/depmod.d/exclude.conf");
    fs_err::create_dir_all(conf.parent().unwrap()).unwrap();
    fs_err::write(&conf, "exclude weak-updates\nexclude extra\n").unwrap();
    let (status, output) = run(&fleet.cmd(&["--add-kernel", SAME], &[]));
    let said = "depmod did not index 1 of its modules, giver among them, although it reported success";
    assert!(status == 4 && output.contains(said), "{status}: {output}");
    let install = || {
        let cmd = tool(&["install", pair(suite)[0].file("giver").as_str(), "--root", fleet.root.as_str()]);
        run(&cmd.env("XDG_CACHE_HOME", fleet.root.with_file_name("cache")))
    };
    fleet.take_away("giver");
    let (status, output) = install();
    assert!(status == 4 && output.contains(said), "{status}: {output}");
    fs_err::remove_file(&conf).unwrap();
    fleet.put(&pair(suite)[0], "giver");
    let output = fleet.weak(&["--add-kernel", SAME], &[]);
    assert!(output.contains("depmod has not run since"), "{output}");
    assert_eq!(fleet.loads(SAME, "giver"), ["weak-updates/giver/giver.ko"]);
}

fn says_why(suite: &Suite) {
    let fleet = Fleet::new(suite, false);
    fleet.put(&pair(suite)[0], "giver");
    let kdir_crc = "with 0x00000001";
    let output = fleet.add(&["giver"]);
    let line =
        format!("Leaving {} out of {CHANGED}: it was built for {SYMBOL} with CRC 0x", fleet.seen("giver"));
    let found: Vec<&str> = output.lines().filter(|found| found.contains(CHANGED)).collect();
    assert_eq!(found.len(), 1, "one line: {output}");
    assert!(
        found[0].contains(&line) && found[0].ends_with(&format!("vmlinux exports it {kdir_crc}")),
        "{output}"
    );
    // A second difference; a kernel of another kind; a module that cannot be read.
    let symvers = fleet.modules(CHANGED).join("symvers");
    let text = fs_err::read_to_string(&symvers).unwrap();
    let without =
        text.lines().filter(|line| !line.contains("\t__fentry__\t")).map(|line| format!("{line}\n"));
    fs_err::write(&symvers, without.collect::<String>()).unwrap();
    let output = fleet.add(&["giver"]);
    assert!(output.contains("; and 1 more reason (-v)"), "{output}");
    assert!(!output.contains("__fentry__"), "{output}");
    let output = fleet.weak(&["--add-modules", "--verbose"], &[fleet.seen("giver")]);
    let each = format!("{} for {CHANGED}: it ", fleet.seen("giver"));
    assert_eq!(output.lines().filter(|line| line.contains(&each)).count(), 2, "{output}");
    assert!(output.contains("it needs __fentry__, which nothing exports"), "{output}");
    let image = fs_err::read(pair(suite)[0].file("giver")).unwrap();
    let place = fleet.root.join(fleet.seen("giver").trim_start_matches('/'));
    let other = String::from_utf8_lossy(&image).find("SMP").is_some();
    assert!(other, "the module's vermagic says SMP");
    let at = image.windows(3).position(|window| window == b"SMP").unwrap();
    let mut changed = image.clone();
    changed[at..at + 3].copy_from_slice(b"UP ");
    fs_err::write(&place, &changed).unwrap();
    let output = fleet.add(&["giver"]);
    assert!(output.contains(&format!("out of {SAME}: its vermagic is ")), "{output}");
    fs_err::write(&place, &image[..image.len() / 2]).unwrap();
    let output = fleet.add(&["giver"]);
    assert!(output.contains(&format!("{} out of {SAME}: is damaged", fleet.seen("giver"))), "{output}");
    assert!(fleet.links().is_empty(), "what no longer loads is no longer linked: {output}");
    let (status, output) = run(&fleet.cmd(&["--add-modules"], &[fleet.seen("nowhere")]));
    assert_eq!(status, 2, "a module that is not there is a mistake: {output}");
    let json = fleet.cmd(&["--add-modules", "--json"], &[fleet.seen("giver")]);
    let json: serde_json::Value =
        serde_json::from_slice(&json.run(&Report::silent()).unwrap().stdout).unwrap();
    assert_eq!((&json[0]["change"], &json[0]["reasons"][0]["why"]), (&"none".into(), &"damaged".into()));
}

/// Links are there and depmod has not run for them.
fn killed(suite: &Suite) {
    let fleet = Fleet::new(suite, false);
    fleet.put(&pair(suite)[0], "giver");
    let cmd = fleet.cmd(&["--add-modules"], &[fleet.seen("giver")]);
    // The rename that puts the link into its place is the first.
    let strace = Cmd::new("strace").args(["-qq", "-o", "/dev/null", "-e", "trace=fsync"]);
    let strace = strace.args(["-e", "inject=fsync:signal=KILL:when=1"]);
    let traced = cmd.vector().fold(strace, |strace, word| strace.arg(word)).input(fleet.seen("giver"));
    assert_ne!(run(&traced).0, 0);
    assert_eq!(fleet.links(), fleet.links_of(SAME, &["giver"]));
    assert!(fleet.loads(SAME, "giver").is_empty());
    let output = fleet.add(&["giver"]);
    assert!(output.contains("depmod has not run since"), "{output}");
    assert_eq!(fleet.loads(SAME, "giver"), ["weak-updates/giver/giver.ko"]);
}
