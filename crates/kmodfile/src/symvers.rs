// SPDX-License-Identifier: GPL-2.0
//! `Module.symvers`: what a kernel exports (Documentation/kbuild/modules.rst, "Module Versioning").

use crate::crc::Crc;

/// A line of `Module.symvers`: one exported symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymversEntry<'a> {
    /// CRC of its prototype; 0 where the kernel has no module versions.
    pub crc: Crc,
    /// Its name.
    pub symbol: &'a str,
    /// `vmlinux`, or the module that exports it, as a path without suffix.
    pub module: &'a str,
    /// Whether only modules with a licence compatible with the GPL may use it.
    pub gpl_only: bool,
    /// Its namespace, empty for none.
    pub namespace: &'a str,
}

/// Parses the text of a `Module.symvers`; lines of another form are left out.
///
/// ```
/// let text = "0x1b2c3d4e\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n";
/// let entry = kmodfile::symvers::parse(text).next().unwrap();
/// assert_eq!((entry.symbol, entry.module, entry.gpl_only), ("printk", "vmlinux", false));
/// ```
pub fn parse(text: &str) -> impl Iterator<Item = SymversEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        let crc = Crc(u32::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok()?);
        let (symbol, module, kind) = (fields.next()?, fields.next()?, fields.next()?);
        let namespace = fields.next().unwrap_or_default();
        Some(SymversEntry { crc, symbol, module, gpl_only: kind == "EXPORT_SYMBOL_GPL", namespace })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_read() {
        let text = "0x00000000\texecute_in_process_context\tvmlinux\tEXPORT_SYMBOL_GPL\t\n\
                    0x1b2c3d4e\tother\tfs/some/other\tEXPORT_SYMBOL\tSPACE\n\
                    another line\n";
        let exports: Vec<_> = parse(text).collect();
        assert_eq!(exports.len(), 2);
        assert!(exports[0].gpl_only && exports[0].module == "vmlinux");
        assert_eq!((exports[1].crc, exports[1].namespace), (Crc(0x1b2c_3d4e), "SPACE"));
    }
}
