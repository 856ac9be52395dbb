// SPDX-License-Identifier: GPL-2.0
//! How long the verifier takes for a reply, and the client's own functions for the same bytes.
//! Writes a line a run: what, nanoseconds of the verifier, nanoseconds of the client, with tabs
//! between them. Takes the number of runs.

#[path = "../../../../module/verify/tests/bytes/mod.rs"]
mod bytes;
#[path = "../../../../module/verify/tests/replies/mod.rs"]
mod replies;

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use bytes::{Bytes, entry, interface};
use oracle::{Function, Oracle, Question};
use verify::directory::Class;
use verify::{Asked, Content, Level, Outcome, verify};

/// Nanoseconds that one figure takes to find, about.
const FIGURE: u64 = 200_000_000;

/// Length of the list of entries, in bytes.
const LIST: usize = 64 * 1024;

/// One kind of reply: the message, what it holds if the request tells, and what the client calls
/// for it.
struct Kind {
    what: &'static str,
    message: Vec<u8>,
    content: Option<Content<'static>>,
    questions: Vec<Question>,
}

fn main() -> Result<()> {
    let runs: u32 = std::env::args().nth(1).context("the number of runs")?.parse()?;
    let oracle = Oracle::build()?;
    for kind in kinds() {
        ensure!(kind.is_sound(), "{} is not sound", kind.what);
        ensure!(oracle.ask(&kind.questions)?.iter().all(|answer| *answer >= 0), "{} is refused", kind.what);
        let times = kind.times_in(FIGURE);
        for _ in 0..runs {
            let (ours, theirs) = (kind.ours(times), oracle.time(&kind.questions, times)?.iter().sum::<u64>());
            let each = |nanoseconds: u64| nanoseconds as f64 / f64::from(times);
            println!("{}\t{:.3}\t{:.3}", kind.what, each(ours), each(theirs));
        }
    }
    Ok(())
}

fn kinds() -> Vec<Kind> {
    let question = |function, argument, bytes: &[u8]| Question { function, argument, bytes: bytes.to_vec() };
    let create = replies::reply(&[replies::lease_v2(), replies::on_disk_id()]);
    let entries = entries();
    let directory = Bytes::output(0x0e, &entries).0;
    let interfaces = [interface(152), interface(152), interface(152), interface(0)].concat();
    let ioctl = Bytes::ioctl(0x0014_01fc, &interfaces).0;
    vec![
        Kind {
            what: "CREATE",
            content: None,
            questions: vec![
                question(Function::CheckMessage, 0, &create),
                question(Function::ParseContexts, 0, &create),
            ],
            message: create,
        },
        Kind {
            what: "QUERY_DIRECTORY of 64 KiB",
            content: Some(Content::Directory(Class::Directory)),
            questions: vec![
                question(Function::CheckMessage, 0, &directory),
                question(Function::ValidateOutput, 64, &directory),
                question(Function::CountEntries, 0, &entries),
            ],
            message: directory,
        },
        Kind {
            what: "IOCTL with four interfaces",
            content: None,
            questions: vec![
                question(Function::CheckMessage, 0, &ioctl),
                question(Function::ParseInterfaces, 0, &interfaces),
            ],
            message: ioctl,
        },
    ]
}

/// Entries of a directory, as many as there is room for.
fn entries() -> Vec<u8> {
    let one = |next: usize| {
        let mut one = entry(u32::try_from(next).unwrap_or(0), "a file's name");
        one.resize(one.len().next_multiple_of(8), 0);
        one
    };
    let step = one(0).len();
    [one(step).repeat(LIST / step - 1), one(0)].concat()
}

impl Kind {
    /// The verifier's whole judgement.
    fn is_sound(&self) -> bool {
        let message = black_box(self.message.as_slice());
        let sound = verify(message, Asked::guarded(), Level::Enforce) == Outcome::Sound;
        sound && self.content.is_none_or(|content| content.verify(message, Level::Enforce).is_ok())
    }

    /// Nanoseconds that so many judgements take.
    fn ours(&self, times: u32) -> u64 {
        let started = Instant::now();
        for _ in 0..times {
            black_box(self.is_sound());
        }
        u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// How many judgements can be made in so many nanoseconds.
    fn times_in(&self, nanoseconds: u64) -> u32 {
        let each = self.ours(1000) / 1000;
        u32::try_from(nanoseconds / each.max(1)).unwrap_or(u32::MAX)
    }
}
