// SPDX-License-Identifier: GPL-2.0
//! Boots machines and checks their verdicts, with modules that really do what the verdict says
//! (`seeded/`, `fault/`).
//!
//! The kernel is the default one, prepared in the user's cache; the modules are an ordinary
//! project.

mod arm64;
mod asks;
mod bench;
mod capture;
mod chain;
#[path = "../chained.rs"]
mod chained;
mod commands;
mod compressed;
mod coverage;
mod dkms;
mod frames;
mod from_source;
mod hook;
mod hostile;
mod installed;
mod kernel_debug;
#[path = "../kernel_source.rs"]
mod kernel_source;
mod ksmbd;
#[path = "../dkms/machine.rs"]
mod machine;
mod malformed;
mod new;
#[path = "../packings.rs"]
mod packings;
mod parameter;
mod programs;
mod proxy;
mod ranges;
mod rebuild;
mod reload;
mod rpm;
mod sanitizing;
mod seeded;
mod seeds;
mod signatures;
mod system;
mod talk;
mod vehicle;
mod warm;
mod workload;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use camino::Utf8Path;
use kernel::context::processors;
use libtest_mimic::{Arguments, Trial};
use report::failure::Exit;
use vm::{Limits, Verdict};
use vm_protocol::{Errno, Expect};
use xtask::client::{ClientSteps as _, SampleMachine as Machine, SampleStep as Step};
use xtask::share::{self as smb, Share};

use bench::{Bench, Check, trial, verdict_is};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One machine a processor: each is busy with one of its own.
    arguments.test_threads.get_or_insert(processors());
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(None)).exit_code();
    }
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let scratch = Utf8Path::from_path(scratch.path()).expect("its path is UTF-8");
    match Bench::open(scratch) {
        // The trials need it for as long as the program runs.
        Ok(bench) => libtest_mimic::run(&arguments, trials(Some(Box::leak(Box::new(bench))))).exit_code(),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(Exit::Failed)
        }
    }
}

fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let checks: &[(&str, Check)] = &[
        ("warning_is_20", warning),
        ("allowed_warning_passes", allowed_warning),
        ("dead_processor_is_31", dead_processor),
        ("expected_refusal_passes", expected_refusal),
        ("absent_init_is_30", absent_init),
        ("boot_limit_is_30", boot_limit),
        ("qemu_without_kernel_is_32", qemu_without_kernel),
        ("cifs_loads_and_unloads", cifs),
        ("steps_bring_back_output", output),
        ("share_is_mounted", share),
        ("data_and_holes_are_found_as_the_stock_client_finds_them", ranges::as_the_stock_client),
        ("a_capture_of_a_mount_is_judged", capture::verdicts),
        ("the_mode_is_changed_in_sysfs", parameter::changed_at_run_time),
        ("modinfo_is_complete", parameter::modinfo),
        ("what_passes_unverified_is_counted", hook::unverified_is_counted),
        ("a_function_that_answers_otherwise_is_not_borrowed", hook::another_answer_is_refused),
        ("system_loads_with_its_own_modprobe", system::modprobe_of_a_tree),
        (
            "installed_modules_are_loaded_and_uninstalled_ones_are_not",
            installed::modprobe_loads_what_was_installed,
        ),
        (
            "reload_replaces_what_is_in_memory_or_puts_it_back",
            reload::what_is_in_memory_is_replaced_or_put_back,
        ),
        ("rpm_installs_what_modprobe_loads", rpm::an_installed_package_is_loaded),
        ("command_insmod_passes", commands::insmod),
        ("command_insmod_writes_down_what_happens", commands::events),
        ("command_insmod_ends_with_the_status_of_the_verdict", commands::insmod_of_a_fault),
        (
            "unsigned_module_is_10_where_signatures_are_enforced",
            signatures::unsigned_where_signatures_are_enforced,
        ),
        ("secure_boot_loads_only_what_is_enrolled", signatures::secure_boot),
        ("secure_boot_starts_no_changed_kernel", signatures::changed_kernel),
        ("secure_boot_loads_no_changed_module", signatures::changed_module),
        ("command_demo_tells_the_story", commands::demo),
    ];
    let all = checks
        .iter()
        .map(|(name, check)| trial(bench, name, *check))
        .chain(malformed::trials(bench))
        .chain(hostile::trials(bench))
        .chain(arm64::trials(bench))
        .chain(rebuild::trials(bench))
        .chain(dkms::trials(bench))
        .chain(workload::trials(bench))
        .chain(new::trials(bench))
        .chain(from_source::trials(bench))
        .chain(ksmbd::trials(bench))
        .chain(compressed::trials(bench))
        .chain(sanitizing::trials(bench))
        .chain(warm::trials(bench))
        .chain(seeded::trials(bench))
        .chain(programs::trials(bench))
        .chain(chain::trials(bench))
        .chain(talk::trials(bench))
        .chain(kernel_debug::trials(bench))
        .collect();
    sanitizing::skipped_as_one(all)
}

/// A machine that warned also says what of.
fn warning(bench: &Bench) -> Result<()> {
    let run = bench.fault_run("fault_warn", |_| {})?;
    verdict_is(&run, Verdict::Warning)?;
    ensure!(run.judgement.reason.contains("fault_warn.c"), "{}", run.judgement.reason);
    Ok(())
}

/// The same warning, allowed by the user line by line.
fn allowed_warning(bench: &Bench) -> Result<()> {
    let words = ["cut here", "fault_warn.c", "Call Trace:", "end trace"].map(str::to_owned);
    let run = bench.fault_run("fault_warn", |machine| machine.allowed = words.into())?;
    verdict_is(&run, Verdict::Pass)
}

/// Nothing in the guest can notice: only the host's idle limit does.
fn dead_processor(bench: &Bench) -> Result<()> {
    let limits = Limits { idle: Duration::from_secs(5), ..Limits::default() };
    let run = bench.fault_run("fault_dead", |machine| machine.limits = limits)?;
    verdict_is(&run, Verdict::TimeLimit)?;
    ensure!(run.judgement.reason.contains("insmod fault_dead.ko"), "{}", run.judgement.reason);
    Ok(())
}

/// The harmless module, as if built for another kernel.
fn expected_refusal(bench: &Bench) -> Result<()> {
    let mut module = bench.fault("fault_none")?;
    seeded::replace(&mut module.image, seeds::MAGIC, seeds::OTHER_MAGIC)?;
    let mut payload = bench.payload()?;
    payload.insert(module, "", Expect::Failure(Errno::ENOEXEC));
    verdict_is(&bench.run("expected_refusal", &payload, |_| {})?, Verdict::Pass)
}

fn absent_init(bench: &Bench) -> Result<()> {
    let run = bench.run("absent_init", &bench.payload()?, |machine| {
        machine.append = vec!["rdinit=/nowhere".to_owned()];
    })?;
    verdict_is(&run, Verdict::NeverUp)
}

fn boot_limit(bench: &Bench) -> Result<()> {
    let limits = Limits { boot: Duration::from_millis(300), ..Limits::default() };
    let run = bench.run("boot_limit", &bench.payload()?, |machine| machine.limits = limits)?;
    verdict_is(&run, Verdict::NeverUp)
}

fn qemu_without_kernel(bench: &Bench) -> Result<()> {
    let payload = bench.payload()?;
    let log = bench.logs.join("qemu_without_kernel.log");
    let vmlinux = bench.logs.join("no-such-vmlinux");
    let machine = Machine { accelerator: Some(bench.accelerator), ..Machine::new(&vmlinux, &payload, &log) };
    let run = machine.run(&bench.context, |_, _| {})?;
    verdict_is(&run, Verdict::QemuDied)?;
    ensure!(run.judgement.reason.contains("no-such-vmlinux"), "{}", run.judgement.reason);
    Ok(())
}

/// What `insmod` does: the stock client with all it needs, a module, both away again.
fn cifs(bench: &Bench) -> Result<()> {
    let mut payload = bench.payload()?;
    payload.insert_stock(&bench.tree, &["cifs"])?;
    payload.insert_with(&bench.tree, bench.fault("fault_none")?, "")?;
    payload.remove("fault_none").remove("cifs");
    verdict_is(&bench.run("cifs", &payload, |_| {})?, Verdict::Pass)
}

/// What `demo` does: a real share, mounted, written to, read from, and let go.
fn share(bench: &Bench) -> Result<()> {
    let server = Share::serve(&bench.context.report)?;
    fs_err::write(server.files().join("from-host"), "hello guest")?;
    let mut payload = bench.payload()?;
    payload.network(&bench.tree)?.insert_stock(&bench.tree, &["cifs"])?.cifs_companions(&bench.tree)?;
    payload.mount_share(smb::NAME, server.port(), smb::OPTIONS, "/mnt");
    let read = payload.plan("").steps.len();
    payload
        .step(Step::ReadFile { path: "/mnt/from-host".to_owned() })
        .step(Step::WriteFile { path: "/mnt/from-guest".to_owned(), content: "hello host".to_owned() })
        .step(Step::Unmount { target: "/mnt".to_owned() })
        .remove("cifs");
    let run = bench.run("share", &payload, |_| {})?;
    verdict_is(&run, Verdict::Pass)?;
    ensure!(run.output(read) == Some("hello guest"), "{:?}", run.output(read));
    ensure!(fs_err::read_to_string(server.files().join("from-guest"))? == "hello host");
    Ok(())
}

fn output(bench: &Bench) -> Result<()> {
    let mut payload = bench.payload()?;
    payload
        .step(Step::WriteFile { path: "/hello".to_owned(), content: "hello\n".to_owned() })
        .step(Step::ReadFile { path: "/hello".to_owned() })
        .step(Step::ListDirectory { path: "/modules".to_owned() })
        .expect(Step::ReadFile { path: "/nowhere".to_owned() }, Expect::Failure(Errno::ENOENT));
    let run = bench.run("output", &payload, |_| {})?;
    verdict_is(&run, Verdict::Pass)?;
    ensure!(run.output(1) == Some("hello\n"), "{:?}", run.output(1));
    Ok(())
}
