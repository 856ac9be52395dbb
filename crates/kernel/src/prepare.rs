// SPDX-License-Identifier: GPL-2.0
//! Prepares a kernel for building modules against it; a kernel with Rust for modules in Rust.
//!
//! Debian's headers packages hold no Rust artefacts. They are made again here from the kernel's source of exactly
//! the same version, with the toolchain the kernel was built with, and then proven: see [`super::rust`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest as _, Sha256};

use crate::archive::Archive;
use crate::archive::package::{self, Package};
use crate::context::Context;
use crate::discover::{self, Kernel};
use crate::kdir::{Kdir, Stamp, build_of, image_of, source_of};
use crate::machine::facts;
use crate::root::recipe::Recipe;
use crate::root::{Access, Choice, Root};
use crate::{rust, source};
use kmodfile::config::{Config, OptionDifference};
use kmodfile::release::Release;
use report::cache::Lock;
use report::failure::{Exit, Failure};
use report::process::Cmd;
use report::seconds;

/// Changes when the way of preparing does, so that older trees are made anew.
const REVISION: u32 = 1;

/// A kernel that is ready, and the root to build in.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The tree.
    pub kdir: Kdir,
    /// Where its compilers are.
    pub root: Root,
    /// Keeps the kernel from being removed meanwhile.
    _used: Arc<Lock>,
}

impl Prepared {
    /// The same kernel with a root that has these packages of its distribution, too; for none, as it is.
    ///
    /// # Errors
    ///
    /// A mistake of the user's, if a name can be none of a package.
    pub fn with_packages(self, context: &Context, names: &[String]) -> Result<Self> {
        if names.is_empty() {
            return Ok(self);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if let Some(name) = names.iter().find(|name| !package::is_name(name)) {
            return Err(Failure::usage(format!("--package {name}"), "is no name of a package").into());
        }
        let recipe = self.kdir.stamp().recipe.clone().with(&names);
        Ok(Self { root: Root::provide(context, &recipe, Choice::Made)?, ..self })
    }
}

/// The packages one kernel is made of.
struct Packages<'a> {
    headers: &'a Package,
    source: &'a Package,
    image: Vec<&'a Package>,
}

/// Whether what is to be built is in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rust {
    /// A kernel without Rust is refused.
    Needed,
    /// Any kernel will do; one that has Rust is prepared with it all the same.
    Optional,
}

/// Prepares `kernel` for modules in Rust: from the cache, or made now by one run while others wait. Says so when
/// nothing was to do.
pub fn prepare(
    context: &Context,
    archive: &Archive<'_>,
    kernel: &Kernel,
    choice: Choice,
) -> Result<Prepared> {
    prepare_for(context, archive, kernel, choice, Rust::Needed)
}

fn prepare_for(
    context: &Context,
    archive: &Archive<'_>,
    kernel: &Kernel,
    choice: Choice,
    rust: Rust,
) -> Result<Prepared> {
    let config = discover::config(context, archive, kernel)?;
    if rust == Rust::Needed {
        require_rust(context, archive, kernel, &config)?;
    }
    let packages = packages(archive.packages(), kernel)?;
    let recipe = Recipe::for_kernel(&kernel.headers.suite, &config);
    if Kdir::open(context, &kernel.release).is_none() {
        facts::require_space(context, facts::NEEDED, "a kernel with its build root needs")?;
    }
    let root = Root::provide(context, &recipe, choice)?;
    let inputs = inputs(&packages, &root);
    let making = Making {
        context,
        archive,
        kernel,
        root: &root,
        recipe: &recipe,
        packages,
        inputs: inputs.clone(),
        rust: config.is_yes("CONFIG_RUST"),
    };
    let mut made = false;
    loop {
        let used = use_of(context, &kernel.release)?;
        if let Some(kdir) = fresh(context, kernel, &inputs) {
            if !made {
                context.report.note("Fresh", &format!("kernel {}", kernel.release));
            }
            return Ok(Prepared { kdir, root, _used: used });
        }
        drop(used);
        let _lock = context.cache.lock(&lock_name(&kernel.release), &context.report)?;
        if fresh(context, kernel, &inputs).is_none() {
            making.run()?;
        }
        made = true;
    }
}

/// The name of the lock on a kernel.
fn lock_name(release: &Release) -> String {
    format!("kernel {release}")
}

fn use_of(context: &Context, release: &Release) -> Result<Arc<Lock>> {
    Ok(Arc::new(context.cache.share(&lock_name(release), &context.report)?))
}

/// The kernel of this release, or the default one: prepared if need be. One that is named and prepared needs no archive.
pub fn provide(context: &Context, release: Option<&Release>, choice: Choice) -> Result<Prepared> {
    provide_for(context, release, choice, Rust::Needed)
}

/// The same for what need not be in Rust. The default kernel has it.
pub fn provide_for(
    context: &Context,
    release: Option<&Release>,
    choice: Choice,
    rust: Rust,
) -> Result<Prepared> {
    let enough = |kdir: &Kdir| rust == Rust::Optional || kdir.stamp().rust_symbols > 0;
    if let Some(release) = release {
        let used = use_of(context, release)?;
        if let Some(kdir) = Kdir::open(context, release).filter(enough) {
            let root = Root::provide(context, &kdir.stamp().recipe, choice)?;
            return Ok(Prepared { kdir, root, _used: used });
        }
    }
    let mut archive = Archive::open(context)?;
    let kernel = match release {
        Some(release) => discover::find(&mut archive, release)?,
        None => discover::default(context, &archive)?,
    };
    prepare_for(context, &archive, &kernel, choice, rust)
}

fn fresh(context: &Context, kernel: &Kernel, inputs: &str) -> Option<Kdir> {
    Kdir::open(context, &kernel.release).filter(|kdir| kdir.stamp().inputs == inputs)
}

fn require_rust(context: &Context, archive: &Archive<'_>, kernel: &Kernel, config: &Config) -> Result<()> {
    if config.is_yes("CONFIG_RUST") {
        return Ok(());
    }
    let others = discover::with_rust(context, archive)?;
    let list = others.iter().map(|release| format!("\n    {release}")).collect::<String>();
    Err(Failure::refused(
        kernel.release.as_str(),
        format!("CONFIG_RUST is not set in this kernel, so no Rust module can be loaded into it; it is set in:{list}"),
    )
    .remedy(match others.first() {
        Some(newest) => format!("cargo kmod kernel prepare {newest}"),
        None => "cargo kmod kernel list".to_owned(),
    })
    .into())
}

/// Headers, image and modules, and the source of exactly the headers' version.
fn packages<'a>(known: &'a [Package], kernel: &'a Kernel) -> Result<Packages<'a>> {
    let source = source_package(known, kernel)?;
    Ok(Packages { headers: &kernel.headers, source, image: image(known, kernel)? })
}

/// The source of exactly the version of a kernel's headers.
pub fn source_package<'a>(known: &'a [Package], kernel: &Kernel) -> Result<&'a Package> {
    let headers = &kernel.headers;
    let name = format!("linux-source-{}", kernel.release.line());
    package::find(known, &name, &headers.version).ok_or_else(|| {
        let has = known.iter().filter(|package| package.name == name);
        let has = has.map(|package| package.version.as_str()).collect::<Vec<_>>().join(", ");
        Failure::refused(
            kernel.release.as_str(),
            format!(
                "its headers are version {}, and the archive has {name} only in {}",
                headers.version,
                if has.is_empty() { "no version" } else { &has }
            ),
        )
        .remedy("choose a kernel whose source is still there: cargo kmod kernel list")
        .into()
    })
}

/// What the inputs of a kernel are now: a prepared one with the same was made of just these packages.
pub fn inputs_of(archive: &Archive<'_>, kernel: &Kernel, root: &Root) -> Result<String> {
    Ok(inputs(&packages(archive.packages(), kernel)?, root))
}

/// The image package and those of its dependencies that carry the release in their name: since
/// 7.2 Debian splits image, modules and the rest into packages of their own.
fn image<'a>(known: &'a [Package], kernel: &Kernel) -> Result<Vec<&'a Package>> {
    let find = |name: &str| package::find(known, name, &kernel.headers.version);
    let name = format!("linux-image-{}", kernel.release);
    let image = find(&name).ok_or_else(|| {
        Failure::refused(
            kernel.release.as_str(),
            format!(
                "the archive has its headers in version {}, but not {name} of that version",
                kernel.headers.version
            ),
        )
        .remedy("choose another kernel: cargo kmod kernel list")
    })?;
    let ours = |name: &&str| name.ends_with(kernel.release.as_str()) && !name.starts_with("linux-headers-");
    let parts = image.depends.iter().map(|dependency| dependency.name.as_str()).filter(ours).filter_map(find);
    Ok(std::iter::once(image).chain(parts).collect())
}

/// Hash of everything a prepared kernel depends on.
fn inputs(packages: &Packages<'_>, root: &Root) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{REVISION} {}", root.identity()));
    for package in [packages.headers, packages.source].iter().chain(&packages.image) {
        hash.update(format!(" {}", package.sha256));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One kernel being made.
struct Making<'a> {
    context: &'a Context,
    archive: &'a Archive<'a>,
    kernel: &'a Kernel,
    root: &'a Root,
    recipe: &'a Recipe,
    packages: Packages<'a>,
    inputs: String,
    rust: bool,
}

impl Making<'_> {
    fn run(&self) -> Result<()> {
        let (report, release) = (&self.context.report, &self.kernel.release);
        let started = Instant::now();
        let place = Kdir::place_of(self.context, release);
        discard(&place, self.context, release)?;
        fs_err::create_dir_all(&place)?;
        let make_time = self.make(&place).inspect_err(|_| {
            // A refused or failed tree is of no use, and its log is in the error.
            fs_err::remove_dir_all(&place).ok();
        })?;
        let rust_symbols = self.prove(&place).inspect_err(|_| {
            fs_err::remove_dir_all(&place).ok();
        })?;
        let stamp = Stamp {
            release: release.clone(),
            inputs: self.inputs.clone(),
            recipe: self.recipe.clone(),
            suite: self.kernel.headers.suite.clone(),
            place: place.clone(),
            rust_symbols,
            seconds: started.elapsed().as_secs_f64(),
            make_seconds: make_time.as_secs_f64(),
            of_some: Vec::new(),
        };
        write_stamp(&place, Kdir::made(stamp)?.stamp())?;
        report.note("Prepared", &format!("kernel {release} in {}", seconds(started.elapsed())));
        Ok(())
    }

    /// The Rust symbols that were proven; none in a kernel without Rust.
    fn prove(&self, place: &Utf8Path) -> Result<usize> {
        if !self.rust {
            return Ok(0);
        }
        let symvers = fs_err::read_to_string(build_of(place).join("Module.symvers"))?;
        let proof = rust::prove(&self.kernel.release, &symvers, &build_of(place))?;
        self.context.report.note("Proved", &format!("{0} of {0} exported Rust symbols", proof.symbols));
        Ok(proof.symbols)
    }

    /// Unpacks and makes; gives the time of the bare make steps. Image and modules are not needed by make: they are fetched
    /// and unpacked beside it. They begin with the source, whose unpacking keeps one processor busy; make has use for all.
    fn make(&self, place: &Utf8Path) -> Result<Duration> {
        let files = self.archive.fetch(&[self.packages.headers, self.packages.source])?;
        let [headers, source_deb] = files.as_slice() else { unreachable!("two packages give two files") };
        std::thread::scope(|scope| {
            let image = scope.spawn(|| self.unpack_image(place));
            let made = self.unpack(place, headers, source_deb).and_then(|()| {
                let config = self.check_toolchain(place)?;
                self.make_steps(place, &config)
            });
            let image = image.join().expect("unpacking does not panic");
            let made = made?;
            image?;
            Ok(made)
        })
    }

    /// Source, configuration, symbols and BTF.
    fn unpack(&self, place: &Utf8Path, headers: &Utf8PathBuf, source_deb: &Utf8Path) -> Result<()> {
        let (report, release) = (&self.context.report, &self.kernel.release);
        let step = report.step("Unpacking", &format!("source {}", self.packages.source.version));
        source::unpack(source_deb, release, &source_of(place), report)?;
        let unpacked = place.join("headers");
        source::unpack_packages(std::slice::from_ref(headers), &unpacked, report)?;
        let from = unpacked.join(format!("usr/src/linux-headers-{release}"));
        fs_err::create_dir_all(build_of(place))?;
        for file in [".config", "Module.symvers"] {
            fs_err::copy(from.join(file), build_of(place).join(file))?;
        }
        // BTF of the image; without it modules get no BTF, and Kbuild only skips it silently.
        if from.join("vmlinux").exists() {
            fs_err::copy(from.join("vmlinux"), build_of(place).join("vmlinux"))?;
        }
        fs_err::remove_dir_all(unpacked)?;
        step.done("Unpacked", &format!("source {}", self.packages.source.version));
        Ok(())
    }

    fn unpack_image(&self, place: &Utf8Path) -> Result<()> {
        let quiet = report::Report::silent();
        let files = self.archive.fetch_quietly(&self.packages.image, &quiet)?;
        source::unpack_packages(&files, &image_of(place), &quiet)
    }

    /// The compilers in the root against those in the configuration: early and by name, where the proof would only come
    /// out wrong.
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
        let compiler = config.compiler().unwrap_or("gcc").to_owned();
        let wanted = config.get("CONFIG_CC_VERSION_TEXT").unwrap_or_default();
        let found = version(&compiler)?;
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

    fn make_steps(&self, place: &Utf8Path, wanted: &Config) -> Result<Duration> {
        let report = &self.context.report;
        let step = report.step("Making", &format!("kernel tree {}", self.kernel.release));
        let started = Instant::now();
        self.run_make(place, wanted, CONFIGURE, "olddefconfig.log")?;
        self.check_config(place, wanted)?;
        self.run_make(place, wanted, if self.rust { PREPARE } else { PREPARE_WITHOUT_RUST }, "prepare.log")?;
        let took = started.elapsed();
        step.done("Made", &format!("kernel tree {}", self.kernel.release));
        Ok(took)
    }

    fn run_make(&self, place: &Utf8Path, config: &Config, targets: &[&str], log: &str) -> Result<()> {
        let cmd = make_step(
            &self.kernel.release,
            config,
            &source_of(place),
            &build_of(place),
            targets,
            self.context.jobs,
        );
        self.inside(cmd.log(self.log_file(log)?), place).run(&self.context.report)?;
        Ok(())
    }

    /// Logs outlive a tree that failed and was removed.
    fn log_file(&self, name: &str) -> Result<Utf8PathBuf> {
        let dir = self.context.cache.path("logs");
        fs_err::create_dir_all(&dir)?;
        Ok(dir.join(format!("{}-{name}", self.kernel.release)))
    }

    /// `olddefconfig` must not change what was configured. Options that only record what the building machine's
    /// libraries can do may differ; those of compilers and Rust may not.
    fn check_config(&self, place: &Utf8Path, wanted: &Config) -> Result<()> {
        let made = Config::parse(&fs_err::read_to_string(build_of(place).join(".config"))?);
        let differences = wanted.differences(&made);
        let serious: Vec<_> = differences.iter().filter(|difference| matters(difference)).collect();
        let show = |OptionDifference { option, first, second }: &OptionDifference<'_>| {
            format!("{option} was {} and became {}", first.unwrap_or("not set"), second.unwrap_or("not set"))
        };
        for difference in &differences {
            self.context.report.command(&format!("configuration: {}", show(difference)));
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
        self.root.inside(self.context, cmd, &Access::default().write(place))
    }
}

/// The first make step's targets.
pub const CONFIGURE: &[&str] = &["olddefconfig"];

/// The second make step's targets.
pub const PREPARE: &[&str] = &["prepare", "modules_prepare", "rust/"];

/// The same for a kernel without Rust.
const PREPARE_WITHOUT_RUST: &[&str] = &["prepare", "modules_prepare"];

/// One make step of preparing a kernel, to be run in its build root.
pub fn make_step(
    release: &Release,
    config: &Config,
    source: &Utf8Path,
    build: &Utf8Path,
    targets: &[&str],
    jobs: usize,
) -> Cmd {
    Cmd::new("make")
        .arg("-C")
        .arg(source)
        .arg(format!("O={build}"))
        .arg(format!("CC={}", config.compiler().unwrap_or("gcc")))
        .arg(format!("KERNELRELEASE={release}"))
        .arg("LOCALVERSION=")
        .arg(format!("-j{jobs}"))
        .args(targets)
        // Nothing of this machine or hour goes into the artefacts.
        .env("KBUILD_BUILD_TIMESTAMP", "@0")
        .env("KBUILD_BUILD_USER", "cifs-fix")
        .env("KBUILD_BUILD_HOST", "cifs-fix")
}

/// Whether a changed option would change what modules are: everything but what Kconfig asks of the
/// building machine's own libraries, for tools that run there.
fn matters(difference: &OptionDifference<'_>) -> bool {
    let of_build_machine = [
        "CONFIG_OPENSSL_SUPPORTS_",
        "CONFIG_MODULE_SIG_KEY_TYPE_",
        "CONFIG_TOOLS_SUPPORT_",
        "CONFIG_PAHOLE_VERSION",
    ];
    let version = |text: Option<&str>| text.and_then(|text| text.split(' ').next_back().map(str::to_owned));
    let compiler_text = difference.option == "CONFIG_CC_VERSION_TEXT"
        && version(difference.first) == version(difference.second);
    !compiler_text && !of_build_machine.iter().any(|prefix| difference.option.starts_with(prefix))
}

/// Removes what an earlier run left at `place`, and says why.
fn discard(place: &Utf8Path, context: &Context, release: &Release) -> Result<()> {
    if !place.exists() {
        return Ok(());
    }
    let why = match Kdir::lost(context, release) {
        Some(file) => format!("lost {file}"),
        None if place.join("stamp.json").exists() => "made of other packages".to_owned(),
        None => "half-made by a run that was stopped".to_owned(),
    };
    context.report.note("Discarding", &format!("{place}, {why}"));
    erase(place)
}

/// First what says that it is whole, so that a removal that is cut short leaves it half-made.
fn erase(place: &Utf8Path) -> Result<()> {
    let stamp = place.join("stamp.json");
    if stamp.exists() {
        fs_err::remove_file(stamp)?;
    }
    Ok(fs_err::remove_dir_all(place)?)
}

fn write_stamp(place: &Utf8Path, stamp: &Stamp) -> Result<()> {
    let partial: Utf8PathBuf = place.join("stamp.json.partial");
    let file = fs_err::File::create(&partial)?;
    serde_json::to_writer_pretty(&file, stamp)?;
    file.sync_all()?;
    Ok(fs_err::rename(partial, place.join("stamp.json"))?)
}

/// Removes a prepared kernel.
pub fn remove(context: &Context, release: &Release) -> Result<()> {
    let place = Kdir::place_of(context, release);
    if !place.exists() {
        return Err(Failure::new(Exit::Missing, release.as_str(), "is not prepared")
            .remedy("cargo kmod kernel list")
            .into());
    }
    let _lock = context.cache.lock(&lock_name(release), &context.report)?;
    context.report.note("Removing", place.as_str());
    erase(&place)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package that depends on `depends`.
    fn package(name: &str, version: &str, depends: &[&str]) -> Package {
        let paragraph = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nDepends: {}\nFilename: f\nSize: 1\nSHA256: {name}\n",
            depends.join(", ")
        );
        package::read_index(&paragraph, "http://m", "trixie-backports", |_| true).remove(0)
    }

    const RELEASE: &str = "7.2.11+deb13-cloud-amd64";

    fn kernel(version: &str) -> Kernel {
        let headers =
            package(&format!("linux-headers-{RELEASE}"), version, &["linux-headers-7.2.11+deb13-common"]);
        Kernel { release: RELEASE.parse().unwrap(), headers }
    }

    fn archive(source: &str, image: &str) -> Vec<Package> {
        let part = |kind: &str| format!("linux-{kind}-{RELEASE}");
        vec![
            package("linux-source-7.2", source, &[]),
            package("linux-source-6.12", "7.2.11-1", &[]),
            package(
                &part("image"),
                image,
                &[&part("binary"), &part("modules"), "linux-base (>= 4)", "dracut"],
            ),
            package(&part("binary"), image, &[]),
            package(&part("modules"), image, &[]),
        ]
    }

    #[test]
    fn a_kernel_is_headers_source_and_image_of_one_version() {
        let (archive, kernel) = (archive("7.2.11-1", "7.2.11-1"), kernel("7.2.11-1"));
        let packages = packages(&archive, &kernel).unwrap();
        assert_eq!(packages.source.name, "linux-source-7.2");
        let names: Vec<_> =
            packages.image.iter().map(|package| package.name.split('-').nth(1).unwrap()).collect();
        assert_eq!(names, ["image", "binary", "modules"]);
    }

    #[test]
    fn source_or_image_of_another_version_is_refused() {
        for (archive, named) in [
            (archive("7.2.12-1", "7.2.11-1"), "linux-source-7.2 only in 7.2.12-1"),
            (archive("7.2.11-1", "7.2.11-2"), "not linux-image-7.2.11+deb13-cloud-amd64"),
        ] {
            let kernel = kernel("7.2.11-1");
            let error = packages(&archive, &kernel).err().unwrap();
            assert_eq!(report::failure::exit_of(&error), Exit::Refused);
            assert!(error.to_string().contains(named), "{error}");
        }
    }

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
            (("CONFIG_RUST", Some("y"), None), true),
            (("CONFIG_PREEMPT", None, Some("y")), true),
        ] {
            let difference = OptionDifference { option, first, second };
            assert_eq!(matters(&difference), serious, "{difference:?}");
        }
    }
}
