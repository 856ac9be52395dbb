// SPDX-License-Identifier: GPL-2.0
//! Parts of a plan, and their results put together.

use libtest_mimic::Trial;
use matrix::summary::CellState;

use super::field::{Field, Kept};
use crate::suite::{Suite, run};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("matrix::parts_put_together_are_the_whole", whole),
        suite.trial("matrix::results_of_another_plan_are_refused", another_plan),
        suite.trial("matrix::of_two_results_that_differ_the_one_that_failed_counts", differ),
        suite.trial("matrix::one_cell_is_run_by_its_identifier", one_cell),
    ]
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn field(suite: &Suite) -> Field {
    let field = NAMES.iter().fold(Field::new(suite), |field, name| field.project(name));
    let field = field.program("check", "case $KMOD_PROJECT in */d) echo four; exit 21; esac");
    field.matrix(&NAMES, "steps = [\"run:check\"]")
}

fn whole(suite: &Suite) {
    let field = field(suite);
    field.plan();
    let mut cells = 0;
    for part in ["1/3", "2/3", "3/3"] {
        let dir = format!("part-{}", &part[..1]);
        run(&field.cmd(&["run", "--plan", "plan.json", "--partition", part, "--results", &dir]));
        cells += Kept::in_dir(&field.dir.join(&dir)).results.len();
    }
    assert_eq!(cells, NAMES.len(), "each cell is in one part");
    let missing = run(&field.cmd(&["merge", "part-1", "part-3", "--results", "some"]));
    assert_eq!(missing.0, 1);
    let lost = Kept::in_dir(&field.dir.join("some")).states();
    assert!(lost.values().any(|state| *state == CellState::Lost), "{lost:?}");
    let (status, said) = run(&field.cmd(&["merge", "part-1", "part-2", "part-3", "--results", "all"]));
    assert_eq!(status, 1, "{said}");
    field.run(&[]);
    let (parts, local) = (Kept::in_dir(&field.dir.join("all")), field.kept());
    assert_eq!(parts.states(), local.states());
    for name in NAMES {
        assert_eq!((parts.of(name).cell.as_str(), parts.of(name).status()), {
            let local = local.of(name);
            (local.cell.as_str(), local.status())
        });
    }
    // Logs come along.
    let log = parts.of("d").steps[0].log.clone().unwrap();
    assert_eq!(fs_err::read_to_string(field.dir.join("all").join(log)).unwrap(), "four\n");
}

fn another_plan(suite: &Suite) {
    let field = field(suite);
    field.run(&[]);
    let other = field.dir.join("other");
    run(&field
        .cmd(&["run", "--project", "a", "--kernel", field.release(), "--step", "run:check"])
        .args(["--results", other.as_str()]));
    let (status, said) = run(&field.cmd(&["merge", "results", "other", "--results", "new"]));
    assert_eq!(status, 4, "{said}");
    assert!(said.contains("has results of plan") && said.contains("remedy: make one plan"), "{said}");
    let (status, said) = run(&field.cmd(&["merge", "results", "--results", "other"]));
    assert_eq!(status, 4, "{said}");
    assert!(said.contains("has results of another plan already"), "{said}");
}

fn differ(suite: &Suite) {
    let field = Field::new(suite).project("a").program("check", "exec sh ../ends");
    let field = field.matrix(&["a"], "steps = [\"run:check\"]");
    field.plan();
    for (dir, script) in [("one", "exit 0"), ("two", "exit 21")] {
        fs_err::write(field.dir.join("ends"), script).unwrap();
        run(&field.cmd(&["run", "--plan", "plan.json", "--results", dir]));
    }
    for order in [["one", "two"], ["two", "one"]] {
        let (status, said) = run(&field.cmd(&["merge", "--results", "both"]).args(order));
        assert_eq!(status, 1, "{said}");
        assert!(said.contains("the one that failed counts"), "{said}");
        assert_eq!(Kept::in_dir(&field.dir.join("both")).of("a").status(), 21);
        fs_err::remove_dir_all(field.dir.join("both")).unwrap();
    }
}

fn one_cell(suite: &Suite) {
    let field = field(suite);
    let plan = field.plan();
    let id = |name: &str| plan.cells.iter().find(|cell| cell.project == name).unwrap().id.to_string();
    for (name, expected) in [("a", 0), ("d", 21)] {
        let id = id(name);
        let (status, said) = run(&field.cmd(&["cell", &id, "--plan", "plan.json", "--results", "one"]));
        assert_eq!(status, expected, "{said}");
    }
    let (status, said) = run(&field.cmd(&["cell", "nothing", "--plan", "plan.json", "--results", "one"]));
    assert_eq!(status, 2, "{said}");
    let (status, said) = run(&field.cmd(&["cell", "", "--plan", "plan.json", "--results", "one"]));
    assert!(status == 2 && said.contains("is the beginning of several"), "{said}");
}
