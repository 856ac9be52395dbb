// SPDX-License-Identifier: GPL-2.0
//! Compressed modules, handed to the kernel as they are: its own decompressor takes what the tool
//! makes.

use std::io::Write as _;

use anyhow::{Context as _, Result, ensure};
use kmodfile::compression::Compression;
use kmodfile::file::ModuleFile;
use liblzma::stream::{Check, Stream};
use project::packed::{Complete, Packed};
use vm::Verdict;
use vm::modules::GuestModule;
use vm_protocol::{Errno, Expect};

use crate::bench::{Bench, verdict_is};

/// As the kernel's own modules are compressed, it loads; with another check behind it, which xz(1)
/// makes unless told not to, it does not.
pub(crate) fn taken_by_the_kernel(bench: &Bench) -> Result<()> {
    let config = bench.prepared.kdir.config()?;
    ensure!(config.is_yes("CONFIG_MODULE_DECOMPRESS"), "the kernel decompresses no modules");
    let compression = Compression::of_config(&config).context("the kernel's modules are not compressed")?;
    let file = ModuleFile::read(&bench.faults.object("fault_none").context("no fault_none")?.file)?;
    let module = |image| GuestModule::of_bytes("fault_none", image);
    let packed = Packed::of(Complete::of(file.clone())?, Some(compression))?;
    let mut payload = bench.payload()?;
    payload.insert(module(packed.bytes().to_vec()), "", Expect::Success).remove("fault_none");
    verdict_is(&bench.run("compressed", &payload, |_| {})?, Verdict::Pass)?;
    if compression == Compression::Xz {
        let mut other =
            liblzma::write::XzEncoder::new_stream(Vec::new(), Stream::new_easy_encoder(6, Check::Crc64)?);
        other.write_all(&file.image)?;
        let mut payload = bench.payload()?;
        payload.insert(module(other.finish()?), "", Expect::Failure(Errno::EINVAL));
        verdict_is(&bench.run("compressed_otherwise", &payload, |_| {})?, Verdict::Pass)?;
    }
    Ok(())
}
