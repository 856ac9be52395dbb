// SPDX-License-Identifier: GPL-2.0
//! Real cells: modules that are built, looked at and booted, and kernels that cannot be had.

use libtest_mimic::Trial;
use matrix::summary::CellState;

use super::field::{Field, Kept, MODULE_HEAD};
use crate::suite::{Suite, run};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("matrix::modules_are_built_inspected_and_booted", real_cells),
        suite.trial("matrix::a_kernel_that_cannot_be_prepared_hides_no_other", unprepared),
        suite.trial("matrix::kernels_are_chosen_by_what_they_are", selectors),
    ]
}

fn real_cells(suite: &Suite) {
    let oops = format!(
        "{MODULE_HEAD}MODULE_DESCRIPTION(\"Falls\");\n\
         static int *nowhere;\n\
         static int __init falls_init(void)\n{{\n\tREAD_ONCE(nowhere);\n\tWRITE_ONCE(*nowhere, 1);\n\treturn 0;\n}}\n\
         module_init(falls_init);\n"
    );
    let broken = format!("{MODULE_HEAD}int broken(void) {{ return undeclared; }}\n");
    let field = Field::new(suite).project("good").module("falls", &oops).module("broken", &broken);
    let field = field.program("smoke", "grep -q '^good ' /proc/modules");
    let field = field.matrix(
        &["good", "falls", "broken"],
        "steps = [\"build\", \"inspect\", \"insmod\"]\n\
         [[expect]]\nprojects = \"broken\"\nstep = \"build\"\nreason = \"never did\"\n",
    );
    let (status, said) = field.run(&[]);
    assert_eq!(status, 1, "{said}");
    let kept = field.kept();
    let state = |name: &str| kept.states()[name];
    assert_eq!((state("good"), state("falls"), state("broken")), {
        (CellState::Passed, CellState::Failed, CellState::KnownFailure)
    });
    let falls = kept.of("falls");
    let step = falls.failed().unwrap();
    assert_eq!((step.step.to_string().as_str(), step.status), ("insmod", 21), "{step:?}");
    let trace = step.trace.as_ref().unwrap();
    assert!(trace.contains("falls.c:9") && trace.contains("WRITE_ONCE(*nowhere, 1);"), "{trace}");
    assert!(step.again.contains("insmod --project"), "{}", step.again);
    let console = field.results_dir().join(step.console.as_ref().unwrap());
    assert!(fs_err::read_to_string(console).unwrap().contains("Oops"));
    let broken = kept.of("broken").failed().unwrap();
    assert!(broken.complaint.as_ref().unwrap().contains("undeclared"), "{broken:?}");
    assert_eq!(kept.of("good").steps.len(), 3);
}

fn unprepared(suite: &Suite) {
    let field = Field::new(suite).project("a");
    let field = field.matrix(&["a"], "steps = [\"build\"]");
    let mut plan = field.plan();
    // One that the archive had when the plan was made, and has no more.
    let mut kernel = plan.kernels[0].clone();
    kernel.release = "7.2.0+deb99-cloud-amd64".parse().unwrap();
    kernel.suite = Some("sid".to_owned());
    let cell = matrix::plan::Cell::new(&plan.projects[0], &kernel, plan.cells[0].steps.clone(), Vec::new());
    plan.kernels.insert(0, kernel);
    plan.cells.insert(0, cell);
    fs_err::write(field.dir.join("plan.json"), plan.text()).unwrap();
    let (status, said) = run(&field.cmd(&["run", "--plan", "plan.json", "--results", "results"]));
    assert_eq!(status, 1, "{said}");
    let kept = Kept::in_dir(&field.results_dir());
    let of = |number: usize| &kept.results[&plan.cells[number].id];
    assert!(of(0).unprepared && !of(0).is_final(), "{said}");
    assert!(of(0).steps[0].reason.starts_with("the kernel cannot be prepared: 7.2.0+deb99"), "{said}");
    assert_eq!(of(1).status(), 0, "{said}");
}

fn selectors(suite: &Suite) {
    let field = Field::new(suite).project("a").program("check", "exit 0");
    let default = field.release().to_owned();
    let releases = |field: &Field| -> Vec<String> {
        field.plan().kernels.iter().map(|kernel| kernel.release.to_string()).collect()
    };
    let on = |field: Field, kernels: &[&str]| field.matrix_on(&["a"], kernels, "steps = [\"run:check\"]");
    // The default kernel is the newest with Rust whose compiler is there; newest is newest.
    let field = on(field, &["newest:2"]);
    let newest = releases(&field);
    assert_eq!(newest.len(), 2);
    let flavour = default.parse::<kmodfile::release::Release>().unwrap().flavour().to_owned();
    assert!(newest.iter().all(|release| release.ends_with(&flavour)), "{newest:?}");
    let field = on(field, &["newest:1", "newest:2 *"]);
    let each = releases(&field);
    assert_eq!(each[0], newest[0]);
    assert!(each.len() >= 6 && each.len() % 2 == 0, "two of each flavour: {each:?}");
    let field = on(field, &["prepared", &default]);
    assert!(releases(&field).contains(&default));
    let field = on(field, &[&format!("{default} sanitize")]);
    let twin = field.plan();
    assert_eq!(twin.kernels[0].release.to_string(), format!("{default}-sanitize"));
    assert_eq!(twin.kernels[0].stands_for.as_ref().unwrap().to_string(), default);
    let field = on(field, &["arch:arm64 newest:1"]);
    let others = field.plan();
    assert_eq!(others.kernels[0].architecture.debian(), "arm64");
    let field = on(field, &["suite:trixie-backports *-rt-* newest:1"]);
    let rt = field.plan();
    assert_eq!((rt.kernels.len(), rt.kernels[0].suite.as_deref()), (1, Some("trixie-backports")));
    // More cells, and fewer.
    let rest = format!(
        "steps = [\"run:check\"]\n[[include]]\nkernels = [\"{}\"]\nsteps = [\"build\"]\n\
         [[exclude]]\nkernels = \"{default}\"\n",
        newest[1]
    );
    let field = field.matrix_on(&["a"], &[&default, &newest[0]], &rest);
    let plan = field.plan();
    let steps = |release: &str| {
        let cell = plan.cells.iter().find(|cell| cell.kernel.as_str() == release);
        cell.map(|cell| cell.steps[0].to_string())
    };
    assert_eq!(steps(&newest[1]).as_deref().filter(|_| newest[1] != default), Some("build"));
    assert_eq!(steps(&default), None);
}
