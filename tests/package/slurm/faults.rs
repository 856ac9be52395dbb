// SPDX-License-Identifier: GPL-2.0
//! Machines that fail: a node, the controller, a full disk.

use libtest_mimic::Trial;
use matrix::summary::CellState;
use report::process::Cmd;

use super::cluster::{Cluster, until};
use crate::suite::Suite;

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("slurm::a_node_that_dies_takes_no_cell_with_it", a_node),
        suite.trial("slurm::a_controller_that_is_away_is_waited_for", the_controller),
        suite.trial("slurm::a_node_whose_spool_is_full_is_said", full_spool),
        suite.trial("slurm::results_on_a_full_disk_are_lost_and_never_passed", full_results),
    ]
}

fn a_node(suite: &Suite) {
    let mut cluster = Cluster::start(suite);
    cluster.plan(6, "echo $SLURMD_NODENAME >> on-$n; [ $n != 2 ] || [ -e go ] || exec sleep 3600");
    cluster.submit(&[]);
    until("the cell", || cluster.dir.join("on-2").exists());
    let on = || fs_err::read_to_string(cluster.dir.join("on-2")).unwrap();
    let node = on().trim().to_owned();
    fs_err::write(cluster.dir.join("go"), "").unwrap();
    cluster.kill(&node);
    let (status, said) = cluster.collect();
    assert_eq!(status, 0, "{said}");
    assert!(cluster.states().iter().all(|state| *state == CellState::Passed), "{said}");
    let nodes = fs_err::read_to_string(cluster.dir.join("on-2")).unwrap();
    let nodes: Vec<&str> = nodes.lines().collect();
    assert!(nodes.len() == 2 && nodes[1] != node, "begun again on another node: {nodes:?}");
}

fn the_controller(suite: &Suite) {
    let mut cluster = Cluster::start(suite);
    cluster.plan(6, "[ $n != 2 ] || until [ -e go ]; do sleep 0.1; done");
    cluster.submit(&[]);
    cluster.kill("slurmctld");
    let (status, said) = cluster.matrix(&["status"]);
    assert_eq!(status, 3, "{said}");
    assert!(said.contains("Slurm's controller: does not answer"), "{said}");
    fs_err::write(cluster.dir.join("go"), "").unwrap();
    let (status, said) = std::thread::scope(|scope| {
        let waiting = cluster.cmd(&["collect", "--wait"]);
        let waiting = scope.spawn(move || crate::suite::run(&waiting));
        std::thread::sleep(std::time::Duration::from_secs(2));
        cluster.start_controller();
        waiting.join().unwrap()
    });
    // What it had not written to its disk when it was killed, it knows no more: such a task is
    // lost, and submitted again.
    let lost = cluster.states().iter().filter(|state| **state == CellState::Lost).count();
    assert_eq!(status, i32::from(lost > 0), "{said}");
    assert!(lost == 0 || said.contains("Slurm says nothing any more of its task"), "{said}");
    cluster.submit(&[]);
    let (status, said) = cluster.collect();
    assert_eq!(status, 0, "{said}");
    assert!(cluster.states().iter().all(|state| *state == CellState::Passed), "{said}");
}

/// A node that has a small disk, and it full, where `over` is.
fn with_full_disk(over: &str, slurmd: Cmd) -> Cmd {
    let user: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--map-root-user"] };
    let script =
        r#"mkdir -p "$0" && mount -t tmpfs -o size=64k tmpfs "$0" && cat /dev/zero > "$0/full"; exec "$@""#;
    let outer = Cmd::new("unshare").args(user).args(["--mount", "sh", "-c", script, over]);
    slurmd.wrapped_in(outer, "a full disk")
}

fn full_spool(suite: &Suite) {
    let cluster = Cluster::start_with(suite, |cluster, slurmd| {
        // Of one node only.
        if slurmd.line().contains("n4") {
            with_full_disk(cluster.dir.join("spool/n4").as_str(), slurmd)
        } else {
            slurmd
        }
    });
    // Two processors a task: each node has one, and the fourth cannot start its.
    cluster.plan(4, "sleep 1");
    cluster.submit(&["--cpus", "2"]);
    let (status, said) = cluster.collect();
    let states = cluster.states();
    let passed = states.iter().filter(|state| **state == CellState::Passed).count();
    let lost = states.iter().filter(|state| **state == CellState::Lost).count();
    // Either another node has run it, or it is lost, with what Slurm says of it.
    assert_eq!(passed + lost, 4, "{states:?} {said}");
    assert!(passed >= 3, "{states:?} {said}");
    assert_eq!(status, i32::from(lost > 0), "{said}");
    assert!(lost == 0 || said.contains("without a result; Slurm says"), "{said}");
}

fn full_results(suite: &Suite) {
    let cluster = Cluster::start_with(suite, |cluster, slurmd| {
        if slurmd.line().contains("n1") {
            with_full_disk(cluster.results_dir().join("cells").as_str(), slurmd)
        } else {
            slurmd
        }
    });
    cluster.plan(4, "exit 0");
    cluster.submit(&["--cpus", "2"]);
    let (status, said) = cluster.collect();
    let states = cluster.states();
    assert_eq!(status, 1, "{said}");
    assert!(states.contains(&CellState::Lost) && states.contains(&CellState::Passed), "{states:?}");
    assert!(said.contains("1 cell without a result; Slurm says FAILED"), "{said}");
    let log = said.lines().find_map(|line| line.split("; see ").nth(1)).unwrap();
    let log = fs_err::read_to_string(log).unwrap();
    assert!(log.contains("no space is left") || log.contains("No space left"), "{log}");
}
