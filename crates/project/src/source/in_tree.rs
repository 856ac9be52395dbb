// SPDX-License-Identifier: GPL-2.0
//! What a rebuild of one of the kernel's own modules is made of, looked up in the source of a
//! kernel.

use std::collections::BTreeSet;

use anyhow::Result;
use camino::Utf8PathBuf;
use template::in_tree::{Files, InTreeModule, licence, makefile_of, missing_includes, modules_of};
use template::{Invalid, KernelPath, Licence};

use crate::source::SourceTree;
use crate::source::fetch;
use crate::source::import::ImportList;
use kernel::context::Context;
use kmodfile::release::Release;
use report::failure::Failure;

/// What was found of a directory or a file.
#[derive(Clone, Debug)]
pub struct InTreeSource {
    /// The modules that it builds.
    pub modules: Vec<InTreeModule>,
    /// Headers elsewhere in the source that it includes by relative paths.
    pub also: Vec<KernelPath>,
    /// The licence of its files together.
    pub licence: Licence,
}

/// Looks up `path` in the source of `release`.
///
/// # Errors
///
/// Refused, if there is no such path, or nothing that it alone builds.
pub fn of(context: &Context, release: &Release, path: &KernelPath) -> Result<InTreeSource> {
    let makefile = makefile_of(path);
    let mut wanted = BTreeSet::from([path.as_path().to_owned()]);
    if !makefile.starts_with(path.as_path()) {
        wanted.insert(makefile.clone());
    }
    let files = files(context, release, &wanted)?;
    if files.keys().all(|file| !file.starts_with(path.as_path())) {
        let reason = format!("is not in the source of {release}");
        return Err(Failure::refused(path.to_string(), reason)
            .remedy("name a directory or file below its root")
            .into());
    }
    let modules =
        modules_of(path, files.get(&makefile).map(String::as_str).unwrap_or_default()).map_err(refused)?;
    let mut own: Files = files.into_iter().filter(|(file, _)| file.starts_with(path.as_path())).collect();
    let licence = licence(&own).map_err(refused)?;
    let (mut also, mut asked) = (BTreeSet::new(), BTreeSet::new());
    // Headers include others. What is not in the source is found in some other way: by -I, or made
    // by the build.
    loop {
        let missing: BTreeSet<Utf8PathBuf> = missing_includes(&own).difference(&asked).cloned().collect();
        if missing.is_empty() {
            break;
        }
        let found = self::files(context, release, &missing)?;
        asked.extend(missing);
        also.extend(found.keys().cloned());
        own.extend(found);
    }
    let also = also.iter().map(|path| KernelPath::parse(path.as_str()).map_err(refused));
    Ok(InTreeSource { modules, also: also.collect::<Result<_, _>>()?, licence })
}

/// Files of the source, as text.
fn files(context: &Context, release: &Release, wanted: &BTreeSet<Utf8PathBuf>) -> Result<Files> {
    let names: Vec<String> = wanted.iter().map(|path| format!("{path:?}")).collect();
    let import = ImportList::parse(&format!("kernel = [{}]", names.join(", ")))
        .map_err(|reason| Failure::refused(names.join(", "), reason))?;
    let tree: SourceTree = fetch::provide_some(context, release, &import)?;
    Ok(tree.into_iter().map(|(path, bytes)| (path, String::from_utf8_lossy(&bytes).into_owned())).collect())
}

/// The failure for a word that a new repository cannot be made of.
pub fn refused(invalid: Invalid) -> Failure {
    Failure::refused(invalid.word, invalid.reason).remedy(invalid.remedy)
}
