// SPDX-License-Identifier: GPL-2.0
//! Reads trouble out of a kernel log.
//!
//! A deny list with an allow list, applied line by line. It fails closed: a stack trace that no
//! rule explains is trouble all the same.

use std::fmt;

/// What kind of trouble a line tells of, from the most telling cause to the least. A panic comes
/// after the kinds that lead to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Oops, BUG, KASAN, UBSAN and other proof of broken memory.
    Oops,
    /// Hung task, soft lockup, RCU stall.
    Hung,
    /// A locking error.
    Lockdep,
    /// A panic that nothing else explains.
    Panic,
    /// Memory or objects that were not given back.
    Leak,
    /// The kernel warned.
    Warning,
    /// A stack trace that no other line explains.
    Trace,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Oops => "oops",
            Self::Hung => "hang",
            Self::Lockdep => "locking error",
            Self::Panic => "panic",
            Self::Leak => "leak",
            Self::Warning => "warning",
            Self::Trace => "unexplained stack trace",
        })
    }
}

/// A line that tells of trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// What kind.
    pub trouble: Trouble,
    /// The line, without its time stamp.
    pub line: String,
    /// Whether it was printed before init ran: then no module of the plan has a part in it.
    pub at_boot: bool,
}

/// Where in a message the words of a rule must be.
enum Rule {
    /// The message begins with them.
    Begins(&'static str),
    /// They are anywhere in it.
    Holds(&'static str),
    /// Both are in it, in this order.
    Both(&'static str, &'static str),
}

use Rule::{Begins, Both, Holds};

impl Rule {
    fn fits(&self, message: &str) -> bool {
        match self {
            Begins(words) => message.starts_with(words),
            Holds(words) => message.contains(words),
            Both(first, second) => message.split_once(first).is_some_and(|(_, rest)| rest.contains(second)),
        }
    }
}

/// Lines that are no trouble although a rule below fits.
const ALLOWED: &[Rule] = &[
    // These repeat the command line, which may hold any word.
    Begins("Command line:"),
    Begins("Kernel command line:"),
    Begins("Unknown kernel command line parameters"),
    // What every module built out of tree makes the kernel say.
    Holds("module verification failed: signature and/or required key missing"),
    Holds("loading out-of-tree module taints kernel"),
];

/// What is trouble. The first rule that fits decides, so the more telling come first.
const DENIED: &[(Rule, Trouble)] = &[
    // A panic that only follows from something else is of the kind of its cause.
    (Holds("Kernel panic - not syncing: Fatal exception"), Trouble::Oops),
    // arm64 names what it was: `Oops: Fatal exception`, `Oops - BUG: Fatal exception in interrupt`.
    (Both("Kernel panic - not syncing:", ": Fatal exception"), Trouble::Oops),
    (Both("Kernel panic - not syncing:", "SError Interrupt"), Trouble::Oops),
    (Holds("Kernel panic - not syncing: Unhandled exception"), Trouble::Oops),
    (Holds("Kernel panic - not syncing: kernel stack overflow"), Trouble::Oops),
    (Holds("Kernel panic - not syncing: Fatal trap"), Trouble::Oops),
    (Holds("Kernel panic - not syncing: softlockup"), Trouble::Hung),
    (Holds("Kernel panic - not syncing: hung_task"), Trouble::Hung),
    (Holds("Kernel panic - not syncing: RCU Stall"), Trouble::Hung),
    (Both("Kernel panic - not syncing:", "LOCKUP"), Trouble::Hung),
    (Both("Kernel panic - not syncing:", "panic_on_warn set"), Trouble::Warning),
    (Holds("Kernel panic - not syncing"), Trouble::Panic),
    // Watchdogs (kernel/watchdog.c, kernel/hung_task.c, kernel/rcu/tree_stall.h,
    // kernel/workqueue.c).
    (Holds("soft lockup"), Trouble::Hung),
    (Holds("hard LOCKUP"), Trouble::Hung),
    (Holds("workqueue lockup"), Trouble::Hung),
    (Both("INFO: task ", " blocked "), Trouble::Hung),
    (Holds("can't die for more than"), Trouble::Hung),
    (Both("rcu", "detected stall"), Trouble::Hung),
    (Both("rcu", "self-detected stall"), Trouble::Hung),
    (Both("rcu", "detected expedited stalls"), Trouble::Hung),
    (Both("rcu", "kthread starved for"), Trouble::Hung),
    // Lockdep and what is near it (kernel/locking/).
    (Begins("WARNING: possible "), Trouble::Lockdep),
    (Begins("WARNING: suspicious RCU usage"), Trouble::Lockdep),
    (Begins("WARNING: inconsistent lock state"), Trouble::Lockdep),
    (Begins("WARNING: bad unlock balance"), Trouble::Lockdep),
    (Begins("WARNING: held lock freed"), Trouble::Lockdep),
    (Begins("WARNING: lock held when returning"), Trouble::Lockdep),
    (Begins("WARNING: Nested lock was not taken"), Trouble::Lockdep),
    (Holds("INFO: possible circular locking"), Trouble::Lockdep),
    (Holds("INFO: possible recursive locking"), Trouble::Lockdep),
    (Holds("INFO: possible irq lock inversion"), Trouble::Lockdep),
    (Holds("INFO: trying to register non-static key"), Trouble::Lockdep),
    (Holds("DEBUG_LOCKS_WARN_ON"), Trouble::Lockdep),
    (Holds("BUG: sleeping function called from invalid context"), Trouble::Lockdep),
    (Holds("BUG: scheduling while atomic"), Trouble::Lockdep),
    (Holds("BUG: spinlock"), Trouble::Lockdep),
    (Holds("BUG: Invalid wait context"), Trouble::Lockdep),
    // What was not given back.
    (Both("BUG ", "Objects remaining"), Trouble::Leak),
    (Holds("Slab cache still has objects"), Trouble::Leak),
    (Begins("unreferenced object 0x"), Trouble::Leak),
    (Both("kmemleak:", "new suspected memory leaks"), Trouble::Leak),
    (Holds("VFS: Busy inodes after unmount"), Trouble::Leak),
    (Begins("unregister_netdevice: waiting for"), Trouble::Leak),
    // Broken memory and traps.
    (Holds("BUG: "), Trouble::Oops),
    (Both("BUG ", "): "), Trouble::Oops),
    (Holds("kernel BUG at"), Trouble::Oops),
    (Holds("Kernel BUG at"), Trouble::Oops),
    (Begins("Oops"), Trouble::Oops),
    (Begins("UBSAN:"), Trouble::Oops),
    (Begins("general protection fault"), Trouble::Oops),
    (Begins("stack segment:"), Trouble::Oops),
    (Begins("divide error:"), Trouble::Oops),
    (Begins("invalid opcode:"), Trouble::Oops),
    (Begins("int3:"), Trouble::Oops),
    (Holds("double fault"), Trouble::Oops),
    (Begins("Unable to handle kernel"), Trouble::Oops),
    (Begins("Internal error:"), Trouble::Oops),
    (Begins("SError Interrupt on CPU"), Trouble::Oops),
    (Begins("Unexpected kernel BRK exception"), Trouble::Oops),
    (Both("Unhandled ", " exception on CPU"), Trouble::Oops),
    (Holds("synchronous external abort"), Trouble::Oops),
    (Begins("Insufficient stack space to handle exception"), Trouble::Oops),
    (Holds("rust_kernel: panicked at"), Trouble::Oops),
    (Begins("CFI failure at"), Trouble::Oops),
    (Begins("refcount_t: "), Trouble::Oops),
    (Both("list_", " corruption"), Trouble::Oops),
    (Holds(": detected buffer "), Trouble::Oops),
    (Holds("usercopy: Kernel memory"), Trouble::Oops),
    (Begins("ODEBUG:"), Trouble::Oops),
    (Holds("corrupted stack end detected"), Trouble::Oops),
    // Warnings, and every trace that nothing above explained.
    (Begins("WARNING: "), Trouble::Warning),
    (Holds("field-spanning "), Trouble::Warning),
    (Both("kobject", "tried to init an initialized object"), Trouble::Warning),
    (Holds("sysfs: cannot create duplicate filename"), Trouble::Warning),
    (Holds("------------[ cut here ]------------"), Trouble::Trace),
    (Begins("Call Trace:"), Trouble::Trace),
    // arm64, which names registers and frames in small letters.
    (Begins("Call trace:"), Trouble::Trace),
    (Begins("Mem abort info:"), Trouble::Trace),
    (Begins("pc : "), Trouble::Trace),
    (Begins("---[ end trace "), Trouble::Trace),
];

/// The trouble that one message of the kernel log tells of, if any. `message` has no time stamp.
pub fn classify(message: &str) -> Option<Trouble> {
    if ALLOWED.iter().any(|rule| rule.fits(message)) {
        return None;
    }
    DENIED.iter().find(|(rule, _)| rule.fits(message)).map(|(_, trouble)| *trouble)
}

/// The most telling of `hits`; of several alike the first.
pub fn cause(hits: &[Hit]) -> Option<&Hit> {
    hits.iter().min_by_key(|hit| hit.trouble)
}

/// Goes through a console log as it grows.
#[derive(Debug, Default)]
pub struct Scanner {
    allowed: Vec<String>,
    unfinished: Vec<u8>,
    hits: Vec<Hit>,
    excused: bool,
    up: bool,
}

/// A line is cut here, so that a guest that never ends one cannot fill the host's memory.
const LINE_LIMIT: usize = 8192;

impl Scanner {
    /// A scanner that takes no offence at lines that hold one of `allowed`.
    pub fn allowing(allowed: &[String]) -> Self {
        Self { allowed: allowed.to_vec(), ..Self::default() }
    }

    /// What comes from now on was printed after init had begun.
    pub fn init_runs(&mut self) {
        self.up = true;
    }

    /// Takes the next bytes of the log, which need not end with a line.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' || self.unfinished.len() == LINE_LIMIT {
                self.end_line();
            }
            if byte != b'\n' && byte != b'\r' {
                self.unfinished.push(byte);
            }
        }
    }

    /// The log ends: its last line may have no line end.
    pub fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.unfinished).into_owned();
        self.unfinished.clear();
        self.message(without_stamp(&line));
    }

    /// Takes one message that has no time stamp.
    pub fn message(&mut self, message: &str) {
        let Some(trouble) = classify(message) else { return };
        if self.allowed.iter().any(|words| message.contains(words)) {
            self.excused = true;
        } else if !self.hits.iter().any(|hit| hit.line == message) {
            self.hits.push(Hit { trouble, line: message.to_owned(), at_boot: !self.up });
        }
    }

    /// Whether there was trouble that the user allows.
    pub fn excused(&self) -> bool {
        self.excused
    }

    /// The trouble found so far, each line once.
    pub fn hits(&self) -> &[Hit] {
        &self.hits
    }
}

/// `line` without the time and the task or processor that `printk.time` and `CONFIG_PRINTK_CALLER`
/// put before it.
fn without_stamp(line: &str) -> &str {
    let stamp = |c: char| c.is_ascii_digit() || ".TC ".contains(c);
    let mut rest = line.trim_end();
    while let Some((inside, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        if inside.is_empty() || !inside.chars().all(stamp) {
            break;
        }
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_kernels_print_them() {
        use Trouble::{Hung, Leak, Lockdep, Oops, Panic, Trace, Warning};
        let table: &[(&str, Option<Trouble>)] = &[
            ("[    2.101] Kernel panic - not syncing: fault_panic: on purpose", Some(Panic)),
            (
                "[    3.1] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
                Some(Panic),
            ),
            (
                "[    3.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
                Some(Panic),
            ),
            ("[    3.1] Kernel panic - not syncing: Fatal exception in interrupt", Some(Oops)),
            ("[    3.1] Kernel panic - not syncing: softlockup: hung tasks", Some(Hung)),
            ("[    3.1] Kernel panic - not syncing: hung_task: blocked tasks", Some(Hung)),
            ("[    3.1] Kernel panic - not syncing: kernel: panic_on_warn set ...", Some(Warning)),
            ("[    4.003217] BUG: kernel NULL pointer dereference, address: 0000000000000000", Some(Oops)),
            ("[    4.003217][  T112] BUG: unable to handle page fault for address: ffffffffc0", Some(Oops)),
            ("[    4.0] Oops: Oops: 0002 [#1] SMP NOPTI", Some(Oops)),
            ("[    4.0] Oops: general protection fault, probably for non-canonical address 0x6b", Some(Oops)),
            ("[    4.0] BUG: KASAN: slab-out-of-bounds in read_header+0x1/0x2 [nfs]", Some(Oops)),
            ("[    4.0] BUG: KFENCE: out-of-bounds read in parse_server+0x2/0x3 [nfs]", Some(Oops)),
            ("[    4.0] UBSAN: array-index-out-of-bounds in fs/nfs/super.c:1:2", Some(Oops)),
            ("[    4.0] kernel BUG at fs/nfs/client.c:1000!", Some(Oops)),
            ("[    4.0] BUG kmalloc-64 (Tainted: G           OE): Right Redzone overwritten", Some(Oops)),
            ("[    4.0] refcount_t: underflow; use-after-free.", Some(Oops)),
            ("[    4.0] list_del corruption. prev->next should be ffff8881, but was 0", Some(Oops)),
            ("[    4.0] memcpy: detected buffer overflow: 16 byte write of buffer size 8", Some(Oops)),
            ("[    4.0] rust_kernel: panicked at lib.rs:3:5:", Some(Oops)),
            ("[   31.0] watchdog: BUG: soft lockup - CPU#0 stuck for 11s! [init:1]", Some(Hung)),
            ("[   31.0] rcu: INFO: rcu_preempt self-detected stall on CPU", Some(Hung)),
            ("[   31.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", Some(Hung)),
            ("[   31.0] INFO: task init:1 blocked for more than 10 seconds.", Some(Hung)),
            ("[   31.0] BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0", Some(Hung)),
            ("[    5.0] WARNING: possible circular locking dependency detected", Some(Lockdep)),
            ("[    5.0] BUG: sleeping function called from invalid context at mm/slab.h:1", Some(Lockdep)),
            ("[    5.0] DEBUG_LOCKS_WARN_ON(1)", Some(Lockdep)),
            ("[    6.0] BUG nfs_page (Tainted: G): Objects remaining on __kmem_cache_shutdown()", Some(Leak)),
            ("[    6.0] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)", Some(Leak)),
            (
                "[    6.0] WARNING: CPU: 0 PID: 1 at /x/fault_warn.c:9 fault_warn_init+0x5/0xff0 [f]",
                Some(Warning),
            ),
            (
                "[    6.0] WARNING: /x/fault_warn.c:9 at fault_warn_init+0x5/0xff0, CPU#0: init/1",
                Some(Warning),
            ),
            ("[    6.0] Call Trace:", Some(Trace)),
            ("[    6.0] ------------[ cut here ]------------", Some(Trace)),
            // arm64.
            (
                "[    4.0] Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000",
                Some(Oops),
            ),
            (
                "[    4.0] Unable to handle kernel paging request at virtual address ffff80008f2a1000",
                Some(Oops),
            ),
            ("[    4.0] Internal error: Oops: 0000000096000045 [#1]  SMP", Some(Oops)),
            ("[    4.0] Internal error: Oops - BUG: 00000000f2000800 [#1]  SMP", Some(Oops)),
            ("[    4.0] Internal error: synchronous external abort: 0000000096000410 [#1] SMP", Some(Oops)),
            ("[    4.0] Kernel panic - not syncing: Oops: Fatal exception", Some(Oops)),
            ("[    4.0] Kernel panic - not syncing: Oops - BUG: Fatal exception in interrupt", Some(Oops)),
            ("[    4.0] SError Interrupt on CPU0, code 0x00000000bf000002 -- SError", Some(Oops)),
            ("[    4.0] Kernel panic - not syncing: Asynchronous SError Interrupt", Some(Oops)),
            (
                "[    4.0] Unhandled 64-bit el1h sync exception on CPU0, ESR 0x000000000 -- Unknown",
                Some(Oops),
            ),
            ("[    4.0] Insufficient stack space to handle exception!", Some(Oops)),
            ("[    4.0] Call trace:", Some(Trace)),
            ("[    4.0] pc : fault_oops_init+0x1c/0xff8 [fault_oops]", Some(Trace)),
            // No trouble.
            ("[    0.0] Booting Linux on physical CPU 0x0000000000 [0x411fd070]", None),
            ("[    0.0] CPU features: detected: Spectre-v3a", None),
            ("[    0.0] CPU features: kernel page table isolation forced OFF by mitigations=off", None),
            ("[    0.0] Command line: console=ttyS0 x=Oops: BUG: KASAN: Kernel panic - not syncing", None),
            ("[    0.0] Kernel command line: console=ttyS0 BUG: ", None),
            (
                "[    0.0] Unknown kernel command line parameters \"oops\", will be passed to user space.",
                None,
            ),
            ("[    2.0] fault: loading out-of-tree module taints kernel.", None),
            (
                "[    2.0] fault: module verification failed: signature and/or required key missing - tainting kernel",
                None,
            ),
            ("[    0.1] Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on", None),
            ("[    0.1] RETBleed: Vulnerable", None),
            ("[    0.1] rcu: Hierarchical RCU implementation.", None),
            ("[    0.1] rcu: \tRCU debug extended QS entry/exit.", None),
            ("[    0.1] NMI watchdog: Perf NMI watchdog permanently disabled", None),
            ("[    0.1] mce: CPU supports 10 MCE banks", None),
            ("[    2.0] fault: version magic '7.2.12 SMP' should be '7.2.11 SMP'", None),
            ("[    2.0] fault_oops: a name is no oops", None),
            ("", None),
        ];
        for (line, expected) in table {
            assert_eq!(classify(without_stamp(line)), *expected, "{line}");
        }
    }

    #[test]
    fn a_line_may_come_in_pieces() {
        let mut scanner = Scanner::default();
        scanner.feed(b"[    1.0] all well\r\n[    2.0] BUG: KA");
        assert!(scanner.hits().is_empty());
        scanner.feed(b"SAN: x\r\n[    2.1] Call Trace:\n");
        assert_eq!(scanner.hits().len(), 2);
        scanner.feed(b"[    3.0] Kernel panic - not syncing: cut");
        scanner.end_line();
        let kinds: Vec<Trouble> = scanner.hits().iter().map(|hit| hit.trouble).collect();
        assert_eq!(kinds, [Trouble::Oops, Trouble::Trace, Trouble::Panic]);
        assert_eq!(cause(scanner.hits()).unwrap().line, "BUG: KASAN: x");
    }

    #[test]
    fn a_line_seen_twice_counts_once() {
        let mut scanner = Scanner::default();
        scanner.feed(b"[    1.0] BUG: x\n");
        scanner.message("BUG: x");
        assert_eq!(scanner.hits().len(), 1);
    }

    #[test]
    fn lines_that_the_user_allows() {
        let mut scanner = Scanner::allowing(&["fs/nfs/old.c:7".to_owned()]);
        scanner.message("WARNING: fs/nfs/old.c:7 at old+0x1/0x2, CPU#0: init/1");
        assert!(scanner.hits().is_empty() && scanner.excused());
        scanner.message("WARNING: fs/nfs/new.c:7 at new+0x1/0x2, CPU#0: init/1");
        assert!(scanner.hits()[0].at_boot);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut scanner = Scanner::default();
        scanner.feed(&vec![b'x'; 3 * LINE_LIMIT]);
        assert!(scanner.unfinished.len() <= LINE_LIMIT);
    }
}
