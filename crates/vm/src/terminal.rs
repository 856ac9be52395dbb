// SPDX-License-Identifier: GPL-2.0
//! The user's terminal, while a machine has it.

use std::io::{self, IsTerminal as _, Write as _, stdin, stdout};
use std::os::unix::net::UnixListener;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use vm_protocol::TalkedOver;

use crate::connection::connection;
use report::failure::Failure;

/// QEMU connects before it does anything else.
const PATIENCE: Duration = Duration::from_secs(30);

/// Gives the terminal its settings back in the end: QEMU, which changes them, may be killed.
#[derive(Debug)]
pub(crate) struct KeptTerminal(Option<Termios>);

impl KeptTerminal {
    /// As it is now.
    pub(crate) fn now() -> Self {
        Self(tcgetattr(stdin()).ok())
    }
}

impl Drop for KeptTerminal {
    fn drop(&mut self) {
        if let Some(settings) = &self.0 {
            tcsetattr(stdin(), OptionalActions::Now, settings).ok();
        }
    }
}

/// Prints, on standard output, what comes from the first to connect, until that ends.
pub(crate) fn print_from(listener: UnixListener) -> JoinHandle<()> {
    thread::spawn(move || {
        if let Ok(Some(mut stream)) = connection(&listener, PATIENCE) {
            io::copy(&mut stream, &mut io::stdout()).ok();
            io::stdout().flush().ok();
        }
    })
}

/// A terminal of the size of the user's, for a program that talks to them.
///
/// # Errors
///
/// Missing, if there is none.
pub fn of_the_user(what: &str) -> Result<TalkedOver, Failure> {
    if !stdin().is_terminal() || !stdout().is_terminal() {
        let remedy = "run it in a terminal, or without one: cargo kmod vm run -- PROGRAM";
        return Err(Failure::missing(what, "talks to you, and there is no terminal").remedy(remedy));
    }
    let size = tcgetwinsize(stdout()).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
    let (rows, columns) = size.map_or((24, 80), |size| (size.ws_row, size.ws_col));
    Ok(TalkedOver::Terminal { rows, columns })
}
