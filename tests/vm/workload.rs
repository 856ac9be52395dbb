// SPDX-License-Identifier: GPL-2.0
//! What people do with a share, on a real server, with a verifier before the client: nothing is rejected, the kernel has
//! nothing to complain of, and every byte is where it should be.
//!
//! One machine for each vehicle mounts the same server again and again, each time another dialect or protection.

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use camino::Utf8Path;
use guest::{Step, Work};
use libtest_mimic::{Failed, Trial};
use sha2::{Digest as _, Sha256};
use xtask::commands::test::LONG;
use xtask::context::repository;
use xtask::kernel::prepare::{self, Prepared};
use xtask::project::Project;
use xtask::project::build::build;
use xtask::root::Choice;
use xtask::share::{self as smb, Account, Share};
use xtask::vm::boot::{self, Options};
use xtask::vm::modules::{Module, Tree};
use xtask::vm::{Payload, Run, Verdict};

use crate::rebuild::without_rust;
use crate::{Bench, verdict_is};

/// The guard's module.
const GUARD: &str = "cifs_fix";
/// The client's.
const CLIENT: &str = "cifs";

/// Where the guest mounts the share.
const MOUNT: &str = "/mnt";

/// How many files the large directory has: several replies' worth of entries.
const LISTED: u32 = 2000;

/// MiB in the large file: of a run by default, and of a long one.
const BULK: u32 = 8;
const BULK_LONG: u32 = 64;

/// Memory of the machine in MiB. Less than the large file and the modules would need together is no fault of theirs.
const MEMORY: u32 = 512;

/// What verifies the replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vehicle {
    /// The stock client, and the guard that rejects.
    Guard,
    /// The client with the verifier in it.
    Rebuild,
    /// The client of a kernel without Rust, mended in C.
    RebuildInC,
}

impl fmt::Display for Vehicle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guard => "guard",
            Self::Rebuild => "rebuild",
            Self::RebuildInC => "rebuild_in_c",
        })
    }
}

/// How one mount speaks to the server.
#[derive(Clone, Copy, Debug)]
struct Speech {
    dialect: &'static str,
    protection: Protection,
}

/// What keeps its messages from being changed or read on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protection {
    Neither,
    Signed,
    Sealed,
}

impl Protection {
    /// mount.cifs(8): the option, with a comma before it.
    const fn option(self) -> &'static str {
        match self {
            Self::Neither => "",
            Self::Signed => ",sign",
            Self::Sealed => ",seal",
        }
    }
}

impl Speech {
    /// All of them: encryption came with 3.0.
    fn all() -> impl Iterator<Item = Self> {
        let protections = [Protection::Neither, Protection::Signed, Protection::Sealed];
        let speeches = ["2.1", "3.0.2", "3.1.1"].into_iter().flat_map(move |dialect| {
            protections.into_iter().map(move |protection| Self { dialect, protection })
        });
        speeches.filter(|speech| speech.dialect != "2.1" || speech.protection != Protection::Sealed)
    }

    fn options(self, account: &Account) -> String {
        format!("vers={}{},{},mfsymlinks", self.dialect, self.protection.option(), account.options())
    }

    /// The directory on the share that this mount works in.
    fn directory(self) -> String {
        format!("{}-{:?}", self.dialect, self.protection).to_lowercase()
    }
}

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let one = |dialect, protection| vec![Speech { dialect, protection }];
    let trial = |vehicle: Vehicle, name: &str, speeches: Vec<Speech>, bulk| {
        Trial::test(format!("workload::{vehicle}::{name}"), move || {
            let bench = bench.expect("trials are run with a bench");
            let name = format!("workload-{vehicle}-{}", speeches.len());
            all_is_as_it_should_be(bench, vehicle, &speeches, bulk, &name)
                .map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    let mut trials = vec![
        trial(Vehicle::Guard, "sealed_3_1_1", one("3.1.1", Protection::Sealed), BULK),
        trial(Vehicle::Rebuild, "signed_2_1", one("2.1", Protection::Signed), BULK),
    ];
    if std::env::var_os(LONG).is_some() {
        trials.extend([Vehicle::Guard, Vehicle::Rebuild, Vehicle::RebuildInC].map(|vehicle| {
            trial(vehicle, "every_dialect_and_protection", Speech::all().collect(), BULK_LONG)
        }));
    }
    trials
}

/// The kernel a vehicle is for.
fn prepared(bench: &Bench, vehicle: Vehicle) -> Result<Prepared> {
    match vehicle {
        Vehicle::Guard | Vehicle::Rebuild => Ok(bench.prepared.clone()),
        Vehicle::RebuildInC => {
            prepare::provide_for(&bench.context, Some(&without_rust(bench)?), Choice::Auto, client()?.rust())
        }
    }
}

fn client() -> Result<Project> {
    Project::open(&repository().join("cifs"))
}

/// A machine's payload with the vehicle loaded and nothing mounted.
fn loaded(bench: &Bench, vehicle: Vehicle, prepared: &Prepared, tree: &Tree) -> Result<Payload> {
    let (project, name) = match vehicle {
        Vehicle::Guard => (Project::open(&repository())?, GUARD),
        Vehicle::Rebuild | Vehicle::RebuildInC => (client()?, CLIENT),
    };
    let built = build(&bench.context, &project, prepared)?;
    let module =
        Module::read(&built.object(name).with_context(|| format!("the build made no {name}"))?.file)?;
    let mut payload = Payload::new(tree)?;
    payload.network(tree)?;
    if vehicle == Vehicle::Guard {
        payload.insert_stock(tree, &[CLIENT])?.insert_with(tree, module, "mode=1")?;
    } else {
        payload.insert_with(tree, module, "")?;
    }
    payload.cifs_companions(tree)?;
    Ok(payload)
}

/// Does the work once for each way to speak, and looks at what the guest, the kernel and the server say.
fn all_is_as_it_should_be(
    bench: &Bench,
    vehicle: Vehicle,
    speeches: &[Speech],
    bulk: u32,
    name: &str,
) -> Result<()> {
    let prepared = prepared(bench, vehicle)?;
    let tree = boot::tree(&prepared.kdir)?;
    let server = Share::serve(&bench.context.report)?;
    let account = server.add_account(&bench.context.report)?;
    let mut payload = loaded(bench, vehicle, &prepared, &tree)?;
    let mut works = Vec::new();
    for speech in speeches {
        make_directory(&server.files().join(speech.directory()))?;
        payload.mount_share(smb::NAME, server.port(), &speech.options(&account), MOUNT);
        works.push(payload.plan("").steps.len());
        let directory = format!("{MOUNT}/{}", speech.directory());
        payload
            .step(Step::Work(Work { directory, listed: LISTED, bulk }))
            .step(Step::Unmount { target: MOUNT.to_owned() });
    }
    let counters = payload.plan("").steps.len();
    if vehicle == Vehicle::Guard {
        payload.step(Step::ReadFile { path: format!("/sys/kernel/debug/{GUARD}/counters") }).remove(GUARD);
    }
    payload.remove(CLIENT);
    let options = Options { memory: MEMORY, append: Vec::new(), limit: None };
    let log = bench.logs.join(format!("{name}.log"));
    let run = boot::boot(&bench.context, &prepared.kdir, &payload, &log, &options)?;
    verdict_is(&run, Verdict::Pass)?;
    for (speech, work) in speeches.iter().zip(&works) {
        let told = run.output(*work).context("the work told nothing")?;
        eprintln!("{name}, {}:\n{told}", speech.directory());
        same_bytes(&server.files().join(speech.directory()), told)?;
    }
    nothing_is_rejected(&run, vehicle, counters)
}

/// What the guest is to find: the large directory, in one that any account may write to.
fn make_directory(dir: &Utf8Path) -> Result<()> {
    let listed = dir.join(guest::LISTED_DIRECTORY);
    fs_err::create_dir_all(&listed)?;
    for number in 0..LISTED {
        let size = (number % guest::LISTED_SIZES) as usize;
        fs_err::write(listed.join(guest::listed_name(number)), vec![b'x'; size])?;
    }
    Ok(())
}

/// The large file on the server is what the guest wrote and read, and is all that is left.
fn same_bytes(dir: &Utf8Path, told: &str) -> Result<()> {
    let left = dir.join(guest::WORK_DIRECTORY);
    let file = left.join(guest::BULK_FILE);
    let digest: String =
        Sha256::digest(fs_err::read(&file)?).iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(
        told.contains(&format!("{}{digest}\n", guest::DIGEST)),
        "{file} is {digest}; the guest says {told}"
    );
    let names: Vec<_> =
        left.read_dir_utf8()?.map(|entry| Ok(entry?.file_name().to_owned())).collect::<Result<_>>()?;
    ensure!(names == [guest::BULK_FILE], "the guest left {names:?}");
    Ok(fs_err::remove_file(file)?)
}

/// Every reply was seen and none rejected.
fn nothing_is_rejected(run: &Run, vehicle: Vehicle, counters: usize) -> Result<()> {
    let console = fs_err::read(&run.console_log)?;
    let console = String::from_utf8_lossy(&console);
    ensure!(!console.contains("rejected: rule="), "{console}");
    if vehicle != Vehicle::Guard {
        let said = boot::said_by(run, CLIENT);
        ensure!(said.iter().any(|line| line.contains("out-of-tree")), "the stock client is loaded: {said:?}");
        return Ok(());
    }
    let counters = run.output(counters).context("no counters")?;
    let others = counters.lines().filter(|line| !["mode=1"].contains(line) && !line.ends_with("=0"));
    let names: Vec<_> = others.map(|line| line.split('=').next().unwrap_or(line)).collect();
    ensure!(names == ["seen", "checked"], "{counters}");
    Ok(())
}
