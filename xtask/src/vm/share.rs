// SPDX-License-Identifier: GPL-2.0
//! An SMB server for the guest: smbd with a configuration and state of its own, on the loopback interface only.
//!
//! It shares nothing with a Samba that the machine may run, needs no privileges, and anyone on this machine may read and write the one
//! directory it serves, which is empty and temporary.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::failure::{Exit, Failure};
use crate::machine::programs;
use crate::process::Cmd;
use crate::report::Report;

/// The name of the share.
pub const NAME: &str = "share";

/// Mount options that suit it: nobody logs in.
pub const OPTIONS: &str = "vers=3.1.1,sec=none";

/// How long smbd may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; it ends when this is dropped, and its files go.
#[derive(Debug)]
pub struct Share {
    smbd: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Share {
    /// Starts a server on a free port, and waits until it listens.
    ///
    /// # Errors
    ///
    /// Missing, if there is no smbd; its log is repeated if it does not come up.
    pub fn serve(report: &Report) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("smb-").tempdir()?;
        let base = Utf8Path::from_path(dir.path()).context("the temporary directory's path is no UTF-8")?;
        for sub in ["state", "ncalrpc", NAME] {
            fs_err::create_dir(base.join(sub))?;
        }
        let port = free_port()?;
        fs_err::write(base.join("smb.conf"), configuration(base, port))?;
        let smbd = programs::find("smbd").ok_or_else(|| programs::not_found("smbd"))?;
        // When smbd ends it signals its whole process group, which must not be ours: hence setsid, which does not
        // fork here, so that the process is still the child that is waited for.
        let cmd = Cmd::new("setsid")
            .args(["setpriv", "--pdeathsig", "TERM", "--", smbd.as_str()])
            .args(["--foreground", "--no-process-group"])
            .args(["--configfile", base.join("smb.conf").as_str()]);
        report.command(&cmd.line());
        let mut share = Self { smbd: cmd.spawn(Stdio::null(), Stdio::null())?, port, dir };
        share.wait()?;
        Ok(share)
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory it serves.
    pub fn dir(&self) -> Utf8PathBuf {
        Utf8Path::from_path(self.dir.path()).expect("was UTF-8 when it was made").join(NAME)
    }

    fn wait(&mut self) -> Result<()> {
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let ended = self.smbd.try_wait()?;
            if ended.is_some() || started.elapsed() > PATIENCE {
                let log = fs_err::read(self.dir.path().join("log.smbd")).unwrap_or_default();
                let how = ended.map_or("does not listen".to_owned(), |status| format!("ended: {status}"));
                let reason = format!("{how}\n{}", String::from_utf8_lossy(&log).trim_end());
                return Err(Failure::new(Exit::Failed, "smbd", reason).into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // smbd ends the processes it made, one a connection, when it is asked to end, not when it is killed.
        let asked = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.smbd),
            rustix::process::Signal::TERM,
        );
        let started = Instant::now();
        while asked.is_ok()
            && started.elapsed() < Duration::from_secs(3)
            && matches!(self.smbd.try_wait(), Ok(None))
        {
            thread::sleep(Duration::from_millis(10));
        }
        self.smbd.kill().ok();
        self.smbd.wait().ok();
    }
}

/// A port that nothing listens on at this moment.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// smb.conf(5): everything smbd writes is below `base`.
fn configuration(base: &Utf8Path, port: u16) -> String {
    let user = if programs::is_root() { "root" } else { "nobody" };
    format!(
        "[global]
private dir = {base}/state
lock directory = {base}/state
state directory = {base}/state
cache directory = {base}/state
pid directory = {base}/state
ncalrpc dir = {base}/ncalrpc
log file = {base}/log.smbd
smb ports = {port}
interfaces = 127.0.0.1
bind interfaces only = yes
disable netbios = yes
disable spoolss = yes
load printers = no
server role = standalone server
map to guest = bad user
guest account = {user}
server min protocol = SMB2_10

[{NAME}]
path = {base}/{NAME}
guest ok = yes
read only = no
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_below_the_base() {
        let text = configuration(Utf8Path::new("/base"), 4455);
        assert!(text.contains("smb ports = 4455") && text.contains("interfaces = 127.0.0.1"));
        for line in text.lines().filter(|line| line.contains(" dir") || line.starts_with("path")) {
            assert!(line.contains("= /base/"), "{line}");
        }
    }
}
