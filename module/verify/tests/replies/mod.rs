// SPDX-License-Identifier: GPL-2.0
//! Builds CREATE replies for the tests, well-formed ones first; a test then spoils a field.
#![allow(dead_code, unreachable_pub)]

/// Where the contexts begin in every reply built here: right after the fixed part.
pub const CONTEXTS: usize = 152;

/// One create context: Next is filled in by [`reply`].
#[derive(Clone)]
pub struct Context {
    pub name: &'static [u8],
    pub data: Vec<u8>,
}

/// A lease of version 2: "RqLs", 52 bytes (MS-SMB2 2.2.14.2.11).
pub fn lease_v2() -> Context {
    Context { name: b"RqLs", data: vec![0x11; 52] }
}

/// A lease of version 1: "RqLs", 32 bytes (MS-SMB2 2.2.14.2.10).
pub fn lease_v1() -> Context {
    Context { name: b"RqLs", data: vec![0x22; 32] }
}

/// The on-disk id: "QFid", 32 bytes (MS-SMB2 2.2.14.2.9).
pub fn on_disk_id() -> Context {
    Context { name: b"QFid", data: vec![0x33; 32] }
}

/// The POSIX reply: a 16-byte GUID for a name; link count, reparse tag, mode and two SIDs.
pub fn posix() -> Context {
    let mut data = vec![1, 0, 0, 0, 0, 0, 0, 0, 0xa4, 0x01, 0, 0];
    let sid = [1u8, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    data.extend(sid);
    data.extend(sid);
    Context { name: b"\x93\xad\x25\x50\x9c\xb4\x11\xe7\xb4\x23\x83\xde\x96\x8b\xcd\x7c", data }
}

/// A whole successful CREATE reply with these contexts.
pub fn reply(contexts: &[Context]) -> Vec<u8> {
    let mut list = Vec::new();
    for (nth, context) in contexts.iter().enumerate() {
        let name_end = 16 + context.name.len();
        let data_at = name_end.next_multiple_of(8);
        let mut one = vec![0; 16];
        one[4..6].copy_from_slice(&16u16.to_le_bytes());
        one[6..8].copy_from_slice(&u16::try_from(context.name.len()).unwrap().to_le_bytes());
        one[10..12].copy_from_slice(&u16::try_from(data_at).unwrap().to_le_bytes());
        one[12..16].copy_from_slice(&u32::try_from(context.data.len()).unwrap().to_le_bytes());
        one.extend_from_slice(context.name);
        one.resize(data_at, 0);
        one.extend_from_slice(&context.data);
        if nth + 1 < contexts.len() {
            one.resize(one.len().next_multiple_of(8), 0);
            let next = u32::try_from(one.len()).unwrap();
            one[0..4].copy_from_slice(&next.to_le_bytes());
        }
        list.extend(one);
    }
    with_list(&list)
}

/// A whole successful CREATE reply with `list` for its contexts, whatever it holds.
pub fn with_list(list: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; CONTEXTS];
    bytes[0..4].copy_from_slice(b"\xfeSMB");
    bytes[4] = 64; // StructureSize
    bytes[12] = 5; // Command: CREATE
    bytes[16] = 1; // Flags: a reply
    bytes[64] = 89; // StructureSize of the CREATE reply
    if !list.is_empty() {
        put32(&mut bytes, 144, u32::try_from(CONTEXTS).unwrap());
        put32(&mut bytes, 148, u32::try_from(list.len()).unwrap());
        bytes.extend_from_slice(list);
    }
    bytes
}

/// Writes a 16-bit number at `at`.
pub fn put16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

/// Writes a 32-bit number at `at`.
pub fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// A small deterministic generator (xorshift64*), so that a failure can be had again.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    /// A number of the kind that parsers stumble over: small, near `around`, or huge.
    pub fn awkward(&mut self, around: u32) -> u32 {
        match self.below(6) {
            0 => self.below(40) as u32,
            1 => around.wrapping_add(self.below(17) as u32).wrapping_sub(8),
            2 => (self.below(32) * 8) as u32,
            3 => u32::MAX - self.below(32) as u32,
            4 => 1 << self.below(32),
            _ => self.next() as u32,
        }
    }
}

/// A reply like those of a server, then spoilt in up to four fields or bytes, or cut short.
pub fn mutated(random: &mut Random) -> Vec<u8> {
    let kinds = [lease_v1(), lease_v2(), on_disk_id(), posix(), Context { name: b"DH2Q", data: vec![] }];
    let many = random.below(5);
    let contexts: Vec<_> = (0..many).map(|_| kinds[random.below(kinds.len())].clone()).collect();
    let mut bytes = reply(&contexts);
    for _ in 0..random.below(5) {
        // A multiple of 8 past the start of the list is where a context's header may stand.
        let list = bytes.len() - CONTEXTS;
        let context = CONTEXTS + random.below(list / 8 + 1) * 8;
        let field = [0, 4, 6, 10, 12][random.below(5)];
        let value = random.awkward(list as u32);
        let at = match random.below(8) {
            0 => 144,
            1 => 148,
            2 => random.below(bytes.len()),
            _ => context + field,
        };
        match (field, at + 4 <= bytes.len()) {
            (4 | 6 | 10, true) if at > 148 => put16(&mut bytes, at, value as u16),
            (_, true) => put32(&mut bytes, at, value),
            _ => {}
        }
    }
    if random.below(8) == 0 {
        bytes.truncate(random.below(bytes.len() + 1));
    }
    bytes
}
