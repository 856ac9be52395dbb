// SPDX-License-Identifier: GPL-2.0
//! Files that make no sense: each is refused by name, before anything is run.

use libtest_mimic::Trial;

use super::field::Field;
use crate::suite::{Suite, run};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("matrix::a_file_that_makes_no_sense_is_refused_by_name", files),
        suite.trial("matrix::a_plan_that_is_none_is_refused", plans),
        suite.trial("matrix::a_rule_that_is_about_no_cell_is_said", idle_rules),
    ]
}

fn files(suite: &Suite) {
    let field = Field::new(suite).project("a").project("b").program("check", "exit 0");
    let release = field.release().to_owned();
    let on = |rest: &str| format!("kernels = [\"{release}\"]\n{rest}");
    for (text, status, said) in [
        (on("projects = [\"a\"]\nstep = [\"build\"]"), 2, "unknown field `step`"),
        (on("projects = [\"nowhere\"]"), 3, "nowhere: there is no such directory"),
        (on("projects = [\"a\"]\nsteps = [\"run:gone\"]"), 3, "gone: is named by a step"),
        (on("projects = [\"a\"]\nsteps = [\"deb\"]"), 2, "makes no Debian packages"),
        (on("projects = [\"a\", \"a\"]"), 2, "remedy: name one of them otherwise"),
        (
            on("[[projects]]\npath = \"a\"\nneeds = [\"b\"]\n[[projects]]\npath = \"b\"\nneeds = [\"a\"]"),
            4,
            "need each other in a circle",
        ),
        (on("projects = [\".\"]"), 2, "no dkms.conf"),
        ("projects = [\"a\"]\nkernels = [\"1.2.3-nowhere\"]".to_owned(), 3, "1.2.3-nowhere"),
        ("projects = [\"a\"]\nkernels = [\"prepared 1.*\"]".to_owned(), 3, "means no kernel that there is"),
        ("projects = [\"a\"]\nkernels = [\"suite:nowhere\"]".to_owned(), 3, "means no kernel that there is"),
        ("projects = [\"a\"]\nkernels = [\"newest\"]".to_owned(), 2, "\"newest\" is neither a release"),
        ("not toml".to_owned(), 2, "matrix.toml"),
    ] {
        fs_err::write(field.file(), &text).unwrap();
        for command in ["plan", "run"] {
            let (code, output) = run(&field.cmd(&[command, "matrix.toml"]));
            assert_eq!(code, status, "{command}: {text}: {output}");
            assert!(output.contains(said), "{text}: {output}");
        }
    }
    fs_err::remove_file(field.file()).unwrap();
    let (code, output) = run(&field.cmd(&["run"]));
    assert!(code == 3 && output.contains("matrix.toml: cannot be read"), "{output}");
    assert!(!field.dir.join("target").exists() && !field.results_dir().exists());
}

fn plans(suite: &Suite) {
    let field = Field::new(suite).project("a").program("check", "exit 0");
    let field = field.matrix(&["a"], "steps = [\"run:check\"]");
    let good = field.plan().text();
    let id = field.plan().cells[0].id.to_string();
    for (text, said) in [
        ("{}".to_owned(), "is no plan of a matrix"),
        (good.replace("\"format\": 1", "\"format\": 99"), "is a plan of form 99"),
        (good.replace(&id, "../../etc/passwd"), "is no cell's identifier"),
        (good.replace("\"project\": \"a\"", "\"project\": \"b\""), "there is no project b"),
        (good.replace("\"cells\": [", "\"more\": 1, \"cells\": ["), "unknown field `more`"),
        (good[..good.len() / 2].to_owned(), "is no plan of a matrix"),
    ] {
        fs_err::write(field.dir.join("plan.json"), &text).unwrap();
        let (code, output) = run(&field.cmd(&["run", "--plan", "plan.json", "--results", "new"]));
        assert_eq!(code, 4, "{said}: {output}");
        assert!(output.contains(said), "{said}: {output}");
    }
    let (code, output) = run(&field.cmd(&["run", "--plan", "gone.json"]));
    assert!(code == 3 && output.contains("gone.json: cannot be read"), "{output}");
    let (code, output) = run(&field.cmd(&["run", "--resume", "--results", "nothing"]));
    assert!(code == 3 && output.contains("there are no results of a matrix"), "{output}");
}

fn idle_rules(suite: &Suite) {
    let field = Field::new(suite).project("a").program("check", "exit 0");
    let rules = "steps = [\"run:check\"]\n[[exclude]]\nkernels = \"5.*\"\n[[expect]]\nprojects = \"x\"\nreason = \"y\"";
    let field = field.matrix(&["a"], rules);
    let (code, output) = field.run(&[]);
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("[[exclude]] 1 is about no cell"), "{output}");
    assert!(output.contains("[[expect]] 1 is about no cell"), "{output}");
}
