// SPDX-License-Identifier: GPL-2.0
//! Signs packages with a GPG key of the user's, by rpmsign(8) on this machine: no key goes into a build root.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::context::Context;
use crate::process::Cmd;

/// Signs `files` in place with the key that gpg knows by the name `key`.
pub fn packages(context: &Context, key: &str, files: &[Utf8PathBuf]) -> Result<()> {
    let cmd = Cmd::new("rpmsign").arg("--define").arg(format!("_gpg_name {key}")).arg("--addsign");
    cmd.args(files).run(&context.report)?;
    Ok(())
}
