// SPDX-License-Identifier: GPL-2.0
//! The environment of commands in a build root: the same variables everywhere, and private
//! namespaces in a tree.

use report::process::Cmd;

use crate::machine::user;

/// `PATH` in every root: the distribution's programs, no toolchain of the user's.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment every command in a root gets besides its own.
pub(super) static ENVIRONMENT: [(&str, &str); 4] =
    [("PATH", PATH), ("HOME", "/tmp"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC")];

/// `unshare` with mount and PID namespaces of its own and, for an ordinary user, a user namespace
/// in which they are root. All processes in it end with this program, even if that is killed.
pub(crate) fn namespaces() -> Cmd {
    let cmd = Cmd::new("unshare").bound("KILL");
    let cmd = if user::is_root() { cmd } else { cmd.args(["--map-auto", "--map-root-user"]) };
    cmd.args(["--mount", "--pid", "--fork", "--kill-child=KILL"])
}
