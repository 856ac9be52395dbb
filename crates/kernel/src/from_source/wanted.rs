// SPDX-License-Identifier: GPL-2.0
//! The configuration that a kernel from source is to have, and the build root that follows from it.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::context::Context;
use crate::discover;
use crate::distribution::recipe::Recipe;
use crate::distribution::{Age, Archive, ArchiveKernel, known};
use crate::installed;
use crate::kdir::Kdir;
use kmodfile::architecture::Architecture;
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::failure::Failure;

/// Which configuration a kernel from source is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedConfig {
    /// What the source has for its architecture: `defconfig`.
    Default,
    /// What is in this file.
    File(Utf8PathBuf),
    /// That of the kernel of this release: prepared, in the archive, or installed.
    Of(Release),
}

/// The configuration as it was found.
#[derive(Debug)]
pub(super) struct Wanted {
    /// What the user called it.
    pub(super) name: String,
    /// Its text; empty for what the source itself has.
    pub(super) text: String,
    /// The build root for it.
    pub(super) recipe: Recipe,
}

/// The largest file that is read as a configuration, in bytes; real ones have 300,000.
const LARGEST: u64 = 16 << 20;

/// What records the compiler in a configuration.
const COMPILER: &str = "CONFIG_CC_VERSION_TEXT";

impl Wanted {
    /// Finds the configuration, and chooses a build root: that of the kernel it is of, else one
    /// with the compiler that it names, else the one that is used by default.
    pub(super) fn find(context: &Context, wanted: &WantedConfig) -> Result<Self> {
        match wanted {
            WantedConfig::Default => Self::of_text(context, "defconfig", String::new()),
            WantedConfig::File(file) => Self::of_text(context, file.as_str(), read(file)?),
            WantedConfig::Of(release) => Self::of_release(context, release),
        }
    }

    fn of_release(context: &Context, release: &Release) -> Result<Self> {
        if let Some(kdir) = Kdir::open(&context.cache, release) {
            let text = fs_err::read_to_string(kdir.build().join(".config"))?;
            require_architecture(release.as_str(), &text)?;
            let recipe = kdir.stamp().recipe.clone();
            return Ok(Self { name: release.to_string(), text, recipe });
        }
        let (archive, kernel) = match discover::named(context, release) {
            Ok(found) => found,
            Err(error) => match installed::config(Utf8Path::new("/"), release.as_str())? {
                Some(config) => return Self::of_text(context, release.as_str(), config.to_string()),
                None => return Err(error),
            },
        };
        let config = archive.config(&kernel)?;
        let text = config.to_string();
        require_architecture(release.as_str(), &text)?;
        Ok(Self { name: release.to_string(), text, recipe: archive.recipe(&kernel, &config) })
    }

    fn of_text(context: &Context, name: &str, mut text: String) -> Result<Self> {
        require_architecture(name, &text)?;
        let distribution = known::usual();
        let archive = distribution.archive(context, Age::Current)?;
        let usual = discover::default(distribution, &*archive)?;
        let config = Config::parse(&text);
        let kernel = match gcc_of(&config) {
            None => usual,
            Some(gcc) => match built_with(&*archive, usual.clone(), gcc)? {
                Some(kernel) => kernel,
                None => {
                    let line = config.get(COMPILER).unwrap_or_default();
                    context.report.warn(&format!(
                        "{name} was made with {line}, which no suite of the archive has; what {} has is used",
                        usual.suite()
                    ));
                    text = without_compiler(&text);
                    usual
                }
            },
        };
        let config = Config::parse(&text);
        let own = archive.config(&kernel)?;
        // One that is there for other kernels already will do.
        let recipe = archive.recipe(&kernel, &own);
        let recipe = recipe.with(archive.recipe(&kernel, &config).packages());
        Ok(Self { name: name.to_owned(), text, recipe })
    }
}

/// The text of a file, which has to be a configuration of a kernel for this machine.
pub(super) fn read(file: &Utf8Path) -> Result<String> {
    let meta = fs_err::metadata(file).map_err(|_| Failure::usage(file.as_str(), "no such file"))?;
    if !meta.is_file() || meta.len() > LARGEST {
        return Err(Failure::refused(file.as_str(), "is not a kernel's configuration").into());
    }
    let text = String::from_utf8_lossy(&fs_err::read(file)?).into_owned();
    if !text.lines().any(|line| line.trim_start_matches("# ").starts_with("CONFIG_")) {
        return Err(
            Failure::refused(file.as_str(), "is not a kernel's configuration: it names no option").into()
        );
    }
    require_architecture(file.as_str(), &text)?;
    Ok(text)
}

/// Refuses the configuration of a kernel that is for another machine: its options mean nothing in a
/// kernel for this one, and Kconfig drops them without a word.
fn require_architecture(name: &str, text: &str) -> Result<(), Failure> {
    let Some(native) = Architecture::native() else { return Ok(()) };
    let is_native = |arch: &str| arch == native.source() || Architecture::named(arch) == Some(native);
    let other = match of_head(text) {
        Some(head) => (!is_native(head)).then(|| head.to_owned()),
        None => of_options(&Config::parse(text)).filter(|found| !is_native(found)).map(str::to_owned),
    };
    let Some(other) = other else { return Ok(()) };
    let reason = format!("is the configuration of a kernel for {other}, and this machine is {native}");
    Err(Failure::refused(name, reason)
        .remedy(format!("--config FILE, or --config-of RELEASE, of a kernel for {native}")))
}

/// The architecture in the heading that Kconfig writes: `# Linux/arm64 7.2.13 Kernel
/// Configuration`.
fn of_head(text: &str) -> Option<&str> {
    text.lines().take(6).find_map(|line| line.strip_prefix("# Linux/")?.split(' ').next())
}

/// The architecture that the options name, as below `arch/` in the source.
fn of_options(config: &Config) -> Option<&'static str> {
    const OPTIONS: &[(&str, &str)] = &[
        ("CONFIG_X86_64", "x86"),
        ("CONFIG_ARM64", "arm64"),
        ("CONFIG_X86_32", "i386"),
        ("CONFIG_ARM", "arm"),
        ("CONFIG_RISCV", "riscv"),
        ("CONFIG_PPC", "powerpc"),
        ("CONFIG_S390", "s390"),
        ("CONFIG_MIPS", "mips"),
        ("CONFIG_LOONGARCH", "loongarch"),
        ("CONFIG_SPARC", "sparc"),
    ];
    OPTIONS.iter().find(|(option, _)| config.is_yes(option)).map(|(_, arch)| *arch)
}

/// The package of the gcc that the configuration was made with, if it is one of Debian's names:
/// `gcc-14`.
fn gcc_of(config: &Config) -> Option<&str> {
    let command = config.compiler().filter(|_| !config.is_of_clang())?;
    let gcc = &command[command.find("gcc-")?..];
    gcc["gcc-".len()..].bytes().all(|byte| byte.is_ascii_digit()).then_some(gcc)
}

/// The newest kernel of the archive that was built with `gcc`; `usual`, if that was.
fn built_with(archive: &dyn Archive, usual: ArchiveKernel, gcc: &str) -> Result<Option<ArchiveKernel>> {
    let was = |kernel: &ArchiveKernel| Ok::<_, anyhow::Error>(gcc_of(&archive.config(kernel)?) == Some(gcc));
    if was(&usual)? {
        return Ok(Some(usual));
    }
    let kernels = archive.kernels();
    archive.fetch_configs(&kernels)?;
    for kernel in kernels {
        if was(&kernel)? {
            return Ok(Some(kernel));
        }
    }
    Ok(None)
}

fn without_compiler(text: &str) -> String {
    let others = text.lines().filter(|line| !line.starts_with(COMPILER));
    others.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_for_another_machine_is_refused() {
        let native = Architecture::native().unwrap();
        let other = Architecture::ALL.into_iter().find(|known| *known != native).unwrap();
        for (text, refused) in [
            (format!("#\n# Linux/{} 7.2.13 Kernel Configuration\n#\nCONFIG_SMP=y\n", native.source()), None),
            (format!("#\n# Linux/{} 7.2.13 Kernel Configuration\n#\n", other.source()), Some(other.source())),
            ("# Linux/riscv 7.2.13 Kernel Configuration\n".to_owned(), Some("riscv")),
            ("CONFIG_PPC=y\n".to_owned(), Some("powerpc")),
            ("CONFIG_SMP=y\n".to_owned(), None),
            (String::new(), None),
        ] {
            let said = require_architecture("x", &text).err().map(|failure| failure.to_string());
            assert_eq!(said.is_some(), refused.is_some(), "{text}");
            assert!(said.unwrap_or_default().contains(refused.unwrap_or_default()), "{text}");
        }
    }

    #[test]
    fn the_compiler_is_found_by_its_package() {
        for (line, gcc) in [
            ("x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0", Some("gcc-14")),
            ("gcc-12 (Debian 12.2.0-14) 12.2.0", Some("gcc-12")),
            ("gcc (GCC) 14.2.1 20250110", None),
            ("Debian clang version 21.1.8", None),
        ] {
            let config = Config::parse(&format!("{COMPILER}=\"{line}\"\n"));
            assert_eq!(gcc_of(&config), gcc, "{line}");
        }
        assert_eq!(without_compiler(&format!("A=y\n{COMPILER}=\"x\"\nB=y\n")), "A=y\nB=y\n");
    }
}
