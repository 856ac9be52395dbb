// SPDX-License-Identifier: GPL-2.0
//! A build root made and entered by an ordinary user, through user namespaces. When the suite runs
//! as root, an ordinary user is made up for it: files that name them are laid over `/etc` in a
//! private mount namespace, so that the machine's own stay as they are.

use std::os::unix::fs::chown;
use std::process::ExitCode;

use camino::{Utf8Path, Utf8PathBuf};
use kernel::distribution::debian;
use kernel::machine::user;
use kernel::root::tree::TreeRoot;
use kernel::root::{Access, removal};
use libtest_mimic::Trial;
use report::cache::Cache;
use report::process::Cmd;

use crate::suite::{Suite, quiet_context, scratch};

/// Set for the run of this program as the ordinary user: the directory to work in.
const CHILD: &str = "CIFS_FIX_TEST_UNPRIVILEGED";

/// The made-up user.
const UID: u32 = 54_321;

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![suite.trial("root::an_ordinary_user_makes_enters_and_removes_one", an_ordinary_user)]
}

fn an_ordinary_user(suite: &Suite) {
    let (_dir, path) = scratch();
    let program = Utf8PathBuf::from_path_buf(std::env::current_exe().unwrap()).unwrap();
    let cmd = if user::is_root() { as_made_up_user(&path, &program) } else { Cmd::new(program) };
    let output = cmd.env(CHILD, &path).finish(&suite.context().report).unwrap();
    assert!(output.status.success(), "{}", output.tail);
    assert!(output.text().contains("made, entered and removed"), "{}", output.tail);
}

/// `program`, copied to where the made-up user can read it, in a mount namespace where that user
/// exists.
fn as_made_up_user(dir: &Utf8Path, program: &Utf8Path) -> Cmd {
    let lines = [
        ("passwd", format!("builder:x:{UID}:{UID}::{dir}:/bin/sh\n")),
        ("group", format!("builder:x:{UID}:\n")),
        ("subuid", "builder:2000000:65536\n".to_owned()),
        ("subgid", "builder:2000000:65536\n".to_owned()),
    ];
    for (name, line) in lines {
        let own = fs_err::read_to_string(Utf8Path::new("/etc").join(name)).unwrap_or_default();
        fs_err::write(dir.join(name), own + &line).unwrap();
    }
    for (from, to) in [(program, "trials"), (Utf8Path::new(crate::suite::PROGRAM), "xtask")] {
        fs_err::copy(from, dir.join(to)).unwrap();
    }
    chown(dir, Some(UID), Some(UID)).unwrap();
    let script = r#"
        for name in passwd group subuid subgid; do
            test -e /etc/$name || : > /etc/$name
            mount --bind "$1/$name" /etc/$name
        done
        exec setpriv --reuid "$2" --regid "$2" --clear-groups --inh-caps=-all env HOME="$1" "$1/trials"
    "#;
    Cmd::new("unshare").args(["--mount", "sh", "-eu", "-c", script, "sh", dir.as_str(), &UID.to_string()])
}

/// As the ordinary user: makes a small root, builds in it, and removes it. `None` in the suite's
/// own run.
pub(crate) fn child() -> Option<ExitCode> {
    let dir = Utf8PathBuf::from(std::env::var(CHILD).ok()?);
    assert!(!user::is_root(), "this is to run as an ordinary user");
    let mut context = quiet_context(Cache::at(dir.join("cache")).unwrap());
    if dir.join("xtask").exists() {
        context.program = dir.join("xtask");
    }
    let recipe = debian::recipe("stable", vec!["make".to_owned()]);
    let root = match TreeRoot::provide(&context, &recipe) {
        Ok(root) => root,
        Err(error) => {
            println!("{error:#}");
            return Some(ExitCode::FAILURE);
        }
    };
    let work = dir.join("work");
    fs_err::create_dir(&work).unwrap();
    fs_err::write(work.join("Makefile"), "all:\n\tid -u > made\n\techo nothing > /dev/null\n").unwrap();
    let cmd = root.inside(&context, Cmd::new("make").cwd(&work), &Access::default().write(&work));
    cmd.run(&context.report).unwrap();
    // Root inside, this user outside.
    assert_eq!(fs_err::read_to_string(work.join("made")).unwrap(), "0\n");
    let place = root.tree().parent().unwrap();
    removal::remove(&context, place).unwrap();
    assert!(!place.exists());
    println!("made, entered and removed");
    Some(ExitCode::SUCCESS)
}
