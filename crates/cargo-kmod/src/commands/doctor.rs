// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod doctor`: what this machine has and lacks.

use anyhow::Result;
use serde::Serialize;

use kernel::context::Context;
use kernel::kdir::Kdir;
use kernel::machine::facts::{self, Fact};
use kernel::machine::package_tool::PackageTool;
use kernel::machine::programs;
use report::failure::{Exit, Failure};
use report::table;

use crate::tool::Tool;

#[derive(Serialize)]
struct Diagnosis {
    programs: Vec<ProgramRow>,
    facts: Vec<Fact>,
    prepared: Vec<String>,
    remedy: Option<String>,
}

#[derive(Serialize)]
struct ProgramRow {
    name: &'static str,
    package: String,
    purpose: &'static str,
    found: Option<camino::Utf8PathBuf>,
}

/// Prints the diagnosis; something missing is exit status 3, with the one command that supplies it.
pub fn run(context: &Context, tool: &Tool) -> Result<()> {
    let diagnosis = diagnose(context, tool);
    context.report.data(&diagnosis);
    context.report.say(&shown(&diagnosis));
    let Some(remedy) = diagnosis.remedy else { return Ok(()) };
    let missing: Vec<_> =
        diagnosis.programs.iter().filter(|row| row.found.is_none()).map(|row| row.name).collect();
    Err(Failure::new(
        Exit::Missing,
        missing.join(", "),
        "not on this machine; the commands that need them install them after asking",
    )
    .remedy(remedy)
    .into())
}

fn diagnose(context: &Context, tool: &Tool) -> Diagnosis {
    let tool_of = PackageTool::here();
    let row = |program: &programs::Program| ProgramRow {
        name: program.name,
        package: tool_of.map_or_else(|| "-".to_owned(), |tool| program.package_for(tool)),
        purpose: program.purpose,
        found: programs::find(program.name),
    };
    let missing: Vec<_> =
        tool.all_programs().filter(|program| programs::find(program.name).is_none()).collect();
    let remedy = (!missing.is_empty()).then(|| programs::supply(&missing));
    let programs = tool.all_programs().map(row).collect();
    let prepared =
        Kdir::all(&context.cache, &context.report).iter().map(|kdir| kdir.release().to_string()).collect();
    Diagnosis { programs, facts: facts::all(&context.cache), prepared, remedy }
}

fn shown(diagnosis: &Diagnosis) -> String {
    let mut rows = vec![["PROGRAM", "PACKAGE", "HERE", "FOR"].map(str::to_owned).to_vec()];
    rows.extend(diagnosis.programs.iter().map(|row| {
        let here = row.found.as_ref().map_or_else(|| "missing".to_owned(), ToString::to_string);
        vec![row.name.to_owned(), row.package.clone(), here, row.purpose.to_owned()]
    }));
    let mut facts: Vec<Vec<String>> =
        diagnosis.facts.iter().map(|fact| vec![fact.name.to_owned(), fact.value.clone()]).collect();
    let prepared =
        if diagnosis.prepared.is_empty() { "none".to_owned() } else { diagnosis.prepared.join(", ") };
    facts.push(vec!["prepared kernels".to_owned(), prepared]);
    format!("{}\n\n{}", table(&rows), table(&facts))
}
