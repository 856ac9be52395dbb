// SPDX-License-Identifier: GPL-2.0
//! Runs that are ended early: what is done is kept, and the rest is submitted again.

use libtest_mimic::Trial;
use matrix::summary::CellState;

use super::cluster::{Cluster, until};
use crate::suite::Suite;

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("slurm::what_is_cancelled_leaves_what_it_has", cancelled),
        suite.trial("slurm::a_task_whose_time_is_over_leaves_what_it_has", out_of_time),
        suite.trial("slurm::a_machine_that_never_came_up_is_tried_again_and_an_oops_is_not", tried_again),
    ]
}

/// The second kernel's waits, until it is told to go on.
const WAITS: &str = "echo begun >> begun-$n; [ $n != 1 ] || [ -e go ] || exec sleep 3600";

fn begun(cluster: &Cluster) {
    cluster.plan(3, WAITS);
    let (status, said) = cluster.submit(&[]);
    assert_eq!(status, 0, "{said}");
    until("the cells", || {
        let others = cluster.states().iter().filter(|state| **state == CellState::Passed).count();
        others == 2 && cluster.dir.join("begun-1").exists()
    });
}

/// What is left is submitted, and nothing else is run again.
fn the_rest(cluster: &Cluster) {
    fs_err::write(cluster.dir.join("go"), "").unwrap();
    let (status, said) = cluster.submit(&[]);
    assert!(status == 0 && said.contains("1 task in job "), "{said}");
    let (status, said) = cluster.collect();
    assert_eq!(status, 0, "{said}");
    let begun = |number: usize| fs_err::read_to_string(cluster.dir.join(format!("begun-{number}"))).unwrap();
    assert_eq!([0, 1, 2].map(|number| begun(number).lines().count()), [1, 2, 1]);
}

fn cancelled(suite: &Suite) {
    let cluster = Cluster::start(suite);
    begun(&cluster);
    // Beside it, what is somebody else's stays.
    let other = cluster.ask(&["sbatch", "--parsable", "--wrap", "sleep 3600"]);
    let (status, said) = cluster.matrix(&["cancel"]);
    assert_eq!(status, 0, "{said}");
    assert!(cluster.ask(&["squeue", "--noheader", "--format=%A"]).contains(other.trim()));
    let (status, said) = cluster.collect();
    assert_eq!(status, 1, "{said}");
    assert_eq!(cluster.states(), [CellState::Passed, CellState::Stopped, CellState::Passed], "{said}");
    the_rest(&cluster);
}

fn out_of_time(suite: &Suite) {
    let cluster = Cluster::start(suite);
    begun(&cluster);
    // What slurmctld does a minute before the end, as it was asked to (--signal=B:TERM@60).
    cluster.ask(&["scancel", "--batch", "--signal=TERM", "--name=kmod-matrix"]);
    let (status, said) = cluster.collect();
    assert_eq!(status, 1, "{said}");
    assert_eq!(cluster.states(), [CellState::Passed, CellState::Stopped, CellState::Passed], "{said}");
    the_rest(&cluster);
}

fn tried_again(suite: &Suite) {
    let cluster = Cluster::start(suite);
    cluster.plan(
        3,
        "echo x >> runs-$n; runs=$(wc -l < runs-$n)\n\
         case $n in 0) exit 21;; 1) [ $runs -ge 3 ] || exit 30;; 2) exit 32;; esac",
    );
    cluster.submit(&[]);
    let (status, said) = cluster.collect();
    assert_eq!(status, 1, "{said}");
    assert_eq!(cluster.states(), [CellState::Failed, CellState::Passed, CellState::Failed], "{said}");
    let runs = |number: usize| fs_err::read_to_string(cluster.dir.join(format!("runs-{number}"))).unwrap();
    assert_eq!([0, 1, 2].map(|number| runs(number).lines().count()), [1, 3, 3]);
    // The oops has its result, and nobody asks for another.
    let requeued = |number: usize| {
        let logs = cluster.results_dir().join("slurm").read_dir_utf8().unwrap().map(|entry| entry.unwrap());
        let mut own = logs.filter(|log| log.file_name().ends_with(&format!("_{number}.log")));
        let text = fs_err::read_to_string(own.next().unwrap().path()).unwrap();
        text.matches("Requeueing").count()
    };
    assert_eq!([0, 1, 2].map(requeued), [0, 2, 2]);
    let (results, plan) = matrix::results::ResultsDir::open(&cluster.results_dir()).unwrap();
    assert_eq!(results.read(&plan.cells[1]).unwrap().unwrap().retries, 2);
}
