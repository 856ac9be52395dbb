// SPDX-License-Identifier: GPL-2.0
//! CREATE replies that are accepted, and one that is rejected for each rule.

use crate::replies::{
    lease_v1, lease_v2, on_disk_id, posix, put16, put32, reply, with_list, Context, CONTEXTS,
};
use crate::{verify as verdict, Rejected};
use verify::Level::{Enforce, Strict};
use verify::{create, Asked, Cursor, Malformed, Rule};

/// The verdict of the contexts by themselves, without the frame.
fn contexts(reply: &[u8]) -> Result<(), Malformed> {
    create::verify(Cursor::new(reply), Asked::guarded(), Enforce)
}

#[test]
fn sound_replies_are_accepted() {
    let no_data = Context { name: b"MxAc", data: vec![] };
    let wrong_size = Context { name: b"RqLs", data: vec![0; 7] };
    let unknown = Context { name: b"unheard-of", data: vec![0; 3] };
    for (what, bytes) in [
        ("no contexts", reply(&[])),
        ("lease v1", reply(&[lease_v1()])),
        ("lease v2", reply(&[lease_v2()])),
        ("on-disk id", reply(&[on_disk_id()])),
        ("POSIX", reply(&[posix()])),
        ("what Samba sends", reply(&[lease_v2(), on_disk_id(), posix()])),
        ("a context without data", reply(&[no_data, on_disk_id()])),
        ("a lease of a wrong size, which the client passes over", reply(&[wrong_size])),
        ("a name nobody knows", reply(&[unknown, lease_v1()])),
    ] {
        assert_eq!(verdict(&bytes, Enforce), Ok(()), "{what}");
    }
}

#[test]
fn peculiar_but_sound() {
    // Data that come before the end of the context, and bytes between name and data.
    let mut bytes = reply(&[lease_v1(), on_disk_id()]);
    put32(&mut bytes, CONTEXTS + 12, 1);
    assert_eq!(verdict(&bytes, Enforce), Ok(()));

    // A name that ends just where the data begin.
    let mut bytes = reply(&[posix()]);
    put16(&mut bytes, CONTEXTS + 10, 32);
    assert_eq!(verdict(&bytes, Enforce), Ok(()));

    // No data: then the name may lie past the data's offset.
    let mut bytes = reply(&[on_disk_id()]);
    put16(&mut bytes, CONTEXTS + 10, 16);
    put32(&mut bytes, CONTEXTS + 12, 0);
    assert_eq!(verdict(&bytes, Enforce), Ok(()));

    // Bytes after the last context's data, and after the contexts.
    let mut bytes = reply(&[on_disk_id()]);
    let list = u32::try_from(bytes.len() - CONTEXTS).unwrap();
    bytes.extend([0xee; 7]);
    assert_eq!(verdict(&bytes, Enforce), Ok(()), "padding after the list");
    put32(&mut bytes, 148, list + 7);
    assert_eq!(verdict(&bytes, Enforce), Ok(()), "padding in the list");

    // An empty list may be said to stand anywhere within the reply, its end included.
    for offset in [0, 1, 152] {
        let mut bytes = reply(&[]);
        put32(&mut bytes, 144, offset);
        assert_eq!(verdict(&bytes, Enforce), Ok(()), "empty list at {offset}");
    }
}

/// A lease and an on-disk id, with one field of the first context spoilt.
fn spoilt(spoil: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut bytes = reply(&[lease_v1(), on_disk_id()]);
    assert_eq!(bytes.len(), CONTEXTS + 56 + 56);
    spoil(&mut bytes);
    bytes
}

pub(crate) fn rejected() -> Vec<Rejected> {
    use Rule::{
        CreateAccessSize, CreateContextsOutside, CreateDataInHeader, CreateDataOutside, CreateDiskIdSize,
        CreateDurableSize, CreateLeaseSize, CreateNameInHeader, CreateNameOutside, CreateNameOverData,
        CreateNextInHeader, CreateNextMisaligned, CreateNextOutside, CreatePosixShort, CreateShort,
        CreateTrailing,
    };
    const FIRST: usize = CONTEXTS;
    const SECOND: usize = CONTEXTS + 56;
    let cases: Vec<(Rule, usize, Vec<u8>)> = vec![
        (CreateShort, 151, reply(&[])[..151].to_vec()),
        (CreateShort, 64, reply(&[])[..64].to_vec()),
        (CreateContextsOutside, 144, spoilt(|b| put32(b, 148, 113))),
        (CreateContextsOutside, 144, spoilt(|b| put32(b, 148, u32::MAX))),
        (CreateContextsOutside, 144, spoilt(|b| put32(b, 144, 153))),
        (CreateContextsOutside, 144, spoilt(|b| put32(b, 144, u32::MAX))),
        (CreateNextMisaligned, FIRST, spoilt(|b| put32(b, FIRST, 57))),
        (CreateNextMisaligned, FIRST, spoilt(|b| put32(b, FIRST, 4))),
        (CreateNextMisaligned, FIRST, spoilt(|b| put32(b, FIRST, u32::MAX))),
        (CreateNextOutside, FIRST, spoilt(|b| put32(b, FIRST, 112))),
        (CreateNextOutside, FIRST, spoilt(|b| put32(b, FIRST, 0xffff_fff8))),
        (CreateNextInHeader, FIRST, spoilt(|b| put32(b, FIRST, 8))),
        (CreateDataInHeader, FIRST + 10, spoilt(|b| put16(b, FIRST + 10, 15))),
        (CreateDataInHeader, FIRST + 10, spoilt(|b| put16(b, FIRST + 10, 0))),
        // Within the list, past the first context: what older kernels let through.
        (CreateDataOutside, FIRST + 10, spoilt(|b| put32(b, FIRST + 12, 33))),
        (CreateDataOutside, FIRST + 10, spoilt(|b| put16(b, FIRST + 10, 64))),
        (CreateDataOutside, FIRST + 10, spoilt(|b| put32(b, FIRST + 12, u32::MAX))),
        (CreateNameInHeader, FIRST + 4, spoilt(|b| put16(b, FIRST + 4, 15))),
        (CreateNameInHeader, FIRST + 4, spoilt(|b| put16(b, FIRST + 4, 0))),
        (CreateNameOutside, FIRST + 4, spoilt(|b| put16(b, FIRST + 4, 53))),
        (CreateNameOutside, FIRST + 4, spoilt(|b| put16(b, FIRST + 6, u16::MAX))),
        (CreateNameOverData, FIRST + 4, spoilt(|b| put16(b, FIRST + 4, 21))),
        (CreateNameOverData, FIRST + 4, spoilt(|b| put16(b, FIRST + 6, 16))),
        // The second context is held to the same rules, by what remains of the list.
        (CreateDataOutside, SECOND + 10, spoilt(|b| put32(b, SECOND + 12, 33))),
        (CreateNextOutside, SECOND, spoilt(|b| put32(b, SECOND, 56))),
        (CreateTrailing, FIRST, with_list(&[0; 15])),
        (CreateTrailing, SECOND, spoilt(|b| put32(b, 148, 56 + 15))),
    ];
    let one = |name, len| reply(&[Context { name, data: vec![0; len] }]);
    let strict: Vec<(Rule, usize, Vec<u8>)> = vec![
        (CreateLeaseSize, FIRST + 10, one(b"RqLs", 33)),
        (CreateDiskIdSize, FIRST + 10, one(b"QFid", 8)),
        (CreateAccessSize, FIRST + 10, one(b"MxAc", 4)),
        (CreateDurableSize, FIRST + 10, one(b"DHnQ", 16)),
        (CreateDurableSize, FIRST + 10, one(b"DH2Q", 0)),
        (CreatePosixShort, FIRST + 10, one(posix().name, 12)),
    ];
    let enforced = cases.into_iter().map(|(rule, offset, bytes)| (rule, offset, contexts(&bytes)));
    let strictly = strict.into_iter().map(|(rule, offset, bytes)| (rule, offset, verdict(&bytes, Strict)));
    enforced.chain(strictly).collect()
}

#[test]
fn what_the_client_does_not_parse_is_left_alone() {
    let broken = spoilt(|b| put32(b, CONTEXTS, 4));
    assert!(verdict(&broken, Enforce).is_err());
    let with = |at: usize, value: u8| {
        let mut bytes = broken.clone();
        bytes[at] = value;
        bytes
    };
    assert_eq!(verdict(&with(11, 0xc0), Enforce), Ok(()), "an error reply");
}
