// SPDX-License-Identifier: GPL-2.0
//! What a sanitizing kernel's configuration keeps of the kernel that it stands for, what it leaves
//! out, and what it adds, each with its reason. The only place where that is said: the
//! configuration is made of these lists and checked against them, and `docs/sanitizing.md` shows
//! them.

/// Options that modules are compiled against: what lies in which structure, which functions there
/// are, and what they do. Each is as in the kernel that it stands for, or the kernel is refused.
#[derive(Clone, Copy, Debug)]
pub struct SeenOptions {
    /// What they decide.
    pub what: &'static str,
    /// Their names; a `*` at the end stands for anything.
    pub options: &'static [&'static str],
}

/// What is kept of the options that files of a directory of the source define.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Everything, in the kernel or as a module.
    All,
    /// What is built into the kernel; no modules.
    BuiltIn,
    /// Nothing but what something else selects.
    Nothing,
}

/// A rule for a directory of the source. The longest path that fits decides.
#[derive(Clone, Copy, Debug)]
pub struct Directory {
    /// Its path in the source; empty for all of it.
    pub path: &'static str,
    /// What is kept.
    pub keep: Keep,
    /// Why.
    pub why: &'static str,
}

/// A rule for single options, which comes before those for directories.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// Whether they are kept or left out.
    pub keep: bool,
    /// Their names; a `*` at the end stands for anything.
    pub options: &'static [&'static str],
    /// Why.
    pub why: &'static str,
}

/// An option that is set.
#[derive(Clone, Copy, Debug)]
pub struct Added {
    /// Its name.
    pub option: &'static str,
    /// Its value, quotes included; `n` for an option that is not set.
    pub value: &'static str,
    /// Whether a kernel of a line that does not have the option is none the worse.
    pub if_known: bool,
    /// Why.
    pub why: &'static str,
}

/// What modules are compiled against.
pub const SEEN: &[SeenOptions] = &[
    SeenOptions {
        what: "preemption and time: what may sleep where, and how long a tick is",
        options: &[
            "PREEMPT",
            "PREEMPTION",
            "PREEMPT_COUNT",
            "PREEMPT_DYNAMIC",
            "PREEMPT_LAZY",
            "PREEMPT_NONE",
            "PREEMPT_RCU",
            "PREEMPT_RT",
            "PREEMPT_VOLUNTARY",
            "HZ",
            "HZ_*",
            "NO_HZ*",
            "HIGH_RES_TIMERS",
        ],
    },
    SeenOptions {
        what: "processors: per-CPU data and the size of CPU masks",
        options: &["64BIT", "SMP", "NR_CPUS", "MAXSMP", "CPUMASK_OFFSTACK", "HOTPLUG_CPU", "NUMA"],
    },
    SeenOptions {
        what: "memory: struct page, folios, struct mm_struct and what may be asked of the allocator",
        options: &[
            "SPARSEMEM*",
            "TRANSPARENT_HUGEPAGE",
            "MEMCG",
            "COMPACTION",
            "MIGRATION",
            "CMA",
            "SWAP",
            "ZONE_DMA*",
            "SHMEM",
            "VMAP_STACK",
            "MMU_NOTIFIER",
        ],
    },
    SeenOptions {
        what: "tasks: struct task_struct, control groups and namespaces",
        options: &[
            "CGROUPS",
            "CGROUP_*",
            "CPUSETS",
            "NAMESPACES",
            "IPC_NS",
            "NET_NS",
            "PID_NS",
            "TIME_NS",
            "USER_NS",
            "UTS_NS",
            "KEYS",
            "AUDIT",
            "SECCOMP",
            "SECCOMP_FILTER",
            "PERF_EVENTS",
            "TASKSTATS",
            "PSI",
            "COMPAT",
        ],
    },
    SeenOptions {
        what: "security hooks, as their data is in inodes, sockets and credentials",
        options: &["SECURITY", "SECURITY_NETWORK", "SECURITY_PATH", "SECURITYFS"],
    },
    SeenOptions {
        what: "tracing and patching: what modules hook with, and the sections that they have for it",
        options: &[
            "KPROBES",
            "KRETPROBES",
            "OPTPROBES",
            "UPROBES",
            "FTRACE",
            "FUNCTION_TRACER",
            "DYNAMIC_FTRACE",
            "TRACEPOINTS",
            "EVENT_TRACING",
            "LIVEPATCH",
            "JUMP_LABEL",
            "BPF_SYSCALL",
            "BPF_JIT",
            "KALLSYMS",
            "KALLSYMS_ALL",
            "STACKTRACE",
            "DYNAMIC_DEBUG",
            "DEBUG_FS",
            "PRINTK",
            "BUG",
        ],
    },
    SeenOptions {
        what: "modules: how they are named, versioned and removed",
        options: &["MODULES", "MODULE_UNLOAD", "MODVERSIONS", "MODULE_SIG", "STRICT_MODULE_RWX"],
    },
    SeenOptions {
        what: "network: sk_buff, net_device, sockets, and the hooks in their paths",
        options: &[
            "NET",
            "INET",
            "IPV6",
            "UNIX",
            "PACKET",
            "NETFILTER",
            "NETFILTER_INGRESS",
            "NET_SCHED",
            "XFRM",
            "RPS",
            "XPS",
            "BQL",
            "NET_RX_BUSY_POLL",
            "MPTCP",
        ],
    },
    SeenOptions {
        what: "files and block devices: inodes, super blocks, requests",
        options: &[
            "BLOCK",
            "BLK_CGROUP",
            "PROC_FS",
            "SYSFS",
            "TMPFS",
            "FS_POSIX_ACL",
            "FILE_LOCKING",
            "FSNOTIFY",
            "FS_ENCRYPTION",
            "FS_VERITY",
            "NLS",
            "EXPORTFS",
            "BUFFER_HEAD",
            "FS_IOMAP",
            "IO_URING",
        ],
    },
    SeenOptions {
        what: "devices: struct device and the buses of a driver",
        options: &[
            "PCI",
            "PCI_MSI",
            "PCI_IOV",
            "ACPI",
            "DMI",
            "PM",
            "PM_SLEEP",
            "SUSPEND",
            "INPUT",
            "TTY",
            "IOMMU_API",
            "DMA_SHARED_BUFFER",
            "GPIOLIB",
            "I2C",
            "SPI",
            "THERMAL",
            "CPU_FREQ",
            "RTC_CLASS",
            "POWER_SUPPLY",
        ],
    },
    SeenOptions { what: "cryptography", options: &["CRYPTO", "CRYPTO_AES", "CRYPTO_HMAC", "CRYPTO_SHA256"] },
    SeenOptions {
        what: "hardening, which the compiler puts into modules as well",
        options: &[
            "STACKPROTECTOR*",
            "FORTIFY_SOURCE",
            "HARDENED_USERCOPY",
            "LIST_HARDENED",
            "INIT_ON_ALLOC_DEFAULT_ON",
            "INIT_STACK_*",
            "MITIGATION_RETPOLINE",
            "MITIGATION_RETHUNK",
            "X86_KERNEL_IBT",
        ],
    },
    SeenOptions { what: "Rust", options: &["RUST", "RUST_OVERFLOW_CHECKS"] },
];

/// What is kept, by where in the source an option is defined.
pub const DIRECTORIES: &[Directory] = &[
    Directory { path: "", keep: Keep::All, why: "what is not about hardware is what modules are about" },
    Directory { path: "arch", keep: Keep::BuiltIn, why: "the processor as it is; its modules are drivers" },
    Directory { path: "arch/x86/kvm", keep: Keep::Nothing, why: "no machine runs in this one" },
    Directory { path: "arch/x86/xen", keep: Keep::Nothing, why: "the machine is QEMU's" },
    Directory { path: "certs", keep: Keep::All, why: "keyrings" },
    Directory { path: "drivers", keep: Keep::Nothing, why: "the virtual machine has no such hardware" },
    Directory { path: "drivers/acpi", keep: Keep::BuiltIn, why: "what drivers of a board import from" },
    Directory { path: "drivers/base", keep: Keep::All, why: "what every driver is made of" },
    Directory { path: "drivers/char", keep: Keep::BuiltIn, why: "devices without hardware" },
    Directory { path: "drivers/clocksource", keep: Keep::All, why: "clocks" },
    Directory { path: "drivers/connector", keep: Keep::All, why: "a channel to processes" },
    Directory { path: "drivers/cpufreq", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/cpuidle", keep: Keep::BuiltIn, why: "how an idle processor waits" },
    Directory { path: "drivers/dma", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/dma-buf", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/firmware", keep: Keep::BuiltIn, why: "what drivers ask of a board" },
    Directory { path: "drivers/gpio", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/i2c", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/input", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/irqchip", keep: Keep::All, why: "interrupts" },
    Directory { path: "drivers/leds", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/mailbox", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/pci", keep: Keep::BuiltIn, why: "the bus of the virtual machine" },
    Directory { path: "drivers/pnp", keep: Keep::BuiltIn, why: "how the serial port is found" },
    Directory { path: "drivers/power", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/pps", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/ptp", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/pwm", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/regulator", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/rtc", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/spi", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/thermal", keep: Keep::BuiltIn, why: "what drivers import from" },
    Directory { path: "drivers/tty", keep: Keep::BuiltIn, why: "the console" },
    Directory { path: "drivers/virtio", keep: Keep::All, why: "the devices of the virtual machine" },
    Directory { path: "fs", keep: Keep::All, why: "file systems are much of what is built out of tree" },
    Directory { path: "fs/btrfs", keep: Keep::Nothing, why: "large, and nothing imports from it" },
    Directory { path: "fs/cachefiles", keep: Keep::Nothing, why: "needs a disk" },
    Directory { path: "fs/ceph", keep: Keep::Nothing, why: "large, and nothing imports from it" },
    Directory { path: "fs/erofs", keep: Keep::Nothing, why: "needs a disk" },
    Directory { path: "fs/ext4", keep: Keep::Nothing, why: "large, and nothing imports from it" },
    Directory { path: "fs/exfat", keep: Keep::Nothing, why: "needs a disk" },
    Directory { path: "fs/f2fs", keep: Keep::Nothing, why: "large, and nothing imports from it" },
    Directory { path: "fs/gfs2", keep: Keep::Nothing, why: "large, and nothing imports from it" },
    Directory { path: "fs/isofs", keep: Keep::Nothing, why: "needs a disk" },
    Directory { path: "fs/jfs", keep: Keep::Nothing, why: "large, and nothing imports from it" },
    Directory { path: "fs/nfs", keep: Keep::Nothing, why: "large, and nothing imports from it" },
    Directory { path: "fs/nfsd", keep: Keep::Nothing, why: "large, and nothing imports from it" },
    Directory { path: "fs/nls", keep: Keep::BuiltIn, why: "fifty tables; see by name" },
    Directory { path: "fs/ntfs", keep: Keep::Nothing, why: "large, and nothing imports from it" },
    Directory { path: "fs/ntfs3", keep: Keep::Nothing, why: "large, and nothing imports from it" },
    Directory { path: "fs/ocfs2", keep: Keep::Nothing, why: "large, and nothing imports from it" },
    Directory { path: "fs/orangefs", keep: Keep::Nothing, why: "large, and nothing imports from it" },
    Directory { path: "fs/quota", keep: Keep::BuiltIn, why: "needs a disk" },
    Directory { path: "fs/romfs", keep: Keep::Nothing, why: "needs a disk" },
    Directory { path: "fs/zonefs", keep: Keep::Nothing, why: "needs a disk" },
    Directory { path: "fs/pstore", keep: Keep::Nothing, why: "what a crash left on a board" },
    Directory { path: "fs/resctrl", keep: Keep::Nothing, why: "about caches of real processors" },
    Directory { path: "fs/squashfs", keep: Keep::Nothing, why: "needs a disk" },
    Directory { path: "fs/ubifs", keep: Keep::Nothing, why: "large, and nothing imports from it" },
    Directory { path: "fs/udf", keep: Keep::Nothing, why: "needs a disk" },
    Directory { path: "fs/xfs", keep: Keep::Nothing, why: "large, and nothing imports from it" },
    Directory { path: "net", keep: Keep::BuiltIn, why: "protocols that nothing here speaks; see by name" },
    Directory { path: "sound", keep: Keep::Nothing, why: "the virtual machine has none" },
    Directory { path: "virt", keep: Keep::Nothing, why: "no machine runs in this one" },
];

/// Single options that the rules for directories would treat otherwise.
pub const NAMED: &[Named] = &[
    Named {
        keep: true,
        options: &["IOMMU_SUPPORT", "VIRTIO_IOMMU", "NET_CORE", "NETDEVICES", "NETPOLL", "NETCONSOLE*"],
        why: "fields in struct device and struct net_device",
    },
    Named {
        keep: true,
        options: &[
            "DUMMY",
            "FAILOVER",
            "MACVLAN",
            "NET_FAILOVER",
            "TAP",
            "TUN",
            "VETH",
            "VIRTIO_NET",
            "BRIDGE",
            "LLC",
            "STP",
            "VLAN_8021Q",
            "DNS_RESOLVER",
            "VSOCKETS",
            "VSOCKETS_LOOPBACK",
            "VIRTIO_VSOCKETS*",
        ],
        why: "network devices that are only software, and what modules about networks import from",
    },
    Named {
        keep: true,
        options: &[
            "NETFILTER_NETLINK*",
            "NETFILTER_XTABLES*",
            "NETFILTER_XT_MARK",
            "NF_CONNTRACK",
            "NF_DEFRAG_*",
            "NF_LOG_SYSLOG",
            "NF_NAT",
            "NF_REJECT_*",
            "NF_TABLES",
            "IP_NF_IPTABLES*",
            "IP6_NF_IPTABLES*",
            "NET_IP_TUNNEL",
            "NET_UDP_TUNNEL",
            "TLS",
            "XFRM_ALGO",
        ],
        why: "what modules that filter or wrap packets import from",
    },
    Named {
        keep: true,
        options: &["NLS_ASCII", "NLS_CODEPAGE_437", "NLS_ISO8859_1", "NLS_UTF8", "NLS_UCS2_UTILS"],
        why: "the tables that file systems ask for by themselves",
    },
    Named {
        keep: true,
        options: &["9P_FS", "NET_9P", "NET_9P_VIRTIO", "VIRTIO_FS"],
        why: "a directory of the host, shared with the machine",
    },
    Named {
        keep: true,
        options: &["BLK_DEV", "BLK_DEV_LOOP", "BLK_DEV_NULL_BLK", "BLK_DEV_RAM", "VIRTIO_BLK"],
        why: "block devices that are only software",
    },
    Named {
        keep: true,
        options: &["HVC_DRIVER", "MFD_CORE", "UIO", "UIO_PCI_GENERIC", "PVPANIC", "VMGENID"],
        why: "small, and imported from",
    },
    Named {
        keep: false,
        options: &["HYPERV", "HYPERV_*", "VIRTUALIZATION", "INTEL_TDX_GUEST", "AMD_MEM_ENCRYPT"],
        why: "about other virtual machines than this one, or about machines within it",
    },
    Named {
        keep: false,
        options: &["EFI", "INTEL_TXT", "TCG_*", "GOOGLE_FIRMWARE", "ISCSI_IBFT*", "EDD"],
        why: "the kernel is started without firmware",
    },
    Named {
        keep: false,
        options: &[
            "ACPI_APEI*",
            "ACPI_CONFIGFS",
            "ACPI_HMAT",
            "ACPI_NFIT",
            "ACPI_TABLE_UPGRADE",
            "MICROCODE",
            "PERF_EVENTS_AMD_*",
            "PERF_EVENTS_INTEL_*",
            "PMIC_OPREGION",
            "X86_AMD_PSTATE*",
            "X86_CPU_RESCTRL",
            "X86_INTEL_PSTATE",
            "SERIAL_8250_EXTENDED",
            "RMI4_*",
        ],
        why: "about boards and processors that are not here",
    },
    Named {
        keep: false,
        options: &[
            "CRASH_DUMP",
            "HIBERNATION",
            "KEXEC",
            "KEXEC_FILE",
            "DAMON*",
            "MMIOTRACE",
            "ZSWAP",
            "IO_URING_ZCRX",
            "HWPOISON_INJECT",
            "IOSCHED_BFQ",
            "*_ERROR_INJECT*",
        ],
        why: "nothing that a module calls",
    },
    Named {
        keep: false,
        options: &[
            "EVM*",
            "IMA*",
            "INTEGRITY*",
            "IPE_*",
            "SECURITY_APPARMOR*",
            "SECURITY_IPE",
            "SECURITY_SELINUX*",
            "SECURITY_SMACK*",
            "SECURITY_TOMOYO*",
            "DEFAULT_SECURITY_*",
        ],
        why: "the hooks stay, and so does what is cheap behind them; these policies have no rules here",
    },
    Named {
        keep: false,
        options: &["CRYPTO_BENCHMARK", "CRYPTO_SELFTESTS", "CRYPTO_*_X86_64", "CRYPTO_*_3WAY", "ASYNC_*"],
        why: "other implementations of what there is, and tests of it",
    },
    Named {
        keep: false,
        options: &[
            "CRYPTO_ADIANTUM",
            "CRYPTO_AEGIS128",
            "CRYPTO_BLOWFISH*",
            "CRYPTO_CAMELLIA*",
            "CRYPTO_CAST*",
            "CRYPTO_ECRDSA",
            "CRYPTO_LRW",
            "CRYPTO_PCRYPT",
            "CRYPTO_RMD160",
            "CRYPTO_SERPENT*",
            "CRYPTO_STREEBOG",
            "CRYPTO_TWOFISH*",
            "CRYPTO_WP512",
        ],
        why: "ciphers and hashes that hardly anybody asks for",
    },
    Named {
        keep: false,
        options: &["DEBUG_INFO*", "GDB_SCRIPTS"],
        why: "debug information takes much time; without it there is no BTF either, and no scheduler in BPF",
    },
    Named {
        keep: false,
        options: &["MODULE_COMPRESS*", "MODULE_SIG_ALL", "KERNEL_ZSTD", "KERNEL_XZ", "KERNEL_LZMA"],
        why: "packing takes time, and the kernel that it stands for has it for disks; nobody signs this one",
    },
    Named {
        keep: false,
        options: &["RD_BZIP2", "RD_LZMA", "RD_XZ", "RD_LZO", "RD_LZ4"],
        why: "the first file system is not compressed",
    },
    Named { keep: false, options: &["KFENCE"], why: "finds a few of what KASAN finds" },
    Named { keep: false, options: &["GCC_PLUGIN*"], why: "the compiler is clang" },
];

/// What makes it a sanitizing kernel, and what the virtual machine needs.
pub const ADDED: &[Added] = &[
    must("CC_IS_CLANG", "y", "with gcc there is either Rust or KASAN (init/Kconfig)"),
    must("KASAN", "y", "memory that is used out of bounds, or after it was freed"),
    must("KASAN_GENERIC", "y", "the kind that works on every processor"),
    must("KASAN_OUTLINE", "y", "compiles faster than checks in place, and an emulated guest is no slower"),
    may("KASAN_VMALLOC", "y", "the same for vmalloc(), on which stacks lie"),
    must("UBSAN", "y", "what C leaves undefined"),
    may("UBSAN_BOUNDS", "y", "an index outside of its array"),
    may("UBSAN_SHIFT", "y", "a shift by more bits than there are"),
    may("UBSAN_BOOL", "y", "a truth value that is neither"),
    may("UBSAN_ENUM", "y", "an enumeration with no such value"),
    may("UBSAN_TRAP", "n", "a report instead of an oops without words"),
    must("PROVE_LOCKING", "y", "locks that may deadlock, before they do"),
    must("PROVE_RCU", "y", "RCU data used outside of its sections"),
    must("DEBUG_ATOMIC_SLEEP", "y", "sleep where nothing may"),
    must("DEBUG_KMEMLEAK", "y", "memory that nothing points to any longer"),
    may("DEBUG_KMEMLEAK_AUTO_SCAN", "n", "it is told when to look"),
    may("DEBUG_KMEMLEAK_DEFAULT_OFF", "n", "it looks from the start"),
    must("DEBUG_OBJECTS", "y", "timers and work that are freed while they are armed"),
    must("DEBUG_OBJECTS_FREE", "y", "the same, when their memory is freed"),
    must("DEBUG_OBJECTS_TIMERS", "y", "timers"),
    must("DEBUG_OBJECTS_WORK", "y", "work"),
    may("DEBUG_OBJECTS_RCU_HEAD", "y", "RCU callbacks that are queued twice"),
    must("DEBUG_LIST", "y", "broken lists"),
    must("DEBUG_SG", "y", "broken scatterlists"),
    may("DEBUG_NOTIFIERS", "y", "broken chains of notifiers"),
    must("SLUB_DEBUG", "y", "caches that are destroyed while they hold objects"),
    must("KUNIT", "y", "the suites of tests in a module run when it is loaded"),
    must("KUNIT_DEBUGFS", "y", "where their results are read"),
    may("KUNIT_DEFAULT_ENABLED", "y", "without being asked"),
    may("KUNIT_AUTORUN_ENABLED", "y", "without being asked"),
    may("KUNIT_TEST", "n", "the tests of KUnit itself"),
    may("KUNIT_ALL_TESTS", "n", "the tests of the kernel"),
    must("KCOV", "y", "which lines of a module are reached"),
    may("KCOV_INSTRUMENT_ALL", "n", "of the module alone: the rest of the kernel is as fast as it was"),
    may("KCOV_ENABLE_COMPARISONS", "n", "for fuzzers"),
    may("KCOV_SELFTEST", "n", "the test of KCOV itself"),
    may("RUST_DEBUG_ASSERTIONS", "y", "what Rust checks when it is not optimised"),
    must("MODULES", "y", "what it is for"),
    must("MODULE_UNLOAD", "y", "a module is removed again, and looked at for what it left"),
    must("DEBUG_FS", "y", "where kmemleak and KUnit are spoken to"),
    must("DEVTMPFS", "y", "the init finds its devices"),
    must("BLK_DEV_INITRD", "y", "the machine has no disk"),
    may("PVH", "y", "QEMU starts it without firmware"),
    must("VIRTIO_PCI", "y", "the devices of the virtual machine"),
    must("VIRTIO_CONSOLE", "y", "the channel that verdicts come over"),
    must("SERIAL_8250", "y", "the console"),
    must("SERIAL_8250_CONSOLE", "y", "the console"),
    may("DEBUG_INFO_NONE", "y", "see above"),
    may("KERNEL_GZIP", "y", "see above"),
    may("MODULE_SIG_KEY", "\"\"", "the distribution's is not here"),
    may("SYSTEM_TRUSTED_KEYS", "\"\"", "the distribution's are not here"),
    may("WERROR", "n", "another compiler warns of other things"),
];

/// Everything that decides what a configuration becomes, without the reasons.
pub fn rules() -> Vec<String> {
    let seen = SEEN.iter().map(|seen| format!("seen {:?}", seen.options));
    let directories = DIRECTORIES.iter().map(|rule| format!("{:?} {}", rule.keep, rule.path));
    let named = NAMED.iter().map(|named| format!("{} {:?}", named.keep, named.options));
    let added = ADDED.iter().map(|added| format!("{}={} {}", added.option, added.value, added.if_known));
    seen.chain(directories).chain(named).chain(added).collect()
}

const fn must(option: &'static str, value: &'static str, why: &'static str) -> Added {
    Added { option, value, if_known: false, why }
}

const fn may(option: &'static str, value: &'static str, why: &'static str) -> Added {
    Added { option, value, if_known: true, why }
}
