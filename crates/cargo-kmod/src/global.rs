// SPDX-License-Identifier: GPL-2.0
//! The options that every command takes.

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use clap::Args;

use kernel::root::RootChoice;
use kernel::store_place::StorePlace;

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Print the result as JSON on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Show each command that is run, and its output
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Say what would be done and do not do it
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Parallel jobs [default: the number of processors]
    #[arg(short, long, global = true, value_name = "N")]
    pub jobs: Option<usize>,
    /// Answer every question with yes
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Where compilers run: on the host where its distribution is the kernel's, or in a made root
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHERE")]
    pub root_fs: RootChoice,
    /// Where what is built goes [default: target in the project's directory]
    #[arg(long, global = true, value_name = "DIR", env = "CARGO_TARGET_DIR")]
    pub target_dir: Option<Utf8PathBuf>,
    /// Where prepared kernels are fetched from, and put for other machines that have their cache at
    /// the same place: a directory, or rclone:REMOTE:PATH, as for S3
    #[arg(long, global = true, value_name = "PLACE", env = "KMOD_STORE")]
    pub store: Option<StorePlace>,
}

impl Global {
    /// The store, from the root of the file system; a variable that is set to nothing names none.
    pub fn kernel_store(&self) -> Result<Option<StorePlace>> {
        let Some(store) = self.store.clone().filter(|store| !store.to_string().is_empty()) else {
            return Ok(None);
        };
        let here = std::env::current_dir().context("asking for the current directory")?;
        let here = Utf8PathBuf::try_from(here).context("the current directory's path is not UTF-8")?;
        Ok(Some(store.within(&here)))
    }

    /// The directory for what is built, from the root of the file system; a variable that is set to
    /// nothing names none.
    pub fn target(&self) -> Result<Option<Utf8PathBuf>> {
        let Some(dir) = self.target_dir.as_ref().filter(|dir| *dir != "") else { return Ok(None) };
        let here = std::env::current_dir().context("asking for the current directory")?;
        let here = Utf8PathBuf::try_from(here).context("the current directory's path is not UTF-8")?;
        Ok(Some(here.join(dir)))
    }
}
