// SPDX-License-Identifier: GPL-2.0
//! Asks modprobe itself what it would load, instead of guessing.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use kernel::root::host;
use kmodfile::name::of_file;
use kmodfile::release::Release;
use report::Report;
use report::process::Cmd;

/// Directories of modprobe's configuration in their order of precedence (modprobe.d(5)), relative
/// to `/`.
const MODPROBE_D: [&str; 5] =
    ["etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d", "lib/modprobe.d", "usr/lib/modprobe.d"];

/// What modprobe would do for a module's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModprobeAnswer {
    /// Load this file of the release's directory.
    File(Utf8PathBuf),
    /// Nothing: the module is built into the kernel.
    Builtin,
    /// Run a program instead (`install` in modprobe.d).
    Runs(String),
    /// Fail with this message.
    Fails(String),
}

impl std::fmt::Display for ModprobeAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => write!(f, "{file}"),
            Self::Builtin => f.write_str("nothing, because it is built in"),
            Self::Runs(command) => {
                write!(f, "no file, but run `{command}` (an `install` line in modprobe.d)")
            }
            Self::Fails(why) => write!(f, "nothing: {why}"),
        }
    }
}

/// What `modprobe NAME` would do on a system whose modules are below `root` and whose configuration
/// is below `conf`.
pub fn ask(
    root: &Utf8Path,
    conf: &Utf8Path,
    release: &Release,
    name: &str,
    report: &Report,
) -> Result<ModprobeAnswer> {
    let mut cmd = Cmd::new("modprobe").args(["--set-version", release.as_str(), "--show-depends", name]);
    if root != "/" || conf != "/" {
        cmd = cmd.args(["--dirname", root.as_str()]);
        cmd = MODPROBE_D.iter().fold(cmd, |cmd, dir| cmd.arg("--config").arg(conf.join(dir)));
    }
    let output = host::inside(cmd).finish(report)?;
    let dir = root.join("lib/modules").join(release);
    Ok(if output.status.success() {
        read(&output.text(), &dir, name)
    } else {
        ModprobeAnswer::Fails(output.tail.trim().trim_start_matches("modprobe: FATAL: ").to_owned())
    })
}

/// Reads the output of `--show-depends`: one line for each module; dependencies come before it,
/// soft dependencies after it, too.
fn read(text: &str, dir: &Utf8Path, name: &str) -> ModprobeAnswer {
    let name = name.replace('-', "_");
    for line in text.lines() {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "insmod" => {
                // A blank separates the path from the parameters; the directory itself may have
                // blanks.
                let below = rest.strip_prefix(dir.as_str()).map_or(rest, |rest| rest.trim_start_matches('/'));
                let path = Utf8Path::new(below.split(' ').next().unwrap_or_default());
                if path.file_name().and_then(of_file).as_ref() == Some(&name) {
                    return ModprobeAnswer::File(path.to_owned());
                }
            }
            "builtin" if rest.trim().replace('-', "_") == name => return ModprobeAnswer::Builtin,
            _ => {}
        }
    }
    match text.lines().rev().find_map(|line| line.strip_prefix("install ")) {
        Some(command) => ModprobeAnswer::Runs(command.trim().to_owned()),
        None => ModprobeAnswer::Fails("modprobe reports no file".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let dir = Utf8Path::new("/a root/lib/modules/7.1");
        let file = |path: &str| ModprobeAnswer::File(path.into());
        let table = [
            (
                "insmod /a root/lib/modules/7.1/kernel/a.ko.xz \ninsmod /a root/lib/modules/7.1/extra/x-y.ko mode=1\n",
                file("extra/x-y.ko"),
            ),
            (
                "insmod /a root/lib/modules/7.1/extra/x_y.ko \ninsmod /a root/lib/modules/7.1/kernel/soft.ko\n",
                file("extra/x_y.ko"),
            ),
            ("builtin x_y\n", ModprobeAnswer::Builtin),
            ("install /bin/true \n", ModprobeAnswer::Runs("/bin/true".into())),
            ("", ModprobeAnswer::Fails("modprobe reports no file".into())),
        ];
        for (text, answer) in table {
            assert_eq!(read(text, dir, "x-y"), answer, "{text}");
        }
    }
}
