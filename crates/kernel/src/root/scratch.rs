// SPDX-License-Identifier: GPL-2.0
//! A build root that may be written to and is thrown away afterwards: for whatever installs into a
//! system's own directories, as dpkg(1), dkms(8), rpm(8) and depmod(8) do.
//!
//! An overlay (Documentation/filesystems/overlayfs.rst) is laid over the tree inside the namespaces
//! of each command. What was changed is in a directory of the caller's; the tree itself, and
//! whoever else uses it, sees nothing.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::context::Context;
use crate::root::access::Access;
use crate::root::removal;
use crate::root::tree::TreeRoot;
use report::process::Cmd;

/// A writable view of a root. One command at a time: the kernel does not let two overlays share
/// their changes.
#[derive(Debug)]
pub struct Scratch {
    root: TreeRoot,
    layers: Vec<Utf8PathBuf>,
    changes: Utf8PathBuf,
}

impl Scratch {
    /// An unchanged view of `root`, whose changes will be in `changes`: a directory on a file
    /// system with extended attributes, made if need be. What is changed there already is seen.
    pub fn over(root: &TreeRoot, changes: &Utf8Path) -> Result<Self> {
        for part in ["upper", "work"] {
            fs_err::create_dir_all(changes.join(part))?;
        }
        Ok(Self { root: root.clone(), layers: Vec::new(), changes: changes.to_owned() })
    }

    /// Lays `tree` between the root and the changes: the unpacked packages of a kernel, for
    /// example, which are then as good as installed. It is not written to.
    #[must_use]
    pub fn with_layer(mut self, tree: impl AsRef<Utf8Path>) -> Self {
        self.layers.push(tree.as_ref().to_owned());
        self
    }

    /// `cmd` as it runs in the tree, as its root user, without a network, `/` writable. `/tmp` and
    /// `/run` are empty each time.
    pub fn inside(&self, context: &Context, cmd: Cmd, access: &Access) -> Cmd {
        self.root.inside_with(context, cmd, access, |outer| {
            let outer = outer.arg("--changes").arg(&self.changes);
            self.layers.iter().fold(outer, |outer, layer| outer.arg("--layer").arg(layer))
        })
    }

    /// Runs `cmd` in the tree and gives its trimmed standard output.
    pub fn read(&self, context: &Context, cmd: Cmd) -> Result<String> {
        self.inside(context, cmd, &Access::default()).read(&context.report)
    }

    /// Throws the changes away.
    pub fn remove(self, context: &Context) -> Result<()> {
        removal::remove(context, &self.changes)
    }
}
