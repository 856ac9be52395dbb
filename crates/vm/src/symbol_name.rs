// SPDX-License-Identifier: GPL-2.0
//! Names of functions as the source has them: those of Rust are mangled in the kernel's table.

/// A name of Rust's as the source has it, without the hashes of crates; any other as it is.
pub(crate) fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// A line of the kernel log, the functions in it (`NAME+0xOFFSET`) by the names that the source has
/// for them.
pub(crate) fn readable(line: &str) -> String {
    let word = |word: &str| match word.split_once("+0x") {
        Some((name, rest)) if name.starts_with("_R") => format!("{}+0x{rest}", demangled(name)),
        _ => word.to_owned(),
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_rust_are_readable() {
        assert_eq!(
            readable(
                "BUG: KASAN: out in _RNvXCshJdHYOssbl2_2qrNtB2_2QrNtCsdJ13ReMSUMg_6kernel6Module4init+0x7f/0xd0 [qr]"
            ),
            "BUG: KASAN: out in <qr::Qr as kernel::Module>::init+0x7f/0xd0 [qr]"
        );
        for line in ["WARNING: a.c:9 at x_init+0x1/0x2 [x], CPU#0: init/1", "_R+0x and  two blanks", ""] {
            assert_eq!(readable(line), line);
        }
    }
}
