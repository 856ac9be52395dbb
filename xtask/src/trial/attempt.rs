// SPDX-License-Identifier: GPL-2.0
//! Tries one kernel as a user would: by the commands of the tool.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use kernel::context::Context;
use kernel::discover::KernelFacts;
use kernel::prepare::{self, Prepared, Rust};
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::Report;
use report::process::Cmd;

use super::record::{TrialOutcome, TriedKernel};
use crate::repository;

/// New projects, one in each language, and where modules are built, until the value is dropped.
#[derive(Debug)]
pub struct TrialProjects {
    dir: tempfile::TempDir,
}

impl TrialProjects {
    /// Makes them with the tool.
    ///
    /// # Errors
    ///
    /// If the tool does not make one.
    pub fn new(context: &Context) -> Result<Self> {
        let projects = Self { dir: tempfile::tempdir()? };
        for language in ["c", "rust"] {
            let name = format!("try-{language}");
            let words = ["new", &name, &format!("--{language}"), "--author", "Trial <trial@example.org>"];
            Cmd::new(&context.program).args(words).cwd(projects.path()?).run(&Report::silent())?;
        }
        Ok(projects)
    }

    fn path(&self) -> Result<&Utf8Path> {
        Utf8Path::from_path(self.dir.path()).context("the directory for temporary files is not UTF-8")
    }

    fn project(&self, language: &str) -> Result<Utf8PathBuf> {
        Ok(self.path()?.join(format!("try-{language}")))
    }
}

/// Prepares the kernel, if it is not, and tries the modules in it.
///
/// # Errors
///
/// If it cannot be prepared.
pub fn attempt(context: &Context, release: &Release, projects: &TrialProjects) -> Result<TriedKernel> {
    let prepared = prepare::provide_for(context, Some(release), context.root_fs, Rust::Optional)?;
    let config = prepared.kdir.config()?;
    let facts = KernelFacts::of(&config);
    let stamp = prepared.kdir.stamp();
    let one = |name: &str, project: &Utf8Path| insmod(context, &prepared, name, project, projects);
    let no_rust = || TrialOutcome::Impossible { why: "no Rust".to_owned() };
    let tried = TriedKernel {
        release: release.clone(),
        architecture: stamp.architecture,
        origin: stamp.origin.name().to_owned(),
        compiler: facts.compiler.rsplit("gnu-").next().unwrap_or_default().to_owned(),
        rustc: facts.rustc.clone(),
        modversions: facts.modversions,
        rust_symbols: stamp.rust_symbols,
        c: one("a module in C", &projects.project("c")?)?,
        rust: if facts.rust { one("a module in Rust", &projects.project("rust")?)? } else { no_rust() },
        guard: match (facts.rust, has_client(&config)) {
            (false, _) => no_rust(),
            (true, false) => TrialOutcome::Impossible { why: "no SMB client".to_owned() },
            (true, true) => one("the guard", &repository())?,
        },
    };
    Ok(tried)
}

/// What the guard hooks is in the kernel's client for SMB.
fn has_client(config: &Config) -> bool {
    config.get("CONFIG_CIFS").is_some()
}

/// `insmod` of a project, as a user calls it.
fn insmod(
    context: &Context,
    prepared: &Prepared,
    name: &str,
    project: &Utf8Path,
    projects: &TrialProjects,
) -> Result<TrialOutcome> {
    let release = prepared.kdir.release();
    let step = context.report.step("Trying", &format!("{name} in {release}"));
    let output = Cmd::new(&context.program)
        .args(["--json", "--yes", "--jobs", &context.jobs.to_string()])
        .args(["--target-dir", projects.path()?.join("target").as_str()])
        .args(["insmod", "--project", project.as_str(), "--kernel", release.as_str()])
        .finish(&context.report)?;
    let status = output.status.code().with_context(|| format!("killed: {}", output.tail))?;
    let said = output.complaint.as_deref().unwrap_or(&output.tail);
    let outcome = outcome(status, &output.text(), said);
    let how = match &outcome {
        TrialOutcome::Passed => "passed".to_owned(),
        TrialOutcome::Impossible { why } => why.clone(),
        TrialOutcome::Failed { status, why } => format!("failed, {status}: {why}"),
    };
    step.done("Tried", &format!("{name} in {release}: {how}"));
    Ok(outcome)
}

/// What the tool's exit status, its JSON and its own lines say.
fn outcome(status: i32, json: &str, lines: &str) -> TrialOutcome {
    let verdict: Option<serde_json::Value> = serde_json::from_str(json).ok();
    let reason = verdict.as_ref().and_then(|verdict| verdict[0]["reason"].as_str());
    let said = lines.lines().find(|line| line.contains("error"));
    match (status, &verdict) {
        (0, Some(verdict)) if verdict[0]["verdict"] == "pass" => TrialOutcome::Passed,
        _ => TrialOutcome::Failed { status, why: reason.or(said).unwrap_or("it said nothing").to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_verdict_that_passes_is_passed() {
        let failed = |status, why: &str| TrialOutcome::Failed { status, why: why.to_owned() };
        for (status, json, tail, expected) in [
            (0, r#"[{"verdict": "pass", "reason": "3 steps"}]"#, "", TrialOutcome::Passed),
            (0, "", "", failed(0, "it said nothing")),
            (0, "[]", "", failed(0, "it said nothing")),
            (10, r#"[{"verdict": "refused", "reason": "Unknown symbol"}]"#, "", failed(10, "Unknown symbol")),
            (4, "", "a\nerror: x: y\nremedy: z", failed(4, "error: x: y")),
        ] {
            assert_eq!(outcome(status, json, tail), expected, "{status} {json}");
        }
    }
}
