// SPDX-License-Identifier: GPL-2.0
//! Several things done at the same time.

use std::sync::Mutex;

use anyhow::Result;
use report::Report;

/// Does `work` for each of `items`, for at most `workers` of them at a time, in their order; gives
/// what came of each, in the same order. With one item no thread is started.
pub fn each<T: Sync, R: Send>(items: &[T], workers: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if let [one] = items {
        return vec![work(one)];
    }
    let waiting = Mutex::new(items.iter().enumerate());
    let done = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("no worker panics with the lock").next();
                    let Some((number, item)) = next else { return };
                    let result = work(item);
                    done.lock().expect("no worker panics with the lock").push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("all workers have ended");
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// What came out well, and the first failure, with which the command is to end; further ones are
/// shown as warnings. So a bad one neither stops nor hides the others.
pub fn parted<R>(results: Vec<Result<R>>, report: &Report) -> (Vec<R>, Option<anyhow::Error>) {
    let (mut good, mut first_error) = (Vec::with_capacity(results.len()), None);
    for result in results {
        match result {
            Ok(one) => good.push(one),
            Err(error) if first_error.is_none() => first_error = Some(error),
            Err(error) => report.warn(&format!("{error:#}")),
        }
    }
    (good, first_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn results_come_in_the_order_of_the_items_however_long_each_takes() {
        // The first cannot end before the second has begun.
        let both = Barrier::new(2);
        let work = |item: &u32| {
            if *item < 2 {
                both.wait();
            }
            item * 10
        };
        assert_eq!(each(&[0, 1, 2, 3], 2, work), [0, 10, 20, 30]);
        assert_eq!(each(&[7], 0, |item| item + 1), [8]);
        assert!(each(&[], 4, |item: &u32| *item).is_empty());
    }

    #[test]
    fn no_more_are_at_work_than_there_are_workers() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        each(&[(); 50], 3, |()| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
        });
        assert!(most.into_inner() <= 3);
    }
}
