// SPDX-License-Identifier: GPL-2.0
//! What the init is to do.

use std::fmt;
use std::net::Ipv4Addr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::errno::Errno;
use crate::event::StepOutcome;

/// What the init is to do. `X` is the type of the steps beyond those of [`GuestStep`], if there are
/// any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestPlan<X = NoExtraStep> {
    /// Names this run; the host makes it up.
    pub nonce: String,
    /// Module files to insert before the port is opened: the port's own drivers, where the kernel
    /// does not have them built in.
    pub early: Vec<String>,
    /// The steps, in order. The first that does not end as expected is the last.
    pub steps: Vec<PlannedStep<X>>,
    /// Whether the init then waits for more ([`Handover`]).
    pub waits: bool,
}

/// The rest of a plan, for an init that waits: one line of JSON on the port, then the bytes of the
/// files one after another. The machine may have been saved while it waited, and run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover<X = NoExtraStep> {
    /// Names the run from now on.
    pub nonce: String,
    /// The steps that follow; they are counted on from those that were done.
    pub steps: Vec<PlannedStep<X>>,
    /// The files that follow.
    pub files: Vec<HandedFile>,
    /// What time it is, in microseconds since the beginning of 1970.
    pub time: u64,
    /// Random bytes that no other machine is given, in hexadecimal digits: those that go on from
    /// the same saved one would otherwise all draw the same numbers.
    pub entropy: String,
}

/// A file that is handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedFile {
    /// Its absolute path in the machine; directories are made for it.
    pub path: String,
    /// Its length in bytes.
    pub length: u64,
    /// Whether it can be run.
    pub program: bool,
}

/// A step and how it is to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep<X = NoExtraStep> {
    /// What is done.
    pub step: GuestStep<X>,
    /// How it must end for the run to go on.
    pub expect: Expect,
}

/// How a step must end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// It succeeds.
    #[default]
    Success,
    /// It fails with this error.
    Failure(Errno),
    /// Either will do; the outcome is only recorded.
    Any,
}

impl Expect {
    /// Whether `outcome` is what was expected.
    pub fn is_met_by(self, outcome: &StepOutcome) -> bool {
        match (self, outcome) {
            (Self::Any, _) | (Self::Success, StepOutcome::Done) => true,
            (Self::Failure(expected), StepOutcome::Failed { errno, .. }) => expected == *errno,
            _ => false,
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("success"),
            Self::Failure(errno) => write!(f, "{errno}"),
            Self::Any => f.write_str("any end"),
        }
    }
}

/// A type of steps that an init has beyond those of [`GuestStep`]; shown as a person would write
/// them.
pub trait ExtraStep: Clone + fmt::Debug + fmt::Display + Serialize + DeserializeOwned {}

impl<X: Clone + fmt::Debug + fmt::Display + Serialize + DeserializeOwned> ExtraStep for X {}

/// The type of extra steps of an init that has none: it has no values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoExtraStep {}

impl fmt::Display for NoExtraStep {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

/// One thing the init does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestStep<X = NoExtraStep> {
    /// finit_module(2) of a file in [`MODULES`](crate::MODULES).
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
        /// How long to wait while the module is still in use, in milliseconds: what used it may
        /// take a moment to let go after it was closed or unmounted.
        patience: u64,
    },
    /// Sets up a network interface: no DHCP, one static IPv4 address.
    Network {
        /// Its name, for example `eth0`.
        interface: String,
        /// The address of the guest.
        address: Ipv4Addr,
        /// Bits of the network part of the address.
        prefix: u8,
        /// The default route, if there is to be one.
        gateway: Option<Ipv4Addr>,
    },
    /// mount(2).
    Mount {
        /// The type of the file system, as `/proc/filesystems` names it.
        file_system: String,
        /// What is mounted: a device, or whatever the file system takes in its place. The guest
        /// resolves no host names.
        source: String,
        /// Where; the directory is made if need be.
        target: String,
        /// The options of the file system, separated by commas; `bind` alone has the directory or
        /// file `source` seen at `target` too.
        options: String,
    },
    /// umount(2).
    Unmount {
        /// Where.
        target: String,
    },
    /// Runs a program to its end. What it prints comes back as the step's output, cut to
    /// [`OUTPUT_LIMIT`](crate::OUTPUT_LIMIT); where it ends with another status than 0, the step
    /// has failed with `EIO`, and the message has the last lines.
    Run {
        /// Its path.
        program: String,
        /// Its arguments.
        args: Vec<String>,
    },
    /// Lets a program talk to the user until it ends.
    Talk(Talk),
    /// Writes a file whole; the file is made if need be, but no directory.
    WriteFile {
        /// Which.
        path: String,
        /// Its content.
        content: String,
    },
    /// Reads a file, one of `/proc`, `/sys` or debugfs for example; the text comes back as the
    /// step's output. Bytes that are not UTF-8 are replaced, and what is beyond
    /// [`OUTPUT_LIMIT`](crate::OUTPUT_LIMIT) is cut off.
    ReadFile {
        /// Which.
        path: String,
    },
    /// Reads where the kernel's own functions are: a line each comes back as the step's output, an
    /// address in hexadecimal digits and a name.
    ReadSymbols,
    /// Reads a directory; the sorted names come back as the step's output, one a line.
    ListDirectory {
        /// Which.
        path: String,
    },
    /// lstat(2); the kind of file, `file`, `directory`, `link`, `pipe` or `other`, comes back as
    /// the step's output.
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
    /// From here on what the init, and each program that it runs, reaches in instrumented modules
    /// is recorded (Documentation/dev-tools/kcov.rst).
    StartCoverage,
    /// What was reached since then comes back as the step's output,
    /// [`ReachedPlaces`](crate::ReachedPlaces) as JSON. It is done even after a step that did not
    /// end as expected.
    ReadCoverage,
    /// A step that only this kind of init has.
    Extra(X),
}

/// A program that talks to the user, and where it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talk {
    /// The directory that is `/` to it.
    pub root: String,
    /// The directory that it starts in, as it sees it.
    pub dir: String,
    /// Its path, or its name in `PATH`.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment; nothing is taken over.
    pub env: Vec<(String, String)>,
    /// What it talks over.
    pub over: TalkedOver,
}

/// What a program talks to the user over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TalkedOver {
    /// A virtio console, the first one, which is its terminal.
    Terminal {
        /// Its height in lines.
        rows: u16,
        /// Its width in characters.
        columns: u16,
    },
    /// A port ([`OUTPUT_PORT`](crate::OUTPUT_PORT)) that takes what it prints, byte for byte; it is
    /// told nothing.
    Port,
}

impl<X> From<X> for GuestStep<X> {
    fn from(step: X) -> Self {
        Self::Extra(step)
    }
}

impl<X: fmt::Display> fmt::Display for GuestStep<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InsertModule { file, params } if params.is_empty() => write!(f, "insmod {file}"),
            Self::InsertModule { file, params } => write!(f, "insmod {file} {params}"),
            Self::RemoveModule { name, .. } => write!(f, "rmmod {name}"),
            Self::Network { interface, address, prefix, .. } => {
                write!(f, "ip address add {address}/{prefix} dev {interface}")
            }
            Self::Mount { file_system, source, target, .. } => {
                write!(f, "mount -t {file_system} {source} {target}")
            }
            Self::Unmount { target } => write!(f, "umount {target}"),
            Self::Run { program, args } if args.is_empty() => f.write_str(program),
            Self::Run { program, args } => write!(f, "{program} {}", args.join(" ")),
            Self::Talk(Talk { program, args, .. }) if args.is_empty() => f.write_str(program),
            Self::Talk(Talk { program, args, .. }) => write!(f, "{program} {}", args.join(" ")),
            Self::WriteFile { path, .. } => write!(f, "write {path}"),
            Self::ReadSymbols => f.write_str("read the kernel's symbols"),
            Self::ReadFile { path } => write!(f, "read {path}"),
            Self::ListDirectory { path } => write!(f, "ls {path}"),
            Self::Stat { path } => write!(f, "stat {path}"),
            Self::RemoveFile { path } => write!(f, "rm {path}"),
            Self::ReadLink { path } => write!(f, "readlink {path}"),
            Self::Settle { millis } => write!(f, "settle {millis} ms"),
            Self::Marker { text } => write!(f, "mark {text}"),
            Self::StartCoverage => f.write_str("start coverage"),
            Self::ReadCoverage => f.write_str("read coverage"),
            Self::Extra(step) => step.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The steps of some other init.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    enum Knock {
        On { door: String },
    }

    impl fmt::Display for Knock {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let Self::On { door } = self;
            write!(f, "knock on {door}")
        }
    }

    fn plan<X>(step: impl Into<GuestStep<X>>) -> GuestPlan<X> {
        let steps = vec![PlannedStep { step: step.into(), expect: Expect::Failure(Errno::EIO) }];
        GuestPlan { nonce: "n".into(), early: vec![], steps, waits: false }
    }

    #[test]
    fn expectations() {
        let failed = |errno| StepOutcome::Failed { errno, message: String::new(), exit: None };
        assert!(Expect::Success.is_met_by(&StepOutcome::Done));
        assert!(!Expect::Success.is_met_by(&failed(Errno::EIO)));
        assert!(Expect::Failure(Errno::EIO).is_met_by(&failed(Errno::EIO)));
        assert!(!Expect::Failure(Errno::EIO).is_met_by(&failed(Errno::EACCES)));
        assert!(!Expect::Failure(Errno::EIO).is_met_by(&StepOutcome::Done));
        assert!(Expect::Any.is_met_by(&failed(Errno::EIO)));
    }

    #[test]
    fn a_plan_arrives_as_it_was_written() {
        let plan: GuestPlan<Knock> = plan(Knock::On { door: "the first".into() });
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<GuestPlan<Knock>>(&text).unwrap(), plan);
        assert_eq!(plan.steps[0].step.to_string(), "knock on the first");
    }

    #[test]
    fn an_init_does_not_take_steps_that_it_does_not_know() {
        let text = serde_json::to_string(&plan(Knock::On { door: "x".into() })).unwrap();
        assert!(serde_json::from_str::<GuestPlan>(&text).is_err());
        let text = serde_json::to_string(&plan::<Knock>(GuestStep::Settle { millis: 1 })).unwrap();
        assert!(serde_json::from_str::<GuestPlan>(&text).is_ok());
    }
}
