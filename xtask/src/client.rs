// SPDX-License-Identifier: GPL-2.0
//! The SMB client in a virtual machine: what it needs there, and how it mounts a share.

use anyhow::Result;
use guest::ShareStep;
use vm::modules::ModuleTree;
use vm::payload::HOST;
use vm_protocol::GuestStep;

/// A step of the sample's init.
pub type SampleStep = GuestStep<ShareStep>;

/// What goes into a machine that runs the sample's init.
pub type SamplePayload = vm::Payload<ShareStep>;

/// A machine that runs it.
pub type SampleMachine<'a> = vm::Machine<'a, ShareStep>;

/// The client's module.
pub const MODULE: &str = "cifs";

/// What the client loads at a mount by asking modprobe(8), which the guest does not have
/// (`request_module` and crypto templates; fs/smb/client/cifsfs.c, its soft dependencies).
const ON_DEMAND: &[&str] = &[
    "aes_generic",
    "ccm",
    "cmac",
    "ctr",
    "gcm",
    "ghash_generic",
    "hmac",
    "nls_utf8",
    "sha256_generic",
    "sha512_generic",
];

/// Steps of an SMB client.
pub trait ClientSteps {
    /// Inserts what the client asks for at a mount; a kernel that lacks one has it built in, or
    /// does without.
    fn cifs_companions(&mut self, tree: &ModuleTree) -> Result<&mut Self>;

    /// Mounts `share` of a server that listens on `port` of the host's loopback interface.
    /// `options` come after `ip=` and `port=`, for example `vers=3.1.1,sec=none`.
    fn mount_share(&mut self, share: &str, port: u16, options: &str, target: &str) -> &mut Self;
}

impl ClientSteps for SamplePayload {
    fn cifs_companions(&mut self, tree: &ModuleTree) -> Result<&mut Self> {
        let there: Vec<&str> = ON_DEMAND.iter().copied().filter(|name| tree.contains(name)).collect();
        self.insert_stock(tree, &there)
    }

    fn mount_share(&mut self, share: &str, port: u16, options: &str, target: &str) -> &mut Self {
        self.step(mount(&HOST.to_string(), share, &format!("port={port},{options}"), target))
    }
}

/// Mounts `share` of the server at `address`, which is no name: the guest resolves none. The client
/// wants it in `ip=` besides, where mount.cifs(8) would have put it.
pub fn mount(address: &str, share: &str, options: &str, target: &str) -> SampleStep {
    SampleStep::Mount {
        file_system: MODULE.to_owned(),
        source: format!("//{address}/{share}"),
        target: target.to_owned(),
        options: format!("ip={address},{options}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_is_mounted_by_address() {
        let SampleStep::Mount { source, options, .. } =
            mount("10.0.2.2", "demo", "port=4455,sec=none", "/mnt")
        else {
            panic!()
        };
        assert_eq!(source, "//10.0.2.2/demo");
        assert_eq!(options, "ip=10.0.2.2,port=4455,sec=none");
    }
}
