// SPDX-License-Identifier: GPL-2.0
//! Memory that nothing points to any longer, as kmemleak lists it
//! (Documentation/dev-tools/kmemleak.rst).

use std::fmt;

use serde::Serialize;

/// What kmemleak is spoken to by: `scan` is written, findings are read.
pub const KMEMLEAK: &str = "/sys/kernel/debug/kmemleak";

/// kmemleak does not report what is younger than five seconds, in milliseconds.
pub const SETTLE: u64 = 5500;

/// An object that was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostObject {
    /// Its size in bytes.
    pub size: u64,
    /// Who allocated it: the innermost frame first.
    pub backtrace: Vec<String>,
}

impl LostObject {
    /// Reads the list.
    pub fn parse_all(text: &str) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let mut in_backtrace = false;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("unreferenced object 0x") {
                let size = rest.split_once("(size ").and_then(|(_, rest)| rest.split_once(')'));
                let size = size.and_then(|(size, _)| size.parse().ok()).unwrap_or_default();
                all.push(Self { size, backtrace: Vec::new() });
                in_backtrace = false;
            } else if line.trim_start().starts_with("backtrace") {
                in_backtrace = true;
            } else if let Some(object) = all.last_mut().filter(|_| in_backtrace) {
                object.backtrace.push(frame(line).to_owned());
            }
        }
        all
    }

    /// The function that is to be looked at: the innermost of a module, else the innermost that is
    /// no allocator.
    pub fn culprit(&self) -> Option<&str> {
        let allocates = |frame: &&String| ["alloc", "kmem", "slab"].iter().any(|word| frame.contains(word));
        let of_module = self.backtrace.iter().find(|frame| frame.ends_with(']'));
        of_module.or_else(|| self.backtrace.iter().find(|frame| !allocates(frame))).map(String::as_str)
    }
}

impl fmt::Display for LostObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let culprit = self.culprit().unwrap_or("an unknown place");
        let gone =
            if culprit.starts_with("0x") { ", which is gone: an __init function, or a module" } else { "" };
        write!(f, "{} bytes, allocated in {culprit}{gone}", self.size)
    }
}

/// A frame without the address that older kernels put before it.
fn frame(line: &str) -> &str {
    let line = line.trim();
    line.strip_prefix("[<").and_then(|rest| rest.split_once(">] ")).map_or(line, |(_, frame)| frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_and_who_lost_them() {
        let text = "\
unreferenced object 0xffff888004a3d1c0 (size 64):
  comm \"init\", pid 1, jiffies 4294668312
  hex dump (first 32 bytes):
    6c 6f 73 74 00 00 00 00 00 00 00 00 00 00 00 00  lost............
  backtrace (crc 1b5c9f3d):
    kmemleak_alloc+0x4b/0x80
    __kmalloc_cache_noprof+0x2d0/0x3c0
    probe_init+0x2c/0xff0 [probe]
    do_one_initcall+0xa6/0x360
unreferenced object 0xffff888004a3d200 (size 8):
  comm \"kworker/0:1\", pid 9, jiffies 4294668312 (age 12.020s)
  backtrace:
    [<000000001b5c9f3d>] kmemleak_alloc+0x4b/0x80
    [<00000000aabbccdd>] work_fn+0x1/0x2
";
        let all = LostObject::parse_all(text);
        assert_eq!(all.iter().map(|object| object.size).collect::<Vec<_>>(), [64, 8]);
        assert_eq!(all[0].backtrace.len(), 4);
        assert_eq!(all[0].culprit(), Some("probe_init+0x2c/0xff0 [probe]"));
        assert_eq!(all[1].culprit(), Some("work_fn+0x1/0x2"));
        assert_eq!(all[1].to_string(), "8 bytes, allocated in work_fn+0x1/0x2");
        let init =
            LostObject { size: 8, backtrace: vec!["kmalloc+0x1/0x2".into(), "0xffffffffc0401041".into()] };
        assert!(init.to_string().contains("0xffffffffc0401041, which is gone"), "{init}");
        assert_eq!(LostObject::parse_all(""), []);
    }
}
