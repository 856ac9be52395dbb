// SPDX-License-Identifier: GPL-2.0
//! What the output of a reply holds: for callers that know the request it answers.

use super::cursor::Cursor;
use super::directory::Class;
use super::header::Header;
use super::malformed::{Level, Malformed, Rule};
use super::security::Use;
use super::{
    directory, ea, interfaces, ioctl, output, posix, referrals, reparse, security, symlink,
};

/// What was asked for, and so what the client will read the output as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A structure of a fixed part of this many bytes, of which the client copies just that.
    AtLeast(usize),
    /// Extended attributes; of this name only, when one is given.
    Attributes(Option<&'a [u8]>),
    /// The extended attributes of WSL.
    WslAttributes,
    /// POSIX information.
    Posix,
    /// A security descriptor, and what the client does with it.
    Security(Use),
    /// Entries of a directory.
    Directory(Class),
    /// Network interfaces.
    Interfaces,
    /// DFS referrals for a path of this many bytes in UTF-8.
    Referrals(usize),
    /// A reparse point that the client makes sense of.
    Reparse,
    /// A resume key.
    ResumeKey,
    /// Allocated ranges; whether there are more.
    Ranges(bool),
    /// An error reply with a symbolic link that the client follows.
    Symlink,
}

impl Content<'_> {
    /// Verifies what `reply` holds, a whole SMB2 message that [`verify`](super::verify) found
    /// sound, of the status in which the client looks at the content.
    ///
    /// # Errors
    ///
    /// The first rule that the content breaks.
    pub fn verify(self, reply: &[u8], level: Level) -> Result<(), Malformed> {
        let reply = Cursor::new(reply);
        if self == Self::Symlink {
            return symlink::verify_followed(reply, level);
        }
        let command = Header::read(reply).map_or(u16::MAX, |header| header.command);
        let Some(found) = output::find(reply, command)? else {
            return Ok(());
        };
        // Entries of a directory may go on to the end of the reply; all else ends with the output.
        let bytes = match self {
            Self::Directory(_) => reply.after(found.at).unwrap_or(found.bytes),
            _ => found.bytes,
        };
        self.verify_output(bytes, level)
            .map_err(|broken| broken.at(found.at))
    }

    /// Verifies the output by itself.
    fn verify_output(self, output: Cursor<'_>, level: Level) -> Result<(), Malformed> {
        match self {
            Self::AtLeast(len) => level.require(output.len() >= len, Rule::InfoShort, output.len()),
            Self::Attributes(wanted) => ea::verify(output, wanted, level),
            Self::WslAttributes => ea::verify_wsl(output, level),
            Self::Posix => posix::verify(output, level),
            Self::Security(used) => security::verify(output, used, level),
            Self::Directory(class) => directory::verify(output, class, level).map(drop),
            Self::Interfaces => {
                ioctl::verify_copied(output, level)?;
                interfaces::verify(output, level)
            }
            Self::Referrals(path_len) => {
                ioctl::verify_copied(output, level)?;
                referrals::verify(output, Some(path_len), level)
            }
            Self::Reparse => reparse::verify(output, level),
            Self::ResumeKey => ioctl::verify_resume_key(output, level),
            Self::Ranges(more) => ioctl::verify_ranges(output, more, level),
            Self::Symlink => Ok(()),
        }
    }
}
