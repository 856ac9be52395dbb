// SPDX-License-Identifier: GPL-2.0
//! The only way to run other programs.
//!
//! A [`Cmd`] is an argument vector, never a shell line. It can be shown as a line to paste, runs
//! with its output captured and streamed, keeps the end of it for the error, ends with its caller,
//! and reports a missing program as such.

mod outputs;

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::failure::{Exit, Failure};
use crate::progress::Report;
use outputs::{Outputs, Stream};

/// Lines of output that an error repeats.
const TAIL_LINES: usize = 25;

/// What a bound command is started through, after the signal that it gets when this program ends
/// (setpriv(1)). That is asked for only once the command's process is there; by then this program
/// may have been killed, and the command have another parent (prctl(2), PR_SET_PDEATHSIG): then
/// nothing is started.
const BOUND: [&str; 4] = ["--", "sh", "-c", r#"[ "$PPID" = "$0" ] || exit 1; exec "$@""#];

/// A program with its arguments, not yet started.
#[derive(Clone, Debug)]
pub struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    envs: Vec<(String, OsString)>,
    secrets: Vec<(String, OsString)>,
    base: &'static [(&'static str, &'static str)],
    clean_env: bool,
    cwd: Option<Utf8PathBuf>,
    log: Option<Utf8PathBuf>,
    limit: Option<Duration>,
    output_limit: Option<u64>,
    input: Option<Vec<u8>>,
    stdin: Option<Arc<File>>,
    /// The process that it ends with, and the signal that it is sent then.
    bound: Option<(u32, &'static str)>,
    /// How the command is shown, where that differs from what is executed: a command inside a
    /// build root is executed through `unshare` but shown as the user would type it there.
    shown: Option<String>,
}

/// How a program ended, and what it printed.
#[derive(Debug)]
pub struct Output {
    /// Its exit status.
    pub status: ExitStatus,
    /// Standard output, whole.
    pub stdout: Vec<u8>,
    /// The last lines of both outputs together.
    pub tail: String,
    /// The first line that a compiler calls an error, if others have pushed it out of the last
    /// ones.
    pub complaint: Option<String>,
}

impl Output {
    /// Standard output as text; bytes that are no UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl Cmd {
    /// A command; `program` is looked up in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            envs: Vec::new(),
            secrets: Vec::new(),
            base: &[],
            clean_env: false,
            cwd: None,
            log: None,
            limit: None,
            output_limit: None,
            input: None,
            stdin: None,
            bound: None,
            shown: None,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable that is never shown: not with `-v`, not in errors, and not in
    /// the arguments of the programs that a command in a build root is started through.
    #[must_use]
    pub fn secret_env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.secrets.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Starts from an empty environment: only what [`Cmd::env`] sets is seen.
    #[must_use]
    pub fn clean_env(mut self) -> Self {
        self.clean_env = true;
        self
    }

    /// Runs in `dir`.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<Utf8PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// Keeps the whole output in `file` as well.
    #[must_use]
    pub fn log(mut self, file: impl Into<Utf8PathBuf>) -> Self {
        self.log = Some(file.into());
        self
    }

    /// Kills the command after `limit`.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Kills the command when it has printed `bytes`.
    #[must_use]
    pub fn output_limit(mut self, bytes: u64) -> Self {
        self.output_limit = Some(bytes);
        self
    }

    /// Feeds `input` to standard input, which is empty by default.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Reads standard input from `file`; its position shows how far the command has read.
    #[must_use]
    pub fn stdin(mut self, file: Arc<File>) -> Self {
        self.stdin = Some(file);
        self
    }

    /// Ends with this program, even when that is killed: the command is sent `signal`, a name as
    /// setpriv(1) takes it, when the thread that started it ends. What is started through it has to
    /// be bound by other means, such as a PID namespace.
    #[must_use]
    pub fn bound(self, signal: &'static str) -> Self {
        self.bound_to(std::process::id(), signal)
    }

    fn bound_to(mut self, parent: u32, signal: &'static str) -> Self {
        self.bound = Some((parent, signal));
        self
    }

    /// Wraps this command: `outer` runs with this command's vector appended to its own. What is
    /// shown stays this command, after `place`; log, limit and input carry over.
    #[must_use]
    pub fn wrapped_in(self, outer: Self, place: &str) -> Self {
        let shown = format!("[{place}] {}", self.line());
        let mut args = outer.args;
        args.push(self.program);
        args.extend(self.args);
        Self {
            program: outer.program,
            args,
            envs: outer.envs,
            secrets: self.secrets,
            base: outer.base,
            clean_env: outer.clean_env,
            cwd: outer.cwd,
            log: self.log,
            limit: self.limit,
            output_limit: self.output_limit,
            input: self.input,
            stdin: self.stdin,
            bound: outer.bound,
            shown: Some(shown),
        }
    }

    /// Starts from exactly `base` instead of this program's environment; what [`Cmd::env`] sets
    /// comes on top. The base is the same for every command in a root and is not shown.
    #[must_use]
    pub fn environment_of(mut self, base: &'static [(&'static str, &'static str)]) -> Self {
        self.clean_env = true;
        self.base = base;
        self
    }

    /// The directory the command runs in, if one was set.
    pub fn dir(&self) -> Option<&Utf8Path> {
        self.cwd.as_deref()
    }

    /// The argument vector that is executed, the program first.
    pub fn vector(&self) -> impl Iterator<Item = &OsStr> {
        std::iter::once(self.program.as_os_str()).chain(self.args.iter().map(OsString::as_os_str))
    }

    /// The environment variables set for the command.
    pub fn environment(&self) -> &[(String, OsString)] {
        &self.envs
    }

    /// The names of the variables that are not shown.
    pub fn secret_names(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(|(name, _)| name.as_str())
    }

    /// The command as a line that can be pasted into a shell.
    pub fn line(&self) -> String {
        if let Some(shown) = &self.shown {
            return shown.clone();
        }
        let dir = self.cwd.iter().map(|dir| format!("cd {} &&", quoted(dir.as_str())));
        let envs =
            self.envs.iter().map(|(name, value)| format!("{name}={}", quoted(&value.to_string_lossy())));
        let words =
            std::iter::once(&self.program).chain(&self.args).map(|word| quoted(&word.to_string_lossy()));
        dir.chain(envs).chain(words).collect::<Vec<_>>().join(" ")
    }

    /// Runs to the end; an exit status other than 0 is an error that repeats the end of the output.
    pub fn run(&self, report: &Report) -> Result<Output> {
        let output = self.finish(report)?;
        if output.status.success() { Ok(output) } else { Err(self.failure(&output)) }
    }

    /// Runs to the end and gives trimmed standard output.
    pub fn read(&self, report: &Report) -> Result<String> {
        Ok(self.run(report)?.text().trim_end().to_owned())
    }

    /// Runs to the end, whatever the exit status.
    pub fn finish(&self, report: &Report) -> Result<Output> {
        self.finish_with(report, |line| report.output_line(line))
    }

    /// Runs to the end, whatever the exit status; hands each line to `on_line` as it comes.
    pub fn finish_with(&self, report: &Report, on_line: impl FnMut(&str)) -> Result<Output> {
        report.command(&self.line());
        let _shown = report.running(&self.line());
        let mut child = self.spawn(Stdio::piped(), Stdio::piped())?;
        if let Some(mut stdin) = child.stdin.take() {
            let input = self.input.clone().unwrap_or_default();
            // A program that ends without reading its input is judged by its exit status.
            thread::spawn(move || stdin.write_all(&input));
        }
        self.collect(child, on_line)
    }

    /// Starts the command with the given outputs.
    pub fn spawn(&self, stdout: Stdio, stderr: Stdio) -> Result<Child> {
        let mut command = self.command();
        let stdin = if self.input.is_some() { Stdio::piped() } else { self.opened_stdin()? };
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        command.spawn().map_err(|error| self.not_started(&error).into())
    }

    fn opened_stdin(&self) -> io::Result<Stdio> {
        self.stdin.as_ref().map_or_else(|| Ok(Stdio::null()), |file| Ok(file.try_clone()?.into()))
    }

    /// Runs with this program's own terminal, for a program that talks to the user.
    pub fn interactive(&self, report: &Report) -> Result<()> {
        report.command(&self.line());
        let status = self.command().status().map_err(|error| self.not_started(&error))?;
        if status.success() {
            return Ok(());
        }
        Err(self.failure(&Output { status, stdout: Vec::new(), tail: String::new(), complaint: None }))
    }

    /// Replaces this program by the command. Returns only when that fails.
    pub fn exec(&self) -> anyhow::Error {
        use std::os::unix::process::CommandExt as _;
        let error = self.command().exec();
        self.not_started(&error).into()
    }

    #[expect(clippy::disallowed_methods, reason = "the only place that starts programs")]
    fn command(&self) -> std::process::Command {
        let mut command = match self.bound {
            None => std::process::Command::new(&self.program),
            Some((parent, signal)) => {
                let mut command = std::process::Command::new("setpriv");
                command.args(["--pdeathsig", signal]).args(BOUND).arg(parent.to_string()).arg(&self.program);
                command
            }
        };
        if self.clean_env {
            command.env_clear().envs(self.base.iter().copied());
        }
        let envs = self.envs.iter().chain(&self.secrets).map(|(name, value)| (name, value));
        command.args(&self.args).envs(envs);
        if let Some(dir) = &self.cwd {
            command.current_dir(dir);
        }
        command
    }

    fn not_started(&self, error: &io::Error) -> Failure {
        let program = match self.bound {
            None => self.program.to_string_lossy().into_owned(),
            Some(_) => "setpriv".to_owned(),
        };
        if error.kind() != io::ErrorKind::NotFound {
            return Failure::new(Exit::Failed, self.line(), format!("cannot be started: {error}"));
        }
        Failure::no_program(&program)
    }

    /// Reads both outputs until the program ends, then its exit status.
    fn collect(&self, child: Child, mut on_line: impl FnMut(&str)) -> Result<Output> {
        let mut log = self.log.as_ref().map(fs_err::File::create).transpose()?;
        let reading = || format!("reading what {} prints", self.line());
        let mut outputs = Outputs::of(child).with_context(reading)?;
        let started = Instant::now();
        let mut stdout = Vec::new();
        let mut tail = VecDeque::new();
        let mut complaint = None;
        let mut length = 0;
        loop {
            let turn = outputs.next().with_context(reading)?;
            for (stream, line) in &turn.lines {
                if let Some(log) = &mut log {
                    log.write_all(line)?;
                }
                let text = String::from_utf8_lossy(line);
                on_line(text.trim_end());
                if tail.len() == TAIL_LINES {
                    let gone: Option<String> = tail.pop_front();
                    complaint = complaint.or(gone.filter(|line| is_complaint(line)));
                }
                tail.push_back(text.into_owned());
                if *stream == Stream::Out {
                    stdout.extend_from_slice(line);
                }
            }
            length += turn.bytes;
            if let Some(failure) = self.exceeded(started.elapsed(), length) {
                return Err(failure.into());
            }
            if let Some(status) = turn.ended {
                return Ok(Output { status, stdout, tail: tail.into_iter().collect(), complaint });
            }
        }
    }

    /// The error for a command that is over one of its limits.
    fn exceeded(&self, elapsed: Duration, length: u64) -> Option<Failure> {
        if let Some(limit) = self.limit.filter(|limit| elapsed > *limit) {
            let reason = format!("not finished after {} s; killed", limit.as_secs());
            return Some(Failure::new(Exit::TimeLimit, self.line(), reason));
        }
        let most = self.output_limit.filter(|most| length >= *most)?;
        Some(Failure::new(Exit::Failed, self.line(), format!("printed more than {most} bytes; killed")))
    }

    /// The error for a command that ended with a status other than 0.
    pub fn failure(&self, output: &Output) -> anyhow::Error {
        let how = match (output.status.code(), output.status.signal()) {
            (Some(code), _) => format!("ended with status {code}"),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => "ended abnormally".to_owned(),
        };
        let mut reason = how;
        if let Some(complaint) = &output.complaint {
            reason.push_str(&format!("; its first error:\n    | {}\n   ", complaint.trim_end()));
        } else if !output.tail.trim().is_empty() {
            reason.push(';');
        }
        if !output.tail.trim().is_empty() {
            reason.push_str(" the end of its output:\n");
            reason.extend(output.tail.lines().map(|line| format!("    | {line}\n")));
        }
        if let Some(log) = &self.log {
            reason.push_str(&format!("    whole output: {log}"));
        }
        Failure::new(Exit::Failed, format!("`{}`", self.line()), reason.trim_end()).into()
    }
}

/// Whether a line is the first of a compiler error (gcc, clang, rustc).
fn is_complaint(line: &str) -> bool {
    let begin = ["error: ", "error[E"].iter().any(|word| line.starts_with(word));
    begin || [": error: ", ": fatal error: "].iter().any(|word| line.contains(word))
}

/// Runs commands at once, each reading what the one before writes. The first that failed is the
/// error.
pub fn pipeline(cmds: &[Cmd], report: &Report) -> Result<()> {
    let line = cmds.iter().map(Cmd::line).collect::<Vec<_>>().join(" | ");
    report.command(&line);
    let _shown = report.running(&line);
    let mut input = cmds.first().map_or_else(|| Ok(Stdio::null()), Cmd::opened_stdin)?;
    let mut children = Vec::new();
    for cmd in cmds {
        let mut command = cmd.command();
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| cmd.not_started(&error))?;
        // The last one's output is read below; all others' goes to their successor.
        input = if children.len() + 1 == cmds.len() {
            Stdio::null()
        } else {
            Stdio::from(child.stdout.take().context("no pipe")?)
        };
        children.push(child);
    }
    let outputs: Vec<_> = cmds
        .iter()
        .zip(
            children
                .into_iter()
                .map(|child| thread::spawn(move || child.wait_with_output()))
                .collect::<Vec<_>>(),
        )
        .map(|(cmd, waiting)| (cmd, waiting.join().expect("a waiting thread does not panic")))
        .collect();
    // A program killed by a broken pipe is not the culprit: the one that closed the pipe is.
    let failed = |output: &std::process::Output| !output.status.success();
    let broken_pipe = |output: &std::process::Output| {
        output.status.signal() == Some(rustix::process::Signal::PIPE.as_raw())
    };
    let mut culprit = None;
    for (cmd, output) in outputs {
        let output = output.with_context(|| format!("waiting for {}", cmd.line()))?;
        if failed(&output) && (culprit.is_none() || !broken_pipe(&output)) {
            culprit = Some((cmd, output));
        }
    }
    let Some((cmd, output)) = culprit else { return Ok(()) };
    let tail = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(cmd.failure(&Output { status: output.status, stdout: Vec::new(), tail, complaint: None }))
}

/// `word` as a POSIX shell would need it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=+:,@%~^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::exit_of;

    fn quiet() -> Report {
        Report::silent()
    }

    #[test]
    fn who_prints_without_end_is_killed() {
        let cmd = Cmd::new("yes").output_limit(1 << 16);
        let error = cmd.finish(&Report::silent()).unwrap_err();
        assert!(error.to_string().contains("printed more than 65536 bytes"), "{error}");
        let silent = Cmd::new("head").args(["--bytes=1000000", "/dev/zero"]).output_limit(1 << 16);
        assert!(silent.finish(&Report::silent()).unwrap_err().to_string().contains("killed"));
        assert!(Cmd::new("echo").arg("x").output_limit(1 << 16).run(&Report::silent()).is_ok());
    }

    #[test]
    fn line_can_be_pasted() {
        let cmd = Cmd::new("make").arg("A=b c").arg("it's").env("X", "1").cwd("/tmp");
        assert_eq!(cmd.line(), r"cd /tmp && X=1 make 'A=b c' 'it'\''s'");
    }

    #[test]
    fn wrapped_command_is_shown_as_typed_inside() {
        let cmd = Cmd::new("make").arg("all").wrapped_in(Cmd::new("unshare").arg("--mount"), "trixie");
        assert_eq!(cmd.line(), "[trixie] make all");
    }

    #[test]
    fn a_secret_reaches_the_program_and_is_never_shown() {
        let cmd = Cmd::new("sh").args(["-c", "echo $PIN; exit 3"]).secret_env("PIN", "hunter2");
        assert_eq!(cmd.finish(&quiet()).unwrap().text(), "hunter2\n");
        let wrapped = cmd.wrapped_in(Cmd::new("env"), "env");
        assert!(wrapped.finish(&quiet()).unwrap().text().contains("hunter2"));
        assert!(!wrapped.line().contains("hunter2"));
        assert!(wrapped.vector().all(|word| word != "hunter2"));
    }

    #[test]
    fn failure_repeats_the_end_of_the_output() {
        let cmd = Cmd::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]);
        let error = cmd.run(&quiet()).unwrap_err().to_string();
        assert!(error.contains("status 3") && error.contains("| out") && error.contains("| err"), "{error}");
    }

    #[test]
    fn missing_program_is_status_three() {
        let error = Cmd::new("no-such-program-here").run(&quiet()).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Missing);
    }

    #[test]
    fn a_bound_command_is_shown_plain_and_not_started_when_its_parent_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("started");
        let cmd = Cmd::new("touch").arg(&file);
        assert!(!cmd.clone().bound_to(1, "KILL").finish(&quiet()).unwrap().status.success());
        assert!(!file.exists());
        let bound = cmd.clone().bound("KILL");
        assert_eq!(bound.line(), cmd.line());
        bound.run(&quiet()).unwrap();
        assert!(file.exists());
    }

    #[test]
    fn limit_kills() {
        let started = Instant::now();
        let cmd = Cmd::new("sleep").arg("60").limit(Duration::from_millis(300));
        assert_eq!(exit_of(&cmd.run(&quiet()).unwrap_err()), Exit::TimeLimit);
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn who_has_ended_is_not_waited_for_because_of_what_it_left() {
        let started = Instant::now();
        let script = "sleep 60 & echo out; echo err >&2; printf 'no end'";
        let output = Cmd::new("sh").args(["-c", script]).run(&quiet()).unwrap();
        assert!(started.elapsed() < Duration::from_secs(30));
        assert_eq!(output.text(), "out\nno end");
        assert!(output.tail.contains("err"), "{}", output.tail);
    }

    #[test]
    fn much_is_read_whole_and_in_order() {
        let count = 200_000;
        let script = format!("seq {count} & seq {count} >&2; wait");
        let output = Cmd::new("sh").args(["-c", &script]).run(&quiet()).unwrap();
        let wanted: String = (1..=count).map(|number| format!("{number}\n")).collect();
        assert!(output.text() == wanted, "{} bytes of {}", output.stdout.len(), wanted.len());
    }

    #[test]
    fn the_first_error_is_shown_however_much_follows_it() {
        let script = |lines: u32| {
            format!("echo a; echo 'x.c:1:2: error: bad'; echo 'x.c:3:4: error: worse'; seq {lines}; exit 1")
        };
        for (lines, wanted) in
            [(100, "its first error:\n    | x.c:1:2: error: bad\n    the end of"), (9, "; the end of")]
        {
            let error = Cmd::new("sh").args(["-c", &script(lines)]).run(&quiet()).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn who_cannot_be_logged_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("process");
        let script = r#"echo $$ > "$FILE"; echo x; exec sleep 60"#;
        let cmd = Cmd::new("sh").args(["-c", script]).env("FILE", &file);
        // The device that is always full.
        let error = cmd.log("/dev/full").finish(&quiet()).unwrap_err();
        assert!(format!("{error:#}").contains("No space"), "{error:#}");
        let process = std::fs::read_to_string(file).unwrap();
        assert!(!std::path::Path::new("/proc").join(process.trim()).exists(), "{process}");
    }

    #[test]
    fn who_closes_its_outputs_is_waited_for() {
        let output =
            Cmd::new("sh").args(["-c", "exec >&- 2>&-; sleep 0.5; exit 3"]).finish(&quiet()).unwrap();
        assert_eq!(output.status.code(), Some(3));
    }

    #[test]
    fn a_pipeline_names_the_one_that_failed() {
        let say = Cmd::new("echo").arg("x");
        pipeline(&[say.clone(), Cmd::new("cat"), Cmd::new("grep").arg("x")], &quiet()).unwrap();
        let error = pipeline(&[say, Cmd::new("cat"), Cmd::new("grep").arg("y")], &quiet()).unwrap_err();
        assert!(error.to_string().starts_with("`grep y`"), "{error}");
    }

    #[test]
    fn input_is_fed_and_output_read() {
        assert_eq!(Cmd::new("cat").input("hello\n").read(&quiet()).unwrap(), "hello");
    }
}
