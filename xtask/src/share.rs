// SPDX-License-Identifier: GPL-2.0
//! A real Samba server for as long as it is needed: on loopback, with a configuration of its own,
//! beside and without touching a Samba that the machine may run already.

use kernel::machine::programs::{Program, program};
use kernel::machine::user;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use kernel::machine::programs;
use report::Report;
use report::failure::{Exit, Failure};
use report::process::Cmd;

/// What the share needs of this machine.
pub const PROGRAMS: &[Program] = &[
    program("smbd", "samba", "the SMB server of the demo").in_rpms("samba", "samba"),
    program("pdbedit", "samba", "a user of that server, for the tests"),
];

/// The name of the one share.
pub const NAME: &str = "demo";

/// Mount options that suit it: nobody logs in.
pub const OPTIONS: &str = "vers=3.1.1,sec=none";

/// How long smbd may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Somebody whom a server knows.
#[derive(Clone, Debug)]
pub struct Account {
    /// The name.
    pub name: String,
    /// The password; made up, and nobody else's.
    pub password: String,
}

impl Account {
    /// Mount options with which the kernel logs in.
    pub fn options(&self) -> String {
        format!("sec=ntlmssp,username={},password={}", self.name, self.password)
    }
}

/// A running server with one share that guests may write to. Stopped when dropped.
#[derive(Debug)]
pub struct Share {
    dir: TempDir,
    port: u16,
    server: Child,
}

impl Share {
    /// Starts the server and waits until it answers.
    pub fn serve(report: &Report) -> Result<Self> {
        Self::serve_as(report, &[])
    }

    /// The same, with further shares of the same directory: the name of each, and an option of
    /// smb.conf(5).
    pub fn serve_as(report: &Report, further: &[(&str, &str)]) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("cifs-fix-share-")
            .tempdir()
            .context("making a directory to share")?;
        let path =
            Utf8Path::from_path(dir.path()).context("a temporary directory with a name that is no UTF-8")?;
        // smbd drops to the guest account to serve; that account must be able to walk in, no more.
        open_to(path, 0o711)?;
        let port = free_port()?;
        lay_out(path, port, further)?;
        let smbd = programs::find("smbd").ok_or_else(|| Failure::no_program("smbd"))?;
        let cmd = Cmd::new(smbd)
            .bound("TERM")
            // In a process group of its own, which smbd makes: when it ends it signals its whole
            // group.
            .args(["--foreground", "--configfile"])
            .arg(path.join("smb.conf"));
        report.command(&cmd.line());
        let server = cmd.spawn(Stdio::null(), Stdio::null())?;
        let mut share = Self { dir, port, server };
        share.wait_until_it_answers()?;
        Ok(share)
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The shared directory.
    pub fn files(&self) -> Utf8PathBuf {
        self.path().join("files")
    }

    /// Makes an account for this process's user, with a password of its own, in the server's
    /// private database. Who logs in can have messages signed and encrypted; guests cannot.
    pub fn add_account(&self, report: &Report) -> Result<Account> {
        let account = Account { name: user_name()?, password: password()? };
        let pdbedit = programs::find("pdbedit").ok_or_else(|| Failure::no_program("pdbedit"))?;
        Cmd::new(pdbedit)
            .args(["--create", "--password-from-stdin", "--user", account.name.as_str(), "--configfile"])
            .arg(self.path().join("smb.conf"))
            .input(format!("{0}\n{0}\n", account.password))
            .run(report)?;
        Ok(account)
    }

    /// The server's version, such as `Version 4.17.12-Debian`.
    pub fn version(report: &Report) -> Result<String> {
        let smbd = programs::find("smbd").ok_or_else(|| Failure::no_program("smbd"))?;
        Cmd::new(smbd).arg("--version").read(report)
    }

    fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.dir.path()).expect("checked when it was made")
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let started = Instant::now();
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            if let Some(status) = self.server.try_wait()? {
                return Err(self.failure(&format!("ended at once ({status})")));
            }
            if started.elapsed() > START_LIMIT {
                return Err(self.failure(&format!("did not answer within {} s", START_LIMIT.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn failure(&self, what: &str) -> anyhow::Error {
        let log = fs_err::read_to_string(self.path().join("log")).unwrap_or_default();
        let tail = log.lines().rev().take(15).collect::<Vec<_>>().into_iter().rev();
        let tail = tail.map(|line| format!("\n    | {line}")).collect::<String>();
        Failure::new(Exit::Failed, "smbd", format!("{what}; the end of its log:{tail}")).into()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // smbd ends the processes it made, one a connection, when it is asked to end, not when it
        // is killed.
        let pid = rustix::process::Pid::from_child(&self.server);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        let started = Instant::now();
        while matches!(self.server.try_wait(), Ok(None)) {
            if started.elapsed() > Duration::from_secs(5) {
                self.server.kill().ok();
                self.server.wait().ok();
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A port of loopback that is free now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("finding a free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

fn open_to(dir: &Utf8Path, mode: u32) -> Result<()> {
    Ok(fs_err::set_permissions(dir, std::fs::Permissions::from_mode(mode))?)
}

fn lay_out(dir: &Utf8Path, port: u16, further: &[(&str, &str)]) -> Result<()> {
    for part in ["files", "private", "state", "ncalrpc"] {
        fs_err::create_dir(dir.join(part))?;
    }
    // Below a directory whose name nobody knows; the guest account writes here.
    open_to(&dir.join("files"), 0o777)?;
    let account = if user::is_root() { "nobody".to_owned() } else { user_name()? };
    let further = further.iter().map(|(name, option)| section(dir, name, option));
    let text = configuration(dir, port, &account) + &further.collect::<String>();
    Ok(fs_err::write(dir.join("smb.conf"), text)?)
}

/// A password nobody can guess, of letters and digits.
fn password() -> Result<String> {
    let mut random = [0; 16];
    fs_err::File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// This user's name in the password database.
fn user_name() -> Result<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let passwd = fs_err::read_to_string("/etc/passwd")?;
    let name = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    };
    passwd.lines().find_map(name).with_context(|| format!("user {uid} has no name in /etc/passwd"))
}

/// smb.conf(5): everything the server writes is in `dir`, and it listens on loopback only.
fn configuration(dir: &Utf8Path, port: u16, account: &str) -> String {
    format!(
        "[global]
    server role = standalone server
    interfaces = 127.0.0.1
    bind interfaces only = yes
    smb ports = {port}
    disable netbios = yes
    disable spoolss = yes
    load printers = no
    map to guest = Bad User
    guest account = {account}
    server min protocol = SMB2_02
    private dir = {dir}/private
    lock directory = {dir}/state
    state directory = {dir}/state
    cache directory = {dir}/state
    pid directory = {dir}/state
    ncalrpc dir = {dir}/ncalrpc
    log file = {dir}/log
    log level = 1
{}",
        section(dir, NAME, "read only = no")
    )
}

/// A share of `dir`'s files that guests may use.
fn section(dir: &Utf8Path, name: &str, option: &str) -> String {
    format!("\n[{name}]\n    path = {dir}/files\n    guest ok = yes\n    {option}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stays_in_the_directory_and_on_loopback() {
        let text = configuration(Utf8Path::new("/t/x"), 4455, "nobody");
        let paths = text.lines().filter_map(|line| line.split_once("= /")).map(|(_, path)| path);
        assert!(paths.clone().count() >= 7 && paths.clone().all(|path| path.starts_with("t/x")), "{text}");
        assert!(
            text.contains("interfaces = 127.0.0.1\n    bind interfaces only = yes\n    smb ports = 4455")
        );
    }

    #[test]
    fn this_user_has_a_name() {
        assert!(!user_name().unwrap().is_empty());
    }
}
