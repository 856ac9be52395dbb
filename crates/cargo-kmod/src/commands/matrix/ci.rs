// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod matrix ci`.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Subcommand};
use kernel::context::Context;
use matrix::ci_jobs::jobs;
use matrix::matrix_file::{MatrixFile, USUAL_NAME};
use matrix::plan::Plan;
use report::destination::Destination;
use serde::Serialize;
use template::ci::{self, CiJob, CiShare, Installation, MatrixPath, PREPARE, Pipeline};
use template::{Name, Source, Text, Version};

use crate::commands::tested::here;
use crate::installed;
use crate::tool::Tool;

/// `cargo kmod matrix ci`.
#[derive(Debug, Subcommand)]
pub enum CiCommand {
    /// Print a workflow for GitHub Actions: .github/workflows/kmod.yml
    ///
    /// Its jobs are found when it runs, so kernels that the archive gets are tried without a
    /// change. It can be read: what it does is in comments.
    Github(CiArgs),
    /// Print a pipeline for GitLab: .gitlab-ci.yml
    ///
    /// Its jobs are found when it runs, and are a pipeline below it.
    Gitlab(CiArgs),
}

/// What both take.
#[derive(Debug, Args)]
pub struct CiArgs {
    /// The file that says what is wanted, from the top of the repository
    #[arg(value_name = "FILE", default_value = USUAL_NAME, value_parser = MatrixPath::parse)]
    pub file: MatrixPath,
    /// Write it to this file, or standard output (-)
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: Destination,
    /// What one machine has: a kernel with all its cells, or one of N parts
    #[arg(long, value_name = "kernel|partition:N", default_value = "kernel")]
    pub by: CiShare,
    /// What installs the tool on a fresh Debian 13, as root [default: .ci/prepare, where the
    /// repository has that, else apt-get and cargo install]
    #[arg(long, value_name = "COMMAND")]
    pub install: Option<String>,
    /// Of this plan, print what a pipeline asks for that runs: the jobs
    #[arg(long, value_name = "FILE")]
    pub plan: Option<Utf8PathBuf>,
}

/// A job, as GitHub's workflow has it.
#[derive(Serialize)]
struct GithubJob<'a> {
    name: &'a str,
    word: &'a str,
    key: &'a str,
}

/// Runs it.
pub(super) fn run(context: &Context, tool: &Tool, command: &CiCommand) -> Result<()> {
    let (CiCommand::Github(args) | CiCommand::Gitlab(args)) = command;
    let text = match (&args.plan, command) {
        (Some(plan), CiCommand::Github(_)) => github_jobs(&jobs(&Plan::read(plan)?, args.by)?),
        (Some(plan), CiCommand::Gitlab(_)) => {
            let jobs = jobs(&Plan::read(plan)?, args.by)?;
            ci::gitlab_jobs(&pipeline(context, tool, args)?, &jobs)
        }
        (None, CiCommand::Github(_)) => ci::github(&wanted(context, tool, args)?),
        (None, CiCommand::Gitlab(_)) => ci::gitlab(&wanted(context, tool, args)?),
    };
    match args.output.file() {
        Some(file) if context.dry_run => context.report.say(&format!("would write {file}")),
        _ => args.output.write(&text)?,
    }
    Ok(())
}

/// The pipeline of a file that is there and makes sense: better here than on every push.
fn wanted(context: &Context, tool: &Tool, args: &CiArgs) -> Result<Pipeline> {
    MatrixFile::read(&here()?.join(args.file.to_string()))?;
    pipeline(context, tool, args)
}

fn pipeline(context: &Context, tool: &Tool, args: &CiArgs) -> Result<Pipeline> {
    Ok(Pipeline {
        file: args.file.clone(),
        tool: Text::parse(tool.name).expect("plain words"),
        install: installation(context, tool, args, &here()?),
        cache: Name::parse(report::cache::NAME).expect("a plain name"),
        share: args.by,
    })
}

/// What was said; else the repository's own script; else from where this program is.
fn installation(context: &Context, tool: &Tool, args: &CiArgs, here: &Utf8Path) -> Installation {
    if let Some(own) = args.install.as_ref().filter(|own| !own.trim().is_empty()) {
        return Installation::Own(own.trim().to_owned());
    }
    if here.join(PREPARE).is_file() {
        return Installation::Prepared;
    }
    match installed::source(tool) {
        Source::Path(_) | Source::Installed => {
            let version = Version::parse(env!("CARGO_PKG_VERSION")).expect("a version of our own");
            context.report.warn(&format!(
                "the pipeline installs cargo-kmod {version} from a registry, as other machines do not have what this \
                 program was installed from: --install COMMAND for another way"
            ));
            Installation::From(Source::Version(version))
        }
        known => Installation::From(known),
    }
}

/// A line for `$GITHUB_OUTPUT`.
fn github_jobs(jobs: &[CiJob]) -> String {
    let all: Vec<GithubJob<'_>> =
        jobs.iter().map(|CiJob { name, word, key }| GithubJob { name, word, key }).collect();
    format!("jobs={}\n", serde_json::to_string(&all).expect("plain data"))
}
