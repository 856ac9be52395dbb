// SPDX-License-Identifier: GPL-2.0
//! Builds the init that the tool puts into its machines, so that it is inside the tool's own
//! program: who has the program needs neither a checkout nor a compiler.
//!
//! There is one for each architecture that the tool boots. That of this machine is built in any
//! case; another needs its standard library, which rustup brings. Where that is not there, the tool
//! is built without it, and says so when it is asked for such a machine.
//!
//! A cargo in the cargo. What else there is, and why not: cargo's own dependencies on programs
//! (`artifact = "bin"`) are unstable; the tool's program as its own init would have to be linked
//! statically as a whole, and could not run in a machine of another architecture; a finished init
//! in the repository could not be read or checked.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// The architectures that the tool boots, as Rust calls them.
const ARCHITECTURES: &[&str] = &["x86_64", "aarch64"];

/// The initramfs holds no C library, so the init is linked statically, and nothing has to be
/// relocated. The target is named, though it may be the host's, to keep these flags from build
/// scripts.
const FLAGS: &str = "-Ctarget-feature=+crt-static\x1f-Crelocation-model=static";

/// For another architecture: the linker that is part of the compiler, as there may be no other.
const FOREIGN_FLAGS: &str = "-Ctarget-feature=+crt-static\x1f-Crelocation-model=static\x1f-Clinker=rust-lld";

/// What the init is made of, below the directory of this package.
const SOURCES: &[&str] =
    &["build.rs", "init/Cargo.toml", "init/src", "protocol/Cargo.toml", "protocol/src", LOCK, WORKSPACE];
const LOCK: &str = "../../Cargo.lock";
const WORKSPACE: &str = "../../Cargo.toml";

/// Variables that say how the outer cargo compiles. They are not meant for the init: its target,
/// its profile and its place are its own, and what checks code (clippy, rust-analyzer) comes as a
/// wrapper that does not compile.
const FOREIGN: &[&str] = &[
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_BUILD_DIR",
    "CARGO_INCREMENTAL",
    "CARGO_TARGET_DIR",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
];

fn main() {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let out_dir = PathBuf::from(required("OUT_DIR"));
    let target_dir = target_dir(&out_dir);
    let absent = out_dir.join("absent");
    fs::write(&absent, "").unwrap_or_else(|error| fail(&format!("{}: {error}", absent.display())));
    for architecture in ARCHITECTURES {
        let target = Target::of(architecture);
        let init = if target.is_there() { build(&target, &target_dir) } else { absent.clone() };
        // By these names src/init.rs knows them.
        let name = format!("VM_INIT_{}", architecture.to_uppercase());
        println!("cargo::rustc-env={name}={}", init.display());
        println!("cargo::rustc-env={name}_TARGET={}", target.triple);
        println!("cargo::rustc-env={name}_FLAGS={}", target.flags.replace('\x1f', " "));
    }
    // For whoever builds an init with steps of its own: what it has in common with this one is
    // there.
    println!("cargo::metadata=target_dir={}", target_dir.display());
}

/// What an init is compiled for.
struct Target {
    triple: String,
    flags: &'static str,
}

impl Target {
    /// That of the init for `architecture`: on the same architecture with this machine's own C
    /// library, else with musl, which is part of Rust's standard library for that target.
    fn of(architecture: &str) -> Self {
        let own = required("HOST").to_string_lossy().split('-').next() == Some(architecture);
        let (library, flags) = if own { ("gnu", FLAGS) } else { ("musl", FOREIGN_FLAGS) };
        Self { triple: format!("{architecture}-unknown-linux-{library}"), flags }
    }

    /// Whether the standard library for it is there; cargo looks again when rustup brings another.
    fn is_there(&self) -> bool {
        #[expect(clippy::disallowed_methods, reason = "a build script has no report to show commands in")]
        let mut rustc = Command::new(required("RUSTC"));
        let output = rustc.args(["--print=target-libdir", "--target", &self.triple]).output();
        let Ok(output) = output else { return false };
        let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        if let Some(components) = libraries.ancestors().nth(2).map(|all| all.join("components"))
            && components.exists()
        {
            println!("cargo::rerun-if-changed={}", components.display());
        }
        libraries.is_dir()
    }
}

/// Where the init is compiled. Cargo gives a directory of its own to the script of each of build,
/// clippy and so on, and the init is the same for all of them: so it is compiled beside those
/// directories, which is inside the outer cargo's, and yet not where that one writes: a file of its
/// may have the name of any program of the workspace, and none of those has a dot.
fn target_dir(out_dir: &Path) -> PathBuf {
    let dirs = out_dir.ancestors().nth(3).unwrap_or(out_dir);
    dirs.join("init.target")
}

/// A variable that cargo sets for build scripts.
fn required(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| fail(&format!("{name} is not set: cargo runs this program")))
}

/// Builds the init for `target` and gives its path.
fn build(target: &Target, target_dir: &Path) -> PathBuf {
    let manifest = Path::new(&required("CARGO_MANIFEST_DIR")).join("init/Cargo.toml");
    #[expect(clippy::disallowed_methods, reason = "a build script has no report to show commands in")]
    let mut cargo = Command::new(required("CARGO"));
    cargo
        .args(["build", "--quiet", "--locked", "--bin", "vm-init", "--profile", "init"])
        .args(["--target", &target.triple])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", target.flags);
    let profiles = env::vars_os().map(|(name, _)| name);
    let profiles = profiles.filter(|name| name.to_string_lossy().starts_with("CARGO_PROFILE_"));
    for name in profiles.chain(FOREIGN.iter().map(OsString::from)) {
        cargo.env_remove(name);
    }
    match cargo.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!(
            "building the init of the virtual machine for {} failed ({status}). It is linked statically, \
             to libc.a: that is in Debian's libc6-dev and in Fedora's glibc-static",
            target.triple
        )),
        Err(error) => fail(&format!("starting cargo to build the init of the virtual machine: {error}")),
    }
    let init = target_dir.join(&target.triple).join("init/vm-init");
    match fs::metadata(&init) {
        Ok(_) => init,
        Err(error) => fail(&format!("cargo built the init, and it is not where it should be: {error}")),
    }
}

/// Ends the build with an error that cargo shows.
fn fail(why: &str) -> ! {
    println!("cargo::error={why}");
    exit(1)
}
