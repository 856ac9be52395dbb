// SPDX-License-Identifier: GPL-2.0
//! The options of `cargo kmod kernel prepare` for a kernel from source.

use camino::Utf8PathBuf;
use clap::Args;

use kernel::from_source::{FromSource, WantedConfig};
use kmodfile::release::Release;

/// What concerns a kernel from source.
#[derive(Debug, Args)]
#[command(next_help_heading = "From source")]
pub(super) struct SourceArgs {
    /// Make the kernel from this source: a directory, which is never written to, or a tar file
    /// (.tar, .tar.xz, .tar.gz, .tar.zst)
    #[arg(long, value_name = "DIR|TARBALL", conflicts_with = "releases")]
    source: Option<Utf8PathBuf>,
    /// Its configuration, whole or in part; the rest is what Kconfig has for it
    #[arg(long, value_name = "FILE", requires = "source")]
    config: Option<Utf8PathBuf>,
    /// Its configuration is that of this kernel, which is prepared, in the archive or installed
    /// [default: what the source has for this machine, defconfig]
    #[arg(long, value_name = "RELEASE", requires = "source", conflicts_with = "config")]
    config_of: Option<Release>,
    /// Leave off every option that --config does not name (allnoconfig)
    #[arg(long, requires = "config")]
    minimal: bool,
    /// Go on without the options that this source or its compiler does not take
    #[arg(long, requires = "source")]
    allow_dropped: bool,
    /// Choose options in `make menuconfig` first, on a terminal of its own
    #[arg(long, requires = "source")]
    menuconfig: bool,
    /// Added to the release, so that several variants of one source stand side by side: -PAE
    #[arg(long, value_name = "TEXT", requires = "source", allow_hyphen_values = true)]
    localversion: Option<String>,
    /// Make all of it: image, modules, and Module.symvers, which a kernel with CONFIG_MODVERSIONS
    /// has from nowhere else
    #[arg(long, requires = "source")]
    full: bool,
    /// The Module.symvers of a whole build of the same kernel, instead of --full
    #[arg(long, value_name = "FILE", requires = "source", conflicts_with = "full")]
    symvers: Option<Utf8PathBuf>,
}

impl SourceArgs {
    /// The kernel that is asked for, if it is one from source.
    pub(super) fn wanted(&self) -> Option<FromSource> {
        let config = match (&self.config, &self.config_of) {
            (Some(file), _) => WantedConfig::File(file.clone()),
            (None, Some(release)) => WantedConfig::Of(release.clone()),
            (None, None) => WantedConfig::Default,
        };
        Some(FromSource {
            source: self.source.clone()?,
            config,
            minimal: self.minimal,
            allow_dropped: self.allow_dropped,
            menuconfig: self.menuconfig,
            localversion: self.localversion.clone(),
            full: self.full,
            symvers: self.symvers.clone(),
        })
    }
}
