// SPDX-License-Identifier: GPL-2.0
//! Tool and plan on each node's own disk, results in a directory whose name nobody expects, and a
//! limit that holds over several arrays.

use camino::Utf8Path;
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
    let submit = [&submit[..], &["--limit", "2", "--sbcast", "--slurm-partition", "all"]].concat();
    // First what would be done, with nothing done.
    let (status, said) = matrix(&[&submit[..], &["--dry-run"]].concat());
    assert_eq!(status, 0, "{said}");
    let expected = ["--array=0-4%2", "--array=0-1%2", "--dependency=afterany:JOB", "--partition=all"];
    assert!(expected.iter().all(|words| said.contains(words)), "{said}");
    assert!(!results.exists(), "nothing is made");
    assert!(!cluster.ask(&["squeue", "--noheader"]).contains("kmod"), "nothing is submitted");
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
    let logs = results.join("slurm").read_dir_utf8().unwrap().filter_map(Result::ok);
    assert_eq!(logs.filter(|entry| entry.file_name().ends_with(".log")).count(), 7);
}
