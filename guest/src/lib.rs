// SPDX-License-Identifier: GPL-2.0
//! What the sample's init does beyond that of the tool: steps about a mounted SMB share.
//!
//! The types are here, for whoever writes a plan; the init itself is this package's program.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A step about a mounted share, or about what a server shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareStep {
    /// Makes a named pipe (mkfifo(3)) that anybody may open.
    MakePipe {
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
    /// copy_file_range(2) of a whole file, which a server can do by itself. The copy must not be
    /// there yet.
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
    /// Makes a file of [`RANGES`] ranges of data with a hole between each two, [`RANGE`] bytes long
    /// each, and asks lseek(2) for data and for a hole from several places on; the output has a
    /// line for each answer, a place or the name of an error.
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
    /// Asks the server to tell of changes in a directory (`CIFS_IOC_NOTIFY_INFO`), in which a file
    /// is made and removed until it does; how many bytes it tells comes back as the step's output.
    Watch {
        /// Which.
        path: String,
    },
    /// Asks the server about a file by an IOCTL of SMB that the client hands on as it is
    /// (`CIFS_QUERY_INFO`); how many bytes it answers comes back as the step's output.
    Ask {
        /// About which.
        path: String,
        /// `CtlCode` (MS-FSCC 2.3).
        code: u32,
        /// What goes with it.
        input: Vec<u8>,
    },
    /// Opens a file that another mount of the share has made, reads it, and has that one write to
    /// it: from then on the server forbids to keep what was read. `ESTALE` when the client keeps it
    /// because it cannot make sense of what the server sent.
    BreakLease {
        /// The file, where it is read.
        path: String,
        /// The same on the other mount; it is made there.
        other: String,
    },
    /// Makes a directory with [`LISTED_DIRECTORY`] in it, as the host does for [`ShareStep::Work`]:
    /// for a server in the machine.
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
    /// Does with a mounted share what people do with one, and compares every answer with what it
    /// has to be. The output has a line for each part of the work.
    Work(Work),
    /// Opens and closes files; the nanoseconds that all tasks ran meanwhile, the kernel's among
    /// them, come back as the output.
    OpenFiles {
        /// Where they are; their names are the numbers from 0 on.
        directory: String,
        /// How many.
        count: u32,
    },
}

/// How much [`ShareStep::Work`] does, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The directory to work in, on the share. [`WORK_DIRECTORY`] is made below it and must not be
    /// there yet.
    pub directory: String,
    /// How many files the host has put into [`LISTED_DIRECTORY`] below `directory`: [`listed_name`]
    /// of 0 and so on, in bytes as long as their number modulo [`LISTED_SIZES`].
    pub listed: u32,
    /// MiB written to [`BULK_FILE`] and read back.
    pub bulk: u32,
}

/// Made by [`ShareStep::Work`], and left behind with [`BULK_FILE`] in it.
pub const WORK_DIRECTORY: &str = "work";

/// What the host makes for [`ShareStep::Work`] to list.
pub const LISTED_DIRECTORY: &str = "listed";

/// How many sizes the files in [`LISTED_DIRECTORY`] have.
pub const LISTED_SIZES: u32 = 17;

/// The large file that [`ShareStep::Work`] leaves behind.
pub const BULK_FILE: &str = "bulk";

/// How many ranges of data [`ShareStep::AskRanges`] makes.
pub const RANGES: u64 = 4;

/// How long each is, and each hole between them, in bytes; a multiple of any block that a server
/// may count in.
pub const RANGE: u64 = 1 << 16;

/// What comes before the SHA-256 of [`BULK_FILE`], in hexadecimal digits, in the output of
/// [`ShareStep::Work`].
pub const DIGEST: &str = "sha256=";

/// The name of a file in [`LISTED_DIRECTORY`]; lengths differ, so that entries do.
pub fn listed_name(number: u32) -> String {
    format!("entry {}{number}", "-".repeat(number as usize % 61))
}

impl fmt::Display for ShareStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakePipe { path } => write!(f, "mkfifo {path}"),
            Self::ReadAttribute { path, name } => write!(f, "getfattr -n {name} {path}"),
            Self::CopyFile { from, to } => write!(f, "cp {from} {to}"),
            Self::FindHole { path } => write!(f, "find a hole in {path}"),
            Self::AskRanges { path } => write!(f, "ask for data and holes in {path}"),
            Self::PunchHole { path } => write!(f, "fallocate --punch-hole {path}"),
            Self::StatFileSystem { path } => write!(f, "stat -f {path}"),
            Self::Watch { path } => write!(f, "watch {path}"),
            Self::Ask { path, code, .. } => write!(f, "ask about {path} by {code:#010x}"),
            Self::BreakLease { path, .. } => write!(f, "break the lease of {path}"),
            Self::LayOut { directory, .. } => write!(f, "lay out {directory}"),
            Self::Digest { path } => write!(f, "sha256sum {path}"),
            Self::Work(Work { directory, .. }) => write!(f, "work in {directory}"),
            Self::OpenFiles { directory, count } => write!(f, "open {count} files in {directory}"),
        }
    }
}
