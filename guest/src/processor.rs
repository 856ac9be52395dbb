// SPDX-License-Identifier: GPL-2.0
//! What opening files takes of the processor, in whatever task it is done.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Long enough for every task to be done with what it was woken for, and for the kernel to write
/// down how long that took.
const PAUSE: Duration = Duration::from_millis(50);

/// Opens and closes the files 0 to `count` in `directory`, and gives the nanoseconds that all tasks
/// together ran meanwhile, the kernel's own among them.
pub(crate) fn open_files(directory: &str, count: u32) -> io::Result<String> {
    let before = all_tasks()?;
    for number in 0..count {
        File::open(Path::new(directory).join(number.to_string()))?;
    }
    Ok(all_tasks()?.saturating_sub(before).to_string())
}

/// How long all tasks that are there have run, in nanoseconds (proc_pid_schedstat(5)).
fn all_tasks() -> io::Result<u64> {
    thread::sleep(PAUSE);
    let mut sum = 0;
    for process in fs::read_dir("/proc")? {
        let Ok(tasks) = fs::read_dir(process?.path().join("task")) else { continue };
        for task in tasks {
            // A task may end meanwhile.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            sum += ran(&text).ok_or_else(|| io::Error::other(format!("no schedstat: {text:?}")))?;
        }
    }
    Ok(sum)
}

/// The first number in a `schedstat`.
fn ran(text: &str) -> Option<u64> {
    text.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_a_task_ran_comes_first() {
        assert_eq!(ran("123456789 42 7\n"), Some(123_456_789));
        assert_eq!(ran(""), None);
    }
}
