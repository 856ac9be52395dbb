// SPDX-License-Identifier: GPL-2.0
//! A directory of module sources, as its `dkms.conf` describes it.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::conf::{invalid, unreadable};
use crate::elsewhere;
use crate::given::{Facts, architecture, given};
use crate::identity::Identity;
use crate::notices::notices;

use crate::settings::Settings;
use crate::source::import::ImportList;
use crate::target::BuildTarget;
use crate::{implied, shell};
use dkms_conf::directives::{self, ModuleDirectives, leaves, words};
use dkms_conf::exclusive::{Exclusive, TargetKernel};
use dkms_conf::objections::{Objection, objections};
use dkms_conf::{DkmsConf, Evaluated, Given, Values, reread};
use kernel::context::Context;
use kernel::prepare::{Prepared, Rust};
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::Report;
use report::failure::{Exit, Failure};

/// A module source directory, as its `dkms.conf` describes it.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its directory.
    pub dir: Utf8PathBuf,
    /// `PACKAGE_NAME`.
    pub name: String,
    /// `PACKAGE_VERSION`.
    pub version: String,
    /// The modules it builds; of [`Project::for_kernel`] those that the kernel is not excluded
    /// from.
    pub modules: Vec<ModuleDirectives>,
    /// The command that builds, with variables still in it unless it is for a kernel.
    pub make: String,
    /// `PATCH`: files below `patches/` that are applied before, for this kernel.
    pub patches: Vec<Utf8PathBuf>,
    /// `PRE_BUILD`: a program of the project that is run before, and its arguments.
    pub pre_build: Option<String>,
    /// Modules of the kernel that `insmod` loads first (`PROJECT_LOADS`).
    pub loads: Vec<String>,
    /// Projects whose modules it uses, by their names (`BUILD_DEPENDS`).
    pub depends: Vec<String>,
    /// What belongs to the project, where the directory holds more (`PROJECT_FILES`).
    pub files: Option<Vec<Utf8PathBuf>>,
    /// The kernels it is for.
    pub exclusive: Exclusive,
    /// What it takes of the kernel's source, where it has an `import.toml`.
    pub import: Option<ImportList>,
    /// What the user should know of its `dkms.conf`.
    pub notices: Vec<String>,
    /// Whether there is no `dkms.conf`: then its `Kbuild` or `Makefile` describes it, and what make
    /// built are its modules.
    pub implied: bool,
    settings: Settings,
    /// Where its version comes from, if the file has a placeholder for it.
    version_from: Option<String>,
    conf: Conf,
}

/// Where the values of a project come from.
#[derive(Clone, Debug)]
enum Conf {
    /// The file, as it was read.
    Read(DkmsConf),
    /// A shell, for one kernel.
    Shell(Values),
}

/// A directory with a `dkms.conf`.
#[derive(Debug)]
pub enum Opened {
    /// That can be read.
    Project(Box<Project>),
    /// That is a program for a shell.
    Program {
        /// The directory.
        dir: Utf8PathBuf,
        /// Where and why.
        failure: Failure,
    },
}

/// What to do where a shell gave no name or version.
const IN_SANDBOX: &str = "see what it says above: it is evaluated in the project's directory, without a \
                          network, in a build root, which has the programs of --package NAME as well; \
                          or give the value: --set NAME=VALUE";

/// The longest `dkms.conf` that is read, in bytes.
const LONGEST: u64 = 1 << 20;

impl Project {
    /// Reads the project in `dir`.
    ///
    /// # Errors
    ///
    /// Usage, if there is no `dkms.conf`; refused, if it is a program for a shell or describes no
    /// project.
    pub fn open(dir: &Utf8Path) -> Result<Self> {
        match Self::open_any(dir, &Settings::new())? {
            Opened::Project(project) if project.implied => Err(no_dkms_conf(&project.dir).into()),
            Opened::Project(project) => Ok(*project),
            Opened::Program { failure, .. } => Err(failure.into()),
        }
    }

    /// The same, with `settings`; neither a program for a shell is an error, nor a directory that
    /// has a `Kbuild` or a `Makefile` alone.
    pub fn open_any(dir: &Utf8Path, settings: &Settings) -> Result<Opened> {
        let dir = directory(dir)?;
        let file = dir.join("dkms.conf");
        // A link that leads nowhere is one that was meant, too.
        let implied = if file.symlink_metadata().is_ok() { None } else { implied::text(&dir) };
        let text = implied.clone().map_or_else(|| text(&file), Ok)?;
        let read =
            DkmsConf::parse(&text).and_then(|conf| Ok((conf.evaluate(&given(Facts::default()))?, conf)));
        let (mut first, conf) = match read {
            Ok(read) => read,
            Err(error) if error.needs_shell => {
                return Ok(Opened::Program { failure: unreadable(&file, error), dir });
            }
            Err(error) => return Err(unreadable(&file, error).into()),
        };
        set(&mut first.values, settings);
        let named = Identity::of(&dir, &first.values)?;
        // What the file makes of its version is made of the one that is taken.
        let conf = settings.iter().fold(conf, |conf, (name, value)| conf.with(name, value));
        let conf = conf.with("PACKAGE_VERSION", &named.version);
        let facts = Facts { package: Some((&named.name, &named.version)), target: None };
        let mut values = conf.evaluate(&given(facts)).map_err(|error| unreadable(&file, error))?.values;
        set(&mut values, settings);
        let project = Self::described(dir, &values, Conf::Read(conf), settings)?;
        let project = Self { implied: implied.is_some(), version_from: named.notice, ..project };
        Ok(Opened::Project(Box::new(project)))
    }

    /// The project in `dir` for a kernel, as a shell in a sandbox evaluates its `dkms.conf`.
    pub fn evaluated(
        context: &Context,
        dir: &Utf8Path,
        settings: &Settings,
        prepared: &Prepared,
    ) -> Result<Self> {
        let target = BuildTarget::of(context, dir, prepared)?;
        let dir = directory(dir)?;
        let facts = Facts { target: Some(&target), package: None };
        // DKMS knows what the package is called when it reads the file: from an earlier reading.
        let first = shell::source(context, &dir, prepared, &target, &given(facts), settings)?.values;
        let mut first = reread(first, &given(facts)).values;
        set(&mut first, settings);
        let named = Identity::of(&dir, &first).ok();
        let package = named.as_ref().map(|named| (named.name.as_str(), named.version.as_str()));
        let given = given(Facts { package, ..facts });
        let mut replaced = settings.clone();
        let found = named.iter().filter(|named| named.notice.is_some());
        replaced.extend(found.map(|named| ("PACKAGE_VERSION".to_owned(), named.version.clone())));
        let values = shell::evaluate(context, &dir, prepared, &target, &given, &replaced)?;
        let mut taken = reread(values.clone(), &given).values;
        set(&mut taken, settings);
        let project = Self::described(dir, &taken, Conf::Shell(values), settings)?;
        let project = Self { version_from: named.and_then(|named| named.notice), ..project };
        project.for_kernel(&target)
    }

    /// The project as it is for one kernel: variables have their values, and what depends on the
    /// kernel is chosen.
    ///
    /// # Errors
    ///
    /// Skipped, if it is not for this kernel (`BUILD_EXCLUSIVE_*`).
    pub fn for_kernel(&self, target: &BuildTarget) -> Result<Self> {
        let file = self.dir.join("dkms.conf");
        let evaluated = self.values_for(Some(target))?;
        let described =
            Self::described(self.dir.clone(), &evaluated.values, self.conf.clone(), &self.settings)?;
        let mut project =
            Self { implied: self.implied, version_from: self.version_from.clone(), ..described };
        project.notices.extend(self.version_from.clone());
        project.notices.extend(self.elsewhere());
        let release = target.release.as_str();
        let refused = |error| invalid(&file, &error);
        project.make = directives::make(&evaluated.values, Some(release)).map_err(refused)?;
        project.patches = directives::patches(&evaluated.values, release).map_err(refused)?;
        project.notices.extend(notices(&evaluated));
        project.import = self.import.clone();
        project.leave_out_excluded(target)?;
        Ok(project)
    }

    /// Of a project without a `dkms.conf`: which others there are that may be meant.
    fn elsewhere(&self) -> Option<String> {
        let found = if self.implied { elsewhere::found(&self.dir) } else { String::new() };
        (!found.is_empty()).then(|| format!("is not there, so all that Kbuild builds is built{found}"))
    }

    /// What some DKMS refuses, or makes otherwise, of its `dkms.conf`.
    pub fn objections(&self) -> Result<Vec<Objection>> {
        Ok(objections(&self.values_for(None)?))
    }

    /// Its values, with the settings; for no kernel, if none is given.
    fn values_for(&self, target: Option<&BuildTarget>) -> Result<Evaluated> {
        let given = given(Facts { target, package: Some((&self.name, &self.version)) });
        let mut evaluated = match &self.conf {
            Conf::Shell(values) => reread(values.clone(), &given),
            Conf::Read(conf) => {
                conf.evaluate(&given).map_err(|error| unreadable(&self.dir.join("dkms.conf"), error))?
            }
        };
        set(&mut evaluated.values, &self.settings);
        Ok(evaluated)
    }

    /// The variables that DKMS has when it runs what the `dkms.conf` says.
    pub fn variables(&self, target: &BuildTarget) -> Given {
        let mut variables = given(self.facts(target));
        variables.insert("PACKAGE_NAME", self.name.clone());
        variables.insert("PACKAGE_VERSION", self.version.clone());
        variables
    }

    fn facts<'a>(&'a self, target: &'a BuildTarget) -> Facts<'a> {
        Facts { target: Some(target), package: Some((&self.name, &self.version)) }
    }

    /// Says what the user should know of its `dkms.conf`.
    pub fn warn(&self, report: &Report) {
        let file = self.dir.join("dkms.conf");
        self.notices.iter().for_each(|notice| report.warn(&format!("{file}: {notice}")));
    }

    /// Whether it is in Rust: its `dkms.conf` says that the kernel must be, too.
    pub fn rust(&self) -> Rust {
        let needs = |option: &String| option == "CONFIG_RUST";
        if self.exclusive.options().iter().any(needs) { Rust::Needed } else { Rust::Optional }
    }

    /// Why it is not for a kernel; `None` when it is.
    pub fn excludes(&self, release: &Release, config: &Config) -> Option<String> {
        let by_module = || {
            let reasons = self.modules.iter().map(|module| excludes(&module.exclusive, release, config));
            reasons.collect::<Option<Vec<_>>>().and_then(|reasons| reasons.into_iter().next())
        };
        excludes(&self.exclusive, release, config).or_else(by_module)
    }

    fn leave_out_excluded(&mut self, target: &BuildTarget) -> Result<()> {
        if let Some(reason) = self.excludes(&target.release, &target.config) {
            let object = format!("{} {} for {}", self.name, self.version, target.release);
            return Err(Failure::new(Exit::Skipped, object, format!("it is not for this kernel: {reason}"))
                .remedy("choose another kernel: cargo kmod kernel list")
                .into());
        }
        let reason = |module: &ModuleDirectives| excludes(&module.exclusive, &target.release, &target.config);
        for module in &self.modules {
            if let Some(reason) = reason(module) {
                self.notices.push(format!("{} is left out for {}: {reason}", module.name, target.release));
            }
        }
        self.modules.retain(|module| reason(module).is_none());
        Ok(())
    }

    /// `values` have the settings.
    fn described(dir: Utf8PathBuf, values: &Values, conf: Conf, settings: &Settings) -> Result<Self> {
        let file = dir.join("dkms.conf");
        let Identity { name, version, notice } =
            Identity::of(&dir, values).map_err(|failure| match conf {
                Conf::Shell(_) => failure.remedy(IN_SANDBOX),
                Conf::Read(_) => failure,
            })?;
        let refused = |error| invalid(&file, &error);
        let files: Option<Vec<Utf8PathBuf>> =
            words(values, "PROJECT_FILES").map(|files| files.into_iter().map(Utf8PathBuf::from).collect());
        if let Some(outside) = files.iter().flatten().find(|path| leaves(path)) {
            let reason = format!("PROJECT_FILES: {outside} is outside the project");
            return Err(Failure::refused(file.as_str(), reason).into());
        }
        Ok(Self {
            modules: directives::modules(values, &name).map_err(refused)?,
            make: directives::make(values, None).map_err(refused)?,
            patches: Vec::new(),
            pre_build: values.scalar("PRE_BUILD").filter(|text| !text.is_empty()).map(str::to_owned),
            loads: words(values, "PROJECT_LOADS").unwrap_or_default(),
            depends: values.array("BUILD_DEPENDS").map(|(_, name)| name.to_owned()).collect(),
            exclusive: Exclusive::read(values, 0).map_err(refused)?,
            import: ImportList::open(&dir)?,
            notices: notice.into_iter().collect(),
            version_from: None,
            implied: false,
            settings: settings.clone(),
            files,
            dir,
            name,
            version,
            conf,
        })
    }
}

/// Gives directives the values that the user wants them to have.
fn set(values: &mut Values, settings: &Settings) {
    settings.iter().for_each(|(name, value)| values.set(name, 0, value));
}

/// Why a kernel is not one of those that `exclusive` is for; `None` if it is.
fn excludes(exclusive: &Exclusive, release: &Release, config: &Config) -> Option<String> {
    exclusive.excludes(&TargetKernel {
        release: release.as_str(),
        architecture: architecture(Some(config)).machine(),
        enabled: &|option| config.is_enabled(option),
    })
}

fn directory(dir: &Utf8Path) -> Result<Utf8PathBuf, Failure> {
    dir.canonicalize_utf8().map_err(|error| {
        Failure::usage(format!("project {dir}"), error.to_string())
            .remedy("--project DIR, a directory of module sources")
    })
}

/// The failure for what needs a `dkms.conf` of a directory that does without.
fn no_dkms_conf(dir: &Utf8Path) -> Failure {
    Failure::usage(
        dir.as_str(),
        format!(
            "has no dkms.conf, which DKMS and packages take name, version and modules from{}",
            elsewhere::found(dir)
        ),
    )
    .remedy(format!("cargo kmod dkms conf --project {dir} writes one"))
}

/// The text of a `dkms.conf`.
fn text(file: &Utf8Path) -> Result<String> {
    let dir = file.parent().unwrap_or(file);
    let length = fs_err::metadata(file).map(|meta| meta.len()).map_err(|_| {
        Failure::usage(
            format!("project {dir}"),
            format!(
                "there is no dkms.conf in it, and no Kbuild or Makefile with obj-m{}",
                elsewhere::found(dir)
            ),
        )
        .remedy("--project DIR, a directory of module sources; cargo kmod new NAME makes one")
    })?;
    if length > LONGEST {
        let reason = format!("is longer than {} MiB", LONGEST >> 20);
        return Err(Failure::refused(file.as_str(), reason).into());
    }
    String::from_utf8(fs_err::read(file)?).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
        Failure::refused(format!("{file}:{line}"), "is no UTF-8 text").remedy("save it as UTF-8").into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "PACKAGE_NAME=x\nPACKAGE_VERSION=1.0\nDEST_MODULE_LOCATION=/extra\n";

    fn project(text: &str) -> Result<Project> {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("dkms.conf"), text).unwrap();
        Project::open(Utf8Path::from_path(dir.path()).unwrap())
    }

    fn target() -> BuildTarget {
        BuildTarget {
            release: "6.12.1-amd64".parse().unwrap(),
            build: "/k".into(),
            tree: "/d".into(),
            config: Config::parse("CONFIG_A=m\n"),
            jobs: 3,
        }
    }

    #[test]
    fn one_module_is_named_after_the_package() {
        let project = project(HEAD).unwrap();
        assert_eq!(project.modules.len(), 1);
        assert_eq!((project.modules[0].name.as_str(), project.modules[0].location.as_str()), ("x", ""));
        let project = project.for_kernel(&target()).unwrap();
        assert_eq!(project.make, directives::DEFAULT_MAKE);
    }

    #[test]
    fn a_kernel_of_another_architecture_has_its_own_values() {
        let text = "BUILD_EXCLUSIVE_ARCH=aarch64\nMAKE=\"make A=$arch H=$HOSTTYPE M=$MACHTYPE\"\n";
        let project = project(&format!("{HEAD}{text}")).unwrap();
        let of = |option: &str| BuildTarget { config: Config::parse(option), ..target() };
        let arm64 = project.for_kernel(&of("CONFIG_ARM64=y\n")).unwrap();
        assert_eq!(arm64.make, "make A=aarch64 H=aarch64 M=aarch64-unknown-linux-gnu");
        let amd64 = project.for_kernel(&of("CONFIG_X86_64=y\n")).unwrap_err();
        assert!(amd64.to_string().contains("x86_64 does not match aarch64"), "{amd64}");
    }

    #[test]
    fn variables_have_their_values_for_a_kernel() {
        let text = "D=$dkms_tree/$module/$module_version\nMAKE=\"make -C ${kernel_source_dir} M=$D/build V=${kernelver}\"\n";
        let project = project(&format!("{HEAD}{text}")).unwrap();
        assert!(project.make.contains("V=${kernelver}"), "{}", project.make);
        let project = project.for_kernel(&target()).unwrap();
        assert_eq!(project.make, "make -C /k M=/d/x/1.0/build V=6.12.1-amd64");
        assert!(project.notices.is_empty(), "{:?}", project.notices);
    }

    /// As for DKMS, which has set them before it reads the file.
    #[test]
    fn name_and_version_can_be_used_where_they_are_stated() {
        let text = "BUILT_MODULE_NAME=(\"$module\" \"${module}_more\")\nMAKE=\"make V=$module_version J=$parallel_jobs\"\n";
        let project = project(&format!("{HEAD}{text}")).unwrap();
        assert_eq!(project.modules.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["x", "x_more"]);
        assert_eq!(project.for_kernel(&target()).unwrap().make, "make V=1.0 J=3");
    }

    #[test]
    fn commands_with_a_known_output_need_no_shell() {
        let text = "MAKE=\"make -j$(nproc) KVER=`uname -r` M=$(pwd) D=$PWD\"\n";
        let project = project(&format!("{HEAD}{text}")).unwrap().for_kernel(&target()).unwrap();
        assert_eq!(project.make, "make -j3 KVER=6.12.1-amd64 M=/d/x/1.0/build D=/d/x/1.0/build");
    }

    #[test]
    fn a_kernel_it_is_not_for_is_skipped() {
        let skipped = project(&format!("{HEAD}BUILD_EXCLUSIVE_CONFIG=CONFIG_B\n")).unwrap();
        let error = skipped.for_kernel(&target()).unwrap_err();
        assert_eq!(report::failure::exit_of(&error), Exit::Skipped);
        assert!(error.to_string().contains("does not have CONFIG_B"), "{error}");
        assert_eq!(skipped.rust(), Rust::Optional);
        assert_eq!(
            project(&format!("{HEAD}BUILD_EXCLUSIVE_CONFIG=CONFIG_RUST\n")).unwrap().rust(),
            Rust::Needed
        );
    }

    #[test]
    fn a_module_that_is_not_for_a_kernel_is_left_out() {
        let text = format!(
            "{HEAD}DEST_MODULE_LOCATION[1]=/extra\nBUILT_MODULE_NAME=(a b)\nBUILD_EXCLUSIVE_KERNEL_MIN[1]=7\n"
        );
        let project = project(&text).unwrap().for_kernel(&target()).unwrap();
        assert_eq!(project.modules.iter().map(|module| module.name.as_str()).collect::<Vec<_>>(), ["a"]);
        let said = |text: &str| project.notices.iter().any(|notice| notice.contains(text));
        assert!(said("b is left out") && said("DKMS before 3.3.0 passes it over"), "{:?}", project.notices);
    }

    #[test]
    fn what_the_file_makes_of_its_version_is_made_of_the_one_that_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap().join("a-2.7");
        fs_err::create_dir(&dir).unwrap();
        let text = "PACKAGE_NAME=a\nPACKAGE_VERSION=@VERSION@\nBUILT_MODULE_NAME=a\nDEST_MODULE_LOCATION=/extra\n\
                    MAKE=\"make M=$dkms_tree/$PACKAGE_NAME/$PACKAGE_VERSION/build\"\n";
        fs_err::write(dir.join("dkms.conf"), text).unwrap();
        let of = |settings: &[(&str, &str)]| {
            let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let Opened::Project(project) = Project::open_any(&dir, &settings.collect()).unwrap() else {
                panic!("a program")
            };
            project.for_kernel(&target()).unwrap()
        };
        let project = of(&[]);
        assert!(project.make.ends_with("/a/2.7/build"), "{}", project.make);
        assert!(
            project.notices.iter().any(|notice| notice.contains("2.7 is taken")),
            "{:?}",
            project.notices
        );
        assert!(of(&[("PACKAGE_VERSION", "3"), ("PACKAGE_NAME", "b")]).make.ends_with("/b/3/build"));
    }

    #[test]
    fn what_is_set_on_the_command_line_wins() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::write(dir.join("dkms.conf"), "PACKAGE_NAME=x\nPACKAGE_VERSION=@V@\nMAKE=old\n").unwrap();
        let settings = [("PACKAGE_VERSION", "2.0"), ("MAKE", "make new")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let Opened::Project(project) = Project::open_any(dir, &settings).unwrap() else {
            panic!("a program")
        };
        assert_eq!(project.version, "2.0");
        assert_eq!(project.for_kernel(&target()).unwrap().make, "make new");
    }

    #[test]
    fn a_directory_without_a_dkms_conf_is_a_project_for_what_needs_none() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::write(dir.join("Kbuild"), "obj-m := hello.o\n").unwrap();
        let Opened::Project(project) = Project::open_any(dir, &Settings::new()).unwrap() else { panic!() };
        assert!(project.implied && project.name == "hello" && project.rust() == Rust::Optional);
        let for_kernel = project.for_kernel(&target()).unwrap();
        assert!(for_kernel.implied && for_kernel.notices.is_empty(), "{:?}", for_kernel.notices);
        fs_err::write(dir.join("dkms.conf.in"), "").unwrap();
        let notices = project.for_kernel(&target()).unwrap().notices;
        assert!(notices.iter().any(|notice| notice.contains("there is dkms.conf.in")), "{notices:?}");
        let error = Project::open(dir).unwrap_err();
        assert!(error.to_string().contains("has no dkms.conf"), "{error}");
        assert!(report::failure::remedy_of(&error).unwrap().contains("dkms conf --project"));
    }

    #[test]
    fn nothing_outside_the_project_is_named() {
        for line in ["BUILT_MODULE_NAME[0]=../x", "BUILT_MODULE_LOCATION[0]=/etc", "PROJECT_FILES=\"a ../b\""]
        {
            assert!(project(&format!("{HEAD}{line}\n")).is_err(), "{line}");
        }
        assert!(project("PACKAGE_NAME=../x\nPACKAGE_VERSION=1\n").is_err());
        assert!(project("PACKAGE_NAME=x\n").unwrap_err().to_string().contains("PACKAGE_VERSION is missing"));
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("dkms.conf"), b"A=1\nB=\xff\n").unwrap();
        let error = Project::open(Utf8Path::from_path(dir.path()).unwrap()).unwrap_err().to_string();
        assert!(error.contains("dkms.conf:2: is no UTF-8"), "{error}");
    }
}
