// SPDX-License-Identifier: GPL-2.0
//! Results for people: what was timed, then each limit and whether it was kept.

use crate::bench::Results;
use crate::bench::judgement::{LimitCheck, Outcome, Unit};
use crate::bench::timing::Timing;
use report::table;

/// Both tables.
pub fn shown(results: &Results) -> String {
    let head = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let mut timed = vec![head(&["TIMED", "RUNS", "MEDIAN", "MIN", "MAX"])];
    timed.extend(results.timings.iter().map(timing));
    let mut judged = vec![head(&["LIMITED", "FOUND", "LIMIT", ""])];
    judged.extend(results.judgements.iter().map(judgement));
    format!("{}\n\n{}", table(&timed), table(&judged))
}

fn timing(timing: &Timing) -> Vec<String> {
    let Timing { what, median, min, max, runs } = timing;
    vec![what.clone(), runs.len().to_string(), time(*median), time(*min), time(*max)]
}

fn judgement(judgement: &LimitCheck) -> Vec<String> {
    let value = |value: f64| match judgement.unit {
        Unit::Seconds => time(value),
        Unit::Ratio => format!("{value:.3}"),
        Unit::Megabytes => format!("{value:.1} MB"),
    };
    let said = match judgement.outcome {
        Outcome::Pass => "pass".to_owned(),
        Outcome::Over => "OVER".to_owned(),
        Outcome::Skipped => format!("skipped: {}", judgement.why.as_deref().unwrap_or("unknown")),
    };
    let found = judgement.found.map_or_else(|| "-".to_owned(), value);
    vec![judgement.what.clone(), found, format!("≤ {}", value(judgement.limit)), said]
}

/// Milliseconds below a second, and so on.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1e-6 => format!("{:.1} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.2} s"),
        s => format!("{s:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_are_shown() {
        let ours = Timing::new("ours", vec![0.0071, 0.007]);
        let theirs = Timing::new("theirs", vec![1.5, 2.5]);
        let judgements = vec![
            LimitCheck::seconds(&ours, 0.15),
            LimitCheck::ratio(&ours, &theirs, 0.001),
            LimitCheck::skipped("ours / others", 0.25, "they cannot be had".to_owned()),
        ];
        let results = Results { timings: vec![ours, theirs], judgements };
        assert_eq!(
            shown(&results),
            "\
TIMED   RUNS  MEDIAN  MIN     MAX
ours    2     7 ms    7 ms    7 ms
theirs  2     2.00 s  1.50 s  2.50 s

LIMITED        FOUND  LIMIT
ours           7 ms   ≤ 150 ms  pass
ours / theirs  0.004  ≤ 0.001   OVER
ours / others  -      ≤ 0.250   skipped: they cannot be had"
        );
    }
}
