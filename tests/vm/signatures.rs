// SPDX-License-Identifier: GPL-2.0
//! Kernels that enforce signatures: by a parameter, and by Secure Boot, through the chain that a
//! real machine boots by.

use anyhow::{Context as _, Result, ensure};
use camino::Utf8Path;
use project::key::certificate::Certificate;
use project::key::generate::{KeyRequest, generate};
use project::key::pair::{KeyPair, PrivateKey};
use vm::modules::GuestModule;

use project::sign::{ModuleSigner, Unsigned};
use vm::secure_boot::{Chain, MEMORY, SecureBoot, require_signed_image};
use vm::{LoaderRefusal, Run, Verdict};
use vm_protocol::Expect;

use xtask::client::{SampleMachine as Machine, SamplePayload as Payload};

use crate::bench::{Bench, verdict_is};
use crate::commands::tool;

/// An unsigned module is refused, and the tool says why in the kernel's words.
pub(crate) fn unsigned_where_signatures_are_enforced(bench: &Bench) -> Result<()> {
    let release = bench.prepared.kdir.release().as_str();
    let (status, text) =
        tool(&["--json", "insmod", "--kernel", release, "--append", "module.sig_enforce=1"])?;
    ensure!(status == 10, "status {status}: {text}");
    let outcomes: serde_json::Value = serde_json::from_str(&text)?;
    ensure!(outcomes[0]["verdict"] == "module-refused", "{outcomes}");
    let reason = outcomes[0]["reason"].as_str().context("no reason is given")?;
    ensure!(reason.contains("Loading of unsigned module is rejected"), "{reason}");
    Ok(())
}

/// The three boots of `insmod --secure-boot`: only the module whose certificate is enrolled is
/// loaded.
pub(crate) fn secure_boot(bench: &Bench) -> Result<()> {
    let release = bench.prepared.kdir.release().as_str();
    let (status, text) = tool(&["--json", "insmod", "--secure-boot", "--kernel", release])?;
    ensure!(status == 0, "status {status}: {text}");
    let outcomes: serde_json::Value = serde_json::from_str(&text)?;
    let expected = [
        ("unsigned", "module-refused", 10, "Loading of unsigned module is rejected"),
        ("not-enrolled", "module-refused", 10, "Loading of module with unavailable key is rejected"),
        ("enrolled", "pass", 0, ""),
    ];
    for (index, (case, verdict, exit, reason)) in expected.into_iter().enumerate() {
        let boot = &outcomes[0]["boots"][index];
        ensure!(boot["case"] == case && boot["verdict"] == verdict && boot["exit"] == exit, "{outcomes}");
        ensure!(boot["reason"].as_str().is_some_and(|text| text.contains(reason)), "{boot}");
        let console = fs_err::read(boot["console"].as_str().context("no console is named")?)?;
        let console = String::from_utf8_lossy(&console);
        ensure!(console.contains("Secure boot enabled"), "{case}: {console}");
        ensure!(console.contains("Kernel is locked down"), "{case}: {console}");
    }
    Ok(())
}

/// A machine with Secure Boot that starts `vmlinuz` and runs `payload`.
fn run(
    bench: &Bench,
    name: &str,
    vmlinuz: &Utf8Path,
    enrolled: Option<&Certificate>,
    payload: &Payload,
) -> Result<Run> {
    let chain = Chain::provide(&bench.context)?;
    let log = bench.logs.join(format!("{name}.log"));
    let machine = Machine {
        memory: MEMORY,
        accelerator: Some(bench.accelerator),
        secure_boot: Some(SecureBoot { chain: &chain, vmlinuz, enrolled }),
        ..Machine::new(&bench.vmlinux, payload, &log)
    };
    machine.run(&bench.context, |_, _| {})
}

/// The chain is the real one: a kernel with one bit changed is not started.
pub(crate) fn changed_kernel(bench: &Bench) -> Result<()> {
    let vmlinuz = bench.prepared.kdir.vmlinuz()?;
    require_signed_image(&vmlinuz, bench.prepared.kdir.release().as_str(), Vec::new)?;
    let changed = bench.logs.join("changed-vmlinuz");
    let mut image = fs_err::read(&vmlinuz)?;
    let middle = image.len() / 2;
    image[middle] ^= 1;
    fs_err::write(&changed, image)?;
    let run = run(bench, "changed-kernel", &changed, None, &bench.payload()?)?;
    verdict_is(&run, Verdict::NeverUp)?;
    let console = fs_err::read(&run.console_log)?;
    let console = String::from_utf8_lossy(&console);
    ensure!(console.contains("bad shim signature"), "{console}");
    Ok(())
}

/// A signature is worth something: of two modules with the same one, that with a bit changed is
/// refused.
pub(crate) fn changed_module(bench: &Bench) -> Result<()> {
    let dir = bench.logs.join("signing-key");
    let request = KeyRequest { dir: &dir, name: "vm suite", days: 2, encrypted: false };
    let files = generate(&bench.context, &request)?;
    let pair = KeyPair::open(&bench.context, &PrivateKey::File(files.private), &files.pem)?;
    let file = &bench.faults.object("fault_none").context("no fault_none")?.file;
    let signed = ModuleSigner::new(&bench.context, &bench.prepared, &pair)?.sign(&Unsigned::read(file)?)?;
    let module = GuestModule::of_bytes("fault_none", signed.image().to_vec());
    let mut changed = module.clone();
    let middle = changed.image.len() / 2;
    changed.image[middle] ^= 1;
    let mut payload = bench.payload()?;
    payload.insert(module, "", Expect::Success).remove("fault_none").insert(
        GuestModule { name: "changed".to_owned(), ..changed },
        "",
        Expect::Success,
    );
    let vmlinuz = bench.prepared.kdir.vmlinuz()?;
    let run = run(bench, "changed-module", &vmlinuz, Some(&pair.certificate), &payload)?;
    verdict_is(&run, Verdict::ModuleRefused)?;
    ensure!(run.judgement.refusal == Some(LoaderRefusal::BadSignature), "{:?}", run.judgement);
    ensure!(
        run.judgement.reason.starts_with("`insmod changed.ko`: EKEYREJECTED"),
        "{}",
        run.judgement.reason
    );
    Ok(())
}
