// SPDX-License-Identifier: GPL-2.0
//! The jobs that a pipeline has for a plan: a job a kernel, or so many of equal size.

use report::counted;
use report::failure::Failure;
use report::fingerprint::Fingerprint;
use template::ci::{CiJob, CiShare};

use crate::partition::Partition;
use crate::plan::{Plan, PlannedKernel};

/// More jobs than this of one kind, no pipeline has.
const LIMIT: usize = 200;

/// Digits of the hash over the kernels of a part.
const DIGITS: usize = 16;

/// The jobs of a plan.
///
/// # Errors
///
/// Refused, if there are none, or more than a pipeline has.
pub fn jobs(plan: &Plan, share: CiShare) -> Result<Vec<CiJob>, Failure> {
    let jobs = match share {
        CiShare::Kernel => plan.kernels.iter().map(|kernel| of_kernel(plan, kernel)).collect(),
        CiShare::Partition(count) => parts(plan, count.get()),
    };
    let refused = |reason: String| Failure::refused(format!("plan {}", plan.id), reason);
    match jobs.len() {
        0 => Err(refused("has no cells, and so no jobs".to_owned())
            .remedy("name kernels that there are: cargo kmod kernel list --all")),
        count if count > LIMIT => {
            Err(refused(format!("{}, and pipelines have {LIMIT} at most", counted(count, "job", "jobs")))
                .remedy("--by partition:20"))
        }
        _ => Ok(jobs),
    }
}

fn of_kernel(plan: &Plan, kernel: &PlannedKernel) -> CiJob {
    let release = kernel.release.to_string();
    CiJob { key: key(&release, &kernel.identity, &plan.tool), name: release.clone(), word: release }
}

/// Parts that have cells.
fn parts(plan: &Plan, count: u32) -> Vec<CiJob> {
    let part = |number: u32| {
        let partition: Partition = format!("{number}/{count}").parse().expect("one of them");
        let cells = partition.of(plan);
        let used = |kernel: &&PlannedKernel| cells.iter().any(|cell| cell.kernel == kernel.release);
        let kernels: Vec<&PlannedKernel> = plan.kernels.iter().filter(used).collect();
        let name = format!("{number}-of-{count}");
        let key = key(&name, &identity(&kernels), &plan.tool);
        (!kernels.is_empty()).then(|| CiJob { key, name, word: partition.to_string() })
    };
    (1..=count).filter_map(part).collect()
}

/// The hash over kernels that one machine prepares.
fn identity(kernels: &[&PlannedKernel]) -> String {
    let each = kernels.iter().map(|kernel| format!("{} {}", kernel.release, kernel.identity));
    Fingerprint::new("kernels of a part", 1).list("kernels", each).hex()[..DIGITS].to_owned()
}

/// The key of a cache: what the tool knows a prepared kernel by. Neither a comma nor a slash may be
/// in it.
fn key(name: &str, identity: &str, tool: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-._+~:".contains(c) { c } else { '_' };
    format!("cargo-kmod-{name}-{identity}-{tool}").chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::plan::{Cell, PlannedProject};

    fn plan(kernels: usize) -> Plan {
        let project: PlannedProject =
            serde_json::from_str(r#"{"name":"a","version":"1","dir":"/a","sources":"s","rust":false}"#)
                .unwrap();
        let kernel = |number: usize| PlannedKernel {
            release: format!("7.2.{number}+deb13-amd64").parse().unwrap(),
            stands_for: None,
            architecture: kmodfile::architecture::Architecture::Amd64,
            suite: None,
            identity: format!("7.2.{number}-1~bpo,1"),
            rust: false,
        };
        let kernels: Vec<PlannedKernel> = (0..kernels).map(kernel).collect();
        let cells =
            kernels.iter().map(|kernel| Cell::new(&project, kernel, Vec::new(), Vec::new())).collect();
        Plan::new("0.1.0", None, vec![project], kernels, cells)
    }

    fn share(count: u32) -> CiShare {
        CiShare::Partition(NonZeroU32::new(count).unwrap())
    }

    #[test]
    fn each_kernel_is_a_job_whose_cache_is_known_by_what_it_is_made_of() {
        let jobs = jobs(&plan(2), CiShare::Kernel).unwrap();
        assert_eq!(jobs.len(), 2);
        let expected = CiJob {
            name: "7.2.1+deb13-amd64".to_owned(),
            word: "7.2.1+deb13-amd64".to_owned(),
            key: "cargo-kmod-7.2.1+deb13-amd64-7.2.1-1~bpo_1-0.1.0".to_owned(),
        };
        assert_eq!(jobs[1], expected);
    }

    #[test]
    fn parts_without_cells_are_no_jobs_and_other_kernels_are_another_key() {
        let names = |jobs: &[CiJob]| jobs.iter().map(|job| job.word.clone()).collect::<Vec<_>>();
        assert_eq!(names(&jobs(&plan(2), share(3)).unwrap()), ["2/3", "3/3"]);
        let (two, three) = (jobs(&plan(2), share(1)).unwrap(), jobs(&plan(3), share(1)).unwrap());
        assert_eq!((two[0].name.as_str(), three[0].name.as_str()), ("1-of-1", "1-of-1"));
        assert_ne!(two[0].key, three[0].key);
    }

    #[test]
    fn no_jobs_and_too_many_are_refused() {
        let refused = |count| jobs(&plan(count), CiShare::Kernel).unwrap_err();
        assert!(refused(0).reason.contains("no cells"));
        assert_eq!(refused(201).remedy.as_deref(), Some("--by partition:20"));
        assert_eq!(jobs(&plan(201), share(20)).unwrap().len(), 20);
    }
}
