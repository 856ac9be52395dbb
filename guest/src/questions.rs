// SPDX-License-Identifier: GPL-2.0
//! What a program may ask a server through the client, which hands on the answer as it came.

use std::fs::File;
use std::io;

use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

/// Room for the question, and then for the answer, in bytes; the client takes no longer question.
const ROOM: usize = 1024;

/// A question, and the answer (fs/smb/client/cifs_ioctl.h, `struct smb_query_info`).
#[repr(C, packed)]
struct Query {
    question: Question,
    content: [u8; ROOM],
}

/// The fixed part of it. The kernel's structure ends where question and answer begin.
#[repr(C, packed)]
struct Question {
    /// The kind of information; of an IOCTL its code.
    kind: u32,
    class: u32,
    additional: u32,
    flags: u32,
    /// How long the answer may be, and then how long it is, in bytes.
    answer: u32,
    /// How long the question is.
    question: u32,
}

/// That it is an IOCTL (`PASSTHRU_FSCTL`).
const FSCTL: u32 = 1;

/// `CIFS_QUERY_INFO`.
const QUERY_INFO: Opcode = opcode::read_write::<Question>(0xcf, 7);

/// Asks about a file by an IOCTL of SMB; gives the length of the answer in bytes.
pub(crate) fn ask(path: &str, code: u32, input: &[u8]) -> io::Result<String> {
    let file = File::open(path)?;
    let mut content = [0; ROOM];
    let place = content.get_mut(..input.len()).ok_or(io::ErrorKind::ArgumentListTooLong)?;
    place.copy_from_slice(input);
    let (answer, question) = (ROOM as u32, input.len() as u32);
    let question = Question { kind: code, class: 0, additional: 0, flags: FSCTL, answer, question };
    let mut asked = Query { question, content };
    // SAFETY: the structure is laid out as the kernel's, with as much room behind it as it says.
    unsafe { ioctl(&file, Updater::<QUERY_INFO, Query>::new(&mut asked)) }?;
    Ok({ asked.question.answer }.to_string())
}
