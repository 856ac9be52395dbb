// SPDX-License-Identifier: GPL-2.0
//! What `make KDIR=DIR` says where the directory was made on another system: what is there, what is
//! here, and what to run instead.

use camino::{Utf8Path, Utf8PathBuf};
use report::Report;
use report::process::Cmd;
use template::{Date, Kind, Name, Request, Source, Text, files};

/// A project made by `new`, in `project`, and a kernel directory in `kdir` that only says what it
/// is.
struct Place {
    _dir: tempfile::TempDir,
    path: Utf8PathBuf,
}

const RELEASE: &str = "7.2.13+deb14-cloud-amd64";

impl Place {
    fn of(kind: Kind, rustc: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().to_owned();
        let request = Request {
            name: Name::parse("hello").unwrap(),
            kind,
            author: Text::parse("Jane Doe <jane@example.org>").unwrap(),
            date: Date::new(2026, 11, 26).unwrap(),
            tool: Source::Installed,
            cache: Name::parse("cargo-kmod").unwrap(),
        };
        let place = Self { _dir: dir, path };
        for file in files(&request) {
            place.write(&format!("project/{}", file.path), &file.text);
        }
        let config = format!("CONFIG_RUST=y\nCONFIG_RUSTC_VERSION_TEXT=\"{rustc}\"\n");
        place.write("kdir/.config", &config);
        place.write("kdir/Makefile", "modules:\n\t@echo built\n");
        place.write("kdir/include/config/kernel.release", RELEASE);
        place.write("kdir/rust/libcore.rmeta", "");
        place
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.path.join(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, text).unwrap();
    }

    /// Whether make was well, and what it said.
    fn make(&self, words: &[&str]) -> (bool, String) {
        let kdir = format!("KDIR={}", self.path.join("kdir"));
        let cmd = Cmd::new("make").arg(kdir).args(words).cwd(self.path.join("project"));
        let output = cmd.finish(&Report::silent()).unwrap();
        (output.status.success(), output.tail)
    }
}

fn rustc_here() -> String {
    Cmd::new("rustc").arg("--version").read(&Report::silent()).unwrap()
}

#[test]
fn artefacts_of_another_rustc_are_named_with_what_works() {
    let wanted = "rustc 1.0.0 (a59de37e9 2015-05-13) (built from a source tarball)";
    let place = Place::of(Kind::Rust, wanted);
    let here = rustc_here();
    let remedy = format!("run \"cargo xtask build --kernel {RELEASE}\"");
    for target in ["modules", "rust-analyzer", "prepared"] {
        let (good, said) = place.make(&[target]);
        assert!(!good, "{said}");
        for part in [&format!("for {wanted} alone"), &format!("here is {here}"), &remedy] {
            assert!(said.contains(part.as_str()), "{target}: no {part}: {said}");
        }
    }
    let (good, said) = place.make(&["RUSTC=no-such-rustc"]);
    assert!(!good && said.contains("here is no no-such-rustc: run"), "{said}");
    // One from the environment, which the kernel's Makefile does not heed either, does not count.
    let (good, said) = place.make(&["clean"]);
    assert!(good, "cleaning asks for no compiler: {said}");
}

#[test]
fn the_rustc_of_the_kernel_builds() {
    let place = Place::of(Kind::Rust, &rustc_here());
    let (good, said) = place.make(&[]);
    assert!(good && said.contains("built"), "{said}");
    // A module in C has no use for one.
    let place = Place::of(Kind::C, "rustc 1.0.0");
    let (good, said) = place.make(&[]);
    assert!(good && said.contains("built"), "{said}");
}

#[test]
fn programs_that_need_another_library_are_named_with_what_works() {
    let place = Place::of(Kind::C, "");
    place.write("x.c", "int answer(void) { return 42; }\n");
    place.write("y.c", "int answer(void);\nint main(void) { return answer(); }\n");
    fs_err::create_dir_all(place.path.join("kdir/scripts/mod")).unwrap();
    let library = place.path.join("libelsewhere.so.1");
    let cc = |words: &[&str]| Cmd::new("cc").args(words).cwd(&place.path).run(&Report::silent()).unwrap();
    cc(&["-shared", "-o", library.as_str(), "-Wl,-soname,libelsewhere.so.1", "x.c"]);
    cc(&["-o", "kdir/scripts/mod/modpost", "y.c", library.as_str()]);
    let (good, said) = place.make(&[]);
    let reason = "its own programs need libelsewhere.so.1, which is not here";
    let remedy = format!("run \"cargo kmod build --kernel {RELEASE}\"");
    assert!(!good && said.contains(reason) && said.contains(&remedy), "{said}");
}
