// SPDX-License-Identifier: GPL-2.0
//! Installing, looking, installing again, uninstalling, as it goes well.

use deploy::install::journal::STATE;
use deploy::install::modprobe::ModprobeAnswer;
use libtest_mimic::Trial;
use report::Report;
use report::process::Cmd;

use super::{Fixture, MODULE, OTHERS, assert_same, copy, differences};
use crate::suite::Suite;

pub(super) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("install::modprobe_loads_ours_and_afterwards_the_stock_one", there_and_back),
        suite.trial("install::the_index_is_what_depmod_would_make", the_index_is_depmods),
        suite.trial("install::uninstall_in_another_order_leaves_all_as_before", another_order),
        suite.trial("install::what_others_install_meanwhile_stays", what_others_install_stays),
        suite.trial("install::drop_ins_come_and_go", drop_ins_come_and_go),
        suite.trial("install::dry_run_changes_nothing_and_names_each_file", dry_run_changes_nothing),
        suite.trial("install::status_says_which_file_and_why", status_says_which_and_why),
        suite.trial("install::several_kernels_share_a_drop_in", several_kernels),
    ]
}

fn there_and_back(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let before = fixture.snapshot();
    assert_eq!(fixture.loads(), ModprobeAnswer::File(fixture.stock(suite)));
    fixture.install();
    assert_eq!(fixture.loads(), ModprobeAnswer::File(format!("extra/{MODULE}.ko").into()));
    let stock = fixture.modules().join(fixture.stock(suite));
    assert!(stock.exists(), "the stock module is never touched");
    let installed = fixture.snapshot();
    fixture.install();
    assert_same(&fixture.snapshot(), &installed);
    fixture.must(&["install", fixture.second().as_str()]);
    assert!(
        !fixture.modules().join(format!("extra/{MODULE}.ko")).exists(),
        "the upgrade leaves no second file"
    );
    fixture.must(&["uninstall", MODULE]);
    assert_same(&fixture.snapshot(), &before);
}

fn the_index_is_depmods(suite: &Suite) {
    let fixture = Fixture::new(suite);
    fixture.install();
    let ours = fixture.snapshot();
    fixture.depmod();
    let theirs = fixture.snapshot();
    // The mode of the one file is ours to keep for the uninstall, and depmod's to change.
    let contents = |snapshot: &super::Snapshot| {
        snapshot.iter().map(|(path, (_, _, bytes))| (path.clone(), (0, 0, bytes.clone()))).collect()
    };
    assert_same(&contents(&ours), &contents(&theirs));
}

fn another_order(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let before = fixture.snapshot();
    let other = fixture.path().join(format!("{}.ko", OTHERS[0]));
    let stock = suite.prepared().kdir.stock_module(OTHERS[0]).unwrap();
    fs_err::write(&other, kmodfile::file::ModuleFile::read(&stock).unwrap().image).unwrap();
    fixture.install();
    fixture.must(&["install", other.as_str()]);
    fixture.must(&["uninstall", MODULE]);
    assert_eq!(fixture.loads(), ModprobeAnswer::File(fixture.stock(suite)));
    assert!(fixture.modules().join(format!("extra/{}.ko", OTHERS[0])).exists());
    fixture.must(&["uninstall", OTHERS[0]]);
    assert_same(&fixture.snapshot(), &before);
}

fn what_others_install_stays(suite: &Suite) {
    let fixture = Fixture::new(suite);
    fixture.install();
    let theirs = fixture.modules().join("updates/dkms/nls_utf8.ko.xz");
    fs_err::create_dir_all(theirs.parent().unwrap()).unwrap();
    copy(&suite.prepared().kdir.stock_module("nls_utf8").unwrap(), &theirs);
    fixture.depmod();
    fixture.must(&["uninstall", MODULE]);
    let dep = fs_err::read_to_string(fixture.modules().join("modules.dep")).unwrap();
    assert!(dep.contains("updates/dkms/nls_utf8.ko.xz:"), "{dep}");
    assert!(!dep.contains("extra/"), "{dep}");
    let ours = fixture.snapshot();
    fixture.depmod();
    assert_same(&fixture.snapshot(), &ours);
}

fn drop_ins_come_and_go(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let before = fixture.snapshot();
    fixture.must(&["install", fixture.first().as_str(), "--load", "--options", "debug=1"]);
    let read = |path: &str| fs_err::read_to_string(fixture.system_dir().join(path)).unwrap_or_default();
    assert!(read(&format!("etc/depmod.d/{MODULE}.conf")).ends_with(&format!("override {MODULE} * extra\n")));
    assert!(read(&format!("etc/modules-load.d/{MODULE}.conf")).ends_with(&format!("\n{MODULE}\n")));
    assert!(read(&format!("etc/modprobe.d/{MODULE}.conf")).ends_with(&format!("options {MODULE} debug=1\n")));
    let root = fixture.system_dir();
    let shown = Cmd::new("modprobe")
        .args(["-d", root.as_str(), "-C", root.join("etc/modprobe.d").as_str()])
        .args(["-S", fixture.release.as_str(), "--show-depends", MODULE])
        .read(&Report::silent())
        .unwrap();
    assert!(shown.ends_with("debug=1"), "{shown}");
    fixture.install();
    assert!(!root.join("etc/modprobe.d").join(format!("{MODULE}.conf")).exists(), "not asked for any more");
    fixture.must(&["uninstall", MODULE]);
    assert_same(&fixture.snapshot(), &before);
}

fn dry_run_changes_nothing(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let before = fixture.snapshot();
    let output = fixture.must(&["install", "--dry-run", fixture.first().as_str()]);
    assert_same(&fixture.snapshot(), &before);
    fixture.install();
    let after = fixture.snapshot();
    let own = |path: &&camino::Utf8PathBuf| !path.as_str().contains("/before") && !path.ends_with(STATE);
    for path in differences(&before, &after).iter().filter(own) {
        assert!(output.contains(path.as_str()), "{path} is not named: {output}");
    }
    fixture.must(&["uninstall", "--dry-run", MODULE]);
    assert_same(&fixture.snapshot(), &after);
}

fn status_says_which_and_why(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let status = |args: &[&str]| -> serde_json::Value {
        let args = [&["status", "--json"], args].concat();
        let output = fixture.tool(&args).run(&Report::silent()).unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(status(&[]), serde_json::json!([]));
    assert_eq!(status(&[MODULE])[0]["why"], "the only module of that name");
    fixture.install();
    let entry = status(&[])[0].clone();
    assert_eq!(entry["loads"], format!("extra/{MODULE}.ko"));
    assert_eq!(entry["why"], format!("override in depmod.d/{MODULE}.conf"));
    assert_eq!((&entry["ours"], &entry["memory"]), (&true.into(), &"not-running".into()));
    assert_eq!(entry["remarks"], serde_json::json!([]));
    // The distribution's own is another now.
    let stock = fixture.modules().join(fixture.stock(suite));
    copy(&suite.prepared().kdir.stock_module("nls_utf8").unwrap(), &stock);
    let remark = status(&[])[0]["remarks"][0].as_str().unwrap().to_owned();
    assert!(remark.contains("has changed since it was replaced"), "{remark}");
    fs_err::remove_file(fixture.modules().join(format!("extra/{MODULE}.ko"))).unwrap();
    let entry = status(&[])[0].clone();
    assert!(entry["why"].as_str().unwrap().contains("depmod has not run since"), "{entry}");
    assert!(entry["remarks"][0].as_str().unwrap().ends_with("is missing"), "{entry}");
}

/// Two kernels in one system: one drop-in for both, which stays until the last of them is
/// uninstalled.
fn several_kernels(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let (other, module) = fixture.another_kernel();
    let before = fixture.snapshot();
    fixture.must(&["install", fixture.first().as_str(), module.as_str()]);
    let conf = fixture.system_dir().join(format!("etc/depmod.d/{MODULE}.conf"));
    fixture.must(&["uninstall", MODULE, "--kernel", other.as_str()]);
    assert!(conf.exists());
    assert_eq!(fixture.loads(), ModprobeAnswer::File(format!("extra/{MODULE}.ko").into()));
    fixture.must(&["uninstall", MODULE]);
    assert_same(&fixture.snapshot(), &before);
    // One bad kernel: the other is installed all the same, and the status is the failure's.
    fs_err::create_dir_all(fixture.modules().join("extra")).unwrap();
    fs_err::write(fixture.modules().join(format!("extra/{MODULE}.ko")), "somebody's").unwrap();
    let (status, output) =
        crate::suite::run(&fixture.tool(&["install", fixture.first().as_str(), module.as_str()]));
    assert_eq!(status, 4, "{output}");
    assert!(output.contains(&format!("{other}  {MODULE}  extra/")), "{output}");
    assert!(output.contains("unchanged: ") && output.contains("not installed by this tool"), "{output}");
}
