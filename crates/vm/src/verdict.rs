// SPDX-License-Identifier: GPL-2.0
//! Judges a run from what the guest reported, what its console shows, and how it ended.

use std::fmt;

use serde::Serialize;
use vm_protocol::{Errno, Event, ExtraStep, GuestPlan, GuestStep, LogLine, MARKER, StepOutcome};

use crate::console::{self, Hit, Trouble};
use crate::refusal::LoaderRefusal;
use crate::symbol_name::readable;
use report::failure::Exit;
use report::{counted, seconds};

/// The classified end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every step ended as expected, and the kernel had nothing to complain of.
    Pass,
    /// A step did not end as expected.
    StepFailed,
    /// The kernel refused the module: vermagic, unknown symbol, signature.
    ModuleRefused,
    /// The kernel warned.
    Warning,
    /// Oops, BUG, KASAN, UBSAN.
    Oops,
    /// A locking error.
    Lockdep,
    /// Hung task, soft lockup, RCU stall.
    Hung,
    /// The module did not unload, or memory leaked.
    Leak,
    /// The kernel panicked.
    Panic,
    /// The guest never came up.
    NeverUp,
    /// A time limit was reached.
    TimeLimit,
    /// QEMU ended before the plan did.
    QemuDied,
}

impl Verdict {
    /// The exit status that stands for it.
    pub fn exit(self) -> Exit {
        match self {
            Self::Pass => Exit::Ok,
            Self::StepFailed => Exit::Failed,
            Self::ModuleRefused => Exit::ModuleRefused,
            Self::Warning => Exit::KernelWarning,
            Self::Oops => Exit::Oops,
            Self::Lockdep => Exit::Lockdep,
            Self::Hung => Exit::Hung,
            Self::Leak => Exit::Leak,
            Self::Panic => Exit::Panic,
            Self::NeverUp => Exit::NeverUp,
            Self::TimeLimit => Exit::TimeLimit,
            Self::QemuDied => Exit::QemuDied,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::StepFailed => "step failed",
            Self::ModuleRefused => "module refused by the kernel",
            Self::Warning => "kernel warning",
            Self::Oops => "oops",
            Self::Lockdep => "locking error",
            Self::Hung => "hang",
            Self::Leak => "leak",
            Self::Panic => "panic",
            Self::NeverUp => "the guest never came up",
            Self::TimeLimit => "time limit",
            Self::QemuDied => "the guest or QEMU ended before the plan",
        })
    }
}

impl From<Trouble> for Verdict {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Oops => Self::Oops,
            Trouble::Hung => Self::Hung,
            Trouble::Lockdep => Self::Lockdep,
            Trouble::Panic => Self::Panic,
            Trouble::Leak => Self::Leak,
            Trouble::Warning | Trouble::Trace => Self::Warning,
        }
    }
}

/// Why the machine is no longer running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The guest reported the end of its plan, and the host stopped it.
    Finished,
    /// The guest waits for the rest of its plan.
    Waiting,
    /// The host stopped it some time after it had seen trouble.
    Trouble,
    /// No greeting within this time.
    BootLimit(std::time::Duration),
    /// Nothing on any channel for this time.
    IdleLimit(std::time::Duration),
    /// The whole run took this long.
    HardLimit(std::time::Duration),
    /// QEMU ended by itself, with success: the guest was reset or powered off.
    Reset,
    /// QEMU ended by itself, with an error; the text says which, and what it printed.
    Died(String),
}

/// A verdict and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why the module loader refused a module, if that is the verdict.
    pub refusal: Option<LoaderRefusal>,
    /// Why, in a line or a few, for people.
    pub reason: String,
}

fn judgement(verdict: Verdict, reason: impl Into<String>) -> Judgement {
    Judgement { verdict, refusal: None, reason: reason.into() }
}

/// What is known when a machine has ended.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a, X> {
    /// What the guest was to do.
    pub plan: &'a GuestPlan<X>,
    /// What it reported.
    pub events: &'a [Event],
    /// Trouble in the console and in the reported kernel logs.
    pub hits: &'a [Hit],
    /// Whether there was trouble that the user allows: a warning taint is then explained.
    pub excused: bool,
    /// How it ended.
    pub ending: &'a Ending,
    /// Lines on the port that were no message of this run.
    pub foreign: usize,
}

/// The verdict. The kernel's own complaints come first, because what fails after them follows from
/// them.
pub fn judge<X: ExtraStep>(evidence: &Evidence<'_, X>) -> Judgement {
    let up = evidence.events.iter().any(|event| matches!(event, Event::Hello { .. }));
    if !up {
        return never_up(evidence);
    }
    from_hits(evidence)
        .or_else(|| from_steps(evidence))
        .or_else(|| from_taint(evidence))
        .or_else(|| from_ending(evidence))
        .unwrap_or_else(|| judgement(Verdict::Pass, passed(evidence)))
}

fn never_up<X>(evidence: &Evidence<'_, X>) -> Judgement {
    let reason = match (evidence.ending, console::cause(evidence.hits)) {
        (Ending::Died(how), None) => return judgement(Verdict::QemuDied, how),
        (_, Some(hit)) => format!("before init ran: {}", hit.line),
        (Ending::BootLimit(limit) | Ending::IdleLimit(limit) | Ending::HardLimit(limit), None) => {
            format!("init did not report within {}", seconds(*limit))
        }
        (_, None) => "the guest was reset before init could report".to_owned(),
    };
    judgement(Verdict::NeverUp, reason)
}

fn from_hits<X: ExtraStep>(evidence: &Evidence<'_, X>) -> Option<Judgement> {
    let hit = console::cause(evidence.hits)?;
    let line = readable(&hit.line);
    let reason = match (hit.at_boot, unfinished_step(evidence)) {
        (true, _) => format!("{line} (at boot, before any module of the plan)"),
        (false, Some(step)) => format!("{line} (during `{step}`)"),
        (false, None) => line,
    };
    Some(judgement(hit.trouble.into(), reason))
}

/// The step that was begun and did not end.
fn unfinished_step<'a, X>(evidence: &Evidence<'a, X>) -> Option<&'a GuestStep<X>> {
    let last = evidence.events.iter().rev().find_map(|event| match event {
        Event::StepStarted { index } => Some(Some(*index)),
        Event::StepEnded { .. } | Event::Waiting { .. } | Event::Finished { .. } | Event::Broken { .. } => {
            Some(None)
        }
        Event::Hello { .. } => None,
    });
    evidence.plan.steps.get(last??).map(|planned| &planned.step)
}

fn from_steps<X: ExtraStep>(evidence: &Evidence<'_, X>) -> Option<Judgement> {
    evidence.events.iter().find_map(|event| {
        let Event::StepEnded { index, outcome, log, .. } = event else { return None };
        let planned = evidence.plan.steps.get(*index)?;
        if planned.expect.is_met_by(outcome) {
            return None;
        }
        Some(match outcome {
            StepOutcome::Done => judgement(
                Verdict::StepFailed,
                format!("`{}` succeeded, and should have failed with {}", planned.step, planned.expect),
            ),
            StepOutcome::Failed { errno, message, .. } => {
                let reason = match &planned.step {
                    // It has told the user itself.
                    GuestStep::Talk(_) => message.clone(),
                    step => format!("`{step}`: {errno}: {message}{}", said(log)),
                };
                let (verdict, refusal) = failed_step(&planned.step, *errno, log);
                Judgement { verdict, refusal, reason }
            }
        })
    })
}

/// What the failure of a step stands for.
fn failed_step<X>(step: &GuestStep<X>, errno: Errno, log: &[LogLine]) -> (Verdict, Option<LoaderRefusal>) {
    match step {
        GuestStep::InsertModule { .. } | GuestStep::Run { .. } => match LoaderRefusal::of(errno, log) {
            Some(refusal) => (Verdict::ModuleRefused, Some(refusal)),
            None => (Verdict::StepFailed, None),
        },
        // EAGAIN: in use; EBUSY: no exit function, or still initialising.
        GuestStep::RemoveModule { .. } if matches!(errno, Errno::EAGAIN | Errno::EBUSY) => {
            (Verdict::Leak, None)
        }
        _ => (Verdict::StepFailed, None),
    }
}

/// How many lines of the kernel log a reason repeats.
const SAID: usize = 5;

/// The kernel log of a failed step, for the reason: of the lines that say something the last, which
/// come right before the failure; what the kernel has to say of other things in the meantime comes
/// before them.
fn said(log: &[LogLine]) -> String {
    let telling = |line: &&LogLine| {
        !line.text.starts_with(MARKER)
            && !line.text.contains("taints kernel")
            && !line.text.contains("module verification failed")
    };
    let lines: Vec<&LogLine> = log.iter().filter(telling).collect();
    lines[lines.len().saturating_sub(SAID)..].iter().map(|line| format!("\n    {}", line.text)).collect()
}

/// Bits of the taint mask and what they stand for (Documentation/admin-guide/tainted-kernels.rst).
/// Not listed: what a module that is built out of tree sets by being loaded (O, E), and P, C, I, K,
/// X, T, N, J.
const TAINTS: &[(u32, char, &str, Verdict)] = &[
    (7, 'D', "the kernel oopsed", Verdict::Oops),
    (5, 'B', "a bad page was found", Verdict::Oops),
    (14, 'L', "a soft lockup happened", Verdict::Hung),
    (4, 'M', "a machine check happened", Verdict::Warning),
    (9, 'W', "the kernel warned", Verdict::Warning),
    (1, 'F', "a module was loaded by force", Verdict::Warning),
    (3, 'R', "a module was removed by force", Verdict::Warning),
];

fn from_taint<X>(evidence: &Evidence<'_, X>) -> Option<Judgement> {
    let mut masks = evidence.events.iter().filter_map(|event| match event {
        Event::Hello { tainted, .. } | Event::Finished { tainted, .. } => Some(*tainted),
        Event::StepEnded { taint_after, .. } => Some(*taint_after),
        _ => None,
    });
    let before = masks.next().unwrap_or(0);
    let added = masks.fold(0, |added, mask| added | (mask & !before));
    let counts = |verdict| !(evidence.excused && verdict == Verdict::Warning);
    let set = TAINTS.iter().find(|(bit, .., verdict)| added & (1 << bit) != 0 && counts(*verdict))?;
    let (_, letter, meaning, verdict) = set;
    Some(judgement(
        *verdict,
        format!("the kernel is tainted {letter}: {meaning}, and the log does not say how"),
    ))
}

fn from_ending<X: ExtraStep>(evidence: &Evidence<'_, X>) -> Option<Judgement> {
    let during = unfinished_step(evidence).map(|step| format!(" in `{step}`")).unwrap_or_default();
    if let Some(why) = evidence.events.iter().find_map(|event| match event {
        Event::Broken { why } => Some(why),
        _ => None,
    }) {
        return Some(judgement(Verdict::StepFailed, format!("init could not go on: {why}")));
    }
    match evidence.ending {
        Ending::BootLimit(limit) | Ending::IdleLimit(limit) => {
            Some(judgement(Verdict::TimeLimit, format!("no output for {}{during}", seconds(*limit))))
        }
        Ending::HardLimit(limit) => {
            Some(judgement(Verdict::TimeLimit, format!("not finished after {}{during}", seconds(*limit))))
        }
        Ending::Died(how) => Some(judgement(Verdict::QemuDied, format!("{how}{during}"))),
        _ if !complete(evidence) => Some(judgement(
            Verdict::QemuDied,
            format!("the guest was reset before it had reported the end{during}"),
        )),
        _ if evidence.foreign > 0 => Some(judgement(
            Verdict::StepFailed,
            counted(
                evidence.foreign,
                "line on the verdict port was not of this run",
                "lines on the verdict port were not of this run",
            ),
        )),
        _ => None,
    }
}

/// Whether every step of the plan was reported, and then the end.
fn complete<X>(evidence: &Evidence<'_, X>) -> bool {
    let ended = evidence.events.iter().filter_map(|event| match event {
        Event::StepEnded { index, .. } => Some(*index),
        _ => None,
    });
    ended.eq(0..evidence.plan.steps.len()) && matches!(evidence.events.last(), Some(Event::Finished { .. }))
}

fn passed<X>(evidence: &Evidence<'_, X>) -> String {
    let steps = evidence.plan.steps.len();
    let steps = counted(steps, "step ended", "steps ended");
    format!("{steps} as expected, no complaint in the kernel log")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vm_protocol::{Expect, PlannedStep};

    use super::*;

    fn plan() -> GuestPlan {
        let insert = GuestStep::InsertModule { file: "x.ko".into(), params: String::new() };
        let remove = GuestStep::RemoveModule { name: "x".into(), patience: 0 };
        let steps = [insert, remove].map(|step| PlannedStep { step, expect: Expect::Success });
        GuestPlan { nonce: "n".into(), early: vec![], steps: steps.into(), waits: false }
    }

    fn hello() -> Event {
        Event::Hello { release: "7".into(), tainted: 0, log: vec![] }
    }

    fn ended(index: usize, outcome: StepOutcome, taint_after: u64, log: &[&str]) -> Event {
        let log = log.iter().map(|text| LogLine { level: 3, micros: 0, text: (*text).into() }).collect();
        Event::StepEnded { index, outcome, millis: 1, output: None, log, taint_before: 0, taint_after }
    }

    fn failed(errno: Errno) -> StepOutcome {
        StepOutcome::Failed { errno, message: "x".into(), exit: None }
    }

    fn finished() -> Event {
        Event::Finished { tainted: 0, log: vec![] }
    }

    fn hit(trouble: Trouble, line: &str) -> Hit {
        Hit { trouble, line: line.into(), at_boot: false }
    }

    fn verdict(events: &[Event], hits: &[Hit], ending: &Ending) -> Verdict {
        judge(&Evidence { plan: &plan(), events, hits, excused: false, ending, foreign: 0 }).verdict
    }

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn guests_that_never_came_up() {
        let panic = [hit(Trouble::Panic, "Kernel panic - not syncing: No working init found")];
        let table = [
            (&[][..], Ending::BootLimit(LIMIT), Verdict::NeverUp),
            (&[][..], Ending::IdleLimit(LIMIT), Verdict::NeverUp),
            (&[][..], Ending::Reset, Verdict::NeverUp),
            (&panic[..], Ending::Reset, Verdict::NeverUp),
            (&panic[..], Ending::Trouble, Verdict::NeverUp),
            (&[][..], Ending::Died("no such device".into()), Verdict::QemuDied),
        ];
        for (hits, ending, expected) in table {
            assert_eq!(verdict(&[], hits, &ending), expected, "{ending:?}");
        }
    }

    #[test]
    fn ends_without_complaint() {
        let whole = [
            hello(),
            ended(0, StepOutcome::Done, 4096, &[]),
            ended(1, StepOutcome::Done, 4096, &[]),
            finished(),
        ];
        assert_eq!(verdict(&whole, &[], &Ending::Finished), Verdict::Pass);
        // A step is missing, or the end: nothing is taken for granted.
        assert_eq!(verdict(&[hello(), finished()], &[], &Ending::Finished), Verdict::QemuDied);
        assert_eq!(verdict(&whole[..3], &[], &Ending::Reset), Verdict::QemuDied);
        assert_eq!(verdict(&whole[..2], &[], &Ending::IdleLimit(LIMIT)), Verdict::TimeLimit);
        assert_eq!(verdict(&whole[..2], &[], &Ending::HardLimit(LIMIT)), Verdict::TimeLimit);
        assert_eq!(verdict(&whole[..2], &[], &Ending::Died("signal 9".into())), Verdict::QemuDied);
        let broken = [hello(), Event::Broken { why: "/dev/kmsg".into() }];
        assert_eq!(verdict(&broken, &[], &Ending::Reset), Verdict::StepFailed);
    }

    #[test]
    fn foreign_lines_spoil_a_pass() {
        let events =
            [hello(), ended(0, StepOutcome::Done, 0, &[]), ended(1, StepOutcome::Done, 0, &[]), finished()];
        let evidence = Evidence {
            plan: &plan(),
            events: &events,
            hits: &[],
            excused: false,
            ending: &Ending::Finished,
            foreign: 1,
        };
        assert_eq!(judge(&evidence).verdict, Verdict::StepFailed);
    }

    #[test]
    fn a_program_that_loads_modules_may_be_told_no() {
        let modprobe: GuestStep = GuestStep::Run { program: "/sbin/modprobe".into(), args: vec!["x".into()] };
        let said = "Loading of unsigned module is rejected";
        let log = [LogLine { level: 3, micros: 0, text: said.into() }];
        let refused = (Verdict::ModuleRefused, Some(LoaderRefusal::Unsigned));
        assert_eq!(failed_step(&modprobe, Errno::EIO, &log), refused);
        assert_eq!(failed_step(&modprobe, Errno::EIO, &[]), (Verdict::StepFailed, None));
    }

    #[test]
    fn failed_steps() {
        let unknown = "x: Unknown symbol gone (err -2)";
        let table: &[(usize, Errno, &[&str], Verdict)] = &[
            (0, Errno::ENOEXEC, &["x: version magic 'a' should be 'b'"], Verdict::ModuleRefused),
            (0, Errno::ENOENT, &[unknown], Verdict::ModuleRefused),
            (
                0,
                Errno::EINVAL,
                &["x: disagrees about version of symbol module_layout"],
                Verdict::ModuleRefused,
            ),
            (0, Errno::EKEYREJECTED, &["Loading of unsigned module is rejected"], Verdict::ModuleRefused),
            // The module's own initialisation said so.
            (0, Errno::ENOENT, &[], Verdict::StepFailed),
            (0, Errno::ENODEV, &[], Verdict::StepFailed),
            (1, Errno::EAGAIN, &[], Verdict::Leak),
            (1, Errno::EBUSY, &[], Verdict::Leak),
            (1, Errno::ENOENT, &[], Verdict::StepFailed),
        ];
        for (index, errno, log, expected) in table {
            let events = [hello(), ended(*index, failed(*errno), 0, log), finished()];
            assert_eq!(verdict(&events, &[], &Ending::Finished), *expected, "{index} {errno}");
        }
    }

    #[test]
    fn the_reason_repeats_what_the_kernel_said() {
        let log = ["cargo-kmod: step 0: insmod x.ko", "x: version magic 'a' should be 'b'"];
        let events = [hello(), ended(0, failed(Errno::ENOEXEC), 0, &log), finished()];
        let evidence = Evidence {
            plan: &plan(),
            events: &events,
            hits: &[],
            excused: false,
            ending: &Ending::Finished,
            foreign: 0,
        };
        assert_eq!(
            judge(&evidence).reason,
            "`insmod x.ko`: ENOEXEC: x\n    x: version magic 'a' should be 'b'"
        );
    }

    #[test]
    fn the_reason_repeats_what_came_last() {
        let line = |text: &str| LogLine { level: 6, micros: 0, text: text.to_owned() };
        let mut log: Vec<LogLine> = (0..9).map(|number| line(&format!("tsc: {number}"))).collect();
        log.push(line("Loading of unsigned module is rejected"));
        let said = said(&log);
        assert_eq!(said.lines().count(), 1 + SAID, "{said}");
        assert!(said.ends_with("tsc: 8\n    Loading of unsigned module is rejected"), "{said}");
        assert!(super::said(&log[..2]).ends_with("tsc: 0\n    tsc: 1"));
    }

    #[test]
    fn trouble_comes_before_all_else() {
        let events = [hello(), Event::StepStarted { index: 0 }];
        let hits = [
            hit(Trouble::Warning, "------------[ cut here ]------------"),
            hit(Trouble::Oops, "BUG: kernel NULL pointer dereference"),
            hit(Trouble::Panic, "Kernel panic - not syncing: Attempted to kill init!"),
        ];
        let evidence = Evidence {
            plan: &plan(),
            events: &events,
            hits: &hits,
            excused: false,
            ending: &Ending::Reset,
            foreign: 0,
        };
        let judgement = judge(&evidence);
        assert_eq!(judgement.verdict, Verdict::Oops);
        assert_eq!(judgement.reason, "BUG: kernel NULL pointer dereference (during `insmod x.ko`)");
    }

    #[test]
    fn taint_that_the_log_does_not_explain() {
        let table = [
            (1 << 12 | 1 << 13, Verdict::Pass),
            (1 << 9 | 1 << 12, Verdict::Warning),
            (1 << 7 | 1 << 9, Verdict::Oops),
            (1 << 14, Verdict::Hung),
        ];
        for (mask, expected) in table {
            let events = [
                hello(),
                ended(0, StepOutcome::Done, mask, &[]),
                ended(1, StepOutcome::Done, mask, &[]),
                finished(),
            ];
            assert_eq!(verdict(&events, &[], &Ending::Finished), expected, "{mask:#x}");
        }
        // What was set before the first step is not the module's doing.
        let warned = Event::Hello { release: "7".into(), tainted: 1 << 9, log: vec![] };
        let events = [
            warned,
            ended(0, StepOutcome::Done, 1 << 9, &[]),
            ended(1, StepOutcome::Done, 1 << 9, &[]),
            finished(),
        ];
        assert_eq!(verdict(&events, &[], &Ending::Finished), Verdict::Pass);
    }
}
