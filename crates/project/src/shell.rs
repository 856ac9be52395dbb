// SPDX-License-Identifier: GPL-2.0
//! A `dkms.conf` that is a program, evaluated in a sandbox (`--allow-shell`).
//!
//! The shell runs in a build root: without a network, as nobody, unable to gain privileges, and
//! with nothing that it could write to. It stands in the project's directory, gets the variables
//! that DKMS sets, and is limited to a few seconds and a few megabytes of output.
//!
//! DKMS reads the file in whatever directory it was called in, which for whoever wrote one was
//! the project's: `dkms add .`. What a file takes from there is a path in a value: where make runs,
//! the project's directory is the staged copy, so that is what the value has.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use tempfile::{NamedTempFile, TempDir};

use crate::given::{exported, for_shell};
use crate::notices::{directives, is_directive};
use crate::settings::Settings;

use crate::target::BuildTarget;
use dkms_conf::{Given, HIGHEST, Values};
use kernel::context::Context;
use kernel::prepare::Prepared;
use kernel::root::Access;
use report::failure::{Exit, Failure, exit_of};
use report::process::{Cmd, Output};

/// A file that takes longer is stopped.
const LIMIT: Duration = Duration::from_secs(10);

/// The maximum size of its output in bytes.
const MOST: u64 = 4 << 20;

/// How many lines of what it says are shown.
const SHOWN: usize = 20;

/// Sources the file as DKMS does, in a function, and prints name, index and value of each
/// directive, each ended by NUL; at last what was said on standard error, under the name `!said`.
///
/// Commands whose output the reader knows without running them (`dkms_conf::KnownCommand`) give the
/// same here.
const SCRIPT: &str = r#"
nproc() {
    case "$*" in
    '' | --all) printf '%s\n' "${parallel_jobs:-$(command nproc)}" ;;
    *) command nproc "$@" ;;
    esac
}
getconf() {
    case "$*" in
    _NPROCESSORS_ONLN) nproc ;;
    *) command getconf "$@" ;;
    esac
}
uname() {
    case "$*" in
    -r | --kernel-release)
        echo "uname -r: the release of the running kernel for DKMS, whichever it builds for; here that of the kernel that is built for, \$kernelver" >&2
        printf '%s\n' "${kernelver:-$(command uname -r)}"
        ;;
    *) command uname "$@" ;;
    esac
}
safe_source() {
    . "$1" >/dev/null
    local name index
    for name in "${@:2}"; do
        local -n directive=$name
        for index in "${!directive[@]}"; do
            printf '%s\0%s\0%s\0' "$name" "$index" "${directive[$index]}" >&3
        done
        unset -n directive
    done
    printf '!end\0000\0\0' >&3
}
# What writes a file gets an error for it, and goes on.
trap '' XFSZ
exec 3>&1
said=$(safe_source "$@" 2>&1 | { head --bytes=65536; head --bytes=16777216 >/dev/null; }; exit "${PIPESTATUS[0]}")
status=$?
printf '!said\0000\0%s\0' "$said"
[ "$status" = 0 ] || printf '%s\n' "$said" >&2
exit "$status"
"#;

/// The name of the record with what was said, and of the one after the last directive.
const SAID: &str = "!said";
const END: &str = "!end";

/// The directives of the `dkms.conf` in `dir` for `target`, with `variables` set. They are shown,
/// and so is what the file or a program in it said on standard error.
///
/// # Errors
///
/// Refused, if the root is the host itself.
pub fn evaluate(
    context: &Context,
    dir: &Utf8Path,
    prepared: &Prepared,
    target: &BuildTarget,
    variables: &Given,
    settings: &Settings,
) -> Result<Values> {
    let file = dir.join("dkms.conf");
    let step = context.report.step("Evaluating", file.as_str());
    let sourced = source(context, dir, prepared, target, variables, settings)?;
    step.done("Evaluated", &format!("{file} for {}", target.release));
    let shown = sourced.said.iter().take(SHOWN);
    shown.for_each(|line| context.report.warn(&format!("{file} says: {line}")));
    if let Some(more) = sourced.said.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        let more = report::counted(more, "more line", "more lines");
        context.report.warn(&format!("{file} says {more}"));
    }
    sourced.values.to_string().lines().for_each(|line| context.report.note("Value", line));
    Ok(sourced.values)
}

/// What came of sourcing a file.
#[derive(Debug)]
pub(crate) struct Sourced {
    /// The directives.
    pub(crate) values: Values,
    /// What was said on standard error.
    said: Vec<String>,
    /// Whether the file was read to its end.
    ended: bool,
}

/// The same, and nothing is shown.
pub(crate) fn source(
    context: &Context,
    dir: &Utf8Path,
    prepared: &Prepared,
    target: &BuildTarget,
    variables: &Given,
    settings: &Settings,
) -> Result<Sourced> {
    if prepared.root.is_host() {
        let reason = "is only evaluated in a build root, never on the host itself";
        return Err(Failure::refused(dir.join("dkms.conf").as_str(), reason).remedy("--root-fs made").into());
    }
    require_open(dir)?;
    let (headers, access) = seen(dir, prepared, target)?;
    let copy = copy(dir, settings)?;
    let access = match &copy {
        Some(copy) => {
            let path = Utf8Path::from_path(copy.path()).context("the temporary file's path is not UTF-8")?;
            access.read_at(path, format!("{PROJECT}/dkms.conf"))
        }
        None => access,
    };
    let script = format!("{}{SCRIPT}", for_shell(variables));
    let bash = Cmd::new("/bin/bash").args(["--noprofile", "--norc", "-c", &script, "dkms.conf"]);
    let bash = bash.arg(format!("{PROJECT}/dkms.conf")).args(directives());
    let bash = bash.limit(LIMIT).output_limit(MOST);
    let environment = exported(variables).chain(ENVIRONMENT.iter().copied());
    let sandbox = environment.fold(confined().cwd(PROJECT), |cmd, (name, value)| cmd.env(name, value));
    let cmd = prepared.root.inside(context, bash.wrapped_in(sandbox, "sandbox"), &access);
    let output = cmd.finish(&context.report).map_err(|error| too_long(dir, error))?;
    drop((headers, copy));
    let Sourced { mut values, mut said, ended } = read(&output.stdout);
    if !output.status.success() || !ended {
        return Err(unfinished(dir, &output, &said).into());
    }
    if let Some(stage) = variables.get("PWD") {
        values.replace_text(PROJECT, stage);
    }
    said.iter_mut().for_each(|line| *line = line.replace(PROJECT, dir.as_str()));
    Ok(Sourced { values, said, ended })
}

/// The failure for a file that is still being read when the time is over.
fn too_long(dir: &Utf8Path, error: anyhow::Error) -> anyhow::Error {
    if exit_of(&error) != Exit::TimeLimit {
        return error;
    }
    let reason = format!("was not read to its end in {} s; its shell was killed", LIMIT.as_secs());
    Failure::new(Exit::TimeLimit, dir.join("dkms.conf").as_str(), reason)
        .remedy("take out what waits, or what it leaves running in the background")
        .into()
}

/// The failure for a file that ended its shell before it could be asked for the values.
fn unfinished(dir: &Utf8Path, output: &Output, said: &[String]) -> Failure {
    // A shell that was killed has left no record of what was said.
    let tail = [output.tail.split('\0').next().unwrap_or_default().to_owned()];
    let said = if said.is_empty() { &tail } else { said };
    let said = said
        .iter()
        .flat_map(|text| text.lines())
        .fold(String::new(), |said, line| format!("{said}\n    | {}", line.replace(PROJECT, dir.as_str())));
    let how = output.status.code().map_or("a signal".to_owned(), |code| format!("status {code}"));
    let reason = format!("its shell ended with {how} before it could be asked for the values:{said}");
    Failure::refused(dir.join("dkms.conf").as_str(), reason)
        .remedy("a dkms.conf is read to its end: without exit, and within a gigabyte and some seconds")
}

/// What else the shell has: it is not nobody's, and git may read what nobody does not own.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("SHELL", "/bin/bash"),
    ("GIT_CONFIG_COUNT", "1"),
    ("GIT_CONFIG_KEY_0", "safe.directory"),
    ("GIT_CONFIG_VALUE_0", "*"),
];

/// Where the directories of the project and the kernel are in the sandbox: nobody must not see home
/// directories.
const PROJECT: &str = "/run/project";
const KERNEL: &str = "/run/kernel";

/// What the shell can see: the project, and the kernel's headers in their usual place. Also returns
/// a directory that must exist until the shell has run.
fn seen(dir: &Utf8Path, prepared: &Prepared, target: &BuildTarget) -> Result<(TempDir, Access)> {
    let headers = tempfile::tempdir()?;
    fs_err::set_permissions(headers.path(), std::fs::Permissions::from_mode(0o755))?;
    fs_err::os::unix::fs::symlink(KERNEL, headers.path().join("build"))?;
    let place = Utf8Path::from_path(headers.path()).context("the temporary directory's path is not UTF-8")?;
    let access = Access::default()
        .read_at(dir, PROJECT)
        .read_at(prepared.kdir.build(), KERNEL)
        .read_at(place, format!("/usr/lib/modules/{}", target.release));
    Ok((headers, access))
}

/// Refuses a project that nobody may look into.
fn require_open(dir: &Utf8Path) -> Result<(), Failure> {
    let open = dir.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o005 == 0o005);
    if open {
        return Ok(());
    }
    Err(Failure::refused(dir.as_str(), "its dkms.conf is evaluated by nobody, who may not look into it")
        .remedy(format!("chmod -R o+rX {dir}")))
}

/// A copy of the file that all may read, with the settings in place of what it assigns; `None` of
/// one that is elsewhere, and only linked to.
fn copy(dir: &Utf8Path, settings: &Settings) -> Result<Option<NamedTempFile>> {
    let file = dir.join("dkms.conf");
    if !file.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
        return Ok(None);
    }
    let text = fs_err::read(&file)?;
    let lines = text.split_inclusive(|byte| *byte == b'\n').map(|line| assigning(line, settings));
    let mut copy = NamedTempFile::new()?;
    copy.write_all(&lines.collect::<Vec<_>>().concat())?;
    fs_err::set_permissions(copy.path(), std::fs::Permissions::from_mode(0o644))?;
    Ok(Some(copy))
}

/// A line with the value that is set in place of the one that it assigns; a line that is more than
/// a plain assignment as it is.
fn assigning(line: &[u8], settings: &Settings) -> Vec<u8> {
    let words = String::from_utf8_lossy(line);
    let Some((name, value)) = words.trim().split_once('=') else { return line.to_vec() };
    let quotes = |quote: char| value.matches(quote).count() % 2 == 0;
    let plain =
        !value.contains([';', '&', '|', '(', ')', '<', '>', '`', '\\']) && quotes('"') && quotes('\'');
    match settings.get_key_value(name.strip_suffix("[0]").unwrap_or(name)) {
        Some((name, value)) if plain => format!("{name}='{}'\n", value.replace('\'', r"'\''")).into_bytes(),
        _ => line.to_vec(),
    }
}

/// Runs a command as nobody, unable to gain privileges, to write files or to exhaust memory.
fn confined() -> Cmd {
    let limits = ["--as=1073741824", "--cpu=10", "--fsize=0", "--nproc=128", "--core=0"];
    let nobody =
        ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all"];
    Cmd::new("setpriv").args(nobody).arg("--inh-caps=-all").arg("prlimit").args(limits)
}

/// Reads the output of the script. What does not fit is skipped, the rest is treated like any
/// `dkms.conf`.
fn read(output: &[u8]) -> Sourced {
    let (mut values, mut said, mut ended) = (Values::default(), Vec::new(), false);
    let mut fields = output.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    while let (Some(name), Some(index), Some(value)) = (fields.next(), fields.next(), fields.next()) {
        match index.parse() {
            _ if name == END => ended = true,
            _ if name == SAID => said.extend(value.lines().map(str::to_owned)),
            Ok(index) if is_directive(&name) && index <= HIGHEST => {
                values.set(&name, index, value.trim_end_matches('\r'));
            }
            _ => {}
        }
    }
    Sourced { values, said, ended }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_takes_the_place_of_what_a_line_assigns() {
        let settings = Settings::from([("V".to_owned(), "it's 1".to_owned())]);
        for (line, expected) in [
            ("  V=@V@ # so far\n", "V='it'\\''s 1'\n"),
            ("V[0]=2", "V='it'\\''s 1'\n"),
            ("V[1]=2\n", "V[1]=2\n"),
            ("if [ $V = 2 ]; then\n", "if [ $V = 2 ]; then\n"),
            ("VV=2\n", "VV=2\n"),
            ("V=2; MAKE=x\n", "V=2; MAKE=x\n"),
            ("V=$(cat <<E\n", "V=$(cat <<E\n"),
            ("V=\"2\n", "V=\"2\n"),
        ] {
            assert_eq!(String::from_utf8(assigning(line.as_bytes(), &settings)).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_printed_is_read_and_nothing_else() {
        let Sourced { values, said, ended } = read(
            b"MAKE\x000\0make all\0MAKE\x001\0two\nlines\0OTHER\x000\0x\0PATCH\0x\0y\0!said\x000\0a\nb\0STRIP\x000",
        );
        assert_eq!(said, ["a", "b"]);
        assert!(!ended && read(b"STRIP\x000\0no\0!end\x000\0\0").ended);
        assert_eq!(values.array("MAKE").collect::<Vec<_>>(), [(0, "make all"), (1, "two\nlines")]);
        assert_eq!(values.names().collect::<Vec<_>>(), ["MAKE"]);
    }
}
