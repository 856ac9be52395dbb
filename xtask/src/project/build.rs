// SPDX-License-Identifier: GPL-2.0
//! Builds a project against a prepared kernel: staged copy, make, check, strip, and sign where a key is given.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::stage::Sources;
use super::{Module, Project};
use crate::context::{Context, repository};
use crate::failure::Failure;
use crate::kernel::config::Config;
use crate::kernel::kdir::Kdir;
use crate::kernel::prepare::Prepared;
use crate::kernel::release::Release;
use crate::key::pair::KeyPair;
use crate::object::compression::Compression;
use crate::object::file::ModuleFile;
use crate::object::modinfo::Modinfo;
use crate::object::packed::Packed;
use crate::object::sign::{Signer, Unsigned};
use crate::object::strip::{self, Stripped};
use crate::process::Cmd;
use crate::root::Access;
use crate::source::fetch::Kernel;

/// Changes when the way of building does.
const REVISION: u32 = 2;

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
    /// Writes each module beside itself as the modules of a kernel of this configuration are installed: compressed, if
    /// they are.
    pub fn pack(&mut self, config: &Config) -> Result<()> {
        let Some(compression) = Compression::of_config(config) else { return Ok(()) };
        for object in &mut self.objects {
            let dir = object.file.parent().context("a module's file is in a directory")?;
            let packed = Packed::of(&ModuleFile::read(&object.file)?, Some(compression))?;
            object.packed = Some(packed.write(dir, &object.name)?);
        }
        Ok(())
    }

    /// The module of this name.
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.name == name)
    }
}

impl Built {
    /// Where the console of a machine that loads it is kept.
    pub fn console_log(&self) -> Utf8PathBuf {
        repository().join("target/kmod").join(&self.project).join(&self.release).join("console.log")
    }
}

/// Builds `project` for a kernel; does nothing, and says so in one line, when nothing has changed.
pub fn build(context: &Context, project: &Project, prepared: &Prepared) -> Result<Built> {
    build_signed(context, project, prepared, None)
}

/// The same, with modules signed by `pair`.
///
/// # Errors
///
/// Besides what goes wrong in a build: refused without a key where the kernel loads no unsigned module.
pub fn build_signed(
    context: &Context,
    project: &Project,
    prepared: &Prepared,
    pair: Option<&KeyPair>,
) -> Result<Built> {
    let release = prepared.kdir.release();
    let place = place_of(project, release);
    let what = format!("{} {} for {release}", project.name, project.version);
    let config = prepared.kdir.config()?;
    project.require(release, &config)?;
    require_key(release, &config, pair)?;
    let sources = Sources::for_kernel(context, project, Kernel::Prepared(prepared))?;
    let inputs = inputs(project, &sources, prepared, pair);
    if let Some(built) = fresh(&place, &inputs) {
        context.report.note("Fresh", &what);
        return Ok(built);
    }
    let _lock = context.cache.lock(&format!("build {what}"), &context.report)?;
    if let Some(built) = fresh(&place, &inputs) {
        return Ok(built);
    }
    Building { context, project, prepared, pair, place, inputs }.run(&sources, &what)
}

/// Commands over a staged copy that is built already.
#[derive(Clone, Debug)]
pub struct Again {
    /// The project's own make command.
    pub project: Cmd,
    /// Kbuild without the project's Makefile.
    pub kbuild: Cmd,
    /// Nothing at all: what entering the root takes.
    pub nothing: Cmd,
}

/// The commands that would build again what [`build`] built, as it runs them.
pub fn again(context: &Context, project: &Project, prepared: &Prepared) -> Result<Again> {
    let place = place_of(project, prepared.kdir.release());
    let building = Building { context, project, prepared, pair: None, place, inputs: String::new() };
    let stage = building.stage();
    let compiler = prepared.kdir.config()?.compiler().unwrap_or("gcc").to_owned();
    let kbuild = Cmd::new("make").arg("-C").arg(prepared.kdir.build()).arg(format!("M={stage}"));
    let kbuild = building.with_settings(kbuild.arg(format!("CC={compiler}")).arg("modules"), &stage);
    Ok(Again {
        project: building.inside(building.make_command(&stage)?),
        kbuild: building.inside(kbuild),
        nothing: building.inside(Cmd::new("true")),
    })
}

/// Where a project's build for a release is.
pub fn place_of(project: &Project, release: &Release) -> Utf8PathBuf {
    repository().join("target/kmod").join(format!("{}-{}", project.name, project.version)).join(release)
}

/// What was built of the same inputs, if it is still there whole.
fn fresh(place: &Utf8Path, inputs: &str) -> Option<Built> {
    let built: Built = serde_json::from_slice(&fs_err::read(place.join("built.json")).ok()?).ok()?;
    let whole = |object: &Object| {
        let debug = object.debug.as_ref().is_none_or(|debug| debug.exists());
        debug && object.file.metadata().is_ok_and(|meta| meta.len() == object.size)
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
    .remedy("--sign-key FILE --sign-cert FILE; cargo xtask key new makes them")
    .into())
}

fn inputs(project: &Project, sources: &Sources, prepared: &Prepared, pair: Option<&KeyPair>) -> String {
    let text = format!(
        "{REVISION} {} {} {:?} {} {:?}",
        prepared.kdir.stamp().inputs,
        prepared.root.identity(),
        project.make,
        sources.hash(),
        pair.map(|pair| &pair.certificate.facts.fingerprint)
    );
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Building<'a> {
    context: &'a Context,
    project: &'a Project,
    prepared: &'a Prepared,
    pair: Option<&'a KeyPair>,
    place: Utf8PathBuf,
    inputs: String,
}

impl Building<'_> {
    fn run(&self, sources: &Sources, what: &str) -> Result<Built> {
        let step = self.context.report.step("Building", what);
        let stage = self.stage();
        fs_err::create_dir_all(&self.place)?;
        sources.write(&stage)?;
        self.make(&stage)?;
        let objects =
            self.project.modules.iter().map(|module| self.finish(module)).collect::<Result<Vec<_>>>()?;
        let built = Built {
            release: self.prepared.kdir.release().clone(),
            project: format!("{}-{}", self.project.name, self.project.version),
            objects,
            signer: self.pair.map(|pair| pair.certificate.facts.subject.clone()),
            inputs: self.inputs.clone(),
        };
        self.write_stamp(&built)?;
        step.done("Built", what);
        Ok(built)
    }

    fn stage(&self) -> Utf8PathBuf {
        self.place.join("stage")
    }

    fn make(&self, stage: &Utf8Path) -> Result<()> {
        let cmd = self.make_command(stage)?.log(self.place.join("make.log"));
        self.inside(cmd).run(&self.context.report)?;
        Ok(())
    }

    /// The project's own make command.
    fn make_command(&self, stage: &Utf8Path) -> Result<Cmd> {
        let words = make_words(self.project, &self.prepared.kdir, stage)?;
        let (program, args) = words.split_first().context("MAKE is empty")?;
        Ok(self.with_settings(Cmd::new(program).args(args), stage))
    }

    /// What every make is given besides its own words.
    fn with_settings(&self, make: Cmd, stage: &Utf8Path) -> Cmd {
        let modules = format!("/lib/modules/{}", self.prepared.kdir.release());
        let stock = self.prepared.kdir.modules();
        make.arg(format!("-j{}", self.context.jobs))
            .arg(format!("KERNELRELEASE={}", self.prepared.kdir.release()))
            .cwd(stage)
            .env("STOCK_MODULES", self.seen(&stock, &modules))
            .env("KBUILD_BUILD_TIMESTAMP", "@0")
    }

    /// A path as a command in the root sees it.
    fn seen<'b>(&self, host: &'b Utf8Path, made: &'b str) -> &'b str {
        match self.prepared.root {
            crate::root::Root::Host => host.as_str(),
            crate::root::Root::Debian(_) => made,
        }
    }

    /// In the root it looks as on a machine that runs the kernel: its modules are in `/lib/modules/RELEASE`.
    fn inside(&self, cmd: Cmd) -> Cmd {
        let kdir = &self.prepared.kdir;
        let access = Access::default()
            .read(kdir.place())
            .read_at(kdir.modules(), format!("/usr/lib/modules/{}", kdir.release()))
            .write(&self.place);
        self.prepared.root.inside(self.context, cmd, &access)
    }

    /// Checks, strips and signs one module. What is in `out` is never unsigned where it should be signed.
    fn finish(&self, module: &Module) -> Result<Object> {
        let file_name = format!("{}.ko", module.name);
        let unstripped = self.stage().join(&module.location).join(&file_name);
        if !unstripped.exists() {
            return Err(Failure::refused(file_name, format!("make ended well but made no {unstripped}"))
                .remedy(format!("see {}, and BUILT_MODULE_NAME in dkms.conf", self.place.join("make.log")))
                .into());
        }
        let modinfo = Modinfo::read(&unstripped)?;
        modinfo.require_vermagic(&unstripped, self.prepared.kdir.release())?;
        let out = self.place.join("out");
        fs_err::create_dir_all(&out)?;
        let (file, stripped) = (out.join(&file_name), self.place.join(format!("{file_name}.stripped")));
        let debug = strip::debug_of(&file);
        remove_old(&file, &debug)?;
        let run = |cmd| self.inside(cmd).run(&self.context.report).map(drop);
        let Stripped { file: stripped, debug } = strip::strip(&unstripped, &stripped, &debug, run)?;
        if let Some(pair) = self.pair {
            let signer = Signer::new(self.context, self.prepared, pair)?;
            signer.sign(&Unsigned::read(&stripped)?)?.write(&file)?;
            fs_err::remove_file(stripped)?;
        } else {
            fs_err::rename(stripped, &file)?;
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

    fn write_stamp(&self, built: &Built) -> Result<()> {
        let partial = self.place.join("built.json.partial");
        fs_err::write(&partial, serde_json::to_vec_pretty(built)?)?;
        Ok(fs_err::rename(partial, self.place.join("built.json"))?)
    }
}

/// Removes what an earlier build left: nothing of it may stand beside what is made now.
fn remove_old(file: &Utf8Path, debug: &Utf8Path) -> Result<()> {
    let packed = Compression::ALL.map(|kind| Utf8PathBuf::from(format!("{file}{}", kind.suffix())));
    for old in packed.iter().map(Utf8PathBuf::as_path).chain([file, debug]) {
        match fs_err::remove_file(old) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// The project's make command with DKMS's variables put in (dkms(8), "DKMS.CONF VARIABLES").
fn make_words(project: &Project, kdir: &Kdir, stage: &Utf8Path) -> Result<Vec<String>> {
    let build = kdir.build();
    let tree_build = "${dkms_tree}/${PACKAGE_NAME}/${PACKAGE_VERSION}/build";
    let values = [
        (tree_build, stage.as_str()),
        ("${kernelver}", kdir.release().as_str()),
        ("${kernel_source_dir}", build.as_str()),
        ("${PACKAGE_NAME}", &project.name),
        ("${PACKAGE_VERSION}", &project.version),
        ("${arch}", "x86_64"),
    ];
    project.make.iter().map(|word| expand(word, &values)).collect()
}

fn expand(word: &str, values: &[(&str, &str)]) -> Result<String> {
    let braced = values.iter().fold(word.to_owned(), |text, (name, value)| text.replace(name, value));
    // The same variables without braces.
    let plain = |name: &str| name.replace(['{', '}'], "");
    let text = values.iter().skip(1).fold(braced, |text, (name, value)| text.replace(&plain(name), value));
    let odd = |c: char| "$`'\";&|<>()".contains(c);
    if text.contains(odd) {
        return Err(Failure::refused(
            "MAKE in dkms.conf",
            format!("{word:?} needs a shell, and none is run"),
        )
        .remedy("write MAKE as one plain command: MAKE=\"make KDIR=${kernel_source_dir}\"")
        .into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in() {
        let values = [("${unused}", "/s"), ("${kernelver}", "7.2.11"), ("${kernel_source_dir}", "/k")];
        assert_eq!(expand("KDIR=${kernel_source_dir}", &values).unwrap(), "KDIR=/k");
        assert_eq!(expand("KVER=$kernelver", &values).unwrap(), "KVER=7.2.11");
    }

    #[test]
    fn a_kernel_that_forces_signatures_needs_a_key() {
        let release: Release = "7.2.11".parse().unwrap();
        let forced = Config::parse("CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORCE=y\n");
        let error = require_key(&release, &forced, None).unwrap_err();
        assert!(error.to_string().contains("CONFIG_MODULE_SIG_FORCE"), "{error}");
        require_key(&release, &Config::parse("CONFIG_MODULE_SIG=y\n"), None).unwrap();
    }

    #[test]
    fn a_shell_is_not_run() {
        for word in ["$(uname", "&&", "'a", "${other}"] {
            assert!(expand(word, &[("${unused}", ""), ("${kernelver}", "7")]).is_err(), "{word}");
        }
    }
}
