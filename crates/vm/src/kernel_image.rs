// SPDX-License-Identifier: GPL-2.0
//! Turns a `vmlinuz` into what QEMU starts at once: for x86 the `vmlinux` inside it, through PVH,
//! for arm64 the `Image`, which often is the `vmlinuz`.
//!
//! Decompressing on the host takes a second, in an emulated guest many; and a PVH boot skips the
//! real-mode code altogether. What a file is, it says itself.

use std::io::Read as _;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use object::Endianness;
use object::elf::NoteType;
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};

use report::counted;
use report::failure::Failure;

/// The note that holds the entry point of a PVH kernel (include/xen/interface/elfnote.h).
const XEN_ELFNOTE_PHYS32_ENTRY: NoteType = NoteType(18);

/// How a payload is compressed, by its magic number (scripts/extract-vmlinux, lib/decompress.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    Gzip,
    Xz,
    Lzma,
    /// In the old form of frames, which says neither how long it is nor where it ends.
    Lz4,
    Zstd,
}

/// The kernel in the image at `path` as it is started: of a bzImage the `vmlinux`, of an arm64
/// image (`Image`, `Image.gz`, `vmlinuz.efi`) the `Image`; what is one of these already, as it is.
///
/// # Errors
///
/// Refused if it is none of them, is compressed in a way the tool does not read, or is a vmlinux
/// that cannot be booted through PVH.
pub fn vmlinux(path: &Utf8Path) -> Result<Vec<u8>> {
    let image = fs_err::read(path)?;
    let refused = |reason: String| Failure::refused(path.as_str(), reason);
    let kernel = if image.starts_with(b"\x7fELF") || is_arm64_image(&image) {
        image
    } else {
        let payload = payload(&image).map_err(refused)?;
        decompress(payload).map_err(refused)?
    };
    if is_arm64_image(&kernel) {
        return Ok(kernel);
    }
    match has_pvh_entry(&kernel) {
        Ok(true) => Ok(kernel),
        Ok(false) => {
            Err(refused("has no PVH entry point: it was built without CONFIG_PVH".to_owned()).into())
        }
        Err(reason) => Err(refused(reason)).context("looking for the PVH entry point"),
    }
}

/// Whether a file is an arm64 `Image`, which needs no unpacking
/// (Documentation/arch/arm64/booting.rst).
pub fn is_arm64_image(image: &[u8]) -> bool {
    image.get(0x38..0x3c) == Some(b"ARM\x64")
}

/// Whether a kernel image carries a signature for Secure Boot: as a PE program, which it is
/// besides, it has a table of certificates. Whose they are, the firmware and shim decide.
pub fn is_signed(image: &[u8]) -> bool {
    let Ok(program) = object::read::pe::PeFile64::parse(image) else { return false };
    let table = program.data_directories().get(object::pe::IMAGE_DIRECTORY_ENTRY_SECURITY);
    table.is_some_and(|table| table.size.get(object::LittleEndian) > 0)
}

/// The compressed kernel in an image, with what it claims to unpack to after it.
fn payload(image: &[u8]) -> Result<&[u8], String> {
    if image.starts_with(b"MZ\0\0zimg") {
        return zboot_payload(image).ok_or_else(|| "ends within its payload".to_owned());
    }
    // An `Image.gz` is nothing else, and gzip ends with the size (RFC 1952).
    if image.starts_with(b"\x1f\x8b") { Ok(image) } else { bzimage_payload(image) }
}

/// That of a `vmlinuz.efi`, by its header (drivers/firmware/efi/libstub/zboot-header.S). The size
/// of gzip is its own; after any other payload it stands apart.
fn zboot_payload(image: &[u8]) -> Option<&[u8]> {
    let number = |at: usize| image.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (start, length) = (number(8)? as usize, number(12)? as usize);
    let size = if image.get(0x18..0x1c)? == b"gzip" { 0 } else { 4 };
    image.get(start..start.checked_add(length)?.checked_add(size)?)
}

/// That of a bzImage, by its setup header (Documentation/arch/x86/boot.rst, protocol 2.08 and
/// later).
fn bzimage_payload(image: &[u8]) -> Result<&[u8], String> {
    let cut = || "ends within its setup header".to_owned();
    let bytes = |at: usize, length: usize| image.get(at..at + length).ok_or_else(cut);
    let number = |at: usize| Ok::<_, String>(u32::from_le_bytes(bytes(at, 4)?.try_into().expect("4 bytes")));
    if bytes(0x202, 4)? != b"HdrS" {
        return Err("is a kernel image neither of x86 (no HdrS) nor of arm64".to_owned());
    }
    let version = bytes(0x206, 2)?;
    let version = u16::from_le_bytes([version[0], version[1]]);
    if version < 0x208 {
        return Err(format!("has boot protocol {version:#x}, older than 2.08"));
    }
    // 0 stands for 4 sectors, for the sake of very old kernels; the boot sector comes in addition.
    let setup_sectors = match bytes(0x1f1, 1)?[0] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (setup_sectors + 1) * 512 + number(0x248)? as usize;
    let length = number(0x24c)? as usize;
    image.get(start..start + length).ok_or_else(|| "ends within its payload".to_owned())
}

fn compression(payload: &[u8]) -> Result<Compression, String> {
    match payload {
        [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Ok(Compression::Xz),
        [0x5d, 0, 0, ..] => Ok(Compression::Lzma),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Compression::Zstd),
        [0x02, 0x21, 0x4c, 0x18, ..] => Ok(Compression::Lz4),
        [b'B', b'Z', b'h', ..] => Err("is compressed with bzip2, which is not supported".to_owned()),
        [0x89, b'L', b'Z', b'O', ..] => Err("is compressed with LZO, which is not supported".to_owned()),
        _ => Err("is compressed in a way that is not supported".to_owned()),
    }
}

/// Decompresses `payload`, whose last four bytes are the size of what it holds.
fn decompress(payload: &[u8]) -> Result<Vec<u8>, String> {
    let compression = compression(payload)?;
    let (packed, size) = payload.split_last_chunk::<4>().ok_or("has an empty payload")?;
    let size = u32::from_le_bytes(*size) as usize;
    let mut out = Vec::new();
    // The stream ends before the size; what follows it is no error, and neither is a wrong claim a
    // reason to allocate.
    let limit = size as u64 + 1;
    let read = match compression {
        Compression::Gzip => flate2::read::GzDecoder::new(payload).take(limit).read_to_end(&mut out),
        Compression::Xz => liblzma::read::XzDecoder::new(payload).take(limit).read_to_end(&mut out),
        Compression::Lzma => liblzma::stream::Stream::new_lzma_decoder(u64::MAX)
            .map_err(std::io::Error::from)
            .and_then(|stream| {
                liblzma::read::XzDecoder::new_stream(payload, stream).take(limit).read_to_end(&mut out)
            }),
        Compression::Lz4 => lz4_flex::frame::FrameDecoder::new(packed).take(limit).read_to_end(&mut out),
        Compression::Zstd => zstd::Decoder::new(payload)
            .and_then(|decoder| decoder.single_frame().take(limit).read_to_end(&mut out)),
    };
    read.map_err(|error| format!("cannot be decompressed: {error}"))?;
    if out.len() == size {
        Ok(out)
    } else {
        Err(format!("holds {} and claims {size}", counted(out.len(), "byte", "bytes")))
    }
}

/// Whether an ELF kernel says where to enter it through PVH.
fn has_pvh_entry(elf: &[u8]) -> Result<bool, String> {
    let error = |error: object::Error| format!("is not a 64-bit ELF kernel: {error}");
    let file = ElfFile64::<Endianness>::parse(elf).map_err(error)?;
    let endian = file.endian();
    for segment in file.elf_header().program_headers(endian, elf).map_err(error)? {
        let Some(mut notes) = segment.notes(endian, elf).map_err(error)? else { continue };
        while let Some(note) = notes.next().map_err(error)? {
            if note.name() == b"Xen" && note.n_type(endian) == XEN_ELFNOTE_PHYS32_ENTRY {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A bzImage around `payload`, with one setup sector.
    fn bzimage(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
        image[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        image.resize(1024 + 16, 0xcc);
        image.extend_from_slice(payload);
        image.extend_from_slice(b"the rest");
        image
    }

    fn with_size(mut packed: Vec<u8>, size: usize) -> Vec<u8> {
        packed.extend_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
        packed
    }

    #[test]
    fn each_compression_is_undone() {
        let kernel = b"\x7fELF and so on".repeat(100);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&kernel).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&kernel).unwrap();
        // As `lz4 -l` writes it: the magic number, then each block after its length.
        let block = lz4_flex::block::compress(&kernel);
        let length = u32::try_from(block.len()).unwrap().to_le_bytes();
        let lz4 = [b"\x02\x21\x4c\x18".as_slice(), &length, &block].concat();
        let packed = [
            gzip.finish().unwrap(),
            xz.finish().unwrap(),
            lz4,
            zstd::encode_all(kernel.as_slice(), 1).unwrap(),
        ];
        for packed in packed {
            let image = bzimage(&with_size(packed, kernel.len()));
            assert_eq!(decompress(payload(&image).unwrap()).unwrap(), kernel);
        }
    }

    /// What QEMU starts of an image, in a file of its own.
    fn started(image: &[u8]) -> Result<Vec<u8>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), image).unwrap();
        vmlinux(Utf8Path::from_path(file.path()).unwrap())
    }

    #[test]
    fn each_form_of_an_arm64_image_becomes_the_image() {
        let mut image = vec![0; 4096];
        image[..2].copy_from_slice(b"MZ");
        image[0x38..0x3c].copy_from_slice(b"ARM\x64");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&image).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(image.as_slice(), 1).unwrap();
        // Magic, where the payload is and its length, two reserved words, how it is compressed.
        let zboot = |kind: &[u8; 4], payload: &[u8], size: &[u8]| {
            let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
            let head = [b"MZ\0\0zimg".as_slice(), &64u32.to_le_bytes(), &length, &[0; 8], kind].concat();
            [&head[..], &vec![0; 64 - head.len()], payload, size, b"the rest"].concat()
        };
        let size = 4096u32.to_le_bytes();
        for form in [&image, &gzip, &zboot(b"gzip", &gzip, b""), &zboot(b"zstd", &zstd, &size)] {
            assert_eq!(started(form).unwrap(), image);
        }
        let cut = &zboot(b"zstd", &zstd, &size)[..70];
        assert!(started(cut).unwrap_err().to_string().contains("ends within its payload"));
        let error =
            started(&zboot(b"zstd", &zstd::encode_all(&b"12345678"[..], 1).unwrap(), &8u32.to_le_bytes()));
        assert!(format!("{:#}", error.unwrap_err()).contains("not a 64-bit ELF kernel"));
    }

    /// The headers of a PE program whose table of certificates has `size` bytes (PE format,
    /// "Optional Header Data Directories").
    fn pe(size: u32) -> Vec<u8> {
        let mut image = vec![0; 0x40 + 24 + 240];
        image[..2].copy_from_slice(b"MZ");
        image[0x3c] = 0x40;
        image[0x40..0x44].copy_from_slice(b"PE\0\0");
        image[0x44..0x46].copy_from_slice(&0x8664_u16.to_le_bytes());
        image[0x54..0x56].copy_from_slice(&240_u16.to_le_bytes());
        let optional = 0x40 + 24;
        image[optional..optional + 2].copy_from_slice(&0x20b_u16.to_le_bytes());
        image[optional + 108] = 16;
        // The fifth directory: where the table is in the file, and its size.
        image[optional + 112 + 4 * 8] = 1;
        image[optional + 112 + 4 * 8 + 4..][..4].copy_from_slice(&size.to_le_bytes());
        image
    }

    #[test]
    fn a_signed_image_has_a_table_of_certificates() {
        assert!(is_signed(&pe(1472)));
        for image in [pe(0), pe(1472)[..200].to_vec(), b"MZ".to_vec(), b"\x7fELF".to_vec(), Vec::new()] {
            assert!(!is_signed(&image), "{} bytes", image.len());
        }
    }

    #[test]
    fn broken_images_are_refused() {
        let packed = zstd::encode_all(b"kernel".as_slice(), 1).unwrap();
        let table: &[(Vec<u8>, &str)] = &[
            (b"MZ".to_vec(), "ends within its setup header"),
            (vec![0; 4096], "no HdrS"),
            (bzimage(b"\x02\x21\x4c\x18\xff\xff\xff\xff...."), "cannot be decompressed"),
            (bzimage(b"\x89LZO...."), "LZO"),
            (bzimage(b"????????"), "a way that is not supported"),
            (bzimage(&with_size(packed.clone(), 7)), "6 bytes and claims 7"),
            (bzimage(&with_size(packed.clone(), 5)), "and claims 5"),
            (bzimage(&packed)[..1050].to_vec(), "ends within its payload"),
        ];
        for (image, expected) in table {
            let reason = payload(image).and_then(decompress).unwrap_err();
            assert!(reason.contains(expected), "{reason} / {expected}");
        }
    }

    #[test]
    fn an_elf_file_without_the_note_is_no_pvh_kernel() {
        let this_test = std::env::current_exe().unwrap();
        assert_eq!(has_pvh_entry(&std::fs::read(this_test).unwrap()), Ok(false));
        assert!(has_pvh_entry(b"\x7fELF").is_err());
    }
}
