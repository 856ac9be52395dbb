// SPDX-License-Identifier: GPL-2.0
//! The records of the kernel log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A record of the kernel log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its level: 0 emergency ... 7 debug (syslog(2)).
    pub level: u8,
    /// The kernel's clock, in microseconds.
    pub micros: u64,
    /// The message.
    pub text: String,
}

impl fmt::Display for LogLine {
    /// As dmesg(1) prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:5}.{:06}] {}", self.micros / 1_000_000, self.micros % 1_000_000, self.text)
    }
}

impl LogLine {
    /// Reads a record as `/dev/kmsg` gives it: `priority,sequence,microseconds,flags[,...];text`,
    /// then lines of properties that begin with a blank (Documentation/ABI/testing/dev-kmsg).
    pub fn parse(record: &str) -> Option<Self> {
        let (head, rest) = record.split_once(';')?;
        let mut fields = head.split(',');
        let priority: u32 = fields.next()?.parse().ok()?;
        let micros = fields.nth(1)?.parse().ok()?;
        let text = rest.split_once('\n').map_or(rest, |(text, _)| text);
        Some(Self { level: (priority & 7) as u8, micros, text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kmsg_records() {
        let record = "6,1234,5678901,-;loop: module loaded\n SUBSYSTEM=module\n DEVICE=+module:loop\n";
        let line = LogLine::parse(record).unwrap();
        assert_eq!(line, LogLine { level: 6, micros: 5_678_901, text: "loop: module loaded".into() });
        assert_eq!(line.to_string(), "[    5.678901] loop: module loaded");
        // A facility other than the kernel's, further flags.
        assert_eq!(LogLine::parse("12,1,0,-,caller=T1;x;y").unwrap().text, "x;y");
        assert_eq!(LogLine::parse("12,1,0,-,caller=T1;x").unwrap().level, 4);
        assert_eq!(LogLine::parse("nonsense"), None);
        assert_eq!(LogLine::parse("6,1;too short"), None);
    }
}
