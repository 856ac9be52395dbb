// SPDX-License-Identifier: GPL-2.0
//! The argument vector of QEMU: a machine with no device that the run does not need.

use camino::Utf8Path;

use super::accelerator::Accelerator;
use crate::process::Cmd;

/// QEMU for the only architecture the tool boots so far.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// Kernel parameters that every machine gets. Not `quiet`: it would save a twentieth of the time, and take the log
/// away from a boot that fails.
///
/// The guest's detectors of hangs come one after the other, the most telling first, and all before the host's idle
/// limit: RCU stall 8 s, soft lockup 10 s, hung task 12 to 18 s.
const PARAMETERS: &[&str] = &[
    "console=ttyS0",
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

/// Kernel parameters that only save time: the self-tests of algorithms are a quarter of an emulated run that loads the SMB
/// client, mitigations a tenth. (`tsc=reliable`, less memory, qboot, another processor model, no console: nothing worth having.)
const FASTER: &[&str] = &["cryptomgr.notests", "mitigations=off"];

/// What QEMU is to run.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a> {
    /// How instructions are executed.
    pub accelerator: Accelerator,
    /// An uncompressed kernel with a PVH entry.
    pub vmlinux: &'a Utf8Path,
    /// The initramfs.
    pub initrd: &'a Utf8Path,
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub processors: u32,
    /// Further kernel parameters; the last of several alike counts.
    pub append: &'a [String],
    /// Gets the serial console.
    pub console: &'a Utf8Path,
    /// A listening Unix socket that gets the verdict port.
    pub port: &'a Utf8Path,
    /// Whether there is a network interface.
    pub network: bool,
    /// Gets what passes over it, as pcap.
    pub capture: Option<&'a Utf8Path>,
    /// Whether each instruction takes the guest a nanosecond. Emulated only.
    pub counted: bool,
}

/// The command that runs the machine; it ends when the process that started it does.
pub fn command(arguments: &Arguments<'_>) -> Cmd {
    let Arguments { accelerator, vmlinux, initrd, console, port, .. } = arguments;
    // Instructions can be counted where one thread executes them all.
    let accel = if arguments.counted { "tcg,thread=single,tb-size=128" } else { accelerator.option() };
    let cmd = Cmd::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", PROGRAM])
        .args(["-no-user-config", "-nodefaults", "-display", "none", "-vga", "none", "-no-reboot"])
        // Not microvm: it boots a fifth faster, but on a busy host its clock is not calibrated and the boot hangs.
        .args(["-machine", "q35,usb=off,smm=off,vmport=off,hpet=off,sata=off"])
        .args(["-accel", accel, "-cpu", accelerator.cpu()])
        .args(["-smp", &arguments.processors.to_string(), "-m", &arguments.memory.to_string()])
        .args(["-kernel", vmlinux.as_str(), "-initrd", initrd.as_str()])
        .args(["-append", &kernel_parameters(arguments.append)])
        .args(["-chardev", &format!("file,id=console,path={}", escaped(console))])
        .args(["-serial", "chardev:console"])
        .args(["-device", "virtio-serial-pci,id=ports"])
        .args(["-chardev", &format!("socket,id=verdict,path={}", escaped(port))])
        .args(["-device", &format!("virtserialport,bus=ports.0,chardev=verdict,name={}", guest::PORT)]);
    let cmd = if arguments.counted { cmd.args(["-icount", "shift=0"]) } else { cmd };
    if !arguments.network {
        return cmd;
    }
    // Only a host on which something listens on the loopback interface can be reached; names are not looked up.
    let cmd =
        cmd.args(["-netdev", "user,id=net,ipv6=off"]).args(["-device", "virtio-net-pci,netdev=net,romfile="]);
    match arguments.capture {
        Some(file) => {
            cmd.args(["-object", &format!("filter-dump,id=capture,netdev=net,file={}", escaped(file))])
        }
        None => cmd,
    }
}

fn kernel_parameters(append: &[String]) -> String {
    let fixed = PARAMETERS.iter().chain(FASTER).copied();
    fixed.chain(append.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
}

/// A path as a value among QEMU's comma-separated options: commas are doubled.
fn escaped(path: &Utf8Path) -> String {
    path.as_str().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(network: bool, append: &[String]) -> String {
        let arguments = Arguments {
            accelerator: Accelerator::Tcg,
            vmlinux: Utf8Path::new("/k/vmlinux"),
            initrd: Utf8Path::new("/k/initrd"),
            memory: 256,
            processors: 1,
            append,
            console: Utf8Path::new("/k/a,b.log"),
            port: Utf8Path::new("/k/port"),
            network,
            capture: Some(Utf8Path::new("/k/a.pcap")),
            counted: network,
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
    fn the_users_parameters_come_last() {
        let line = line(true, &["panic=0".to_owned()]);
        assert!(line.contains("panic=0'"), "{line}");
        assert!(line.contains("user,id=net"), "{line}");
        assert!(line.contains("-icount shift=0"), "{line}");
        assert!(line.contains("filter-dump,id=capture,netdev=net,file=/k/a.pcap"), "{line}");
    }
}
