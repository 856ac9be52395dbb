// SPDX-License-Identifier: GPL-2.0
//! The argument vector of QEMU: a machine with no device that the run does not need.

use camino::Utf8Path;
use kernel::machine::programs::Program;
use kmodfile::architecture::Architecture;

use crate::accelerator::Accelerator;
use crate::board::Board;
use crate::secure_boot::Firmware;
use crate::share::{SharedBy, SharedDirectory};
use report::process::Cmd;

/// What booting a kernel of `architecture` needs of this machine.
pub fn programs(architecture: Architecture) -> &'static [Program] {
    Board::of(architecture).programs
}

/// Kernel parameters that every machine gets. Not `quiet`: it would save a twentieth of the time,
/// and take the log away from a boot that fails.
///
/// The guest's detectors of hangs come one after the other, the most telling first, and all before
/// the host's idle limit: RCU stall 8 s, soft lockup 10 s, hung task 12 to 18 s.
const PARAMETERS: &[&str] = &[
    // Panics end the machine (`-no-reboot`); whatever leads to one says so first.
    "panic=-1",
    "oops=panic",
    "softlockup_panic=1",
    "hung_task_panic=1",
    "sysctl.kernel.panic_on_rcu_stall=1",
    "rcupdate.rcu_cpu_stall_timeout=8",
    "watchdog_thresh=5",
    "sysctl.kernel.hung_task_timeout_secs=12",
    "sysctl.kernel.hung_task_check_interval_secs=6",
];

/// Kernel parameters that only save time: the self-tests of algorithms are a quarter of an emulated
/// run that loads a module with much cryptography, mitigations a tenth. (`tsc=reliable`, less
/// memory, qboot, another processor model, no console: nothing worth having.)
const FASTER: &[&str] = &["cryptomgr.notests", "mitigations=off"];

/// What QEMU is to run.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a> {
    /// What the kernel is for.
    pub architecture: Architecture,
    /// How instructions are executed.
    pub accelerator: Accelerator,
    /// How the kernel comes to run.
    pub boot: Boot<'a>,
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub processors: u32,
    /// Gets the serial console, after what is there already.
    pub console: &'a Utf8Path,
    /// A listening Unix socket that gets the verdict port.
    pub port: &'a Utf8Path,
    /// Whether there is a network interface.
    pub network: bool,
    /// A free port of the host's loopback interface, and the port of the guest that it leads to.
    pub forward: Option<(u16, u16)>,
    /// Gets what passes over it, as pcap.
    pub capture: Option<&'a Utf8Path>,
    /// Whether each instruction takes the guest a nanosecond. Emulated only.
    pub counted: bool,
    /// That the machine is to be saved, or goes on from where it was.
    pub saved: Option<SavedMemory<'a>>,
    /// Directories of the host.
    pub shares: Shares<'a>,
    /// What a program in it talks to the user over.
    pub talk: Option<Talked<'a>>,
    /// Gets the socket of the debugger's stub.
    pub debugger: Option<&'a Utf8Path>,
}

/// Directories of the host that a machine sees.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shares<'a> {
    /// Each.
    pub all: &'a [SharedDirectory],
    /// Where the sockets of what serves them are.
    pub session: Option<&'a Utf8Path>,
}

impl Shares<'_> {
    /// Whether something besides QEMU reads and writes the machine's memory.
    fn share_memory(&self) -> bool {
        self.all.iter().any(|share| matches!(share.by, SharedBy::Virtiofs(_)))
    }

    fn add_to(&self, cmd: Cmd, megabytes: u32) -> Cmd {
        let session = self.session.unwrap_or(Utf8Path::new("/"));
        let cmd = self.all.iter().fold(cmd, |cmd, share| share.add_to(cmd, session));
        if self.share_memory() {
            let memory = format!("memory-backend-memfd,id=memory,size={megabytes}M,share=on");
            return cmd.args(["-object", &memory]);
        }
        cmd
    }
}

/// Memory of a machine that is saved, or goes on from where it was.
#[derive(Clone, Copy, Debug)]
pub struct SavedMemory<'a> {
    /// The file that it is, or is to be, in.
    pub file: &'a Utf8Path,
    /// A listening Unix socket that gets the monitor (QMP).
    pub monitor: &'a Utf8Path,
    /// Whether the machine goes on: it waits for its devices' state, and what it writes to its
    /// memory is its own, and no other's that goes on from the same file.
    pub goes_on: bool,
}

/// How the kernel comes to run.
#[derive(Clone, Copy, Debug)]
pub enum Boot<'a> {
    /// QEMU starts it, without firmware: much the fastest.
    Direct {
        /// An uncompressed kernel, as [`crate::kernel_image`] gives it.
        vmlinux: &'a Utf8Path,
        /// The initramfs.
        initrd: &'a Utf8Path,
        /// Kernel parameters ([`kernel_parameters`]).
        parameters: &'a str,
    },
    /// Firmware with Secure Boot starts what is on its disk.
    Firmware(&'a Firmware),
}

impl Boot<'_> {
    /// QEMU's `-machine`.
    fn machine(self, board: &Board) -> &'static str {
        match self {
            Self::Direct { .. } => board.direct,
            Self::Firmware(_) => board.firmware,
        }
    }

    fn add_to(self, cmd: Cmd) -> Cmd {
        match self {
            Self::Direct { vmlinux, initrd, parameters } => cmd
                .args(["-kernel", vmlinux.as_str(), "-initrd", initrd.as_str()])
                .args(["-append", parameters]),
            Self::Firmware(Firmware { code, variables, disk }) => {
                let (code, variables, disk) = (escaped(code), escaped(variables), escaped(disk));
                cmd.args(["-global", "driver=cfi.pflash01,property=secure,value=on"])
                    .args(["-drive", &format!("if=pflash,unit=0,format=raw,readonly=on,file={code}")])
                    .args(["-drive", &format!("if=pflash,unit=1,format=raw,file={variables}")])
                    .args(["-blockdev", &format!("driver=vvfat,node-name=disk,read-only=on,dir={disk}")])
                    .args(["-device", "virtio-blk-pci,drive=disk"])
            }
        }
    }
}

/// The command that runs the machine; it ends when the process that started it does.
pub fn command(arguments: &Arguments<'_>) -> Cmd {
    let Arguments { architecture, accelerator, boot, console, port, .. } = arguments;
    let board = Board::of(*architecture);
    // Instructions can be counted where one thread executes them all.
    let accel = if arguments.counted { "tcg,thread=single,tb-size=128" } else { accelerator.option() };
    let has_backend = arguments.saved.is_some() || arguments.shares.share_memory();
    let memory = if has_backend { ",memory-backend=memory" } else { "" };
    let cmd = board
        .command()
        .bound("KILL")
        .args(["-no-user-config", "-nodefaults", "-display", "none", "-vga", "none", "-no-reboot"])
        .args(["-machine", &format!("{}{memory}", boot.machine(board))])
        .args(["-accel", accel, "-cpu", board.cpu(*accelerator)])
        .args(["-smp", &arguments.processors.to_string(), "-m", &arguments.memory.to_string()]);
    let cmd = boot
        .add_to(cmd)
        .args(["-chardev", &format!("file,id=console,append=on,path={}", escaped(console))])
        .args(["-serial", "chardev:console"])
        .args(["-device", "virtio-serial-pci,id=ports"])
        .args(["-chardev", &format!("socket,id=verdict,path={}", escaped(port))])
        .args(["-device", &format!("virtserialport,bus=ports.0,chardev=verdict,name={}", vm_protocol::PORT)]);
    let cmd = if arguments.counted { cmd.args(["-icount", "shift=0"]) } else { cmd };
    let cmd = match arguments.saved {
        Some(saved) => saved.add_to(cmd, arguments.memory),
        None => cmd,
    };
    let cmd = arguments.shares.add_to(cmd, arguments.memory);
    let cmd = match arguments.talk {
        Some(talked) => talked.add_to(cmd),
        None => cmd,
    };
    let cmd = match arguments.debugger {
        Some(socket) => cmd
            .args(["-chardev", &format!("socket,id=debugger,server=on,wait=off,path={}", escaped(socket))])
            .args(["-gdb", "chardev:debugger"]),
        None => cmd,
    };
    if !arguments.network {
        return cmd;
    }
    // Only a host on which something listens on the loopback interface can be reached; names are
    // not looked up.
    let forward = arguments.forward.map(|(host, guest)| format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}"));
    let netdev = format!("user,id=net,ipv6=off{}", forward.unwrap_or_default());
    let cmd = cmd.args(["-netdev", &netdev]).args(["-device", "virtio-net-pci,netdev=net,romfile="]);
    match arguments.capture {
        Some(file) => {
            cmd.args(["-object", &format!("filter-dump,id=capture,netdev=net,file={}", escaped(file))])
        }
        None => cmd,
    }
}

/// What a program in the machine talks to the user over.
#[derive(Clone, Copy, Debug)]
pub enum Talked<'a> {
    /// QEMU's own input and output. Keys that would end a program go to the machine.
    Terminal,
    /// A listening Unix socket that gets what it prints.
    Socket(&'a Utf8Path),
}

impl Talked<'_> {
    fn add_to(self, cmd: Cmd) -> Cmd {
        let (backend, device) = match self {
            Self::Terminal => {
                ("stdio,id=talk,signal=off".to_owned(), "virtconsole,bus=ports.0,chardev=talk".to_owned())
            }
            Self::Socket(path) => (
                format!("socket,id=talk,path={}", escaped(path)),
                format!("virtserialport,bus=ports.0,chardev=talk,name={}", vm_protocol::OUTPUT_PORT),
            ),
        };
        cmd.args(["-chardev", &backend, "-device", &device])
    }
}

impl SavedMemory<'_> {
    fn add_to(self, cmd: Cmd, megabytes: u32) -> Cmd {
        let share = if self.goes_on { "off" } else { "on" };
        let file = escaped(self.file);
        let memory = format!("memory-backend-file,id=memory,size={megabytes}M,share={share},mem-path={file}");
        let cmd = cmd
            .args(["-object", &memory])
            .args(["-chardev", &format!("socket,id=monitor,path={}", escaped(self.monitor))])
            .args(["-mon", "chardev=monitor,mode=control"]);
        if self.goes_on { cmd.args(["-incoming", "defer"]) } else { cmd }
    }
}

/// The parameters that a kernel gets, then `append`; the last of several alike counts.
pub fn kernel_parameters(
    architecture: Architecture,
    accelerator: Accelerator,
    processors: u32,
    append: &[String],
) -> String {
    let board = Board::of(architecture);
    let one_emulated = accelerator == Accelerator::Tcg && processors == 1;
    let one = if one_emulated { board.one_emulated } else { &[] };
    let console = format!("console={}", board.console);
    let fixed = [PARAMETERS, FASTER, board.faster, one].into_iter().flatten().copied();
    let all = std::iter::once(console.as_str()).chain(fixed).chain(append.iter().map(String::as_str));
    all.collect::<Vec<_>>().join(" ")
}

/// A path as a value among QEMU's comma-separated options: commas are doubled.
fn escaped(path: &Utf8Path) -> String {
    path.as_str().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accelerator::KvmProcessor;

    fn line(network: bool, append: &[String]) -> String {
        line_for(Architecture::Amd64, network, append)
    }

    fn line_for(architecture: Architecture, network: bool, append: &[String]) -> String {
        let (vmlinux, initrd) = (Utf8Path::new("/k/vmlinux"), Utf8Path::new("/k/initrd"));
        let arguments = Arguments {
            architecture,
            accelerator: Accelerator::Tcg,
            boot: Boot::Direct {
                vmlinux,
                initrd,
                parameters: &kernel_parameters(architecture, Accelerator::Tcg, 1, append),
            },
            memory: 256,
            processors: 1,
            console: Utf8Path::new("/k/a,b.log"),
            port: Utf8Path::new("/k/port"),
            network,
            forward: network.then_some((4455, 445)),
            capture: Some(Utf8Path::new("/k/a.pcap")),
            counted: network,
            saved: None,
            shares: Shares::default(),
            talk: None,
            debugger: None,
        };
        command(&arguments).line()
    }

    #[test]
    fn no_device_but_what_is_needed() {
        let line = line(false, &[]);
        assert!(line.contains("-nodefaults") && line.contains("-no-reboot"), "{line}");
        assert!(!line.contains("netdev"), "{line}");
        assert!(!line.contains("filter-dump") && !line.contains("icount"), "{line}");
        assert!(line.contains("path=/k/a,,b.log"), "{line}");
    }

    #[test]
    fn the_boards_timer_is_for_one_emulated_processor() {
        let has = |accelerator, processors| {
            kernel_parameters(Architecture::Amd64, accelerator, processors, &[]).contains("nolapic_timer")
        };
        assert!(has(Accelerator::Tcg, 1));
        assert!(!has(Accelerator::Tcg, 2) && !has(Accelerator::Kvm(KvmProcessor::Whole), 1));
    }

    #[test]
    fn a_machine_is_of_the_kernels_architecture() {
        let has = |architecture, words: &[&str]| {
            let line = line_for(architecture, true, &[]);
            words.iter().map(|word| line.contains(word)).collect::<Vec<_>>()
        };
        let amd64 = ["qemu-system-x86_64 ", "q35,", "console=ttyS0 ", "no_timer_check", "nolapic_timer"];
        let arm64 = ["qemu-system-aarch64 ", "-machine virt ", "console=ttyAMA0 ", "cortex-a"];
        assert_eq!(has(Architecture::Amd64, &amd64), [true; 5]);
        assert_eq!(has(Architecture::Arm64, &amd64), [false; 5]);
        assert_eq!(has(Architecture::Arm64, &arm64), [true; 4]);
        assert_eq!(has(Architecture::Amd64, &arm64), [false; 4]);
    }

    #[test]
    fn the_users_parameters_come_last() {
        let line = line(true, &["panic=0".to_owned()]);
        assert!(line.contains("panic=0'"), "{line}");
        assert!(line.contains("user,id=net"), "{line}");
        assert!(line.contains(",hostfwd=tcp:127.0.0.1:4455-:445"), "{line}");
        assert!(line.contains("-icount shift=0"), "{line}");
        assert!(line.contains("filter-dump,id=capture,netdev=net,file=/k/a.pcap"), "{line}");
    }
}
