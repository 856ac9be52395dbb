// SPDX-License-Identifier: GPL-2.0
//! A program that runs beside, QEMU for one: how it ended, and what it said.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};

use crate::verdict::Ending;

/// A program while it runs; killed when dropped, so that no error leaves it behind.
pub(crate) struct ChildProcess {
    /// What messages call it.
    name: &'static str,
    child: Child,
    stderr: Option<JoinHandle<String>>,
}

impl ChildProcess {
    /// Reads along what `child` has to say on its standard error.
    pub(crate) fn watch(name: &'static str, mut child: Child) -> Self {
        let stderr = child.stderr.take().map(|mut pipe| {
            thread::spawn(move || {
                let mut text = Vec::new();
                pipe.read_to_end(&mut text).ok();
                String::from_utf8_lossy(&text).trim_end().to_owned()
            })
        });
        Self { name, child, stderr }
    }

    /// How it ended, if it has ended by itself.
    pub(crate) fn ended(&mut self) -> Result<Option<Ending>> {
        let Some(status) = self.child.try_wait().with_context(|| format!("waiting for {}", self.name))?
        else {
            return Ok(None);
        };
        if status.success() {
            return Ok(Some(Ending::Reset));
        }
        let said = self.stderr.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        Ok(Some(Ending::Died(died(self.name, status, &said))))
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What to say of one that ended with an error.
fn died(name: &str, status: ExitStatus, said: &str) -> String {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("{name} ended with status {code}"),
        (None, Some(signal)) => format!("{name} was killed by signal {signal}"),
        (None, None) => format!("{name} ended abnormally"),
    };
    if said.is_empty() { how } else { format!("{how}: {said}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;
    use std::time::Duration;

    #[test]
    fn qemu_that_dies_says_why() {
        let child = report::process::Cmd::new("sh")
            .args(["-c", "echo 'no such machine' >&2; exit 1"])
            .spawn(Stdio::null(), Stdio::piped())
            .unwrap();
        let mut qemu = ChildProcess::watch("QEMU", child);
        let ending = loop {
            if let Some(ending) = qemu.ended().unwrap() {
                break ending;
            }
            thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(ending, Ending::Died("QEMU ended with status 1: no such machine".into()));
    }
}
