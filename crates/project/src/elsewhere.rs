// SPDX-License-Identifier: GPL-2.0
//! Where a project without a `dkms.conf` may have one after all: as a template that its own build
//! fills in, or in another directory.

use camino::{Utf8Path, Utf8PathBuf};

/// Directories below the project are looked into this deep.
const DEPTH: usize = 2;

/// How many places are named.
const NAMED: usize = 3;

/// What there is in place of a `dkms.conf` of `dir`, each as a clause; empty for nothing.
pub(crate) fn found(dir: &Utf8Path) -> String {
    let mut places = Vec::new();
    look(dir, DEPTH, &mut places);
    places.sort_by_key(|place| (place.components().count(), place.clone()));
    places.dedup();
    let inner = |place: &Utf8Path| place.strip_prefix(dir).map(Utf8Path::to_owned).unwrap_or_default();
    let clause = |place: &Utf8PathBuf| match (place.file_name(), place.parent()) {
        (Some("dkms.conf"), Some(parent)) => {
            format!("; there is {}: --project {parent}", inner(place))
        }
        _ => format!(
            "; there is {}, a template: copy it to dkms.conf and fill it in, or give what is left of it with --set NAME=VALUE",
            inner(place)
        ),
    };
    places.iter().take(NAMED).map(clause).collect()
}

fn look(dir: &Utf8Path, depth: usize, places: &mut Vec<Utf8PathBuf>) {
    for entry in dir.read_dir_utf8().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth > 0 && !name.starts_with('.') {
            look(entry.path(), depth - 1, places);
        } else if kind.is_file() && (name == "dkms.conf" || is_template(name)) {
            places.push(entry.path().to_owned());
        }
    }
}

/// `dkms.conf.in`, `dkms.conf.template`, `hello-dkms.conf.in`.
fn is_template(name: &str) -> bool {
    let ends = [".in", ".template", ".tmpl", ".tpl", ".j2", ".m4", ".cmake", ".sample", ".example"];
    ends.iter().any(|end| name.strip_suffix(end).is_some_and(|stem| stem.ends_with("dkms.conf")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_and_other_directories_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        assert_eq!(found(dir), "");
        for file in
            ["dkms/dkms.conf", "src/a/dkms.conf.in", "src/a/b/dkms.conf", ".git/dkms.conf", "dkms.conf.bak"]
        {
            fs_err::create_dir_all(dir.join(file).parent().unwrap()).unwrap();
            fs_err::write(dir.join(file), "").unwrap();
        }
        let found = found(dir);
        assert!(
            found.starts_with(&format!(
                "; there is dkms/dkms.conf: --project {dir}/dkms; there is src/a/dkms.conf.in, a template"
            )),
            "{found}"
        );
        assert_eq!(found.matches("there is").count(), 2, "{found}");
    }
}
