// SPDX-License-Identifier: GPL-2.0
//! What is put into a machine: an init, the steps of its plan, and the module files that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use anyhow::Result;
use kmodfile::architecture::Architecture;
use report::failure::Failure;
use vm_protocol::{
    Expect, ExtraStep, GuestPlan, GuestStep, HandedFile, Handover, MODULES, NoExtraStep, PLAN, PlannedStep,
};

use crate::guest_file::GuestFile;
use crate::init::Init;
use crate::initramfs::{ArchiveEntry, EntryKind, archive};
use crate::leaks::KMEMLEAK;
use crate::modules::{GuestModule, ModuleTree};
use crate::system::SystemArchive;

/// Drivers of the verdict port, where the kernel does not have them built in.
const PORT_DRIVERS: &[&str] = &["virtio_pci", "virtio_console"];

/// How long the users of a module have to go before it is removed, in milliseconds.
const REMOVE_PATIENCE: u64 = 3000;

/// QEMU's user network gives the guest this address, and the host that of [`HOST`] (`-netdev
/// user`).
pub const GUEST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

/// The host's loopback interface, as seen by the guest.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// An init, its steps, and the modules they insert. `X` is the type of the steps that only this
/// init has.
#[derive(Clone, Debug)]
pub struct Payload<X = NoExtraStep> {
    init: Init<X>,
    early: Vec<String>,
    system: Option<SystemArchive>,
    modules: BTreeMap<String, Vec<u8>>,
    /// What else is in the machine.
    files: Vec<GuestFile>,
    /// Files of modules that are the kernel's own.
    stock: BTreeSet<String>,
    steps: Vec<PlannedStep<X>>,
    forwarded: Option<(u16, u16)>,
}

impl Payload {
    /// The tool's own init, and nothing but the drivers that the verdict port needs, taken from the
    /// kernel's modules.
    pub fn new(tree: &ModuleTree) -> Result<Self> {
        Self::with_init(Init::own(tree.architecture())?, tree)
    }
}

impl<X: ExtraStep> Payload<X> {
    /// The same with another init.
    ///
    /// # Errors
    ///
    /// Refused, if it is for other machines than the modules.
    pub fn with_init(init: Init<X>, tree: &ModuleTree) -> Result<Self> {
        if init.architecture() != tree.architecture() {
            let reason =
                format!("is for {}, the kernel's modules for {}", init.architecture(), tree.architecture());
            return Err(Failure::refused("the init of the virtual machine", reason).into());
        }
        let mut payload = Self::empty(init);
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

    fn empty(init: Init<X>) -> Self {
        Self {
            init,
            early: Vec::new(),
            system: None,
            modules: BTreeMap::new(),
            files: Vec::new(),
            stock: BTreeSet::new(),
            steps: Vec::new(),
            forwarded: None,
        }
    }

    /// What machines it is for.
    pub fn architecture(&self) -> Architecture {
        self.init.architecture()
    }

    /// Adds a step that must succeed.
    pub fn step(&mut self, step: impl Into<GuestStep<X>>) -> &mut Self {
        self.expect(step, Expect::Success)
    }

    /// Adds a step that must end as `expect` says.
    pub fn expect(&mut self, step: impl Into<GuestStep<X>>, expect: Expect) -> &mut Self {
        self.steps.push(PlannedStep { step: step.into(), expect });
        self
    }

    /// Inserts `module`, which must end as `expect` says. What it depends on is not added: see
    /// [`Payload::insert_with`].
    pub fn insert(&mut self, module: GuestModule, params: &str, expect: Expect) -> &mut Self {
        let file = module.file();
        self.stock.remove(&file);
        self.modules.insert(file.clone(), module.image);
        self.expect(GuestStep::InsertModule { file, params: params.to_owned() }, expect)
    }

    /// Inserts the stock modules `names` and what they depend on, in order; what is in already is
    /// left out.
    pub fn insert_stock(&mut self, tree: &ModuleTree, names: &[&str]) -> Result<&mut Self> {
        for module in tree.closure(names)? {
            if !self.modules.contains_key(&module.file()) {
                let file = module.file();
                self.insert(module, "", Expect::Success);
                self.stock.insert(file);
            }
        }
        Ok(self)
    }

    /// Inserts `module` after the stock modules it depends on. What was inserted before need not be
    /// the tree's.
    pub fn insert_with(&mut self, tree: &ModuleTree, module: GuestModule, params: &str) -> Result<&mut Self> {
        let mut depends = module.modinfo.depends();
        depends.retain(|name| !self.modules.contains_key(&format!("{name}.ko")));
        self.insert_stock(tree, &depends.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(self.insert(module, params, Expect::Success))
    }

    /// Puts what an installed system loads modules with into the machine; [`Payload::run`] then
    /// finds its `modprobe`.
    pub fn system(&mut self, system: SystemArchive) -> &mut Self {
        self.system = Some(system);
        self
    }

    /// Puts files into the machine.
    pub fn files(&mut self, files: Vec<GuestFile>) -> &mut Self {
        self.files.extend(files);
        self
    }

    /// Runs a program of the system that is in the machine; what it prints is the step's output.
    pub fn run(&mut self, program: &str, args: &[&str], expect: Expect) -> &mut Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.expect(GuestStep::Run { program: program.to_owned(), args }, expect)
    }

    /// Removes the module `name`, whose users have a moment to go.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.step(GuestStep::RemoveModule { name: name.to_owned(), patience: REMOVE_PATIENCE })
    }

    /// The same, where somebody may have removed it already.
    pub fn remove_if_there(&mut self, name: &str) -> &mut Self {
        let step = GuestStep::RemoveModule { name: name.to_owned(), patience: REMOVE_PATIENCE };
        self.expect(step, Expect::Any)
    }

    /// Has kmemleak look for memory that nothing points to, and brings back what it found. What is
    /// lost is told after two scans, as it must be the same in both.
    pub fn look_for_leaks(&mut self) -> &mut Self {
        for _ in 0..2 {
            let scan = GuestStep::WriteFile { path: KMEMLEAK.to_owned(), content: "scan".to_owned() };
            self.step(scan);
        }
        self.step(GuestStep::ReadFile { path: KMEMLEAK.to_owned() })
    }

    /// Records what is reached in instrumented modules once the kernel's own are in, and brings it
    /// back at the end: no step may be added after that.
    pub fn record_coverage(&mut self) -> &mut Self {
        let start = PlannedStep { step: GuestStep::StartCoverage, expect: Expect::Success };
        self.steps.insert(self.stock_steps(), start);
        self.step(GuestStep::ReadCoverage)
    }

    /// Brings up a network on which the guest reaches the host's loopback interface as [`HOST`].
    pub fn network(&mut self, tree: &ModuleTree) -> Result<&mut Self> {
        self.insert_stock(tree, &["virtio_net"])?;
        Ok(self.step(GuestStep::Network {
            interface: "eth0".to_owned(),
            address: GUEST_ADDRESS,
            prefix: 24,
            gateway: None,
        }))
    }

    /// Brings up a network on which the guest reaches all that the host does, by way of the host.
    pub fn network_beyond(&mut self, tree: &ModuleTree) -> Result<&mut Self> {
        self.insert_stock(tree, &["virtio_net"])?;
        Ok(self.step(GuestStep::Network {
            interface: "eth0".to_owned(),
            address: GUEST_ADDRESS,
            prefix: 24,
            gateway: Some(HOST),
        }))
    }

    /// Makes `port` of the host's loopback interface, which must be free, lead to a port of the
    /// machine. It needs a network.
    pub fn forward(&mut self, port: u16, to: u16) -> &mut Self {
        self.forwarded = Some((port, to));
        self
    }

    /// The port that leads to the machine, and to which of its ports.
    pub fn forwarded(&self) -> Option<(u16, u16)> {
        self.forwarded
    }

    /// Whether a step needs a network.
    pub fn needs_network(&self) -> bool {
        self.steps.iter().any(|planned| matches!(planned.step, GuestStep::Network { .. }))
    }

    /// The plan for one run.
    pub fn plan(&self, nonce: &str) -> GuestPlan<X> {
        let (early, steps) = (self.early.clone(), self.steps.clone());
        GuestPlan { nonce: nonce.to_owned(), early, steps, waits: false }
    }

    /// How many steps at the beginning insert the kernel's own modules and nothing else.
    fn stock_steps(&self) -> usize {
        let is_stock = |planned: &&PlannedStep<X>| match &planned.step {
            GuestStep::InsertModule { file, .. } => self.stock.contains(file),
            _ => false,
        };
        self.steps.iter().take_while(is_stock).count()
    }

    /// The plan of a machine that waits once the kernel's own modules are in.
    pub(crate) fn plan_to_wait(&self, nonce: &str) -> GuestPlan<X> {
        let mut plan = self.plan(nonce);
        plan.steps.truncate(self.stock_steps());
        plan.waits = true;
        plan
    }

    /// What the machine that waits is then given; [`Payload::handed_over`] follows it.
    pub(crate) fn handover(&self, nonce: &str, time: u64, entropy: String) -> Handover<X> {
        let steps = self.steps[self.stock_steps()..].to_vec();
        let modules = self.modules_handed_over().map(|(file, image)| HandedFile {
            path: format!("{MODULES}/{file}"),
            length: image.len() as u64,
            program: false,
        });
        let files = self.files.iter().map(|file| HandedFile {
            path: file.path.clone(),
            length: file.content.len() as u64,
            program: file.program,
        });
        Handover { nonce: nonce.to_owned(), steps, files: modules.chain(files).collect(), time, entropy }
    }

    /// The bytes of the files of [`Payload::handover`].
    pub(crate) fn handed_over(&self) -> impl Iterator<Item = &[u8]> {
        let files = self.files.iter().map(|file| file.content.as_slice());
        self.modules_handed_over().map(|(_, image)| image.as_slice()).chain(files)
    }

    fn modules_handed_over(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        let before: BTreeSet<String> = self.files_of(&self.plan_to_wait(""));
        self.modules.iter().filter(move |(file, _)| !before.contains(*file))
    }

    /// The module files that a plan names.
    fn files_of(&self, plan: &GuestPlan<X>) -> BTreeSet<String> {
        let inserted = plan.steps.iter().filter_map(|planned| match &planned.step {
            GuestStep::InsertModule { file, .. } => Some(file),
            _ => None,
        });
        plan.early.iter().chain(inserted).cloned().collect()
    }

    /// The initramfs: the system, if there is one, the init, the plan, the modules that it names.
    pub fn initramfs(&self, plan: &GuestPlan<X>) -> Result<Vec<u8>> {
        let (named, waits) = (self.files_of(plan), plan.waits);
        let plan = serde_json::to_vec(plan)?;
        let plan_path = PLAN.trim_start_matches('/');
        let modules_dir = MODULES.trim_start_matches('/');
        let files: Vec<(String, &[u8])> = self
            .modules
            .iter()
            .filter(|(file, _)| named.contains(*file))
            .map(|(file, image)| (format!("{modules_dir}/{file}"), image.as_slice()))
            .collect();
        let mut entries = vec![
            ArchiveEntry { path: "dev", kind: EntryKind::Directory },
            // Opened by the kernel for init before init can mount devtmpfs.
            ArchiveEntry { path: "dev/console", kind: EntryKind::Device { major: 5, minor: 1 } },
            ArchiveEntry { path: "init", kind: EntryKind::Program(self.init.program()) },
            ArchiveEntry { path: plan_path, kind: EntryKind::File(&plan) },
            ArchiveEntry { path: modules_dir, kind: EntryKind::Directory },
        ];
        entries.extend(files.iter().map(|(path, image)| ArchiveEntry { path, kind: EntryKind::File(image) }));
        // A machine that waits gets them later.
        let taken: &[GuestFile] = if waits { &[] } else { &self.files };
        let parents: BTreeSet<&str> = taken.iter().flat_map(|file| parents(&file.path)).collect();
        entries.extend(parents.into_iter().map(|path| ArchiveEntry { path, kind: EntryKind::Directory }));
        entries.extend(taken.iter().map(|file| ArchiveEntry {
            path: file.path.trim_start_matches('/'),
            kind: if file.program {
                EntryKind::Program(&file.content)
            } else {
                EntryKind::File(&file.content)
            },
        }));
        // The kernel unpacks one archive after the other (buffer-format.rst).
        let mut image = self.system.as_ref().map_or_else(Vec::new, |system| system.archive().to_vec());
        image.extend(archive(&entries));
        Ok(image)
    }
}

/// The directories above an absolute path, the outermost first, without the leading slash.
fn parents(path: &str) -> Vec<&str> {
    let path = path.trim_start_matches('/');
    path.match_indices('/').map(|(at, _)| &path[..at]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(name: &str) -> GuestModule {
        GuestModule::of_bytes(name, b"elf".to_vec())
    }

    #[test]
    fn plan_keeps_the_order_of_steps() {
        let mut payload = Payload::empty(Init::own(Architecture::native().unwrap()).unwrap());
        payload.insert(module("b"), "x=1", Expect::Success).insert(module("a"), "", Expect::Any).remove("b");
        let plan = payload.plan("n");
        let shown: Vec<String> = plan.steps.iter().map(|planned| planned.step.to_string()).collect();
        assert_eq!(shown, ["insmod b.ko x=1", "insmod a.ko", "rmmod b"]);
        assert!(!payload.needs_network());
    }

    #[test]
    fn what_is_handed_over_is_what_a_saved_machine_lacks() {
        let mut payload = Payload::empty(Init::own(Architecture::native().unwrap()).unwrap());
        payload.insert(module("dep"), "", Expect::Success);
        payload.stock.insert("dep.ko".to_owned());
        payload.insert(module("mine"), "x=1", Expect::Success).remove("mine").remove("dep");
        let waiting = payload.plan_to_wait("n");
        let rest = payload.handover("m", 1, "00".to_owned());
        assert!(waiting.waits && !payload.plan("n").waits);
        assert_eq!([waiting.steps.clone(), rest.steps].concat(), payload.plan("n").steps);
        let handed = HandedFile { path: "/modules/mine.ko".to_owned(), length: 3, program: false };
        assert_eq!((waiting.steps.len(), rest.files), (1, vec![handed]));
        assert_eq!(payload.handed_over().collect::<Vec<_>>(), [b"elf"]);
        let image = payload.initramfs(&waiting).unwrap();
        let text = String::from_utf8_lossy(&image);
        assert!(text.contains("modules/dep.ko\0") && !text.contains("modules/mine.ko\0"));
        // A module of somebody's in the place of the kernel's own is not the kernel's own.
        payload.insert(module("dep"), "", Expect::Success);
        assert_eq!(payload.plan_to_wait("n").steps.len(), 0);
    }

    #[test]
    fn a_saved_machine_has_nothing_of_coverage() {
        let mut payload = Payload::empty(Init::own(Architecture::native().unwrap()).unwrap());
        payload.insert(module("dep"), "", Expect::Success);
        payload.stock.insert("dep.ko".to_owned());
        payload.insert(module("mine"), "", Expect::Success).remove("mine").record_coverage();
        let shown: Vec<String> =
            payload.plan("n").steps.iter().map(|planned| planned.step.to_string()).collect();
        let expected = ["insmod dep.ko", "start coverage", "insmod mine.ko", "rmmod mine", "read coverage"];
        assert_eq!(shown, expected);
        assert_eq!(payload.plan_to_wait("n").steps.len(), 1);
    }

    #[test]
    fn initramfs_holds_init_plan_and_modules() {
        let mut payload = Payload::empty(Init::own(Architecture::native().unwrap()).unwrap());
        payload.insert(module("b"), "", Expect::Success);
        let image = payload.initramfs(&payload.plan("n")).unwrap();
        let text = String::from_utf8_lossy(&image);
        for name in ["dev/console\0", "init\0", "plan.json\0", "modules/b.ko\0", "TRAILER!!!\0"] {
            assert!(text.contains(name), "{name}");
        }
    }
}
