// SPDX-License-Identifier: GPL-2.0
//! Builds a project against a prepared kernel: staged copy, make, check, strip, and sign where a
//! key is given.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::key::pair::KeyPair;
use crate::left_out;
use crate::needs::NeededProjects;
use crate::outputs::{ModuleFiles, Outputs};
use crate::packed::{Complete, Packed};
use crate::sign::ModuleSigner;
use crate::source::fetch::SourceKernel;
use crate::stage::{self, Sources};
use crate::strip::{self, Stripped};
use dkms_conf::directives::ModuleDirectives;

use crate::purpose::Purpose;
use crate::{BuildTarget, Project, command, given, kbuild, target_dir};
use kernel::context::Context;
use kernel::failures::OrFail as _;
use kernel::kdir::Kdir;
use kernel::make::{require_path, run_counted};
use kernel::prepare::Prepared;
use kernel::root::Access;
use kernel::toolchain::Toolchain;
use kmodfile::compression::Compression;
use kmodfile::config::Config;
use kmodfile::file::ModuleFile;
use kmodfile::module::Module;
use kmodfile::release::Release;
use report::durable;
use report::failure::Failure;
use report::fingerprint::Fingerprint;
use report::process::Cmd;

/// Changes when the way of building does.
const REVISION: u32 = 5;

/// The remedy where the staged copy would be in a directory that make cannot handle.
pub const ELSEWHERE: &str = "build in another directory: --target-dir DIR";

/// What a build made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// The kernel it is for.
    pub release: Release,
    /// `PACKAGE_NAME` and `PACKAGE_VERSION`.
    pub project: String,
    /// Its modules.
    pub objects: Vec<Object>,
    /// Whose signature they carry, if they are signed.
    #[serde(default)]
    pub signer: Option<String>,
    /// The directory with what was built, and with the logs of that.
    pub place: Utf8PathBuf,
    /// The projects that it needs, as they were built before it, in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed: Vec<Self>,
    /// Where make has left what it made, `Module.symvers` with what the modules export.
    #[serde(default)]
    stage: Utf8PathBuf,
    inputs: String,
}

/// A built module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// The file to ship: stripped of debug information.
    pub file: Utf8PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its debug information, where the kernel's configuration has any made.
    pub debug: Option<Utf8PathBuf>,
    /// The same compressed as the kernel's own modules are, where [`Built::pack`] made it.
    #[serde(default, skip_deserializing)]
    pub packed: Option<Utf8PathBuf>,
    /// The file as Kbuild left it, with debug information.
    pub unstripped: Utf8PathBuf,
    /// Its size in bytes.
    pub unstripped_size: u64,
}

impl Built {
    /// Writes each module beside itself as the modules of a kernel of this configuration are
    /// installed: compressed, if they are.
    pub fn pack(&mut self, config: &Config) -> Result<()> {
        let Some(compression) = Compression::of_config(config) else { return Ok(()) };
        for object in &mut self.objects {
            let dir = object.file.parent().context("a module's file is in a directory")?;
            let complete = Complete::of(ModuleFile::read(&object.file).or_fail()?)?;
            let packed = Packed::of(complete, Some(compression))?;
            // Under the name that it is installed with, as the file itself.
            let name = object.file.file_stem().context("a module's file has a name")?;
            object.packed = Some(packed.write(dir, name)?);
        }
        Ok(())
    }

    /// Its modules, after those of the projects that it needs.
    pub fn all_objects(&self) -> impl Iterator<Item = &Object> {
        self.needed.iter().chain([self]).flat_map(|built| &built.objects)
    }

    /// The files in which make has listed what the modules export: where it was run, or where the
    /// modules are.
    fn symbol_lists(&self) -> BTreeSet<Utf8PathBuf> {
        let beside = self.objects.iter().filter_map(|object| object.unstripped.parent());
        let dirs = std::iter::once(self.stage.as_path()).chain(beside);
        dirs.map(|dir| dir.join("Module.symvers")).filter(|file| file.is_file()).collect()
    }

    /// The module of this name.
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.name == name)
    }
}

impl Built {
    /// Where the console of a machine that loads it is kept.
    pub fn console_log(&self) -> Utf8PathBuf {
        self.place.join("console.log")
    }
}

/// Builds `project` for a kernel; does nothing, and says so in one line, when nothing has changed.
///
/// # Errors
///
/// Skipped, if the project is not for this kernel.
pub fn build(context: &Context, project: &Project, prepared: &Prepared) -> Result<Built> {
    build_signed(context, project, prepared, None)
}

/// The same, with modules signed by `pair`.
///
/// # Errors
///
/// Besides what goes wrong in a build: refused without a key where the kernel loads no unsigned
/// module.
pub fn build_signed(
    context: &Context,
    project: &Project,
    prepared: &Prepared,
    pair: Option<&KeyPair>,
) -> Result<Built> {
    build_for(context, project, &NeededProjects::default(), prepared, pair, Purpose::Use)
}

/// The same, for a purpose, with what the project needs built before it.
///
/// # Errors
///
/// Besides: refused, where the kernel has no part in that purpose.
pub fn build_for(
    context: &Context,
    project: &Project,
    needs: &NeededProjects,
    prepared: &Prepared,
    pair: Option<&KeyPair>,
    purpose: Purpose,
) -> Result<Built> {
    needs.notices.iter().for_each(|notice| context.report.warn_once(notice));
    let mut needed: Vec<Built> = Vec::new();
    for before in &needs.projects {
        let built = build_after(context, before, &needed, prepared, pair, purpose)
            .with_context(|| format!("building {}, which {} needs", before.name, project.name))?;
        needed.push(built);
    }
    let built = build_after(context, project, &needed, prepared, pair, purpose)?;
    Ok(Built { needed, ..built })
}

/// Builds a project whose `needed` ones are built.
fn build_after(
    context: &Context,
    project: &Project,
    needed: &[Built],
    prepared: &Prepared,
    pair: Option<&KeyPair>,
    purpose: Purpose,
) -> Result<Built> {
    let release = prepared.kdir.release();
    let place = place_of(context, project, release);
    let what = format!("{} {} for {release}", project.name, project.version);
    let target = BuildTarget::of(context, &project.dir, prepared)?;
    let project = &project.for_kernel(&target)?;
    require_key(release, &target.config, pair)?;
    purpose.require(release, &target.config)?;
    prepared.kdir.require_exports()?;
    let stage = stage_of(project, &target);
    require_path(&stage, ELSEWHERE)?;
    let sources = Sources::for_kernel(context, project, SourceKernel::Prepared(prepared))?;
    let stock = prepared.kdir.stock(&context.cache);
    let flags = purpose.flags(&prepared.kdir, &target.config);
    let inputs = inputs(project, &sources, prepared, &stock, pair, (&flags, purpose.header()));
    let inputs = with_needed(inputs, needed);
    if let Some(built) = fresh(&place, &inputs) {
        context.report.note("Fresh", &what);
        return Ok(Built { stage, ..built });
    }
    let _lock = context.cache.lock(&format!("build {what}"), &context.report)?;
    if let Some(built) = fresh(&place, &inputs) {
        return Ok(Built { stage, ..built });
    }
    let building =
        Building { context, project, needed, prepared, stock, pair, target, purpose, flags, place, inputs };
    building.run(&sources, &what)
}

/// Commands over a staged copy that is built already.
#[derive(Clone, Debug)]
pub struct Again {
    /// The staged copy.
    pub stage: Utf8PathBuf,
    /// The project's own make command.
    pub project: Cmd,
    /// Kbuild without the project's Makefile.
    pub kbuild: Cmd,
    /// Nothing at all: what entering the root takes.
    pub nothing: Cmd,
}

/// The commands that would build again what [`build`] built, as it runs them.
pub fn again(context: &Context, project: &Project, prepared: &Prepared) -> Result<Again> {
    let place = place_of(context, project, prepared.kdir.release());
    let target = BuildTarget::of(context, &project.dir, prepared)?;
    let project = &project.for_kernel(&target)?;
    let stock = prepared.kdir.stock(&context.cache);
    let purpose = Purpose::Use;
    let flags = purpose.flags(&prepared.kdir, &target.config);
    let inputs = String::new();
    let building = Building {
        context,
        project,
        needed: &[],
        prepared,
        stock,
        pair: None,
        target,
        purpose,
        flags,
        place,
        inputs,
    };
    let stage = building.stage();
    let release = prepared.kdir.release();
    let kbuild = Cmd::new("make").arg(format!("-j{}", context.jobs)).arg(format!("KERNELRELEASE={release}"));
    let kbuild = kbuild.arg("-C").arg(&building.target.build).arg(format!("M={stage}")).arg("modules");
    Ok(Again {
        stage: stage.clone(),
        project: building.in_stage(building.command("MAKE", &building.make_line())?),
        kbuild: building.in_stage(kbuild),
        nothing: building.in_stage(Cmd::new("true")),
    })
}

/// Where a project's build for a release is.
pub fn place_of(context: &Context, project: &Project, release: &Release) -> Utf8PathBuf {
    let builds = context.target_of(&project.dir).join("kmod");
    builds.join(format!("{}-{}", project.name, project.version)).join(release)
}

/// Where DKMS has its copy of a project, below the tree that `$dkms_tree` names.
fn stage_of(project: &Project, target: &BuildTarget) -> Utf8PathBuf {
    target.stage(&project.name, &project.version)
}

/// What was built, as it is kept.
fn stamp(place: &Utf8Path) -> Utf8PathBuf {
    place.join("built.json")
}

/// What was built of the same inputs, if it is still there whole: what make left in the staged
/// copy, too, of which projects that use these modules take symbols and headers.
fn fresh(place: &Utf8Path, inputs: &str) -> Option<Built> {
    let built: Built = serde_json::from_slice(&fs_err::read(stamp(place)).ok()?).ok()?;
    let whole = |object: &Object| {
        let debug = object.debug.as_ref().is_none_or(|debug| debug.exists());
        let left = object.unstripped.exists();
        debug && left && object.file.metadata().is_ok_and(|meta| meta.len() == object.size)
    };
    (built.inputs == inputs && built.objects.iter().all(whole)).then_some(built)
}

/// Refuses to make what the kernel would refuse to load.
fn require_key(release: &Release, config: &Config, pair: Option<&KeyPair>) -> Result<()> {
    if pair.is_some() || !config.is_yes("CONFIG_MODULE_SIG_FORCE") {
        return Ok(());
    }
    Err(Failure::refused(
        release.as_str(),
        "loads no module without a signature (CONFIG_MODULE_SIG_FORCE), and no key was given",
    )
    .remedy("--sign-key FILE --sign-cert FILE; cargo kmod key new makes them")
    .into())
}

/// What is built of a project changes with those that it needs; without any it is as it was.
fn with_needed(inputs: String, needed: &[Built]) -> String {
    if needed.is_empty() {
        return inputs;
    }
    let print = Fingerprint::new("build after", REVISION).text("own", &inputs);
    needed.iter().fold(print, |print, built| print.text(&built.project, &built.inputs)).hex()
}

fn inputs(
    project: &Project,
    sources: &Sources,
    prepared: &Prepared,
    stock: &Kdir,
    pair: Option<&KeyPair>,
    (flags, header): (&[(&str, String)], Option<&str>),
) -> String {
    let print = Fingerprint::new("build", REVISION)
        .text("kernel", &prepared.kdir.stamp().inputs)
        .text("root", prepared.root.identity())
        .text("stock", &stock.stamp().inputs)
        .text("make", &project.make)
        .optional("pre_build", project.pre_build.as_deref())
        .list("patches", &project.patches)
        .text("sources", &sources.hash())
        .optional("certificate", pair.map(|pair| pair.certificate.facts.fingerprint.as_str()))
        .number("modules", project.modules.len() as u64);
    let print = flags.iter().fold(print, |print, (name, value)| print.text(name, value));
    let print = header.into_iter().fold(print, |print, text| print.text("header", text));
    project.modules.iter().fold(print, of_module).hex()
}

fn of_module(print: Fingerprint, module: &ModuleDirectives) -> Fingerprint {
    print
        .text("name", &module.name)
        .text("location", module.location.as_str())
        .text("installed_name", &module.installed_name)
        .optional("destination", module.destination.as_deref())
        .flag("strip", module.strip)
}

struct Building<'a> {
    context: &'a Context,
    project: &'a Project,
    /// What was built before, and is used.
    needed: &'a [Built],
    prepared: &'a Prepared,
    /// Whose modules a project may look into.
    stock: Kdir,
    pair: Option<&'a KeyPair>,
    target: BuildTarget,
    purpose: Purpose,
    /// Variables of make's for the compilers.
    flags: Vec<(&'static str, String)>,
    place: Utf8PathBuf,
    inputs: String,
}

impl Building<'_> {
    fn run(&self, sources: &Sources, what: &str) -> Result<Built> {
        self.project.warn(&self.context.report);
        sources.left_out().for_each(|link| self.warn(&link));
        if !self.prepared.kdir.require_exports()? {
            let release = self.prepared.kdir.release();
            self.context.report.warn(&format!(
                "it is not known what {release} exports, as it was not made whole: what the module uses is not checked"
            ));
        }
        let step = self.context.report.step("Building", what);
        target_dir::make(&self.context.target_of(&self.project.dir))?;
        self.discard_stamp()?;
        self.lay_out(sources)?;
        self.patch()?;
        self.pre_build()?;
        let make = self.command("MAKE", &self.make_line())?;
        let log = self.place.join("make.log");
        run_counted(make, &log, |cmd| self.in_stage(cmd), &step, &self.context.report)
            .map_err(|error| self.with_left_out(error, &log))?;
        let modules = self.modules()?;
        let mut outputs = Outputs::below(&self.place)?;
        let files = modules.iter().map(|module| outputs.of(module)).collect::<Result<Vec<_>>>()?;
        let finished = modules.iter().zip(files).map(|(module, files)| self.finish(module, files));
        let objects = finished.collect::<Result<Vec<_>>>()?;
        let built = Built {
            release: self.target.release.clone(),
            project: format!("{}-{}", self.project.name, self.project.version),
            objects,
            signer: self.pair.map(|pair| pair.certificate.facts.subject.clone()),
            place: self.place.clone(),
            needed: Vec::new(),
            stage: self.stage(),
            inputs: self.inputs.clone(),
        };
        self.write_stamp(&built)?;
        step.done("Built", what);
        Ok(built)
    }

    fn warn(&self, notice: &str) {
        self.context.report.warn(&format!("{}: {notice}", self.project.dir.join("dkms.conf")));
    }

    /// The failure of make, with what to do where it misses a file that is not among the project's.
    fn with_left_out(&self, error: anyhow::Error, log: &Utf8Path) -> anyhow::Error {
        let output = fs_err::read(log).unwrap_or_default();
        let listed = self.project.files.as_deref();
        let missed = listed.and_then(|listed| {
            left_out::missed(&self.project.dir, listed, &String::from_utf8_lossy(&output))
        });
        match (missed, error.downcast::<Failure>()) {
            (Some(name), Ok(failure)) => {
                failure.remedy(format!("add {name} to PROJECT_FILES in dkms.conf")).into()
            }
            (None, Ok(failure)) => failure.into(),
            (_, Err(error)) => error,
        }
    }

    /// Where DKMS has its copy, below the tree that `$dkms_tree` names.
    fn stage(&self) -> Utf8PathBuf {
        stage_of(self.project, &self.target)
    }

    /// The staged copy. One in which patches were applied, or that a program of the project
    /// changed, begins anew.
    fn lay_out(&self, sources: &Sources) -> Result<()> {
        let stage = self.stage();
        let by_program = self.project.pre_build.is_some() && !self.unchanged_by_program().exists();
        let changed = !self.project.patches.is_empty() || by_program;
        if changed && stage.exists() {
            fs_err::remove_dir_all(&stage)?;
        }
        sources.write(&stage)?;
        self.forget_symbols()?;
        self.purpose.write_header(&self.place)?;
        // On the host nothing else makes it.
        fs_err::create_dir_all(&self.place)?;
        self.write_library()
    }

    /// Has modpost run again. Kbuild runs it when a list of symbols that it is given has another
    /// name, not when another CRC is in it (scripts/Makefile.modpost).
    fn forget_symbols(&self) -> Result<()> {
        if self.needed.is_empty() {
            return Ok(());
        }
        let files = walkdir::WalkDir::new(self.stage()).into_iter().filter_map(Result::ok);
        let mut lists = files.filter(|entry| entry.file_name() == "Module.symvers");
        lists.try_for_each(|entry| Ok(fs_err::remove_file(entry.path())?))
    }

    /// Applies the project's patches as DKMS does.
    fn patch(&self) -> Result<()> {
        for (number, name) in self.project.patches.iter().enumerate() {
            let file = self.stage().join("patches").join(name);
            if !file.exists() {
                let reason = "PATCH in dkms.conf names it, and there is no such file in patches/";
                return Err(Failure::refused(name.as_str(), reason).into());
            }
            let log = self.place.join(format!("patch-{}.log", number + 1));
            let cmd = Cmd::new("patch").args(["-p1", "--force", "--input"]).arg(file);
            self.in_stage(cmd.log(log)).run(&self.context.report)?;
        }
        Ok(())
    }

    /// Runs the project's own program before make, if DKMS would.
    fn pre_build(&self) -> Result<()> {
        let Some(line) = &self.project.pre_build else { return Ok(()) };
        let program = line.split_whitespace().next().unwrap_or_default();
        if !command::is_executable(&self.stage().join(program)) {
            self.warn(&format!("PRE_BUILD: {program} is no executable file of the project; it is not run"));
            return Ok(());
        }
        let line = line.trim_start();
        let line = format!("./{}", line.strip_prefix("./").unwrap_or(line));
        let cmd = self.command("PRE_BUILD", &line)?.log(self.place.join("pre_build.log"));
        let (mark, stage) = (self.unchanged_by_program(), self.stage());
        if mark.exists() {
            fs_err::remove_file(&mark)?;
        }
        let before = stage::state(&stage)?;
        self.in_stage(cmd).run(&self.context.report)?;
        if stage::state(&stage)? == before {
            fs_err::write(&mark, "")?;
        }
        Ok(())
    }

    /// Is there when `PRE_BUILD` was last run and changed nothing, so that what make did in the
    /// stage is still good.
    fn unchanged_by_program(&self) -> Utf8PathBuf {
        self.place.join("pre_build.unchanged")
    }

    fn make_line(&self) -> String {
        command::make(&self.project.make, self.context.jobs, &self.target.release)
    }

    /// A command of the project's `dkms.conf`.
    fn command(&self, directive: &str, line: &str) -> Result<Cmd, Failure> {
        command::command(directive, line, &self.project.variables(&self.target), &self.prepared.root)
    }

    /// In the staged copy, which alone it may write to, with the compiler that the kernel was built
    /// with.
    fn in_stage(&self, cmd: Cmd) -> Cmd {
        let toolchain = Toolchain::of(&self.target.config);
        let compiler = toolchain.compiler();
        let variables = self.project.variables(&self.target);
        let cmd = given::exported(&variables).fold(cmd, |cmd, (name, value)| cmd.env(name, value));
        // Without the list of what the kernel exports everything would be an error of modpost's.
        let known = self.prepared.kdir.require_exports().unwrap_or(true);
        let cmd = if known { cmd } else { cmd.env("KBUILD_MODPOST_WARN", "1") };
        let btf = Some(self.stock.build().join("vmlinux")).filter(|file| file.exists());
        let cmd = btf.into_iter().fold(cmd, |cmd, file| cmd.env("STOCK_BTF", file));
        let cmd = cmd
            .cwd(self.stage())
            // Which a shell sets, and Makefiles use: `M=$(PWD)`.
            .env("PWD", self.stage())
            .env("CC", compiler)
            .env("KERNEL_CC", compiler)
            // As on make's own command line, for every make that is run.
            .env("MAKEFLAGS", toolchain.make_words().join(" "))
            .env("STOCK_MODULES", self.stock.modules())
            .env("KBUILD_BUILD_TIMESTAMP", "@0");
        let cmd = self.with_symbols(cmd);
        let include = self.purpose.include(&self.place).unwrap_or_default();
        let whole = |name: &str, value: &str| match name {
            "KCFLAGS" => format!("{value}{include}"),
            _ => value.to_owned(),
        };
        self.inside(self.flags.iter().fold(cmd, |cmd, (name, value)| cmd.env(name, whole(name, value))))
    }

    /// What the needed projects export (kbuild/modules.rst, "Symbols From Another External
    /// Module"), and where their headers are.
    fn with_symbols(&self, cmd: Cmd) -> Cmd {
        if self.needed.is_empty() {
            return cmd;
        }
        let stages: Vec<&str> = self.needed.iter().map(|built| built.stage.as_str()).collect();
        let lists = self.needed.iter().flat_map(Built::symbol_lists);
        let lists: Vec<String> = lists.map(Utf8PathBuf::into_string).collect();
        cmd.env("KBUILD_EXTRA_SYMBOLS", lists.join(" ")).env("NEEDED_SOURCES", stages.join(" "))
    }

    /// In the root it looks as on a machine that has the kernel and its headers:
    /// `/lib/modules/RELEASE` is there.
    fn inside(&self, cmd: Cmd) -> Cmd {
        let kdir = &self.prepared.kdir;
        let modules = format!("/usr/lib/modules/{}", kdir.release());
        let another = self.stock.release() != kdir.release();
        let access = if another { self.stock.read_by(Access::default()) } else { Access::default() };
        let access = kdir
            .read_by(access)
            .read_at(self.library(), &modules)
            .read_at(kdir.modules().join("kernel"), format!("{modules}/kernel"))
            .write(self.stage());
        let needed = self.needed.iter().map(|built| &built.stage);
        let access = needed.fold(access, |access, stage| access.read(stage));
        let headers = self.purpose.headers(&self.place);
        let access = headers.into_iter().fold(access, |access, dir| access.read(dir));
        self.prepared.root.inside(self.context, cmd, &access)
    }

    fn library(&self) -> Utf8PathBuf {
        self.place.join("modules")
    }

    /// What `/lib/modules/RELEASE` is for make: the kernel's own lists, and `build`, which headers
    /// packages bring.
    fn write_library(&self) -> Result<()> {
        if self.prepared.root.is_host() {
            return Ok(());
        }
        let (library, kdir) = (self.library(), &self.prepared.kdir);
        if library.exists() {
            fs_err::remove_dir_all(&library)?;
        }
        fs_err::create_dir_all(library.join("kernel"))?;
        for entry in kdir.modules().read_dir_utf8()? {
            let entry = entry?;
            if entry.file_type()?.is_file() && entry.file_name().starts_with("modules.") {
                fs_err::copy(entry.path(), library.join(entry.file_name()))?;
            }
        }
        Ok(fs_err::os::unix::fs::symlink(kdir.build(), library.join("build"))?)
    }

    /// Checks, strips and signs one module. Its file is never unsigned where it should be signed.
    fn finish(&self, module: &ModuleDirectives, files: ModuleFiles) -> Result<Object> {
        let file_name = format!("{}.ko", module.name);
        let unstripped = self.stage().join(&module.location).join(&file_name);
        // What the project's programs left is looked at without following links.
        if !unstripped.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
            let reason = format!("make reported success and did not make {unstripped}; {}", self.made());
            return Err(Failure::refused(file_name, reason)
                .remedy(format!("see {}, and BUILT_MODULE_NAME in dkms.conf", self.place.join("make.log")))
                .into());
        }
        let content = Module::read(&unstripped).or_fail()?;
        content.modinfo.require_vermagic(&unstripped, self.prepared.kdir.release()).or_fail()?;
        let stripped = self.strip(module, &unstripped, &content, &files)?;
        let file = files.file;
        let debug = stripped.debug().map(Utf8Path::to_owned);
        if let Some(pair) = self.pair {
            let signer = ModuleSigner::new(self.context, self.prepared, pair)?;
            signer.sign(&stripped.unsigned()?)?.write(&file)?;
            stripped.discard()?;
        } else {
            stripped.leave_unsigned(&file)?;
        }
        let size = |path: &Utf8Path| Ok::<_, std::io::Error>(fs_err::metadata(path)?.len());
        Ok(Object {
            name: module.name.clone(),
            debug,
            packed: None,
            size: size(&file)?,
            unstripped_size: size(&unstripped)?,
            file,
            unstripped,
        })
    }

    /// The modules to expect: those that the `dkms.conf` describes; without one, those that make
    /// says it built.
    fn modules(&self) -> Result<Vec<ModuleDirectives>> {
        if !self.project.implied {
            return Ok(self.project.modules.clone());
        }
        let stage = self.stage();
        let order = fs_err::read_to_string(stage.join("modules.order")).unwrap_or_default();
        let built: Vec<ModuleDirectives> = kbuild::modules_order(&order, &stage)
            .into_iter()
            .map(|module| ModuleDirectives::plain(module.name, module.location))
            .collect();
        if built.is_empty() {
            let reason = format!("make reported success and built no module; {}", self.made());
            return Err(Failure::refused(self.project.dir.as_str(), reason)
                .remedy(format!("see {}, and obj-m in its Kbuild or Makefile", self.place.join("make.log")))
                .into());
        }
        Ok(built)
    }

    /// What is shipped of a module, before it is signed, and its debug information.
    fn strip(
        &self,
        module: &ModuleDirectives,
        unstripped: &Utf8Path,
        content: &Module,
        files: &ModuleFiles,
    ) -> Result<Stripped> {
        if !module.strip {
            return Stripped::left_as_built(unstripped, &files.unsigned);
        }
        let access = Access::default().read(self.stage()).write(&self.place);
        let run =
            |cmd| self.prepared.root.inside(self.context, cmd, &access).run(&self.context.report).map(drop);
        let toolchain = Toolchain::of(&self.target.config);
        strip::strip(unstripped, content, &toolchain, &files.unsigned, &files.debug, run)
    }

    /// What make did make, for a message.
    fn made(&self) -> String {
        let stage = self.stage();
        let files = walkdir::WalkDir::new(&stage).sort_by_file_name().into_iter().filter_map(Result::ok);
        let modules = files.filter(|entry| entry.path().extension().is_some_and(|end| end == "ko"));
        let relative =
            |entry: walkdir::DirEntry| Some(entry.path().strip_prefix(&stage).ok()?.to_str()?.to_owned());
        let names: Vec<String> = modules.filter_map(relative).take(10).collect();
        if names.is_empty() {
            "there is no module at all".to_owned()
        } else {
            format!("there is {}", names.join(", "))
        }
    }

    /// From here on the staged copy is no longer that of the last build: should this one fail, a
    /// source that is as it was before is built again, not `Fresh`.
    fn discard_stamp(&self) -> Result<()> {
        match fs_err::remove_file(stamp(&self.place)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn write_stamp(&self, built: &Built) -> Result<()> {
        durable::replace(&stamp(&self.place), &serde_json::to_vec_pretty(built)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project that uses the module takes what it exports from the staged copy.
    #[test]
    fn what_has_lost_a_file_is_not_fresh() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (file, unstripped) = (dir.join("out.ko"), dir.join("staged.ko"));
        let stamped = serde_json::json!({
            "release": "7.2.11", "project": "x-1", "place": dir, "inputs": "now",
            "objects": [{
                "name": "x", "file": file, "size": 1, "debug": null,
                "unstripped": unstripped, "unstripped_size": 1,
            }],
        });
        fs_err::write(stamp(dir), stamped.to_string()).unwrap();
        for lost in [&file, &unstripped] {
            fs_err::write(&file, "1").unwrap();
            fs_err::write(&unstripped, "1").unwrap();
            assert!(fresh(dir, "now").is_some());
            assert!(fresh(dir, "before").is_none());
            fs_err::remove_file(lost).unwrap();
            assert!(fresh(dir, "now").is_none(), "{lost}");
        }
    }

    #[test]
    fn a_kernel_that_forces_signatures_needs_a_key() {
        let release: Release = "7.2.11".parse().unwrap();
        let forced = Config::parse("CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORCE=y\n");
        let error = require_key(&release, &forced, None).unwrap_err();
        assert!(error.to_string().contains("CONFIG_MODULE_SIG_FORCE"), "{error}");
        require_key(&release, &Config::parse("CONFIG_MODULE_SIG=y\n"), None).unwrap();
    }
}
