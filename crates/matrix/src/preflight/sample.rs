// SPDX-License-Identifier: GPL-2.0
//! A report to look at.

use kmodfile::release::Release;

use super::newer::NewKernel;
use super::preflight_report::{PreflightCell, PreflightReport};
use super::symbol_change::SymbolChange;
use crate::summary::CellState;

/// A kernel that breaks one project of two.
pub(super) fn sample() -> PreflightReport {
    let release = |text: &str| text.parse::<Release>().unwrap();
    let (new, before) = (release("7.2.13+deb14-a"), release("7.2.12+deb14-a"));
    let prototype = SymbolChange::Prototype {
        symbol: "bsg_setup_queue".into(),
        from: "void bsg_setup_queue(int x)".into(),
        to: "void bsg_setup_queue(int x, int y)".into(),
    };
    let gone = SymbolChange::Gone { symbol: "a_b".into(), exporter: "vmlinux".into() };
    let bad = PreflightCell {
        project: "bsg".into(),
        kernel: new.clone(),
        before: before.clone(),
        state: CellState::Failed,
        words: "build failed".into(),
        reason: Some("make failed".into()),
        complaint: Some("bsg.c:9:2: error: too few arguments to function 'bsg_setup_queue'".into()),
        again: Some("cargo kmod build --kernel 7.2.13+deb14-a".into()),
        untried: false,
        failed_before: false,
        changes: vec![gone, prototype],
        notes: vec!["something <is> not known".into()],
    };
    let good = PreflightCell {
        project: "good".into(),
        state: CellState::Passed,
        words: "passed".into(),
        reason: None,
        complaint: None,
        again: None,
        changes: Vec::new(),
        notes: Vec::new(),
        ..bad.clone()
    };
    let kernels = vec![NewKernel { release: new, suite: "sid".into(), before }];
    let mut report = PreflightReport { kernels, cells: vec![bad, good] };
    report.cells[0].put_first_what_failed();
    report
}
