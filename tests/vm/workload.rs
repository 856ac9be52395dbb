// SPDX-License-Identifier: GPL-2.0
//! What people do with a share, on a real server, with a verifier before the client: nothing is
//! rejected, the kernel has nothing to complain of, and every byte is where it should be.
//!
//! One machine for each vehicle mounts the same server again and again, each time another dialect
//! or protection.

use anyhow::{Context as _, Result, ensure};
use camino::Utf8Path;
use guest::{ShareStep, Work};
use kernel::prepare::Prepared;
use libtest_mimic::{Failed, Trial};
use sha2::{Digest as _, Sha256};
use vm::{Run, Verdict};
use xtask::client::{ClientSteps as _, SampleStep as Step};
use xtask::commands::test::LONG;
use xtask::share::{self as smb, Account, Share};

use crate::bench::{Bench, verdict_is};
use crate::rebuild::without_rust;
use crate::vehicle::{self, Vehicle};

/// Where the guest mounts the share.
pub(crate) const MOUNT: &str = "/mnt";

/// How many files the large directory has: several replies' worth of entries.
const LISTED: u32 = 2000;

/// MiB in the large file: of a run by default, and of a long one.
const BULK: u32 = 8;
const BULK_LONG: u32 = 64;

/// Memory of the machine in MiB. Less than the large file and the modules would need together is no
/// fault of theirs.
pub(crate) const MEMORY: u32 = 512;

/// How one mount speaks to the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speech {
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
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let protections = [Protection::Neither, Protection::Signed, Protection::Sealed];
        let speeches = ["2.1", "3.0.2", "3.1.1"].into_iter().flat_map(move |dialect| {
            protections.into_iter().map(move |protection| Self { dialect, protection })
        });
        speeches.filter(|speech| speech.dialect != "2.1" || speech.protection != Protection::Sealed)
    }

    /// The newest dialect, and everything encrypted.
    pub(crate) fn is_hardest(&self) -> bool {
        self.dialect == "3.1.1" && self.protection == Protection::Sealed
    }

    /// Whether the client can free a part of a file: from dialect 3.0 on.
    pub(crate) fn frees_parts(self) -> bool {
        self.dialect != "2.1"
    }

    pub(crate) fn options(self, account: &Account) -> String {
        format!("vers={}{},{},mfsymlinks", self.dialect, self.protection.option(), account.options())
    }

    /// The directory on the share that this mount works in.
    pub(crate) fn directory(self) -> String {
        format!("{}-{:?}", self.dialect, self.protection).to_lowercase()
    }
}

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let trial = |name: &str, vehicle, bulk, prepared: fn(&Bench) -> Result<Prepared>| {
        Trial::test(format!("workload::{name}"), move || {
            let bench = bench.expect("trials are run with a bench");
            let outcome = prepared(bench).and_then(|kernel| all_is_well(bench, &kernel, vehicle, bulk));
            outcome.map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    let default = |bench: &Bench| Ok(bench.prepared.clone());
    let long = std::env::var_os(LONG).is_some();
    let bulk = if long { BULK_LONG } else { BULK };
    let mut trials = vec![
        trial("the_guard_rejects_nothing", Vehicle::Guard, bulk, default),
        trial("the_rebuilt_client_rejects_nothing", Vehicle::Rebuild, bulk, default),
    ];
    if long {
        let without_rust = |bench: &Bench| vehicle::prepared(bench, &without_rust(bench)?);
        trials.push(trial("the_client_mended_in_c_rejects_nothing", Vehicle::Rebuild, bulk, without_rust));
    }
    trials
}

/// Does the work once for each way to speak, and looks at what the guest, the kernel and the server
/// say.
fn all_is_well(bench: &Bench, prepared: &Prepared, vehicle: Vehicle, bulk: u32) -> Result<()> {
    let server = Share::serve(&bench.context.report)?;
    let account = server.add_account(&bench.context.report)?;
    let mut payload = vehicle.payload(bench, prepared)?;
    let mut works = Vec::new();
    for speech in Speech::all() {
        make_directory(&server.files().join(speech.directory()))?;
        payload.mount_share(smb::NAME, server.port(), &speech.options(&account), MOUNT);
        works.push((speech, payload.plan("").steps.len()));
        let directory = format!("{MOUNT}/{}", speech.directory());
        payload
            .step(ShareStep::Work(Work { directory, listed: LISTED, bulk }))
            .step(Step::Unmount { target: MOUNT.to_owned() });
    }
    let counters = vehicle.read_counters(&mut payload);
    vehicle.unload(&mut payload);
    let name = format!("{vehicle}-{}", prepared.kdir.release());
    let run = vehicle::boot(bench, prepared, &payload, &format!("workload-{name}"), MEMORY)?;
    verdict_is(&run, Verdict::Pass)?;
    vehicle.require_loaded(&run)?;
    for (speech, work) in works {
        let told = run.output(work).context("the work told nothing")?;
        eprintln!("{name}, {}: {}", speech.directory(), told.trim_end().replace('\n', "; "));
        same_bytes(&server.files().join(speech.directory()), told)?;
    }
    nothing_is_rejected(&run, counters)
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

/// Whether the guest told of this digest of the large file.
pub(crate) fn told_bytes(told: &str, digest: &str) -> bool {
    told.contains(&format!("{}{digest}\n", guest::DIGEST))
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

/// Neither the log nor the guard's counters tell of a malformed reply, and there were replies.
pub(crate) fn nothing_is_rejected(run: &Run, counters: Option<usize>) -> Result<()> {
    let console = fs_err::read(&run.console_log)?;
    let console = String::from_utf8_lossy(&console);
    ensure!(!console.contains("rejected: rule="), "{console}");
    let Some(counters) = counters else { return Ok(()) };
    let counters = run.output(counters).context("no counters")?;
    let counted = counters.lines().filter(|line| !line.ends_with("=0"));
    let names: Vec<_> = counted.map(|line| line.split('=').next().unwrap_or(line)).collect();
    ensure!(names == ["mode", "seen", "checked"], "{counters}");
    Ok(())
}
