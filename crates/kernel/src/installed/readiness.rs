// SPDX-License-Identifier: GPL-2.0
//! Whether modules can be built for an installed kernel now, in C and in Rust; if not, why, and
//! what helps.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::installed::compilers::{self, CompilersHere};
use crate::installed::layout::{Headers, InstalledKernel};
use crate::installed::package_family::PackageFamily;
use crate::installed::system::SystemRoot;
use crate::toolchain::Toolchain;
use kmodfile::architecture::Architecture;
use kmodfile::config::Config;
use report::failure::{Exit, Failure};

/// What a build takes of the build tree besides its configuration.
const FILES: &[&str] =
    &["Makefile", "Module.symvers", "include/config/auto.conf", "include/generated/autoconf.h"];

/// Programs of the build tree that a build runs.
const PROGRAMS: &[&str] = &["scripts/basic/fixdep", "scripts/mod/modpost"];

/// The Rust artefacts without which nothing can be built in Rust.
const ARTEFACTS: &[&str] = &["libcore.rmeta", "libkernel.rmeta", "libmacros.so"];

/// Why modules cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Obstruction {
    /// What is wrong, the kernel being its subject: `its headers are not installed`.
    pub why: String,
    /// What helps, if anything does.
    pub remedy: Option<String>,
    /// Whether something is there that is not right, so that it is refused; else it is missing.
    pub wrong: bool,
}

impl Obstruction {
    fn missing(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { why: why.into(), remedy: Some(remedy.into()), wrong: false }
    }

    fn wrong(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { why: why.into(), remedy: Some(remedy.into()), wrong: true }
    }

    /// The error of a command that needs it gone.
    pub fn failure(&self, kernel: &InstalledKernel) -> Failure {
        let exit = if self.wrong { Exit::Refused } else { Exit::Missing };
        let failure = Failure::new(exit, kernel.release.as_str(), self.why.clone());
        self.remedy.iter().fold(failure, |failure, remedy| failure.remedy(remedy.clone()))
    }
}

/// Whether modules can be built for a kernel, as far as files and versions tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// What a module in C wants for; nothing if it can be built.
    pub c: Option<Obstruction>,
    /// The same for one in Rust.
    pub rust: Option<Obstruction>,
}

/// An installed kernel, with what is asked about it.
#[derive(Debug)]
pub struct Surveyed<'a> {
    system: &'a SystemRoot,
    family: PackageFamily,
    kernel: &'a InstalledKernel,
    config: Option<Config>,
}

impl<'a> Surveyed<'a> {
    /// A kernel that is installed in `system`.
    pub fn new(system: &'a SystemRoot, family: PackageFamily, kernel: &'a InstalledKernel) -> Self {
        let build = match &kernel.headers {
            Headers::There { build, .. } => Some(build),
            _ => None,
        };
        let config = build.and_then(|build| system.text(build.join(".config")));
        Self { system, family, kernel, config: config.map(|text| Config::parse(&text)) }
    }

    /// The kernel.
    pub fn kernel(&self) -> &InstalledKernel {
        self.kernel
    }

    /// The configuration of its headers, if they are there.
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// The commands of the compilers that it asks for.
    pub fn compilers(&self) -> Vec<String> {
        let Some(config) = &self.config else { return Vec::new() };
        let rust = config.is_yes("CONFIG_RUST").then(|| "rustc".to_owned());
        [Toolchain::of(config).compiler().to_owned()].into_iter().chain(rust).collect()
    }

    /// Whether modules can be built for it with the compilers that are `here`.
    pub fn readiness(&self, here: &CompilersHere) -> Readiness {
        let c = self.obstruction_in_c(here).err();
        let rust = c.clone().or_else(|| self.obstruction_in_rust(here).err());
        Readiness { c, rust }
    }

    fn obstruction_in_c(&self, here: &CompilersHere) -> Result<(), Obstruction> {
        let build = self.build()?;
        let config = self.config.as_ref().ok_or_else(|| self.incomplete(build, ".config"))?;
        self.require_architecture(config, here)?;
        if let Some(name) = FILES.iter().find(|name| self.is_empty(&build.join(name))) {
            return Err(self.incomplete(build, name));
        }
        PROGRAMS.iter().try_for_each(|name| self.require_program(build, name, here))?;
        self.require_unedited(build, config)?;
        self.require_compiler(config, here)
    }

    fn build(&self) -> Result<&Utf8PathBuf, Obstruction> {
        let headers = || self.family.headers(self.system, self.kernel);
        match &self.kernel.headers {
            Headers::There { build, .. } => Ok(build),
            Headers::Absent => Err(Obstruction::missing("its headers are not installed", headers())),
            Headers::Dangling { link, target } => Err(Obstruction::missing(
                format!("its headers are not installed: {link} leads to {target}, which is not there"),
                headers(),
            )),
            Headers::OfAnother { build, release } => Err(Obstruction::wrong(
                format!("its headers are those of another kernel: {build} is of {release}"),
                headers(),
            )),
        }
    }

    fn is_empty(&self, file: &Utf8Path) -> bool {
        self.system.find(file).is_none_or(|found| found.size == 0)
    }

    fn incomplete(&self, build: &Utf8Path, name: &str) -> Obstruction {
        let file = build.join(name);
        let why = match self.system.link(&file) {
            Some(target) => format!("its headers lack {file}, which leads to {target}"),
            None => format!("its headers lack {file}"),
        };
        Obstruction::missing(why, self.family.headers(self.system, self.kernel))
    }

    fn require_architecture(&self, config: &Config, here: &CompilersHere) -> Result<(), Obstruction> {
        match (Architecture::of_config(config), here.architecture) {
            (Some(kernel), Some(machine)) if kernel != machine => Err(Obstruction::wrong(
                format!("it is a kernel for {kernel}, and this machine is {machine}"),
                format!(
                    "prepare it from its distribution's archive: cargo kmod kernel prepare {}",
                    self.kernel.release
                ),
            )),
            _ => Ok(()),
        }
    }

    fn require_program(&self, build: &Utf8Path, name: &str, here: &CompilersHere) -> Result<(), Obstruction> {
        let file = build.join(name);
        let found = self.system.find(&file).ok_or_else(|| self.incomplete(build, name))?;
        let headers = || self.family.headers(self.system, self.kernel);
        if !found.is_executable {
            return Err(Obstruction::wrong(format!("{file} is not executable"), headers()));
        }
        self.require_machine(&file, here)
    }

    /// Refuses a program or library for another machine. One of no known format is left to show
    /// itself.
    fn require_machine(&self, file: &Utf8Path, here: &CompilersHere) -> Result<(), Obstruction> {
        let start = self.system.read_up_to(file, 64).unwrap_or_default();
        match (machine(&start), here.architecture) {
            (Some(made), Some(machine)) if made != machine.machine() => Err(Obstruction::wrong(
                format!("{file} is for {made} and does not run here, on {}", machine.machine()),
                format!(
                    "install headers that were made for {machine}, or cargo kmod kernel prepare {}",
                    self.kernel.release
                ),
            )),
            _ => Ok(()),
        }
    }

    /// `.config` is what `include/config/auto.conf` and `autoconf.h` were made from: what differs
    /// was changed since.
    fn require_unedited(&self, build: &Utf8Path, config: &Config) -> Result<(), Obstruction> {
        let made = self.system.text(build.join("include/config/auto.conf")).unwrap_or_default();
        let made = Config::parse(&made);
        let Some(difference) = config.differences(&made).into_iter().find(|difference| {
            let (first, second) = (difference.first.unwrap_or(""), difference.second.unwrap_or(""));
            // Texts are written otherwise in each.
            first != second && (is_plain(first) && is_plain(second))
        }) else {
            return Ok(());
        };
        let show = |value: Option<&str>| value.unwrap_or("not set").to_owned();
        Err(Obstruction::wrong(
            format!(
                "{0}/.config was changed and does not belong to {0}/include/config/auto.conf: {1} is {2} in it, and was {3}",
                build,
                difference.option,
                show(difference.first),
                show(difference.second)
            ),
            format!("install its headers again: {}", self.family.headers(self.system, self.kernel)),
        ))
    }

    fn require_compiler(&self, config: &Config, here: &CompilersHere) -> Result<(), Obstruction> {
        let toolchain = Toolchain::of(config);
        let command = toolchain.compiler();
        let wanted = config.get("CONFIG_CC_VERSION_TEXT").unwrap_or_default();
        let Some(said) = here.said.get(command) else {
            return Err(Obstruction::missing(
                format!("it was built with `{wanted}`, and {command} is not on this machine"),
                self.family.program(command),
            ));
        };
        let major = |text: &str| compilers::version(text)?.split('.').next().map(str::to_owned);
        match (major(wanted), major(said)) {
            (Some(wanted_major), Some(major)) if wanted_major != major => Err(Obstruction::wrong(
                format!("it was built with `{wanted}`, and this machine's {command} is `{said}`"),
                format!("install {command} {wanted_major}"),
            )),
            _ => Ok(()),
        }
    }

    fn obstruction_in_rust(&self, here: &CompilersHere) -> Result<(), Obstruction> {
        let (build, config) = (self.build()?, self.config.as_ref());
        let config = config.filter(|config| config.is_yes("CONFIG_RUST")).ok_or_else(|| Obstruction {
            why: "CONFIG_RUST is not set in it, so it cannot load modules in Rust".to_owned(),
            remedy: Some("choose a kernel with CONFIG_RUST=y: cargo kmod kernel list".to_owned()),
            wrong: true,
        })?;
        let dir = self.artefacts(build)?;
        let wanted = config.get("CONFIG_RUSTC_VERSION_TEXT").unwrap_or_default();
        self.require_made_by(&dir, wanted)?;
        let names = self.system.names(&dir);
        for name in names.iter().filter(|name| name.ends_with(".so")) {
            self.require_machine(&dir.join(name), here)?;
        }
        match here.said.get("rustc") {
            Some(said) if said == wanted => Ok(()),
            Some(said) => Err(Obstruction::wrong(
                format!("it was built with `{wanted}`, and this machine has `{said}`"),
                format!("install that rustc, or cargo kmod kernel prepare {}", self.kernel.release),
            )),
            None => Err(Obstruction::missing(
                format!("it was built with `{wanted}`, and rustc is not on this machine (in /usr/bin)"),
                self.family.program("rustc"),
            )),
        }
    }

    /// The directory of the Rust artefacts: `rust` in the headers, which may be a link to that of
    /// another package.
    fn artefacts(&self, build: &Utf8Path) -> Result<Utf8PathBuf, Obstruction> {
        let dir = build.join("rust");
        let link = self.system.link(&dir);
        let remedy = || self.family.artefacts(self.system, self.kernel, link.as_deref());
        let Some(found) = self.system.find(&dir) else {
            let why = match &link {
                Some(target) => format!(
                    "its Rust artefacts are not installed: {dir} leads to {target}, which is not there"
                ),
                None => "its headers have no Rust artefacts".to_owned(),
            };
            return Err(Obstruction::missing(why, remedy()));
        };
        match ARTEFACTS.iter().find(|name| self.is_empty(&found.real.join(name))) {
            Some(name) => Err(Obstruction::missing(
                format!("its headers have no Rust artefacts ({dir}/{name})"),
                remedy(),
            )),
            None => Ok(found.real),
        }
    }

    /// Each artefact says which compiler made it.
    fn require_made_by(&self, dir: &Utf8Path, wanted: &str) -> Result<(), Obstruction> {
        let names = self.system.names(dir);
        let made = names.iter().filter(|name| name.ends_with(".rmeta")).find_map(|name| {
            let said = rustc_of(&self.system.read_up_to(dir.join(name), 256)?)?;
            (format!("rustc {said}") != wanted).then_some((name, said))
        });
        made.map_or(Ok(()), |(name, said)| {
            Err(Obstruction::wrong(
                format!("{dir}/{name} was made by `rustc {said}`, and the kernel with `{wanted}`"),
                format!(
                    "install what belongs to this kernel: {}",
                    self.family.artefacts(self.system, self.kernel, self.system.link(dir).as_deref())
                ),
            ))
        })
    }
}

/// Whether a value is none of text: a tristate or a number.
fn is_plain(value: &str) -> bool {
    matches!(value, "" | "y" | "m" | "n") || value.starts_with(|c: char| c.is_ascii_digit() || c == '-')
}

/// What the machine is called that an ELF file is for, from its first bytes.
fn machine(start: &[u8]) -> Option<&'static str> {
    let little = start.starts_with(b"\x7fELF") && start.get(5) == Some(&1);
    let bytes: [u8; 2] = start.get(18..20).filter(|_| little)?.try_into().ok()?;
    match object::elf::Machine(u16::from_le_bytes(bytes)) {
        object::elf::EM_X86_64 => Some("x86_64"),
        object::elf::EM_AARCH64 => Some("aarch64"),
        object::elf::EM_RISCV => Some("riscv64"),
        object::elf::EM_386 => Some("i686"),
        object::elf::EM_ARM => Some("arm"),
        _ => Some("another machine"),
    }
}

/// The version of rustc that the header of a crate's metadata names, without the first word.
fn rustc_of(start: &[u8]) -> Option<String> {
    let text = start.strip_prefix(b"rust\0\0\0")?;
    let at = text.windows(6).position(|word| word == b"rustc ")? + 6;
    let version: Vec<u8> = text[at..].iter().copied().take_while(|c| (b' '..=b'~').contains(c)).collect();
    String::from_utf8(version).ok()
}
