// SPDX-License-Identifier: GPL-2.0
//! What happens in machines, as lines of JSON while it happens: for programs that follow runs.
//!
//! Each line is an object. `schema` is the number of this format, which changes when a field that
//! is there gets another meaning or goes; `release` is the kernel, `seconds` the time since its run
//! began. What the guest reported is in `event` ([`vm_protocol::Event`]), with the `step` that it
//! is about, as a person would write it. The last line of a run has `verdict`, `reason` and `warm`
//! instead.

use std::io::Write;
use std::time::Instant;

use anyhow::{Context as _, Result};
use kmodfile::release::Release;
use report::destination::Destination;
use serde::Serialize;
use vm_protocol::{Event, ExtraStep, GuestPlan};

use crate::run::Run;
use crate::verdict::Verdict;

/// The number of the format.
pub const SCHEMA: u32 = 1;

/// A file that lines are appended to.
pub struct EventLog<'a> {
    file: Box<dyn Write>,
    release: &'a Release,
    begun: Instant,
    /// The first thing that went wrong; it is said once the run is over.
    failed: Option<std::io::Error>,
}

/// One line.
#[derive(Serialize)]
struct EventLine<'a> {
    schema: u32,
    release: &'a Release,
    seconds: f64,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum What<'a> {
    Event {
        event: &'a Event,
        #[serde(skip_serializing_if = "Option::is_none")]
        step: Option<String>,
    },
    End {
        verdict: Verdict,
        reason: &'a str,
        warm: bool,
    },
}

impl<'a> EventLog<'a> {
    /// Adds to `to` what happens in a run of this kernel.
    ///
    /// # Errors
    ///
    /// If a file cannot be opened.
    pub fn append_to(to: &Destination, release: &'a Release) -> Result<Self> {
        Ok(Self { file: to.append()?, release, begun: Instant::now(), failed: None })
    }

    /// Writes down what the guest reported.
    pub fn event<X: ExtraStep>(&mut self, plan: &GuestPlan<X>, event: &Event) {
        let index = match event {
            Event::StepStarted { index } | Event::StepEnded { index, .. } => Some(*index),
            _ => None,
        };
        let step = index.and_then(|index| plan.steps.get(index)).map(|planned| planned.step.to_string());
        self.line(What::Event { event, step });
    }

    /// Writes down how the run ended.
    ///
    /// # Errors
    ///
    /// If any line could not be written.
    pub fn end(mut self, run: &Run) -> Result<()> {
        let judgement = &run.judgement;
        self.line(What::End { verdict: judgement.verdict, reason: &judgement.reason, warm: run.warm });
        self.failed.map_or(Ok(()), |error| Err(error).context("writing down events"))
    }

    fn line(&mut self, what: What<'_>) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let line = EventLine { schema: SCHEMA, release: self.release, seconds, what };
        let mut text = serde_json::to_string(&line).expect("an event is text, numbers and lists");
        text.push('\n');
        // One write is one line, whoever else appends.
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            self.failed.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_protocol::{Expect, GuestStep, NoExtraStep, PlannedStep};

    #[test]
    fn lines_say_what_happened_to_whom() {
        let dir = tempfile::tempdir().unwrap();
        let file = camino::Utf8Path::from_path(dir.path()).unwrap().join("events");
        let to = Destination::File(file.clone());
        let release: Release = "7.2.13-x".parse().unwrap();
        let step = GuestStep::RemoveModule { name: "x".into(), patience: 1 };
        let steps = vec![PlannedStep { step, expect: Expect::Success }];
        let plan: GuestPlan<NoExtraStep> =
            GuestPlan { nonce: "n".into(), early: vec![], steps, waits: false };
        for _ in 0..2 {
            let mut log = EventLog::append_to(&to, &release).unwrap();
            log.event(&plan, &Event::StepStarted { index: 0 });
            log.event(&plan, &Event::Broken { why: "x".into() });
        }
        let text = fs_err::read_to_string(&file).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0]["schema"], SCHEMA);
        assert_eq!(lines[0]["release"], "7.2.13-x");
        assert_eq!(lines[0]["step"], "rmmod x");
        assert_eq!(lines[0]["event"]["step_started"]["index"], 0);
        assert_eq!(lines[1]["event"]["broken"]["why"], "x");
        assert!(lines[1].get("step").is_none() && lines[1]["seconds"].is_f64(), "{text}");
    }
}
