// SPDX-License-Identifier: GPL-2.0
//! Kernels from source: what is refused, and, with `--long`, real ones of the distribution's source
//! of the default kernel, small enough to be compiled here.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use kernel::kdir::Kdir;
use kmodfile::compression::Compression;
use kmodfile::file::ModuleFile;
use kmodfile::release::Release;
use libtest_mimic::Trial;
use report::Report;
use report::process::Cmd;
use xtask::commands::test::LONG;

use crate::kernel_source;
use crate::suite::{Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    let mut trials = vec![suite.trial("source::bad_input_is_refused", bad_input)];
    if std::env::var_os(LONG).is_some() {
        trials.extend([
            suite.trial("source::two_variants_of_one_source", variants),
            suite.trial("source::what_a_source_does_not_take_is_named", not_taken),
            suite.trial("source::menuconfig_has_a_terminal_of_its_own", menuconfig),
        ]);
    }
    trials
}

/// The smallest kernel that loads modules.
const SMALLEST: &str = "CONFIG_64BIT=y\nCONFIG_MODULES=y\nCONFIG_MODULE_UNLOAD=y\n";

/// A tree with the names of a kernel's source.
fn tree(dir: &Utf8Path) -> Utf8PathBuf {
    let tree = dir.join("linux");
    for name in ["arch/x86/include", "scripts/kconfig"] {
        fs_err::create_dir_all(tree.join(name)).unwrap();
    }
    for name in ["Makefile", "Kconfig", "Kbuild", "scripts/Makefile.build"] {
        fs_err::write(tree.join(name), "").unwrap();
    }
    tree
}

fn bad_input(_: &Suite) {
    let (_dir, path) = scratch();
    let file = |name: &str, text: &str| {
        fs_err::write(path.join(name), text).unwrap();
        path.join(name)
    };
    let clean = tree(&path);
    let fragment = file("fragment", SMALLEST);
    let other = file("other", "#\n# Linux/s390 7.2.13 Kernel Configuration\n#\nCONFIG_MODULES=y\n");
    let words = file("words", "neither of these\n");
    let built = tree(&path.join("built"));
    fs_err::write(built.join(".config"), SMALLEST).unwrap();
    // The first entry of a tar file, and no more.
    let tarball = path.join("linux.tar.gz");
    let packed = path.join("whole.tar");
    Cmd::new("tar")
        .arg("--create")
        .arg("--file")
        .arg(&packed)
        .arg("--directory")
        .arg(&path)
        .arg("linux")
        .run(&Report::silent())
        .unwrap();
    let packed = Compression::Gzip.compress(&fs_err::read(&packed).unwrap()).unwrap();
    fs_err::write(&tarball, &packed[..packed.len() / 2]).unwrap();
    let nothing = path.join("nothing");
    for (source, config, status, said) in [
        (&nothing, &fragment, 2, "no such file or directory"),
        (&words, &fragment, 4, "neither a directory nor a tar file"),
        (&path, &fragment, 4, "not a kernel's source"),
        (&built, &fragment, 4, "make -C"),
        (&clean, &nothing, 2, "no such file"),
        (&clean, &words, 4, "it names no option"),
        (&clean, &other, 4, "a kernel for s390"),
        (&tarball, &fragment, 4, "is truncated or damaged"),
    ] {
        let options = ["kernel", "prepare", "--source", source.as_str(), "--config", config.as_str()];
        let (found, output) = run(&tool(&options));
        assert!(found == status && output.contains(said), "{source} {config}: {found}: {output}");
    }
    let (status, output) = run(&tool(&["kernel", "prepare", "--source", clean.as_str(), "--menuconfig"]));
    assert!(status == 3 && output.contains("there is no terminal"), "{output}");
}

/// The source of the default kernel, as the distribution packs it.
fn source_tarball(suite: &Suite, into: &Utf8Path) -> Utf8PathBuf {
    kernel_source::tarball(suite.context(), suite.prepared().kdir.release(), into).unwrap()
}

/// Prepares a kernel from source; gives its release, and what was said.
fn prepared(options: &[&str]) -> (Release, String) {
    let words = [&["--json", "kernel", "prepare"], options].concat();
    let cmd = tool(&words);
    let mut said = String::new();
    let output = cmd.finish_with(&Report::silent(), |line| said.extend([line, "\n"])).unwrap();
    assert!(output.status.success(), "{said}");
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    (result["release"].as_str().unwrap().parse().unwrap(), said)
}

/// Two of one source, of which nothing is compiled: the second shares the source. Without CRCs a
/// module is built, with them refused until somebody gives the list.
fn variants(suite: &Suite) {
    let (_dir, path) = scratch();
    // What a trial that failed left came of a source that is gone.
    for kdir in Kdir::all(&suite.context().cache, &Report::silent()) {
        if kdir.release().as_str().contains("-test-") {
            run(&tool(&["kernel", "remove", kdir.release().as_str()]));
        }
    }
    let tarball = source_tarball(suite, &path);
    let (plain, versions) = (path.join("plain"), path.join("versions"));
    fs_err::write(&plain, SMALLEST).unwrap();
    fs_err::write(&versions, format!("{SMALLEST}CONFIG_MODVERSIONS=y\nCONFIG_BASIC_MODVERSIONS=y\n"))
        .unwrap();
    let options = |config: &Utf8Path, variant: &str| {
        let words = [
            "--source",
            tarball.as_str(),
            "--minimal",
            "--config",
            config.as_str(),
            "--localversion",
            variant,
        ];
        words.map(str::to_owned)
    };
    let of = |words: &[String]| prepared(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let (first, _) = of(&options(&plain, "-test-plain"));
    let (second, said) = of(&options(&versions, "-test-PAE"));
    assert!(first.as_str().ends_with("-test-plain") && second.as_str().ends_with("-test-PAE"));
    assert!(!said.contains("Unpacking"), "{said}");
    let (_, said) = of(&options(&versions, "-test-PAE"));
    assert!(said.contains(&format!("Fresh kernel {second}")), "{said}");

    let (status, output) = run(&tool(&["new", "small", "--c", "--author", "S <s@example.org>"]).cwd(&path));
    assert_eq!(status, 0, "{output}");
    let (project, target) = (path.join("small"), path.join("target"));
    let build = |release: &Release| {
        let words = [
            "--target-dir",
            target.as_str(),
            "build",
            "--project",
            project.as_str(),
            "--kernel",
            release.as_str(),
        ];
        run(&tool(&words))
    };
    let (status, output) = build(&first);
    assert!(status == 0 && output.contains("is not checked"), "{output}");
    let (status, output) = build(&second);
    assert!(status == 4 && output.contains("only a whole build of the kernel does"), "{output}");
    assert!(output.contains("--full") && output.contains("--symvers"), "{output}");
    let (status, output) = run(&tool(&["insmod", "--project", project.as_str(), "--kernel", first.as_str()]));
    assert!(status == 3 && output.contains("--full"), "{output}");

    let (status, output) = run(&tool(&["kernel", "prepare", first.as_str()]));
    let named = format!("--source {}", tarball.canonicalize_utf8().unwrap());
    assert!(status == 4 && output.contains(&named), "{output}");

    // What a module uses of it has the CRC of that list.
    let symvers = path.join("Module.symvers");
    let mut list = fs_err::File::create(&symvers).unwrap();
    for symbol in ["module_layout", "_printk", "param_ops_uint", "__fentry__", "__x86_return_thunk"] {
        writeln!(list, "0x12345678\t{symbol}\tvmlinux\tEXPORT_SYMBOL\t").unwrap();
    }
    let words =
        [&options(&versions, "-test-PAE")[..], &["--symvers".to_owned(), symvers.to_string()]].concat();
    assert_eq!(of(&words).0, second);
    let (status, output) = build(&second);
    assert_eq!(status, 0, "{output}");
    let module = target.join("kmod/small-0.1.0").join(&second).join("out/small.ko");
    let module = ModuleFile::read(&module).unwrap().module().unwrap();
    let crcs = module.versions.basic.as_ref().or(module.versions.extended.as_ref()).unwrap();
    assert!(format!("{crcs:?}").contains("12345678") || crcs.contains_key("module_layout"), "{crcs:?}");
    for release in [&first, &second] {
        assert!(Kdir::open(&suite.context().cache, release).is_some());
        let (status, output) = run(&tool(&["kernel", "remove", release.as_str()]));
        assert_eq!(status, 0, "{output}");
    }
}

/// An option that is no option, and one whose needs are not met.
fn not_taken(suite: &Suite) {
    let (_dir, path) = scratch();
    let tarball = source_tarball(suite, &path);
    let config = path.join("config");
    fs_err::write(
        &config,
        format!("{SMALLEST}CONFIG_NO_SUCH=y\nCONFIG_RUST=y\nCONFIG_MODVERSIONS=y\nCONFIG_LTO_CLANG_THIN=y\n"),
    )
    .unwrap();
    let options =
        ["kernel", "prepare", "--source", tarball.as_str(), "--config", config.as_str(), "--minimal"];
    let (status, output) = run(&tool(&options));
    assert_eq!(status, 4, "{output}");
    for said in [
        "CONFIG_NO_SUCH=y: there is no such option",
        "CONFIG_RUST=y: it is not set",
        "!MODVERSIONS || GENDWARFKSYMS",
    ] {
        assert!(output.contains(said), "{said}: {output}");
    }
    fs_err::write(&config, "CONFIG_64BIT=y\n").unwrap();
    let (status, output) = run(&tool(&options));
    assert!(status == 4 && output.contains("CONFIG_MODULES is not set"), "{output}");
}

/// Answers menuconfig on a terminal that script(1) makes: it is left at once, and saved.
fn menuconfig(suite: &Suite) {
    let (_dir, path) = scratch();
    let tarball = source_tarball(suite, &path);
    let config = path.join("config");
    fs_err::write(&config, SMALLEST).unwrap();
    let words = format!(
        "{} kernel prepare --source {tarball} --config {config} --minimal --localversion -test-menu --menuconfig",
        crate::suite::PROGRAM
    );
    let (keys, mut keyboard) = std::io::pipe().unwrap();
    let cmd = Cmd::new("script").args(["--quiet", "--return", "--command", &words, "/dev/null"]);
    let cmd = cmd.env("TERM", "xterm").stdin(Arc::new(File::from(OwnedFd::from(keys))));
    let mut child = cmd.spawn(Stdio::piped(), Stdio::null()).unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut output = String::new();
    // Escape twice leaves the menu; what it then asks is answered with yes. What is typed before
    // something is asked is lost.
    let mut answers = vec![("save your new configuration", "\n"), ("Kernel Configuration", "\x1b\x1b")];
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = screen.read(&mut bytes) {
        output += &String::from_utf8_lossy(&bytes[..length]);
        if answers.last().is_some_and(|(question, _)| output.contains(question)) {
            keyboard.write_all(answers.pop().unwrap().1.as_bytes()).unwrap();
        }
    }
    assert!(child.wait().unwrap().success(), "{output}");
    assert!(output.contains("Kernel Configuration") && output.contains("-test-menu"), "{output}");
    let all = Kdir::all(&suite.context().cache, &Report::silent());
    let made = all.iter().find(|kdir| kdir.release().as_str().ends_with("-test-menu")).unwrap();
    run(&tool(&["kernel", "remove", made.release().as_str()]));
}
