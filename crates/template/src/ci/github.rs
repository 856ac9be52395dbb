// SPDX-License-Identifier: GPL-2.0
//! The workflow of GitHub Actions.
//!
//! What is not known before it runs comes into its scripts by their environment, and is quoted
//! there: an expression that stands in a script is a way to run what somebody else has written.

use super::pipeline::{CiShare, Pipeline};
use super::yaml::{Map, Yaml};

/// The text of the workflow.
pub fn github(pipeline: &Pipeline) -> String {
    Map::default()
        .with("name", "kmod")
        .with("on", events())
        .with("permissions", Map::default().with("contents", "read"))
        .said(
            &["A push ends what runs for the one before it."],
            "concurrency",
            Map::default()
                .with("group", "${{ github.workflow }}-${{ github.ref }}")
                .with("cancel-in-progress", true),
        )
        .with("env", Map::default().with("MATRIX_FILE", pipeline.file.to_string()))
        .with("defaults", Map::default().with("run", Map::default().with("shell", "bash")))
        .with(
            "jobs",
            Map::default()
                .with("plan", plan(pipeline))
                .with("kernel", kernel(pipeline))
                .with("summary", summary(pipeline))
                .apart(),
        )
        .document(&pipeline.head("github"))
}

fn events() -> Map {
    let nightly = Map::default().with("cron", "23 4 * * *");
    Map::default()
        .with("push", Yaml::Nothing)
        .with("pull_request", Yaml::Nothing)
        .with("workflow_dispatch", Yaml::Nothing)
        .said(&["The archive gets kernels when nothing here has changed."], "schedule", vec![nightly])
}

/// The steps of a job, after the repository and the tool are there.
fn with_tool<const N: usize>(pipeline: &Pipeline, steps: [Map; N]) -> Vec<Map> {
    [checkout(), install(pipeline)].into_iter().chain(steps).collect()
}

fn plan(pipeline: &Pipeline) -> Map {
    let ask = format!(
        "matrix ci github --plan plan.json{} >> \"$GITHUB_OUTPUT\"",
        match pipeline.share {
            CiShare::Kernel => String::new(),
            CiShare::Partition(count) => format!(" --by partition:{count}"),
        }
    );
    let make = script(&[
        pipeline.line("--yes matrix plan \"$MATRIX_FILE\" --output plan.json"),
        pipeline.line(&ask),
    ]);
    machine()
        .with("outputs", Map::default().with("jobs", "${{ steps.plan.outputs.jobs }}"))
        .with("timeout-minutes", 60)
        .with(
            "steps",
            with_tool(
                pipeline,
                [
                    Map::default().with("name", "Make the plan").with("id", "plan").with("run", make),
                    keep("plan", "plan.json".into(), false),
                ],
            ),
        )
}

fn kernel(pipeline: &Pipeline) -> Map {
    let (variable, words) = pipeline.run_words();
    let run = vec![
        pipeline.line(&format!("--yes matrix run --plan plan.json {words} \\")),
        "  --results results --junit junit.xml".to_owned(),
    ];
    let matrix = Map::default().with("job", "${{ fromJSON(needs.plan.outputs.jobs) }}");
    let download = Map::default()
        .with("uses", "actions/download-artifact@v4")
        .with("with", Map::default().with("name", "plan"));
    let step = Map::default()
        .with("name", "Run the cells")
        .with("env", Map::default().with(variable, "${{ matrix.job.word }}"))
        .with("run", Yaml::Lines(run));
    Map::default()
        .with("name", "${{ matrix.job.name }}")
        .with("needs", "plan")
        .with("strategy", Map::default().with("fail-fast", false).with("matrix", matrix))
        .and(machine())
        .with("timeout-minutes", 350)
        .with(
            "steps",
            with_tool(
                pipeline,
                [
                    download,
                    restore(pipeline),
                    step,
                    save(pipeline),
                    keep(
                        "results-${{ matrix.job.name }}",
                        Yaml::Lines(lines(&["results", "junit.xml"])),
                        true,
                    ),
                ],
            ),
        )
}

fn summary(pipeline: &Pipeline) -> Map {
    let parts = Map::default()
        .with("uses", "actions/download-artifact@v4")
        .with("with", Map::default().with("pattern", "results-*").with("path", "parts"));
    let merge = Map::default().said(
        &["Fails if a cell is not as it should be, or has no result."],
        "name",
        "Put the results together",
    );
    let merge = merge.with("run", script(&[pipeline.line("matrix merge parts/*/results --results results")]));
    let show = script(&[
        pipeline.line("matrix report --results results --html matrix.html --markdown matrix.md"),
        "cat matrix.md >> \"$GITHUB_STEP_SUMMARY\"".to_owned(),
    ]);
    let show = Map::default().with("name", "Show what came of it").with("if", "always()").with("run", show);
    Map::default()
        .with("needs", vec!["plan", "kernel"])
        .said(
            &["Also where jobs before it failed: one that is skipped counts as one that is good."],
            "if",
            "always()",
        )
        .and(machine())
        .with("timeout-minutes", 60)
        .with(
            "steps",
            with_tool(
                pipeline,
                [parts, merge, show, keep("matrix", Yaml::Lines(lines(&["matrix.html", "results"])), true)],
            ),
        )
}

/// The machine that a job runs on.
fn machine() -> Map {
    let container = Map::default().with("image", "debian:13").said(
        &[
            "Build roots are made with mounts and namespaces of their own. Without /dev/kvm the",
            "machine is emulated.",
        ],
        "options",
        "--privileged",
    );
    Map::default().with("runs-on", "ubuntu-latest").with("container", container)
}

fn checkout() -> Map {
    Map::default()
        .with("uses", "actions/checkout@v4")
        .with("with", Map::default().with("persist-credentials", false))
}

fn install(pipeline: &Pipeline) -> Map {
    let mut lines = pipeline.install.lines();
    lines.push("echo \"$HOME/.cargo/bin\" >> \"$GITHUB_PATH\"".to_owned());
    Map::default().with("name", "Install the tool").with("run", Yaml::Lines(lines))
}

/// The key of what a kernel was prepared from, and where that is.
fn cached(pipeline: &Pipeline) -> Map {
    Map::default()
        .with("path", format!("~/.cache/{}", pipeline.cache))
        .with("key", "${{ runner.os }}-${{ runner.arch }}-${{ matrix.job.key }}")
}

fn restore(pipeline: &Pipeline) -> Map {
    let prefix = "${{ runner.os }}-${{ runner.arch }}-cargo-kmod-${{ matrix.job.name }}-";
    Map::default()
        .said(
            &[
                "Prepared kernels. The key has what the tool knows them by: the release, the version of",
                "its packages, and the version of the tool. One of another key is of use, too: what the",
                "tool does not take of it, it makes anew.",
            ],
            "name",
            "Fetch prepared kernels",
        )
        .with("id", "cache")
        .with("uses", "actions/cache/restore@v4")
        .with("with", cached(pipeline).with("restore-keys", prefix))
}

fn save(pipeline: &Pipeline) -> Map {
    Map::default()
        .said(&["A kernel is prepared, whatever came of the cells."], "name", "Keep prepared kernels")
        .with("if", "always() && steps.cache.outputs.cache-hit != 'true'")
        .with("uses", "actions/cache/save@v4")
        .with("with", cached(pipeline))
}

fn keep(name: &str, path: Yaml, always: bool) -> Map {
    let with = Map::default().with("name", name).with("path", path).with("if-no-files-found", "error");
    let step = Map::default();
    let step = if always { step.with("if", "always()") } else { step };
    step.with("uses", "actions/upload-artifact@v4").with("with", with)
}

fn script(commands: &[String]) -> Yaml {
    Yaml::Lines(commands.to_vec())
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}
