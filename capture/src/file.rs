// SPDX-License-Identifier: GPL-2.0
//! The packets in a capture: pcap, in either byte order and resolution, and pcapng; compressed or
//! not.

use std::fmt;
use std::io::{self, Read};

use pcap_parser::pcapng::Block;
use pcap_parser::traits::PcapNGPacketBlock as _;
use pcap_parser::{PcapBlockOwned, PcapError, create_reader};

use crate::packed;
use crate::segment::Link;

/// The reader's memory in bytes, and how far it may grow for a longer packet: far more than a
/// capture holds of one.
const BUFFER: usize = 1 << 16;
const LARGEST_BUFFER: usize = 1 << 21;

/// How a capture ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After its last packet.
    Whole,
    /// In the middle of a packet, as one does whose capturing was killed or whose disk was full.
    Cut,
}

/// Why a file cannot be read as a capture.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It does not begin as one.
    NoCapture,
    /// Reading or unpacking failed.
    Failed {
        /// How many packets came before.
        after: u64,
        /// Why.
        reason: String,
    },
    /// What follows so many packets makes no sense.
    Broken {
        /// How many packets came before.
        after: u64,
    },
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCapture => write!(f, "it begins neither as pcap nor as pcapng"),
            Self::Failed { after: 0, reason } => write!(f, "reading it failed: {reason}"),
            Self::Failed { after, reason } => write!(f, "reading it failed after packet {after}: {reason}"),
            Self::Broken { after } => write!(f, "what follows packet {after} is no packet"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// Hands every packet of `capture` to `visit`: its number, from 1 on, how its bytes begin, and its
/// bytes. What is compressed with gzip, xz or zstd is unpacked as it is read.
///
/// # Errors
///
/// It is no capture, or broken; the packets before that have been visited.
pub fn packets(
    capture: impl Read + Send,
    mut visit: impl FnMut(u64, Link, &[u8]),
) -> Result<End, Unreadable> {
    let mut number = 0;
    let failed = |error: io::Error, after| Unreadable::Failed { after, reason: error.to_string() };
    let mut source = Whole::new(packed::unpacked(capture).map_err(|error| failed(error, 0))?);
    let end = walk(&mut source, &mut number, &mut visit);
    match source.ended {
        // Of what is compressed too, the end may be missing.
        Some(error) if error.kind() == io::ErrorKind::UnexpectedEof => end.map(|_| End::Cut),
        Some(error) => Err(failed(error, number)),
        None => end,
    }
}

/// Hands every packet of an open capture to `visit`, and counts them.
fn walk(
    source: &mut (impl Read + Send),
    number: &mut u64,
    visit: &mut impl FnMut(u64, Link, &[u8]),
) -> Result<End, Unreadable> {
    let mut reader = create_reader(BUFFER, source).map_err(|_| Unreadable::NoCapture)?;
    let mut links = Vec::new();
    let mut buffer = BUFFER;
    loop {
        match reader.next() {
            Ok((length, block)) => {
                if let Some((link, bytes)) = packet(&block, &mut links) {
                    *number += 1;
                    visit(*number, link, bytes);
                }
                reader.consume(length);
            }
            Err(PcapError::Eof) => return Ok(End::Whole),
            Err(PcapError::UnexpectedEof) => {
                return Ok(if reader.data().is_empty() { End::Whole } else { End::Cut });
            }
            // What could not be read is as if it ended there; the source says why.
            Err(PcapError::Incomplete(_)) => reader.refill().map_err(|_| broken(*number))?,
            Err(PcapError::BufferTooSmall) if buffer < LARGEST_BUFFER => {
                buffer *= 2;
                reader.grow(buffer);
            }
            Err(_) => return Err(broken(*number)),
        }
    }
}

const fn broken(after: u64) -> Unreadable {
    Unreadable::Broken { after }
}

/// The packet that a block holds, if any. `links` are those of the section's interfaces so far.
fn packet<'a>(block: &'a PcapBlockOwned<'_>, links: &mut Vec<Link>) -> Option<(Link, &'a [u8])> {
    let link_of = |interface: usize, links: &[Link]| links.get(interface).copied();
    match block {
        PcapBlockOwned::LegacyHeader(header) => *links = vec![Link::of_type(header.network.0)],
        PcapBlockOwned::Legacy(packet) => return Some((link_of(0, links)?, packet.data)),
        PcapBlockOwned::NG(Block::SectionHeader(_)) => links.clear(),
        PcapBlockOwned::NG(Block::InterfaceDescription(one)) => links.push(Link::of_type(one.linktype.0)),
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let interface = usize::try_from(packet.if_id).ok()?;
            let captured = usize::try_from(packet.caplen).ok()?;
            return Some((link_of(interface, links)?, packet.data.get(..captured)?));
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            return Some((link_of(0, links)?, packet.packet_data()));
        }
        PcapBlockOwned::NG(_) => {}
    }
    None
}

/// A reader that gives as much as is asked for, where there is as much: a pipe gives less, and the
/// reader of captures takes what it is given first for the whole header. Where reading fails it
/// ends, and keeps the reason.
struct Whole<R> {
    inner: R,
    ended: Option<io::Error>,
}

impl<R> Whole<R> {
    const fn new(inner: R) -> Self {
        Self { inner, ended: None }
    }
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while self.ended.is_none()
            && let Some(space) = buffer.get_mut(filled..).filter(|space| !space.is_empty())
        {
            match self.inner.read(space) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.ended = Some(error),
            }
        }
        Ok(filled)
    }
}
