// SPDX-License-Identifier: GPL-2.0
//! Projects whose modules another one uses: found, and in the order in which they are built.
//!
//! `BUILD_DEPENDS` of a dkms.conf (dkms(8)) names packages of DKMS; here they are projects, which
//! are looked for among those that were given, then beside the one that names them.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use report::failure::Failure;

use crate::project::{Opened, Project};
use crate::settings::Settings;

/// The projects that another one needs, itself left out.
#[derive(Clone, Debug, Default)]
pub struct NeededProjects {
    /// Each after those that it needs itself.
    pub projects: Vec<Project>,
    /// What is to be said: names in BUILD_DEPENDS that no project has.
    pub notices: Vec<String>,
}

impl NeededProjects {
    /// Finds what `project` needs: the projects in `given`, and what each names in BUILD_DEPENDS.
    ///
    /// # Errors
    ///
    /// Missing, if a directory that was given is not there; refused, if projects need each other in
    /// a circle, or one of them cannot be read.
    pub fn of(project: &Project, given: &[Utf8PathBuf]) -> Result<Self> {
        let given = given.iter().map(|dir| opened(dir)).collect::<Result<Vec<_>>>()?;
        let mut search = Search { given, notices: Vec::new(), siblings: Vec::new() };
        let mut known = vec![project.clone()];
        let mut edges: Vec<Vec<usize>> = Vec::new();
        while edges.len() < known.len() {
            let at = edges.len();
            let mut needed = search.named_by(&known[at].clone());
            if at == 0 {
                needed.extend(search.given.iter().filter(|other| other.dir != project.dir).cloned());
            }
            edges.push(needed.into_iter().map(|needed| number(&mut known, needed)).collect());
        }
        let order = ordered(&edges).map_err(|circle| {
            let names: Vec<&str> = circle.iter().map(|at| known[*at].name.as_str()).collect();
            Failure::refused(&project.name, format!("needs itself: {}", names.join(" needs ")))
                .remedy("take one of these out of BUILD_DEPENDS, or out of --needs")
        })?;
        let projects = order.into_iter().filter(|at| *at != 0).map(|at| known[at].clone()).collect();
        Ok(Self { projects, notices: search.notices })
    }

    /// The kernel's own modules that are loaded before all: for these projects, then for `project`.
    pub fn loads_before(&self, project: &Project) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for name in self.projects.iter().chain([project]).flat_map(|project| &project.loads) {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
        all
    }
}

/// The number of a project, which is added if it is not known yet.
fn number(known: &mut Vec<Project>, project: Project) -> usize {
    known.iter().position(|other| other.dir == project.dir).unwrap_or_else(|| {
        known.push(project);
        known.len() - 1
    })
}

fn opened(dir: &Utf8Path) -> Result<Project> {
    if !dir.is_dir() {
        return Err(
            Failure::missing(dir.as_str(), "there is no such directory: --needs names projects").into()
        );
    }
    match Project::open_any(dir, &Settings::new())? {
        Opened::Project(project) => Ok(*project),
        Opened::Program { failure, .. } => Err(failure.into()),
    }
}

struct Search {
    given: Vec<Project>,
    notices: Vec<String>,
    /// Directories that were looked into, with the projects that are in them.
    siblings: Vec<(Utf8PathBuf, Vec<Project>)>,
}

impl Search {
    /// The projects that one names. What is named and is nowhere may be a package of DKMS.
    fn named_by(&mut self, project: &Project) -> Vec<Project> {
        let mut found = Vec::new();
        for name in &project.depends {
            match self.find(project, name) {
                Some(other) => found.push(other),
                None => self.notices.push(format!(
                    "{}: BUILD_DEPENDS names {name}, and no project beside it is called so: it is not built first \
                     (--needs DIR says where it is)",
                    project.dir.join("dkms.conf")
                )),
            }
        }
        found
    }

    fn find(&mut self, project: &Project, name: &str) -> Option<Project> {
        if let Some(given) = self.given.iter().find(|given| given.name == name) {
            return Some(given.clone());
        }
        let dir = project.dir.parent()?.to_owned();
        if !self.siblings.iter().any(|(known, _)| *known == dir) {
            let projects = projects_in(&dir);
            self.siblings.push((dir.clone(), projects));
        }
        let (_, projects) = self.siblings.iter().find(|(known, _)| *known == dir)?;
        projects.iter().find(|sibling| sibling.name == name).cloned()
    }
}

/// The projects with a dkms.conf in the directories of `dir`, by their names; what cannot be read
/// is not meant.
fn projects_in(dir: &Utf8Path) -> Vec<Project> {
    let Ok(entries) = dir.read_dir_utf8() else { return Vec::new() };
    let mut dirs: Vec<Utf8PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.into_path()))
        .filter(|dir| dir.join("dkms.conf").is_file())
        .collect();
    dirs.sort_unstable();
    dirs.iter().filter_map(|dir| Project::open(dir).ok()).collect()
}

/// Numbers in an order in which each comes after those that it needs, from the first on; else the
/// circle that there is, its first member last again.
fn ordered(edges: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut order = Vec::new();
    let mut way = Vec::new();
    visit(0, edges, &mut way, &mut order).map(|()| order)
}

fn visit(
    at: usize,
    edges: &[Vec<usize>],
    way: &mut Vec<usize>,
    order: &mut Vec<usize>,
) -> Result<(), Vec<usize>> {
    if order.contains(&at) {
        return Ok(());
    }
    if let Some(first) = way.iter().position(|passed| *passed == at) {
        return Err(way[first..].iter().copied().chain([at]).collect());
    }
    way.push(at);
    for needed in &edges[at] {
        visit(*needed, edges, way, order)?;
    }
    way.pop();
    order.push(at);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_after_what_it_needs() {
        assert_eq!(ordered(&[vec![]]), Ok(vec![0]));
        // 0 needs 1 and 2, and 1 needs 2.
        assert_eq!(ordered(&[vec![1, 2], vec![2], vec![]]), Ok(vec![2, 1, 0]));
        assert_eq!(ordered(&[vec![2, 1], vec![], vec![1]]), Ok(vec![1, 2, 0]));
        assert_eq!(ordered(&[vec![1], vec![2], vec![0]]), Err(vec![0, 1, 2, 0]));
        assert_eq!(ordered(&[vec![1], vec![2], vec![1]]), Err(vec![1, 2, 1]));
    }

    fn project(dir: &Utf8Path, name: &str, depends: &str) -> Utf8PathBuf {
        let place = dir.join(format!("{name}-dir"));
        fs_err::create_dir_all(&place).unwrap();
        let text = format!("PACKAGE_NAME={name}\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME={name}\n{depends}\n");
        fs_err::write(place.join("dkms.conf"), text).unwrap();
        place
    }

    #[test]
    fn what_is_needed_is_given_or_beside() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap();
        let elsewhere = dir.join("elsewhere");
        let top = project(&dir, "top", "BUILD_DEPENDS[0]=\"middle\"\nBUILD_DEPENDS[1]=\"nowhere\"");
        project(&dir, "middle", "BUILD_DEPENDS=base");
        let base = project(&elsewhere, "base", "");
        let of = |given: &[Utf8PathBuf]| NeededProjects::of(&Project::open(&top).unwrap(), given);
        let names = |needed: &NeededProjects| -> Vec<String> {
            needed.projects.iter().map(|project| project.name.clone()).collect()
        };
        let alone = of(&[]).unwrap();
        assert_eq!(names(&alone), ["middle"]);
        assert_eq!(alone.notices.len(), 2, "{:?}", alone.notices);
        assert!(alone.notices.iter().any(|notice| notice.contains("names nowhere")), "{:?}", alone.notices);
        let given = of(&[base]).unwrap();
        assert_eq!((names(&given), given.notices.len()), (vec!["base".to_owned(), "middle".to_owned()], 1));
        let absent = of(&["/nowhere".into()]).unwrap_err();
        assert!(absent.to_string().contains("/nowhere: there is no such directory"), "{absent}");
        project(&elsewhere, "base", "BUILD_DEPENDS=top");
        let circle = of(&[elsewhere.join("base-dir"), top.clone()]).unwrap_err();
        assert_eq!(circle.to_string(), "top: needs itself: top needs middle needs base needs top");
    }
}
