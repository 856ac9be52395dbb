// SPDX-License-Identifier: GPL-2.0
//! The configuration of a sanitizing kernel: made of that of the kernel that it stands for and of
//! the lists in [`options`](super::options), and checked against both once Kconfig has had its say.

use std::collections::BTreeMap;
use std::fmt;

use super::kconfig::Definitions;
use super::options::{ADDED, DIRECTORIES, Directory, Keep, NAMED, SEEN};
use kmodfile::config::Config;

/// A value that an option is to have, or has; `n` where it is not set.
type Value = String;

/// What Kconfig is asked for.
#[derive(Clone, Debug)]
pub struct AskedConfig(BTreeMap<String, Value>);

/// An option that is otherwise than asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Its name, with `CONFIG_`.
    pub option: String,
    /// What it had to be.
    pub asked: Value,
    /// What it is.
    pub made: Value,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} was asked for, and it is {}", self.option, self.asked, self.made)
    }
}

impl AskedConfig {
    /// What a kernel that stands for one with the configuration `of` is to be. What that one has
    /// not set is not set here either, whatever Kconfig's own default is.
    pub fn new(of: &Config, definitions: &Definitions) -> Self {
        let mut asked: BTreeMap<String, Value> =
            definitions.switches().map(|option| (option.to_owned(), "n".to_owned())).collect();
        for (name, _) in of.options() {
            // With its quotes.
            let value = of.value(name).unwrap_or("n");
            let Some(option) = name.strip_prefix("CONFIG_") else { continue };
            let kept = is_kept(option, value, definitions);
            asked.insert(option.to_owned(), if kept { value } else { "n" }.to_owned());
        }
        for added in ADDED.iter().filter(|added| !added.if_known || definitions.knows(added.option)) {
            asked.insert(added.option.to_owned(), added.value.to_owned());
        }
        Self(asked)
    }

    /// As the text of a `.config`.
    pub fn text(&self) -> String {
        let line = |(option, value): (&String, &Value)| match value.as_str() {
            "n" => format!("# CONFIG_{option} is not set\n"),
            value => format!("CONFIG_{option}={value}\n"),
        };
        self.0.iter().map(line).collect()
    }
}

/// What is otherwise in `made` than it had to be: an option that makes the kernel a sanitizing one,
/// or one that modules see. What was left out and came back, as something else selects it, is in
/// nobody's way.
pub fn unmet(of: &Config, made: &Config, definitions: &Definitions) -> Vec<Unmet> {
    let value = |config: &Config, name: &str| config.value(name).unwrap_or("n").to_owned();
    let added = ADDED.iter().filter(|added| !added.if_known || definitions.knows(added.option));
    let added = added.map(|added| (format!("CONFIG_{}", added.option), added.value.to_owned()));
    let seen = of.differences(made).into_iter().map(|difference| difference.option.to_owned());
    let seen = seen.filter(|name| is_seen(name)).map(|name| {
        let asked = value(of, &name);
        (name, asked)
    });
    let both: BTreeMap<String, Value> = seen.chain(added).collect();
    let compared = both.into_iter().map(|(option, asked)| {
        let made = value(made, &option);
        Unmet { option, asked, made }
    });
    compared.filter(|unmet| unmet.asked != unmet.made).collect()
}

/// Whether modules see an option.
fn is_seen(name: &str) -> bool {
    name.strip_prefix("CONFIG_").is_some_and(|option| {
        SEEN.iter().any(|seen| seen.options.iter().any(|pattern| fits(pattern, option)))
    })
}

/// Whether an option of the kernel that it stands for is kept as it is.
fn is_kept(option: &str, value: &str, definitions: &Definitions) -> bool {
    // A number or a text only counts with what it belongs to.
    if !matches!(value, "y" | "m") {
        return true;
    }
    if let Some(named) = NAMED.iter().find(|named| named.options.iter().any(|pattern| fits(pattern, option)))
    {
        return named.keep;
    }
    let keep = definitions.directory(option).map_or(Keep::BuiltIn, |path| rule(path.as_str()).keep);
    if value == "y" { keep != Keep::Nothing } else { keep == Keep::All }
}

/// The rule for a directory: the longest that fits.
fn rule(path: &str) -> &'static Directory {
    let fits = |rule: &&Directory| {
        let rest = path.strip_prefix(rule.path);
        rule.path.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    DIRECTORIES.iter().filter(fits).max_by_key(|rule| rule.path.len()).expect("the first rule fits all")
}

/// Whether a pattern, in which `*` stands for anything, fits a name.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(first) else { return false };
    rest.is_empty() || (0..=name.len()).any(|at| name.is_char_boundary(at) && fits(rest, &name[at..]))
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;

    /// A kernel's options and where they are defined.
    const DEFINED: &[(&str, &str)] = &[
        ("arch/x86", "config SMP\nconfig X86_MSR\nconfig NR_CPUS\n"),
        ("arch/x86/kvm", "config KVM\n"),
        ("arch/x86/xen", "config XEN_PV\n"),
        ("drivers/net", "config TUN\nconfig E1000\nconfig NETDEVICES\n"),
        ("drivers/scsi", "config SCSI\nconfig SCSI_DMA\n"),
        ("drivers/virtio", "config VIRTIO_PCI\n"),
        ("fs", "config FUSE_FS\nconfig TMPFS\n"),
        ("fs/xfs", "config XFS_FS\n"),
        (
            "lib",
            "config KASAN\nconfig UBSAN\nconfig UBSAN_TRAP\nconfig NEW_AND_ON\n\tbool\nconfig DEBUG_INFO_NONE\n",
        ),
        ("net", "config TIPC\nconfig INET\n"),
    ];

    const OF: &str = "CONFIG_SMP=y\nCONFIG_KVM=m\nCONFIG_X86_MSR=m\nCONFIG_NR_CPUS=8\nCONFIG_TUN=m\nCONFIG_E1000=y\n\
        CONFIG_NETDEVICES=y\nCONFIG_SCSI=m\nCONFIG_SCSI_DMA=y\nCONFIG_FUSE_FS=m\nCONFIG_TMPFS=y\nCONFIG_XFS_FS=m\n\
        CONFIG_TIPC=m\nCONFIG_INET=y\nCONFIG_XEN_PV=y\nCONFIG_UBSAN_TRAP=y\nCONFIG_MODULE_SIG_KEY=\"k\"\n";

    fn definitions() -> Definitions {
        let mut definitions = Definitions::default();
        DEFINED.iter().for_each(|(directory, text)| definitions.add(Utf8Path::new(directory), text));
        definitions
    }

    #[test]
    fn what_is_kept_left_out_and_added() {
        let asked = AskedConfig::new(&Config::parse(OF), &definitions());
        for (option, value) in [
            // As it was: built in, a number, a file system, a software device.
            ("SMP", "y"),
            ("NR_CPUS", "8"),
            ("FUSE_FS", "m"),
            ("TUN", "m"),
            ("NETDEVICES", "y"),
            ("INET", "y"),
            // Left out: hardware, other machines, a large file system, a protocol as a module.
            ("E1000", "n"),
            ("SCSI", "n"),
            ("SCSI_DMA", "n"),
            ("KVM", "n"),
            ("XEN_PV", "n"),
            ("X86_MSR", "n"),
            ("XFS_FS", "n"),
            ("TIPC", "n"),
            // Added, and what a kernel that has it is to have otherwise.
            ("KASAN", "y"),
            ("VIRTIO_PCI", "y"),
            ("UBSAN_TRAP", "n"),
            // Not set in the kernel that it stands for.
            ("NEW_AND_ON", "n"),
        ] {
            assert_eq!(asked.0.get(option).map(String::as_str), Some(value), "{option}");
        }
        assert!(!asked.0.contains_key("RUST_DEBUG_ASSERTIONS"), "this kernel knows no such option");
        let text = asked.text();
        assert!(
            text.contains("\nCONFIG_KASAN=y\n") && text.contains("\n# CONFIG_KVM is not set\n"),
            "{text}"
        );
    }

    #[test]
    fn what_came_out_otherwise_is_named() {
        let of = Config::parse(OF);
        let all = AskedConfig::new(&of, &definitions()).text();
        let unmet = |made: &str| -> Vec<String> {
            unmet(&of, &Config::parse(made), &definitions()).iter().map(Unmet::to_string).collect()
        };
        assert_eq!(unmet(&all), [""; 0]);
        for (was, is, said) in [
            ("CONFIG_KASAN=y", "", "CONFIG_KASAN=y was asked for, and it is n"),
            ("CONFIG_NR_CPUS=8", "CONFIG_NR_CPUS=4", "CONFIG_NR_CPUS=8 was asked for, and it is 4"),
            (
                "# CONFIG_UBSAN_TRAP is not set",
                "CONFIG_UBSAN_TRAP=y",
                "CONFIG_UBSAN_TRAP=n was asked for, and it is y",
            ),
        ] {
            assert_eq!(unmet(&all.replace(was, is)), [said]);
        }
        assert_eq!(unmet(&format!("{all}CONFIG_SCSI=m\n")), [""; 0], "what came back is in nobody's way");
    }

    #[test]
    fn the_longest_directory_decides() {
        for (path, keep) in [
            ("lib", Keep::All),
            ("drivers", Keep::Nothing),
            ("drivers/scsi/qla2xxx", Keep::Nothing),
            ("drivers/pci/controller", Keep::BuiltIn),
            ("drivers/pcmcia", Keep::Nothing),
            ("fs/nls", Keep::BuiltIn),
            ("fs/xfs", Keep::Nothing),
        ] {
            assert_eq!(rule(path).keep, keep, "{path}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, name, does) in [
            ("A", "A", true),
            ("A", "AB", false),
            ("A*", "A", true),
            ("A*", "ABC", true),
            ("*_NS", "PID_NS", true),
            ("*_NS", "PID_NS_X", false),
            ("C_*_X", "C_AES_X", true),
            ("C_*_X", "C_X", false),
            ("*_E*", "A_E", true),
        ] {
            assert_eq!(fits(pattern, name), does, "{pattern} {name}");
        }
    }

    #[test]
    fn no_option_is_both_seen_and_left_out() {
        for seen in SEEN.iter().flat_map(|seen| seen.options).filter(|seen| !seen.contains('*')) {
            let named = NAMED.iter().find(|named| named.options.iter().any(|pattern| fits(pattern, seen)));
            assert!(named.is_none_or(|named| named.keep), "{seen}");
        }
    }
}
