// SPDX-License-Identifier: GPL-2.0
//! The results for several kernels: a failure for one neither stops nor hides the others.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::install::journal::{Expected, Journal};
use kernel::context::Context;
use report::failure::remedy_of;
use report::table;

/// The result for one kernel.
#[derive(Debug, Default, Serialize)]
pub struct InstallOutcome {
    /// What modprobe loads now, by module name.
    pub modules: BTreeMap<String, Expected>,
    /// The steps that would be taken, with `--dry-run`.
    pub would: Vec<String>,
}

impl InstallOutcome {
    /// Nothing was done, because of `--dry-run`.
    pub fn would(step: String) -> Self {
        Self { would: vec![step], ..Self::default() }
    }
}

/// What was asked for is done, and something of it is left to be cleared away: the context of an
/// error, so that nobody takes it for undone.
#[derive(Clone, Debug)]
pub struct DoneBut {
    pub(super) journal: Journal,
}

impl std::fmt::Display for DoneBut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = if self.journal.expected.len() == 1 { "is" } else { "are" };
        let (subject, done) = (self.journal.subject(), self.journal.action.verbs().1.to_lowercase());
        write!(
            f,
            "{subject} {verb} {done}, but what that left could not be cleared away; the next install, uninstall or \
             status does that"
        )
    }
}

/// One kernel's result or failure, as it is printed.
#[derive(Serialize)]
struct Entry {
    kernel: String,
    #[serde(flatten)]
    outcome: InstallOutcome,
    error: Option<String>,
    remedy: Option<String>,
    /// Whether it is done in spite of the error.
    #[serde(skip)]
    done: bool,
}

/// The results for all kernels.
#[derive(Default)]
pub struct InstallOutcomes {
    entries: Vec<Entry>,
    first_error: Option<anyhow::Error>,
}

impl InstallOutcomes {
    /// Adds the result for one kernel.
    pub fn add(&mut self, kernel: &str, outcome: Result<InstallOutcome>) {
        let kernel = kernel.to_owned();
        match outcome {
            Ok(outcome) => {
                self.entries.push(Entry { kernel, outcome, error: None, remedy: None, done: true });
            }
            Err(error) => {
                let text = Some(format!("{error:#}"));
                let remedy = remedy_of(&error).map(str::to_owned);
                let done = error.downcast_ref::<DoneBut>().is_some();
                let outcome = InstallOutcome::default();
                self.entries.push(Entry { kernel, outcome, error: text, remedy, done });
                self.first_error.get_or_insert(error);
            }
        }
    }

    /// Prints them, and returns the first failure.
    pub fn show(self, context: &Context) -> Result<()> {
        context.report.data(&self.entries);
        for step in self.entries.iter().flat_map(|entry| &entry.outcome.would) {
            context.report.say(step);
        }
        if !context.dry_run && self.entries.iter().any(|entry| entry.error.is_none()) {
            context.report.say(&self.table());
        }
        self.first_error.map_or(Ok(()), Err)
    }

    fn table(&self) -> String {
        let mut rows = vec![["KERNEL", "MODULE", "MODPROBE LOADS"].map(str::to_owned).to_vec()];
        for entry in &self.entries {
            if let Some(error) = &entry.error {
                let first = error.lines().next().unwrap_or_default();
                let state = if entry.done { "" } else { "unchanged: " };
                rows.push(vec![entry.kernel.clone(), "-".to_owned(), format!("{state}{first}")]);
            }
            for (name, expected) in &entry.outcome.modules {
                let loads = match expected {
                    Expected::File(file) => file.to_string(),
                    Expected::OtherThan(file) => format!("no longer {file}"),
                };
                rows.push(vec![entry.kernel.clone(), name.clone(), loads]);
            }
        }
        table(&rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::Report;
    use report::failure::{Exit, Failure, exit_of};

    #[test]
    fn a_bad_kernel_is_in_the_table_beside_the_good_one() {
        let mut outcomes = InstallOutcomes::default();
        outcomes.add("7.1", Err(Failure::refused("x.ko", "no").into()));
        let modules = [("x".to_owned(), Expected::File("extra/x.ko".into()))].into();
        outcomes.add("7.2", Ok(InstallOutcome { modules, would: Vec::new() }));
        assert_eq!(
            outcomes.table(),
            "KERNEL  MODULE  MODPROBE LOADS\n7.1     -       unchanged: x.ko: no\n7.2     x       extra/x.ko"
        );
        let context = kernel::context::Context { report: Report::silent(), ..silent() };
        assert_eq!(exit_of(&outcomes.show(&context).unwrap_err()), Exit::Refused);
    }

    fn silent() -> Context {
        let cache = report::cache::Cache::at(std::env::temp_dir().to_str().unwrap()).unwrap();
        Context::new(Report::silent(), cache, "xtask".into())
    }
}
