// SPDX-License-Identifier: GPL-2.0
//! Bad input and bad circumstances: each ends with one error that names the object, the reason and
//! the remedy, with its own exit status, and leaves nothing half-made.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use report::Report;
use report::cache::Cache;
use report::process::Cmd;

use crate::tool::{Scratch, assert_refused, run};

#[test]
fn an_unknown_command_is_usage() {
    let (status, output) = run(&Scratch::new().tool(&["frobnicate"]));
    assert_eq!(status, 2, "{output}");
    assert!(output.contains("frobnicate"), "{output}");
}

#[test]
fn what_is_no_release_is_usage() {
    for text in ["../../etc/passwd", "newest", "7.2;reboot"] {
        let (status, output) = run(&Scratch::new().tool(&["kernel", "prepare", text]));
        assert_eq!(status, 2, "{output}");
        assert!(output.contains("uname -r"), "{output}");
    }
}

#[test]
fn a_project_without_dkms_conf_is_usage() {
    let scratch = Scratch::new();
    let dir = scratch.path().as_str();
    assert_refused(&scratch.tool(&["build", "--project", dir]), 2, dir, "no dkms.conf", "--project");
}

#[test]
fn what_is_no_module_is_refused_and_does_not_hide_the_others() {
    let scratch = Scratch::new();
    let place = |name: &str, bytes: &[u8]| {
        let file = scratch.path().join(name);
        fs_err::write(&file, bytes).unwrap();
        file
    };
    let program = fs_err::read(crate::tool::PROGRAM).unwrap();
    for (name, bytes, reason) in [
        ("text.ko", &b"no module"[..], "not an ELF file"),
        ("empty.ko", b"", "not an ELF file"),
        ("program.ko", &program, "is an ELF file, but not a kernel module"),
        ("half.ko", &program[..program.len() / 2], "is damaged"),
        ("half.ko.xz", b"\xfd7zXZ\0\0\x01", "cannot be decompressed"),
    ] {
        let file = place(name, bytes);
        let (status, output) = run(&scratch.tool(&["inspect", file.as_str()]));
        assert_eq!(status, 4, "{output}");
        assert!(output.contains(file.as_str()) && output.contains(reason), "{output}");
    }
    let both = scratch.tool(&["--json", "inspect", "/nonexistent.ko", place("a.ko", b"").as_str()]);
    let output = both.finish(&Report::silent()).unwrap();
    let files: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &files[0]["exit"], &files[1]["exit"]), (Some(2), &2.into(), &4.into()));
    let (status, output) = run(&scratch.tool(&["inspect"]));
    assert!(status == 2 && output.contains("<FILE>"), "{output}");
}

/// What programs make of a module that modprobe does not read, whatever its name is.
#[test]
fn what_is_given_instead_of_a_module_is_called_by_its_name() {
    let bzip2 = b"BZh91AY&SY\x191e=\0\0\0\x81\0\x02D\xa0\0!\x9ah3M\x073\x8b\xb9\"\x9c(H\x0c\x98\xb2\x9e\x80";
    let mut lzma = liblzma::write::XzEncoder::new_stream(
        Vec::new(),
        liblzma::stream::Stream::new_lzma_encoder(&liblzma::stream::LzmaOptions::new_preset(6).unwrap())
            .unwrap(),
    );
    std::io::Write::write_all(&mut lzma, b"\x7fELF").unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut tar::Header::new_gnu(), "a.ko", std::io::empty()).unwrap();
    let tar = tar.into_inner().unwrap();
    let compression = kmodfile::compression::Compression::Xz;
    let skipped = [b"\x50\x2a\x4d\x18\x01\0\0\0 ".to_vec(), zstd::encode_all(&b"\x7fELF"[..], 1).unwrap()];
    let scratch = Scratch::new();
    for (name, bytes, reason, remedy) in [
        ("a.ko.bz2", bzip2.to_vec(), "is compressed with bzip2, ", "bzip2 -d "),
        ("a.ko", bzip2.to_vec(), "is compressed with bzip2, ", "bzip2 -d "),
        ("a.ko.lzma", lzma.finish().unwrap(), "is compressed with lzma, ", "xz --format=lzma -d "),
        ("a.ko.lz4", b"\x04\x22\x4d\x18d@\xa7".to_vec(), "is compressed with lz4, ", "lz4 -d "),
        ("a.ko.lz", b"LZIP\x01\x0c".to_vec(), "is compressed with lzip, ", "lzip -d "),
        ("a.ko.lzo", b"\x89LZO\0\r\n\x1a\n".to_vec(), "is compressed with lzop, ", "lzop -d "),
        ("a.ko.Z", b"\x1f\x9d\x90".to_vec(), "is compressed with compress, ", "uncompress "),
        ("a.ko.zst", skipped.concat(), "is compressed with zstd behind a frame to be skipped, ", "zstd -d "),
        ("a.zip", b"PK\x03\x04\x14\0".to_vec(), "is not a kernel module, but a zip archive", "unzip "),
        ("a.tar.xz", compression.compress(&tar).unwrap(), "but a tar archive", "tar -xf "),
        ("a.tar", tar, "is not a kernel module, but a tar archive", "tar -xf "),
        ("a.deb", b"!<arch>\ndebian-binary   ".to_vec(), "but a Debian package", "dpkg-deb -x "),
        ("a.a", b"!<arch>\n/               ".to_vec(), "but an archive of ar", "ar x "),
        ("a.cpio", b"070701000002D1".to_vec(), "but a cpio archive", "cpio -id < "),
    ] {
        let file = scratch.path().join(name);
        fs_err::write(&file, bytes).unwrap();
        let remedy = format!("{remedy}{file}");
        assert_refused(&scratch.tool(&["inspect", file.as_str()]), 4, file.as_str(), reason, &remedy);
    }
    // A package is read here; whoever takes only modules says what it is.
    let file = scratch.path().join("a.ko");
    fs_err::write(&file, b"\xed\xab\xee\xdb\x03\0\0\0").unwrap();
    let root = scratch.path().as_str();
    fs_err::create_dir_all(scratch.path().join("lib/modules/7.2.1")).unwrap();
    let install = scratch.tool(&["install", "--root", root, "--kernel", "7.2.1", file.as_str()]);
    assert_refused(&install, 4, file.as_str(), "but an rpm package", "rpm2cpio ");
}

#[test]
fn inspect_with_dry_run_prepares_no_kernel() {
    let scratch = Scratch::new();
    let file = scratch.path().join("a.ko");
    fs_err::write(&file, "").unwrap();
    let tool = scratch.tool(&["--dry-run", "inspect", "--kernel", "7.2.13+deb14-cloud-amd64", file.as_str()]);
    let (status, output) = run(&tool);
    assert!(status == 0 && output.contains("would prepare kernel 7.2.13"), "{output}");
    assert!(!scratch.cache().join("kernels").exists() && !scratch.cache().join("archive").exists());
}

#[test]
fn a_directory_that_make_cannot_handle_is_refused_before_a_kernel_is_prepared() {
    let scratch = Scratch::new();
    for (name, what) in [("a b", "a space"), ("a:b", "`:`"), ("a\nb", "a newline"), ("a#b", "`#`")] {
        let dir = scratch.path().join(name);
        fs_err::create_dir(&dir).unwrap();
        let conf = "PACKAGE_NAME=x\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME=x\nDEST_MODULE_LOCATION=/x\n";
        fs_err::write(dir.join("dkms.conf"), conf).unwrap();
        let target = dir.join("target");
        let words = ["build", "--project", dir.as_str(), "--target-dir", target.as_str()];
        let tool = scratch.tool(&words);
        let (status, output) = run(&tool);
        assert_eq!(status, 4, "{output}");
        assert!(output.contains(&format!("make cannot handle a path with {what} in it")), "{output}");
        assert!(output.contains("remedy: build in another directory: --target-dir DIR"), "{output}");
        assert!(!scratch.cache().join("archive").exists(), "{output}");
    }
}

#[test]
fn a_dkms_conf_that_is_a_program_is_refused_and_not_run() {
    let scratch = Scratch::new();
    let witness = scratch.path().join("witness");
    fs_err::write(scratch.path().join("dkms.conf"), format!("PACKAGE_NAME=x\nY=$(touch {witness})\n"))
        .unwrap();
    let tool = scratch.tool(&["build", "--project", scratch.path().as_str()]);
    assert_refused(&tool, 4, "dkms.conf:2", "command substitution", "plain assignments");
    assert!(!witness.exists());
}

#[test]
fn an_import_that_leaves_the_kernels_source_or_the_repository_is_refused() {
    let scratch = Scratch::new();
    let dir = scratch.path();
    fs_err::write(dir.join("dkms.conf"), "PACKAGE_NAME=x\nPACKAGE_VERSION=1\n").unwrap();
    for (text, reason) in [
        ("kernel = [\"../../etc\"]", "leads outside the directory"),
        ("kernel = [\"/etc\"]", "is absolute"),
        ("kernel = [\"fs\"]\nshell = \"rm\"", "unknown field"),
        ("kernel = [\"fs\"", "TOML parse error"),
    ] {
        fs_err::write(dir.join("import.toml"), text).unwrap();
        let tool = scratch.tool(&["build", "--project", dir.as_str()]);
        assert_refused(&tool, 4, "import.toml", reason, "[[local]]");
    }
}

#[test]
fn refresh_takes_projects_that_import_and_plain_names() {
    let scratch = Scratch::new();
    let dir = scratch.path();
    fs_err::write(dir.join("dkms.conf"), "PACKAGE_NAME=x\nPACKAGE_VERSION=1\n").unwrap();
    let refresh = |more: &[&str]| {
        let args = ["patch", "refresh", "--project", dir.as_str(), "--kernel", "7.2.13"];
        scratch.tool(&[&args, more].concat())
    };
    assert_refused(&refresh(&[]), 2, dir.as_str(), "does not import kernel source", "import.toml");
    fs_err::write(dir.join("import.toml"), "kernel = [\"fs\"]").unwrap();
    let named = refresh(&["--name", "../x.patch"]);
    assert_refused(&named, 2, "--name", "leads outside the directory", "--name NAME.patch");
}

/// An apt whose every request ends at a port where nobody listens.
fn without_network(scratch: &Scratch, cmd: Cmd) -> Cmd {
    let conf = scratch.path().join("apt.conf");
    let dead = "\"http://127.0.0.1:9\";";
    let settings = ["http", "https"].map(|scheme| format!("Acquire::{scheme}::Proxy {dead}\n")).concat();
    fs_err::write(&conf, settings + "Acquire::Retries \"0\";\n").unwrap();
    cmd.env("APT_CONFIG", conf)
}

#[test]
fn no_network_is_said_and_leaves_nothing_that_looks_whole() {
    let scratch = Scratch::new();
    for args in [&["kernel", "list", "--arch", "arm64"][..], &["kernel", "prepare"], &["build"]] {
        let tool = without_network(&scratch, scratch.tool(args));
        assert_refused(&tool, 3, "the package archive", "could not fetch", "check the network");
        let index = |arch: &str| scratch.cache().join(format!("archive/{arch}/packages.json"));
        assert!(!index("amd64").exists() && !index("arm64").exists());
        assert!(!scratch.cache().join("kernels").exists() && !scratch.cache().join("roots").exists());
    }
}

#[test]
fn programs_that_are_missing_are_named_where_nothing_installs_them() {
    let scratch = Scratch::new();
    // What is in administrators' directories is found without PATH; apt-get, tar and xz are not
    // there.
    let tool = scratch.tool(&["kernel", "prepare"]).env("PATH", "/nonexistent");
    assert_refused(&tool, 3, "mmdebstrap", "not on this machine", "unshare, xz");
}

#[test]
fn installed_kernels_are_listed_without_archive_or_network() {
    let scratch = Scratch::new();
    let alone = || Cmd::new("unshare").args(["--user", "--map-root-user", "--net"]);
    let installed = scratch.tool(&["--json", "kernel", "list", "--installed"]).wrapped_in(alone(), "alone");
    let output = installed.run(&Report::silent()).unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let running: Vec<_> = rows.iter().filter(|row| row["running"] == true).collect();
    let uname = Cmd::new("uname").arg("-r").read(&Report::silent()).unwrap();
    assert!(running.len() == 1 && running[0]["release"] == uname.trim(), "{rows:?}");
    for row in &rows {
        assert_eq!(row["from"], "installed");
        for language in ["c", "rust_modules"] {
            let (ready, why) = (row[language]["ready"].as_bool().unwrap(), row[language]["why"].as_str());
            assert_eq!(ready, why.is_none(), "{row}");
        }
    }
    let (status, output) = run(&scratch.tool(&["kernel", "list"]).env("PATH", "/nonexistent"));
    assert!(status == 0 && output.contains("this machine has its packages from elsewhere"), "{output}");
    assert!(!scratch.cache().join("archive").exists());
    let (status, output) = run(&without_network(&scratch, scratch.tool(&["kernel", "list"])));
    assert!(status == 0 && output.contains("INSTALLED") && output.contains("check the network"), "{output}");
}

#[test]
fn a_kernel_of_this_machine_that_is_not_ready_is_refused_with_what_helps() {
    let scratch = Scratch::new();
    fs_err::write(scratch.path().join("Kbuild"), "obj-m += made.o\n").unwrap();
    fs_err::write(scratch.path().join("made.c"), "").unwrap();
    let output = scratch.tool(&["--json", "kernel", "list", "--installed"]).run(&Report::silent()).unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let running = rows.iter().find(|row| row["running"] == true).unwrap();
    if let Some(why) = running["c"]["why"].as_str() {
        let build = ["build", "--project", scratch.path().as_str(), "--kernel", "running"];
        let remedy = running["c"]["remedy"].as_str().unwrap();
        let status = if running["c"]["wrong"] == true { 4 } else { 3 };
        assert_refused(&scratch.tool(&build), status, running["release"].as_str().unwrap(), why, remedy);
        assert!(!scratch.cache().join("kernels").exists());
    }
    let nonsense = scratch.tool(&["build", "--kernel", "Running"]);
    assert!(run(&nonsense).0 == 2);
}

#[test]
fn a_second_run_waits_and_says_for_what() {
    let scratch = Scratch::new();
    let cache = Cache::at(scratch.cache()).unwrap();
    let lock = cache.lock("archive", &Report::silent()).unwrap();
    let tool = without_network(&scratch, scratch.tool(&["kernel", "prepare"]));
    let mut child = tool.spawn(Stdio::null(), Stdio::piped()).unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let waiting = format!("for archive, held by another run (process {})", std::process::id());
    assert!(lines.next().unwrap().contains(&waiting));
    drop(lock);
    assert!(lines.any(|line| line.contains("Waited for archive")));
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_root_that_another_run_uses_is_kept() {
    let scratch = Scratch::new();
    let tree = scratch.cache().join("roots/debian-test-000000000000/tree");
    fs_err::create_dir_all(&tree).unwrap();
    let cache = Cache::at(scratch.cache()).unwrap();
    let used = cache.share("build root debian-test-000000000000", &Report::silent()).unwrap();
    let (status, output) = run(&scratch.tool(&["kernel", "gc"]));
    assert!(status == 0 && tree.exists() && output.contains("another run uses it"), "{output}");
    drop(used);
    let (status, output) = run(&scratch.tool(&["kernel", "gc"]));
    assert!(status == 0 && !tree.exists(), "{output}");
}

#[test]
fn json_carries_error_remedy_and_status() {
    let scratch = Scratch::new();
    let dir = scratch.path().as_str();
    let output = scratch.tool(&["--json", "build", "--project", dir]).finish(&Report::silent()).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["exit"], 2);
    assert!(value["error"].as_str().unwrap().contains("dkms.conf"), "{value}");
}

#[test]
fn doctor_ends_with_zero_or_with_the_one_command_that_helps() {
    let (status, output) = run(&Scratch::new().tool(&["doctor"]));
    match status {
        0 => assert!(output.contains("qemu-system-x86_64"), "{output}"),
        3 => assert!(
            output.lines().any(|line| line.starts_with("remedy: ") && line.contains("apt-get install")),
            "{output}"
        ),
        other => panic!("status {other}: {output}"),
    }
}
