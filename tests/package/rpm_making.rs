// SPDX-License-Identifier: GPL-2.0
//! How kmod RPMs are made: the spec shown, several variants at once, what is said of a package, a
//! disk that fills.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use deploy::rpm::audit;
use deploy::rpm::kabi::Obstacle;
use deploy::rpm::payload::OpenPackage;
use kernel::distribution::debian::archive::DebianArchive;
use kernel::distribution::{Age, Archive as _};

use deploy::rpm::target::KmodTarget;
use kernel::kdir::Kdir;
use kernel::root::Access;
use kmodfile::module::Module;
use kmodfile::release::Release;
use kmodfile::symvers;
use libtest_mimic::Trial;
use project::source::series::Series;
use report::process::Cmd;
use sha2::{Digest as _, Sha256};
use xtask::repository;

use crate::rpm::{edited, guard, module_in, rebuild, suite_root, symbols_required};
use crate::suite::{PROGRAM, Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("rpm::the_spec_is_shown_expanded_and_nothing_is_built", print_spec),
        suite.trial("rpm::each_variant_has_a_package", variants),
        suite.trial("rpm::audit_names_what_differs_in_other_releases", audited),
        suite.trial("rpm::what_a_spec_compresses_the_kernel_must_be_able_to_unpack", packed_by_a_spec),
        suite.trial("inspect::says_what_a_package_was_made_of", made_of),
        suite.trial("inspect::says_what_an_installed_module_was_made_of", installed_made_of),
        suite.trial("rpm::a_disk_that_fills_is_named_and_nothing_is_left", full_disk),
    ]
}

/// Of a project that does not compile.
fn print_spec(suite: &Suite) {
    let release = suite.prepared().kdir.release();
    let (_dir, project) = edited("%prep\n", "%prep\n");
    let made = project.join("made");
    let words = ["rpm", "--print-spec", "--project", project.as_str(), "--output", made.as_str()];
    let (status, output) = run(&tool(&[&words[..], &["--kernel", release.as_str()]].concat()));
    assert_eq!(status, 0, "{output}");
    let name = format!("kmod-cifs-fix{}", KmodTarget::of(release).suffix());
    for line in [
        format!("%package -n {name}"),
        format!("%files -n {name} -f .kmod/files-{release}"),
        "Provides: kmod(cifs_fix.ko) = 0.1.0-1.k".to_owned(),
        format!("build '{release}' '"),
    ] {
        assert!(output.contains(&line), "no {line}: {output}");
    }
    for unexpanded in ["%{kmod_name}", "%{lua:", "%{kversion}", "@RELEASE@", "%if"] {
        assert!(!output.contains(unexpanded), "{unexpanded}: {output}");
    }
    assert!(!made.exists());
    let (status, output) = run(&tool(&[
        "rpm",
        "--project",
        project.as_str(),
        "--output",
        made.as_str(),
        "--kernel",
        release.as_str(),
    ]));
    assert_eq!(status, 1, "it was built: {output}");
}

/// xz as a packager calls it, and as the kernel has it.
fn packed_by_a_spec(suite: &Suite) {
    let (_dir, project) = edited("", "");
    let spec = fs_err::read_to_string(project.join("kmod.spec")).unwrap();
    let files = [
        ("hello.c", "#include <linux/module.h>\nMODULE_DESCRIPTION(\"x\");\nMODULE_LICENSE(\"GPL\");\n"),
        ("Kbuild", "obj-m := hello.o\n"),
        ("Makefile", "modules:\n\t$(MAKE) -C $(KDIR) M=$(CURDIR) modules\n"),
        ("dkms.conf", "PACKAGE_NAME=hello\nPACKAGE_VERSION=0.1.0\n"),
    ];
    for (name, text) in files {
        fs_err::write(project.join(name), text).unwrap();
    }
    let release = suite.prepared().kdir.release().as_str();
    for (command, status) in [("xz", 4), ("xz --check=crc32 --lzma2=dict=1MiB", 0)] {
        let spec = spec
            .replace("kmod_name cifs-fix", "kmod_name hello")
            .replace("kmod_modules cifs_fix", "kmod_modules hello")
            .replace("%undefine _debugsource_packages", "%global with_debuginfo 0")
            .replace("module .. \".ko\")", "module .. \".ko.xz\")")
            .replace(
                "-exec chmod 0644 '{}' +",
                &format!("-exec chmod 0644 '{{}}' + -exec {command} '{{}}' +"),
            );
        fs_err::write(project.join("kmod.spec"), spec).unwrap();
        let made = project.join(format!("made-{status}"));
        let words = ["rpm", "--project", project.as_str(), "--kernel", release, "--output", made.as_str()];
        let (found, output) = run(&tool(&words));
        assert_eq!(found, status, "{output}");
        let refused = output.contains("hello.ko.xz in kmod-hello") && output.contains("its check is CRC64");
        assert_eq!(refused, status == 4, "{output}");
        assert_eq!(made.read_dir_utf8().map_or(0, Iterator::count), usize::from(status == 0), "{output}");
    }
}

/// As rpmbuild is given them by hand: a plain kernel, one with a word behind it, one with a
/// flavour.
fn variants(suite: &Suite) {
    let spec = repository().join("kmod.spec");
    let defines = ["kversion 7.3.4+deb13", "kvariants \"\" PAE -rt-amd64"];
    let defines = defines.iter().flat_map(|define| ["--define", define]);
    let format = ["--query", "--queryformat", "%{name} %{summary}\\n", "--target=x86_64"];
    let cmd = Cmd::new("rpmspec").args(format).args(defines).arg(&spec);
    let access = Access::default().read(repository());
    let text = suite_root(suite).inside(suite.context(), cmd, &access).read(&suite.context().report).unwrap();
    let packages: Vec<&str> = text.lines().filter(|line| line.starts_with("kmod-cifs-fix")).collect();
    let modules: Vec<_> = packages.into_iter().filter(|line| !line.contains("debuginfo")).collect();
    assert_eq!(
        modules,
        [
            "kmod-cifs-fix Kernel modules cifs-fix for 7.3.4+deb13",
            "kmod-cifs-fix-PAE Kernel modules cifs-fix for 7.3.4+deb13PAE",
            "kmod-cifs-fix-rt-amd64 Kernel modules cifs-fix for 7.3.4+deb13-rt-amd64",
        ],
        "{text}"
    );
}

/// Debian's other kernels with MODVERSIONS, of which one is from the release before: what the
/// package requires and such a kernel does not provide is what the audit says differs, no more and
/// no less.
fn audited(suite: &Suite) {
    let context = suite.context();
    let made = rebuild(suite);
    let file = made.package("kmod-cifs");
    let required = symbols_required(&file);
    let module = Module::parse(&module_in(suite, &file)).unwrap();
    let (current, old) = (
        DebianArchive::open(context, Age::Current).unwrap(),
        DebianArchive::open(context, Age::Old).unwrap(),
    );
    let fits = |release: &Release| release.flavour() == made.release.flavour() && *release != made.release;
    let of_line = |archive: &DebianArchive<'_>, line: &str| {
        let kernels = archive.kernels().into_iter().map(|kernel| kernel.release);
        kernels.filter(|release| fits(release) && release.line() == line).collect::<Vec<_>>()
    };
    let mut releases = of_line(&current, made.release.line());
    let same_line = releases.len();
    assert!(same_line >= 1, "no other kernel of the line {}", made.release.line());
    releases.extend(of_line(&old, "6.1").into_iter().take(1));
    assert!(releases.len() > same_line, "no kernel 6.1 in the release before");
    releases.push(made.release.clone());
    let findings = audit::audit(context, &made.release, &[("cifs".into(), module)], &releases).unwrap();
    assert!(findings.last().unwrap().loads, "not even the kernel that it was built for would load it");
    assert_eq!(findings.len(), releases.len());
    for finding in findings {
        let (_, text) = audit::facts(context, &finding.kernel).unwrap();
        let exported: BTreeMap<_, _> =
            symvers::parse(&text).map(|export| (export.symbol, export.crc.to_string())).collect();
        let unmet = required.iter().filter(|(symbol, crc)| exported.get(symbol.as_str()) != Some(crc));
        let unmet: Vec<&String> = unmet.map(|(symbol, _)| symbol).collect();
        let differing: Vec<String> = match finding.obstacle {
            None => Vec::new(),
            Some(Obstacle::Symbols(all)) => all.into_iter().map(|one| one.symbol).collect(),
            Some(other) => panic!("{}: {other:?}", finding.kernel),
        };
        let differing: BTreeSet<&String> = differing.iter().collect();
        assert_eq!(differing, unmet.into_iter().collect(), "{}", finding.kernel);
        assert_eq!(finding.loads, differing.is_empty());
        // Years lie between the two.
        assert!(finding.kernel.line() != "6.1" || differing.len() > 50, "{}", differing.len());
    }
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of the rebuild's package, `inspect` has shown the patches of the kernel's line and no other,
/// each with its file's hash.
pub(crate) fn shows_patches(shown: &str, release: &Release) {
    let series = Series::open(&repository().join("cifs"), release).unwrap().unwrap();
    let expected = series.names().map(|name| {
        let file = series.file(name);
        let path = file.strip_prefix(repository().join("cifs")).unwrap();
        format!("patch:          {} {path}", sha256(&fs_err::read(&file).unwrap()))
    });
    let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with("patch:")).collect();
    assert_eq!(lines, expected.collect::<Vec<_>>(), "{shown}");
}

fn made_of(suite: &Suite) {
    let made = rebuild(suite);
    let package = made.package("kmod-cifs");
    let (status, output) = run(&tool(&["inspect", package.as_str()]));
    assert_eq!(status, 0, "{output}");
    let kdir = Kdir::open(&suite.context().cache, &made.release).unwrap();
    let kernel = format!("linux ({}) {}", kdir.stamp().origin.name(), made.release);
    for said in
        [kernel.as_str(), "gcc-", &kdir.stamp().inputs, "made of:", "vermagic:", "name:           cifs"]
    {
        assert!(output.contains(said), "{said}: {output}");
    }
    shows_patches(&output, &made.release);

    let json = tool(&["--json", "inspect", package.as_str()]).run(&suite.context().report).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let sources = json[0]["provenance"]["sources"].as_array().unwrap();
    let license = sources.iter().find(|source| source["file"] == "LICENSE").unwrap();
    assert_eq!(license["sha256"], sha256(&fs_err::read(repository().join("LICENSE")).unwrap()));
    assert_eq!(json[1]["file"], format!("/lib/modules/{}/extra/cifs/cifs.ko", made.release));

    let (_dir, path) = scratch();
    let mut altered = fs_err::read(&package).unwrap();
    let last = altered.len() - 1;
    altered[last] ^= 1;
    fs_err::write(path.join("altered.rpm"), altered).unwrap();
    let (status, output) = run(&tool(&["inspect", path.join("altered.rpm").as_str()]));
    assert!(status == 4 && output.contains("is not a valid package"), "{output}");
}

fn installed_made_of(suite: &Suite) {
    let release = suite.prepared().kdir.release();
    let package = OpenPackage::read(&guard(suite).package("kmod-cifs-fix")).unwrap();
    let (_dir, root) = scratch();
    for (path, content) in package.files(|_| true).unwrap() {
        let file = root.join(path.strip_prefix("/").unwrap());
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, content).unwrap();
    }
    let module = root.join(format!("lib/modules/{release}/extra/cifs-fix/cifs_fix.ko"));
    let (status, output) = run(&tool(&["inspect", module.as_str()]));
    assert_eq!(status, 0, "{output}");
    let symbols = suite.prepared().kdir.stamp().rust_symbols;
    for said in [format!("each of the {symbols} Rust symbols"), "rustc ".to_owned(), "filename:".to_owned()] {
        assert!(output.contains(&said), "{said}: {output}");
    }
    let name = format!("kmod-cifs-fix{}", KmodTarget::of(release).suffix());
    let document = root.join(format!("usr/share/doc/{name}/{name}.spdx.json"));
    let (status, alone) = run(&tool(&["inspect", document.as_str()]));
    assert_eq!(status, 0, "{alone}");
    assert!(output.contains(alone.trim()), "{alone}");
    fs_err::remove_file(&document).unwrap();
    let (status, without) = run(&tool(&["inspect", module.as_str()]));
    assert!(status == 0 && !without.contains("provenance:"), "{without}");
}

/// A project with a module of a few lines, whose `%install` fills the disk first but for `left`
/// KiB.
fn filling(left: u32) -> (tempfile::TempDir, Utf8PathBuf) {
    let fill = format!(
        "%install\ncat /dev/zero > .kmod/filler 2> /dev/null || :\ntruncate --size=-{left}K .kmod/filler\n"
    );
    let (dir, project) = edited("%install\n", &fill);
    fs_err::write(project.join("Kbuild"), "obj-m := cifs_fix.o\n").unwrap();
    let source = "#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\nMODULE_DESCRIPTION(\"fills\");\n";
    fs_err::write(project.join("cifs_fix.c"), source).unwrap();
    (dir, project)
}

/// Packages `project` with a small file system of its own for `small`, and gives what is left in
/// there.
fn on_a_small_disk(suite: &Suite, project: &Utf8Path, small: &Utf8Path, size: &str) -> (i32, String, String) {
    let user: &[&str] = if kernel::machine::user::is_root() { &[] } else { &["--map-root-user"] };
    let script = r#"
        mount -t tmpfs -o size="$4" tmpfs "$3"
        status=0
        "$1" rpm --project "$2" --kernel "$5" --output "$2/made" || status=$?
        find "$3" "$2/made" ! -type d > "$2/left"
        exit $status"#;
    fs_err::create_dir_all(small).unwrap();
    fs_err::create_dir_all(project.join("made")).unwrap();
    let release = suite.prepared().kdir.release().as_str();
    let cmd = Cmd::new("unshare").args(user).args(["--mount", "sh", "-eu", "-c", script, "sh"]);
    let (status, output) = run(&cmd.args([PROGRAM, project.as_str(), small.as_str(), size, release]));
    (status, output, fs_err::read_to_string(project.join("left")).unwrap())
}

fn full_disk(suite: &Suite) {
    let release = suite.prepared().kdir.release();
    let place = repository().join("target/kmod/edited-0.1.0").join(release);
    // Nothing is left for the module itself, and enough for it but not for what comes of it.
    for left in [0, 200] {
        let (_dir, project) = filling(left);
        let (status, output, left_there) = on_a_small_disk(suite, &project, &place, "16m");
        assert_eq!(status, 3, "{left}: {output}");
        assert!(
            output.contains(&format!("{place}: no space is left on this file system, to write {place}/"))
                && output.contains("remedy: make room"),
            "{output}"
        );
        assert!(output.contains("%install") || output.contains("rpmbuild"), "{output}");
        let left_there: Vec<&str> = left_there.lines().filter(|file| !file.ends_with(".log")).collect();
        assert!(left_there.is_empty(), "{left}: {left_there:?}");
    }
    // All of it was made, and there is no room where it is wanted.
    let (_dir, project) = edited("%prep\n", "%prep\n");
    let (_filling, small) = filling(0);
    for file in ["Kbuild", "cifs_fix.c"] {
        fs_err::copy(small.join(file), project.join(file)).unwrap();
    }
    let (status, output, left_there) = on_a_small_disk(suite, &project, &project.join("made"), "8k");
    assert_eq!(status, 3, "{output}");
    let made = project.join("made");
    assert!(
        output.contains(&format!("{made}: no space is left on this file system, to write {made}/")),
        "{output}"
    );
    assert_eq!(left_there, "");
}
