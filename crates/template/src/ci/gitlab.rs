// SPDX-License-Identifier: GPL-2.0
//! The pipeline of GitLab: one that makes the plan, and the one below it that has the plan's jobs,
//! as only then they are known.

use super::pipeline::{CiJob, Pipeline, shown};
use super::yaml::{Map, Yaml};

/// The file that the jobs of the plan are written to.
const JOBS: &str = "kernels.yml";

/// The variable that tells the pipeline below whose plan it has.
const ABOVE: &str = "PLAN_PIPELINE";

/// The text of the pipeline.
pub fn gitlab(pipeline: &Pipeline) -> String {
    Map::default()
        .with("workflow", Map::default().with("rules", rules()))
        .with("variables", Map::default().with("MATRIX_FILE", pipeline.file.to_string()))
        .with("stages", vec!["plan", "kernels"])
        .with("plan", plan(pipeline))
        .said(&["The jobs are known once there is a plan."], "kernels", below())
        .document(&pipeline.head("gitlab"))
}

/// The text of the pipeline below, which has the jobs of a plan.
pub fn gitlab_jobs(pipeline: &Pipeline, jobs: &[CiJob]) -> String {
    Map::default()
        .with("stages", vec!["kernels", "summary"])
        .with("kernel", kernel(pipeline, jobs))
        .with("summary", summary(pipeline))
        .document(&["SPDX-License-Identifier: GPL-2.0".to_owned()])
}

/// When there is a pipeline: once for what is proposed, and for what is taken.
fn rules() -> Vec<Map> {
    let rule = |condition: &str| Map::default().with("if", condition);
    let archive = &["The archive gets kernels when nothing here has changed: add a schedule."];
    vec![
        rule("$CI_PIPELINE_SOURCE == \"merge_request_event\""),
        rule("$CI_PIPELINE_SOURCE == \"web\""),
        Map::default().said(archive, "if", "$CI_PIPELINE_SOURCE == \"schedule\""),
        rule("$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"),
    ]
}

fn plan(pipeline: &Pipeline) -> Map {
    let ask = format!(
        "matrix ci gitlab {} --plan plan.json{} --output {JOBS}",
        shown(&pipeline.file),
        pipeline.own_options()
    );
    let script =
        vec![pipeline.line("--yes matrix plan \"$MATRIX_FILE\" --output plan.json"), pipeline.line(&ask)];
    let kept = Map::default().with("paths", vec!["plan.json", JOBS]).with("expire_in", "1 week");
    machine("plan", pipeline).with("script", script).with("artifacts", kept)
}

fn below() -> Map {
    let include = Map::default().with("artifact", JOBS).with("job", "plan");
    Map::default()
        .with("stage", "kernels")
        .with("needs", vec!["plan"])
        .with("variables", Map::default().with(ABOVE, "$CI_PIPELINE_ID"))
        .with("trigger", Map::default().with("include", vec![include]).with("strategy", "depend"))
}

fn kernel(pipeline: &Pipeline, jobs: &[CiJob]) -> Map {
    let (variable, words) = pipeline.run_words();
    let job = |job: &CiJob| {
        Map::default()
            .with(variable, job.word.as_str())
            .with("NAME", job.name.as_str())
            .with("CACHE_KEY", job.key.as_str())
    };
    let parallel = Map::default().with("matrix", jobs.iter().map(job).collect::<Vec<_>>());
    let needs = Map::default().with("pipeline", format!("${ABOVE}")).with("job", "plan");
    let run = vec![
        "mkdir -p \"parts/$NAME\"".to_owned(),
        pipeline.line(&format!("--yes matrix run --plan plan.json {words} \\")),
        "  --results \"parts/$NAME/results\" --junit \"parts/$NAME/junit.xml\"".to_owned(),
    ];
    let cached = Map::default()
        .with("key", "$CACHE_KEY")
        .with("paths", vec![format!(".cache/{}", pipeline.cache)])
        .with("when", "always");
    let kept = Map::default()
        .with("when", "always")
        .with("paths", vec!["parts"])
        .with("reports", Map::default().with("junit", "parts/*/junit.xml"));
    machine("kernels", pipeline)
        .with("needs", vec![needs])
        .with("parallel", parallel)
        .said(
            &["GitLab keeps what is below the checkout only."],
            "variables",
            Map::default().with("XDG_CACHE_HOME", "$CI_PROJECT_DIR/.cache"),
        )
        .said(
            &[
                "Prepared kernels. The key has what the tool knows them by: the release, the version of",
                "its packages, and the version of the tool.",
            ],
            "cache",
            cached,
        )
        .with("script", vec![Yaml::Lines(run)])
        .with("artifacts", kept)
}

fn summary(pipeline: &Pipeline) -> Map {
    let kept =
        Map::default().with("when", "always").with("paths", vec!["matrix.html", "matrix.md", "results"]);
    let script = vec![
        "status=0".to_owned(),
        pipeline.line("matrix merge parts/*/results --results results || status=$?"),
        pipeline.line("matrix report --results results --html matrix.html --markdown matrix.md || status=$?"),
        "exit \"$status\"".to_owned(),
    ];
    machine("summary", pipeline)
        .with("needs", vec!["kernel"])
        .with("when", "always")
        .said(
            &["Fails if a cell is not as it should be, or has no result."],
            "script",
            vec![Yaml::Lines(script)],
        )
        .with("artifacts", kept)
}

/// The machine that a job runs on. Its containers have to be privileged.
fn machine(stage: &str, pipeline: &Pipeline) -> Map {
    let mut install = pipeline.install.lines();
    install.push("export PATH=\"$HOME/.cargo/bin:$PATH\"".to_owned());
    Map::default()
        .with("stage", stage)
        .said(
            &[
                "The runner's containers have to be privileged: build roots are made with mounts and",
                "namespaces of their own. Without /dev/kvm the machine is emulated.",
            ],
            "image",
            "debian:13",
        )
        .with("before_script", vec![Yaml::Lines(install)])
}
