// SPDX-License-Identifier: GPL-2.0
//! What is put into a machine: the steps of its plan, and the module files that they name.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::Result;
use guest::{Expect, Plan, PlannedStep, Step};

use crate::initramfs::{Entry, Kind, archive};
use crate::modules::{GuestModule, Tree};
use crate::system::System;

/// Drivers of the verdict port, where the kernel does not have them built in.
const PORT_DRIVERS: &[&str] = &["virtio_pci", "virtio_console"];

/// What the SMB client loads at a mount by asking modprobe(8), which the guest does not have
/// (`request_module` and crypto templates; fs/smb/client/cifsfs.c, its soft dependencies).
const CIFS_ON_DEMAND: &[&str] = &[
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

/// How long the users of a module have to go before it is removed, in milliseconds.
const REMOVE_PATIENCE: u64 = 3000;

/// QEMU's user network gives the guest this address, and the host that of [`HOST`] (`-netdev user`).
pub const GUEST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

/// The host's loopback interface, as seen by the guest.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// Steps, and the modules they insert.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    early: Vec<String>,
    system: Option<System>,
    modules: BTreeMap<String, Vec<u8>>,
    steps: Vec<PlannedStep>,
    forwarded: Option<(u16, u16)>,
}

impl Payload {
    /// Nothing but the drivers that the verdict port needs, taken from the kernel's modules.
    pub fn new(tree: &Tree) -> Result<Self> {
        let mut payload = Self::default();
        let there: Vec<&str> = PORT_DRIVERS
            .iter()
            .copied()
            .filter(|name| tree.contains(name) && !tree.is_builtin(name))
            .collect();
        for module in tree.closure(&there)? {
            payload.early.push(module.file());
            payload.modules.insert(module.file(), module.image);
        }
        Ok(payload)
    }

    /// Adds a step that must succeed.
    pub fn step(&mut self, step: Step) -> &mut Self {
        self.expect(step, Expect::Success)
    }

    /// Adds a step that must end as `expect` says.
    pub fn expect(&mut self, step: Step, expect: Expect) -> &mut Self {
        self.steps.push(PlannedStep { step, expect });
        self
    }

    /// Inserts `module`, which must end as `expect` says. What it depends on is not added: see [`Payload::insert_with`].
    pub fn insert(&mut self, module: GuestModule, params: &str, expect: Expect) -> &mut Self {
        let file = module.file();
        self.modules.insert(file.clone(), module.image);
        self.expect(Step::InsertModule { file, params: params.to_owned() }, expect)
    }

    /// Inserts the stock modules `names` and what they depend on, in order; what is in already is left out.
    pub fn insert_stock(&mut self, tree: &Tree, names: &[&str]) -> Result<&mut Self> {
        for module in tree.closure(names)? {
            if !self.modules.contains_key(&module.file()) {
                self.insert(module, "", Expect::Success);
            }
        }
        Ok(self)
    }

    /// Inserts `module` after the stock modules it depends on. What was inserted before need not be the tree's.
    pub fn insert_with(&mut self, tree: &Tree, module: GuestModule, params: &str) -> Result<&mut Self> {
        let mut depends = module.modinfo.depends();
        depends.retain(|name| !self.modules.contains_key(&format!("{name}.ko")));
        for needed in tree.closure(&depends.iter().map(String::as_str).collect::<Vec<_>>())? {
            if !self.modules.contains_key(&needed.file()) {
                self.insert(needed, "", Expect::Success);
            }
        }
        Ok(self.insert(module, params, Expect::Success))
    }

    /// Puts what an installed system loads modules with into the machine; [`Payload::run`] then finds its `modprobe`.
    pub fn system(&mut self, system: System) -> &mut Self {
        self.system = Some(system);
        self
    }

    /// Runs a program of the system that is in the machine; what it prints is the step's output.
    pub fn run(&mut self, program: &str, args: &[&str], expect: Expect) -> &mut Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.expect(Step::Run { program: program.to_owned(), args }, expect)
    }

    /// Removes the module `name`, whose users have a moment to go.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.step(Step::RemoveModule { name: name.to_owned(), patience: REMOVE_PATIENCE })
    }

    /// Brings up a network on which the guest reaches the host's loopback interface as [`HOST`].
    pub fn network(&mut self, tree: &Tree) -> Result<&mut Self> {
        self.insert_stock(tree, &["virtio_net"])?;
        Ok(self.step(Step::Network {
            interface: "eth0".to_owned(),
            address: GUEST_ADDRESS,
            prefix: 24,
            gateway: None,
        }))
    }

    /// Makes `port` of the host's loopback interface, which must be free, lead to a port of the machine. It needs a network.
    pub fn forward(&mut self, port: u16, to: u16) -> &mut Self {
        self.forwarded = Some((port, to));
        self
    }

    /// The port that leads to the machine, and to which of its ports.
    pub fn forwarded(&self) -> Option<(u16, u16)> {
        self.forwarded
    }

    /// Inserts what the SMB client asks for at a mount; a kernel that lacks one has it built in, or does without.
    pub fn cifs_companions(&mut self, tree: &Tree) -> Result<&mut Self> {
        let there: Vec<&str> = CIFS_ON_DEMAND.iter().copied().filter(|name| tree.contains(name)).collect();
        self.insert_stock(tree, &there)
    }

    /// Mounts `share` of an SMB server that listens on `port` of the host's loopback interface. `options` come after `ip=` and
    /// `port=`, for example `vers=3.1.1,sec=none`.
    pub fn mount_share(&mut self, share: &str, port: u16, options: &str, target: &str) -> &mut Self {
        self.step(Step::MountCifs {
            source: format!("//{HOST}/{share}"),
            options: format!("ip={HOST},port={port},{options}"),
            target: target.to_owned(),
        })
    }

    /// Whether a step needs a network.
    pub fn needs_network(&self) -> bool {
        self.steps.iter().any(|planned| matches!(planned.step, Step::Network { .. }))
    }

    /// The plan for one run.
    pub fn plan(&self, nonce: &str) -> Plan {
        Plan { nonce: nonce.to_owned(), early: self.early.clone(), steps: self.steps.clone() }
    }

    /// The initramfs: the system, if there is one, `init`, the plan, the modules.
    pub fn initramfs(&self, init: &[u8], plan: &Plan) -> Result<Vec<u8>> {
        let plan = serde_json::to_vec(plan)?;
        let plan_path = guest::PLAN.trim_start_matches('/');
        let modules_dir = guest::MODULES.trim_start_matches('/');
        let files: Vec<(String, &[u8])> = self
            .modules
            .iter()
            .map(|(file, image)| (format!("{modules_dir}/{file}"), image.as_slice()))
            .collect();
        let mut entries = vec![
            Entry { path: "dev", kind: Kind::Directory },
            // Opened by the kernel for init before init can mount devtmpfs.
            Entry { path: "dev/console", kind: Kind::Device { major: 5, minor: 1 } },
            Entry { path: "init", kind: Kind::Program(init) },
            Entry { path: plan_path, kind: Kind::File(&plan) },
            Entry { path: modules_dir, kind: Kind::Directory },
        ];
        entries.extend(files.iter().map(|(path, image)| Entry { path, kind: Kind::File(image) }));
        // The kernel unpacks one archive after the other (buffer-format.rst).
        let mut image = self.system.as_ref().map_or_else(Vec::new, |system| system.archive().to_vec());
        image.extend(archive(&entries));
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(name: &str) -> GuestModule {
        GuestModule::of_bytes(name, b"elf".to_vec())
    }

    #[test]
    fn plan_keeps_the_order_of_steps() {
        let mut payload = Payload::default();
        payload.insert(module("b"), "x=1", Expect::Success).insert(module("a"), "", Expect::Any).remove("b");
        let plan = payload.plan("n");
        let shown: Vec<String> = plan.steps.iter().map(|planned| planned.step.to_string()).collect();
        assert_eq!(shown, ["insmod b.ko x=1", "insmod a.ko", "rmmod b"]);
        assert!(!payload.needs_network());
    }

    #[test]
    fn share_is_mounted_by_address() {
        let mut payload = Payload::default();
        payload.mount_share("demo", 4455, "vers=3.1.1,sec=none", "/mnt");
        let Step::MountCifs { source, options, .. } = &payload.plan("n").steps[0].step else { panic!() };
        assert_eq!(source, "//10.0.2.2/demo");
        assert_eq!(options, "ip=10.0.2.2,port=4455,vers=3.1.1,sec=none");
    }

    #[test]
    fn initramfs_holds_init_plan_and_modules() {
        let mut payload = Payload::default();
        payload.insert(module("b"), "", Expect::Success);
        let image = payload.initramfs(b"init", &payload.plan("n")).unwrap();
        let text = String::from_utf8_lossy(&image);
        for name in ["dev/console\0", "init\0", "plan.json\0", "modules/b.ko\0", "TRAILER!!!\0"] {
            assert!(text.contains(name), "{name}");
        }
    }
}
