// SPDX-License-Identifier: GPL-2.0
//! What can be proven of Rust artefacts that a distribution ships with a kernel.
//!
//! Made here, artefacts come with lists of what they export, and every name that the kernel exports
//! is looked for in them ([`crate::rust`]). What is shipped may have such lists, or object files
//! that say the same. Where only metadata is shipped, each crate's identity is left: a hash over
//! its name and the compiler, which is in the mangled name of everything that the kernel exports of
//! it. That it is equal proves the crate and the compiler, not each name; whether the kernel has
//! what a module imports, modpost finds when it is built.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::Utf8Path;
use object::{Object as _, ObjectSymbol as _};

use crate::rust;
use kmodfile::release::Release;
use report::failure::Failure;

/// What was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShippedProof {
    /// Every Rust symbol that the kernel exports is in the artefacts, name for name.
    Symbols(usize),
    /// Each crate of which the kernel exports something is the one that is shipped.
    Crates(usize),
}

impl ShippedProof {
    /// Proven symbols; none where only crates are.
    pub fn symbols(self) -> usize {
        match self {
            Self::Symbols(count) => count,
            Self::Crates(_) => 0,
        }
    }
}

impl std::fmt::Display for ShippedProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Symbols(count) => write!(f, "{count} of {count} exported Rust symbols"),
            Self::Crates(count) => write!(
                f,
                "{count} of {count} crates by their identity; their symbols are not listed in what is installed"
            ),
        }
    }
}

/// Proves the artefacts in `build`/rust by the best that is there.
///
/// # Errors
///
/// Refused, if anything that the kernel exports is not from these artefacts.
pub fn prove(release: &Release, symvers: &str, build: &Utf8Path) -> Result<ShippedProof> {
    let listed = rust::exported_by_artefacts(build)?;
    let named = if listed.is_empty() { defined_by_objects(build)? } else { listed };
    if !named.is_empty() {
        return Ok(ShippedProof::Symbols(rust::prove_named(release, symvers, &named)?.symbols));
    }
    prove_crates(release, symvers, build)
}

/// The symbols that the object files beside the artefacts define.
fn defined_by_objects(build: &Utf8Path) -> Result<BTreeSet<String>> {
    let mut symbols = BTreeSet::new();
    for entry in build.join("rust").read_dir_utf8()? {
        let entry = entry?;
        if entry.path().extension() != Some("o") {
            continue;
        }
        let bytes = fs_err::read(entry.path())?;
        let Ok(file) = object::File::parse(&*bytes) else { continue };
        let defined = file.symbols().filter(|symbol| symbol.is_global() && symbol.is_definition());
        symbols.extend(defined.filter_map(|symbol| Some(symbol.name().ok()?.to_owned())));
    }
    Ok(symbols)
}

fn prove_crates(release: &Release, symvers: &str, build: &Utf8Path) -> Result<ShippedProof> {
    let exported = rust::exported_by_kernel(symvers);
    let mut wanted = BTreeMap::new();
    exported.iter().flat_map(|symbol| crates_of(symbol)).for_each(|(name, id)| {
        wanted.insert(name.to_owned(), id);
    });
    // Crates of which nothing is shipped, as the compiler's own, are left out.
    let shipped = |name: &String| build.join(format!("rust/lib{name}.rmeta"));
    wanted.retain(|name, _| shipped(name).exists());
    let mut others = Vec::new();
    for (name, id) in &wanted {
        let metadata = fs_err::read(shipped(name))?;
        if !metadata.windows(8).any(|word| word == id.to_le_bytes()) {
            others.push(name.as_str());
        }
    }
    if wanted.is_empty() || !others.is_empty() {
        let reason = if wanted.is_empty() {
            "its Module.symvers names none of the crates whose Rust artefacts are installed".to_owned()
        } else {
            format!(
                "the Rust artefacts of {} in {build}/rust are not those that it was built from",
                others.join(", ")
            )
        };
        return Err(Failure::refused(release.as_str(), reason)
            .remedy("install headers and artefacts of the very same version as the kernel")
            .into());
    }
    Ok(ShippedProof::Crates(wanted.len()))
}

/// The crates that a mangled name tells of, each with its identity: `Cs` and a number to the base
/// of 62, then the length and the text of its name (RFC 2603).
fn crates_of(symbol: &str) -> impl Iterator<Item = (&str, u64)> {
    symbol.match_indices("Cs").filter_map(|(at, _)| {
        let (digits, rest) = symbol[at + 2..].split_once('_')?;
        let length = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let count: usize = rest[..length].parse().ok()?;
        // A blank is put between the length and a name that begins with a digit or a blank.
        let text = rest[length..].strip_prefix('_').unwrap_or(&rest[length..]);
        Some((text.get(..count)?, disambiguator(digits)?))
    })
}

/// The number that is written so: an empty one is 1, `0` is 2.
fn disambiguator(digits: &str) -> Option<u64> {
    let value = digits.bytes().try_fold(0_u64, |value, c| {
        let digit = match c {
            b'0'..=b'9' => c - b'0',
            b'a'..=b'z' => c - b'a' + 10,
            b'A'..=b'Z' => c - b'A' + 36,
            _ => return None,
        };
        Some(value.wrapping_mul(62).wrapping_add(digit.into()))
    })?;
    Some(if digits.is_empty() { 1 } else { value.wrapping_add(2) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::failure::{Exit, exit_of};

    const SYMVERS: &str = "0x0\t_RNvNtCsa_4core9panicking9panic_fmt\tvmlinux\tEXPORT_SYMBOL_GPL\t\n\
                           0x0\t_RNvCsb_6kernel5printNtCsa_4core3fmt\tvmlinux\tEXPORT_SYMBOL_GPL\t\n";

    fn build(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir(dir.path().join("rust")).unwrap();
        for (name, bytes) in files {
            fs_err::write(dir.path().join("rust").join(name), bytes).unwrap();
        }
        dir
    }

    fn proven(files: &[(&str, &[u8])]) -> Result<ShippedProof> {
        let dir = build(files);
        prove(&"7.2.11".parse().unwrap(), SYMVERS, Utf8Path::from_path(dir.path()).unwrap())
    }

    #[test]
    fn a_mangled_name_tells_its_crates() {
        let found: Vec<_> = crates_of("_RNvCsb_6kernel5printNtCs_4core3fmt").collect();
        assert_eq!(found, [("kernel", 13), ("core", 1)]);
    }

    #[test]
    fn lists_are_the_best_proof_and_identities_the_least() {
        let lists: &[u8] = b"EXPORT_SYMBOL_RUST_GPL(_RNvNtCsa_4core9panicking9panic_fmt);\n\
                             EXPORT_SYMBOL_RUST_GPL(_RNvCsb_6kernel5printNtCsa_4core3fmt);\n";
        assert_eq!(proven(&[("exports_kernel_generated.h", lists)]).unwrap(), ShippedProof::Symbols(2));
        let (core, kernel) = (12_u64.to_le_bytes(), [b"rust....", &13_u64.to_le_bytes()[..]].concat());
        let metadata: &[(&str, &[u8])] = &[("libcore.rmeta", &core), ("libkernel.rmeta", &kernel)];
        assert_eq!(proven(metadata).unwrap(), ShippedProof::Crates(2));
    }

    #[test]
    fn artefacts_of_another_kernel_are_refused_by_name() {
        let (core, kernel) = (12_u64.to_le_bytes(), 14_u64.to_le_bytes());
        let metadata: &[(&str, &[u8])] = &[("libcore.rmeta", &core), ("libkernel.rmeta", &kernel)];
        let error = proven(metadata).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
        assert!(error.to_string().contains("artefacts of kernel in"), "{error}");
        assert_eq!(exit_of(&proven(&[]).unwrap_err()), Exit::Refused);
    }
}
