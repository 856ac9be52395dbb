// SPDX-License-Identifier: GPL-2.0
//! Writes a new repository into a directory, to be tried there:
//!
//! ```text
//! render DIR NAME c
//! render DIR NAME rust
//! render DIR NAME fix PATH LINE SOURCE [MODULE]...
//! ```
//!
//! SOURCE is a directory with the kernel's source, as far as PATH needs it. What is asked of it
//! here is what any caller has to ask. `CACHE` in the environment names the directory of prepared
//! kernels below `~/.cache`.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use template::in_tree::{self, Files};
use template::{Date, Fix, KernelPath, Kind, Line, Name, Request, Source, Text, files};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [dir, name, kind @ ..] = words.as_slice() else { return Err("DIR NAME c|rust|fix ...".into()) };
    let kind = match kind {
        ["c"] => Kind::C,
        ["rust"] => Kind::Rust,
        ["fix", path, line, source, wanted @ ..] => {
            Kind::Fix(fix(&KernelPath::parse(path)?, Line::parse(line)?, Utf8Path::new(source), wanted)?)
        }
        _ => return Err("c, rust, or fix PATH LINE SOURCE [MODULE]...".into()),
    };
    let request = Request {
        name: Name::parse(name)?,
        kind,
        author: Text::parse("Łucja O'Neil <lucja@example.org>")?,
        date: Date::new(2026, 11, 26)?,
        tool: Source::Path("/usr/src/cargo-kmod".into()),
        cache: Name::parse(&std::env::var("CACHE").unwrap_or("cargo-kmod".to_owned()))?,
    };
    for file in files(&request) {
        let place = Utf8Path::new(dir).join(&file.path);
        fs::create_dir_all(place.parent().unwrap_or(&place))?;
        fs::write(&place, &file.text)?;
        let mode = if file.executable { 0o755 } else { 0o644 };
        fs::set_permissions(&place, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// A fix of what is at `path` in the kernel's source: of all its modules, or of those `wanted`.
fn fix(path: &KernelPath, line: Line, source: &Utf8Path, wanted: &[&str]) -> Result<Fix, Box<dyn Error>> {
    let makefile = fs::read_to_string(source.join(in_tree::makefile_of(path)))?;
    let mut modules = in_tree::modules_of(path, &makefile)?;
    modules.retain(|module| wanted.is_empty() || wanted.contains(&module.name.as_str()));
    let mut files = Files::new();
    read(source, path.as_path(), &mut files)?;
    let mut also = Vec::new();
    // Headers include others.
    loop {
        let missing = in_tree::missing_includes(&files).into_iter();
        let missing: Vec<Utf8PathBuf> = missing.filter(|path| source.join(path).is_file()).collect();
        if missing.is_empty() {
            break;
        }
        for path in missing {
            read(source, &path, &mut files)?;
            also.push(KernelPath::parse(path.as_str())?);
        }
    }
    eprintln!("modules: {modules:?}\nalso: {also:?}\nlicence: {}", in_tree::licence(&files)?);
    Ok(Fix::new(path.clone(), modules, also, line, in_tree::licence(&files)?)?)
}

/// Reads a file, or all files below a directory.
fn read(source: &Utf8Path, path: &Utf8Path, files: &mut Files) -> Result<(), Box<dyn Error>> {
    let place = source.join(path);
    if place.is_file() {
        files.insert(path.to_owned(), fs::read_to_string(place)?);
        return Ok(());
    }
    for entry in place.read_dir_utf8()? {
        read(source, &path.join(entry?.file_name()), files)?;
    }
    Ok(())
}
