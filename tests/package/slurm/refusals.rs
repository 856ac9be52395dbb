// SPDX-License-Identifier: GPL-2.0
//! What is refused, or survived, by name.

use std::os::unix::fs::PermissionsExt as _;

use libtest_mimic::Trial;
use matrix::summary::CellState;
use report::process::Cmd;

use super::cluster::Cluster;
use crate::suite::{Suite, run};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("slurm::without_slurm_or_its_controller_the_reason_is_said", without),
        suite.trial("slurm::two_submissions_of_one_plan_are_one", twice),
        suite.trial("slurm::results_that_cannot_be_are_said", results),
        suite.trial("slurm::a_directory_that_is_not_shared_is_said", not_shared),
    ]
}

fn without(suite: &Suite) {
    let mut cluster = Cluster::start(suite);
    cluster.plan(2, "exit 0");
    let submit = |cluster: &Cluster| {
        let plan = cluster.dir.join("plan.json");
        cluster.cmd(&["submit", "--slurm", "--plan", plan.as_str()])
    };
    let (status, said) = run(&submit(&cluster).env("PATH", "/nowhere"));
    assert_eq!(status, 3, "{said}");
    assert!(said.contains("it is one of Slurm's") && said.contains("cargo xtask matrix run"), "{said}");
    // Others' versions: a program of that name which says so.
    let bin = cluster.dir.join("bin");
    fs_err::create_dir(&bin).unwrap();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
    for (version, expected, words) in [
        ("slurm-wlm 18.08.5-2", 4, "20.11 or later is needed"),
        ("SLURM two", 0, "which is no version of Slurm"),
    ] {
        let file = bin.join("sbatch");
        let script = format!(
            "#!/bin/sh\n[ \"$1\" != --version ] || {{ echo \"{version}\"; exit; }}\nexec /usr/bin/sbatch \"$@\"\n"
        );
        fs_err::write(&file, script).unwrap();
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (status, said) = run(&submit(&cluster).env("PATH", &path));
        assert_eq!(status, expected, "{said}");
        assert!(said.contains(words), "{said}");
    }
    cluster.collect();
    cluster.kill("slurmctld");
    let (status, said) = cluster.matrix(&["cancel"]);
    assert_eq!(status, 3, "{said}");
    assert!(said.contains("remedy: see with sinfo whether it is up"), "{said}");
    let (status, said) = run(&submit(&cluster).env("SLURM_CONF", "/nowhere/slurm.conf"));
    assert_eq!(status, 3, "{said}");
}

fn twice(suite: &Suite) {
    let cluster = Cluster::start(suite);
    cluster.plan(2, "until [ -e go ]; do sleep 0.1; done; echo x >> runs-$n");
    let both = std::thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| cluster.submit(&[])));
        runs.map(|run| run.join().unwrap())
    });
    let mut statuses = both.clone().map(|(status, _)| status);
    statuses.sort_unstable();
    assert_eq!(statuses, [0, 4], "{both:?}");
    let (status, said) = cluster.submit(&[]);
    assert_eq!(status, 4, "{said}");
    assert!(said.contains("2 tasks of it are not over") && said.contains("matrix cancel"), "{said}");
    fs_err::write(cluster.dir.join("go"), "").unwrap();
    let (status, said) = cluster.collect();
    assert_eq!(status, 0, "{said}");
    for number in 0..2 {
        let runs = fs_err::read_to_string(cluster.dir.join(format!("runs-{number}"))).unwrap();
        assert_eq!(runs, "x\n");
    }
}

fn results(suite: &Suite) {
    let cluster = Cluster::start(suite);
    let plan = cluster.plan(3, "exit 0");
    cluster.submit(&[]);
    let (status, said) = cluster.collect();
    assert_eq!(status, 0, "{said}");
    let file = |number: usize| cluster.results_dir().join(format!("cells/{}.json", plan.cells[number].id));
    let text = fs_err::read_to_string(file(0)).unwrap();
    fs_err::write(file(0), &text[..100]).unwrap();
    let text = fs_err::read_to_string(file(1)).unwrap();
    fs_err::write(file(1), text.replace("\"began\": 1", "\"began\": 9")).unwrap();
    fs_err::remove_file(file(2)).unwrap();
    let (status, said) = cluster.collect();
    assert_eq!(status, 1, "{said}");
    assert_eq!(cluster.states(), [CellState::Lost, CellState::Passed, CellState::Lost]);
    assert!(said.contains("is no whole result"), "{said}");
    assert!(said.contains("s ahead of this machine's"), "{said}");
    assert!(said.contains("1 cell without a result; Slurm says COMPLETED"), "{said}");
    // Another plan in the same directory.
    let other = cluster.plan(2, "exit 1");
    fs_err::write(cluster.results_dir().join("plan.json"), other.text()).unwrap();
    for command in ["collect", "status", "cancel"] {
        let (status, said) = cluster.matrix(&[command]);
        assert_eq!(status, 4, "{command}: {said}");
        assert!(said.contains("results of another plan belong elsewhere"), "{said}");
    }
}

fn not_shared(suite: &Suite) {
    let hides = |cluster: &Cluster, slurmd: Cmd| {
        let user: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--map-root-user"] };
        let script = r#"mount -t tmpfs tmpfs "$0" && mkdir "$0/slurm"; exec "$@""#;
        let outer = Cmd::new("unshare").args(user).args(["--mount", "sh", "-c", script]);
        slurmd.wrapped_in(outer.arg(cluster.results_dir()), "another directory")
    };
    let cluster = Cluster::start_with(suite, hides);
    cluster.plan(2, "exit 0");
    let (status, said) = cluster.submit(&[]);
    assert_eq!(status, 0, "{said}");
    let (status, said) = cluster.collect();
    assert_eq!(status, 1, "{said}");
    assert_eq!(cluster.states(), [CellState::Lost, CellState::Lost]);
    assert!(said.contains("1 cell without a result; Slurm says FAILED (NonZeroExitCode) on n"), "{said}");
    // What a task says of it, in a log that nobody else sees.
    let task = ["task", "--nonce", "another"];
    let cmd = cluster.cmd(&task).env("SLURM_ARRAY_JOB_ID", "1").env("SLURM_ARRAY_TASK_ID", "0");
    let (status, said) = run(&cmd);
    assert_eq!(status, 3, "{said}");
    assert!(said.contains("it is not shared with it") && said.contains("remedy: put the results"), "{said}");
    let (status, said) = cluster.matrix(&task);
    assert!(status == 2 && said.contains("SLURM_ARRAY_JOB_ID: is not set"), "{said}");
}
