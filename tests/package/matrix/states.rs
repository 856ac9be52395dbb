// SPDX-License-Identifier: GPL-2.0
//! What a cell comes to, and which cells are run again.

use libtest_mimic::Trial;
use matrix::summary::CellState;

use super::field::Field;
use crate::suite::Suite;

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("matrix::each_cell_comes_to_what_it_is_and_none_hides_another", states),
        suite.trial("matrix::what_has_not_changed_is_not_run_again", fresh),
        suite.trial("matrix::a_plan_is_known_by_all_that_its_cells_depend_on", identity),
        suite.trial("matrix::a_program_is_told_of_its_cell_and_heard", environment),
    ]
}

/// A program that ends as a file in the project says.
const AS_TOLD: &str = "exec sh \"$KMOD_PROJECT/ends\"";

fn ends(field: &Field, project: &str, script: &str) {
    fs_err::write(field.dir.join(project).join("ends"), script).unwrap();
}

fn states(suite: &Suite) {
    let names = ["good", "bad", "oops", "known", "other", "fixed", "skipped", "killed", "down"];
    let field = names.iter().fold(Field::new(suite), |field, name| field.project(name));
    let field = field.program("check", AS_TOLD).matrix(
        &names,
        "steps = [\"run:check\"]\n\
         [[expect]]\nprojects = [\"known\", \"fixed\"]\nreason = \"bug 1\"\n\
         [[expect]]\nprojects = \"other\"\nstatus = 21\nreason = \"bug 2\"\n\
         [[expect]]\nprojects = \"down\"\nreason = \"bug 3\"\n",
    );
    for (name, script) in [
        ("good", "exit 0"),
        ("bad", "echo nothing good; exit 1"),
        ("oops", "exit 21"),
        ("known", "exit 20"),
        ("other", "exit 20"),
        ("fixed", "exit 0"),
        ("skipped", "echo no such thing; exit 77"),
        ("killed", "kill -9 $$"),
        ("down", "exit 30"),
    ] {
        ends(&field, name, script);
    }
    let (status, said) = field.run(&[]);
    assert_eq!(status, 1, "{said}");
    let kept = field.kept();
    let expected = [
        ("bad", CellState::Failed),
        // That a machine never came up is not what is known of the module.
        ("down", CellState::Failed),
        ("fixed", CellState::PassesNow),
        ("good", CellState::Passed),
        ("killed", CellState::Failed),
        ("known", CellState::KnownFailure),
        ("oops", CellState::Failed),
        ("other", CellState::Failed),
        ("skipped", CellState::Skipped),
    ];
    assert_eq!(kept.states(), expected.map(|(name, state)| (name.to_owned(), state)).into(), "{said}");
    assert_eq!(kept.of("bad").steps[0].reason, "nothing good");
    assert_eq!(kept.of("skipped").steps[0].reason, "no such thing");
    assert_eq!(kept.of("killed").steps[0].reason, "ended by signal 9");
    assert!(said.contains("6 of 9 cells are not as they should be"), "{said}");
    // Without those that are not, all is well.
    let good = ["good", "known", "skipped"];
    let field =
        field.matrix(&good, "steps = [\"run:check\"]\n[[expect]]\nprojects = \"known\"\nreason = \"x\"\n");
    let (status, said) = field.run(&[]);
    assert_eq!(status, 0, "{said}");
}

/// Each run of a cell leaves a line.
const COUNTS: &str = "echo $KMOD_CELL >> \"$KMOD_PROJECT/../runs\"; exec sh \"$KMOD_PROJECT/ends\"";

fn runs(field: &Field) -> usize {
    fs_err::read_to_string(field.dir.join("runs")).unwrap_or_default().lines().count()
}

fn fresh(suite: &Suite) {
    let names = ["a", "b", "down"];
    let field = names.iter().fold(Field::new(suite), |field, name| field.project(name));
    let field = field.program("check", COUNTS).matrix(&names, "steps = [\"run:check\"]");
    ends(&field, "a", "exit 0");
    ends(&field, "b", "exit 21");
    ends(&field, "down", "exit 30");
    for (words, expected) in [
        (&[][..], 3),
        // What failed has failed; that the guest never came up says nothing of the module.
        (&[], 4),
        (&["--again"], 7),
    ] {
        let (status, said) = field.run(words);
        assert_eq!((status, runs(&field)), (1, expected), "{words:?}: {said}");
    }
    // A change of one project is one of its cells alone.
    fs_err::write(field.dir.join("a/more.c"), "int more;\n").unwrap();
    ends(&field, "down", "exit 0");
    field.run(&[]);
    assert_eq!(runs(&field), 9);
    let (_, said) = field.run(&[]);
    assert_eq!(runs(&field), 9);
    assert!(said.contains("Fresh 3 cells"), "{said}");
}

fn identity(suite: &Suite) {
    let field = Field::new(suite).project("a").project("b").program("check", "exit 0");
    let rest = "steps = [\"build\", \"run:check\"]\n";
    let field = field.matrix(&["a", "b"], rest);
    let first = field.plan();
    assert_eq!(first.id, field.plan().id);
    let ids = |plan: &matrix::plan::Plan| plan.cells.iter().map(|cell| cell.id.clone()).collect::<Vec<_>>();
    // What is expected is asked of a cell, and does not make it another.
    let field = field.matrix(&["a", "b"], &format!("{rest}[[expect]]\nprojects = \"a\"\nreason = \"x\"\n"));
    let expected = field.plan();
    assert!(expected.id != first.id && ids(&expected) == ids(&first));
    let field = field.matrix(&["a", "b"], rest);
    let changed = |change: &dyn Fn()| {
        let before = ids(&field.plan());
        change();
        let after = ids(&field.plan());
        before.iter().zip(&after).map(|(before, after)| before != after).collect::<Vec<_>>()
    };
    let append = |file: &str| {
        let file = field.dir.join(file);
        let text = fs_err::read_to_string(&file).unwrap();
        fs_err::write(file, format!("{text}\n")).unwrap();
    };
    assert_eq!(changed(&|| append("a/a.c")), [true, false]);
    assert_eq!(changed(&|| append("b/dkms.conf")), [false, true]);
    assert_eq!(changed(&|| append("check")), [true, true]);
    // What is built is no source.
    let built = || {
        fs_err::create_dir_all(field.dir.join("a/target")).unwrap();
        fs_err::write(field.dir.join("a/target/CACHEDIR.TAG"), "").unwrap();
        fs_err::write(field.dir.join("a/target/x.c"), "").unwrap();
    };
    assert_eq!(changed(&built), [false, false]);
}

fn environment(suite: &Suite) {
    let says = "pwd; echo \"$KMOD_KERNEL $KMOD_CELL\"; echo \"and this\" >&2";
    let field = Field::new(suite).project("a").program("check", says);
    let field = field.matrix(&["a"], "steps = [\"run:check\"]");
    let (status, said) = field.run(&[]);
    assert_eq!(status, 0, "{said}");
    let kept = field.kept();
    let result = kept.of("a");
    let log = field.results_dir().join(result.steps[0].log.as_ref().unwrap());
    let expected = format!("{}/a\n{} {}\nand this\n", field.dir, field.release(), result.cell);
    assert_eq!(fs_err::read_to_string(log).unwrap(), expected);
}
