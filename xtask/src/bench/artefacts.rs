// SPDX-License-Identifier: GPL-2.0
//! From a package of a kernel's Rust artefacts to the first module that is built with it.

use anyhow::{Context as _, Result};

use crate::bench::Results;
use crate::bench::cold::ColdCache;
use crate::bench::judgement::LimitCheck;
use crate::bench::timing::{Subject, once};
use kernel::context::Context;
use kernel::prepare;

/// Seconds that it may take.
const LIMIT: f64 = 15.0;

/// Makes the package of the default kernel, which is not timed. Then, in a cache that shares build
/// roots and fetched packages with the user's: prepares the kernel with it and builds a new module.
pub fn measure(context: &Context) -> Result<Results> {
    let report = &context.report;
    let release = prepare::provide(context, None, context.root_fs)?.kdir.release().clone();
    let cold = ColdCache::new(context, "artefacts", &["archive", "roots"])?;
    let packages = cold.path().join("packages");
    report::process::Cmd::new(&context.program)
        .args(["kernel", "package", release.as_str(), "--output", packages.as_str()])
        .run(report)?;
    let is_deb = |entry: &camino::Utf8DirEntry| entry.path().extension() == Some("deb");
    let deb = packages.read_dir_utf8()?.filter_map(Result::ok).find(is_deb);
    let deb = deb.context("kernel package made no .deb")?;
    let new = ["new", "first", "--rust", "--author", "B <b@example.org>"];
    cold.tool(context).args(new).cwd(cold.path()).run(report)?;
    let prepare = ["kernel", "prepare", release.as_str(), "--from", deb.path().as_str()];
    let project = cold.path().join("first");
    let build = ["build", "--project", project.as_str(), "--kernel", release.as_str()];
    let first = once(
        report,
        Subject::new("from a package of artefacts to the first module", || {
            cold.tool(context).args(prepare).run(report)?;
            cold.tool(context).args(build).run(report).map(drop)
        }),
    )?;
    let judgements = vec![LimitCheck::seconds(&first, LIMIT)];
    Ok(Results { timings: vec![first], judgements })
}
