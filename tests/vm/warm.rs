// SPDX-License-Identifier: GPL-2.0
//! Machines that go on from where one was saved: that they do, that each is one of its own, and
//! that nothing doubtful is used.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use kernel::context::Context;
use libtest_mimic::{Failed, Trial};
use report::Report;
use report::cache::Cache;
use report::process::Cmd;
use vm::{Run, Verdict};
use vm_protocol::Expect;
use xtask::client::{SampleMachine as Machine, SamplePayload as Payload, SampleStep as Step};

use crate::bench::{Bench, verdict_is};

/// What is tried on a bench.
type Check = fn(&Bench) -> Result<()>;

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let checks: [(&str, Check); 8] = [
        ("warm_runs_share_a_saved_machine_and_nothing_else", two_at_once),
        ("warm_runs_go_on_with_the_kernels_own_modules", stock_modules),
        ("warm_a_changed_file_is_not_used", changed),
        ("warm_a_machine_of_another_size_is_not_used", of_another_size),
        ("warm_a_kernel_that_does_not_come_up_is_not_saved", never_up),
        ("warm_a_run_that_is_killed_while_it_saves_leaves_nothing", killed),
        ("warm_a_project_is_loaded_again_and_again", again_and_again),
        ("warm_two_runs_of_one_project_have_consoles_of_their_own", two_runs_of_one_project),
    ];
    let trial = |(name, check): (&str, Check)| {
        Trial::test(name, move || {
            let bench = bench.expect("trials are run with a bench");
            check(bench).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    checks.into_iter().map(trial).collect()
}

/// A cache of its own for saved machines.
struct Own<'a> {
    bench: &'a Bench,
    context: Context,
    _dir: tempfile::TempDir,
}

impl<'a> Own<'a> {
    fn new(bench: &'a Bench) -> Result<Self> {
        let dir = tempfile::tempdir_in(bench.context.cache.dir())?;
        let path = Utf8Path::from_path(dir.path()).context("its path is UTF-8")?;
        let context = Context { cache: Cache::at(path)?, ..bench.context.quietly() };
        Ok(Self { bench, context, _dir: dir })
    }

    /// The saved machines; beside them may be notes of what could not be saved.
    fn saved(&self) -> Result<Vec<Utf8PathBuf>> {
        let entries = self.context.cache.path("snapshots").read_dir_utf8()?;
        let all = entries.map(|entry| Ok(entry?.into_path())).collect::<Result<Vec<_>>>()?;
        Ok(all.into_iter().filter(|place| place.extension().is_none()).collect())
    }

    fn run(&self, name: &str, payload: &Payload, memory: u32) -> Result<Run> {
        let log = self.bench.logs.join(format!("warm-{name}.log"));
        let machine = Machine {
            memory,
            warm: true,
            accelerator: Some(self.bench.accelerator),
            ..Machine::new(&self.bench.vmlinux, payload, &log)
        };
        machine.run(&self.context, |_, _| {})
    }
}

/// A harmless module, in and out.
fn harmless(bench: &Bench) -> Result<Payload> {
    let mut payload = bench.payload()?;
    payload.insert(bench.fault("fault_none")?, "", Expect::Success).remove("fault_none");
    Ok(payload)
}

/// Both draw random numbers of their own, know what time it is, and see nothing of each other.
fn two_at_once(bench: &Bench) -> Result<()> {
    let own = Own::new(bench)?;
    let mut payload = bench.payload()?;
    payload
        .step(Step::ReadFile { path: "/proc/sys/kernel/random/uuid".to_owned() })
        .step(Step::ReadFile { path: "/proc/stat".to_owned() })
        .step(Step::ReadFile { path: "/proc/uptime".to_owned() })
        .expect(Step::ReadFile { path: "/written".to_owned() }, Expect::Any)
        .step(Step::WriteFile { path: "/written".to_owned(), content: "by one".to_owned() });
    // The first is saved, and goes on from there; then two at the same time.
    let first = own.run("first", &payload, 256)?;
    // So long that a clock which stood still meanwhile is told from one that is right.
    std::thread::sleep(Duration::from_secs(6));
    let before = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let (second, third) = std::thread::scope(|scope| {
        let second = scope.spawn(|| own.run("second", &payload, 256));
        let third = own.run("third", &payload, 256);
        (second.join().expect("a run does not panic"), third)
    });
    let runs = [first, second?, third?];
    ensure!(own.saved()?.len() == 1, "{:?}", own.saved()?);
    let mut drawn = Vec::new();
    for run in &runs {
        verdict_is(run, Verdict::Pass)?;
        ensure!(run.warm, "{}", run.console_log);
        ensure!(run.output(3).is_none(), "the file of another is seen");
        let number = run.output(0).context("no number")?.to_owned();
        ensure!(!drawn.contains(&number), "{number} was drawn twice");
        drawn.push(number);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    for run in &runs[1..] {
        let stat = run.output(1).context("no /proc/stat")?;
        let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")).context("no btime")?;
        let uptime = run.output(2).and_then(|text| text.split(' ').next()).context("no uptime")?;
        // The beginning is told in whole seconds.
        let clock = boot.parse::<f64>()? + uptime.parse::<f64>()?;
        ensure!(before - 2.0 < clock && clock < now + 2.0, "{before} < {clock} < {now}: the clock is off");
    }
    Ok(())
}

/// What the kernel's own modules did before is in the events of each run.
fn stock_modules(bench: &Bench) -> Result<()> {
    let own = Own::new(bench)?;
    let mut payload = bench.payload()?;
    payload.insert_stock(&bench.tree, &["cifs"])?;
    payload.insert_with(&bench.tree, bench.fault("fault_none")?, "")?;
    payload.remove("fault_none").remove("cifs");
    for name in ["saved", "resumed"] {
        let run = own.run(name, &payload, 256)?;
        verdict_is(&run, Verdict::Pass)?;
        ensure!(run.warm, "{}", run.console_log);
    }
    // Another module, the same machine.
    let mut other = bench.payload()?;
    other.insert_stock(&bench.tree, &["cifs"])?.insert(bench.fault("fault_init")?, "", Expect::Success);
    verdict_is(&own.run("other", &other, 256)?, Verdict::StepFailed)?;
    ensure!(own.saved()?.len() == 1, "{:?}", own.saved()?);
    Ok(())
}

/// Whatever is changed, the machine boots, and the next one is saved anew.
fn changed(bench: &Bench) -> Result<()> {
    let own = Own::new(bench)?;
    let payload = harmless(bench)?;
    verdict_is(&own.run("whole", &payload, 256)?, Verdict::Pass)?;
    for file in ["memory", "devices", "console.log", "initramfs.cpio", "snapshot.json"] {
        let place = own.saved()?.pop().context("nothing was saved")?;
        let path = place.join(file);
        let length = fs_err::metadata(&path)?.len();
        fs_err::OpenOptions::new().write(true).open(&path)?.set_len(length / 2)?;
        let run = own.run("changed", &payload, 256)?;
        verdict_is(&run, Verdict::Pass)?;
        ensure!(!run.warm, "{file} was changed, and used");
        ensure!(own.saved()?.is_empty(), "{file}: {:?}", own.saved()?);
        ensure!(own.run("anew", &payload, 256)?.warm, "{file}: none was saved again");
    }
    Ok(())
}

/// What QEMU does not take is removed: the saved machine of one size under the name of another.
fn of_another_size(bench: &Bench) -> Result<()> {
    let own = Own::new(bench)?;
    let payload = harmless(bench)?;
    verdict_is(&own.run("small", &payload, 256)?, Verdict::Pass)?;
    let small = own.saved()?.pop().context("nothing was saved")?;
    let kept = small.with_file_name("kept");
    fs_err::rename(&small, &kept)?;
    verdict_is(&own.run("large", &payload, 288)?, Verdict::Pass)?;
    let large = own.saved()?.into_iter().find(|place| *place != kept).context("nothing was saved")?;
    fs_err::remove_dir_all(&large)?;
    fs_err::rename(&kept, &large)?;
    let run = own.run("mistaken", &payload, 288)?;
    verdict_is(&run, Verdict::Pass)?;
    ensure!(!run.warm && own.saved()?.is_empty(), "{:?}", own.saved()?);
    Ok(())
}

/// A machine that does not get to wait is not saved, and its verdict is that of a boot.
fn never_up(bench: &Bench) -> Result<()> {
    let own = Own::new(bench)?;
    let payload = harmless(bench)?;
    let log = bench.logs.join("warm-never-up.log");
    let machine = Machine {
        warm: true,
        append: vec!["rdinit=/nowhere".to_owned()],
        accelerator: Some(bench.accelerator),
        ..Machine::new(&bench.vmlinux, &payload, &log)
    };
    let mut took = Vec::new();
    for _ in 0..2 {
        let started = Instant::now();
        let run = machine.run(&own.context, |_, _| {})?;
        took.push(started.elapsed());
        verdict_is(&run, Verdict::NeverUp)?;
        ensure!(!run.warm && own.saved()?.is_empty(), "{:?}", own.saved()?);
    }
    // The second time it is known that it cannot be saved.
    ensure!(took[1] * 4 < took[0] * 3, "{took:?}");
    Ok(())
}

/// The tool with the default kernel, which is in the user's cache.
fn tool(bench: &Bench, args: &[&str]) -> Cmd {
    let release = bench.prepared.kdir.release().as_str();
    Cmd::new(&bench.context.program).args(args).args(["--kernel", release])
}

/// Whether QEMU runs with this among its words.
fn qemu_has(word: &str) -> Result<bool> {
    let processes = fs_err::read_dir("/proc")?.filter_map(Result::ok);
    let lines = processes.filter_map(|entry| fs_err::read_to_string(entry.path().join("cmdline")).ok());
    Ok(lines.into_iter().any(|line| line.starts_with("qemu-system") && line.contains(word)))
}

fn wait_until(what: &str, condition: impl Fn() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !condition()? {
        ensure!(started.elapsed() < Duration::from_secs(60), "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The machine has a size that no other trial's has.
fn killed(bench: &Bench) -> Result<()> {
    let own = Own::new(bench)?;
    let project = new_project(&own, "killed")?;
    let tool = tool(bench, &["insmod", "--project", project.as_str(), "--memory", "259"]);
    let saving = || qemu_has("size=259M,share=on");
    // Builds, so that what follows is quick; and what an earlier run of this trial saved is not of
    // this one.
    let built = tool.clone().arg("--cold").finish(&Report::silent())?;
    ensure!(built.status.success(), "{}", built.tail);
    let tool = tool.args(["--append", &format!("trial={}", std::process::id())]);
    let mut child = tool.spawn(Stdio::null(), Stdio::null())?;
    wait_until("the machine is being saved", saving)?;
    child.kill()?;
    child.wait()?;
    wait_until("QEMU ends with the tool", || Ok(!saving()?))?;
    let output = tool.finish(&Report::silent())?;
    ensure!(output.status.success(), "{}", output.tail);
    for said in ["Discarding", "left incomplete by a run that was stopped", "Resumed"] {
        ensure!(output.tail.contains(said), "{said}: {}", output.tail);
    }
    Ok(())
}

fn new_project(own: &Own<'_>, name: &str) -> Result<Utf8PathBuf> {
    let dir = own.context.cache.path("project");
    fs_err::create_dir(&dir)?;
    let new = ["new", name, "--c", "--author", "Somebody <somebody@example.org>"];
    Cmd::new(&own.bench.context.program).args(new).cwd(&dir).run(&Report::silent())?;
    Ok(dir.join(name))
}

/// Two runs of one project at once have consoles of their own.
fn two_runs_of_one_project(bench: &Bench) -> Result<()> {
    let own = Own::new(bench)?;
    let project = new_project(&own, "twice")?;
    let words = ["--json", "insmod", "--project", project.as_str(), "--repeat", "4"];
    let run = || -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&tool(bench, &words).read(&Report::silent())?)?)
    };
    run()?;
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(run);
        (run(), one.join().expect("a run does not panic"))
    });
    let (one, two) = (one?, two?);
    ensure!(one[0]["repeated"]["passed"] == 4 && two[0]["repeated"]["passed"] == 4, "{one} {two}");
    ensure!(one[0]["console"] != two[0]["console"], "both wrote to {}", one[0]["console"]);
    Ok(())
}

/// Several runs are counted; after a save, all is done again; a fault is found in one of them.
fn again_and_again(bench: &Bench) -> Result<()> {
    let own = Own::new(bench)?;
    let project = new_project(&own, "again")?;
    let words = ["--json", "insmod", "--project", project.as_str(), "--repeat", "5"];
    let said: serde_json::Value = serde_json::from_str(&tool(bench, &words).read(&Report::silent())?)?;
    ensure!(said[0]["repeated"]["passed"] == 5 && said[0]["warm"] == true, "{said}");

    let watch = tool(bench, &["insmod", "--project", project.as_str(), "--watch"]);
    let mut child = watch.spawn(Stdio::null(), Stdio::piped())?;
    let mut lines = BufReader::new(child.stderr.take().context("is piped")?).lines();
    let mut until_watching = || -> Result<String> {
        let mut seen = String::new();
        for line in lines.by_ref() {
            let line = line?;
            seen = seen + &line + "\n";
            if line.contains("Watching ") {
                return Ok(seen);
            }
        }
        anyhow::bail!("it ended: {seen}")
    };
    let watched = (|| {
        let first = until_watching()?;
        ensure!(first.contains("Fresh again"), "{first}");
        let source = project.join("again.c");
        let text = fs_err::read_to_string(&source)?;
        fs_err::write(&source, text.replace("return 0;", "return -ENODEV;"))?;
        let second = until_watching()?;
        ensure!(second.contains("step failed") && second.contains("ENODEV"), "{second}");
        fs_err::write(&source, "no C")?;
        let third = until_watching()?;
        ensure!(third.contains("error: "), "{third}");
        Ok(())
    })();
    child.kill()?;
    child.wait()?;
    watched
}
