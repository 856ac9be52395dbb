// SPDX-License-Identifier: GPL-2.0
//! The first stack trace in a kernel log, read to its end.
//!
//! What is read are lines as `dump_stack`, `show_regs` and KASAN's reports print them: `function+
//! 0xOFFSET/0xSIZE [module]` (lib/vsprintf.c, `%pS`), with `?` before what was only found on the
//! stack and need not have been called.

use serde::Serialize;

use crate::console::{self, Trouble};

/// A complaint of the kernel's with the frames that follow it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The line that began it.
    pub headline: String,
    /// The frames, from where it happened outwards.
    pub frames: Vec<Frame>,
}

/// One place in a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// What the trace says of the frames from here on, where it begins another part: `Allocated by
    /// task 1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// The function, as the kernel's symbol table has it.
    pub function: String,
    /// Bytes from its beginning.
    pub offset: u64,
    /// How long the function is: to where the next one in the symbol table begins.
    pub size: u64,
    /// The module that it is in; none, if it is the kernel's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Whether the address is that of an instruction; otherwise it is where a call returns to.
    pub exact: bool,
}

/// The parts of a trace that have frames of their own, by how their titles begin.
const PARTS: &[&str] = &["Allocated by task", "Freed by task", "Last potentially related work creation"];

/// What a report calls to be printed, and what notes who allocated: where it happened is outside.
const REPORTERS: &[&str] = &[
    "dump_stack",
    "show_stack",
    "print_report",
    "print_address_description",
    "kasan_",
    "__kasan_",
    "__asan_",
    "ubsan_",
    "__ubsan_",
];

/// What is printed after the trace.
const ENDS: &[&str] = &["---[ end trace", "Modules linked in:", "The buggy address belongs", "Kernel panic"];

/// A trace is cut here: one in a function that calls itself has thousands.
const FRAMES: usize = 64;

impl Trace {
    /// The first one in a console log, if there is one: the lines after the first complaint, with
    /// the frames in them.
    pub fn first_in(console: &str) -> Option<Self> {
        let mut lines = console.lines().map(message);
        let headline = lines.by_ref().find(|line| tells(line))?;
        // The line that says most may come second: after a `cut here`.
        let mut trace = Self { headline: headline.to_owned(), frames: Vec::new() };
        let (mut part, mut called) = (None, false);
        for line in lines {
            let over = trace.frames.iter().any(|frame| !frame.exact);
            if (over && ENDS.iter().any(|end| line.starts_with(end))) || trace.frames.len() == FRAMES {
                break;
            }
            if trace.frames.is_empty() && is_rule(&trace.headline) && tells(line) && !is_rule(line) {
                line.clone_into(&mut trace.headline);
            }
            called |= line.trim().eq_ignore_ascii_case("call trace:");
            if PARTS.iter().any(|title| line.starts_with(title)) {
                part = Some(line.trim_end_matches(':').to_owned());
            }
            if let Some(frame) = Frame::parse(line).filter(|frame| !frame.is_of_the_report()) {
                // arm64 says twice where it happened.
                if trace.frames.last().is_some_and(|last| last.exact && last.same_place(&frame)) {
                    continue;
                }
                trace.frames.push(Frame { part: part.take(), ..frame });
            }
        }
        (called || !trace.frames.is_empty()).then_some(trace)
    }
}

impl Frame {
    /// A line of a trace. What was only found on the stack is left out.
    fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let exact = ["RIP: 0010:", "pc : "].iter().find_map(|register| line.strip_prefix(register));
        let place = exact.unwrap_or(line);
        let mut words = place.split_whitespace();
        let (function, rest) = words.next()?.split_once("+0x")?;
        let (offset, size) = rest.split_once("/0x")?;
        let module = words.next().and_then(|word| word.strip_prefix('[')?.strip_suffix(']'));
        Some(Self {
            part: None,
            function: function.to_owned(),
            offset: u64::from_str_radix(offset, 16).ok()?,
            size: u64::from_str_radix(size, 16).ok()?,
            module: module.map(str::to_owned),
            exact: exact.is_some(),
        })
    }

    /// Bytes from the function's beginning to within the instruction: what a call returns to is the
    /// next line already.
    pub(crate) fn within(&self) -> u64 {
        if self.exact { self.offset } else { self.offset.saturating_sub(1) }
    }

    fn is_of_the_report(&self) -> bool {
        self.module.is_none() && REPORTERS.iter().any(|begin| self.function.starts_with(begin))
    }

    fn same_place(&self, other: &Self) -> bool {
        (&self.function, self.offset, &self.module) == (&other.function, other.offset, &other.module)
    }
}

/// A line of the console without its time stamp, and without what else `printk` may put there.
fn message(line: &str) -> &str {
    let mut rest = line;
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    rest.trim_end()
}

/// Whether a complaint begins with this line.
fn tells(line: &str) -> bool {
    console::classify(line).is_some_and(|trouble| trouble != Trouble::Trace) || is_rule(line)
}

/// Lines that stand above the one that says something.
fn is_rule(line: &str) -> bool {
    line.contains("[ cut here ]") || (line.len() > 20 && line.bytes().all(|byte| byte == b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(trace: &Trace) -> Vec<String> {
        let place = |frame: &Frame| {
            let module = frame.module.as_ref().map(|module| format!(" [{module}]")).unwrap_or_default();
            let exact = if frame.exact { "!" } else { "" };
            let part = frame.part.as_ref().map(|part| format!("{part}: ")).unwrap_or_default();
            format!("{part}{}+{:#x}{module}{exact}", frame.function, frame.offset)
        };
        trace.frames.iter().map(place).collect()
    }

    #[test]
    fn an_oops_of_amd64() {
        let trace = Trace::first_in(
            "[    1.70] hello: 7 of 9\r
[    1.723727] BUG: kernel NULL pointer dereference, address: 0000000000000000\r
[    1.724206] #PF: supervisor write access in kernel mode\r
[    1.726082] CPU: 0 UID: 0 PID: 1 Comm: init Tainted: G           OE       7.2.13 #1\r
[    1.732602] RIP: 0010:fault_oops_init+0xb/0xff0 [fault_oops]\r
[    1.735244] Call Trace:\r
[    1.735481]  <TASK>\r
[    1.735649]  do_one_initcall+0x8e/0x3d0\r
[    1.739227]  ? current_time+0x3e/0x120\r
[    1.742070]  entry_SYSCALL_64_after_hwframe+0x76/0x7e\r
[    1.742262] RIP: 0033:0x262ae9\r
[    1.742300]  </TASK>\r
[    1.742400] Modules linked in: fault_oops(OE+)\r
[    1.742500] ---[ end trace 0000000000000000 ]---\r
[    1.742600] RIP: 0010:fault_oops_init+0xb/0xff0 [fault_oops]\r
[    1.742700]  do_init_module+0x6a/0x290\r
",
        )
        .unwrap();
        assert_eq!(trace.headline, "BUG: kernel NULL pointer dereference, address: 0000000000000000");
        assert_eq!(
            places(&trace),
            [
                "fault_oops_init+0xb [fault_oops]!",
                "do_one_initcall+0x8e",
                "entry_SYSCALL_64_after_hwframe+0x76"
            ]
        );
    }

    #[test]
    fn a_warning_after_a_rule() {
        let trace = Trace::first_in(
            "[ 1.1][    T1] ------------[ cut here ]------------
[ 1.1][    T1] WARNING: fault_warn.c:9 at fault_warn_init+0x10/0x1000 [fault_warn], CPU#0: init/1
[ 1.1][    T1] Modules linked in: fault_warn(OE+)
[ 1.1][    T1] RIP: 0010:fault_warn_init+0x10/0x1000 [fault_warn]
[ 1.1][    T1] Call Trace:
[ 1.1][    T1]  do_one_initcall+0x8e/0x3d0
[ 1.1][    T1] ---[ end trace 0000000000000000 ]---
",
        )
        .unwrap();
        assert!(trace.headline.starts_with("WARNING: fault_warn.c:9 at "), "{trace:?}");
        assert_eq!(places(&trace), ["fault_warn_init+0x10 [fault_warn]!", "do_one_initcall+0x8e"]);
    }

    #[test]
    fn a_report_of_kasan_has_parts() {
        let trace = Trace::first_in(
            "[ 9.1] ==================================================================
[ 9.1] BUG: KASAN: slab-out-of-bounds in quiet_bounds_init+0x7b/0xff0 [quiet_bounds]
[ 9.1] Write of size 1 at addr ffff88800a6f6b8d by task init/1
[ 9.1] Call Trace:
[ 9.1]  <TASK>
[ 9.1]  dump_stack_lvl+0x5d/0x80
[ 9.1]  quiet_bounds_init+0x7b/0xff0 [quiet_bounds]
[ 9.1]  </TASK>
[ 9.1]
[ 9.1] Allocated by task 1:
[ 9.1]  kasan_save_stack+0x30/0x50
[ 9.1]  quiet_bounds_init+0x3a/0xff0 [quiet_bounds]
[ 9.1] The buggy address belongs to the object at ffff88800a6f6b80
[ 9.1]  which belongs to the cache kmalloc-16 of size 16
",
        )
        .unwrap();
        assert!(trace.headline.starts_with("BUG: KASAN: slab-out-of-bounds"), "{trace:?}");
        assert_eq!(
            places(&trace),
            [
                "quiet_bounds_init+0x7b [quiet_bounds]",
                "Allocated by task 1: quiet_bounds_init+0x3a [quiet_bounds]"
            ]
        );
    }

    #[test]
    fn an_oops_of_arm64() {
        let trace = Trace::first_in(
            "[ 2.1] Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000
[ 2.1] Mem abort info:
[ 2.1] pc : fault_oops_init+0x14/0xff8 [fault_oops]
[ 2.1] lr : do_one_initcall+0x60/0x2a8
[ 2.1] Call trace:
[ 2.1]  fault_oops_init+0x14/0xff8 [fault_oops] (P)
[ 2.1]  do_one_initcall+0x60/0x2a8
[ 2.1] Code: d2800000 52800021 (b9000001)
[ 2.1] ---[ end trace 0000000000000000 ]---
",
        )
        .unwrap();
        assert_eq!(places(&trace), ["fault_oops_init+0x14 [fault_oops]!", "do_one_initcall+0x60"]);
    }

    #[test]
    fn a_log_without_complaint_has_none() {
        assert_eq!(Trace::first_in("[ 1.0] hello\n[ 1.1] a+0x1/0x2\n"), None);
        assert_eq!(Trace::first_in(""), None);
        assert_eq!(Trace::first_in("[ 1.0] BUG: bad thing\n[ 1.1] no frames follow\n"), None);
    }

    #[test]
    fn a_long_one_is_cut() {
        let frames = "[ 1.2]  deep+0x1/0x2 [x]\n".repeat(5000);
        let trace = Trace::first_in(&format!("[ 1.0] BUG: stack\n[ 1.1] Call Trace:\n{frames}")).unwrap();
        assert_eq!(trace.frames.len(), FRAMES);
    }
}
