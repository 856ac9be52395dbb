// SPDX-License-Identifier: GPL-2.0
//! A registered module as a file for other machines: an RPM, as DKMS itself made until 3.0, or
//! DKMS's own tar archive.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::dkms::package::DkmsPackage;
use crate::dkms::place::Place;
use crate::dkms::session::Dkms;
use crate::dkms::source::{self, DkmsSource};
use kernel::context::Context;
use kernel::machine::programs::{self, Program, program};
use report::durable;

use kmodfile::release::Release;
use report::failure::Failure;
use report::process::Cmd;

/// Programs that make RPMs.
pub const PROGRAMS: &[Program] =
    &[program("rpmbuild", "rpm", "makes RPM packages").in_rpms("rpm-build", "rpm-build")];

/// The spec of the package, with macros in it.
const SPEC: &str = include_str!("dkms.spec");

/// A file with a module's source for other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bundle {
    /// An RPM whose scriptlets register, build and install the module.
    Rpm,
    /// A tar archive that `dkms ldtarball` reads.
    Tarball,
}

impl Dkms<'_> {
    /// Registers the project and packs it. `release` selects the source of a project that imports
    /// the kernel's; a tar archive also contains what is built for it.
    pub fn bundle(&self, release: &Release, bundle: Bundle, repair: bool) -> Result<Utf8PathBuf> {
        let package = source::package_of(self.project, release);
        let _lock = self.lock()?;
        self.settle(&package, repair)?;
        let source = self.add(&package, release)?;
        if bundle == Bundle::Rpm {
            return rpm(self.context, self.place, &source);
        }
        let cmd = self.dkms("mktarball", &package);
        let built = self.place.built(&package, release).join("module").exists();
        let cmd = if built { cmd.args(["-k", release.as_str()]) } else { cmd.arg("--source-only") };
        tarball(self.context, self.place, &package, cmd)
    }
}

/// Makes `NAME-dkms-VERSION-1.noarch.rpm` in `/var/lib/dkms/NAME/VERSION/rpm`. It is written beside
/// its place and renamed.
fn rpm(context: &Context, place: &Place, source: &DkmsSource) -> Result<Utf8PathBuf> {
    let package = &source.package;
    let dir = place.package(package).join("rpm");
    let name = format!("{}-dkms-{}-1.noarch.rpm", package.name, rpm_version(&package.version));
    if context.dry_run {
        context.report.say(&format!("would write {}", dir.join(&name)));
        return Ok(dir.join(name));
    }
    programs::ensure(context, &[PROGRAMS])?;
    let step = context.report.step("Packing", &package.to_string());
    let work = tempfile::tempdir()?;
    let work = Utf8Path::from_path(work.path()).expect("a temporary directory's path is UTF-8");
    source.write_into(&work.join("source"))?;
    fs_err::write(work.join("dkms.spec"), SPEC)?;
    rpmbuild(package, source.licence(), work).run(&context.report)?;
    let made = work.join("RPMS/noarch").join(&name);
    require_source(context, package, &made)?;
    let file = dir.join(name);
    durable::replace(&file, &fs_err::read(made)?)?;
    step.done("Packed", file.as_str());
    Ok(file)
}

fn rpmbuild(package: &DkmsPackage, licence: &str, work: &Utf8Path) -> Cmd {
    let macros = [
        ("dkms_name", package.name.as_str()),
        ("dkms_version", &package.version),
        ("rpm_version", &rpm_version(&package.version)),
        ("dkms_license", licence),
        ("dkms_source", work.join("source").as_str()),
        ("_topdir", work.as_str()),
        ("_dbpath", work.join("db").as_str()),
        // The same source gives the same package on every machine.
        ("_buildhost", "localhost"),
        ("use_source_date_epoch_as_buildtime", "1"),
        ("clamp_mtime_to_source_date_epoch", "1"),
    ]
    .map(|(name, value)| format!("{name} {value}"));
    let cmd = Cmd::new("rpmbuild").arg("-bb").env("SOURCE_DATE_EPOCH", "0").env("LC_ALL", "C.UTF-8");
    macros.iter().fold(cmd, |cmd, line| cmd.arg("--define").arg(line)).arg(work.join("dkms.spec"))
}

/// Refuses an RPM without the file that DKMS reads first.
fn require_source(context: &Context, package: &DkmsPackage, file: &Utf8Path) -> Result<()> {
    let list = Cmd::new("rpm").args(["--query", "--list", "--package"]).arg(file).read(&context.report)?;
    let conf = format!("/usr/src/{}-{}/dkms.conf", package.name, package.version);
    if list.lines().any(|line| line == conf) {
        return Ok(());
    }
    Err(Failure::refused(
        file.as_str(),
        format!("does not contain {conf}, although rpmbuild reported success"),
    )
    .into())
}

/// A version as RPM allows it: there the dash separates version and release.
fn rpm_version(version: &str) -> String {
    version.replace('-', "_")
}

/// Makes DKMS's own tar archive in `/var/lib/dkms/NAME/VERSION/tarball` with `cmd`, a dkms
/// mktarball without `--archive`. It is written beside its place and renamed.
fn tarball(context: &Context, place: &Place, package: &DkmsPackage, cmd: Cmd) -> Result<Utf8PathBuf> {
    let dir = place.package(package).join("tarball");
    let name = format!("{}-{}.dkms.tar.gz", package.name, package.version);
    // tar chooses the compression by the suffix.
    let (partial, file) = (dir.join(format!(".partial-{name}")), dir.join(name));
    let cmd = cmd.arg("--archive").arg(&partial);
    if context.dry_run {
        context.report.say(&format!("would run: {}", cmd.line()));
        return Ok(file);
    }
    let step = context.report.step("Packing", &package.to_string());
    fs_err::create_dir_all(&dir)?;
    cmd.run(&context.report)?;
    let list = Cmd::new("tar").args(["--list", "--file"]).arg(&partial).read(&context.report)?;
    if !list.lines().any(|line| line == "./dkms_source_tree/dkms.conf") {
        let reason = "does not contain the source, although dkms mktarball reported success";
        return Err(Failure::refused(partial.as_str(), reason).into());
    }
    durable::publish(&partial, &file)?;
    step.done("Packed", file.as_str());
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_written_as_rpm_allows_it() {
        assert_eq!(rpm_version("0.1.0+6.12.107+deb13"), "0.1.0+6.12.107+deb13");
        assert_eq!(rpm_version("1.0-rc1"), "1.0_rc1");
    }

    #[test]
    fn nothing_of_the_source_is_expanded_as_a_macro() {
        let package = DkmsPackage { name: "x".into(), version: "1".into() };
        let line = rpmbuild(&package, "MIT", Utf8Path::new("/w")).line();
        assert!(
            line.contains("--define 'dkms_name x'") && line.contains("--define 'dkms_license MIT'"),
            "{line}"
        );
    }
}
