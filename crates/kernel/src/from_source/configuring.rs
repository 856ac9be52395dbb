// SPDX-License-Identifier: GPL-2.0
//! Configures a kernel's source, and finds out what the kernel will be called: both before its
//! place in the cache is known.

use anyhow::{Context as _, Result};
use camino::Utf8Path;

use crate::context::Context;
use crate::failures::OrFail as _;
use crate::from_source::wanted::Wanted;
use crate::kconfig::{KconfigOptions, NotTaken};
use crate::make::{CONFIGURE, log_named, output_step, run_counted};
use crate::root::{Access, Root, terminal};
use kmodfile::architecture::Architecture;
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::failure::{Exit, Failure};

/// A source to be configured, and how.
#[derive(Debug)]
pub(super) struct Configuring<'a> {
    pub(super) context: &'a Context,
    pub(super) root: &'a Root,
    pub(super) source: &'a Utf8Path,
    pub(super) wanted: &'a Wanted,
    /// Whether options that are not asked for are off, instead of what Kconfig has for them.
    pub(super) minimal: bool,
    /// Whether the kernel is made although options are dropped that were asked for.
    pub(super) allow_dropped: bool,
    /// What is added to the release.
    pub(super) localversion: Option<&'a str>,
    /// The root in which the user chooses the options, if so.
    pub(super) menu: Option<&'a Root>,
}

/// A configuration that the source takes.
#[derive(Debug)]
pub(super) struct Configured {
    /// The text of its `.config`.
    pub(super) text: String,
    /// What the kernel will be called.
    pub(super) release: Release,
}

/// What only records the compilers, assemblers and libraries of whoever configured.
const OF_THE_MACHINE: &[&str] = &[
    "CONFIG_AS_",
    "CONFIG_BINDGEN_VERSION_TEXT",
    "CONFIG_CC_",
    "CONFIG_CLANG_VERSION",
    "CONFIG_GCC_VERSION",
    "CONFIG_LD_",
    "CONFIG_LLD_VERSION",
    "CONFIG_OPENSSL_SUPPORTS_",
    "CONFIG_PAHOLE_",
    "CONFIG_RUSTC_",
    "CONFIG_TOOLS_SUPPORT_",
];

/// So many dropped options are named.
const NAMED: usize = 12;

impl Configuring<'_> {
    /// Configures in an output directory that is thrown away.
    pub(super) fn run(&self) -> Result<Configured> {
        let dir = self.context.cache.path("configuring");
        fs_err::create_dir_all(&dir)?;
        let dir = tempfile::Builder::new().prefix("kernel-").tempdir_in(&dir)?;
        let dir = Utf8Path::from_path(dir.path()).context("the cache's path is no UTF-8")?;
        let build = dir.join("build");
        fs_err::create_dir(&build)?;
        let step = self.context.report.step("Configuring", &self.wanted.name);
        let asked = Config::parse(&self.asked());
        self.configure(&asked, &build)?;
        self.require_taken(&asked, &config_in(&build)?)?;
        if let Some(root) = self.menu {
            step.done("Configured", &self.wanted.name);
            self.choose(root, &build)?;
        }
        self.finish(&build)
    }

    /// Lets the user choose, beginning with what was asked for.
    fn choose(&self, root: &Root, build: &Utf8Path) -> Result<()> {
        let cmd = output_step(&config_in(build)?, self.source, build, &["menuconfig"], self.context.jobs);
        terminal::converse(self.context, root, cmd, &self.access(build))
    }

    /// What was configured, and what `make kernelrelease` would print, once what that needs is
    /// made.
    fn finish(&self, build: &Utf8Path) -> Result<Configured> {
        let config = config_in(build)?;
        self.require_usable(&config)?;
        self.make(&config, build, &["include/config/kernel.release"], &[])?;
        let release = fs_err::read_to_string(build.join("include/config/kernel.release"))?;
        let release: Release = release.trim().parse().or_fail()?;
        self.context.report.note("Configured", &format!("kernel {release}"));
        Ok(Configured { text: fs_err::read_to_string(build.join(".config"))?, release })
    }

    fn access(&self, build: &Utf8Path) -> Access {
        Access::default().read(self.source).write(build.parent().unwrap_or(build))
    }

    /// What is asked for, with what is added to the release.
    fn asked(&self) -> String {
        let mut text = self.wanted.text.clone();
        if let Some(added) = self.localversion {
            let config = Config::parse(&text);
            let before = config.get("CONFIG_LOCALVERSION").unwrap_or_default();
            // Of two lines for one option the last counts.
            text.push_str(&format!("\nCONFIG_LOCALVERSION=\"{before}{added}\"\n"));
        }
        text
    }

    fn configure(&self, asked: &Config, build: &Utf8Path) -> Result<()> {
        let text = self.asked();
        if self.minimal {
            let file = build.with_file_name("asked");
            fs_err::write(&file, text)?;
            return self.make(asked, build, &["allnoconfig"], &[format!("KCONFIG_ALLCONFIG={file}")]);
        }
        if self.wanted.text.is_empty() {
            self.make(asked, build, &["defconfig"], &[])?;
            let made = fs_err::read_to_string(build.join(".config"))?;
            fs_err::write(build.join(".config"), made + &text)?;
        } else {
            fs_err::write(build.join(".config"), text)?;
        }
        self.make(asked, build, CONFIGURE, &[])
    }

    fn make(&self, config: &Config, build: &Utf8Path, targets: &[&str], words: &[String]) -> Result<()> {
        let log = log_named(&self.context.cache, "configure.log")?;
        let cmd = output_step(config, self.source, build, targets, self.context.jobs).args(words);
        let inside = |cmd| self.root.inside(self.context, cmd, &self.access(build));
        let step = self.context.report.step("Making", targets[0]);
        run_counted(cmd, &log, inside, &step, &self.context.report)
    }

    fn require_usable(&self, config: &Config) -> Result<(), Failure> {
        let native = Architecture::native();
        let name = self.wanted.name.as_str();
        if Architecture::of_config(config) != native {
            let machine = native.map_or("unknown", Architecture::debian);
            let reason = format!("does not configure a kernel for this machine, which is {machine}");
            return Err(Failure::refused(name, reason).remedy("add CONFIG_64BIT=y to it"));
        }
        if !config.is_yes("CONFIG_MODULES") {
            let reason = "configures a kernel that loads no modules: CONFIG_MODULES is not set";
            return Err(Failure::refused(name, reason).remedy("add CONFIG_MODULES=y to it"));
        }
        Ok(())
    }

    /// Refuses what would be another kernel than the one that was asked for.
    fn require_taken(&self, asked: &Config, made: &Config) -> Result<()> {
        let of_the_machine = |option: &str| OF_THE_MACHINE.iter().any(|prefix| option.starts_with(prefix));
        let mut dropped = asked.options().filter(|(option, value)| {
            *value != "n" && !of_the_machine(option) && made.get(option) != Some(value)
        });
        let first = dropped.next();
        if first.is_none() {
            return Ok(());
        }
        let native = Architecture::native().unwrap_or_default();
        let kconfig = KconfigOptions::of_source(self.source, native)?;
        let lines: Vec<String> = first
            .into_iter()
            .chain(dropped)
            .filter_map(|(option, value)| told(option, value, &kconfig, made))
            .collect();
        if lines.is_empty() {
            return Ok(());
        }
        let named: String = lines.iter().take(NAMED).map(|line| format!("\n    {line}")).collect();
        let more = lines.len().saturating_sub(NAMED);
        let rest = if more > 0 { format!("\n    and {more} more") } else { String::new() };
        let reason = format!("asks for what this source does not take:{named}{rest}");
        if self.allow_dropped {
            self.context.report.warn(&format!("{} {reason}", self.wanted.name));
            return Ok(());
        }
        Err(Failure::new(Exit::Refused, &self.wanted.name, reason)
            .remedy(
                "take it out of the configuration or set what it needs; --allow-dropped goes on without it",
            )
            .into())
    }
}

fn config_in(build: &Utf8Path) -> Result<Config> {
    Ok(Config::parse(&fs_err::read_to_string(build.join(".config"))?))
}

/// A line about an option that is not as it was asked for; none, if it is nobody's to ask for.
fn told(option: &str, value: &str, kconfig: &KconfigOptions, made: &Config) -> Option<String> {
    let became = made.get(option).unwrap_or("not set");
    let why = match kconfig.why_not(option, made) {
        NotTaken::NotAsked => return None,
        NotTaken::Unknown => "there is no such option".to_owned(),
        NotTaken::Needs(parts) if parts.is_empty() => format!("it is {became}"),
        NotTaken::Needs(parts) => format!("it is {became}, as it needs {}", parts.join(" and ")),
    };
    Some(format!("{option}={value}: {why}"))
}

/// Refuses what cannot be part of a release.
pub(super) fn require_localversion(text: &str) -> Result<(), Failure> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-+._~".contains(c);
    if !text.is_empty() && text.len() <= 40 && text.chars().all(fits) {
        return Ok(());
    }
    let reason = "can be letters, digits and -+._~, at most 40 of them, such as -PAE";
    Err(Failure::usage(format!("--localversion {text}"), reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_to_a_release_is_part_of_a_name() {
        for (text, fits) in [("-PAE", true), (".1+x~2", true), ("", false), ("a/b", false), ("-x y", false)] {
            assert_eq!(require_localversion(text).is_ok(), fits, "{text}");
        }
    }
}
