// SPDX-License-Identifier: GPL-2.0
//! Runs rpmbuild(8) in the build root of the kernel that a package is for.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::rpm::macros::with_defines;
use crate::rpm::packing::require_unpackable;
use crate::rpm::payload::OpenPackage;
use crate::rpm::ready::Ready;
use crate::rpm::sign::PackageKey;
use crate::rpm::source::SourcePackage;
use kernel::context::Context;
use kernel::root::Access;
use kernel::workers;
use kmodfile::release::Release;
use project::build::place_of;
use project::key::pair::{KeyPair, PrivateKey};
use project::{Project, sign, target_dir};
use report::cache::{Lock, remove_plain};
use report::durable;

use report::durable::digest;
use report::failure::Failure;
use report::process::Cmd;

/// A package that was made.
#[derive(Clone, Debug, Serialize)]
pub struct MadePackage {
    /// What is in it.
    pub kind: PackageKind,
    /// The kernel it is for; a source package is for all variants of a kernel, and what akmods
    /// takes for [`ANY`].
    pub kernel: String,
    /// The file.
    pub file: Utf8PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its hash, in hexadecimal.
    pub sha256: String,
}

/// The kernel of a package that is for all of them.
pub const ANY: &str = "any";

/// What is in a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageKind {
    /// Source.
    Source,
    /// Modules.
    Modules,
    /// Debug information.
    Debug,
    /// Source that akmods(8) builds.
    Akmod,
    /// What the packages that akmods builds have in common.
    Common,
}

/// The keys that sign; none by default.
#[derive(Clone, Debug, Default)]
pub struct Signing {
    /// The key for packages.
    pub packages: Option<PackageKey>,
    /// Key and certificate for modules.
    pub modules: Option<KeyPair>,
}

impl Signing {
    /// Verifies that there are modules in a package, and that each is signed with the key for
    /// modules.
    fn verify_modules(&self, context: &Context, package: &Utf8Path) -> Result<()> {
        let Some(pair) = &self.modules else { return Ok(()) };
        let modules = OpenPackage::read(package)?.files(|path| path.extension() == Some("ko"))?;
        anyhow::ensure!(!modules.is_empty(), "{package}: contains no modules");
        modules.iter().try_for_each(|(path, image)| sign::verify(context, &pair.certificate, path, image))
    }
}

/// What to make, and where.
#[derive(Debug)]
pub struct PackagingOrder<'a> {
    /// The project.
    pub project: &'a Project,
    /// Its source packages.
    pub sources: &'a [SourcePackage],
    /// Whether the source packages are wanted, too.
    pub srpm: bool,
    /// The source of the package for akmods, if that is wanted, too.
    pub akmod: Option<&'a SourcePackage>,
    /// The directory for everything that is made.
    pub output: &'a Utf8Path,
    /// The keys that sign it.
    pub signing: Signing,
}

/// What was made. A failure for one kernel neither stops nor hides the others.
#[derive(Debug, Default)]
pub struct MadePackages {
    /// The packages, kernel by kernel.
    pub packages: Vec<MadePackage>,
    /// The first failure; further ones were shown as warnings.
    pub first_error: Option<anyhow::Error>,
}

impl PackagingOrder<'_> {
    /// Makes everything, for as many kernels in parallel as `--jobs` allows.
    pub fn run(&self, context: &Context) -> Result<MadePackages> {
        fs_err::create_dir_all(self.output)?;
        let tasks: Vec<Task<'_>> =
            self.sources.iter().flat_map(|source| self.tasks(source)).chain(self.akmod_task()).collect();
        let workers = context.jobs.min(tasks.len()).max(1);
        let jobs = (context.jobs / workers).max(1);
        let made = workers::each(&tasks, workers, |task| self.perform(context, task, jobs));
        let (packages, first_error) = workers::parted(made, &context.report);
        Ok(MadePackages { packages: packages.into_iter().flatten().collect(), first_error })
    }

    fn tasks<'b>(&self, source: &'b SourcePackage) -> Vec<Task<'b>> {
        let first = source.kernels.first().filter(|_| self.srpm);
        let srpm = first.map(|ready| Task { source, ready, kind: PackageKind::Source });
        let binary = source.kernels.iter().map(|ready| Task { source, ready, kind: PackageKind::Modules });
        srpm.into_iter().chain(binary).collect()
    }

    fn akmod_task(&self) -> Option<Task<'_>> {
        let source = self.akmod?;
        Some(Task { source, ready: source.kernels.first()?, kind: PackageKind::Akmod })
    }

    fn perform(&self, context: &Context, task: &Task<'_>, jobs: usize) -> Result<Vec<MadePackage>> {
        let target = &task.ready.target;
        let kernel = match task.kind {
            PackageKind::Source => &target.kversion,
            PackageKind::Akmod => ANY,
            _ => target.release.as_str(),
        };
        let what = task.what(self.project, kernel);
        let (verb, name, wanted) = match task.kind {
            PackageKind::Source => ("-bs", "srpm", "no source package"),
            PackageKind::Akmod => ("-bb", "akmod", "no package for akmods"),
            _ => ("-bb", "rpmbuild", "no package of modules"),
        };
        let mut rpmbuild =
            Rpmbuild::new(context, self.project, name, task.source, task.ready, &self.signing)?;
        rpmbuild.akmod = task.kind == PackageKind::Akmod;
        let step = context.report.step("Packaging", &what);
        rpmbuild.command(&[verb], jobs)?.run(&context.report)?;
        let files = rpmbuild.packages()?;
        if !files.iter().any(|file| kind_of(file) == task.kind) {
            return Err(Failure::refused(what, format!("rpmbuild reported success and made {wanted}"))
                .remedy("see what the spec makes: cargo kmod rpm --print-spec")
                .into());
        }
        let modules = files.iter().filter(|file| kind_of(file) == PackageKind::Modules);
        let config = task.ready.prepared.kdir.config()?;
        modules.into_iter().try_for_each(|file| {
            require_unpackable(file, &config)?;
            self.signing.verify_modules(context, file)
        })?;
        if let Some(key) = &self.signing.packages {
            key.sign(context, &files)?;
        }
        let packages = files.iter().map(|file| self.put(kernel, file)).collect::<Result<Vec<_>>>()?;
        step.done("Packaged", &what);
        Ok(packages)
    }

    /// Copies a package into the output directory, where it is never incomplete.
    fn put(&self, kernel: &str, made: &Utf8Path) -> Result<MadePackage> {
        let name = made.file_name().unwrap_or_default();
        let file = self.output.join(name);
        let content = fs_err::read(made)?;
        durable::replace(&file, &content)?;
        let (size, sha256) = (content.len() as u64, digest(&content));
        Ok(MadePackage { kind: kind_of(made), kernel: kernel.to_owned(), file, size, sha256 })
    }
}

/// What is in a package, by its file's name.
fn kind_of(file: &Utf8Path) -> PackageKind {
    match file.file_name().unwrap_or_default() {
        name if name.ends_with(".src.rpm") => PackageKind::Source,
        name if name.contains("-debuginfo-") => PackageKind::Debug,
        name if name.starts_with("akmod-") => PackageKind::Akmod,
        name if name.ends_with(".noarch.rpm") => PackageKind::Common,
        _ => PackageKind::Modules,
    }
}

/// One run of rpmbuild.
struct Task<'a> {
    source: &'a SourcePackage,
    ready: &'a Ready,
    kind: PackageKind,
}

impl Task<'_> {
    /// What it makes, for whoever waits.
    fn what(&self, project: &Project, kernel: &str) -> String {
        match self.kind {
            PackageKind::Akmod => format!("akmod-{} {}", project.name, project.version),
            _ => format!("kmod-{} {} for {kernel}", project.name, project.version),
        }
    }
}

/// A directory for rpmbuild (`_topdir`) with source and spec in it. It is locked, and was emptied
/// of what an earlier run has left.
#[derive(Debug)]
pub struct Rpmbuild<'a> {
    context: &'a Context,
    source: &'a SourcePackage,
    ready: &'a Ready,
    signing: &'a Signing,
    /// Whether it makes the package for akmods.
    akmod: bool,
    topdir: Utf8PathBuf,
    _lock: Lock,
}

impl<'a> Rpmbuild<'a> {
    /// Creates it, as `name` in the directory of the project and the kernel.
    pub fn new(
        context: &'a Context,
        project: &Project,
        name: &str,
        source: &'a SourcePackage,
        ready: &'a Ready,
        signing: &'a Signing,
    ) -> Result<Self> {
        let release = &ready.target.release;
        // So that the next run does not take what this one makes for source.
        target_dir::make(&context.target_of(&project.dir))?;
        let topdir = place_of(context, project, release).join(name);
        let lock = format!("{name} {} {} {release}", project.name, project.version);
        let lock = context.cache.lock(&lock, &context.report)?;
        if topdir.exists() {
            remove_plain(&topdir)?;
        }
        let rpmbuild = Self { context, source, ready, signing, akmod: false, topdir, _lock: lock };
        rpmbuild.lay_out(release)?;
        Ok(rpmbuild)
    }

    /// Writes source and spec, and links the kernel's directory to where kernel-devel would have
    /// it.
    fn lay_out(&self, release: &Release) -> Result<()> {
        for dir in ["SOURCES", "SPECS", "kernels", "tmp"] {
            fs_err::create_dir_all(self.topdir.join(dir))?;
        }
        if let Some(pair) = &self.signing.modules {
            fs_err::write(self.certificate(), pair.certificate.pem())?;
        }
        let archive = &self.source.archive;
        fs_err::write(self.topdir.join("SOURCES").join(&archive.name), &archive.content)?;
        fs_err::write(self.spec(), &self.source.spec)?;
        let kdir = self.ready.prepared.kdir.build();
        Ok(fs_err::os::unix::fs::symlink(kdir, self.topdir.join("kernels").join(release))?)
    }

    fn spec(&self) -> Utf8PathBuf {
        // It is named after the package, as there may be specs of several packages in one
        // directory.
        self.topdir.join("SPECS").join(format!("{}-{}", self.source.name, super::spec::FILE))
    }

    fn certificate(&self) -> Utf8PathBuf {
        self.topdir.join("certificate.pem")
    }

    /// The file with the key for modules, and where rpmbuild sees it: read-only, and in a made root
    /// at a fixed place.
    fn module_key(&self) -> Result<Option<(&Utf8Path, &Utf8Path)>> {
        let Some(pair) = &self.signing.modules else { return Ok(None) };
        let refused = |object: &str, reason: &str| {
            Failure::refused(object, reason).remedy("sign with a key in a file, in a path without : ' and %")
        };
        let file = match &pair.key {
            PrivateKey::Pkcs11(uri) => {
                return Err(refused(
                    uri,
                    "rpmbuild signs the modules, and cannot reach a token from a build root",
                )
                .into());
            }
            PrivateKey::File(file) => file.as_path(),
        };
        if !self.ready.root.is_host() {
            return Ok(Some((file, Utf8Path::new("/run/module-signing-key"))));
        }
        // It is a word of a shell in a macro there.
        if file.as_str().contains(['\'', '%']) {
            return Err(refused(file.as_str(), "a path with : ' or % cannot be passed to rpmbuild").into());
        }
        Ok(Some((file, file)))
    }

    /// rpmbuild with `args` before the spec and `jobs` parallel jobs.
    pub fn command(&self, args: &[&str], jobs: usize) -> Result<Cmd> {
        let smp = [("_smp_mflags".to_owned(), format!("-j{jobs}"))];
        let cmd = Cmd::new("rpmbuild").args(args).arg(self.target());
        let log = self.topdir.with_extension("log");
        self.inside(with_defines(cmd, self.defines()?.into_iter().chain(smp)).arg(self.spec()).log(log))
    }

    /// What rpm calls the kernel's architecture.
    fn architecture(&self) -> &'static str {
        self.ready.prepared.kdir.stamp().architecture.machine()
    }

    fn target(&self) -> String {
        format!("--target={}", self.architecture())
    }

    /// The spec with all macros expanded.
    pub fn expanded(&self) -> Result<String> {
        let cmd = with_defines(Cmd::new("rpmspec").arg("-P").arg(self.target()), self.defines()?);
        self.inside(cmd.arg(self.spec()))?.read(&self.context.report)
    }

    fn defines(&self) -> Result<Vec<(String, String)>> {
        let target = &self.ready.target;
        let mut defines = vec![
            ("_topdir".to_owned(), self.topdir.to_string()),
            ("_tmppath".to_owned(), self.topdir.join("tmp").into_string()),
            ("_dbpath".to_owned(), self.topdir.join("db").into_string()),
            ("kversion".to_owned(), target.kversion.clone()),
            ("kvariants".to_owned(), target.kvariant().to_owned()),
            ("kdir".to_owned(), self.topdir.join("kernels").into_string()),
        ];
        if self.akmod {
            defines.push(("kmod_akmod".to_owned(), "1".to_owned()));
        }
        if let Some((_, key)) = self.module_key()? {
            defines.push(("modsign_key".to_owned(), key.to_string()));
            defines.push(("modsign_cert".to_owned(), self.certificate().into_string()));
        }
        Ok(defines)
    }

    /// The packages that have been made.
    pub fn packages(&self) -> Result<Vec<Utf8PathBuf>> {
        let mut found = Vec::new();
        let binary = ["noarch", self.architecture()].map(|architecture| format!("RPMS/{architecture}"));
        for dir in std::iter::once("SRPMS".to_owned()).chain(binary) {
            for entry in self.topdir.join(dir).read_dir_utf8().into_iter().flatten() {
                found.push(entry?.into_path());
            }
        }
        found.sort();
        Ok(found)
    }

    /// `cmd` in the root, which looks like a machine that runs the kernel.
    fn inside(&self, cmd: Cmd) -> Result<Cmd> {
        let kdir = &self.ready.prepared.kdir;
        let stock = kdir.modules();
        let place = format!("/usr/lib/modules/{}", kdir.release());
        let mut access = kdir.read_by(Access::default()).read_at(&stock, &place).write(&self.topdir);
        let mut cmd = cmd;
        if let Some((key, place)) = self.module_key()? {
            access = access.read_at(key, place);
            cmd = project::key::pin().iter().fold(cmd, |cmd, pin| cmd.secret_env(project::key::PIN, pin));
        }
        let seen = if self.ready.root.is_host() { stock.as_str() } else { &place };
        let cmd = cmd.env("STOCK_MODULES", seen).cwd(&self.topdir);
        // Otherwise rpmbuild uses the date of the last entry in the spec's changelog.
        let cmd = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(date) => cmd.env("SOURCE_DATE_EPOCH", date),
            Err(_) => cmd,
        };
        Ok(self.ready.root.inside(self.context, cmd, &access))
    }
}

impl Drop for Rpmbuild<'_> {
    fn drop(&mut self) {
        // It is large, and the next run would remove it anyway.
        remove_plain(&self.topdir).ok();
    }
}
