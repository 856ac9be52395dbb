// SPDX-License-Identifier: GPL-2.0
//! Writes a new repository into a directory, to be tried there:
//!
//!     render DIR NAME c
//!     render DIR NAME rust
//!     render DIR NAME fix PATH LINE LICENCE MODULE[:OPTION]... [+ALSO]...

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use camino::Utf8Path;
use template::in_tree::InTreeModule;
use template::{
    ConfigOption, Date, Fix, Invalid, KernelPath, Kind, Licence, Line, ModuleName, Name, Request, Source,
    Text, files,
};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [dir, name, kind @ ..] = words.as_slice() else { return Err("DIR NAME c|rust|fix ...".into()) };
    let kind = match kind {
        ["c"] => Kind::C,
        ["rust"] => Kind::Rust,
        ["fix", path, line, licence, rest @ ..] => Kind::Fix(fix(path, line, licence, rest)?),
        _ => return Err("c, rust, or fix PATH LINE LICENCE MODULE[:OPTION]... [+ALSO]...".into()),
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

fn fix(path: &str, line: &str, licence: &str, rest: &[&str]) -> Result<Fix, Invalid> {
    let (also, modules): (Vec<&str>, Vec<&str>) = rest.iter().partition(|word| word.starts_with('+'));
    let module = |word: &&str| {
        let (name, option) =
            word.split_once(':').map_or((*word, None), |(name, option)| (name, Some(option)));
        Ok(InTreeModule {
            name: ModuleName::parse(name)?,
            option: option.map(ConfigOption::parse).transpose()?,
        })
    };
    Fix::new(
        KernelPath::parse(path)?,
        modules.iter().map(module).collect::<Result<_, _>>()?,
        also.iter().map(|word| KernelPath::parse(&word[1..])).collect::<Result<_, _>>()?,
        Line::parse(line)?,
        Licence::parse(licence)?,
    )
}
