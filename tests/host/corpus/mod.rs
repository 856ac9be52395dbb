// SPDX-License-Identifier: GPL-2.0
//! The reader beside the real dkms, over the corpus. What each dkms makes of a file is recorded
//! (`record.jsonl`; `cargo xtask test package --filter corpus` runs dkms and compares, `RECORD=1`
//! before it writes it down anew); what the tool makes of it is seen here.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use dkms_conf::directives::{self, DEFAULT_MAKE};
use dkms_conf::objections::{DkmsVersion, Effect, Objection, objections};
use dkms_conf::{DkmsConf, Evaluated, Values};
use kmodfile::config::Config;
use project::{BuildTarget, Opened, Project, Settings};
use xtask::repository;

use crate::dkms_corpus::{JOBS, RELEASE, Record, Taken, Verdict, confs, names};

/// Files that are programs: `--allow-shell` has bash read them.
const PROGRAMS: &[&str] = &[
    "ansi_quotes",
    "arithmetic",
    "array_arithmetic_index",
    "blank_after_equals",
    "blank_before_equals",
    "braces_in_word",
    "case_statement",
    "command_backtick",
    "declared",
    "exit_statement",
    "for_loop",
    "function",
    "here_document_comment",
    "if_statement",
    "operator_default",
    "operator_replace",
    "operator_suffix",
    "pattern_in_array",
    "sourced",
    "split_in_array",
    "test_and",
    "tilde",
    "true_statement",
    "unset_statement",
    "version_from_command",
    "version_from_file",
];

/// Files of which the tool makes something else on purpose, and why.
const ON_PURPOSE: &[(&str, &str)] = &[
    ("broken_patch_pattern", "what bash takes for no expression never matches; here it is an error"),
    ("broken_pattern", "what bash takes for no expression excludes every kernel; here it is an error"),
    ("command_in_single_quotes", "what runs a program is left to the shell that runs the line"),
    ("depends_rebuild_one", "dkms knows it from 3.2.0 on"),
    ("directory_in_name_alone", "each dkms fails when it puts the module away"),
    ("kernel_too_new", "dkms knows it from 3.0.11 on"),
    ("kernel_too_old", "dkms knows it from 3.0.11 on"),
    ("latin1", "text is UTF-8 here"),
    ("make_all_by_kernel", "dkms keeps the command of the reading before, when it knew no package"),
    ("obsolete", "before 3.1.8 dkms builds it all the same, and does not install it"),
    ("patch_upwards", "dkms looks at the path when it builds"),
    ("placeholder_at", "packaging was to put the version in"),
    ("placeholder_underscores", "packaging was to put the version in"),
    ("placeholder_version", "packaging was to put the version in"),
    ("two_but_for_a_dash", "the kernel takes dash and underscore for the same"),
    ("two_installed_as_one", "dkms refuses it from 3.1.7 on"),
    ("two_of_one_name", "dkms refuses it from 3.1.7 on"),
    ("unclosed_quote", "dkms goes on with the lines before it"),
];

/// What the tool makes of a file.
enum Ours {
    /// A shell would have to read it.
    Program,
    /// It is an error.
    Refused(String),
    /// It is read, and some dkms objects.
    Read(Taken, Vec<Objection>),
}

#[test]
fn the_reader_takes_what_dkms_takes() {
    let record = Record::read();
    let recorded: Vec<&String> = record.0.keys().collect();
    assert_eq!(recorded, names().iter().collect::<Vec<_>>(), "record it: RECORD=1");
    let mut programs = BTreeSet::new();
    let mut different: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, verdicts) in &record.0 {
        let ours = ours(&confs().join(format!("{name}.conf")));
        if matches!(ours, Ours::Program) {
            programs.insert(name.as_str());
            continue;
        }
        for (version, verdict) in verdicts {
            if let Some(said) = difference(&ours, version.parse().unwrap(), verdict) {
                different.entry(name).or_default().push(format!("{name}, dkms {version}: {said}"));
            }
        }
    }
    assert_eq!(programs, PROGRAMS.iter().copied().collect(), "the files that are programs");
    let on_purpose: BTreeSet<&str> = ON_PURPOSE.iter().map(|(name, _)| *name).collect();
    let unexpected: Vec<String> = different
        .iter()
        .filter(|(name, _)| !on_purpose.contains(*name))
        .flat_map(|(_, said)| said.clone())
        .collect();
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    for (name, reason) in ON_PURPOSE {
        assert!(different.contains_key(name), "{name} is no different any more: {reason}");
    }
}

/// What this repository has for DKMS itself.
#[test]
fn no_dkms_objects_to_our_own() {
    for dir in ["", "cifs", "tests/dkms/replacement"] {
        let dir = repository().join(dir);
        let objections = Project::open(&dir).unwrap().objections().unwrap();
        assert!(objections.is_empty(), "{dir}: {objections:?}");
    }
}

/// How the tool and a dkms differ; `None` if they do not, or the tool says that they do.
fn difference(ours: &Ours, version: DkmsVersion, theirs: &Verdict) -> Option<String> {
    match (ours, theirs) {
        (Ours::Program, _) | (Ours::Refused(_), Verdict::Refused(_)) => None,
        (Ours::Refused(error), Verdict::Taken(_)) => Some(format!("taken there, and here: {error}")),
        (Ours::Read(_, objections), Verdict::Refused(said)) => {
            let foreseen = objections.iter().any(|objection| objection.refused_by(version));
            (!foreseen).then(|| format!("read here, and there: {}", said.join("; ")))
        }
        (Ours::Read(ours, objections), Verdict::Taken(theirs)) => {
            let refuses =
                |objection: &&Objection| objection.effect == Effect::Refuses && objection.refused_by(version);
            if let Some(objection) = objections.iter().find(refuses) {
                return Some(format!("taken there, and here: {objection}"));
            }
            // It builds nothing, or passes something over: then it is said that it is otherwise.
            let said = objections.iter().any(|objection| objection.applies_to(version));
            (*ours != plain(theirs) && !said).then(|| format!("there {theirs:?}\n    here {ours:?}"))
        }
    }
}

/// The same, with the modules' paths as they are without what stands for no step.
fn plain(taken: &Taken) -> Taken {
    let plain = |path: &str| Utf8Path::new(path).components().filter(|part| part.as_str() != ".").collect();
    let modules = taken.modules.iter();
    let modules = modules.map(|(built, name, strip)| {
        let [built, name]: [Utf8PathBuf; 2] = [plain(built), plain(name)];
        (built.into_string(), name.into_string(), *strip)
    });
    Taken { modules: modules.collect(), ..taken.clone() }
}

/// What the tool makes of a file.
fn ours(conf: &Utf8Path) -> Ours {
    let dir = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(dir.path()).unwrap();
    fs_err::copy(conf, dir.join("dkms.conf")).unwrap();
    let project = match Project::open_any(dir, &Settings::new()) {
        Ok(Opened::Project(project)) => project,
        Ok(Opened::Program { .. }) => return Ours::Program,
        Err(error) => return Ours::Refused(format!("{error:#}")),
    };
    let target = target();
    let excluded = project.excludes(&target.release, &target.config).is_some();
    // What is not for this kernel has nothing to be compared but that.
    let project = match project.for_kernel(&target) {
        Ok(project) => project,
        Err(_) if excluded => *project,
        Err(error) => return Ours::Refused(format!("{error:#}")),
    };
    let text = fs_err::read_to_string(conf).unwrap();
    let evaluated = DkmsConf::parse(&text).unwrap().evaluate(&project.variables(&target)).unwrap();
    Ours::Read(plain(&taken(&project, &evaluated, excluded)), objections(&evaluated))
}

fn target() -> BuildTarget {
    BuildTarget {
        release: RELEASE.parse().unwrap(),
        build: format!("/lib/modules/{RELEASE}/build").into(),
        tree: "/var/lib/dkms".into(),
        config: Config::parse("CONFIG_A=y\nCONFIG_M=m\n"),
        jobs: JOBS,
    }
}

fn taken(project: &Project, evaluated: &Evaluated, excluded: bool) -> Taken {
    let values = &evaluated.values;
    let release = Some(RELEASE);
    let make = directives::make(values, release).unwrap();
    let default = format!(
        "make -C /lib/modules/{RELEASE}/build M=/var/lib/dkms/{}/{}/build",
        project.name, project.version
    );
    Taken {
        values: of_dkms(values),
        modules: modules(values, &project.name),
        make: if make == DEFAULT_MAKE { default } else { make },
        patches: directives::patches(values, RELEASE)
            .unwrap()
            .into_iter()
            .map(Utf8PathBuf::into_string)
            .collect(),
        excluded,
    }
}

/// The modules, each with what is built.
fn modules(values: &Values, package: &str) -> Vec<(String, String, bool)> {
    let modules = directives::modules(values, package).unwrap().into_iter();
    modules
        .map(|module| (module.location.join(&module.name).into_string(), module.installed_name, module.strip))
        .collect()
}

/// The directives that have elements.
fn of_dkms(values: &Values) -> BTreeMap<String, Vec<(u32, String)>> {
    let of =
        |name: &str| values.array(name).map(|(index, value)| (index, value.to_owned())).collect::<Vec<_>>();
    directives::all()
        .map(|name| (name.to_owned(), of(name)))
        .filter(|(_, values)| !values.is_empty())
        .collect()
}
