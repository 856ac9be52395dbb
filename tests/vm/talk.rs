// SPDX-License-Identifier: GPL-2.0
//! Programs and shells of this machine under another kernel (`cargo kmod vm`), and gdb(1) beside.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use camino::Utf8Path;
use kernel::machine::programs::{self, program};
use libtest_mimic::Trial;
use report::Report;
use report::process::Cmd;
use xtask::repository;

use crate::bench::{Bench, Check, trial};

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let checks: &[(&str, Check)] = &[
        ("talk_a_program_runs_under_another_kernel", run),
        ("talk_the_kernels_end_is_the_verdict", panics),
        ("talk_a_shell_has_the_terminal", shell),
        ("talk_gdb_stops_in_the_module", gdb),
        ("talk_what_cannot_be_is_refused", refused),
    ];
    checks.iter().map(|(name, check)| trial(bench, name, *check)).collect()
}

/// The words up to the program, of which `more` are a part.
fn words<'a>(bench: &'a Bench, what: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--yes", "vm", what, "--kernel", bench.prepared.kdir.release().as_str()][..], more].concat()
}

/// Runs a program of the shell's; gives the exit status, and both outputs.
fn sh(bench: &Bench, dir: &Utf8Path, more: &[&str], script: &str) -> Result<(i32, String, String)> {
    let args = words(bench, "run", more);
    let cmd = Cmd::new(env!("CARGO_BIN_EXE_xtask")).args(args).args(["--", "sh", "-c", script]).cwd(dir);
    let output = cmd.finish(&Report::silent())?;
    let status = output.status.code().with_context(|| format!("killed: {}", output.tail))?;
    Ok((status, output.text(), output.tail))
}

/// It sees this machine's files and can write to none but the shared ones; what it prints comes
/// out, byte for byte, and its exit status is heard.
fn run(bench: &Bench) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = Utf8Path::from_path(dir.path()).context("not UTF-8")?.canonicalize_utf8()?;
    let shared = dir.join("shared");
    fs_err::create_dir(&shared)?;
    fs_err::write(dir.join("here"), "this is here\n")?;
    // What the user has in PATH is found there.
    fs_err::write(shared.join("mine"), "#!/bin/sh\necho mine\n")?;
    fs_err::set_permissions(shared.join("mine"), std::fs::Permissions::from_mode(0o755))?;
    let path = format!("{shared}:{}", std::env::var("PATH")?);
    let project = repository().join("tests/vm/seeded");
    let script = "mine; uname -r; pwd; cat here; ls -d /sys/module/seeded_c; echo made > shared/made; \
                  touch here/x here 2>/dev/null || echo kept; touch /usr/x 2>/dev/null || echo kept; \
                  printf 'a\\r\\n\\001\\377'";
    let more = ["--project", project.as_str(), "--share", "shared"];
    let output = Cmd::new(env!("CARGO_BIN_EXE_xtask"))
        .args(words(bench, "run", &more))
        .args(["--", "sh", "-c", script])
        .cwd(&dir)
        .env("PATH", path)
        .finish(&Report::silent())?;
    ensure!(output.status.success(), "{}", output.tail);
    let release = bench.prepared.kdir.release();
    let expected = format!("mine\n{release}\n{dir}\nthis is here\n/sys/module/seeded_c\nkept\nkept\n");
    let expected = [expected.as_bytes(), b"a\r\n\x01\xff"].concat();
    ensure!(output.stdout == expected, "{}: {}", output.text(), output.tail);
    ensure!(fs_err::read_to_string(shared.join("made"))? == "made\n");
    ensure!(!Utf8Path::new("/usr/x").exists());
    let (status, text, tail) =
        sh(bench, &dir, &["--bare", "--smp", "2", "--append", "quiet"], "nproc; cat /proc/cmdline; exit 7")?;
    ensure!(status == 1 && tail.contains("exit status: 7"), "{status}: {tail}");
    ensure!(text.starts_with("2\n") && text.trim_end().ends_with("quiet"), "{text}");
    // What was removed meanwhile is no fault.
    let (status, text, tail) =
        sh(bench, &dir, &["--project", project.as_str()], "rmmod seeded_c && echo gone")?;
    ensure!(status == 0 && text == "gone\n", "{status}: {text}: {tail}");
    Ok(())
}

/// It is that of its own machine: another one of the same directory, which began before and ends
/// after, does not hear of it.
fn panics(bench: &Bench) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = Utf8Path::from_path(dir.path()).context("not UTF-8")?.canonicalize_utf8()?;
    let (up, over) = (dir.join("up"), dir.join("over"));
    let other = "touch up; until test -e over; do sleep 1; done; echo over";
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| sh(bench, &dir, &["--bare", "--share", "."], other));
        while !up.exists() && !beside.is_finished() {
            std::thread::sleep(Duration::from_millis(50));
        }
        let panicked = sh(bench, &dir, &["--bare"], "echo before; echo c > /proc/sysrq-trigger");
        fs_err::write(&over, "")?;
        let (status, text, tail) = beside.join().expect("no panic of ours")?;
        let (panicked, _, its_tail) = panicked?;
        ensure!(panicked == 25 && its_tail.contains("sysrq triggered crash"), "{panicked}: {its_tail}");
        ensure!(status == 0 && text == "over\n", "{status}: {text}: {tail}");
        Ok(())
    })
}

/// Ends with an error when what is waited for does not come.
struct Screen {
    child: std::process::Child,
    keyboard: std::io::PipeWriter,
    text: String,
}

impl Screen {
    /// The command on a terminal that script(1) makes.
    fn of(command: &str) -> Result<Self> {
        let (keys, keyboard) = std::io::pipe()?;
        let cmd = Cmd::new("script").args(["--quiet", "--return", "--command", command, "/dev/null"]);
        let cmd = cmd.env("TERM", "dumb").env("SHELL", "/bin/sh");
        let cmd = cmd.stdin(Arc::new(File::from(OwnedFd::from(keys))));
        let child = cmd.spawn(Stdio::piped(), Stdio::null())?;
        Ok(Self { child, keyboard, text: String::new() })
    }

    /// Reads on until `what` is there, and types `keys`.
    fn answer(&mut self, what: &str, keys: &str) -> Result<()> {
        let mut bytes = [0; 4096];
        while !self.text.contains(what) {
            let length = self.child.stdout.as_mut().context("no output")?.read(&mut bytes)?;
            ensure!(length > 0, "{what:?} did not come: {}", self.text);
            self.text += &String::from_utf8_lossy(&bytes[..length]);
        }
        let at = self.text.find(what).map_or(0, |at| at + what.len());
        self.text.drain(..at);
        Ok(self.keyboard.write_all(keys.as_bytes())?)
    }

    fn end(mut self) -> Result<(i32, String)> {
        let mut rest = Vec::new();
        self.child.stdout.as_mut().context("no output")?.read_to_end(&mut rest)?;
        let text = self.text + &String::from_utf8_lossy(&rest);
        Ok((self.child.wait()?.code().context("killed")?, text))
    }
}

/// What is typed gets there, Ctrl-C ends what runs in the shell and nothing else, and the end of
/// the shell is a pass.
fn shell(bench: &Bench) -> Result<()> {
    let project = repository().join("tests/vm/seeded");
    let more = ["--project", project.as_str()];
    let words = words(bench, "shell", &more).join(" ");
    let mut screen = Screen::of(&format!("{} {words}", env!("CARGO_BIN_EXE_xtask")))?;
    screen.answer("# ", "tty; grep -c seeded_c /proc/modules; echo begun; sleep 100\r")?;
    screen.answer("/dev/hvc0", "")?;
    // Its echo is before, on one line with the rest of what was typed.
    screen.answer("1\r\nbegun", "\x03")?;
    screen.answer("# ", "echo status $?\r")?;
    screen.answer("status 130", "exit 3\r")?;
    let (status, text) = screen.end()?;
    ensure!(status == 0, "{status}: {text}");
    Ok(())
}

/// The command that is said attaches, knows the functions of both, and shows the source.
fn gdb(bench: &Bench) -> Result<()> {
    programs::ensure(&bench.context, &[&[program("gdb", "gdb", "debugs kernels")]])?;
    let dir = tempfile::tempdir()?;
    let dir = Utf8Path::from_path(dir.path()).context("not UTF-8")?;
    let project = repository().join("tests/vm/seeded");
    let args = words(bench, "run", &["--project", project.as_str(), "--gdb", "--share", dir.as_str()]);
    let (log, go) = (bench.logs.join("gdb.log"), dir.join("go"));
    let script = format!("while ! [ -e {go} ]; do sleep 0.2; done; rmmod seeded_c");
    let mut child = Cmd::new(env!("CARGO_BIN_EXE_xtask"))
        .args(args)
        .args(["--", "sh", "-c", &script])
        .spawn(Stdio::null(), File::create(&log)?.into())?;
    let begun = Instant::now();
    let command = loop {
        let text = fs_err::read_to_string(&log)?;
        let said = text.lines().find_map(|line| line.trim().strip_prefix("Debugger "));
        if let Some(command) = said {
            break command.to_owned();
        }
        ensure!(begun.elapsed() < Duration::from_secs(120), "no debugger: {text}");
        ensure!(child.try_wait()?.is_none(), "{text}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let (gdb, args) = command.split_once(' ').context("no command")?;
    let output = Cmd::new(gdb)
        .args(args.split(' '))
        .args(["-batch", "-ex", "break seeded_c_exit", "-ex", &format!("shell touch {go}")])
        .args(["-ex", "continue", "-ex", "backtrace"])
        .args(["-ex", "info symbol do_init_module", "-ex", "detach"])
        .finish(&Report::silent())?;
    let text = output.text();
    for said in
        ["seeded_c_exit () at", "seeded_c.c:", "__do_sys_delete_module", "do_init_module in section .text"]
    {
        ensure!(text.contains(said), "{said}: {text}: {}", output.tail);
    }
    let status = child.wait()?;
    ensure!(status.success(), "{status}: {}", fs_err::read_to_string(&log)?);
    Ok(())
}

fn refused(bench: &Bench) -> Result<()> {
    for (more, status, said) in [
        (&["--bare", "--share", "/"][..], 4, "all of this machine would be open"),
        (&["--bare", "--share", "/nowhere"][..], 3, "there is no such directory"),
        (&["--module", "/nowhere/x.ko"][..], 3, "/nowhere/x.ko"),
    ] {
        let (ended, _, tail) = sh(bench, "/".into(), more, "true")?;
        ensure!(ended == status && tail.contains(said), "{said}: {ended}: {tail}");
    }
    // Nobody is at the other end.
    let output = Cmd::new(env!("CARGO_BIN_EXE_xtask"))
        .args(words(bench, "shell", &["--bare"]))
        .finish(&Report::silent())?;
    ensure!(
        output.status.code() == Some(3) && output.tail.contains("there is no terminal"),
        "{}",
        output.tail
    );
    Ok(())
}
