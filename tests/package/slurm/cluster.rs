// SPDX-License-Identifier: GPL-2.0
//! A cluster of its own for a trial: all that it has is in one directory and on the loopback
//! address, and ends with the trial.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use kernel::machine::programs;
use matrix::plan::{Cell, Plan, PlannedKernel, PlannedProject};
use matrix::results::ResultsDir;
use matrix::step::CellStep;
use matrix::summary::{CellState, Summary};
use report::Report;
use report::process::Cmd;
use rustix::process::{Pid, Signal, kill_process};
use xtask::commands::test::SLURM;

use crate::suite::{Suite, run, scratch, tool};

/// Nodes of it.
const NODES: usize = 4;

/// So long anything may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running cluster, and a directory that all its nodes see.
pub(super) struct Cluster {
    _dir: tempfile::TempDir,
    pub(super) dir: Utf8PathBuf,
    daemons: BTreeMap<String, Child>,
}

/// Waits until `is` holds.
pub(super) fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Cluster {
    /// Starts one, and waits until all its nodes are idle.
    pub(super) fn start(suite: &Suite) -> Self {
        Self::start_with(suite, |_, slurmd| slurmd)
    }

    /// The same, with each node's daemon started as `node` has it.
    pub(super) fn start_with(suite: &Suite, node: impl Fn(&Self, Cmd) -> Cmd) -> Self {
        // So few tasks in an array that a few kernels are several.
        Self::start_of(suite, 5, node)
    }

    /// The same, with arrays of so many tasks at most.
    pub(super) fn start_of(suite: &Suite, array: usize, node: impl Fn(&Self, Cmd) -> Cmd) -> Self {
        programs::ensure(suite.context(), &[SLURM]).unwrap();
        let (guard, dir) = scratch();
        let dir = dir.canonicalize_utf8().unwrap();
        fs_err::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        for part in ["state", "spool", "log", "results"] {
            fs_err::create_dir(dir.join(part)).unwrap();
        }
        let mut cluster = Self { _dir: guard, dir, daemons: BTreeMap::new() };
        cluster.configure(array);
        let key: Vec<u8> = (0..128_u8).map(|byte| byte.wrapping_mul(37)).collect();
        let file = cluster.dir.join("munge.key");
        fs_err::write(&file, key).unwrap();
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let option = |name: &str, file: &str| format!("--{name}={}/{file}", cluster.dir);
        let munged = Cmd::new("munged").args(["--foreground", "--force"]).args([
            option("key-file", "munge.key"),
            option("socket", "munge.socket"),
            option("pid-file", "munged.pid"),
            option("log-file", "log/munged.log"),
            option("seed-file", "munged.seed"),
        ]);
        cluster.daemon("munged", munged);
        until("munge's socket", || cluster.dir.join("munge.socket").exists());
        cluster.start_controller();
        for number in 1..=NODES {
            let slurmd = Cmd::new("slurmd").args(["-D", "-N", &format!("n{number}")]);
            let slurmd = node(&cluster, slurmd);
            cluster.daemon(&format!("n{number}"), slurmd);
        }
        until("four idle nodes", || {
            let idle = cluster.ask(&["sinfo", "--noheader", "--states=idle", "--format=%D"]);
            idle.trim() == NODES.to_string()
        });
        cluster
    }

    fn configure(&self, array: usize) {
        let dir = &self.dir;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let user = Cmd::new("id").arg("--user").read(&Report::silent()).unwrap();
        let ports: Vec<String> = free_ports(NODES + 2).iter().map(u16::to_string).collect();
        let nodes: String = (1..=NODES)
            .map(|number| {
                let port = &ports[number + 1];
                format!(
                    "NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=4000\n"
                )
            })
            .collect();
        let text = format!(
            "ClusterName=trial\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser={user}\nSlurmdUser={user}\n\
             AuthType=auth/munge\nCredType=cred/munge\nAuthInfo=socket={dir}/munge.socket,cred_expire=5\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSelectType=select/cons_tres\n\
             SelectTypeParameters=CR_CPU_Memory\nReturnToService=2\nMpiDefault=none\nMaxArraySize={array}\n\
             SlurmctldPort={}\nSlurmdPort={}\nSlurmctldPidFile={dir}/slurmctld.pid\n\
             SlurmdPidFile={dir}/slurmd-%n.pid\nStateSaveLocation={dir}/state\nSlurmdSpoolDir={dir}/spool/%n\n\
             SlurmctldLogFile={dir}/log/slurmctld.log\nSlurmdLogFile={dir}/log/slurmd-%n.log\n\
             SlurmdTimeout=5\nKillWait=5\nMessageTimeout=3\nSchedulerParameters=sched_interval=1,sched_min_interval=0\n\
             {nodes}PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n",
            ports[0], ports[1]
        );
        fs_err::write(self.dir.join("slurm.conf"), text).unwrap();
    }

    pub(super) fn start_controller(&mut self) {
        self.daemon("slurmctld", Cmd::new("slurmctld").arg("-D"));
        until("the controller", || self.ask(&["scontrol", "ping"]).contains("UP"));
    }

    fn daemon(&mut self, name: &str, cmd: Cmd) {
        // Where they are, they leave their core files.
        let cmd = self.with_conf(cmd).cwd(self.dir.clone()).bound("KILL");
        let child = cmd.spawn(Stdio::null(), Stdio::null()).unwrap();
        self.daemons.insert(name.to_owned(), child);
    }

    /// Ends a daemon as a machine ends that loses its power, with all that a node's has started.
    pub(super) fn kill(&mut self, name: &str) {
        let mut daemon = self.daemons.remove(name).unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        let jobs = processes_with(&format!("SLURMD_NODENAME={name}"));
        // Those that would tell the controller come first.
        let watchers = jobs.iter().filter_map(|pid| parent(*pid));
        for pid in watchers.chain(jobs.iter().copied()) {
            kill_process(pid, Signal::KILL).ok();
        }
    }

    fn with_conf(&self, cmd: Cmd) -> Cmd {
        cmd.env("SLURM_CONF", self.dir.join("slurm.conf"))
    }

    /// What one of Slurm's programs prints.
    pub(super) fn ask(&self, words: &[&str]) -> String {
        run(&self.with_conf(Cmd::new(words[0]).args(&words[1..])).cwd(self.dir.clone())).1
    }

    /// `matrix` with these words, about the results in the shared directory.
    pub(super) fn matrix(&self, words: &[&str]) -> (i32, String) {
        run(&self.cmd(words))
    }

    pub(super) fn cmd(&self, words: &[&str]) -> Cmd {
        let results = self.results_dir();
        self.with_conf(tool(&["matrix"]).args(words).args(["--results", results.as_str()]))
            .cwd(self.dir.clone())
    }

    pub(super) fn results_dir(&self) -> Utf8PathBuf {
        self.dir.join("results")
    }

    /// Submits the plan.
    pub(super) fn submit(&self, more: &[&str]) -> (i32, String) {
        let plan = self.dir.join("plan.json");
        let words = ["submit", "--slurm", "--memory", "500", "--plan", plan.as_str()];
        let cpus: &[&str] = if more.contains(&"--cpus") { &[] } else { &["--cpus", "1"] };
        self.matrix(&[&words[..], cpus, more].concat())
    }

    /// Waits for all of it; gives the exit status and what was said.
    pub(super) fn collect(&self) -> (i32, String) {
        self.matrix(&["collect", "--wait"])
    }

    /// Writes a plan: one project on so many kernels that nobody has, for each of which `script`
    /// is run.
    pub(super) fn plan(&self, kernels: usize, script: &str) -> Plan {
        self.plan_of(&["one"], kernels, script)
    }

    /// The same, of these projects.
    pub(super) fn plan_of(&self, projects: &[&str], kernels: usize, script: &str) -> Plan {
        let check = self.dir.join("check");
        fs_err::write(&check, format!("#!/bin/sh\nn=${{KMOD_KERNEL##*.}}\ncd {}\n{script}\n", self.dir))
            .unwrap();
        fs_err::set_permissions(&check, std::fs::Permissions::from_mode(0o755)).unwrap();
        let project = |name: &&str| PlannedProject::plain(name, "1", &self.dir);
        let architecture = kmodfile::architecture::Architecture::native().unwrap();
        let kernel =
            |number: usize| PlannedKernel::plain(format!("1.0.{number}").parse().unwrap(), architecture);
        let kernels: Vec<PlannedKernel> = (0..kernels).map(kernel).collect();
        let steps = vec![CellStep::Run(check)];
        let projects: Vec<PlannedProject> = projects.iter().map(project).collect();
        let cell = |project, kernel| Cell::new(project, kernel, steps.clone(), Vec::new());
        let of = |kernel| projects.iter().map(move |project| cell(project, kernel));
        let cells = kernels.iter().flat_map(of).collect();
        let plan = Plan::new(env!("CARGO_PKG_VERSION"), None, projects.clone(), kernels.clone(), cells);
        fs_err::write(self.dir.join("plan.json"), plan.text()).unwrap();
        plan
    }

    /// State and status of each cell, by kernel, of results anywhere.
    pub(super) fn states_in(dir: &camino::Utf8Path) -> BTreeMap<String, (CellState, Option<u8>)> {
        let (results, plan) = ResultsDir::open(dir).unwrap();
        let kept = results.read_all(&plan);
        let summary = Summary::of(&plan, &kept.results);
        let one = |cell: &matrix::summary::JudgedCell<'_>| {
            let name = format!("{} {}", cell.cell.project, cell.cell.kernel);
            (name, (cell.state, cell.result.map(matrix::cell_result::CellResult::status)))
        };
        summary.cells.iter().map(one).collect()
    }

    /// The states alone, in the order of the kernels.
    pub(super) fn states(&self) -> Vec<CellState> {
        Self::states_in(&self.results_dir()).into_values().map(|(state, _)| state).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for daemon in self.daemons.values_mut() {
            daemon.kill().ok();
            daemon.wait().ok();
        }
        // Jobs, and who watches over each and would wait for the controller, are no children of
        // these.
        for pid in processes_with(&format!("SLURM_CONF={}/slurm.conf", self.dir)) {
            kill_process(pid, Signal::KILL).ok();
        }
        if std::thread::panicking() {
            for log in ["slurmctld", "slurmd-n1", "slurmd-n2", "slurmd-n3", "slurmd-n4"] {
                let text =
                    fs_err::read_to_string(self.dir.join(format!("log/{log}.log"))).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(15).collect();
                eprintln!("{log}:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
            }
        }
    }
}

/// The slurmstepd that has started a process.
fn parent(pid: Pid) -> Option<Pid> {
    let status = fs_err::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
    let name = fs_err::read_to_string(format!("/proc/{parent}/comm")).ok()?;
    name.starts_with("slurmstepd").then(|| Pid::from_raw(parent))?
}

/// Processes whose environment has this.
fn processes_with(variable: &str) -> Vec<Pid> {
    let dir = camino::Utf8Path::new("/proc").read_dir_utf8().unwrap();
    let all = dir.filter_map(|entry| entry.ok()?.file_name().parse::<i32>().ok());
    all.filter(|pid| has(*pid, variable)).filter_map(Pid::from_raw).collect()
}

fn has(pid: i32, variable: &str) -> bool {
    let environ = fs_err::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environ.split(|byte| *byte == 0).any(|one| one == variable.as_bytes())
}

/// Ports that nobody has.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
