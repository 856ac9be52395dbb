// SPDX-License-Identifier: GPL-2.0
//! The Rust side of a kernel tree: whether its toolchain is the one the kernel was built with, and
//! the proof that the artefacts made again are those of the running kernel.
//!
//! A Rust symbol's mangled name holds a hash over the compiler, the crate's name and its
//! dependencies (v0 mangling, RFC 2603). When every Rust symbol that the distribution's kernel
//! exports is exported, name for name, by the artefacts made here, a module compiled against them
//! finds in that kernel what it was compiled for.

use std::collections::BTreeSet;

use anyhow::Result;
use camino::Utf8Path;

use kmodfile::release::Release;
use kmodfile::symvers;
use report::failure::Failure;

/// Missing symbols that a refusal names.
const NAMED: usize = 10;

/// How many symbols were matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Exported Rust symbols of the kernel, each of which the artefacts export.
    pub symbols: usize,
}

/// Compares the kernel's exported Rust symbols with the artefacts in `kdir/rust`; refuses on any
/// gap.
pub fn prove(release: &Release, symvers: &str, kdir: &Utf8Path) -> Result<Proof> {
    prove_named(release, symvers, &exported_by_artefacts(kdir)?)
}

/// The same with the names that artefacts export.
pub(crate) fn prove_named(release: &Release, symvers: &str, made: &BTreeSet<String>) -> Result<Proof> {
    let wanted = exported_by_kernel(symvers);
    let missing: Vec<&str> = wanted.difference(made).map(String::as_str).collect();
    if wanted.is_empty() {
        return Err(Failure::refused(
            release.as_str(),
            "its Module.symvers holds no Rust symbols, so the artefacts cannot be proven",
        )
        .remedy("choose a kernel with CONFIG_RUST=y: cargo kmod kernel list")
        .into());
    }
    if missing.is_empty() {
        return Ok(Proof { symbols: wanted.len() });
    }
    Err(refusal(release, wanted.len(), &missing).into())
}

fn refusal(release: &Release, wanted: usize, missing: &[&str]) -> Failure {
    let named: String = missing.iter().take(NAMED).map(|name| format!("\n    {name}")).collect();
    let more = missing.len().saturating_sub(NAMED);
    let rest = if more > 0 { format!("\n    and {more} more") } else { String::new() };
    Failure::refused(
        release.as_str(),
        format!(
            "{} of the {wanted} Rust symbols it exports are not exported by the artefacts made here, so a module \
             built against them would not load:{named}{rest}",
            missing.len()
        ),
    )
    .remedy("the toolchain differs from the one the kernel was built with: wait for the archive to carry that one, or choose another kernel (cargo kmod kernel list)")
}

/// Rust symbols that the image itself exports (those of its modules are not part of `rust/`).
pub(crate) fn exported_by_kernel(symvers: &str) -> BTreeSet<String> {
    let rust = |export: &symvers::SymversEntry<'_>| export.module == "vmlinux" && is_rust(export.symbol);
    symvers::parse(symvers).filter(rust).map(|export| export.symbol.to_owned()).collect()
}

/// How many Rust symbols the artefacts in `kdir/rust` export.
pub(crate) fn exported(kdir: &Utf8Path) -> Result<usize> {
    Ok(exported_by_artefacts(kdir)?.len())
}

/// Rust symbols named in the generated lists `rust/exports_*_generated.h`.
pub(crate) fn exported_by_artefacts(kdir: &Utf8Path) -> Result<BTreeSet<String>> {
    let mut symbols = BTreeSet::new();
    for entry in kdir.join("rust").read_dir_utf8()? {
        let name = entry?.file_name().to_owned();
        if name.starts_with("exports_") && name.ends_with("_generated.h") {
            symbols.extend(listed(&fs_err::read_to_string(kdir.join("rust").join(name))?));
        }
    }
    Ok(symbols)
}

/// Lines of the form `EXPORT_SYMBOL_RUST_GPL(name);`.
fn listed(header: &str) -> impl Iterator<Item = String> {
    let name = |line: &str| {
        let inner = line.trim().strip_prefix("EXPORT_SYMBOL_RUST_GPL(")?;
        inner.strip_suffix(");").filter(|name| is_rust(name)).map(str::to_owned)
    };
    header.lines().filter_map(name)
}

/// Whether a symbol's name is mangled by Rust's v0 scheme.
fn is_rust(symbol: &str) -> bool {
    symbol.starts_with("_R")
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::failure::{Exit, exit_of};

    const SYMVERS: &str = "0x00000000\t_RNvA\tvmlinux\tEXPORT_SYMBOL_GPL\t\n0x00000000\t_RNvB\tvmlinux\tEXPORT_SYMBOL_GPL\t\n\
                           0x00000000\t_RATEEST_lookup\tnet/netfilter/xt\tEXPORT_SYMBOL_GPL\t\n0x00000000\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n";

    fn kdir(exports: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir(dir.path().join("rust")).unwrap();
        fs_err::write(dir.path().join("rust/exports_kernel_generated.h"), exports).unwrap();
        dir
    }

    fn proven(exports: &str) -> Result<Proof> {
        let dir = kdir(exports);
        prove(&"7.2.11".parse().unwrap(), SYMVERS, Utf8Path::from_path(dir.path()).unwrap())
    }

    #[test]
    fn equal_sets_are_proof() {
        let exports = "EXPORT_SYMBOL_RUST_GPL(_RNvA);\nEXPORT_SYMBOL_RUST_GPL(_RNvB);\nEXPORT_SYMBOL_RUST_GPL(_RNvC);\n";
        assert_eq!(proven(exports).unwrap(), Proof { symbols: 2 });
    }

    #[test]
    fn one_missing_symbol_is_refused_by_name() {
        let error = proven("EXPORT_SYMBOL_RUST_GPL(_RNvA);\n").unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
        assert!(error.to_string().contains("1 of the 2") && error.to_string().contains("_RNvB"), "{error}");
    }

    #[test]
    fn ten_missing_symbols_are_named_and_the_rest_counted() {
        let names: Vec<String> = (0..25).map(|n| format!("_RNv{n:02}")).collect();
        let missing: Vec<&str> = names.iter().map(String::as_str).collect();
        let text = refusal(&"7.2.11".parse().unwrap(), 30, &missing).to_string();
        assert!(
            text.contains("_RNv09") && !text.contains("_RNv10") && text.contains("and 15 more"),
            "{text}"
        );
    }
}
