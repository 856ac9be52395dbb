// SPDX-License-Identifier: GPL-2.0
//! Packets of one TCP connection between a client and a server.
#![allow(dead_code, unreachable_pub)]

use etherparse::PacketBuilder;

const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 1], 40_000);
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 2], 445);

/// One direction of a connection, at some place in its sequence numbers.
pub struct Side {
    pub from: ([u8; 4], u16),
    pub to: ([u8; 4], u16),
    pub next: u32,
}

impl Side {
    pub fn client() -> Self {
        Self { from: CLIENT, to: SERVER, next: 100 }
    }

    pub fn server() -> Self {
        Self { from: SERVER, to: CLIENT, next: 0xffff_fff0 }
    }

    /// A packet from its IP header on.
    pub fn packet(&self, sequence: u32, syn: bool, bytes: &[u8]) -> Vec<u8> {
        let tcp = PacketBuilder::ipv4(self.from.0, self.to.0, 64).tcp(self.from.1, self.to.1, sequence, 1000);
        let tcp = if syn { tcp.syn() } else { tcp };
        let mut packet = Vec::new();
        tcp.write(&mut packet, bytes).unwrap();
        packet
    }

    /// Opens the connection.
    pub fn open(&mut self) -> Vec<u8> {
        let packet = self.packet(self.next, true, &[]);
        self.next = self.next.wrapping_add(1);
        packet
    }

    /// Sends one message with its transport header.
    pub fn send(&mut self, message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        self.raw(&[&length[..], message].concat())
    }

    /// The same in as many segments as it takes.
    pub fn send_long(&mut self, message: &[u8]) -> Vec<Vec<u8>> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&length[..], message].concat().chunks(1 << 15).map(|part| self.raw(part)).collect()
    }

    pub fn raw(&mut self, bytes: &[u8]) -> Vec<u8> {
        let packet = self.packet(self.next, false, bytes);
        self.next = self.next.wrapping_add(u32::try_from(bytes.len()).unwrap());
        packet
    }
}

/// Both sides, their connection opened.
pub fn opened() -> (Side, Side, Vec<Vec<u8>>) {
    let (mut client, mut server) = (Side::client(), Side::server());
    let packets = vec![client.open(), server.open()];
    (client, server, packets)
}
