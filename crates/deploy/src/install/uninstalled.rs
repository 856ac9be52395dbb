// SPDX-License-Identifier: GPL-2.0
//! Which modules were uninstalled from a system, kept in the cache: the system itself holds nothing
//! of them any more. So that what a run is asked for, after another was killed when it had done it,
//! is told from a name that was mistyped.

use std::collections::BTreeSet;

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::install::system::TargetSystem;
use report::cache::Cache;
use report::durable::{self, digest};

/// The names of modules that were uninstalled from one system, by any run with this cache.
#[derive(Clone, Debug)]
pub struct Uninstalled {
    file: Utf8PathBuf,
    names: BTreeSet<String>,
}

impl Uninstalled {
    /// Those of a system. A file that cannot be read holds none.
    pub fn of(cache: &Cache, system: &TargetSystem) -> Self {
        let whose = digest(system.root().as_str().as_bytes());
        let file = cache.path("uninstalled").join(&whose[..16]);
        let text = fs_err::read_to_string(&file).unwrap_or_default();
        Self { file, names: text.lines().map(str::to_owned).collect() }
    }

    /// Whether a module was uninstalled, or was about to be.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Adds modules that are about to be uninstalled.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn remember(mut self, names: &[String]) -> Result<()> {
        self.names.extend(names.iter().cloned());
        let text: String = self.names.iter().map(|name| format!("{name}\n")).collect();
        durable::replace(&self.file, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;

    #[test]
    fn what_was_uninstalled_is_remembered_for_each_system() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let cache = Cache::at(dir.join("cache")).unwrap();
        let systems = ["a", "b"].map(|name| {
            fs_err::create_dir_all(dir.join(name).join("lib/modules")).unwrap();
            TargetSystem::open(&dir.join(name)).unwrap()
        });
        Uninstalled::of(&cache, &systems[0]).remember(&["x".to_owned(), "y_z".to_owned()]).unwrap();
        Uninstalled::of(&cache, &systems[0]).remember(&["x".to_owned()]).unwrap();
        let has = |system, name| Uninstalled::of(&cache, system).has(name);
        assert!(has(&systems[0], "x") && has(&systems[0], "y_z"));
        assert!(!has(&systems[0], "y") && !has(&systems[1], "x"));
    }
}
