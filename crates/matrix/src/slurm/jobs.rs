// SPDX-License-Identifier: GPL-2.0
//! What `squeue` says of the tasks of job arrays.

use std::fmt;

/// What is asked of squeue(1): the array's job, the task's index, its state, its nodes, the reason.
pub(super) const FORMAT: &str = "%F|%K|%T|%N|%r";

/// Where a task is, by the words of squeue(1), "JOB STATE CODES".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobStep {
    /// It waits for a node.
    Waiting,
    /// It will never begin by itself: it is held, as after a node could not start it.
    Held,
    /// It runs.
    Running,
    /// It has ended, whatever came of it.
    Ended,
}

impl JobStep {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Running => "running",
            Self::Ended => "ended",
        }
    }
}

/// What Slurm says of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobState {
    /// The job of its array.
    pub job: u64,
    /// Its index there.
    pub index: usize,
    /// Slurm's own word: `RUNNING`, `NODE_FAIL`.
    pub word: String,
    /// The node that it is or was on.
    pub node: String,
    /// Why it waits, or how it ended.
    pub reason: String,
}

impl JobState {
    /// Where it is.
    pub fn step(&self) -> JobStep {
        let held = self.reason.to_lowercase().contains("held");
        match self.word.as_str() {
            "PENDING" | "REQUEUE_HOLD" | "SPECIAL_EXIT" if held || self.word != "PENDING" => JobStep::Held,
            "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_FED" | "RESV_DEL_HOLD" => JobStep::Waiting,
            "RUNNING" | "COMPLETING" | "SIGNALING" | "STAGE_OUT" | "STOPPED" | "SUSPENDED" | "RESIZING" => {
                JobStep::Running
            }
            _ => JobStep::Ended,
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word)?;
        if !matches!(self.reason.as_str(), "" | "None") {
            write!(f, " ({})", self.reason)?;
        }
        if !self.node.is_empty() {
            write!(f, " on {}", self.node)?;
        }
        Ok(())
    }
}

/// Whether no task of these will do anything any more by itself: all have ended, are held, or wait
/// for one that is.
pub fn is_over(states: &[JobState]) -> bool {
    let is_held = |state: &JobState| state.step() == JobStep::Held;
    let waits_for_another = |state: &JobState| state.word == "PENDING" && state.reason == "Dependency";
    let held = states.iter().any(is_held);
    let over = |state: &JobState| match state.step() {
        JobStep::Held | JobStep::Ended => true,
        JobStep::Waiting => held && waits_for_another(state),
        JobStep::Running => false,
    };
    states.iter().all(over)
}

/// Reads what squeue printed, a line a task; lines that are none are left out.
pub(super) fn parse(text: &str) -> Vec<JobState> {
    text.lines().filter_map(line).collect()
}

fn line(text: &str) -> Option<JobState> {
    let mut parts = text.trim().splitn(5, '|');
    let mut part = || parts.next();
    Some(JobState {
        job: part()?.parse().ok()?,
        index: part()?.parse().ok()?,
        word: part()?.to_owned(),
        node: part()?.to_owned(),
        reason: part()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_squeue_prints_is_read() {
        // Of slurm-wlm 22.05.8.
        let text = "1|3|PENDING||JobArrayTaskLimit\n1|0|COMPLETED|n1|None\n1|5|FAILED|n3|NonZeroExitCode\n\
                    1|1|RUNNING|n2|None\n2|0|PENDING||launch failed requeued held\n2|N/A|PENDING||None\nx\n";
        let all = parse(text);
        let shown: Vec<(String, JobStep)> = all.iter().map(|job| (job.to_string(), job.step())).collect();
        let expected = [
            ("PENDING (JobArrayTaskLimit)", JobStep::Waiting),
            ("COMPLETED on n1", JobStep::Ended),
            ("FAILED (NonZeroExitCode) on n3", JobStep::Ended),
            ("RUNNING on n2", JobStep::Running),
            ("PENDING (launch failed requeued held)", JobStep::Held),
        ];
        assert_eq!(shown, expected.map(|(shown, step)| (shown.to_owned(), step)));
        assert_eq!((all[0].job, all[0].index), (1, 3));
    }

    #[test]
    fn who_waits_for_what_is_held_waits_for_ever() {
        let held = "1|0|PENDING||launch failed requeued held\n";
        let behind = "2|0|PENDING||Dependency\n2|1|PENDING||Dependency\n";
        for (text, over) in [
            (String::new(), true),
            ("1|0|COMPLETED|n1|None\n".to_owned(), true),
            (held.to_owned(), true),
            (format!("{held}1|1|RUNNING|n1|None\n"), false),
            (format!("1|0|RUNNING|n1|None\n{behind}"), false),
            (behind.to_owned(), false),
            (format!("{held}{behind}"), true),
            (format!("{held}{behind}3|0|PENDING||Resources\n"), false),
        ] {
            assert_eq!(is_over(&parse(&text)), over, "{text}");
        }
    }

    #[test]
    fn each_word_is_somewhere() {
        for (word, reason, step) in [
            ("CONFIGURING", "None", JobStep::Waiting),
            ("REQUEUE_HOLD", "", JobStep::Held),
            ("PENDING", "JobHeldUser", JobStep::Held),
            ("COMPLETING", "", JobStep::Running),
            ("SUSPENDED", "", JobStep::Running),
            ("NODE_FAIL", "", JobStep::Ended),
            ("CANCELLED", "", JobStep::Ended),
            ("TIMEOUT", "", JobStep::Ended),
            ("OUT_OF_MEMORY", "", JobStep::Ended),
        ] {
            let job = JobState {
                job: 1,
                index: 0,
                word: word.to_owned(),
                node: String::new(),
                reason: reason.to_owned(),
            };
            assert_eq!(job.step(), step, "{word}");
        }
    }
}
