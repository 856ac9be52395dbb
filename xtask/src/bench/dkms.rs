// SPDX-License-Identifier: GPL-2.0
//! `dkms-install` beside dkms alone: for one kernel, and for three of which two are built at once.

use anyhow::{Context as _, Result};

use crate::bench::Results;
use crate::bench::judgement::LimitCheck;
use crate::bench::scratch;
use crate::bench::timing::{Subject, Timing, in_turns};
use crate::repository;
use kernel::context::Context;
use kernel::distribution::recipe::Recipe;
use kernel::kdir::Kdir;
use kernel::prepare;
use kernel::root::Access;
use kernel::root::scratch::Scratch;
use kernel::root::tree::TreeRoot;
use project::Project;
use project::stage::Sources;
use report::process::Cmd;

/// What part of plain add, build and install the tool may take.
const ONE: f64 = 1.1;

/// What part of one kernel after another three with `--jobs 2` may take.
const THREE: f64 = 0.7;

/// What a system with DKMS has beyond what kernels are built with.
const PACKAGES: &[&str] = &["dkms", "openssl"];

/// Times both with the guard, on a system made for it.
pub fn measure(context: &Context, runs: usize) -> Result<Results> {
    let prepared = prepare::provide(context, None, context.root_fs)?;
    let mut kdirs = alike(context);
    // Each has to be made a kernel that is installed, which takes as long as what is timed.
    kdirs.truncate(3);
    if kdirs.len() < 3 {
        kdirs = vec![prepared.kdir.clone()];
    }
    let dir = scratch::Scratch::new(context, "dkms")?;
    let system = System::new(context, &kdirs, &dir)?;
    let results = measure_on(&system, &kdirs, runs);
    // Also after a failure; what a killed run left, the next one removes.
    system.tree.remove(context).and(results)
}

fn measure_on(system: &System<'_>, kdirs: &[Kdir], runs: usize) -> Result<Results> {
    let timings = in_turns(
        &system.context.report,
        runs,
        vec![
            system.subject("xtask dkms-install", system.ours(&kdirs[..1])),
            system.subject("dkms add, build, install", system.theirs(&kdirs[..1])),
        ],
    )?;
    let mut judgements = vec![LimitCheck::ratio(&timings[0], &timings[1], ONE)];
    let mut all = timings;
    if let [_, _, _, ..] = kdirs {
        let three = system.three(&kdirs[..3], runs)?;
        judgements.push(LimitCheck::ratio(&three[0], &three[1], THREE));
        all.extend(three);
    } else {
        let why = "no three kernels with Rust are prepared for one build root".to_owned();
        judgements.push(LimitCheck::skipped("three kernels at once", THREE, why));
    }
    Ok(Results { timings: all, judgements })
}

/// The prepared kernels with Rust that share a build root, of the root that has most.
fn alike(context: &Context) -> Vec<Kdir> {
    let mut all = Kdir::all(&context.cache, &context.report);
    all.retain(|kdir| kdir.stamp().rust_symbols > 0 && kdir.stamp().origin.is_archive());
    let like = |kdir: &Kdir| -> Vec<Kdir> {
        all.iter().filter(|other| other.stamp().recipe == kdir.stamp().recipe).cloned().collect()
    };
    all.iter().map(like).max_by_key(Vec::len).unwrap_or_default()
}

/// A system on which the kernels are installed.
struct System<'a> {
    context: &'a Context,
    tree: Scratch,
    access: Access,
}

impl<'a> System<'a> {
    fn new(context: &'a Context, kdirs: &[Kdir], dir: &scratch::Scratch) -> Result<Self> {
        let recipe: Recipe = kdirs.first().context("a kernel is prepared")?.stamp().recipe.clone();
        let recipe = recipe.with(PACKAGES.iter().copied());
        let root = TreeRoot::provide(context, &recipe)?;
        let source = dir.path().join("source");
        Sources::read(&Project::open(&repository())?)?.write(&source)?;
        let tree = Scratch::over(&root, &dir.path().join(scratch::CHANGES))?;
        let tree = kdirs.iter().fold(tree, |tree, kdir| tree.with_layer(kdir.image()));
        let program = context.program.parent().context("a program is in a directory")?;
        let access =
            Access::default().read(program).read(repository()).read(source).write(context.cache.dir());
        let system = Self { context, tree, access };
        for kdir in kdirs {
            system.run(Cmd::new("depmod").arg(kdir.release().as_str()))?;
        }
        system.run(system.sh(&format!("cp -r {} /root/source", dir.path().join("source"))))?;
        Ok(system)
    }

    fn sh(&self, script: &str) -> Cmd {
        Cmd::new("sh").args(["-e", "-c", script])
    }

    fn run(&self, cmd: Cmd) -> Result<()> {
        let cache = self.context.cache.dir();
        let cmd = cmd.env("XDG_CACHE_HOME", cache.parent().unwrap_or(cache)).cwd(repository());
        self.tree.inside(self.context, cmd, &self.access).run(&self.context.report).map(drop)
    }

    /// A command that starts where DKMS knows nothing.
    fn subject(&self, what: &str, cmd: Cmd) -> Subject<'_> {
        // What DKMS knows it must be able to remove: a figure over what an earlier run left would
        // be wrong.
        let forget = "if dkms status -m cifs-fix | grep -q .; then dkms remove cifs-fix/$VERSION --all; fi
                      rm -rf /usr/src/cifs-fix-* /var/lib/dkms/cifs-fix";
        let before = move || self.run(self.sh(forget).env("VERSION", env!("CARGO_PKG_VERSION")));
        Subject::new(what, move || self.run(cmd.clone())).before(before)
    }

    fn ours(&self, kdirs: &[Kdir]) -> Cmd {
        let cmd = Cmd::new(&self.context.program).args(["dkms-install", "--jobs", "2"]);
        kdirs.iter().fold(cmd, |cmd, kdir| cmd.args(["--kernel", kdir.release().as_str()]))
    }

    fn theirs(&self, kdirs: &[Kdir]) -> Cmd {
        let version = env!("CARGO_PKG_VERSION");
        let mut script =
            format!("cp -r /root/source /usr/src/cifs-fix-{version}\ndkms add cifs-fix/{version}\n");
        for kdir in kdirs {
            let words =
                format!("cifs-fix/{version} -k {} --kernelsourcedir {}", kdir.release(), kdir.build());
            script.push_str(&format!("dkms build {words}\ndkms install {words}\n"));
        }
        self.sh(&script)
    }

    fn three(&self, kdirs: &[Kdir], runs: usize) -> Result<Vec<Timing>> {
        in_turns(
            &self.context.report,
            runs,
            vec![
                self.subject("three kernels, --jobs 2", self.ours(kdirs)),
                self.subject("three kernels, one after another", self.theirs(kdirs)),
            ],
        )
    }
}
