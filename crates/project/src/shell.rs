// SPDX-License-Identifier: GPL-2.0
//! A `dkms.conf` that is a program, evaluated in a sandbox (`--allow-shell`).
//!
//! The shell runs in a build root: without a network, as nobody, unable to gain privileges, and
//! with nothing that it could write to. It gets the variables that DKMS sets, and is limited to a
//! few seconds and a few megabytes of output.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use tempfile::TempDir;

use crate::notices::{directives, is_directive};

use crate::target::BuildTarget;
use dkms_conf::{Given, HIGHEST, Values};
use kernel::context::Context;
use kernel::prepare::Prepared;
use kernel::root::Access;
use report::failure::Failure;
use report::process::Cmd;

/// A file that takes longer is stopped.
const LIMIT: Duration = Duration::from_secs(10);

/// The maximum size of its output in bytes.
const MOST: u64 = 4 << 20;

/// Sources the file as DKMS does and prints name, index and value of each directive, each ended by
/// NUL.
const SCRIPT: &str = r#"
. "$1" >/dev/null
for name in "${@:2}"; do
    declare -n directive=$name
    for index in "${!directive[@]}"; do
        printf '%s\0%s\0%s\0' "$name" "$index" "${directive[$index]}"
    done
    unset -n directive
done
"#;

/// The directives of the `dkms.conf` in `dir` for `target`, with `variables` set.
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
) -> Result<Values> {
    let file = dir.join("dkms.conf");
    if prepared.root.is_host() {
        return Err(Failure::refused(
            file.as_str(),
            "is only evaluated in a build root, never on the host itself",
        )
        .remedy("--root-fs made")
        .into());
    }
    let step = context.report.step("Evaluating", file.as_str());
    let (headers, access) = seen(dir, prepared, target)?;
    let seen_file = format!("{PROJECT}/dkms.conf");
    let bash = Cmd::new("bash").args(["--noprofile", "--norc", "-c", SCRIPT, "dkms.conf"]).arg(seen_file);
    let bash = bash.args(directives()).limit(LIMIT).output_limit(MOST);
    let cmd = variables.iter().fold(confined(), |cmd, (name, value)| cmd.env(name, value));
    let cmd = bash.wrapped_in(cmd, "sandbox");
    let output = prepared.root.inside(context, cmd, &access).run(&context.report)?;
    drop(headers);
    let values = read(&output.stdout);
    step.done("Evaluated", &format!("{file} for {}", target.release));
    values.to_string().lines().for_each(|line| context.report.note("Value", line));
    Ok(values)
}

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

/// Runs a command as nobody, unable to gain privileges, to write files or to exhaust memory.
fn confined() -> Cmd {
    let limits = ["--as=1073741824", "--cpu=10", "--fsize=0", "--nproc=128", "--core=0"];
    let nobody =
        ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all"];
    Cmd::new("setpriv").args(nobody).arg("--inh-caps=-all").arg("prlimit").args(limits)
}

/// Reads the output of the script. The file itself may have printed something, too: what does not
/// fit is skipped, the rest is treated like any `dkms.conf`.
fn read(output: &[u8]) -> Values {
    let mut values = Values::default();
    let mut fields = output.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    while let (Some(name), Some(index), Some(value)) = (fields.next(), fields.next(), fields.next()) {
        match index.parse() {
            Ok(index) if is_directive(&name) && index <= HIGHEST => {
                values.set(&name, index, value.trim_end_matches('\r'));
            }
            _ => {}
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_and_nothing_else() {
        let values =
            read(b"MAKE\x000\0make all\0MAKE\x001\0two\nlines\0OTHER\x000\0x\0PATCH\0x\0y\0STRIP\x000");
        assert_eq!(values.array("MAKE").collect::<Vec<_>>(), [(0, "make all"), (1, "two\nlines")]);
        assert_eq!(values.names().collect::<Vec<_>>(), ["MAKE"]);
    }
}
