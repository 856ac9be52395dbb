// SPDX-License-Identifier: GPL-2.0
//! Other people's projects: the module packages of Debian. Every `dkms.conf` of theirs is read, and
//! what DKMS builds is built by the tool, for the same kernel and with the same outcome.

use std::collections::BTreeSet;
use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use dkms_conf::Given;
use dkms_conf::{DkmsConf, Evaluated, reread};
use kernel::context::Context;
use kernel::discover::{self, KernelFacts};
use kernel::distribution::debian::archive::DebianArchive;
use kernel::distribution::debian::base_suite;
use kernel::distribution::debian::index;
use kernel::distribution::package::Package;
use kernel::distribution::{Age, Archive as _, ArchiveKernel};
use kernel::prepare::{self, Prepared, Rust};
use kernel::root::RootChoice;
use libtest_mimic::Trial;
use project::notices::directives;

use project::{BuildTarget, Opened, Project, Settings, shell};
use report::process::{self, Cmd};
use report::{Report, table};
use xtask::commands::test::LONG;

use crate::machine::Machine;
use crate::suite::{Suite, run, scratch, tool};

/// Packages whose `dkms.conf` is a program, in one suite or another.
const PROGRAMS: &[&str] =
    &["digimend-dkms", "lttng-modules-dkms", "mstflint-dkms", "openafs-modules-dkms", "v4l2loopback-dkms"];

/// Dependencies that are of use where the module is, and bring half a desktop or an init with them.
const WHEN_USED: &[&str] = &["udev", "xserver-xorg-input-wacom"];

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    let mut trials = vec![
        suite.trial("third_party::every_dkms_conf_of_debian_is_read_as_bash_reads_it", every_dkms_conf),
        suite.trial("third_party::a_program_is_evaluated_where_it_can_do_nothing", a_program),
    ];
    // Some forty packages, each built twice and booted.
    if std::env::var_os(LONG).is_some() {
        trials.push(suite.trial("third_party::what_dkms_builds_is_built", what_dkms_builds));
    }
    trials
}

/// The module packages of all suites, each version once.
fn packages(archive: &DebianArchive<'_>) -> Vec<Package> {
    // `dh-dkms` helps to make such packages.
    let wanted = |name: &str| name.ends_with("-dkms") && name != "dh-dkms";
    let mut packages = archive.named(wanted).unwrap();
    packages.sort_by(|a, b| (&a.name, &a.sha256).cmp(&(&b.name, &b.sha256)));
    packages
}

/// Unpacks a package's project and gives its directory.
fn unpack(deb: &Utf8Path, to: &Utf8Path) -> Utf8PathBuf {
    let tar = ["--extract", "--no-same-owner", "--directory"];
    let both = [
        Cmd::new("dpkg-deb").arg("--fsys-tarfile").arg(deb),
        Cmd::new("tar").args(tar).arg(to).arg("./usr/src"),
    ];
    process::pipeline(&both, &Report::silent()).unwrap();
    let mut dirs = to.join("usr/src").read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path());
    let dir = dirs.find(|dir| dir.join("dkms.conf").exists());
    dir.unwrap_or_else(|| panic!("{deb} has no dkms.conf"))
}

fn every_dkms_conf(suite: &Suite) {
    let context = suite.context();
    let archive = DebianArchive::open(context, Age::Current).unwrap();
    let prepared = suite.prepared();
    let target = BuildTarget::of(context, "/nowhere".into(), prepared).unwrap();
    let (mut read, mut programs) = (0, BTreeSet::new());
    let mut packages = packages(&archive);
    packages.dedup_by(|a, b| a.sha256 == b.sha256);
    assert!(packages.len() > 50, "only {} module packages", packages.len());
    let debs = archive.fetch(&packages.iter().collect::<Vec<_>>()).unwrap();
    for (package, deb) in packages.iter().zip(debs) {
        let (_dir, path) = scratch();
        let dir = unpack(&deb, &path);
        match Project::open_any(&dir, &Settings::new())
            .unwrap_or_else(|error| panic!("{}: {error:#}", package.name))
        {
            Opened::Project(project) => {
                same_as_bash(context, &dir, prepared, &target, &project);
                read += 1;
            }
            Opened::Program { .. } => drop(programs.insert(package.name.clone())),
        }
    }
    println!("{read} read, programs: {programs:?}");
    let unknown: Vec<_> = programs.iter().filter(|name| !PROGRAMS.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not read");
}

/// Every directive has the value that bash gives it.
fn same_as_bash(
    context: &Context,
    dir: &Utf8Path,
    prepared: &Prepared,
    target: &BuildTarget,
    project: &Project,
) {
    let mut given: Given = project.variables(target);
    // Which DKMS sets only after reading.
    given.retain(|name, _| !name.starts_with("PACKAGE_"));
    let text = fs_err::read_to_string(dir.join("dkms.conf")).unwrap();
    let Evaluated { values, .. } = DkmsConf::parse(&text).unwrap().evaluate(&given).unwrap();
    // And what DKMS takes of that.
    let bash =
        reread(shell::evaluate(context, dir, prepared, target, &given, &Settings::new()).unwrap(), &given)
            .values;
    for name in directives() {
        let (ours, theirs) = (values.array(name).collect::<Vec<_>>(), bash.array(name).collect::<Vec<_>>());
        assert_eq!(ours, theirs, "{dir}: {name}");
    }
}

/// A `dkms.conf` that tries to get out says in its values what it could do.
fn a_program(suite: &Suite) {
    let (_dir, path) = scratch();
    let project = path.join("evil");
    fs_err::create_dir(&project).unwrap();
    let witness = path.join("witness");
    let tries = format!(
        "PACKAGE_NAME=evil\nPACKAGE_VERSION=1.0\n\
         MAKE[0]=\"$(id -u) $(grep -c : /proc/net/dev)\"\n\
         touch {witness} && MAKE[1]=wrote\n\
         echo x > dkms.conf; echo x > /run/project/dkms.conf; echo y > /tmp/x; [ -s /tmp/x ] && MAKE[2]=kept\n\
         chmod 777 /run/project && MAKE[3]=changed\n\
         ls /root >/dev/null && MAKE[4]=looked\n\
         echo x > /proc/sys/kernel/core_pattern && MAKE[5]=configured\n\
         mount -t tmpfs x /mnt && MAKE[6]=mounted\n\
         BUILD_EXCLUSIVE_KERNEL=nothing\n"
    );
    fs_err::write(project.join("dkms.conf"), &tries).unwrap();
    let prepared = suite.prepared();
    let target = BuildTarget::of(suite.context(), &project, prepared).unwrap();
    let values =
        shell::evaluate(suite.context(), &project, prepared, &target, &Given::new(), &Settings::new())
            .unwrap();
    assert_eq!(values.array("MAKE").collect::<Vec<_>>(), [(0, "65534 1")], "{values}");
    assert!(!witness.exists());
    assert_eq!(fs_err::read_to_string(project.join("dkms.conf")).unwrap(), tries);

    let args = ["build", "--project", project.as_str(), "--kernel", target.release.as_str()];
    let (status, output) = run(&tool(&args));
    assert!(status == 4 && output.contains("dkms.conf:3:10: a command substitution"), "{output}");
    let (status, output) = run(&tool(&[&args[..], &["--allow-shell"]].concat()));
    assert!(status == 77 && output.contains("Value PACKAGE_NAME='evil'"), "{output}");

    fs_err::write(project.join("dkms.conf"), "while :; do :; done").unwrap();
    let error =
        shell::evaluate(suite.context(), &project, prepared, &target, &Given::new(), &Settings::new())
            .unwrap_err();
    let killed = format!("{error:#}");
    assert!(killed.contains("was not read to its end in 10 s"), "{killed}");
    // Nobody listens for ever, and what says all that ends with it.
    fs_err::write(project.join("dkms.conf"), "yes >&2; MAKE=after").unwrap();
    let values =
        shell::evaluate(suite.context(), &project, prepared, &target, &Given::new(), &Settings::new())
            .unwrap();
    assert_eq!(values.scalar("MAKE"), Some("after"));
}

/// How a build ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Built,
    /// The project says that it is not for this kernel.
    Excluded,
    Failed(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Built => "built",
            Self::Excluded => "excluded",
            Self::Failed(_) => "failed",
        })
    }
}

impl Outcome {
    fn of(status: i32, output: String) -> Self {
        match status {
            0 => Self::Built,
            77 => Self::Excluded,
            _ => Self::Failed(output),
        }
    }
}

/// A system with dkms on which the kernel is installed, and its own headers package. What the
/// module packages need besides is installed, too.
fn system<'a>(
    context: &'a Context,
    archive: &mut DebianArchive<'_>,
    prepared: &Prepared,
    modules: &[Package],
) -> Machine<'a> {
    let machine = Machine::with_kernel(context, &prepared.kdir);
    let mut debs = headers(archive, prepared);
    debs.extend(needs(archive, &machine, modules));
    let debs = archive.fetch(&debs.iter().collect::<Vec<_>>()).unwrap();
    let debs = debs.iter().map(|deb| format!(" {deb}")).collect::<String>();
    machine.ok(&format!("dpkg --install --force-depends --force-unsafe-io{debs}"));
    machine
}

/// The packages that `modules` depend on, and those that these do, as far as the machine lacks
/// them.
fn needs(archive: &DebianArchive<'_>, machine: &Machine<'_>, modules: &[Package]) -> Vec<Package> {
    let installed = machine.ok("dpkg-query --show --showformat '${Package}\\n'");
    let known = archive.named(|_| true).unwrap();
    let mut all: Vec<Package> = modules.to_vec();
    for at in 0.. {
        let Some(package) = all.get(at).cloned() else { break };
        for needed in package.depends.iter().filter(|needed| !WHEN_USED.contains(&needed.name.as_str())) {
            let there = installed.lines().any(|name| name == needed.name)
                || all.iter().any(|other| other.name == needed.name);
            let same = |other: &&Package| other.name == needed.name && other.suite == package.suite;
            if let Some(found) = known.iter().find(same).filter(|_| !there) {
                all.push(found.clone());
            }
        }
    }
    all.split_off(modules.len())
}

/// Adds and builds with DKMS what `deb` brings, as its own installation would.
fn dkms(machine: &Machine<'_>, deb: &Utf8Path, (name, version): &(String, String)) -> Outcome {
    let (status, output) = machine.sh(&format!(
        "set -e
         dpkg-deb --extract {deb} /tmp
         cp -a /tmp/usr/src/{name}-{version} /usr/src/
         dkms add -m {name} -v {version} >/dev/null
         dkms build -m {name} -v {version} -k $KERNEL"
    ));
    Outcome::of(status, output)
}

/// The headers package of a prepared kernel, and those that it needs exactly.
fn headers(archive: &mut DebianArchive<'_>, prepared: &Prepared) -> Vec<Package> {
    let kernel = discover::find(archive, prepared.kdir.release()).unwrap();
    let mut headers = vec![kernel.headers.clone()];
    for at in 0.. {
        let Some(package) = headers.get(at).cloned() else { break };
        for needed in package.depends.iter().filter(|needed| needed.name.starts_with("linux-")) {
            let same = |package: &&Package| {
                package.name == needed.name
                    && needed.exact.as_ref().is_none_or(|exact| *exact == package.version)
            };
            let found = archive.packages().iter().filter(same).max_by(|a, b| index::by_version(a, b));
            match found {
                Some(found) if !headers.iter().any(|there| there.name == found.name) => {
                    headers.push(found.clone())
                }
                _ => {}
            }
        }
    }
    headers
}

/// Every package of the stable suite for that suite's kernel. What is built is also booted.
fn what_dkms_builds(suite: &Suite) {
    let context = suite.context();
    let mut archive = DebianArchive::open(context, Age::Current).unwrap();
    let prepared = stable(context, &archive);
    let release = prepared.kdir.release().as_str();
    let mut packages = packages(&archive);
    let of_suite = base_suite(prepared.kdir.stamp().origin.name()).to_owned();
    packages.retain(|package| package.suite == of_suite);
    let debs = archive.fetch(&packages.iter().collect::<Vec<_>>()).unwrap();
    let machine = system(context, &mut archive, &prepared, &packages);
    let mut rows = vec![["PACKAGE", "VERSION", "DKMS", "OURS", "MACHINE"].map(str::to_owned)];
    let mut refused = Vec::new();
    for (package, deb) in packages.iter().zip(&debs) {
        let (_dir, path) = scratch();
        let dir = unpack(deb, &path);
        let theirs = dkms(&machine, deb, &identity(&dir));
        let (ours, needs) = build(&dir, release, package);
        let loaded = if ours == Outcome::Built { load(&dir, release, &needs) } else { "-".to_owned() };
        if theirs == Outcome::Built && ours != theirs {
            refused.push(format!("{}: {ours:?}", package.name));
        }
        let row = [&package.name, &package.version, &theirs.to_string(), &ours.to_string(), &loaded];
        println!("{}", row.map(String::as_str).join("  "));
        rows.push(row.map(String::to_owned));
    }
    println!("{release}:\n{}", table(&rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>()));
    assert!(refused.is_empty(), "DKMS builds what the tool does not:\n{}", refused.join("\n"));
    let passed = rows.iter().filter(|row| row[2] == "built" && row[3] == "built" && row[4] == "pass").count();
    assert!(passed >= 10, "only {passed} are built by both, and load");
}

/// Name and version of the project in `dir`, which is named after them.
fn identity(dir: &Utf8Path) -> (String, String) {
    match Project::open_any(dir, &Settings::new()).unwrap() {
        Opened::Project(project) => (project.name, project.version),
        Opened::Program { .. } => {
            let (name, version) = dir.file_name().unwrap().rsplit_once('-').unwrap();
            (name.to_owned(), version.to_owned())
        }
    }
}

/// The newest kernel without Rust, that of the stable suite, in the flavour for any machine: it has
/// what the modules of others build on, media, sound, USB and wireless, which the cloud flavour
/// lacks.
fn stable(context: &Context, archive: &DebianArchive<'_>) -> Prepared {
    let without_rust = |kernel: &&ArchiveKernel| !KernelFacts::of(&archive.config(kernel).unwrap()).rust;
    let mut kernels = archive.kernels();
    kernels.retain(|kernel| kernel.release.flavour() == "amd64");
    let stable = kernels.iter().filter(without_rust);
    let newest = stable.max_by(|a, b| index::by_version(&a.headers, &b.headers)).unwrap();
    prepare::provide_for(context, Some(&newest.release), RootChoice::Auto, Rust::Optional).unwrap()
}

/// What our own build makes of it, and the packages that it takes: those that the package depends
/// on, if it is not built without.
fn build(dir: &Utf8Path, release: &str, package: &Package) -> (Outcome, Vec<String>) {
    let args = ["build", "--allow-shell", "--project", dir.as_str(), "--kernel", release];
    let build = |needs: &[String]| {
        let needs = needs.iter().flat_map(|name| ["--package", name.as_str()]);
        let (status, output) = run(&tool(&args.into_iter().chain(needs).collect::<Vec<_>>()));
        Outcome::of(status, output)
    };
    let alone = build(&[]);
    let needs = package.depends.iter().map(|needed| needed.name.clone());
    let there = |name: &str| name == "dkms" || name.starts_with("libc6") || WHEN_USED.contains(&name);
    let needs: Vec<String> = needs.filter(|name| !there(name)).collect();
    if !matches!(alone, Outcome::Failed(_)) || needs.is_empty() {
        return (alone, Vec::new());
    }
    (build(&needs), needs)
}

/// The verdict of a machine that loads what was built, and if it is no pass, why.
fn load(dir: &Utf8Path, release: &str, needs: &[String]) -> String {
    let args = ["--json", "insmod", "--allow-shell", "--project", dir.as_str(), "--kernel", release];
    let needs = needs.iter().flat_map(|name| ["--package", name.as_str()]);
    let output = tool(&args.into_iter().chain(needs).collect::<Vec<_>>()).finish(&Report::silent()).unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |name: &str| answer[0][name].as_str().unwrap_or_default().to_owned();
    match text("verdict").as_str() {
        "pass" => "pass".to_owned(),
        "" => answer["error"].to_string(),
        verdict => format!("{verdict}: {}", text("reason")),
    }
}
