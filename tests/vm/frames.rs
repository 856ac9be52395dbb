// SPDX-License-Identifier: GPL-2.0
//! What the proxy does to frames, without the network: finds the reply to a chosen CREATE, and
//! spoils it.
//!
//! Which reply is spoilt, and how, is said by the name of the file that is opened
//! ([`Spoil::file`]), so that a guest needs no other way to talk to the proxy. Whatever is done
//! here is refused by a client with the public fixes.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use verify::header::{CREATE, LEN as HEADER_LEN, SUCCESS};
use verify::{Cursor, Header, Rule};

/// `STATUS_PENDING` (MS-ERREF 2.3): the reply proper is still to come.
pub(crate) const PENDING: u32 = 0x0000_0103;

/// `NextCommand` in the header (MS-SMB2 2.2.1.2): where the next message of a compound begins.
pub(crate) const NEXT_COMMAND: usize = 20;
/// `MessageId` in the header.
pub(crate) const MESSAGE_ID: usize = 24;

/// `NameOffset` in a CREATE request (MS-SMB2 2.2.13); `NameLength` comes after it.
const NAME_OFFSET: usize = HEADER_LEN + 44;

/// `CreateContextsOffset` in a CREATE reply (MS-SMB2 2.2.14).
const CONTEXTS_OFFSET: usize = HEADER_LEN + 80;
/// `CreateContextsLength` in it.
const CONTEXTS_LENGTH: usize = HEADER_LEN + 84;

/// The rules that one changed field of a CREATE reply can break.
pub(crate) const RULES: [Rule; 11] = [
    Rule::ReplyShort,
    Rule::ReplyDataOutside,
    Rule::CreateNextMisaligned,
    Rule::CreateNextOutside,
    Rule::CreateNextInHeader,
    Rule::CreateDataInHeader,
    Rule::CreateDataOutside,
    Rule::CreateNameInHeader,
    Rule::CreateNameOutside,
    Rule::CreateNameOverData,
    Rule::CreateTrailing,
];

/// In which kind of frame the CREATE is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// By itself: what open(2) becomes.
    Open,
    /// In a compound: what looking up a path becomes.
    Lookup,
}

impl Place {
    const ALL: [(Self, &'static str); 2] = [(Self::Open, "open"), (Self::Lookup, "lookup")];
}

/// One way to spoil a reply: exactly so that it breaks `rule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spoil {
    pub(crate) rule: Rule,
    pub(crate) place: Place,
}

impl Spoil {
    /// Every way in which a client with the fixes refuses the reply, in the order of the rules.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let places = |rule| Place::ALL.into_iter().map(move |(place, _)| Self { rule, place });
        // After looking up a path, the client holds the list against the reply's end, and reads
        // nothing in it.
        let refused = |spoil: &Self| spoil.place == Place::Open || spoil.rule == Rule::ReplyDataOutside;
        RULES.into_iter().flat_map(places).filter(refused)
    }

    /// The name of the file that asks for it.
    pub(crate) fn file(self) -> String {
        let place = Place::ALL.iter().find(|(place, _)| *place == self.place);
        format!("{}.{}", self.rule.name(), place.map_or("", |(_, name)| name))
    }

    /// What the name of a file asks for.
    fn of(file: &str) -> Option<Self> {
        Self::all().find(|spoil| spoil.file() == file)
    }
}

/// What is known of one connection: the CREATE requests whose replies are to be spoilt, and what
/// was spoilt already. For each file that is once; from then on it is served as it is.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    by_message_id: HashMap<u64, Spoil>,
    done: Vec<Spoil>,
    left_open: LeftOpen,
}

/// The handles that spoilt replies gave and that the client has not closed.
pub(crate) type LeftOpen = Arc<Mutex<HashMap<[u8; 16], Spoil>>>;

/// `FileId` in a reply to CREATE and in a request to CLOSE (MS-SMB2 2.2.14, 2.2.15).
const OPENED: usize = HEADER_LEN + 64;
const CLOSED: usize = HEADER_LEN + 8;
/// CLOSE.
const CLOSE: u16 = 0x0006;

/// The handle at `at` of a message.
fn handle(message: &[u8], at: usize) -> Option<[u8; 16]> {
    message.get(at..at + 16)?.try_into().ok()
}

impl Conversation {
    /// One that tells `left_open` of handles.
    pub(crate) fn telling(left_open: &LeftOpen) -> Self {
        Self { left_open: Arc::clone(left_open), ..Self::default() }
    }

    /// Takes note of a frame of the client, without its transport header.
    pub(crate) fn request(&mut self, frame: &[u8]) {
        let messages = messages(frame);
        let place = if messages.len() == 1 { Place::Open } else { Place::Lookup };
        for message in messages.into_iter().filter_map(|range| frame.get(range)) {
            if Header::read(Cursor::new(message)).is_some_and(|header| header.command == CLOSE)
                && let Some(handle) = handle(message, CLOSED)
            {
                self.left_open.lock().expect("no holder panics").remove(&handle);
            }
            let wanted = file_to_create(message).and_then(|file| Spoil::of(&file));
            if let (Some(spoil), Some(id)) = (wanted, Cursor::new(message).le64(MESSAGE_ID))
                && spoil.place == place
                && !self.done.contains(&spoil)
            {
                self.by_message_id.insert(id, spoil);
            }
        }
    }

    /// Spoils the replies in a frame of the server that were asked for; gives what was done.
    pub(crate) fn reply(&mut self, frame: &mut Vec<u8>) -> Vec<Spoil> {
        let mut done = Vec::new();
        for range in messages(frame) {
            let Some(message) = frame.get_mut(range) else { continue };
            let (Some(header), Some(id)) =
                (Header::read(Cursor::new(message)), Cursor::new(message).le64(MESSAGE_ID))
            else {
                continue;
            };
            if header.status == PENDING {
                continue;
            }
            let Some(spoil) = self.by_message_id.remove(&id) else { continue };
            if header.reply
                && header.command == CREATE
                && header.status == SUCCESS
                && spoil_contexts(spoil.rule, message)
            {
                // A compound closes what it opened.
                if let Some(handle) = handle(message, OPENED).filter(|_| spoil.place == Place::Open) {
                    self.left_open.lock().expect("no holder panics").insert(handle, spoil);
                }
                done.push(spoil);
            }
        }
        if done.iter().any(|spoil| spoil.rule == Rule::ReplyShort) {
            // It is alone in its frame; one byte less than the contexts' place and length need.
            frame.truncate(CONTEXTS_LENGTH + 3);
        }
        self.done.extend(&done);
        done
    }
}

/// Where the messages of a frame are; one, but for a compound. Encrypted frames and what is no SMB2
/// hold none.
pub(crate) fn messages(frame: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = frame.get(at..)
        && Header::read(Cursor::new(rest)).is_some()
    {
        let next = Cursor::new(rest).le32(NEXT_COMMAND).map_or(0, |next| next as usize);
        if !(HEADER_LEN..rest.len()).contains(&next) {
            found.push(at..frame.len());
            break;
        }
        found.push(at..at + next);
        at += next;
    }
    found
}

/// The last part of the path that a CREATE request names.
pub(crate) fn file_to_create(message: &[u8]) -> Option<String> {
    let message = Cursor::new(message);
    let header = Header::read(message)?;
    if header.reply || header.command != CREATE {
        return None;
    }
    let (offset, length) = (message.le16(NAME_OFFSET)?, message.le16(NAME_OFFSET + 2)?);
    let name = message.bytes(offset.into(), length.into())?;
    let units: Vec<u16> = name.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let path = String::from_utf16(&units).ok()?;
    path.rsplit('\\').next().map(str::to_owned)
}

/// The first context of a reply. Its numbers are those of the wire (MS-SMB2 2.2.13.2).
struct First {
    at: usize,
    /// Bytes from here to the end of the list.
    remaining: u32,
    next: u32,
    name_offset: u16,
    data_offset: u16,
    data_length: u32,
}

impl First {
    fn read(message: &[u8]) -> Option<Self> {
        let message = Cursor::new(message);
        let at = message.le32(CONTEXTS_OFFSET)? as usize;
        let remaining = message.le32(CONTEXTS_LENGTH)?;
        let context = Cursor::new(message.bytes(at, remaining as usize)?);
        Some(Self {
            at,
            remaining,
            next: context.le32(0)?,
            name_offset: context.le16(4)?,
            data_offset: context.le16(10)?,
            data_length: context.le32(12)?,
        })
    }

    /// Bytes from here to the end of the context.
    fn extent(&self) -> u32 {
        if self.next == 0 { self.remaining } else { self.next }
    }
}

/// Changes one field of `message` so that `rule` is the first it breaks; says whether its contexts
/// allow that.
fn spoil_contexts(rule: Rule, message: &mut [u8]) -> bool {
    let Some(first) = First::read(message) else { return false };
    let (at, name, data) = (first.at, u32::from(first.name_offset), u32::from(first.data_offset));
    let past_end = u32::try_from(message.len().saturating_sub(at)).map_or(u32::MAX, |left| left + 8);
    match rule {
        // The frame is cut once all its messages were looked at.
        Rule::ReplyShort => true,
        Rule::ReplyDataOutside => put(message, CONTEXTS_LENGTH, 4, past_end),
        Rule::CreateNextMisaligned => put(message, at, 4, first.next | 4),
        Rule::CreateNextOutside => put(message, at, 4, first.remaining.next_multiple_of(8)),
        Rule::CreateNextInHeader => put(message, at, 4, 8),
        Rule::CreateDataInHeader => put(message, at + 10, 2, 8),
        Rule::CreateDataOutside => put(message, at + 12, 4, first.extent().saturating_sub(data) + 1),
        Rule::CreateNameInHeader => put(message, at + 4, 2, 8),
        Rule::CreateNameOutside => put(message, at + 6, 2, first.extent().saturating_sub(name) + 1),
        // Without data, there is nothing for a name to run into.
        Rule::CreateNameOverData if first.data_length == 0 => false,
        Rule::CreateNameOverData => put(message, at + 6, 2, data.saturating_sub(name) + 1),
        // Half a header, after the first context or in its place.
        Rule::CreateTrailing => put(message, CONTEXTS_LENGTH, 4, first.next + 8),
        // Not among [`RULES`].
        _ => false,
    }
}

/// Writes `value` as `size` bytes at `at`; says whether that is in `message`, and they can hold it.
pub(crate) fn put(message: &mut [u8], at: usize, size: usize, value: u32) -> bool {
    let bytes = value.to_le_bytes();
    match message.get_mut(at..at + size) {
        Some(field) if bytes[size..].iter().all(|byte| *byte == 0) => {
            field.copy_from_slice(&bytes[..size]);
            true
        }
        _ => false,
    }
}
