// SPDX-License-Identifier: GPL-2.0
//! Compressed modules, handed to the kernel as they are: what its own decompressor takes is what
//! the tool says that it takes.

use anyhow::{Context as _, Result, ensure};
use kmodfile::compression::Compression;
use kmodfile::config::Config;
use kmodfile::file::ModuleFile;
use kmodfile::load::answer::Refusal;
use kmodfile::load::unpacking::KernelUnpacker;
use libtest_mimic::{Failed, Trial};
use project::packed::{Complete, Packed};
use vm::Verdict;
use vm::modules::GuestModule;
use vm_protocol::{Errno, Expect};
use xtask::client::SamplePayload as Payload;

use crate::bench::{Bench, verdict_is};
use crate::packings::{self, Kernel};

const MODULE: &str = "fault_none";

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let trial = |name: &str, check: fn(&Bench) -> Result<()>| {
        Trial::test(format!("compressed::{name}"), move || {
            let bench = bench.expect("trials are run with a bench");
            check(bench).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    vec![trial("the_kernel_takes_what_is_said", the_kernel)]
}

/// The default kernel.
fn the_kernel(bench: &Bench) -> Result<()> {
    let config = bench.prepared.kdir.config()?;
    let module = ModuleFile::read(&bench.faults.object(MODULE).context("no fault_none")?.file)?;
    let payload = every_packing(bench.payload()?, &config, module)?;
    verdict_is(&bench.run("compressed", &payload, |_| {})?, Verdict::Pass)
}

/// Inserts a module as the tool packs it for a kernel of this configuration, then packed in every
/// way in that format. What is expected is also what the tool says.
fn every_packing(mut payload: Payload, config: &Config, module: ModuleFile) -> Result<Payload> {
    let unpacker = KernelUnpacker::of(config).context("the kernel does not unpack modules itself")?;
    ensure!(Compression::of_config(config) == Some(unpacker.format), "its own are packed otherwise");
    let packed = Packed::of(Complete::of(module.clone())?, Some(unpacker.format))?;
    payload.insert(GuestModule::of_bytes("as_built", packed.bytes().to_vec()), "", Expect::Success);
    payload.remove(MODULE);
    let mut packings = packings::all(&module.image);
    packings.retain(|packing| packing.format == unpacker.format);
    ensure!(packings.iter().any(|packing| packing.kernel != Kernel::Loads), "nothing is refused");
    for packing in packings {
        let file = packing.name.replace([' ', ','], "_");
        let read = ModuleFile::of(packing.name.into(), packing.bytes.clone())?.packing;
        let said = Refusal::of_packing(&read.context("it is packed")?, Some(&unpacker), None);
        let loads = packing.kernel == Kernel::Loads;
        ensure!(said.is_empty() == (loads && packing.kmod), "{}: {said:?}", packing.name);
        let expect = match packing.kernel {
            Kernel::Loads => Expect::Success,
            Kernel::Invalid => Expect::Failure(Errno::EINVAL),
            Kernel::NoModule => Expect::Failure(Errno::ENOEXEC),
        };
        payload.insert(GuestModule::of_bytes(&file, packing.bytes), "", expect);
        if loads {
            payload.remove(MODULE);
        }
    }
    Ok(payload)
}
