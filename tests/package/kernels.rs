// SPDX-License-Identifier: GPL-2.0
//! Prepared kernels: the proof, what is refused, and what a stopped run leaves.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use kernel::discover::KernelFacts;
use kernel::distribution::debian::archive::DebianArchive;
use kernel::distribution::{Age, Archive as _, ArchiveKernel};
use kernel::kdir::{Kdir, Stamp};
use kernel::root::Access;
use kernel::rust;
use kmodfile::config::Config;
use kmodfile::release::Release;
use kmodfile::symvers;
use libtest_mimic::Trial;
use report::failure::{Exit, exit_of, remedy_of};
use report::process::Cmd;

use crate::suite::{Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("kernel::every_exported_rust_symbol_is_proven", every_symbol_is_proven),
        suite.trial("kernel::a_symbol_that_is_missing_is_refused_by_name", a_missing_symbol_is_refused),
        suite.trial("kernel::the_tree_has_what_btf_needs", the_tree_has_what_btf_needs),
        suite.trial("kernel::an_unknown_release_gets_the_nearest_names", an_unknown_release),
        suite.trial(
            "kernel::a_release_without_rust_is_refused_with_those_that_have_it",
            a_release_without_rust,
        ),
        suite.trial("kernel::make_by_hand_builds_or_says_what_does", by_hand),
        suite.trial("kernel::list_marks_the_default", list_marks_the_default),
        suite.trial("kernel::list_says_which_images_are_signed", list_says_which_are_signed),
        suite.trial("kernel::preparing_again_does_nothing", preparing_again_does_nothing),
        suite.trial("kernel::of_several_that_are_prepared_one_bad_one_stops_no_other", several_at_once),
        suite.trial("kernel::old_indexes_serve_where_there_is_no_network", without_network),
        suite.trial("kernel::what_a_killed_run_left_is_never_used", a_killed_run),
        suite
            .trial("kernel::the_headers_configuration_is_taken_as_it_is", the_headers_configuration_is_taken),
        suite.trial("kernel::a_tree_that_lost_files_is_made_again", a_tree_that_lost_files),
    ]
}

fn symvers_of(kdir: &Kdir) -> String {
    fs_err::read_to_string(kdir.build().join("Module.symvers")).unwrap()
}

fn every_symbol_is_proven(suite: &Suite) {
    let kdir = &suite.prepared().kdir;
    let text = symvers_of(kdir);
    let exported =
        symvers::parse(&text).filter(|e| e.module == "vmlinux" && e.symbol.starts_with("_R")).count();
    assert!(exported > 500, "{exported} Rust symbols are too few for a kernel with Rust");
    assert_eq!(rust::prove(kdir.release(), &text, &kdir.build()).unwrap().symbols, exported);
    assert_eq!(kdir.stamp().rust_symbols, exported);
}

/// Those that can be prepared are shown, each once, in the order asked for; the exit status is that
/// of the first that cannot.
fn several_at_once(suite: &Suite) {
    let release = suite.prepared().kdir.release().as_str();
    let words = ["--json", "kernel", "prepare", "0.0.1-none", release, "0.0.2-none", release];
    let output = tool(&words).finish(&suite.context().report).unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", output.tail);
    let shown: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
    let releases = shown.as_array().unwrap().iter().map(|kernel| kernel["release"].as_str().unwrap());
    assert_eq!(releases.collect::<Vec<_>>(), [release]);
    for said in ["error: 0.0.1-none: no such kernel", "warning: 0.0.2-none: no such kernel"] {
        assert!(output.tail.contains(said), "{said}: {}", output.tail);
    }
}

/// In a project made by `new`, with the prepared tree as KDIR: where this machine's compilers and
/// libraries are not those of the root that it was made in, the command that make names does it.
fn by_hand(suite: &Suite) {
    let kdir = &suite.prepared().kdir;
    for kind in ["--rust", "--c"] {
        let (_dir, path) = scratch();
        let words = ["new", "by-hand", kind, "--author", "Somebody <somebody@example.org>"];
        let (status, output) = run(&tool(&words).cwd(&path));
        assert_eq!(status, 0, "{output}");
        let project = path.join("by-hand");
        let make = Cmd::new("make").arg(format!("KDIR={}", kdir.build())).cwd(&project);
        let (status, output) = run(&make);
        if status == 0 {
            assert!(project.join("by_hand.ko").exists(), "{output}");
            continue;
        }
        let command = output.split_once("run \"cargo ").unwrap_or_else(|| panic!("{output}")).1;
        let words: Vec<&str> = command.split_once('"').unwrap().0.split(' ').skip(1).collect();
        let target = project.join("target");
        // The tool of this repository does not look where it is started.
        let said = tool(&["--target-dir", target.as_str()]).args(words);
        let said = said.args(["--project", project.as_str()]);
        let (status, output) = run(&said);
        assert_eq!(status, 0, "{output}");
        assert!(output.contains(target.as_str()) && output.contains("by_hand.ko"), "{output}");
    }
}

fn a_missing_symbol_is_refused(suite: &Suite) {
    let kdir = &suite.prepared().kdir;
    let fake = "_RNvNtCs0000000000_6kernel4fake6symbol";
    let text = symvers_of(kdir) + &format!("0x00000000\t{fake}\tvmlinux\tEXPORT_SYMBOL_GPL\t\n");
    let error = rust::prove(kdir.release(), &text, &kdir.build()).unwrap_err();
    assert_eq!(exit_of(&error), Exit::Refused);
    assert!(error.to_string().contains(fake), "{error}");
    assert!(remedy_of(&error).is_some());
}

fn the_tree_has_what_btf_needs(suite: &Suite) {
    let kdir = &suite.prepared().kdir;
    for file in [
        "vmlinux",
        "Module.symvers",
        ".config",
        "rust/libkernel.rmeta",
        "rust/libmacros.so",
        "scripts/mod/modpost",
    ] {
        assert!(kdir.build().join(file).exists(), "{file}");
    }
    assert!(kdir.stock_module("cifs").unwrap().as_str().contains("/cifs.ko"));
}

fn an_unknown_release(_: &Suite) {
    let (status, output) = run(&tool(&["kernel", "prepare", "7.2.999+deb13-cloud-amd64"]));
    assert_eq!(status, 3, "{output}");
    assert!(output.contains("no such kernel") && output.contains("cloud-amd64, "), "{output}");
    assert!(output.contains("remedy: cargo xtask kernel list"), "{output}");
}

fn a_release_without_rust(suite: &Suite) {
    let context = suite.context();
    let archive = DebianArchive::open(context, Age::Current).unwrap();
    let has_rust = |kernel: &ArchiveKernel| KernelFacts::of(&archive.config(kernel).unwrap()).rust;
    let kernels = archive.kernels();
    let without =
        kernels.iter().find(|kernel| !has_rust(kernel)).expect("a kernel without Rust in the archive");
    let place = Kdir::place_of(&context.cache, &without.release);
    // For modules that need no Rust, one may be.
    let prepared = place.exists();
    let (status, output) = run(&tool(&["kernel", "prepare", without.release.as_str()]));
    assert_eq!(status, 4, "{output}");
    let named = format!("error: {}: CONFIG_RUST is not set", without.release);
    assert!(output.contains(&named), "{output}");
    assert!(
        output.contains(suite.prepared().kdir.release().as_str()),
        "those with Rust are not listed: {output}"
    );
    let (status, output) = run(&tool(&["build", "--kernel", without.release.as_str()]));
    assert!(status == 4 && output.contains(&named), "{output}");
    assert_eq!(place.exists(), prepared);
}

fn list_marks_the_default(suite: &Suite) {
    let output = tool(&["--json", "kernel", "list"]).run(&suite.context().report).unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let default: Vec<_> = rows.iter().filter(|row| row["default"] == true).collect();
    assert_eq!(default.len(), 1);
    assert_eq!(default[0]["release"], suite.prepared().kdir.release().as_str());
    assert_eq!((&default[0]["rust"], &default[0]["prepared"]), (&true.into(), &true.into()));
}

/// What the list says of prepared kernels is what their images are: a signature is behind the PE
/// file, where its header says.
fn list_says_which_are_signed(suite: &Suite) {
    let output = tool(&["--json", "kernel", "list"]).run(&suite.context().report).unwrap();
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut compared = 0;
    // Nobody signs what was made here.
    for row in rows.as_array().unwrap().iter().filter(|row| row["from"] == "archive") {
        let release = row["release"].as_str().unwrap().parse().unwrap();
        let Some(kdir) = Kdir::open(&suite.context().cache, &release) else { continue };
        let image = fs_err::read(kdir.vmlinuz().unwrap()).unwrap();
        assert_eq!(row["image_signed"], has_certificate_table(&image), "{release}");
        compared += 1;
    }
    assert!(compared > 0, "the suite's own kernel is not in the list");
    let (_, shown) = run(&tool(&["kernel", "list"]));
    assert!(shown.contains("SIGNED"), "{shown}");
}

/// The entry of the data directory of a PE32+ file that says where certificates are (the PE format,
/// "Optional Header Data Directories"), and that there are as many bytes.
fn has_certificate_table(image: &[u8]) -> bool {
    let word = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap()) as usize;
    let entry = word(0x3c) + 24 + 112 + 4 * 8;
    let (offset, size) = (word(entry), word(entry + 4));
    size > 0 && image.len() >= offset + size
}

/// What was fetched two days ago serves, with a warning; where nothing was, that is the error.
fn without_network(suite: &Suite) {
    // With a network first: of each kernel that is listed, the configuration is in the cache then.
    let (status, output) = run(&tool(&["kernel", "list"]));
    assert_eq!(status, 0, "{output}");
    let (_dir, dir) = scratch();
    let (known, ours) = (suite.context().cache.path("archive"), dir.join("cargo-kmod/archive"));
    fs_err::create_dir_all(ours.join("configs")).unwrap();
    for entry in known.join("configs").read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        fs_err::copy(entry.path(), ours.join("configs").join(entry.file_name())).unwrap();
    }
    let index = ours.join("amd64/packages.json");
    fs_err::create_dir(ours.join("amd64")).unwrap();
    fs_err::copy(known.join("amd64/packages.json"), &index).unwrap();
    let two_days_ago = SystemTime::now() - Duration::from_secs(48 * 3600);
    File::options().write(true).open(&index).unwrap().set_modified(two_days_ago).unwrap();
    let list = || {
        let alone = Cmd::new("unshare").args(["--user", "--map-root-user", "--net"]);
        run(&tool(&["kernel", "list"]).wrapped_in(alone, "alone").env("XDG_CACHE_HOME", &dir))
    };
    let (status, output) = list();
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("cannot be reached; using its indexes from 48 hours ago"), "{output}");
    assert!(output.contains(suite.prepared().kdir.release().as_str()), "{output}");

    fs_err::remove_file(&index).unwrap();
    let (status, output) = list();
    assert!(output.contains("check the network"), "{output}");
    // What is installed is shown all the same.
    let installed = output.contains("INSTALLED");
    assert_eq!(status, if installed { 0 } else { Exit::Missing as i32 }, "{output}");
}

fn preparing_again_does_nothing(suite: &Suite) {
    let stamp = suite.prepared().kdir.place().join("stamp.json");
    let before = fs_err::metadata(&stamp).unwrap().modified().unwrap();
    let (status, output) = run(&tool(&["kernel", "prepare"]));
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("Fresh kernel"), "{output}");
    assert_eq!(fs_err::metadata(&stamp).unwrap().modified().unwrap(), before);
}

/// A cache that shares archive and roots with the user's, but no kernels.
struct Elsewhere {
    _dir: tempfile::TempDir,
    base: Utf8PathBuf,
}

impl Elsewhere {
    fn new(suite: &Suite) -> Self {
        let (dir, base) = scratch();
        let cache = base.join("cargo-kmod");
        fs_err::create_dir(&cache).unwrap();
        for part in ["archive", "roots"] {
            symlink(suite.context().cache.path(part), cache.join(part)).unwrap();
        }
        Self { _dir: dir, base }
    }

    /// Where a kernel of this release is there.
    fn place(&self, release: &Release) -> Utf8PathBuf {
        self.base.join("cargo-kmod/kernels").join(release)
    }

    fn tool(&self, args: &[&str]) -> Cmd {
        tool(args).env("XDG_CACHE_HOME", &self.base)
    }

    /// Prepares a kernel until a line says this, and kills the run there; gives the lines before.
    fn prepare_until(&self, release: &Release, wanted: &str) -> String {
        let cmd = self.tool(&["kernel", "prepare", release.as_str(), "--verbose"]);
        let mut child = cmd.spawn(Stdio::null(), Stdio::piped()).unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let seen = lines.take_while(|line| !line.contains(wanted)).collect::<Vec<_>>().join("\n");
        child.kill().unwrap();
        child.wait().unwrap();
        seen
    }
}

/// Killed while it unpacks, the next run says so and starts over.
fn a_killed_run(suite: &Suite) {
    let elsewhere = Elsewhere::new(suite);
    let release = suite.prepared().kdir.release();
    let place = elsewhere.place(release);
    let first = elsewhere.prepare_until(release, "Unpacking source");
    assert!(!first.contains("Discarding"), "{first}");
    assert!(place.exists() && !place.join("stamp.json").exists());
    let second = elsewhere.prepare_until(release, "Making kernel tree");
    assert!(
        second.contains("Discarding") && second.contains("left incomplete by a run that was stopped"),
        "{second}"
    );
    assert!(!place.join("stamp.json").exists());
}

/// What the headers hold of the configuration is taken, and make does not make it again.
fn the_headers_configuration_is_taken(suite: &Suite) {
    let elsewhere = Elsewhere::new(suite);
    let release = suite.prepared().kdir.release();
    // Early, and after the configuration.
    let said = elsewhere.prepare_until(release, "kernel/bounds.s");
    assert!(said.contains("as-version.sh") && said.contains(" modules_prepare "), "{said}");
    // The tools of a suite move on, and the kernel does not.
    if said.contains("configuration: made again, as CONFIG_") {
        assert!(said.contains("olddefconfig"), "{said}");
        return;
    }
    for word in ["olddefconfig", " SYNC "] {
        assert!(!said.contains(word), "{word}: {said}");
    }
    let build = elsewhere.place(release).join("build");
    assert_eq!(fs_err::read(build.join("include/config/auto.conf.cmd")).unwrap(), b"");
    let generated = fs_err::read_to_string(build.join("include/config/auto.conf")).unwrap();
    let config = fs_err::read_to_string(build.join(".config")).unwrap();
    let (generated, config) = (Config::parse(&generated), Config::parse(&config));
    assert_eq!(generated.differences(&config), []);
}

/// A copy of the default kernel in which somebody ran `make mrproper`, as DKMS 2 does: its stamp is
/// still there.
fn a_tree_that_lost_files(suite: &Suite) {
    let elsewhere = Elsewhere::new(suite);
    let kdir = &suite.prepared().kdir;
    let release = kdir.release();
    let place = elsewhere.place(release);
    copy_kernel(kdir, &place);
    let (status, said) = run(&elsewhere.tool(&["kernel", "prepare", release.as_str()]));
    assert!(status == 0 && said.contains("Fresh kernel"), "{said}");

    let out = format!("O={place}/build");
    let mrproper = Cmd::new("make").arg("-C").arg(kdir.source()).arg(out).arg("mrproper");
    let access = kdir.read_by(Access::default()).write(&place);
    let (status, said) = run(&suite.prepared().root.inside(suite.context(), mrproper, &access));
    assert_eq!(status, 0, "{said}");

    // Whoever only looks does not take it for a kernel.
    let (status, said) = run(&elsewhere.tool(&["build", "--all-kernels"]));
    let reason = format!("kernel {release} is not used: its tree has lost {place}/build/");
    assert!(
        status == 3
            && said.contains(&reason)
            && said.contains(&format!("cargo xtask kernel prepare {release}")),
        "{said}"
    );
    let said = elsewhere.prepare_until(release, "Unpacking source");
    assert!(said.contains(&format!("Discarding {place}, which has lost {place}/build/")), "{said}");
}

/// Copies a prepared kernel to another place, which it then believes to have been made in.
fn copy_kernel(kdir: &Kdir, place: &Utf8Path) {
    fs_err::create_dir_all(place).unwrap();
    let (status, said) = run(&Cmd::new("cp").arg("-a").arg(kdir.build()).arg(place.join("build")));
    assert_eq!(status, 0, "{said}");
    symlink(kdir.source(), place.join("source")).unwrap();
    symlink(kdir.image(), place.join("image")).unwrap();
    let stamp = Stamp { place: place.to_owned(), ..kdir.stamp().clone() };
    fs_err::write(place.join("stamp.json"), serde_json::to_vec(&stamp).unwrap()).unwrap();
}
