// SPDX-License-Identifier: GPL-2.0
//! One packet of a capture: the TCP segment in it.

use std::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};

/// What the bytes of a packet begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// An Ethernet header.
    Ethernet,
    /// An IP header.
    Ip,
    /// The family of the address, in four bytes, then an IP header: loopback of BSD.
    Family,
    /// The header of Linux for captures on `any`: of this length, and with the protocol at this
    /// place.
    Cooked {
        /// Its length, in bytes.
        length: usize,
        /// Where the EtherType stands.
        protocol: usize,
    },
    /// Something that is not known here, with its number in the list of link types.
    Other(i32),
}

impl Link {
    /// The link type of this number (<https://www.tcpdump.org/linktypes.html>).
    #[must_use]
    pub const fn of_type(number: i32) -> Self {
        // The upper bits may say how long the frame check sequence is.
        match number & 0xffff {
            0 | 108 => Self::Family,
            1 => Self::Ethernet,
            // 12 and 14 are what some systems write for 101.
            12 | 14 | 101 | 228 | 229 => Self::Ip,
            113 => Self::Cooked { length: 16, protocol: 14 },
            276 => Self::Cooked { length: 20, protocol: 0 },
            _ => Self::Other(number),
        }
    }
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    /// Who sent it.
    pub(crate) from: SocketAddr,
    /// To whom.
    pub(crate) to: SocketAddr,
    /// The sequence number of its first byte, or of its SYN.
    pub(crate) sequence: u32,
    /// What it acknowledges.
    pub(crate) acknowledged: Option<u32>,
    /// Whether it opens a connection.
    pub(crate) syn: bool,
    /// Its bytes, as far as they were captured.
    pub(crate) bytes: &'a [u8],
}

/// What is in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// A segment of TCP.
    Segment(Segment<'a>),
    /// A fragment of an IP packet, which is not put together here: to its stream it is missing.
    Fragment,
    /// Anything else.
    Other,
}

impl<'a> Packet<'a> {
    /// Reads a packet of a capture.
    pub(crate) fn read(link: Link, bytes: &'a [u8]) -> Self {
        let sliced = match link {
            Link::Ethernet => LaxSlicedPacket::from_ethernet(bytes).ok(),
            Link::Ip => LaxSlicedPacket::from_ip(bytes).ok(),
            Link::Family => bytes.get(4..).and_then(|ip| LaxSlicedPacket::from_ip(ip).ok()),
            Link::Cooked { length, protocol } => cooked(bytes, length, protocol),
            Link::Other(_) => None,
        };
        sliced.map_or(Self::Other, |sliced| Self::of(&sliced))
    }

    /// What was found in a packet, as far as it concerns TCP.
    fn of(sliced: &LaxSlicedPacket<'a>) -> Self {
        let Some((from, to)) = sliced.net.as_ref().and_then(addresses) else { return Self::Other };
        let payload = sliced.net.as_ref().and_then(LaxNetSlice::ip_payload_ref);
        if payload.is_some_and(|payload| payload.fragmented) {
            return Self::Fragment;
        }
        let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { return Self::Other };
        Self::Segment(Segment {
            from: (from, tcp.source_port()).into(),
            to: (to, tcp.destination_port()).into(),
            sequence: tcp.sequence_number(),
            acknowledged: tcp.ack().then(|| tcp.acknowledgment_number()),
            syn: tcp.syn(),
            bytes: tcp.payload(),
        })
    }
}

/// A packet after a cooked header.
fn cooked(bytes: &[u8], length: usize, protocol: usize) -> Option<LaxSlicedPacket<'_>> {
    let number = u16::from_be_bytes(bytes.get(protocol..)?.first_chunk().copied()?);
    Some(LaxSlicedPacket::from_ether_type(EtherType(number), bytes.get(length..)?))
}

/// Source and destination.
fn addresses(net: &LaxNetSlice<'_>) -> Option<(IpAddr, IpAddr)> {
    match net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            Some((header.source_addr().into(), header.destination_addr().into()))
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            Some((header.source_addr().into(), header.destination_addr().into()))
        }
        LaxNetSlice::Arp(_) => None,
    }
}
