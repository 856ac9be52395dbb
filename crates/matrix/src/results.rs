// SPDX-License-Identifier: GPL-2.0
//! Where results are kept: a directory with the plan, and a file for each cell that has ended.
//!
//! ```text
//! plan.json              the plan that was last run
//! cells/ID.json          what came of a cell: renamed into place when it has ended
//! cells/ID/              its logs, and what its machines printed
//! history/WHEN.json      what each run came to
//! ```
//!
//! Several machines may write to one such directory at the same time: each cell has a file of its
//! own, and whoever comes last is right, as the inputs were the same.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use report::durable;
use report::failure::Failure;

use crate::cell_result::CellResult;
use crate::plan::{Cell, CellId, Plan};

/// The file by which a cell is claimed.
const LOCK: &str = ".lock";

/// A cell that one run has for itself.
#[derive(Debug)]
pub struct CellClaim {
    logs: Utf8PathBuf,
    _lock: File,
}

impl CellClaim {
    /// The directory for the logs of the cell, without those of an earlier run.
    ///
    /// # Errors
    ///
    /// If they cannot be removed.
    pub fn fresh_logs(&self) -> Result<&Utf8Path> {
        for entry in self.logs.read_dir_utf8()? {
            let entry = entry?;
            if entry.file_name() != LOCK {
                durable::remove(entry.path())?;
            }
        }
        Ok(&self.logs)
    }
}

/// A directory of results.
#[derive(Clone, Debug)]
pub struct ResultsDir {
    dir: Utf8PathBuf,
}

/// What a directory holds of a plan's results.
#[derive(Clone, Debug, Default)]
pub struct KeptResults {
    /// Results by cell.
    pub results: BTreeMap<CellId, CellResult>,
    /// What is to be said of files that are no results: cells whose file is half-written are lost.
    pub faults: Vec<String>,
}

impl ResultsDir {
    /// The directory `dir`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn create(dir: &Utf8Path) -> Result<Self> {
        fs_err::create_dir_all(dir.join("cells"))?;
        let dir = dir.canonicalize_utf8().with_context(|| format!("looking for {dir}"))?;
        Ok(Self { dir })
    }

    /// The directory `dir`, of which nothing is made or asked.
    pub fn planned(dir: &Utf8Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The directory `dir`, with a plan in it.
    ///
    /// # Errors
    ///
    /// Missing, if nothing was ever run with results there.
    pub fn open(dir: &Utf8Path) -> Result<(Self, Plan)> {
        let file = dir.join("plan.json");
        if !file.exists() {
            return Err(Failure::missing(dir.as_str(), "there are no results of a matrix: no plan.json")
                .remedy("name the directory with --results, or run the matrix: cargo kmod matrix run")
                .into());
        }
        let plan = Plan::read(&file)?;
        Ok((Self::create(dir)?, plan))
    }

    /// Where it is.
    pub fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    /// The file of the plan.
    pub fn plan_file(&self) -> Utf8PathBuf {
        self.dir.join("plan.json")
    }

    /// Where records of runs are.
    pub fn history(&self) -> Utf8PathBuf {
        self.dir.join("history")
    }

    /// Keeps the plan that is run.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_plan(&self, plan: &Plan) -> Result<()> {
        durable::replace(&self.plan_file(), &json(plan))
    }

    /// Claims a cell for one run; another one waits until the claim is dropped.
    ///
    /// # Errors
    ///
    /// If its directory cannot be made.
    pub fn claim(&self, cell: &Cell) -> Result<CellClaim> {
        let logs = self.logs(&cell.id);
        fs_err::create_dir_all(&logs)?;
        let file = logs.join(LOCK);
        let lock = File::options().create(true).append(true).open(&file);
        let lock = lock.with_context(|| format!("claiming {file}"))?;
        lock.lock().with_context(|| format!("waiting for {file}"))?;
        Ok(CellClaim { logs, _lock: lock })
    }

    /// The directory for the logs of a cell.
    pub fn logs(&self, cell: &CellId) -> Utf8PathBuf {
        self.dir.join("cells").join(cell.as_str())
    }

    /// The file for the result of a cell.
    pub fn file(&self, cell: &CellId) -> Utf8PathBuf {
        self.dir.join("cells").join(format!("{cell}.json"))
    }

    /// Keeps a result. It is there whole, or not at all; what a power cut spoils is lost, and the
    /// cell is run again.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, result: &CellResult) -> Result<()> {
        let file = self.file(&result.cell);
        let mut beside = tempfile::Builder::new().prefix(".result-").tempfile_in(self.dir.join("cells"))?;
        beside.write_all(&json(result)).with_context(|| format!("writing {file}"))?;
        beside.persist(&file).with_context(|| format!("writing {file}"))?;
        Ok(())
    }

    /// The result of a cell, if there is a whole one.
    ///
    /// # Errors
    ///
    /// In a line, why the file is no result of this cell.
    pub fn read(&self, cell: &Cell) -> Result<Option<CellResult>, String> {
        let file = self.file(&cell.id);
        let text = match fs_err::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let result: CellResult =
            serde_json::from_str(&text).map_err(|error| format!("{file} is no whole result: {error}"))?;
        if (&result.cell, &result.project, &result.kernel) != (&cell.id, &cell.project, &cell.kernel) {
            return Err(format!("{file} is the result of another cell, {}", result.cell));
        }
        Ok(Some(result))
    }

    /// The results of all cells of a plan.
    pub fn read_all(&self, plan: &Plan) -> KeptResults {
        let mut kept = KeptResults::default();
        for cell in &plan.cells {
            match self.read(cell) {
                Ok(Some(result)) => drop(kept.results.insert(cell.id.clone(), result)),
                Ok(None) => {}
                Err(fault) => kept.faults.push(format!("{}: {fault}", cell.title())),
            }
        }
        kept
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain data");
    text.push(b'\n');
    text
}
