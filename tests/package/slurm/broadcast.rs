// SPDX-License-Identifier: GPL-2.0
//! Tool and plan on each node's own disk, results in a directory whose name nobody expects, and a
//! limit that holds over several arrays.

use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use libtest_mimic::Trial;
use matrix::summary::CellState;

use super::cluster::Cluster;
use crate::suite::{Suite, run, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![suite.trial("slurm::tool_and_plan_come_to_each_node_and_go_again", broadcast)]
}

/// A name with all that a shell or a pattern of sbatch's would take for its own.
const ODD: &str = "it's 50% \"new\" $HOME %A";

/// Says which program has started it, and how many run beside it.
const WATCHES: &str = "readlink /proc/$PPID/exe > tool-$n; mkdir runs-$n; ls -d runs-* | wc -l >> at-once; \
                       sleep 0.5; rmdir runs-$n";

fn broadcast(suite: &Suite) {
    let cluster = Cluster::start(suite);
    // More than one array takes here.
    cluster.plan(7, WATCHES);
    let results = cluster.dir.join(ODD);
    let matrix = |words: &[&str]| {
        let cmd = tool(&["matrix"]).args(words).args(["--results", results.as_str()]);
        run(&cmd.cwd(cluster.dir.clone()).env("SLURM_CONF", cluster.dir.join("slurm.conf")))
    };
    let submit = ["submit", "--slurm", "--plan", "plan.json", "--cpus", "1", "--memory", "500"];
    let submit = [&submit[..], &["--limit", "2", "--sbcast", "--queue", "all"]].concat();
    // First what would be done, with nothing done.
    let (status, said) = matrix(&[&submit[..], &["--dry-run"]].concat());
    assert_eq!(status, 0, "{said}");
    let expected = ["--array=0-4%2", "--array=0-1%2", "--dependency=afterany:JOB", "--partition=all"];
    assert!(expected.iter().all(|words| said.contains(words)), "{said}");
    assert!(!results.exists(), "nothing is made");
    assert!(!cluster.ask(&["squeue", "--noheader"]).contains("kmod"), "nothing is submitted");
    cannot(&cluster, &results, &submit);
    let (status, said) = matrix(&submit);
    assert_eq!(status, 0, "{said}");
    let (status, said) = matrix(&["collect", "--wait"]);
    assert_eq!(status, 0, "{said}");
    let states = Cluster::states_in(&results);
    assert!(states.values().all(|(state, _)| *state == CellState::Passed), "{states:?}");
    for number in 0..7 {
        let tool = fs_err::read_to_string(cluster.dir.join(format!("tool-{number}"))).unwrap();
        let tool = Utf8Path::new(tool.trim());
        assert!(!tool.starts_with(&cluster.dir), "the node's own: {tool}");
        assert!(!tool.parent().unwrap().exists(), "left behind: {tool}");
    }
    let at_once = fs_err::read_to_string(cluster.dir.join("at-once")).unwrap();
    let most = at_once.lines().filter_map(|line| line.trim().parse::<u32>().ok()).max();
    assert_eq!(most, Some(2), "{at_once}");
    assert_eq!(logs(&results).len(), 14, "a log a task, of both submissions");
}

/// Nodes that nothing is brought to: no cell has a result, and each task's log says why.
fn cannot(cluster: &Cluster, results: &Utf8Path, submit: &[&str]) {
    let bin = cluster.dir.join("bin");
    fs_err::create_dir(&bin).unwrap();
    fs_err::write(bin.join("sbcast"), "#!/bin/sh\nexit 1\n").unwrap();
    fs_err::set_permissions(bin.join("sbcast"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
    let matrix = |words: &[&str]| {
        let cmd = tool(&["matrix"]).args(words).args(["--results", results.as_str()]).env("PATH", &path);
        run(&cmd.cwd(cluster.dir.clone()).env("SLURM_CONF", cluster.dir.join("slurm.conf")))
    };
    let (status, said) = matrix(submit);
    assert_eq!(status, 0, "{said}");
    let (status, said) = matrix(&["collect", "--wait"]);
    assert_eq!(status, 1, "{said}");
    let states = Cluster::states_in(results);
    assert!(states.values().all(|(state, _)| *state == CellState::Lost), "{states:?}");
    let logs = logs(results);
    assert_eq!(logs.len(), 7);
    for log in logs {
        let text = fs_err::read_to_string(log).unwrap();
        assert!(text.contains("cargo-kmod: sbcast does not bring it to "), "{text}");
    }
}

fn logs(results: &Utf8Path) -> Vec<Utf8PathBuf> {
    let all = results.join("slurm").read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path());
    all.filter(|path| path.extension() == Some("log")).collect()
}
