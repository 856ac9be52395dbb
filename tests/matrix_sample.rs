// SPDX-License-Identifier: GPL-2.0
//! Matrices to look at: one of 12 kernels and 4 projects with a cell in every state, with logs that
//! mean harm to whoever shows them; and ones of any size.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use kmodfile::architecture::Architecture;
use matrix::cell_result::{CellResult, StepResult};
use matrix::plan::{Cell, CellId, CellInput, KnownFailure, Plan, PlannedKernel, PlannedProject};
use matrix::results::ResultsDir;
use matrix::step::CellStep;
use matrix::summary::Summary;

/// A plan and what came of it.
pub(crate) struct SampleMatrix {
    /// The plan.
    pub(crate) plan: Plan,
    /// The results that there are.
    pub(crate) results: BTreeMap<CellId, CellResult>,
}

/// What is in a console, so that it would harm a page that took it for its own text.
pub(crate) const HOSTILE: &str = "</pre></details><script>document.title='taken over'</script>\
    <img src=x onerror=alert(1)> &lt;already&gt; \u{202e}turned round\u{202c} \u{7}\u{1b}]0;title\u{7}";

/// When the first cell was begun.
const BEGAN: u64 = 1_795_853_400;

/// Release, stands for, suite, Rust.
const KERNELS: [(&str, Option<&str>, &str, bool); 12] = [
    ("7.2.13+deb14-cloud-amd64", None, "sid", true),
    ("7.2.13+deb14-cloud-amd64-sanitize", Some("7.2.13+deb14-cloud-amd64"), "sid", true),
    ("7.2.11+deb13-cloud-amd64", None, "trixie-backports", true),
    ("7.2.11+deb13-rt-amd64", None, "trixie-backports", true),
    ("7.2.11+deb13-arm64", None, "trixie-backports", true),
    ("7.0.9+deb14-amd64", None, "forky", true),
    ("6.16.12+deb13-cloud-amd64", None, "trixie-backports", true),
    ("6.12.57+deb13-cloud-amd64", None, "trixie", true),
    ("6.12.57+deb13-cloud-amd64-sanitize", Some("6.12.57+deb13-cloud-amd64"), "trixie", true),
    ("6.12.57+deb13-rt-amd64", None, "trixie", true),
    ("6.1.0-40-cloud-amd64", None, "bookworm", false),
    ("6.1.0-40-rt-amd64", None, "bookworm", false),
];

const PROJECTS: [(&str, &str); 4] =
    [("guard", "1.4.0"), ("nls-fix", "0.2"), ("tracer", "2.1.3"), ("v4l2loopback", "0.15.1")];

const TRACE: &str = "\
BUG: KASAN: slab-out-of-bounds in guard_check+0x1f3/0x2b0 [guard]
Read of size 4 at addr ffff88810a3c1f40 by task insmod/214
  guard_check            guard/check.c:118  if (le32_to_cpu(hdr->offset) > len)
  guard_self_test        guard/main.c:61
  do_one_initcall        init/main.c:1283
Allocated by task 214:
  kmalloc_noprof         include/linux/slab.h:957
  guard_self_test        guard/main.c:52";

const COMPLAINT: &str = "guard-nls/nls_fix.c:44:17: error: implicit declaration of function \
    'folio_end_read'; did you mean 'folio_end_private_2'? [-Werror=implicit-function-declaration]";

impl SampleMatrix {
    /// One with a cell in every state.
    pub(crate) fn every_state() -> Self {
        let projects = PROJECTS.map(|(name, version)| project(name, version)).to_vec();
        let kernels = KERNELS.map(|(release, of, suite, rust)| kernel(release, of, suite, rust)).to_vec();
        let mut sample = Self::passing(projects, kernels);
        sample.fail();
        sample.leave_out();
        let Plan { tool, file, projects, kernels, cells, .. } = sample.plan;
        Self { plan: Plan::new(&tool, file, projects, kernels, cells), results: sample.results }
    }

    /// One of so many kernels and projects, every `failing`th cell of which fails.
    #[allow(dead_code, reason = "the crate's own tests need no large one")]
    pub(crate) fn of_size(kernels: usize, projects: usize, failing: usize) -> Self {
        let projects = (0..projects).map(|number| project(&format!("project-{number:02}"), "1.0"));
        let kernels = (0..kernels).map(|number| {
            let release = format!("7.{}.{}+deb14-cloud-amd64", 9 - number / 20, 20 - number % 20);
            kernel(&release, None, "sid", true)
        });
        let mut sample = Self::passing(projects.collect(), kernels.collect());
        for result in sample.results.values_mut().step_by(failing) {
            fail(result, 1, 21, "slab-out-of-bounds in x_check+0x1f3/0x2b0 [x]");
            result.steps[1].trace = Some(TRACE.to_owned());
        }
        sample
    }

    /// Judged.
    pub(crate) fn summary(&self) -> Summary<'_> {
        Summary::of(&self.plan, &self.results)
    }

    /// Writes plan, results and logs: `lines` lines in each log of what failed.
    pub(crate) fn write(&self, results: &ResultsDir, lines: usize) {
        results.write_plan(&self.plan).unwrap();
        for cell in &self.plan.cells {
            let Some(result) = self.results.get(&cell.id) else { continue };
            let logs = results.logs(&cell.id);
            fs_err::create_dir_all(&logs).unwrap();
            if result.failed().is_some() {
                fs_err::write(logs.join("console"), console(lines)).unwrap();
                fs_err::write(logs.join("log"), "   Building guard 1.4.0\n     Loaded guard.ko\n").unwrap();
            }
            results.write(result).unwrap();
        }
    }

    fn passing(projects: Vec<PlannedProject>, kernels: Vec<PlannedKernel>) -> Self {
        let mut cells = Vec::new();
        let mut results = BTreeMap::new();
        for kernel in &kernels {
            for project in &projects {
                let cell = cell(project, kernel);
                results.insert(cell.id.clone(), passed(&cell, cells.len()));
                cells.push(cell);
            }
        }
        let plan = Plan::new("0.1.0", Some("matrix.toml".into()), projects, kernels, cells);
        results.values_mut().for_each(|result: &mut CellResult| result.plan = plan.id.clone());
        Self { plan, results }
    }

    fn fail(&mut self) {
        let oops = self.result(0, 0);
        fail(oops, 1, 21, "KASAN: slab-out-of-bounds in guard_check+0x1f3/0x2b0 [guard]");
        oops.steps[1].trace = Some(format!("{TRACE}\n{HOSTILE}"));
        let lockdep = self.result(1, 0);
        fail(lockdep, 1, 22, "possible recursive locking detected: guard_lock, held at guard/main.c:88");
        lockdep.steps[1].remedy = Some("run it again with a shell: cargo kmod vm shell".to_owned());
        let compiler = self.result(2, 1);
        fail(compiler, 0, 1, "make ended with status 2: 1 error, in nls_fix.c");
        compiler.steps[0].complaint = Some(COMPLAINT.to_owned());
        fail(self.result(4, 0), 2, 1, "tests/smoke.sh ended with status 1: no reply from | the <device>");
        let never = self.result(9, 2);
        fail(never, 1, 30, "the guest never came up: nothing on its console for 60 s");
        (never.retries, never.machine) = (2, "ci-2".to_owned());
        for row in [7, 8] {
            fail(self.result(row, 1), 0, 1, "make ended with status 2: 3 errors, in nls_fix.c");
            let (step, status) = (Some(CellStep::Build), None);
            let reason = "needs folios of 6.16".to_owned();
            self.cell(row, 1).expect = Some(KnownFailure { step, status, reason });
        }
        let reason = "V4L2 of the real-time kernels has no loopback".to_owned();
        self.cell(3, 3).expect = Some(KnownFailure { step: None, status: None, reason });
    }

    fn leave_out(&mut self) {
        for row in [4, 10, 11] {
            let cell = self.cell(row, 2);
            cell.skip = Some("the project is in Rust, and the kernel has none".to_owned());
            let id = cell.id.clone();
            self.results.remove(&id);
        }
        for (row, column, reason) in [(6, 2, "BUILD_EXCLUSIVE_KERNEL"), (1, 3, "nothing to sanitize")] {
            let step = &mut self.result(row, column).steps[0];
            (step.status, step.reason) = (77, reason.to_owned());
            self.result(row, column).steps.truncate(1);
        }
        let lost = self.cell(5, 2).id.clone();
        self.results.remove(&lost);
        let stopped = self.result(11, 3);
        stopped.stopped = true;
        stopped.steps.truncate(1);
    }

    fn cell(&mut self, row: usize, column: usize) -> &mut Cell {
        &mut self.plan.cells[row * PROJECTS.len() + column]
    }

    fn result(&mut self, row: usize, column: usize) -> &mut CellResult {
        let id = self.cell(row, column).id.clone();
        self.results.get_mut(&id).unwrap()
    }
}

fn project(name: &str, version: &str) -> PlannedProject {
    let dir = Utf8PathBuf::from("/srv/modules").join(name);
    let plain = PlannedProject::plain(name, version, &dir);
    PlannedProject { sources: "5f1d6c7a0b3e9c24".to_owned(), rust: name == "tracer", ..plain }
}

fn kernel(release: &str, of: Option<&str>, suite: &str, rust: bool) -> PlannedKernel {
    let arm = release.ends_with("arm64");
    PlannedKernel {
        release: release.parse().unwrap(),
        stands_for: of.map(|of| of.parse().unwrap()),
        architecture: if arm { Architecture::Arm64 } else { Architecture::Amd64 },
        suite: Some(suite.to_owned()),
        identity: format!("{}-1", release.split(['+', '-']).next().unwrap()),
        rust,
    }
}

fn cell(project: &PlannedProject, kernel: &PlannedKernel) -> Cell {
    let steps = [CellStep::Build, CellStep::Insmod, CellStep::Test("tests/smoke.sh".into())];
    let steps = if project.name == "guard" { steps.to_vec() } else { steps[..2].to_vec() };
    let input = |what: String, identity: &str| CellInput { what, identity: identity.to_owned() };
    let inputs = vec![
        input(format!("project {}", project.name), &project.sources),
        input(format!("kernel {}", kernel.release), &kernel.identity),
        input("tool".to_owned(), "0.1.0 9c5be1d6a24f0b73"),
        input("qemu".to_owned(), "10.0.6"),
    ];
    Cell::new(project, kernel, steps, inputs)
}

fn passed(cell: &Cell, number: usize) -> CellResult {
    let step = |(at, step): (usize, &CellStep)| StepResult {
        step: step.clone(),
        status: 0,
        reason: String::new(),
        remedy: None,
        trace: None,
        complaint: None,
        seconds: [12.4, 3.1, 1.7][at] + (number % 7) as f64,
        again: again(cell, step),
        log: None,
        console: None,
    };
    let steps: Vec<StepResult> = cell.steps.iter().enumerate().map(step).collect();
    let seconds = steps.iter().map(|step| step.seconds).sum();
    CellResult {
        cell: cell.id.clone(),
        plan: serde_json::from_str(r#""0""#).unwrap(),
        project: cell.project.clone(),
        kernel: cell.kernel.clone(),
        steps,
        stopped: false,
        unprepared: false,
        began: BEGAN + 20 * number as u64,
        seconds,
        machine: "ci-1".to_owned(),
        retries: 0,
        tool: "0.1.0".to_owned(),
    }
}

fn again(cell: &Cell, step: &CellStep) -> String {
    let (command, test) = match step {
        CellStep::Build => ("build", String::new()),
        CellStep::Test(file) => ("insmod", format!(" --test {file}")),
        _ => ("insmod", String::new()),
    };
    format!("cargo kmod {command} --project /srv/modules/{} --kernel {}{test}", cell.project, cell.kernel)
}

/// The result ends at this step.
fn fail(result: &mut CellResult, at: usize, status: u8, reason: &str) {
    result.steps.truncate(at + 1);
    let step = &mut result.steps[at];
    (step.status, step.reason) = (status, reason.to_owned());
    let file = |name| Some(Utf8PathBuf::from(format!("cells/{}/{name}", result.cell)));
    (step.log, step.console) = (file("log"), file("console"));
}

fn console(lines: usize) -> Vec<u8> {
    let mut text = format!("\u{1b}[32mLinux version 7.2.13\u{1b}[0m\r\n{HOSTILE}\r\n");
    for number in 0..lines {
        let (seconds, fraction) = (number / 1000, number % 1000 * 1000);
        text.push_str(&format!("[{seconds:5}.{fraction:06}] virtio_blk virtio1: [vda] {number} of many\r\n"));
    }
    text.push_str(&TRACE.replace('\n', "\r\n"));
    [text.as_bytes(), b"\r\n\xff\xfe\x00 no text \x01\r\nKernel panic - not syncing\r\n"].concat()
}
