// SPDX-License-Identifier: GPL-2.0
//! What the trials share: the user's cache, the default kernel, prepared once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use xtask::repository;

use camino::Utf8PathBuf;
use kernel::context::{Context, processors};
use kernel::prepare::{self, Prepared};
use kernel::root::RootChoice;
use libtest_mimic::{Arguments, Failed, Trial};
use report::cache::Cache;
use report::process::Cmd;
use report::{Report, seconds};

/// The tool's program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_xtask");

/// How long a trial may take without its time being said.
const SHORT: Duration = Duration::from_secs(2);

/// Shared by all trials.
#[derive(Clone)]
pub(crate) struct Suite(Arc<Shared>);

struct Shared {
    context: Context,
    prepared: Prepared,
}

/// A context over `cache` that shows nothing.
pub(crate) fn quiet_context(cache: Cache) -> Context {
    Context {
        yes: true,
        home: Some(repository()),
        target: Some(repository().join("target")),
        ..Context::new(Report::silent(), cache, PROGRAM.into())
    }
}

impl Suite {
    /// Prepares the default kernel in the user's cache, or takes it from there, and says so as it
    /// goes.
    pub(crate) fn prepare() -> Self {
        let cache = Cache::of_user().expect("the user's cache");
        let loud =
            Context { report: Report::new(false, false, "cargo xtask"), ..quiet_context(cache.clone()) };
        let prepared =
            prepare::provide(&loud, None, RootChoice::Auto).unwrap_or_else(|error| panic!("{error:#}"));
        Self(Arc::new(Shared { context: quiet_context(cache), prepared }))
    }

    pub(crate) fn context(&self) -> &Context {
        &self.0.context
    }

    pub(crate) fn prepared(&self) -> &Prepared {
        &self.0.prepared
    }

    /// A named trial; what it panics with is its failure.
    pub(crate) fn trial(&self, name: &str, body: impl FnOnce(&Self) + Send + 'static) -> Trial {
        let (suite, title) = (self.clone(), name.to_owned());
        Trial::test(name, move || {
            let started = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| body(&suite)));
            let elapsed = started.elapsed();
            if elapsed > SHORT {
                eprintln!("{title} took {}", seconds(elapsed));
            }
            outcome.map_err(|panic| Failed::from(message(panic.as_ref())))
        })
    }

    /// Runs the trials, as many at once as there are processors: most wait for one program after
    /// the other.
    pub(crate) fn run(&self, trials: Vec<Trial>) -> ExitCode {
        let mut arguments = Arguments::from_args();
        arguments.test_threads.get_or_insert(processors());
        libtest_mimic::run(&arguments, trials).exit_code()
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// The tool, in the user's cache.
pub(crate) fn tool(args: &[&str]) -> Cmd {
    Cmd::new(PROGRAM).args(args)
}

/// Runs to the end; gives exit status and both outputs.
pub(crate) fn run(cmd: &Cmd) -> (i32, String) {
    let mut text = String::new();
    let output = cmd.finish_with(&Report::silent(), |line| text.extend([line, "\n"])).unwrap();
    (output.status.code().unwrap_or(-1), text)
}

/// A directory that vanishes with the trial.
pub(crate) fn scratch() -> (tempfile::TempDir, Utf8PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
    (dir, path)
}
