// SPDX-License-Identifier: GPL-2.0
//! Captures that are compressed: recognised by how they begin, unpacked as they are read.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use liblzma::stream::{CONCATENATED, Stream};

/// How compressed captures begin: gzip, xz, zstd.
const GZIP: &[u8] = b"\x1f\x8b";
const XZ: &[u8] = b"\xfd7zXZ\0";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
/// The length of the longest of these, in bytes.
const MAGIC: usize = 6;

/// The most memory that unpacking may take, in bytes, and the same for zstd, which counts its
/// window as a power of two: what each of the three programs takes unless it is told otherwise.
const MEMORY: u64 = 1 << 28;
const WINDOW: u32 = 27;

/// The most that is unpacked of one packed byte, once it is more than [`FREE`] bytes: a bomb has
/// more, and a capture of packets that are all alike has less.
const MOST_OF_ONE: u64 = 5000;
/// What is unpacked in any case, in bytes.
const FREE: u64 = 1 << 26;

/// What `capture` holds: unpacked where it begins as gzip, xz or zstd, and else as it is.
///
/// # Errors
///
/// Its beginning cannot be read.
pub(crate) fn unpacked<'a>(mut capture: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut begun = Vec::with_capacity(MAGIC);
    // Reads on where a pipe gives less at first.
    capture.by_ref().take(MAGIC as u64).read_to_end(&mut begun)?;
    let is = |magic| begun.starts_with(magic);
    let (gzip, xz, zstd) = (is(GZIP), is(XZ), is(ZSTD));
    let packed = Arc::new(AtomicU64::new(0));
    let whole = io::Cursor::new(begun).chain(capture);
    let whole = BufReader::new(Counted { inner: whole, count: Arc::clone(&packed) });
    Ok(if gzip {
        Box::new(Bounded::new(flate2::bufread::MultiGzDecoder::new(whole), packed))
    } else if xz {
        let stream = Stream::new_stream_decoder(MEMORY, CONCATENATED)?;
        Box::new(Bounded::new(liblzma::bufread::XzDecoder::new_stream(whole, stream), packed))
    } else if zstd {
        let mut decoder = zstd::Decoder::with_buffer(whole)?;
        decoder.window_log_max(WINDOW)?;
        Box::new(Bounded::new(decoder, packed))
    } else {
        Box::new(whole)
    })
}

/// A reader that counts what it gives.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A reader of what is unpacked, which ends when that is out of all proportion.
struct Bounded<R> {
    inner: R,
    packed: Arc<AtomicU64>,
    unpacked: u64,
}

impl<R> Bounded<R> {
    fn new(inner: R, packed: Arc<AtomicU64>) -> Self {
        Self { inner, packed, unpacked: 0 }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.unpacked += read as u64;
        let most = self.packed.load(Ordering::Relaxed).saturating_mul(MOST_OF_ONE).max(FREE);
        if self.unpacked > most {
            let reason = format!("it unpacks to more than {MOST_OF_ONE} times its size, as no capture does");
            return Err(io::Error::other(reason));
        }
        Ok(read)
    }
}
