// SPDX-License-Identifier: GPL-2.0
//! `Module.symvers`: what a kernel exports (Documentation/kbuild/modules.rst, "Module Versioning").

/// One exported symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export<'a> {
    /// CRC of its prototype; 0 where the kernel has no module versions.
    pub crc: u32,
    /// Its name.
    pub symbol: &'a str,
    /// `vmlinux`, or the module that exports it, as a path without suffix.
    pub module: &'a str,
    /// Whether only modules with a licence compatible with the GPL may use it.
    pub gpl_only: bool,
    /// Symbol namespace, empty for none.
    pub namespace: &'a str,
}

/// Reads the text of a `Module.symvers`; lines of another shape are left out.
pub fn parse(text: &str) -> impl Iterator<Item = Export<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        let crc = u32::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok()?;
        let (symbol, module, kind) = (fields.next()?, fields.next()?, fields.next()?);
        let namespace = fields.next().unwrap_or_default();
        Some(Export { crc, symbol, module, gpl_only: kind == "EXPORT_SYMBOL_GPL", namespace })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_read() {
        let text = "0x00000000\texecute_in_process_context\tvmlinux\tEXPORT_SYMBOL_GPL\t\n\
                    0x1b2c3d4e\tksmbd_x\tfs/smb/server/ksmbd\tEXPORT_SYMBOL\tSMB\n\
                    no such line\n";
        let exports: Vec<_> = parse(text).collect();
        assert_eq!(exports.len(), 2);
        assert!(exports[0].gpl_only && exports[0].module == "vmlinux");
        assert_eq!((exports[1].crc, exports[1].namespace), (0x1b2c_3d4e, "SMB"));
    }
}
