// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask demo`: from an empty cache to a file written to a real share under the guard.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::client::{ClientSteps as _, SamplePayload as Payload, SampleStep as Step};
use crate::init::init;
use crate::repository;
use crate::share::{self, Share};
use clap::Args;
use kernel::context::Context;
use kernel::distribution::known;
use kernel::machine::programs;
use kernel::prepare::{self, Prepared};
use kmodfile::release::Release;
use project::Project;
use project::build::{Built, Object, build};
use report::failure::{Exit, Failure};
use report::{seconds, size, table};
use vm::boot::{self, Options};
use vm::modules::{GuestModule, ModuleTree};
use vm::run::Run;

/// `cargo xtask demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// The kernel [default: the newest cloud-amd64 kernel with Rust]
    #[arg(long = "kernel", value_name = "RELEASE")]
    pub kernel: Option<Release>,
}

/// The guard's module.
const MODULE: &str = "cifs_fix";

/// Where the guest mounts the share.
const MOUNT: &str = "/mnt";

/// The file the guest writes.
const FILE: &str = "from-the-guest.txt";

/// What the demo did, for people and programs.
#[derive(Serialize)]
struct Story {
    kernel: String,
    suite: String,
    rust_symbols: usize,
    size: u64,
    stripped: u64,
    prepare_seconds: f64,
    prepared_before: bool,
    build_seconds: f64,
    boot_seconds: f64,
    machine_seconds: f64,
    server: String,
    state: String,
    counters: BTreeMap<String, u64>,
    bytes: u64,
    seconds: f64,
}

/// Does it all and tells the story.
pub fn run(context: &Context, args: &DemoArgs) -> Result<()> {
    let started = Instant::now();
    let qemu = vm::qemu::programs(prepare::architecture_of(&context.cache, args.kernel.as_ref()));
    programs::ensure(context, &[known::usual().programs(), qemu, crate::share::PROGRAMS])?;
    if context.dry_run {
        context
            .report
            .say("would prepare the kernel, build the guard, boot it, and mount a share of a private smbd");
        return Ok(());
    }
    let (prepared, prepare_time) =
        timed(|| prepare::provide(context, args.kernel.as_ref(), context.root_fs))?;
    let project = Project::open(&repository())?;
    let (built, build_time) = timed(|| build(context, &project, &prepared))?;
    let share = Share::serve(&context.report)?;
    let text = format!("written by kernel {} through the guard, run {}\n", built.release, std::process::id());
    let (run, steps) = mount(context, &prepared, &built, &share, &text)?;
    boot::require_pass(&run, "demo")?;
    require_same(&share, &text)?;
    let story = story(&prepared, &built, &run, &steps, &text)?;
    let story = Story {
        // What the cache had took as long when it was made.
        prepared_before: prepare_time.as_secs_f64() < prepared.kdir.stamp().make_seconds,
        prepare_seconds: prepare_time.as_secs_f64().max(prepared.kdir.stamp().seconds),
        build_seconds: build_time.as_secs_f64(),
        seconds: started.elapsed().as_secs_f64(),
        server: Share::version(&context.report)?.replace("Version ", "Samba "),
        ..story
    };
    context.report.data(&story);
    context.report.say(&shown(&story));
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let started = Instant::now();
    Ok((work()?, started.elapsed()))
}

/// Places in the plan whose output the story tells.
struct Steps {
    state: usize,
    counters: usize,
    read_back: usize,
}

/// Boots, loads the guard, mounts, writes, reads, unmounts, unloads.
fn mount(
    context: &Context,
    prepared: &Prepared,
    built: &Built,
    share: &Share,
    text: &str,
) -> Result<(Run, Steps)> {
    let tree = boot::tree(&prepared.kdir)?;
    let (payload, steps) = payload(context, &tree, object(built)?, share.port(), text)?;
    let options = Options::default();
    let run = boot::boot(context, &prepared.kdir, &payload, &built.console_log(), &options)?;
    Ok((run, steps))
}

fn object(built: &Built) -> Result<&Object> {
    built.object(MODULE).with_context(|| format!("the build made no {MODULE}.ko"))
}

fn payload(
    context: &Context,
    tree: &ModuleTree,
    object: &Object,
    port: u16,
    text: &str,
) -> Result<(Payload, Steps)> {
    let mut payload = Payload::with_init(init(context, tree.architecture())?, tree)?;
    payload.network(tree)?.insert_stock(tree, &["cifs"])?.cifs_companions(tree)?;
    payload.insert_with(tree, GuestModule::read(&object.file)?, "mode=1")?;
    let state = read(&mut payload, &format!("/sys/kernel/debug/{MODULE}/state"));
    payload.mount_share(share::NAME, port, share::OPTIONS, MOUNT);
    let path = format!("{MOUNT}/{FILE}");
    payload.step(Step::WriteFile { path: path.clone(), content: text.to_owned() });
    let read_back = read(&mut payload, &path);
    payload.step(Step::Unmount { target: MOUNT.to_owned() });
    let counters = read(&mut payload, &format!("/sys/kernel/debug/{MODULE}/counters"));
    payload.remove(MODULE).remove("cifs");
    Ok((payload, Steps { state, counters, read_back }))
}

/// Adds a step that reads a file; gives its place in the plan.
fn read(payload: &mut Payload, path: &str) -> usize {
    payload.step(Step::ReadFile { path: path.to_owned() });
    payload.plan("").steps.len() - 1
}

/// What the guest wrote is on the host's disk.
fn require_same(share: &Share, text: &str) -> Result<()> {
    let file = share.files().join(FILE);
    let found = fs_err::read_to_string(&file)?;
    if found == text {
        return Ok(());
    }
    let reason = format!("the guest wrote {text:?}, and the host reads {found:?}");
    Err(Failure::new(Exit::Failed, file.as_str(), reason).into())
}

fn story(prepared: &Prepared, built: &Built, run: &Run, steps: &Steps, text: &str) -> Result<Story> {
    let output = |index| run.output(index).map(str::trim).context("a step brought nothing back");
    if output(steps.read_back)? != text.trim() {
        return Err(Failure::new(Exit::Failed, FILE, "the guest reads something else than it wrote").into());
    }
    let state = output(steps.state)?;
    if state != "guarding" {
        return Err(
            Failure::new(Exit::Failed, MODULE, format!("is loaded, and its state is {state:?}")).into()
        );
    }
    let object = object(built)?;
    Ok(Story {
        kernel: built.release.to_string(),
        suite: prepared.kdir.stamp().origin.name().to_owned(),
        rust_symbols: prepared.kdir.stamp().rust_symbols,
        size: object.unstripped_size,
        stripped: object.size,
        prepare_seconds: 0.0,
        prepared_before: false,
        build_seconds: 0.0,
        boot_seconds: run.boot.unwrap_or_default().as_secs_f64(),
        machine_seconds: run.wall.as_secs_f64(),
        server: String::new(),
        state: state.to_owned(),
        counters: counters(output(steps.counters)?),
        bytes: text.len() as u64,
        seconds: 0.0,
    })
}

/// The guard's counters, one `name=value` a line.
fn counters(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

fn shown(story: &Story) -> String {
    let time = |secs: f64| seconds(Duration::from_secs_f64(secs));
    let counted = |name: &str| story.counters.get(name).copied().unwrap_or_default();
    let built =
        if story.build_seconds < 0.5 { "nothing had changed".to_owned() } else { time(story.build_seconds) };
    let before = if story.prepared_before { ", when it was prepared" } else { "" };
    let row = |what: &str, how: String, time: String| vec![what.to_owned(), how, time];
    let rows = [
        row("kernel", format!("{} of Debian {}", story.kernel, story.suite), String::new()),
        row(
            "proven",
            format!("{0} of {0} Rust symbols that it exports", story.rust_symbols),
            format!("{}{before}", time(story.prepare_seconds)),
        ),
        row("built", format!("{MODULE}.ko: {}, stripped {}", size(story.size), size(story.stripped)), built),
        row("booted", "its own vmlinuz, in QEMU".to_owned(), format!("{} to init", time(story.boot_seconds))),
        row(
            "loaded",
            format!("the stock cifs.ko, then {MODULE}.ko: {}, enforcing", story.state),
            String::new(),
        ),
        row("mounted", format!("a share of {} on this machine", story.server), String::new()),
        row(
            "wrote",
            format!("{} in the guest; the host reads the same {} bytes", FILE, story.bytes),
            String::new(),
        ),
        row(
            "counted",
            format!(
                "{}, {} verified, {} malformed, {} rejected",
                report::counted(counted("seen"), "reply seen", "replies seen"),
                counted("checked"),
                counted("malformed"),
                counted("rejected")
            ),
            String::new(),
        ),
        row(
            "unloaded",
            "both modules; the kernel log is clean".to_owned(),
            format!("{} in all", time(story.machine_seconds)),
        ),
    ];
    format!("\n{}\n\nThe whole story took {}.", table(&rows), time(story.seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read() {
        let counters = counters("mode=1\nseen=28\ncreate-trailing=0\n");
        assert_eq!(counters["seen"], 28);
        assert_eq!(counters.len(), 3);
    }
}
