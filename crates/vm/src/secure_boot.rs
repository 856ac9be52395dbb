// SPDX-License-Identifier: GPL-2.0
//! The real chain of a machine with Secure Boot: firmware with Microsoft's keys, the distribution's
//! signed shim, GRUB and kernel, and the Machine Owner Keys (MOK) that shim hands to it.
//!
//! Nothing is switched off or re-signed: what the machine refuses here, it refuses on a desk. The
//! firmware's variables are a copy for each run, in which a certificate is enrolled as MokManager
//! would have done.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::kernel_image;
use kernel::context::Context;
use kernel::distribution::{BootChain, known};
use kernel::root::Access;
use kernel::root::tree::TreeRoot;
use project::key::certificate::Certificate;
use report::failure::Failure;
use report::process::Cmd;

/// Who enrolled a key; MokManager writes this (shim's `SHIM_LOCK_GUID`).
const MOK_OWNER: &str = "605dab50-e046-4300-abb6-3dd810dd8b23";

/// Firmware, kernel and initramfs need more than the kernel alone, in MiB.
pub const MEMORY: u32 = 512;

/// What the kernel says once it has found Secure Boot on (arch/x86/kernel/setup.c).
pub const ENABLED: &str = "Secure boot enabled";

/// The signed programs before the kernel.
#[derive(Clone, Debug)]
pub struct Chain {
    root: TreeRoot,
    parts: BootChain,
}

/// A machine's firmware and disk, as a run starts with them.
#[derive(Clone, Copy, Debug)]
pub struct SecureBoot<'a> {
    /// What comes before the kernel.
    pub chain: &'a Chain,
    /// The distribution's signed kernel.
    pub vmlinuz: &'a Utf8Path,
    /// The certificate that is enrolled as a Machine Owner Key, if any.
    pub enrolled: Option<&'a Certificate>,
}

/// What QEMU is given.
#[derive(Clone, Debug)]
pub struct Firmware {
    /// The firmware's code, only read.
    pub code: Utf8PathBuf,
    /// Its variables, which it writes.
    pub variables: Utf8PathBuf,
    /// A directory that the machine sees as a FAT disk.
    pub disk: Utf8PathBuf,
}

impl Chain {
    /// The chain in the user's cache, made now if it is not there.
    pub fn provide(context: &Context) -> Result<Self> {
        let distribution = known::usual();
        let parts = distribution.boot_chain();
        let root = TreeRoot::provide(context, &parts.recipe)?;
        let files = parts.signed.iter().map(|(from, _)| *from).chain([parts.code, parts.variables]);
        match files.map(|file| root.tree().join(file)).find(|file| !file.exists()) {
            None => Ok(Self { root, parts }),
            Some(file) => {
                let reason = format!("is not in {}'s packages any more", distribution.name());
                Err(Failure::missing(file.as_str(), reason).into())
            }
        }
    }

    /// A copy of the variables in `dir`, with `enrolled` in the list of Machine Owner Keys.
    fn variables(
        &self,
        context: &Context,
        enrolled: Option<&Certificate>,
        dir: &Utf8Path,
    ) -> Result<Utf8PathBuf> {
        let out = dir.join("variables.fd");
        let Some(certificate) = enrolled else {
            fs_err::write(&out, fs_err::read(self.root.tree().join(self.parts.variables))?)?;
            return Ok(out);
        };
        let pem = dir.join("mok.pem");
        fs_err::write(&pem, certificate.pem())?;
        let cmd = Cmd::new("virt-fw-vars")
            .args(["--input", &format!("/{}", self.parts.variables), "--output"])
            .arg(&out);
        let cmd = cmd.args(["--add-mok", MOK_OWNER]).arg(&pem);
        self.root.inside(context, cmd, &Access::default().write(dir)).run(&context.report)?;
        Ok(out)
    }
}

impl SecureBoot<'_> {
    /// Lays out firmware and disk in `dir`, which is the run's own, for a kernel with `initrd` and
    /// these parameters.
    pub fn lay_out(
        &self,
        context: &Context,
        dir: &Utf8Path,
        initrd: &Utf8Path,
        parameters: &str,
    ) -> Result<Firmware> {
        let disk = dir.join("disk");
        let copy = |from: &Utf8Path, to: &str| -> Result<()> {
            let to = disk.join(to);
            fs_err::create_dir_all(to.parent().context("a file is in a directory")?)?;
            fs_err::copy(from, to)?;
            Ok(())
        };
        for (from, to) in self.chain.parts.signed {
            copy(&self.chain.root.tree().join(from), to)?;
        }
        copy(self.vmlinuz, "vmlinuz")?;
        copy(initrd, "initrd")?;
        let config = disk.join(self.chain.parts.grub_cfg);
        fs_err::create_dir_all(config.parent().context("a file is in a directory")?)?;
        fs_err::write(config, grub_cfg(parameters)?)?;
        let variables = self.chain.variables(context, self.enrolled, dir)?;
        Ok(Firmware { code: self.chain.root.tree().join(self.chain.parts.code), variables, disk })
    }
}

/// GRUB's configuration: starts the kernel, and where shim does not let it, resets the machine,
/// which ends the run.
fn grub_cfg(parameters: &str) -> Result<String> {
    // Inside single quotes GRUB changes nothing; but it escapes these for the kernel, which does
    // not undo it.
    if let Some(word) = parameters.split_whitespace().find(|word| word.contains(['\'', '"', '\\'])) {
        return Err(Failure::usage(
            format!("--append {word}"),
            "quotes and backslashes do not get through GRUB",
        )
        .remedy("leave them out, or leave out --secure-boot")
        .into());
    }
    let words = parameters.split_whitespace().map(|word| format!(" '{word}'")).collect::<String>();
    Ok(format!("set timeout=0\nlinux /vmlinuz{words}\ninitrd /initrd\nboot\nreboot\n"))
}

/// Refuses a kernel whose image nobody signed: shim would not start it. `signed` names releases
/// that have one.
pub fn require_signed_image(
    vmlinuz: &Utf8Path,
    release: &str,
    signed: impl FnOnce() -> Vec<String>,
) -> Result<()> {
    if kernel_image::is_signed(&fs_err::read(vmlinuz)?) {
        return Ok(());
    }
    let others = signed();
    let failure = Failure::refused(
        release,
        format!("its image is not signed ({vmlinuz}): a machine with Secure Boot does not start it"),
    );
    Err(match others.first() {
        Some(newest) => failure.remedy(format!("choose one that is, such as --kernel {newest}")).into(),
        None => failure.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::failure::{Exit, exit_of, remedy_of};

    #[test]
    fn grub_hands_the_parameters_on_as_they_are() {
        let text = grub_cfg("console=ttyS0  x=$y;z panic=-1").unwrap();
        assert!(text.contains("linux /vmlinuz 'console=ttyS0' 'x=$y;z' 'panic=-1'\n"), "{text}");
        assert!(text.ends_with("boot\nreboot\n"), "{text}");
        for word in ["a='b'", "a=\"b\"", "a\\b"] {
            assert!(grub_cfg(word).is_err(), "{word}");
        }
    }

    #[test]
    fn an_unsigned_image_is_refused_and_a_signed_kernel_named() {
        let dir = tempfile::tempdir().unwrap();
        let vmlinuz = Utf8Path::from_path(dir.path()).unwrap().join("vmlinuz");
        fs_err::write(&vmlinuz, b"MZ").unwrap();
        let error = require_signed_image(&vmlinuz, "7.3", || vec!["7.2.9-amd64".to_owned()]).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
        assert!(error.to_string().starts_with("7.3: its image is not signed"), "{error}");
        assert!(remedy_of(&error).unwrap().contains("--kernel 7.2.9-amd64"));
    }
}
