// SPDX-License-Identifier: GPL-2.0
//! What Kbuild made of a kernel's configuration, as a distribution's headers hold it: taken as it
//! is where `olddefconfig` could not come to anything else.
//!
//! What Kconfig makes of a complete `.config` follows from its own files, which are those of the
//! same version, and from what it asks the tools (`scripts/Kconfig.include`). The versions of the
//! tools are options themselves, so a configuration says by which tools it was made.

use anyhow::Result;
use camino::Utf8Path;

use crate::toolchain::Toolchain;
use kmodfile::config::Config;
use report::process::Cmd;

/// What `syncconfig` makes of `.config`, and headers hold. The last is there with Rust only.
const GENERATED: [&str; 3] =
    ["include/config/auto.conf", "include/generated/autoconf.h", "include/generated/rustc_cfg"];

/// What it makes besides, and headers do not hold: the files and the answers of tools that it went
/// by, after whose change make runs it again.
const GONE_BY: &str = "include/config/auto.conf.cmd";

/// Takes the configuration out of a distribution's headers in `from`: `.config` first, as make
/// takes what is older than it for outdated.
pub(crate) fn take(from: &Utf8Path, into: &Utf8Path) -> Result<()> {
    fs_err::copy(from.join(".config"), into.join(".config"))?;
    for name in GENERATED.iter().filter(|name| from.join(name).exists()) {
        let file = into.join(name);
        fs_err::create_dir_all(file.parent().expect("it is below the tree"))?;
        fs_err::copy(from.join(name), file)?;
    }
    Ok(())
}

/// Whether what was generated is in `build`, and was generated from this configuration.
pub(crate) fn is_whole(build: &Utf8Path, config: &Config) -> Result<bool> {
    let needed = GENERATED.iter().filter(|name| !name.ends_with("rustc_cfg") || config.is_yes("CONFIG_RUST"));
    if needed.into_iter().any(|name| !build.join(name).exists()) {
        return Ok(false);
    }
    let generated = Config::parse(&fs_err::read_to_string(build.join(GENERATED[0]))?);
    Ok(config.differences(&generated).is_empty())
}

/// The first tool that is not what the configuration was made by, as an option and what it is here.
/// `read` runs a program where the compilers are; one that cannot be run is another.
pub(crate) fn other_tool(
    config: &Config,
    source: &Utf8Path,
    read: impl Fn(Cmd) -> Result<String>,
) -> Option<(&'static str, String)> {
    let compiler = Toolchain::of(config).compiler().to_owned();
    let script = |name: &str| Cmd::new(source.join("scripts").join(name));
    let asked = [
        ("CONFIG_CC_VERSION_TEXT", Cmd::new(&compiler).arg("--version")),
        ("CONFIG_RUSTC_VERSION_TEXT", Cmd::new("rustc").arg("--version")),
        ("CONFIG_BINDGEN_VERSION_TEXT", Cmd::new("bindgen").arg("--version")),
        ("CONFIG_AS_VERSION", script("as-version.sh").arg(&compiler)),
        ("CONFIG_LD_VERSION", script("ld-version.sh").arg("ld")),
        ("CONFIG_PAHOLE_VERSION", script("pahole-version.sh").arg("pahole")),
    ];
    for (option, cmd) in asked {
        let Some(wanted) = config.get(option) else { continue };
        let answer = read(cmd).unwrap_or_default();
        let line = answer.lines().next().unwrap_or_default();
        // The scripts name the tool before its version.
        let found =
            if option.ends_with("_TEXT") { line } else { line.split(' ').next_back().unwrap_or(line) };
        if found != wanted {
            return Some((option, found.to_owned()));
        }
    }
    None
}

/// Has make take what is in `build` for up to date. What was there before was made with `before`:
/// the options that differ are marked as changed, as `syncconfig` would.
pub(crate) fn settle(build: &Utf8Path, config: &Config, before: Option<&Config>) -> Result<()> {
    for difference in before.into_iter().flat_map(|before| before.differences(config)) {
        let name = difference.option.strip_prefix("CONFIG_").unwrap_or(difference.option);
        fs_err::write(build.join("include/config").join(name), "")?;
    }
    Ok(fs_err::write(build.join(GONE_BY), "")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    const CONFIG: &str = "CONFIG_CC_VERSION_TEXT=\"gcc-16 (Debian 16.2.0-4) 16.2.0\"\nCONFIG_AS_VERSION=24750\n\
        CONFIG_PAHOLE_VERSION=132\nCONFIG_64BIT=y\n# CONFIG_RUST is not set\n";

    fn other(answers: &[(&str, &str)]) -> Option<(&'static str, String)> {
        let asked = RefCell::new(Vec::new());
        let read = |cmd: Cmd| {
            let line = cmd.line();
            asked.borrow_mut().push(line.clone());
            let answer = answers.iter().find(|(program, _)| line.contains(program));
            Ok(answer.map(|(_, answer)| (*answer).to_owned()).unwrap_or_default())
        };
        let other = other_tool(&Config::parse(CONFIG), "/source".into(), read);
        assert!(
            asked.into_inner().iter().all(|line| !line.contains("rustc") && !line.contains("ld-version"))
        );
        other
    }

    const SAME: [(&str, &str); 3] = [
        ("gcc-16 --version", "gcc-16 (Debian 16.2.0-4) 16.2.0\nCopyright\n"),
        ("/source/scripts/as-version.sh gcc-16", "GNU 24750\n"),
        ("pahole-version.sh", "132\n"),
    ];

    #[test]
    fn each_tool_that_a_configuration_names_is_asked() {
        assert_eq!(other(&SAME), None);
        for (changed, option, answer, found) in [
            (
                0,
                "CONFIG_CC_VERSION_TEXT",
                "gcc-16 (Debian 16.2.0-5) 16.2.0",
                "gcc-16 (Debian 16.2.0-5) 16.2.0",
            ),
            (1, "CONFIG_AS_VERSION", "GNU 24600", "24600"),
            (2, "CONFIG_PAHOLE_VERSION", "0", "0"),
        ] {
            let mut answers = SAME;
            answers[changed].1 = answer;
            assert_eq!(other(&answers), Some((option, found.to_owned())));
        }
    }

    #[test]
    fn what_was_generated_from_another_configuration_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (headers, build) = (dir.join("headers"), dir.join("build"));
        for name in [".config"].iter().chain(&GENERATED[..2]) {
            fs_err::create_dir_all(headers.join(name).parent().unwrap()).unwrap();
            fs_err::write(headers.join(name), CONFIG).unwrap();
        }
        fs_err::create_dir_all(&build).unwrap();
        take(&headers, &build).unwrap();
        let config = Config::parse(CONFIG);
        assert!(is_whole(&build, &config).unwrap());
        let edited = Config::parse(&CONFIG.replace("64BIT=y", "64BIT=n"));
        assert!(!is_whole(&build, &edited).unwrap());
        // Without what rustc reads it is not whole for a kernel with Rust.
        let rust = Config::parse(&format!("{CONFIG}CONFIG_RUST=y\n"));
        fs_err::write(build.join(GENERATED[0]), rust.to_string()).unwrap();
        assert!(!is_whole(&build, &rust).unwrap());
        fs_err::write(build.join(GENERATED[2]), "").unwrap();
        assert!(is_whole(&build, &rust).unwrap());
    }

    #[test]
    fn options_that_another_flavour_has_otherwise_are_marked() {
        let dir = tempfile::tempdir().unwrap();
        let build = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::create_dir_all(build.join("include/config")).unwrap();
        let before = Config::parse("CONFIG_PREEMPT_RT=y\nCONFIG_64BIT=y\nCONFIG_NR_CPUS=64\n");
        let config = Config::parse("CONFIG_64BIT=y\nCONFIG_NR_CPUS=8192\nCONFIG_XEN=y\n");
        settle(build, &config, Some(&before)).unwrap();
        let mut marked: Vec<_> = build
            .join("include/config")
            .read_dir_utf8()
            .unwrap()
            .map(|e| e.unwrap().file_name().to_owned())
            .collect();
        marked.sort();
        assert_eq!(marked, ["NR_CPUS", "PREEMPT_RT", "XEN", "auto.conf.cmd"]);
    }
}
