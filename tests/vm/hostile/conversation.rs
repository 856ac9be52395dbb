// SPDX-License-Identifier: GPL-2.0
//! Finds the reply that a case is about, and changes it, once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use verify::header::{
    CHANGE_NOTIFY, CREATE, IOCTL, LEN as HEADER_LEN, MORE_PROCESSING, NEGOTIATE, OPLOCK_BREAK,
    QUERY_DIRECTORY, QUERY_INFO, READ, SESSION_SETUP, SUCCESS, TREE_CONNECT,
};
use verify::{Cursor, Header};

use super::cases::{Case, Change, Reply, named};
use crate::frames::{MESSAGE_ID, NEXT_COMMAND, PENDING, file_to_create, messages, put};
use crate::proxy::Tamper;

/// What the name of a file begins with that is asked for so that a case is due from then on.
pub(crate) const DUE: &str = "due.";

/// `MessageId` of what a server sends unasked (MS-SMB2 2.2.23).
const UNASKED: u64 = u64::MAX;

/// The case whose reply is to be changed next, if there is one. All connections of a proxy share
/// it.
pub(crate) type Due = Arc<Mutex<Option<&'static Case>>>;

/// One connection.
#[derive(Debug)]
pub(crate) struct Conversation {
    due: Due,
    by_message_id: HashMap<u64, &'static Case>,
}

impl Conversation {
    pub(crate) fn new(due: &Due) -> Self {
        Self { due: Arc::clone(due), by_message_id: HashMap::new() }
    }
}

impl Tamper for Conversation {
    type Change = &'static str;

    fn request(&mut self, frame: &[u8]) {
        let mut due = self.due.lock().expect("no holder panics");
        let messages = messages(frame);
        let alone = messages.len() == 1;
        let mut opened = None;
        for message in messages.into_iter().filter_map(|range| frame.get(range)) {
            opened = file_to_create(message).or(opened);
            let asked = opened.as_deref().and_then(|file| Some(file.strip_prefix(DUE)?.to_owned()));
            if let Some(name) = asked {
                *due = named(&name);
                // The rest of the compound is about that file.
                return;
            }
            if let (Some(case), Some(id)) = (*due, Cursor::new(message).le64(MESSAGE_ID))
                && asks_for(message, alone, opened.as_deref(), case)
            {
                *due = None;
                self.by_message_id.insert(id, case);
            }
        }
    }

    fn reply(&mut self, frame: &mut Vec<u8>) -> Vec<&'static str> {
        let mut changed = Vec::new();
        let mut made = Vec::new();
        for range in messages(frame) {
            let mut message = frame.get(range).unwrap_or_default().to_vec();
            if let Some(case) = self.answered(&message) {
                if change(&mut message, case.change) {
                    changed.push(case.name);
                } else {
                    eprintln!("{}: the reply has not what is to be changed", case.name);
                }
            }
            made.push(message);
        }
        if !changed.is_empty() {
            *frame = joined(made);
        }
        changed
    }
}

impl Conversation {
    /// The case that `message` is the reply of.
    fn answered(&mut self, message: &[u8]) -> Option<&'static Case> {
        let header = Header::read(Cursor::new(message))?;
        let id = Cursor::new(message).le64(MESSAGE_ID)?;
        if header.status == PENDING {
            return None;
        }
        if id == UNASKED && header.command == OPLOCK_BREAK {
            let mut due = self.due.lock().expect("no holder panics");
            return due.take_if(|case| case.reply == Reply::Break);
        }
        let case = self.by_message_id.remove(&id)?;
        let wanted = match case.reply {
            Reply::Challenge => header.status == MORE_PROCESSING,
            Reply::Absence => header.status != SUCCESS,
            _ => header.status == SUCCESS,
        };
        if !wanted {
            eprintln!("{}: the server answers with status {:#x}", case.name, header.status);
        }
        wanted.then_some(case)
    }
}

/// Whether the reply to the request `message` is the one that a case is about; `opened` is the file
/// that it opens, or that its compound has opened before it. Of a compound, by which the client
/// looks up a path, it passes over the create contexts.
fn asks_for(message: &[u8], alone: bool, opened: Option<&str>, case: &Case) -> bool {
    let bytes = Cursor::new(message);
    let command = Header::read(bytes).map(|header| header.command);
    let is_file = || opened == Some(case.name);
    let is_info = |kind: u8, class: u8| {
        command == Some(QUERY_INFO) && bytes.bytes(HEADER_LEN + 2, 2) == Some(&[kind, class])
    };
    match case.reply {
        Reply::Negotiate => command == Some(NEGOTIATE),
        Reply::Challenge => command == Some(SESSION_SETUP),
        // The path, in UTF-16, ends the message (MS-SMB2 2.2.9).
        Reply::TreeConnect => command == Some(TREE_CONNECT) && !message.ends_with(b"C\0$\0"),
        Reply::Create => command == Some(CREATE) && alone && is_file(),
        Reply::Absence => command == Some(CREATE) && is_file(),
        Reply::Read => command == Some(READ),
        Reply::Directory => command == Some(QUERY_DIRECTORY),
        Reply::Notify => command == Some(CHANGE_NOTIFY),
        // Nobody asks for it.
        Reply::Break => false,
        Reply::Info(kind, class) => is_info(kind, class),
        Reply::Lookup(kind, class) => is_info(kind, class) && is_file(),
        Reply::Ioctl(code) => command == Some(IOCTL) && bytes.le32(HEADER_LEN + 4) == Some(code),
    }
}

/// Changes a message; says whether it could be.
fn change(message: &mut Vec<u8>, change: Change) -> bool {
    match change {
        Change::Put(at, size, value) => put(message, at, size, value),
        Change::With(change) => change(message),
        Change::Cut(length) => {
            let longer = message.len() > length;
            message.truncate(length);
            longer
        }
        Change::Body(status, body) => {
            message.truncate(HEADER_LEN);
            message.extend(body());
            put(message, 8, 4, status)
        }
    }
}

/// Messages as one frame: all but the last filled up to a multiple of 8, and each saying where the
/// next begins.
fn joined(messages: Vec<Vec<u8>>) -> Vec<u8> {
    let mut frame = Vec::new();
    let last = messages.len().saturating_sub(1);
    for (number, mut message) in messages.into_iter().enumerate() {
        let mut next = 0;
        if number < last {
            message.resize(message.len().next_multiple_of(8), 0);
            next = u32::try_from(message.len()).expect("a message is short");
        }
        put(&mut message, NEXT_COMMAND, 4, next);
        frame.extend(message);
    }
    frame
}
