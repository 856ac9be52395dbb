// SPDX-License-Identifier: GPL-2.0
//! Kernels that enforce signatures: by a parameter, and by Secure Boot, through the chain that a real machine boots by.

use anyhow::{Context as _, Result, ensure};
use xtask::vm::secure_boot::{Chain, MEMORY, SecureBoot, require_signed_image};
use xtask::vm::{Machine, Verdict};

use crate::commands::tool;
use crate::{Bench, verdict_is};

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

/// The three boots of `insmod --secure-boot`: only the module whose certificate is enrolled is loaded.
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

/// The chain is the real one: a kernel with one bit changed is not started.
pub(crate) fn changed_kernel(bench: &Bench) -> Result<()> {
    let vmlinuz = bench.prepared.kdir.vmlinuz()?;
    require_signed_image(&vmlinuz, bench.prepared.kdir.release().as_str(), Vec::new)?;
    let changed = bench.logs.join("changed-vmlinuz");
    let mut image = fs_err::read(&vmlinuz)?;
    let middle = image.len() / 2;
    image[middle] ^= 1;
    fs_err::write(&changed, image)?;
    let chain = Chain::provide(&bench.context)?;
    let (payload, log) = (bench.payload()?, bench.logs.join("changed-kernel.log"));
    let machine = Machine {
        memory: MEMORY,
        accelerator: Some(bench.accelerator),
        secure_boot: Some(SecureBoot { chain: &chain, vmlinuz: &changed, enrolled: None }),
        ..Machine::new(&bench.vmlinux, &bench.init, &payload, &log)
    };
    let run = machine.run(&bench.context, |_, _| {})?;
    verdict_is(&run, Verdict::NeverUp)?;
    let console = fs_err::read(&run.console_log)?;
    let console = String::from_utf8_lossy(&console);
    ensure!(console.contains("bad shim signature"), "{console}");
    Ok(())
}
