// SPDX-License-Identifier: GPL-2.0
//! What the host and the init inside the virtual machine say to each other.
//!
//! The host puts a [`Plan`] into the initramfs. The init works through it and reports each
//! [`Event`] as one line of JSON, a [`Message`], on a virtio-serial port. Every message repeats the
//! nonce of the run, so that nothing else that reaches the port can pass for a report.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The virtio-serial port the init reports on, as `/sys/class/virtio-ports/*/name` shows it.
pub const PORT: &str = "org.cifs-fix.verdict";

/// Where the plan is in the initramfs.
pub const PLAN: &str = "/plan.json";

/// The directory of the initramfs that module files are in.
pub const MODULES: &str = "/modules";

/// The first word of the lines that the init itself writes to the kernel log, one before each step.
pub const MARKER: &str = "cifs-fix:";

/// What the init is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Names this run; the host makes it up.
    pub nonce: String,
    /// Module files to insert before the port is opened: the port's own drivers, where the kernel does
    /// not have them built in.
    pub early: Vec<String>,
    /// The steps, in order. The first that does not end as expected is the last.
    pub steps: Vec<PlannedStep>,
}

/// A step and how it is to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// What is done.
    pub step: Step,
    /// How it must end for the run to go on.
    pub expect: Expect,
}

/// How a step must end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// It succeeds.
    #[default]
    Success,
    /// It fails with this error, by its name in errno(3).
    Failure(String),
    /// Either will do; the outcome is only recorded.
    Any,
}

impl Expect {
    /// Whether `outcome` is what was expected.
    pub fn is_met_by(&self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::Any, _) | (Self::Success, Outcome::Done) => true,
            (Self::Failure(name), Outcome::Failed { errno, .. }) => name == errno,
            _ => false,
        }
    }
}

/// One thing the init does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// finit_module(2) of a file in [`MODULES`].
    InsertModule {
        /// The name of the file.
        file: String,
        /// Module parameters as insmod(8) takes them.
        params: String,
    },
    /// delete_module(2).
    RemoveModule {
        /// The name in `/proc/modules`.
        name: String,
        /// How long its users have to go, in milliseconds: a connection for example outlives the unmount a little.
        patience: u64,
    },
    /// Sets up a network interface: no DHCP, one static IPv4 address.
    Network {
        /// Its name, for example `eth0`.
        interface: String,
        /// The address of the guest.
        address: std::net::Ipv4Addr,
        /// Bits of the network part of the address.
        prefix: u8,
        /// The default route, if there is to be one.
        gateway: Option<std::net::Ipv4Addr>,
    },
    /// mount(2) of an SMB share.
    MountCifs {
        /// `//address/share`; an address, because the guest resolves no names.
        source: String,
        /// The kernel's mount options: what mount.cifs(8) would pass, `ip=` among them.
        options: String,
        /// Where; made if need be.
        target: String,
    },
    /// umount(2).
    Unmount {
        /// Where.
        target: String,
    },
    /// Runs a program to its end; what it prints comes back as the step's output, or, when it ends with another status than 0,
    /// in the message of the failure, whose error is then `EIO`.
    Run {
        /// Its path.
        program: String,
        /// Its arguments.
        args: Vec<String>,
    },
    /// Writes a file whole; the file is made if need be, but no directory.
    WriteFile {
        /// Which.
        path: String,
        /// Its content.
        content: String,
    },
    /// Reads a file, one of `/proc`, `/sys` or debugfs for example; the text comes back as the step's output.
    /// Bytes that are no UTF-8 are replaced, and what is beyond [`OUTPUT_LIMIT`] is cut off.
    ReadFile {
        /// Which.
        path: String,
    },
    /// Reads a directory; the sorted names come back as the step's output, one a line.
    ListDirectory {
        /// Which.
        path: String,
    },
    /// Makes a named pipe (mkfifo(3)) that anybody may open.
    MakePipe {
        /// Which.
        path: String,
    },
    /// lstat(2); what kind of file it is, `file`, `directory`, `link`, `pipe` or `other`, comes back as the step's output.
    Stat {
        /// Which.
        path: String,
    },
    /// Removes a file.
    RemoveFile {
        /// Which.
        path: String,
    },
    /// readlink(2); the target comes back as the step's output.
    ReadLink {
        /// Which.
        path: String,
    },
    /// getxattr(2); the length in bytes comes back as the step's output.
    ReadAttribute {
        /// Of which file.
        path: String,
        /// The attribute's name.
        name: String,
    },
    /// copy_file_range(2) of a whole file, which a server can do by itself. The copy must not be there yet.
    CopyFile {
        /// What is copied.
        from: String,
        /// The copy.
        to: String,
    },
    /// lseek(2) to the first hole of a file; its place comes back as the step's output.
    FindHole {
        /// Which.
        path: String,
    },
    /// Makes a file of [`RANGES`] ranges of data with a hole between each two, [`RANGE`] bytes long each, and asks lseek(2) for
    /// data and for a hole from several places on; the output has a line for each answer, a place or the name of an error.
    AskRanges {
        /// Which.
        path: String,
    },
    /// Frees the second half of a file (fallocate(2)), which leaves a hole there.
    PunchHole {
        /// Which.
        path: String,
    },
    /// statfs(2).
    StatFileSystem {
        /// A path in it.
        path: String,
    },
    /// Asks the server of an SMB share to tell of changes in a directory (`CIFS_IOC_NOTIFY_INFO`), in which a file is made and
    /// removed until it does; how many bytes it tells comes back as the step's output.
    Watch {
        /// Which.
        path: String,
    },
    /// Opens a file that another mount of the share has made, reads it, and has that one write to it: from then on the server
    /// forbids to keep what was read. `ESTALE` when the client keeps it because it makes nothing of what the server sent.
    BreakLease {
        /// The file, where it is read.
        path: String,
        /// The same on the other mount; it is made there.
        other: String,
    },
    /// Makes a directory with [`LISTED_DIRECTORY`] in it, as the host does for [`Step::Work`]: for a server in the machine.
    LayOut {
        /// The directory.
        directory: String,
        /// How many files.
        listed: u32,
    },
    /// Reads a file; its SHA-256 comes back as the step's output, in hexadecimal digits.
    Digest {
        /// Which.
        path: String,
    },
    /// Does with a mounted share what people do with one, and holds every answer against what it has to be. The output
    /// has a line for each part of the work.
    Work(Work),
    /// Opens and closes files; the nanoseconds that all tasks ran meanwhile, the kernel's among them, come back as the output.
    OpenFiles {
        /// Where they are; their names are the numbers from 0 on.
        directory: String,
        /// How many.
        count: u32,
    },
    /// Does nothing for a while, so that what a module left behind (timers, work) has time to show.
    Settle {
        /// How long, in milliseconds.
        millis: u64,
    },
    /// Only writes a line to the kernel log.
    Marker {
        /// The line.
        text: String,
    },
}

/// How much [`Step::Work`] does, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The directory to work in, on the share. [`WORK_DIRECTORY`] is made below it and must not be there yet.
    pub directory: String,
    /// How many files the host has put into [`LISTED_DIRECTORY`] below `directory`: [`listed_name`] of 0 and so on, in
    /// bytes as long as their number modulo [`LISTED_SIZES`].
    pub listed: u32,
    /// MiB written to [`BULK_FILE`] and read back.
    pub bulk: u32,
}

/// Made by [`Step::Work`], and left behind with [`BULK_FILE`] in it.
pub const WORK_DIRECTORY: &str = "work";

/// What the host makes for [`Step::Work`] to list.
pub const LISTED_DIRECTORY: &str = "listed";

/// How many sizes the files in [`LISTED_DIRECTORY`] have.
pub const LISTED_SIZES: u32 = 17;

/// The large file that [`Step::Work`] leaves behind.
pub const BULK_FILE: &str = "bulk";

/// How many ranges of data [`Step::AskRanges`] makes.
pub const RANGES: u64 = 4;

/// How long each is, and each hole between them, in bytes; a multiple of any block that a server may count in.
pub const RANGE: u64 = 1 << 16;

/// What comes before the SHA-256 of [`BULK_FILE`], in hexadecimal digits, in the output of [`Step::Work`].
pub const DIGEST: &str = "sha256=";

/// The name of a file in [`LISTED_DIRECTORY`]; lengths differ, so that entries do.
pub fn listed_name(number: u32) -> String {
    format!("entry {}{number}", "-".repeat(number as usize % 61))
}

/// Bytes of a file that [`Step::ReadFile`] brings back at most.
pub const OUTPUT_LIMIT: usize = 256 * 1024;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InsertModule { file, params } if params.is_empty() => write!(f, "insmod {file}"),
            Self::InsertModule { file, params } => write!(f, "insmod {file} {params}"),
            Self::RemoveModule { name, .. } => write!(f, "rmmod {name}"),
            Self::Network { interface, address, prefix, .. } => {
                write!(f, "ip address add {address}/{prefix} dev {interface}")
            }
            Self::MountCifs { source, target, .. } => write!(f, "mount -t cifs {source} {target}"),
            Self::Unmount { target } => write!(f, "umount {target}"),
            Self::Run { program, args } => write!(f, "{program} {}", args.join(" ")),
            Self::WriteFile { path, .. } => write!(f, "write {path}"),
            Self::ReadFile { path } => write!(f, "read {path}"),
            Self::ListDirectory { path } => write!(f, "ls {path}"),
            Self::MakePipe { path } => write!(f, "mkfifo {path}"),
            Self::Stat { path } => write!(f, "stat {path}"),
            Self::RemoveFile { path } => write!(f, "rm {path}"),
            Self::ReadLink { path } => write!(f, "readlink {path}"),
            Self::ReadAttribute { path, name } => write!(f, "getfattr -n {name} {path}"),
            Self::CopyFile { from, to } => write!(f, "cp {from} {to}"),
            Self::FindHole { path } => write!(f, "find a hole in {path}"),
            Self::AskRanges { path } => write!(f, "ask for data and holes in {path}"),
            Self::PunchHole { path } => write!(f, "fallocate --punch-hole {path}"),
            Self::StatFileSystem { path } => write!(f, "stat -f {path}"),
            Self::Watch { path } => write!(f, "watch {path}"),
            Self::BreakLease { path, .. } => write!(f, "break the lease of {path}"),
            Self::LayOut { directory, .. } => write!(f, "lay out {directory}"),
            Self::Digest { path } => write!(f, "sha256sum {path}"),
            Self::Work(Work { directory, .. }) => write!(f, "work in {directory}"),
            Self::OpenFiles { directory, count } => write!(f, "open {count} files in {directory}"),
            Self::Settle { millis } => write!(f, "settle {millis} ms"),
            Self::Marker { text } => write!(f, "mark {text}"),
        }
    }
}

/// One line on the port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The nonce of the plan.
    pub nonce: String,
    /// What happened.
    pub event: Event,
}

/// What the init reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The init runs and is about to begin.
    Hello {
        /// The running kernel, as `uname -r` prints it.
        release: String,
        /// `/proc/sys/kernel/tainted`: a bit mask (Documentation/admin-guide/tainted-kernels.rst).
        tainted: u64,
        /// The kernel log so far.
        log: Vec<LogLine>,
    },
    /// A step begins.
    StepStarted {
        /// Its place in the plan, from 0.
        index: usize,
    },
    /// A step ended.
    StepEnded {
        /// Its place in the plan, from 0.
        index: usize,
        /// Whether it succeeded.
        outcome: Outcome,
        /// How long it took, in milliseconds.
        millis: u64,
        /// What it brought back.
        output: Option<String>,
        /// The kernel log since the step began.
        log: Vec<LogLine>,
        /// The taint mask before the step.
        taint_before: u64,
        /// The taint mask after the step.
        taint_after: u64,
    },
    /// The init itself could not go on.
    Broken {
        /// Why.
        why: String,
    },
    /// The plan is worked through, or a step did not end as expected. The last message.
    Finished {
        /// The taint mask at the end.
        tainted: u64,
        /// The kernel log since the last step.
        log: Vec<LogLine>,
    },
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It succeeded.
    Done,
    /// It failed.
    Failed {
        /// The name of the error in errno(3), or `EIO` where there is none.
        errno: String,
        /// What failed, for people.
        message: String,
    },
}

/// A record of the kernel log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its level: 0 emergency ... 7 debug (syslog(2)).
    pub level: u8,
    /// The kernel's clock, in microseconds.
    pub micros: u64,
    /// The message.
    pub text: String,
}

impl fmt::Display for LogLine {
    /// As dmesg(1) prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:5}.{:06}] {}", self.micros / 1_000_000, self.micros % 1_000_000, self.text)
    }
}

impl LogLine {
    /// Reads a record as `/dev/kmsg` gives it: `priority,sequence,microseconds,flags[,...];text`, then lines of
    /// properties that begin with a blank (Documentation/ABI/testing/dev-kmsg).
    pub fn parse(record: &str) -> Option<Self> {
        let (head, rest) = record.split_once(';')?;
        let mut fields = head.split(',');
        let priority: u32 = fields.next()?.parse().ok()?;
        let micros = fields.nth(1)?.parse().ok()?;
        let text = rest.split_once('\n').map_or(rest, |(text, _)| text);
        Some(Self { level: (priority & 7) as u8, micros, text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kmsg_records() {
        let record = "6,1234,5678901,-;cifs: loading\n SUBSYSTEM=module\n DEVICE=+module:cifs\n";
        let line = LogLine::parse(record).unwrap();
        assert_eq!(line, LogLine { level: 6, micros: 5_678_901, text: "cifs: loading".into() });
        assert_eq!(line.to_string(), "[    5.678901] cifs: loading");
        // A facility other than the kernel's, further flags.
        assert_eq!(LogLine::parse("12,1,0,-,caller=T1;x;y").unwrap().text, "x;y");
        assert_eq!(LogLine::parse("12,1,0,-,caller=T1;x").unwrap().level, 4);
        assert_eq!(LogLine::parse("nonsense"), None);
        assert_eq!(LogLine::parse("6,1;too short"), None);
    }

    #[test]
    fn expectations() {
        let failed = |errno: &str| Outcome::Failed { errno: errno.into(), message: String::new() };
        let wants = |errno: &str| Expect::Failure(errno.into());
        assert!(Expect::Success.is_met_by(&Outcome::Done));
        assert!(!Expect::Success.is_met_by(&failed("EIO")));
        assert!(wants("EIO").is_met_by(&failed("EIO")));
        assert!(!wants("EIO").is_met_by(&failed("EACCES")));
        assert!(!wants("EIO").is_met_by(&Outcome::Done));
        assert!(Expect::Any.is_met_by(&failed("EIO")));
    }

    #[test]
    fn messages_are_one_line() {
        let event = Event::StepEnded {
            index: 0,
            outcome: Outcome::Done,
            millis: 3,
            output: Some("two\nlines".into()),
            log: vec![],
            taint_before: 0,
            taint_after: 4096,
        };
        let message = Message { nonce: "n".into(), event };
        let line = serde_json::to_string(&message).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Message>(&line).unwrap(), message);
    }
}
