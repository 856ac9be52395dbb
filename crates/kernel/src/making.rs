// SPDX-License-Identifier: GPL-2.0
//! Makes the tree of a kernel that modules are built against.
//!
//! A distribution's headers packages hold no Rust artefacts. They are made again here from the
//! kernel's source of exactly the same version, with the toolchain the kernel was built with, and
//! then proven: see [`super::rust`].

use std::time::{Duration, Instant};

use anyhow::Result;
use camino::Utf8Path;

use crate::artefacts::{Artefacts, SuppliedArtefacts};
use crate::context::Context;
use crate::distribution::recipe::Recipe;
use crate::distribution::{Archive, ArchiveKernel, Parts};
use crate::headers_configuration;
use crate::kdir::{Kdir, build_of, erase, image_of, source_of, supply_of};
use crate::make::{CONFIGURE, PREPARE, PREPARE_WITHOUT_RUST, log_file, make_step, run_counted};
use crate::new_kernel::{MadeTree, NewKernel};
use crate::origin::Origin;
use crate::root::{Access, Root};
use crate::rust;
use crate::seed::Seed;
use crate::shared_source::SharedSource;
use crate::source::Extent;
use crate::store;
use crate::toolchain::Toolchain;
use kmodfile::architecture::Architecture;
use kmodfile::config::{Config, OptionDifference};
use kmodfile::release::Release;
use report::failure::Failure;
use report::process::Cmd;
use report::{Report, Step};

/// One kernel being made.
#[derive(Clone)]
pub(crate) struct Making<'a> {
    pub(crate) context: &'a Context,
    pub(crate) archive: &'a dyn Archive,
    pub(crate) kernel: &'a ArchiveKernel,
    pub(crate) root: &'a Root,
    pub(crate) recipe: &'a Recipe,
    pub(crate) parts: &'a Parts<'a>,
    pub(crate) inputs: String,
    pub(crate) rust: bool,
    /// Artefacts that somebody else made, instead of making them.
    pub(crate) supply: Option<&'a SuppliedArtefacts>,
}

impl Making<'_> {
    /// Makes the tree in its final place. The caller holds the kernel's lock.
    pub(crate) fn run(&self) -> Result<()> {
        let release = &self.kernel.release;
        self.context.require_wet_run(&format!("prepare kernel {release}"))?;
        let place = Kdir::place_of(&self.context.cache, release);
        discard(&place, self.context, release)?;
        if store::fetch_or_say(self.context, release, &self.inputs) {
            return self.provide_source();
        }
        fs_err::create_dir_all(&place)?;
        // Programs in the root are shown it, even where nothing is unpacked.
        fs_err::create_dir_all(self.context.cache.path("sources"))?;
        let new = NewKernel {
            context: self.context,
            release,
            inputs: &self.inputs,
            recipe: self.recipe,
            root: self.root,
            architecture: self.archive.architecture(),
            origin: Origin::Archive {
                suite: self.kernel.suite().to_owned(),
                version: Some(self.kernel.version().to_owned()),
            },
        };
        new.make(|place| self.make(place))?;
        store::keep_or_say(self.context, release, &self.inputs);
        Ok(())
    }

    /// What a kernel that was made elsewhere leads to: its source is not in the store.
    fn provide_source(&self) -> Result<()> {
        if self.supply.is_some() {
            return Ok(());
        }
        let package = self.parts.source;
        self.archive.provide(&[package], &self.context.report)?;
        let extent = Extent::ForModules(self.archive.architecture());
        SharedSource::provide(self.context, self.archive, package, &self.kernel.release, extent).map(drop)
    }

    /// The Rust symbols that were proven; none in a kernel without Rust.
    fn prove(&self, place: &Utf8Path) -> Result<usize> {
        if !self.rust {
            return Ok(0);
        }
        let build = build_of(place);
        let symvers = fs_err::read_to_string(build.join("Module.symvers"))?;
        let release = &self.kernel.release;
        let proof = match self.supply {
            None => rust::prove(release, &symvers, &build)?,
            Some(_) => {
                let config = Config::parse(&fs_err::read_to_string(build.join(".config"))?);
                let host = Architecture::native().unwrap_or_default();
                Artefacts::in_tree(&build)?.prove(release, &config, &symvers, host)?
            }
        };
        self.context
            .report
            .note("Proved", &format!("{release}: {0} of {0} exported Rust symbols", proof.symbols));
        Ok(proof.symbols)
    }

    /// Unpacks, makes and proves. Image and modules are not needed by make: they are fetched and
    /// unpacked beside it. They begin with the source, whose unpacking keeps one processor busy;
    /// make has use for all.
    fn make(&self, place: &Utf8Path) -> Result<MadeTree> {
        let packages = match self.supply {
            Some(_) => self.archive.build_packages(self.kernel)?,
            None => vec![self.parts.headers, self.parts.source],
        };
        self.archive.provide(&packages, &self.context.report)?;
        std::thread::scope(|scope| {
            let image = scope.spawn(|| self.unpack_image(place));
            let made = match self.supply {
                Some(supply) => self.lay_out(place, supply),
                None => self.make_tree(place),
            };
            let image = image.join().expect("unpacking does not panic");
            let made = made?;
            image?;
            Ok(made)
        })
    }

    fn make_tree(&self, place: &Utf8Path) -> Result<MadeTree> {
        let (context, release) = (self.context, &self.kernel.release);
        let package = self.parts.source;
        let extent = Extent::ForModules(self.archive.architecture());
        let source = SharedSource::provide(context, self.archive, package, release, extent)?;
        let tools = self.root.identity();
        let find = || Seed::find(context, source.path(), tools, self.archive.architecture());
        let find = || if self.root.is_host() { None } else { find() };
        let mut seed = find();
        let _first = match seed {
            None if context.jobs <= FEW => {
                let name = format!("the first kernel of source {}", source.name());
                let lock = context.cache.lock(&name, &context.report)?;
                seed = find();
                // Others that have something to begin with need not wait for each other.
                seed.is_none().then_some(lock)
            }
            _ => None,
        };
        let Some(seed) = seed else { return self.make_of(place, &source, None) };
        self.make_of(place, &source, Some(&seed)).or_else(|error| {
            // Whether that is the other flavour's fault, the same without it shows.
            context
                .report
                .note("Beginning", &format!("{release} anew, without what {} has: {error}", seed.release()));
            fs_err::remove_dir_all(build_of(place))?;
            self.make_of(place, &source, None)
        })
    }

    fn make_of(&self, place: &Utf8Path, source: &SharedSource, seed: Option<&Seed>) -> Result<MadeTree> {
        let link = source_of(place);
        if !link.is_symlink() {
            fs_err::os::unix::fs::symlink(source.path(), link)?;
        }
        match seed {
            Some(seed) => seed.plant(place, self.context)?,
            None => fs_err::create_dir_all(build_of(place))?,
        }
        let before = seed.map(Seed::config).transpose()?;
        self.unpack_headers(place)?;
        let config = self.check_toolchain(place)?;
        let took = self.make_steps(place, source, &config, before.as_ref())?;
        Ok(MadeTree { took, rust_symbols: self.prove(place)? })
    }

    /// Configuration, symbols and BTF: without the image's BTF modules get none, and Kbuild only
    /// skips it silently.
    fn unpack_headers(&self, place: &Utf8Path) -> Result<()> {
        let (release, report) = (&self.kernel.release, &self.context.report);
        self.archive.unpack_headers(self.parts, release, &build_of(place), report)
    }

    /// The distribution's own headers, and the artefacts that they lack: nothing is made.
    fn lay_out(&self, place: &Utf8Path, supply: &SuppliedArtefacts) -> Result<MadeTree> {
        let (report, release) = (&self.context.report, &self.kernel.release);
        let what = format!("headers {} and {}", self.kernel.version(), supply.source);
        let step = report.step("Unpacking", &what);
        let packages = self.archive.build_packages(self.kernel)?;
        self.archive.unpack_build_tree(&packages, release, place, report)?;
        let build = build_of(place);
        let symvers = fs_err::read_to_string(build.join("Module.symvers"))?;
        supply.manifest.require_kernel(release, self.kernel.version(), &symvers, &supply.source)?;
        supply.artefacts.copy_to(&build)?;
        self.check_toolchain(place)?;
        fs_err::write(supply_of(place), supply.identity())?;
        step.done("Unpacked", &what);
        Ok(MadeTree { took: Duration::ZERO, rust_symbols: self.prove(place)? })
    }

    fn unpack_image(&self, place: &Utf8Path) -> Result<()> {
        let quiet = Report::silent();
        self.archive.provide(&self.parts.image, &quiet)?;
        self.archive.unpack_image(self.parts, &image_of(place), &quiet)
    }

    /// Compares the compilers in the build root with those in the configuration. The proof would
    /// fail later, without naming the cause.
    fn check_toolchain(&self, place: &Utf8Path) -> Result<Config> {
        let config = Config::parse(&fs_err::read_to_string(build_of(place).join(".config"))?);
        let version = |program: &str| -> Result<String> {
            let cmd = Cmd::new(program).arg("--version");
            let text = self.inside(cmd, place).read(&self.context.report)?;
            Ok(text.lines().next().unwrap_or_default().to_owned())
        };
        if self.rust {
            let wanted = config.get("CONFIG_RUSTC_VERSION_TEXT").unwrap_or_default();
            let found = version("rustc")?;
            if found != wanted {
                return Err(self.wrong_compiler(wanted, &found).into());
            }
        }
        let wanted = config.get("CONFIG_CC_VERSION_TEXT").unwrap_or_default();
        let found = version(Toolchain::of(&config).compiler())?;
        if found.split(' ').next_back() != wanted.split(' ').next_back() {
            return Err(self.wrong_compiler(wanted, &found).into());
        }
        Ok(config)
    }

    fn wrong_compiler(&self, wanted: &str, found: &str) -> Failure {
        Failure::refused(
            self.kernel.release.as_str(),
            format!("built with `{wanted}`, but build root {} has `{found}`", self.root.name()),
        )
        .remedy("choose a kernel built with what its suite has now: cargo kmod kernel list")
    }

    /// `before` is the configuration that the tree was made with that this one began as.
    fn make_steps(
        &self,
        place: &Utf8Path,
        source: &SharedSource,
        wanted: &Config,
        before: Option<&Config>,
    ) -> Result<Duration> {
        let what = format!("kernel tree {}", self.kernel.release);
        let step = self.context.report.step("Making", &what);
        let started = Instant::now();
        if self.is_configured(place, source, wanted)? {
            headers_configuration::settle(&build_of(place), wanted, before)?;
        } else {
            self.run_make(place, source, wanted, CONFIGURE, "olddefconfig.log", &step)?;
            self.check_config(place, wanted)?;
        }
        let targets = if self.rust { PREPARE } else { PREPARE_WITHOUT_RUST };
        self.run_make(place, source, wanted, targets, "prepare.log", &step)?;
        let took = started.elapsed();
        step.done("Made", &what);
        Ok(took)
    }

    /// Whether what the headers hold of the configuration is what `olddefconfig` would come to.
    /// Cross compilers are asked for more than one has.
    fn is_configured(&self, place: &Utf8Path, source: &SharedSource, config: &Config) -> Result<bool> {
        let toolchain = Toolchain::of(config);
        let known = !toolchain.is_cross() && !config.is_of_clang();
        if !known || !headers_configuration::is_whole(&build_of(place), config)? {
            return Ok(false);
        }
        let report = &self.context.report;
        let read = |cmd| self.inside(cmd, place).read(report);
        let other = headers_configuration::other_tool(config, source.path(), read);
        if let Some((option, found)) = &other {
            report.command(&format!("configuration: made again, as {option} is {found} here"));
        }
        Ok(other.is_none())
    }

    fn run_make(
        &self,
        place: &Utf8Path,
        source: &SharedSource,
        config: &Config,
        targets: &[&str],
        log: &str,
        step: &Step<'_>,
    ) -> Result<()> {
        let cmd = make_step(
            &self.kernel.release,
            config,
            source.path(),
            &build_of(place),
            targets,
            self.context.jobs,
        )
        .args(placeless(place, source.path()));
        let inside = |cmd| self.inside(cmd, place);
        let log = log_file(&self.context.cache, &self.kernel.release, log)?;
        run_counted(cmd, &log, inside, step, &self.context.report)
    }

    /// `olddefconfig` must not change what was configured, but for the options that have a reason
    /// ([`MAY_DIFFER`]), which is shown with the commands.
    fn check_config(&self, place: &Utf8Path, wanted: &Config) -> Result<()> {
        let made = Config::parse(&fs_err::read_to_string(build_of(place).join(".config"))?);
        let differences = wanted.differences(&made);
        let serious: Vec<_> = differences.iter().filter(|difference| matters(difference)).collect();
        let show = |OptionDifference { option, first, second }: &OptionDifference<'_>| {
            format!("{option} was {} and became {}", first.unwrap_or("not set"), second.unwrap_or("not set"))
        };
        for difference in &differences {
            let why = reason_to_let_pass(difference).map(|why| format!(": {why}")).unwrap_or_default();
            self.context.report.command(&format!("configuration: {}{why}", show(difference)));
        }
        if serious.is_empty() {
            return Ok(());
        }
        let list =
            serious.into_iter().map(|difference| format!("\n    {}", show(difference))).collect::<String>();
        Err(Failure::refused(
            self.kernel.release.as_str(),
            format!("its configuration cannot be reproduced in build root {}:{list}", self.root.name()),
        )
        .remedy("choose another kernel: cargo kmod kernel list")
        .into())
    }

    fn inside(&self, cmd: Cmd, place: &Utf8Path) -> Cmd {
        let sources = self.context.cache.path("sources");
        self.root.inside(self.context, cmd, &Access::default().read(sources).write(place))
    }
}

/// Where there are no more processors than this, a flavour waits for another that is being made of
/// the same source: to begin with what that one has saves it a third of its work, which is more
/// than sharing few processors from the beginning gains.
const FEW: usize = 4;

/// Options that may come out otherwise than they were configured, each with the reason why no
/// module is another for it. An option of a compiler or of Rust is none of them.
const MAY_DIFFER: &[(&str, &str)] = &[
    ("CONFIG_OPENSSL_SUPPORTS_ML_DSA", "what the library can do that the signing tool is linked to"),
    ("CONFIG_MODULE_SIG_KEY_TYPE_ECDSA", "the key that a whole build makes for the kernel's own modules"),
    ("CONFIG_MODULE_SIG_KEY_TYPE_MLDSA_44", "the key that a whole build makes for the kernel's own modules"),
    ("CONFIG_MODULE_SIG_KEY_TYPE_MLDSA_65", "the key that a whole build makes for the kernel's own modules"),
    ("CONFIG_MODULE_SIG_KEY_TYPE_MLDSA_87", "the key that a whole build makes for the kernel's own modules"),
    ("CONFIG_MODULE_SIG_KEY_TYPE_RSA", "the key that a whole build makes for the kernel's own modules"),
    ("CONFIG_TOOLS_SUPPORT_RELR", "how the image is linked, for its own relocation"),
    ("CONFIG_PAHOLE_VERSION", "it is asked again when a module is built, and writes BTF either way"),
    ("CONFIG_AS_VERSION", "what an assembler can do has options of its own, which are compared"),
    ("CONFIG_LD_VERSION", "what a linker can do has options of its own, which are compared"),
    // Both want a compiler for 32-bit Arm besides. The one header that asks, asm/elf.h, defines by
    // it what the loader of programs tells a 32-bit one.
    ("CONFIG_COMPAT_VDSO", "whether 32-bit programs find a vDSO, which is inside the kernel's image"),
    ("CONFIG_THUMB2_COMPAT_VDSO", "the instruction set of that vDSO, which is inside the kernel's image"),
];

/// Whether a changed option would change what modules are.
fn matters(difference: &OptionDifference<'_>) -> bool {
    reason_to_let_pass(difference).is_none()
}

/// Why a changed option does not matter, if it does not. Of the compiler's text only the version
/// does: a distribution's cross compiler may be a revision of the package behind the native one.
fn reason_to_let_pass(difference: &OptionDifference<'_>) -> Option<&'static str> {
    let version = |text: Option<&str>| text.and_then(|text| text.split(' ').next_back().map(str::to_owned));
    if difference.option == "CONFIG_CC_VERSION_TEXT" {
        let same = version(difference.first) == version(difference.second);
        return same.then_some("the same version, of another revision of its package");
    }
    MAY_DIFFER.iter().find(|(option, _)| *option == difference.option).map(|(_, reason)| *reason)
}

/// Words for make with which the Rust artefacts do not know the place that they are made in: a
/// kernel prepared in two places has the same ones, byte for byte.
///
/// The kernel's Makefile asks rustc whether it can hide the place from macros alone, and takes the
/// answer for a wish. With the answer no, what is hidden here is hidden in everything, debug
/// information included, and macros see the names that the kernel's own Makefile gives them.
/// Procedural macros are compiled without the flags for Rust in the kernel, but with those that are
/// for some versions of rustc, which are otherwise about clippy.
fn placeless(place: &Utf8Path, source: &Utf8Path) -> [String; 3] {
    let hidden = format!("--remap-path-prefix={source}/= --remap-path-prefix={}=.", build_of(place));
    [
        format!("KRUSTFLAGS={hidden}"),
        format!("rust_common_flags_per_version={hidden}"),
        "rustc-option-yn=n".to_owned(),
    ]
}

/// Removes what an earlier run left at `place`, and says why.
fn discard(place: &Utf8Path, context: &Context, release: &Release) -> Result<()> {
    if !place.exists() {
        return Ok(());
    }
    let why = match Kdir::lost(&context.cache, release) {
        Some(file) => format!("which has lost {file}"),
        None if place.join("stamp.json").exists() => "made from other packages".to_owned(),
        None => "left incomplete by a run that was stopped".to_owned(),
    };
    let step = context.report.step("Discarding", &format!("{place}, {why}"));
    erase(place)?;
    step.done("Discarded", place.as_str());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_building_machine_may_differ_and_no_others() {
        for ((option, first, second), serious) in [
            (("CONFIG_OPENSSL_SUPPORTS_ML_DSA", Some("y"), None), false),
            (
                (
                    "CONFIG_CC_VERSION_TEXT",
                    Some("gcc-14 (Debian 14.2.0-19) 14.2.0"),
                    Some("gcc-14 (Debian 14.2.0-21) 14.2.0"),
                ),
                false,
            ),
            (
                (
                    "CONFIG_CC_VERSION_TEXT",
                    Some("gcc-14 (Debian 14.2.0-19) 14.2.0"),
                    Some("gcc-12 (Debian) 12.2.0"),
                ),
                true,
            ),
            (
                (
                    "CONFIG_CC_VERSION_TEXT",
                    Some("aarch64-linux-gnu-gcc-16 (Debian 16.2.0-4) 16.2.0"),
                    Some("aarch64-linux-gnu-gcc-16 (Debian 16.1.0-3) 16.1.0"),
                ),
                true,
            ),
            (("CONFIG_COMPAT_VDSO", Some("y"), None), false),
            (("CONFIG_AS_VERSION", Some("24700"), Some("24750")), false),
            (("CONFIG_AS_WRUSS", Some("y"), None), true),
            (("CONFIG_LD_CAN_USE_KEEP_IN_OVERLAY", Some("y"), None), true),
            (("CONFIG_GCC_VERSION", Some("160100"), Some("160200")), true),
            (("CONFIG_COMPAT", Some("y"), None), true),
            (("CONFIG_RUST", Some("y"), None), true),
            (("CONFIG_PREEMPT", None, Some("y")), true),
        ] {
            let difference = OptionDifference { option, first, second };
            assert_eq!(matters(&difference), serious, "{difference:?}");
        }
    }
}
