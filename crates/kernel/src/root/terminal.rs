// SPDX-License-Identifier: GPL-2.0
//! A program in a root that talks to the user, such as menuconfig.
//!
//! Whatever has the user's terminal can type into it (`TIOCSTI`), and so into the shell that comes
//! after. The program gets a pseudoterminal instead, which ends with it, and this program passes on
//! what is typed and what is shown (pty(7)).

use std::fs::File;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Child;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::context::Context;
use crate::root::access::Access;
use crate::root::provided::Root;
use report::failure::Failure;
use report::process::{Cmd, Output};

/// How often the size of the user's terminal is looked at.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Terminals that every root knows how to write to.
const USUAL: &str = "xterm-256color";

/// Refuses what talks to the user where there is nobody.
pub(crate) fn require(what: &str) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::missing(what, "talks to you, and there is no terminal").remedy("run it in a terminal"))
}

/// Runs `cmd` in `root` on a terminal of its own, and passes on between that and the user's.
pub(crate) fn converse(context: &Context, root: &Root, cmd: Cmd, access: &Access) -> Result<()> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags).context("opening a terminal")?;
    grantpt(&ours).and_then(|()| unlockpt(&ours)).context("opening a terminal")?;
    let theirs = File::from(ioctl_tiocgptpeer(&ours, flags).context("opening a terminal")?);
    let term = std::env::var("TERM").ok().filter(|term| is_known(root, term));
    let cmd = cmd.env("TERM", term.as_deref().unwrap_or(USUAL));
    let cmd = root.on_terminal(context, cmd, access);
    context.report.command(&cmd.line());
    let (out, err) = (theirs.try_clone()?, theirs.try_clone()?);
    // What was spawned has it; the copies here must not keep it open.
    let mut child = cmd.clone().stdin(Arc::new(theirs)).spawn(out.into(), err.into())?;
    let passed = Raw::of_user().and_then(|_raw| pass_on(File::from(ours), &mut child));
    let status = child.wait()?;
    passed?;
    if status.success() {
        return Ok(());
    }
    Err(cmd.failure(&Output { status, stdout: Vec::new(), tail: String::new(), complaint: None }))
}

/// Whether programs in `root` can write to a terminal of this kind (terminfo(5)).
fn is_known(root: &Root, term: &str) -> bool {
    let Some(tree) = root.tree() else { return true };
    let Some(first) = term.chars().next().filter(|_| !term.contains('/')) else { return false };
    let places = ["etc/terminfo", "lib/terminfo", "usr/lib/terminfo", "usr/share/terminfo"];
    places.iter().any(|place| tree.tree().join(place).join(first.to_string()).join(term).exists())
}

/// Passes on until the program has ended and all that it showed is shown.
fn pass_on(mut ours: File, child: &mut Child) -> Result<()> {
    let (mut stdin, mut stdout) = (std::io::stdin(), std::io::stdout());
    let keyboard: OwnedFd = stdin.as_fd().try_clone_to_owned()?;
    let mut buffer = [0; 8192];
    let mut typing = true;
    loop {
        if let Ok(size) = tcgetwinsize(&keyboard) {
            tcsetwinsize(&ours, size).ok();
        }
        let (shown, typed) = {
            let mut fds = vec![PollFd::new(&ours, PollFlags::IN)];
            fds.extend(typing.then(|| PollFd::new(&keyboard, PollFlags::IN)));
            match poll(&mut fds, Some(&TICK)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("waiting for the terminal"),
            }
            (!fds[0].revents().is_empty(), fds.get(1).is_some_and(|fd| !fd.revents().is_empty()))
        };
        if shown {
            // With an error once nobody has the other end open.
            match ours.read(&mut buffer) {
                Ok(0) | Err(_) => return Ok(()),
                Ok(length) => stdout.write_all(&buffer[..length]).and_then(|()| stdout.flush())?,
            }
        } else if child.try_wait()?.is_some() {
            return Ok(());
        }
        if typed {
            let length = stdin.read(&mut buffer)?;
            typing = length > 0;
            ours.write_all(&buffer[..length])?;
        }
    }
}

/// The user's terminal, as long as each key is passed on as it is; then as it was.
struct Raw(Termios);

impl Raw {
    fn of_user() -> Result<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).context("asking how the terminal is set")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw).context("setting the terminal")?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;
    use report::Report;
    use report::cache::Cache;

    /// Set where the test runs itself on a terminal: a directory for a cache.
    const ON_A_TERMINAL: &str = "CARGO_KMOD_TEST_TERMINAL";

    #[test]
    fn a_program_gets_a_terminal_of_its_own_and_the_users_is_as_before() {
        if let Ok(dir) = std::env::var(ON_A_TERMINAL) {
            return inner(Utf8Path::new(&dir));
        }
        let dir = tempfile::tempdir().unwrap();
        let test = std::env::current_exe().unwrap();
        let name = "root::terminal::tests::a_program_gets_a_terminal_of_its_own_and_the_users_is_as_before";
        let line = format!("echo outer=$(tty); {} --exact {name} --nocapture; stty -a", test.display());
        let cmd = Cmd::new("script").args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        let output = cmd.env(ON_A_TERMINAL, dir.path()).input("typed\n").run(&Report::silent()).unwrap();
        let text = output.text().replace('\r', "");
        let said = |word: &str| {
            let line = text.lines().find_map(|line| line.split_once(word));
            line.unwrap_or_else(|| panic!("{word}: {text}")).1.to_owned()
        };
        assert_eq!(said("got="), "typed");
        assert!(said("inner=").starts_with("/dev/pts/") && said("inner=") != said("outer="), "{text}");
        assert_eq!(said("own="), "0", "its terminal is not its own: {text}");
        // As the shell needs it.
        assert!(text.contains(" icanon") && !text.contains("-icanon"), "{text}");
    }

    fn inner(dir: &Utf8Path) {
        let context = Context::new(Report::silent(), Cache::at(dir).unwrap(), "/nonexistent".into());
        let script = "read -r x; echo got=$x; echo inner=$(tty <&0); : </dev/tty; echo own=$?";
        let cmd = Cmd::new("sh").args(["-c", script]);
        converse(&context, &Root::Host, cmd, &Access::default()).unwrap();
    }
}
