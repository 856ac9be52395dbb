// SPDX-License-Identifier: GPL-2.0
//! What a cluster comes to is what one machine comes to.

use std::time::Instant;

use libtest_mimic::Trial;
use matrix::summary::CellState;

use super::cluster::Cluster;
use crate::suite::{Suite, run, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("slurm::a_matrix_comes_to_what_it_comes_to_on_one_machine", same),
        suite.trial("slurm::the_engine_costs_little", cost),
        suite.trial("slurm::modules_are_built_and_booted_on_nodes", real),
    ]
}

/// Kernels by number: some pass, and the others fail in all the ways there are.
const ALL_WAYS: &str =
    "case $n in 1) exit 21;; 3) echo no; exit 77;; 4) echo bad; exit 1;; 5) kill -9 $$;; 6) exit 4;; esac";

fn same(suite: &Suite) {
    let cluster = Cluster::start(suite);
    // More than one array takes here.
    cluster.plan(8, ALL_WAYS);
    let (status, said) = cluster.submit(&["--limit", "2"]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("8 tasks in job "), "{said}");
    let (status, said) = cluster.collect();
    assert_eq!(status, 1, "{said}");
    let local = cluster.dir.join("local");
    run(&tool(&["matrix", "run", "--plan", "plan.json", "--results", local.as_str()])
        .cwd(cluster.dir.clone()));
    let expected = Cluster::states_in(&local);
    assert_eq!(Cluster::states_in(&cluster.results_dir()), expected);
    assert_eq!(expected.values().filter(|(state, _)| *state == CellState::Passed).count(), 3);
    // Nothing is left, so nothing is submitted.
    let (status, said) = cluster.submit(&[]);
    assert!(status == 0 && said.contains("all its cells have results"), "{said}");
    let (status, said) = cluster.matrix(&["status"]);
    assert!(status == 0 && said.contains("1 of 1"), "{said}");
}

/// A figure, and no bar: what a task costs is the cluster's, and one second a cell is little.
fn cost(suite: &Suite) {
    let cluster = Cluster::start_of(suite, 1001, |_, slurmd| slurmd);
    let projects = ["a", "b", "c", "d", "e", "f"];
    for (projects, kernels) in [(&projects[..], 2), (&projects[..1], 12)] {
        cluster.plan_of(projects, kernels, "sleep 1");
        let begun = Instant::now();
        cluster.submit(&["--limit", "2"]);
        let (status, said) = cluster.collect();
        let there = begun.elapsed().as_secs_f64();
        assert_eq!(status, 0, "{said}");
        let begun = Instant::now();
        let local = format!("local-{kernels}");
        let local = ["matrix", "run", "--jobs", "2", "--plan", "plan.json", "--results", &local];
        let (status, said) = run(&tool(&local).cwd(cluster.dir.clone()));
        let here = begun.elapsed().as_secs_f64();
        assert_eq!(status, 0, "{said}");
        println!(
            "12 cells in {kernels} tasks, two at once: {there:.1} s; on this machine: {here:.1} s: {:.2}",
            there / here
        );
    }
}

fn real(suite: &Suite) {
    let cluster = Cluster::start(suite);
    let dir = cluster.dir.join("hello");
    let (status, said) = run(&tool(&["new", "hello", "--c"]).cwd(cluster.dir.clone()));
    assert_eq!(status, 0, "{said}");
    // Whatever is prepared already of the default kernel's flavour, two at most.
    let default = suite.prepared().kdir.release().clone();
    let mut kernels = vec![default.to_string()];
    let others = kernel::kdir::Kdir::all_quietly(&suite.context().cache);
    let alike = |kdir: &&kernel::kdir::Kdir| {
        kdir.release().flavour() == default.flavour()
            && *kdir.release() != default
            && kdir.stamp().origin.is_archive()
            && kdir.stamp().has_rust()
    };
    kernels.extend(others.iter().find(alike).map(|kdir| kdir.release().to_string()));
    let options = kernels.iter().flat_map(|kernel| ["--kernel", kernel.as_str()]).collect::<Vec<_>>();
    let words = [&["submit", "--slurm", "--cpus", "1", "--project", dir.as_str()][..], &options].concat();
    let (status, said) = cluster.matrix(&words);
    assert_eq!(status, 0, "{said}");
    let (status, said) = cluster.collect();
    assert_eq!(status, 0, "{said}");
    let states = Cluster::states_in(&cluster.results_dir());
    assert_eq!(states.len(), kernels.len());
    assert!(states.values().all(|(state, _)| *state == CellState::Passed), "{states:?}");
}
