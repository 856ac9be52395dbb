// SPDX-License-Identifier: GPL-2.0
//! What is to be done next: kernels that are to be prepared, cells that wait, and the memory that
//! is left for them. Decisions only; who does them is elsewhere.

use std::collections::{BTreeMap, VecDeque};

use kmodfile::release::Release;

use crate::run::unprepared::Unprepared;

/// What a kernel is to those who wait for it.
#[derive(Clone, Debug)]
pub(super) enum KernelState {
    /// Modules can be built for it, or need not be.
    Ready,
    /// It is to be prepared first.
    Waiting,
    /// That is under way.
    Preparing,
    /// It cannot be.
    Failed(Unprepared),
}

/// A cell that waits: its number in the plan, its kernel, and what it takes.
#[derive(Clone, Debug)]
pub(super) struct WaitingCell {
    pub(super) number: usize,
    pub(super) kernel: Release,
    /// MiB.
    pub(super) memory: u64,
}

/// What somebody is to do.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// Prepare a kernel.
    Prepare(Release),
    /// Run a cell.
    Run(WaitingCell),
    /// Say of a cell that its kernel could not be prepared.
    GiveUp(WaitingCell, Unprepared),
}

/// What there is to do now.
#[derive(Clone, Debug)]
pub(super) enum Next {
    /// This.
    Job(Job),
    /// Nothing until something else has ended.
    Wait,
    /// Nothing any more.
    Over,
}

/// All that waits and runs.
#[derive(Debug)]
pub(super) struct Board {
    cells: VecDeque<WaitingCell>,
    kernels: BTreeMap<Release, KernelState>,
    /// MiB that nobody has.
    memory: u64,
    running: usize,
    /// Kernels that may be prepared at the same time.
    preparing_at_once: usize,
    /// MiB that preparing takes.
    preparing_memory: u64,
}

impl Board {
    pub(super) fn new(
        cells: Vec<WaitingCell>,
        kernels: BTreeMap<Release, KernelState>,
        memory: u64,
        preparing_at_once: usize,
        preparing_memory: u64,
    ) -> Self {
        Self { cells: cells.into(), kernels, memory, running: 0, preparing_at_once, preparing_memory }
    }

    /// What to do next. A job that is given counts as running until [`Board::ended`].
    pub(super) fn next(&mut self) -> Next {
        if let Some(release) = self.to_prepare() {
            self.kernels.insert(release.clone(), KernelState::Preparing);
            self.take(self.preparing_memory);
            return Next::Job(Job::Prepare(release));
        }
        let ready = |cell: &WaitingCell| {
            let state = self.kernels.get(&cell.kernel).unwrap_or(&KernelState::Ready);
            matches!(state, KernelState::Ready | KernelState::Failed(_)) && self.fits(cell.memory)
        };
        if let Some(at) = self.cells.iter().position(ready) {
            let cell = self.cells.remove(at).expect("it has a place there");
            self.take(cell.memory);
            return Next::Job(match self.kernels.get(&cell.kernel) {
                Some(KernelState::Failed(why)) => Job::GiveUp(cell, why.clone()),
                _ => Job::Run(cell),
            });
        }
        if self.cells.is_empty() { Next::Over } else { Next::Wait }
    }

    /// The next kernel that a cell waits for. Of machines with few processors one at a time keeps
    /// all of them busy.
    fn to_prepare(&self) -> Option<Release> {
        let preparing = |state: &&KernelState| matches!(state, KernelState::Preparing);
        if !self.kernels.values().any(|state| matches!(state, KernelState::Waiting)) {
            return None;
        }
        if self.kernels.values().filter(preparing).count() >= self.preparing_at_once
            || !self.fits(self.preparing_memory)
        {
            return None;
        }
        let waits =
            |cell: &&WaitingCell| matches!(self.kernels.get(&cell.kernel), Some(KernelState::Waiting));
        self.cells.iter().find(waits).map(|cell| cell.kernel.clone())
    }

    /// Whether there is memory for it; one job is always tried, however little there is.
    fn fits(&self, memory: u64) -> bool {
        self.running == 0 || memory <= self.memory
    }

    fn take(&mut self, memory: u64) {
        self.running += 1;
        self.memory = self.memory.saturating_sub(memory);
    }

    fn give_back(&mut self, memory: u64) {
        self.running -= 1;
        self.memory = self.memory.saturating_add(memory);
    }

    /// A cell has ended.
    pub(super) fn ended(&mut self, cell: &WaitingCell) {
        self.give_back(cell.memory);
    }

    /// A kernel was prepared, or cannot be.
    pub(super) fn prepared(&mut self, release: Release, result: Result<(), Unprepared>) {
        self.give_back(self.preparing_memory);
        let state = result.map_or_else(KernelState::Failed, |()| KernelState::Ready);
        self.kernels.insert(release, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        text.parse().unwrap()
    }

    fn board(cells: &[(&str, u64)], waiting: &[&str], memory: u64) -> Board {
        let cells = cells.iter().enumerate().map(|(number, (kernel, memory))| WaitingCell {
            number,
            kernel: release(kernel),
            memory: *memory,
        });
        let kernels = waiting.iter().map(|kernel| (release(kernel), KernelState::Waiting)).collect();
        Board::new(cells.collect(), kernels, memory, 1, 100)
    }

    fn shown(next: &Next) -> String {
        match next {
            Next::Job(Job::Prepare(release)) => format!("prepare {release}"),
            Next::Job(Job::Run(cell)) => format!("run {}", cell.number),
            Next::Job(Job::GiveUp(cell, why)) => format!("give up {}: {}", cell.number, why.reason),
            Next::Wait => "wait".to_owned(),
            Next::Over => "over".to_owned(),
        }
    }

    fn run(next: Next) -> WaitingCell {
        match next {
            Next::Job(Job::Run(cell) | Job::GiveUp(cell, _)) => cell,
            other => panic!("{}", shown(&other)),
        }
    }

    #[test]
    fn what_is_ready_runs_while_a_kernel_is_prepared() {
        let mut board = board(&[("6.1-a", 1), ("6.2-b", 1), ("6.3-c", 1)], &["6.1-a", "6.3-c"], 1000);
        assert_eq!(shown(&board.next()), "prepare 6.1-a");
        assert_eq!(shown(&board.next()), "run 1");
        assert_eq!(shown(&board.next()), "wait");
        board.prepared(release("6.1-a"), Ok(()));
        assert_eq!(shown(&board.next()), "prepare 6.3-c");
        assert_eq!(shown(&board.next()), "run 0");
        let why = Unprepared { status: 4, reason: "no".into(), remedy: None, again: String::new() };
        board.prepared(release("6.3-c"), Err(why));
        assert_eq!(shown(&board.next()), "give up 2: no");
        assert_eq!(shown(&board.next()), "over");
    }

    #[test]
    fn memory_is_counted_and_one_is_always_tried() {
        let mut board = board(&[("6.1-a", 700), ("6.2-b", 700), ("6.3-c", 200)], &[], 1000);
        let first = run(board.next());
        assert_eq!(first.number, 0);
        let small = run(board.next());
        assert_eq!(small.number, 2, "the second does not fit, the third does");
        assert_eq!(shown(&board.next()), "wait");
        board.ended(&first);
        assert_eq!(shown(&board.next()), "run 1");
        let mut poor = self::board(&[("6.1-a", 700), ("6.2-b", 700)], &[], 0);
        let one = run(poor.next());
        assert_eq!(shown(&poor.next()), "wait");
        poor.ended(&one);
        assert_eq!(shown(&poor.next()), "run 1");
    }
}
