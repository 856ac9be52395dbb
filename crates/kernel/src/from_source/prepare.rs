// SPDX-License-Identifier: GPL-2.0
//! Prepares a kernel from a source of the user's, or finds it in the cache.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::context::Context;
use crate::from_source::configuring::{Configured, Configuring, require_localversion};
use crate::from_source::given::GivenSource;
use crate::from_source::making::{Exports, MakingFromSource, origin};
use crate::from_source::snapshot::Snapshot;
use crate::from_source::wanted::{self, Wanted, WantedConfig};
use crate::kdir::{Kdir, lock_name};
use crate::machine::facts;
use crate::make::require_path;
use crate::origin::Origin;
use crate::prepare::{Prepared, require_origin, use_of};
use crate::root::{Root, RootChoice, terminal};
use crate::source::Extent;
use kmodfile::architecture::Architecture;
use kmodfile::config::Config;
use kmodfile::symvers;
use report::failure::Failure;
use report::fingerprint::Fingerprint;

/// Changes when the way of preparing does, so that older trees are made anew.
const REVISION: u32 = 1;

/// Disk space that a whole kernel needs with its source: a small one; what a distribution's takes
/// is found out as it is made.
const NEEDED_WHOLE: u64 = 8_000_000_000;

/// A kernel to be prepared from source.
#[derive(Clone, Debug)]
pub struct FromSource {
    /// A directory or a tar file.
    pub source: Utf8PathBuf,
    /// The configuration.
    pub config: WantedConfig,
    /// Whether options that it does not name are off, instead of what Kconfig has for them.
    pub minimal: bool,
    /// Whether options that the source does not take are left out.
    pub allow_dropped: bool,
    /// Whether the user chooses options in `make menuconfig` before the kernel is made.
    pub menuconfig: bool,
    /// What is added to the release.
    pub localversion: Option<String>,
    /// Whether image and modules are made as well.
    pub full: bool,
    /// What a whole build of the same kernel exports: its `Module.symvers`.
    pub symvers: Option<Utf8PathBuf>,
}

/// Prepares a kernel from source; does nothing, and says so, when neither source nor configuration
/// have changed.
///
/// # Errors
///
/// Refused, if source or configuration are not what a kernel for this machine can be made of, or if
/// a kernel of the same release came from elsewhere.
pub fn prepare(context: &Context, from: &FromSource, choice: RootChoice) -> Result<Prepared> {
    let (given, exports) = looked_at(from)?;
    let wanted = Wanted::find(context, &from.config)?;
    let needed = if from.full { NEEDED_WHOLE } else { facts::NEEDED };
    facts::require_space(&context.cache, needed, "a kernel with its source and build root needs")?;
    require_path(context.cache.dir(), "move the cache: export XDG_CACHE_HOME=/some/directory")?;
    let root = Root::provide(context, &wanted.recipe, choice)?;
    let identity = given.identity(&context.report)?;
    let mut inputs = inputs_of(from, &root, &identity, &wanted.text)?;
    if !from.menuconfig
        && let Some(prepared) = fresh(context, &inputs, &root)?
    {
        return Ok(prepared);
    }
    let menu = from
        .menuconfig
        .then(|| Root::provide(context, &wanted.recipe.clone().with(MENU.iter().copied()), choice));
    let menu = menu.transpose()?;
    let extent = if from.full {
        Extent::Whole
    } else {
        Extent::ForModules(Architecture::native().unwrap_or_default())
    };
    let source = Snapshot::provide(context, &given, &identity, extent)?;
    let configured = Configuring {
        context,
        root: &root,
        source: &source.tree,
        wanted: &wanted,
        minimal: from.minimal,
        allow_dropped: from.allow_dropped,
        localversion: from.localversion.as_deref(),
        menu: menu.as_ref(),
    }
    .run()?;
    if from.menuconfig {
        inputs = inputs_of(from, &root, &identity, &configured.text)?;
        if let Some(prepared) = fresh(context, &inputs, &root)? {
            return Ok(prepared);
        }
    }
    require_origin(&context.cache, &configured.release, &origin(&given, &exports))?;
    let making = MakingFromSource {
        context,
        root: &root,
        recipe: &wanted.recipe,
        given: &given,
        source: &source.tree,
        configured: &configured,
        inputs: &inputs,
        exports,
    };
    making_alone(&making, &configured, &root)
}

/// Refuses what can be seen to be wrong without making anything.
///
/// # Errors
///
/// Those of [`prepare`] about source, options and files.
pub fn check(from: &FromSource) -> Result<()> {
    looked_at(from).map(drop)
}

fn looked_at(from: &FromSource) -> Result<(GivenSource, Exports)> {
    let given = GivenSource::of(&from.source)?;
    from.localversion.as_deref().map(require_localversion).transpose()?;
    if let WantedConfig::File(file) = &from.config {
        wanted::read(file)?;
    }
    let exports = from.exports()?;
    if from.menuconfig {
        terminal::require("--menuconfig")?;
    }
    Ok((given, exports))
}

/// Packages that menuconfig is compiled with.
const MENU: &[&str] = &["libncurses-dev"];

/// The kernel that was made of these inputs, if it is there; says so.
fn fresh(context: &Context, inputs: &str, root: &Root) -> Result<Option<Prepared>> {
    let made = made_of(context, inputs, root)?;
    if let Some(prepared) = &made {
        context.report.note("Fresh", &format!("kernel {}", prepared.kdir.release()));
    }
    Ok(made)
}

/// Makes the kernel while other runs wait.
fn making_alone(making: &MakingFromSource<'_>, configured: &Configured, root: &Root) -> Result<Prepared> {
    let (context, release) = (making.context, &configured.release);
    let lock = context.cache.lock(&lock_name(release), &context.report)?;
    let fresh = |kdir: &Kdir| kdir.stamp().inputs == making.inputs;
    if Kdir::open(&context.cache, release).filter(fresh).is_none() {
        making.run()?;
    }
    drop(lock);
    match made_of(context, making.inputs, root)? {
        Some(prepared) => Ok(prepared),
        None => anyhow::bail!("kernel {release} was removed by another run as soon as it was made"),
    }
}

/// The kernel that was made of these inputs, if it is there.
fn made_of(context: &Context, inputs: &str, root: &Root) -> Result<Option<Prepared>> {
    let of_source = |kdir: &Kdir| matches!(kdir.stamp().origin, Origin::Source { .. });
    let found = Kdir::all_quietly(&context.cache)
        .into_iter()
        .find(|kdir| of_source(kdir) && kdir.stamp().inputs == inputs);
    let Some(kdir) = found else { return Ok(None) };
    let used = use_of(context, kdir.release())?;
    // Nobody has made another of it meanwhile.
    let kdir = Kdir::open(&context.cache, kdir.release()).filter(|kdir| kdir.stamp().inputs == inputs);
    Ok(kdir.map(|kdir| {
        kdir.mark_used();
        Prepared::new(kdir, root.clone(), used)
    }))
}

impl FromSource {
    fn exports(&self) -> Result<Exports> {
        let Some(file) = self.symvers.as_deref().filter(|_| !self.full) else {
            return Ok(if self.full { Exports::Whole } else { Exports::Unknown });
        };
        require_symvers(file)?;
        Ok(Exports::File(file.to_owned()))
    }
}

/// Refuses what is not the list of a whole kernel: a tree in which only modules were built has one
/// of theirs alone.
fn require_symvers(file: &Utf8Path) -> Result<(), Failure> {
    let text = fs_err::read_to_string(file)
        .map_err(|error| Failure::usage(file.as_str(), format!("cannot be read: {error}")))?;
    if symvers::parse(&text).any(|export| export.module == "vmlinux") {
        return Ok(());
    }
    let reason = "is not the Module.symvers of a whole kernel: nothing in it is exported by vmlinux";
    Err(Failure::refused(file.as_str(), reason).remedy("--full makes one"))
}

/// Hash of everything a kernel from source depends on.
fn inputs_of(from: &FromSource, root: &Root, identity: &str, config: &str) -> Result<String> {
    let symvers = from.symvers.as_ref().map(fs_err::read_to_string).transpose()?;
    // Comments and order say nothing; what is not set is what Kconfig has, unless it is said.
    let off: Vec<&str> = config.lines().filter(|line| line.ends_with(" is not set")).collect();
    Ok(Fingerprint::new("kernel from source", REVISION)
        .text("root", root.identity())
        .text("source", identity)
        .text("configuration", &Config::parse(config).to_string())
        .list("off", off)
        .flag("minimal", from.minimal)
        .flag("allow dropped", from.allow_dropped)
        .optional("localversion", from.localversion.as_deref())
        .flag("full", from.full)
        .optional("symvers", symvers.as_deref())
        .hex())
}
