// SPDX-License-Identifier: GPL-2.0
//! The variables that a `dkms.conf` finds set when DKMS has bash read it: DKMS's own and bash's.
//! One table, for the reader that executes nothing and for the shell of `--allow-shell` alike. A
//! test compares it with what the real DKMS has.

use camino::Utf8PathBuf;

use crate::target::BuildTarget;
use dkms_conf::{Given, KnownCommand, Taken, Values};
use kmodfile::architecture::Architecture;
use kmodfile::config::Config;

/// What `uname -m` prints on a kernel with this configuration, or without one on this machine;
/// `$arch` in a `dkms.conf`.
pub(crate) fn architecture(config: Option<&Config>) -> Architecture {
    let of_kernel = config.and_then(Architecture::of_config);
    of_kernel.or_else(Architecture::native).unwrap_or_default()
}

/// Who sets a variable, and so who has to where a real shell runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// DKMS, and exports it: programs of the project's have it, too.
    Exported,
    /// DKMS.
    Dkms,
    /// bash, wherever it runs.
    Bash,
}

/// A variable of the table.
struct Variable {
    name: &'static str,
    owner: Owner,
    value: fn(&Facts<'_>) -> Option<String>,
}

/// What is known when a file is read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts<'a> {
    /// The kernel. Without one, or without the package, a path that depends on it stands for
    /// itself.
    pub(crate) target: Option<&'a BuildTarget>,
    /// `PACKAGE_NAME` and `PACKAGE_VERSION`, which DKMS has from its command line or from the file
    /// itself, of an earlier reading.
    pub(crate) package: Option<(&'a str, &'a str)>,
}

impl Facts<'_> {
    fn architecture(&self) -> Architecture {
        architecture(self.target.map(|target| &target.config))
    }

    fn of_kernel(&self, name: &str, value: impl Fn(&BuildTarget) -> String) -> Option<String> {
        Some(self.target.map_or_else(|| format!("${{{name}}}"), value))
    }

    /// Where DKMS has its copy, in which it runs make.
    fn build_dir(&self, name: &str) -> Option<String> {
        let Some((package, version)) = self.package else { return Some(format!("${{{name}}}")) };
        self.of_kernel(name, |target| target.stage(package, version).into_string())
    }
}

/// The table. DKMS's are set in its `read_conf` and `prepare_build`; those that dkms(8) describes
/// are `kernelver` and `kernel_source_dir`. bash's are those of a shell that root starts to run a
/// script, as far as they are the same each time; what they differ in, only a running shell has.
const VARIABLES: &[Variable] = &[
    of(Owner::Exported, "arch", |facts| text(facts.architecture().machine())),
    of(Owner::Exported, "kernelver", |facts| facts.of_kernel("kernelver", |t| t.release.to_string())),
    of(Owner::Exported, "module", |facts| Some(facts.package?.0.to_owned())),
    of(Owner::Exported, "module_version", |facts| Some(facts.package?.1.to_owned())),
    of(Owner::Dkms, "build_dir", |facts| facts.build_dir("build_dir")),
    of(Owner::Dkms, "dkms_tree", |facts| facts.of_kernel("dkms_tree", |t| t.tree.to_string())),
    of(Owner::Dkms, "install_tree", |_| text("/lib/modules")),
    of(Owner::Dkms, "kernel_config", |facts| {
        facts.of_kernel("kernel_config", |target| target.build.join("include/config/auto.conf").into_string())
    }),
    of(Owner::Dkms, "kernel_source_dir", |facts| {
        facts.of_kernel("kernel_source_dir", |target| target.build.to_string())
    }),
    of(Owner::Dkms, "parallel_jobs", |facts| facts.of_kernel("parallel_jobs", |t| t.jobs.to_string())),
    of(Owner::Dkms, "source_tree", |_| text("/usr/src")),
    of(Owner::Dkms, "tmp_location", |_| text("/tmp")),
    of(Owner::Bash, "BASH", |_| text("/bin/bash")),
    of(Owner::Bash, "EUID", |_| text("0")),
    of(Owner::Bash, "HOSTTYPE", |facts| text(facts.architecture().machine())),
    of(Owner::Bash, "IFS", |_| text(" \t\n")),
    of(Owner::Bash, "MACHTYPE", |facts| text(machine_type(facts.architecture()))),
    of(Owner::Bash, "OPTERR", |_| text("1")),
    of(Owner::Bash, "OPTIND", |_| text("1")),
    of(Owner::Bash, "OSTYPE", |_| text("linux-gnu")),
    of(Owner::Bash, "PATH", |_| text("/usr/sbin:/usr/bin:/sbin:/bin")),
    of(Owner::Bash, "PS4", |_| text("+ ")),
    of(Owner::Bash, "PWD", |facts| facts.build_dir("PWD")),
    of(Owner::Bash, "SHELL", |_| text("/bin/bash")),
    of(Owner::Bash, "TERM", |_| text("dumb")),
    of(Owner::Bash, "UID", |_| text("0")),
];

const fn of(owner: Owner, name: &'static str, value: fn(&Facts<'_>) -> Option<String>) -> Variable {
    Variable { name, owner, value }
}

/// The kind of machine that Debian's bash was configured for.
fn machine_type(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Amd64 => "x86_64-pc-linux-gnu",
        Architecture::Arm64 => "aarch64-unknown-linux-gnu",
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// What else DKMS's program has set, and keeps for itself: what it is doing, its options, what it
/// has found out about the machine. A file that uses one finds nothing here.
pub const OF_DKMS_ALONE: &[&str] = &[
    // The directories of its tree, for the kernel that it builds for; `build_dir` is given.
    "base_dir",
    "build_log",
    "kernelver_dir",
    "source_dir",
    // The machine that it runs on.
    "current_kernel",
    "current_os",
    "running_distribution",
    // Its options and its settings.
    "action",
    "addon_modules_dir",
    "all",
    "archive_location",
    "autoinstall_all_kernels",
    "binaries_only",
    "compress_gzip_opts",
    "compress_xz_opts",
    "compress_zstd_opts",
    "conf",
    "delayed_depmod",
    "directive_array",
    "force",
    "force_version_override",
    "kconfig_fromcli",
    "ksourcedir_fromcli",
    "mok_certificate",
    "mok_signing_key",
    "multi_arch",
    "no_depmod",
    "post_transaction",
    "rpm_safe_upgrade",
    "sign_file",
    "source_only",
    "symlink_modules",
    "template_kernel",
    "try_source_tree",
    "verbose",
    "weak_modules",
    "weak_modules_add",
    "weak_modules_remove",
    // What its functions keep.
    "CR",
    "_conf_file",
    "_ka",
    "_mv",
    "action_re",
    "bd",
    "bd_missing",
    "count",
    "die_is_fatal",
    "dkms_conf_variables",
    "dkms_framework_nonsigning_variables",
    "dkms_framework_post_transaction",
    "dkms_framework_signing_variables",
    "export_envs",
    "i",
    "index",
    "kernel_test",
    "kernelver_rpm",
    "last_mvka",
    "last_mvka_conf",
    "module_compressed_suffix",
    "module_suffix",
    "module_uncompressed_suffix",
    "mv_re",
    "mvka",
    "prepared_kernel",
    "read_conf_file",
    "return_value",
    "show_deprecation_warnings",
    "source_conf",
    "status",
    "tmpfile",
    "to_source_file",
    "var",
];

/// Variables of the environment that DKMS is called in. What they are differs between a terminal,
/// the installation of a package and that of a kernel.
const OF_ENVIRONMENT: &[&str] = &[
    "DISPLAY",
    "EDITOR",
    "HOME",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "MAIL",
    "OLDPWD",
    "SUDO_USER",
    "TMPDIR",
    "TZ",
    "USER",
];

/// What is set before a file is read.
pub(crate) fn given(facts: Facts<'_>) -> Given {
    VARIABLES.iter().filter_map(|variable| Some((variable.name, (variable.value)(&facts)?))).collect()
}

/// Those of `given` that are exported to programs.
pub fn exported(given: &Given) -> impl Iterator<Item = (&'static str, &str)> {
    given.iter().filter(|(name, _)| is_of(name, Owner::Exported)).map(|(name, value)| (*name, value.as_str()))
}

/// The lines that a real shell runs to have what is `given`; what bash sets, it has by itself.
pub(crate) fn for_shell(given: &Given) -> String {
    let mut values = Values::default();
    given.iter().filter(|(name, _)| !is_of(name, Owner::Bash)).for_each(|(name, value)| {
        values.set(name, 0, value);
    });
    values.to_string()
}

/// What to say of a variable that has no value here.
pub(crate) fn why_unset(name: &str) -> &'static str {
    if OF_DKMS_ALONE.contains(&name) {
        "is set by DKMS for its own use, and has no value here"
    } else if OF_ENVIRONMENT.contains(&name) {
        "is of the environment that DKMS is called in; here it is empty"
    } else {
        "is not set; it is empty, as for DKMS"
    }
}

/// What to say of a value that is another for DKMS.
pub(crate) fn differs_from_dkms(taken: &Taken) -> Option<&'static str> {
    match taken {
        Taken::Output(KnownCommand::Release) => Some(
            "$(uname -r) is the running kernel for DKMS, whichever it builds for; \
             here it is the kernel that is built for: write $kernelver",
        ),
        Taken::Output(KnownCommand::Directory) => Some(ELSEWHERE),
        Taken::Variable(name) if name == "PWD" => Some(ELSEWHERE),
        Taken::Variable(_) | Taken::Output(_) => None,
    }
}

const ELSEWHERE: &str = "the current directory is that of the build here, and for DKMS the one that it is called in: \
     write $dkms_tree/$module/$module_version/build";

fn is_of(name: &str, owner: Owner) -> bool {
    VARIABLES.iter().any(|variable| variable.name == name && variable.owner == owner)
}

impl BuildTarget {
    /// Where DKMS has its copy of a project, below the tree that `$dkms_tree` names.
    pub fn stage(&self, package: &str, version: &str) -> Utf8PathBuf {
        self.tree.join(package).join(version).join("build")
    }
}
