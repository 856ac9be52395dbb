// SPDX-License-Identifier: GPL-2.0
//! What goes into a source package: the project's tracked files and, for a rebuilt module, the
//! kernel's source with the patches applied, so that it builds without a network.

use anyhow::Result;
use camino::Utf8PathBuf;
use sha2::{Digest as _, Sha256};

use crate::rpm::archive::{ArchiveTree, SourceArchive};
use crate::rpm::ready::Ready;
use crate::rpm::sbom::Sbom;
use crate::rpm::spec::KmodSpec;
use crate::rpm::target::KmodTarget;
use crate::rpm::tracked::Tracked;
use kernel::context::Context;
use project::Project;
use project::source::fetch::SourceKernel;
use project::stage::Sources;
use report::durable::digest;
use report::failure::Failure;

/// The source of the packages for the variants of one kernel.
#[derive(Clone, Debug)]
pub struct SourcePackage {
    /// `kmod_name` of the spec.
    pub name: String,
    /// The packed files.
    pub archive: SourceArchive,
    /// The spec that goes with it.
    pub spec: String,
    /// The kernels it is for.
    pub kernels: Vec<Ready>,
}

/// One source package for each `kversion` among `kernels`, in their order. Variants get one each if
/// their source differs, which happens if one of them was prepared from a newer package.
pub fn packages(
    context: &Context,
    project: &Project,
    spec: &KmodSpec,
    kernels: &[Ready],
    date: u64,
) -> Result<Vec<SourcePackage>> {
    let tracked = Tracked::around(&project.dir, &context.report)?;
    let mut groups: Vec<(String, ArchiveTree, Vec<Ready>)> = Vec::new();
    for ready in kernels {
        let tree = tree_for(context, project, spec, tracked.as_ref(), ready)?;
        let key = format!("{} {}", ready.target.kversion, hash(&tree));
        match groups.iter_mut().find(|group| group.0 == key) {
            Some(group) => group.2.push(ready.clone()),
            None => groups.push((key, tree, vec![ready.clone()])),
        }
    }
    let pack = |(_, tree, kernels)| pack(project, spec, tree, kernels, date);
    groups.into_iter().map(pack).collect()
}

/// The source that akmods builds for whatever kernel; it says nothing of the one in `ready`.
///
/// # Errors
///
/// Refused, if source of that kernel is a part of it.
pub fn for_akmods(
    context: &Context,
    project: &Project,
    spec: &KmodSpec,
    ready: &Ready,
    date: u64,
) -> Result<SourcePackage> {
    let sources = Sources::for_kernel(context, project, SourceKernel::Prepared(&ready.prepared))?;
    if !sources.imported().is_empty() {
        let reason = format!(
            "akmods builds one source for every kernel, and this project's has files of {} in it",
            ready.target.release
        );
        return Err(Failure::refused(project.name.as_str(), reason)
            .remedy("make a package for each kernel: cargo kmod rpm --kernel RELEASE")
            .into());
    }
    let tracked = Tracked::around(&project.dir, &context.report)?;
    let tree = tree_for(context, project, spec, tracked.as_ref(), ready)?;
    let archive = SourceArchive::pack(&spec.name, &spec.version, &tree, date)?;
    let text = spec.for_akmods(&archive);
    Ok(SourcePackage { name: spec.name.clone(), spec: text, archive, kernels: vec![ready.clone()] })
}

fn pack(
    project: &Project,
    spec: &KmodSpec,
    mut tree: ArchiveTree,
    kernels: Vec<Ready>,
    date: u64,
) -> Result<SourcePackage> {
    let source = tree.files.clone();
    for ready in &kernels {
        let sbom = Sbom { project, spec, source: &source, ready, date }.text()?;
        tree.files.insert(format!("sbom/{}.spdx.json", ready.target.release).into(), sbom.into_bytes());
    }
    let archive = SourceArchive::pack(&spec.name, &spec.version, &tree, date)?;
    let targets: Vec<KmodTarget> = kernels.iter().map(|ready| ready.target.clone()).collect();
    let left_out: Vec<String> = kernels.iter().flat_map(Ready::left_out).collect();
    let text = spec.for_source(&archive, &targets, &left_out);
    Ok(SourcePackage { name: spec.name.clone(), spec: text, archive, kernels })
}

/// All files for one kernel. Those of the project that its repository does not track are left out,
/// with a warning.
fn tree_for(
    context: &Context,
    project: &Project,
    spec: &KmodSpec,
    tracked: Option<&Tracked>,
    ready: &Ready,
) -> Result<ArchiveTree> {
    let sources = Sources::for_kernel(context, project, SourceKernel::Prepared(&ready.prepared))?;
    let (mut own, mut links) = (sources.own().clone(), sources.links().clone());
    if let Some(tracked) = tracked {
        tracked.require_some(project, &own)?;
        let left_out = tracked.retain(project, &mut own).into_iter();
        for path in left_out.chain(tracked.retain(project, &mut links)) {
            context.report.warn(&format!("{path} is not packaged: git does not track it"));
        }
    }
    own.remove(&Utf8PathBuf::from(super::spec::FILE));
    own.extend(spec.added.clone());
    own.extend(sources.imported().clone());
    // The spec builds as it says, whether PROJECT_FILES has it or not.
    let conf = Utf8PathBuf::from("dkms.conf");
    own.insert(conf.clone(), fs_err::read(project.dir.join(conf))?);
    Ok(ArchiveTree { files: own, programs: sources.programs().clone(), links })
}

fn hash(tree: &ArchiveTree) -> String {
    let mut all = Sha256::new();
    for (path, content) in &tree.files {
        all.update(format!("{path}\0{}\0{}\0", tree.programs.contains(path), digest(content)));
    }
    for (path, target) in &tree.links {
        all.update(format!("{path}\0{target}\0"));
    }
    all.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
