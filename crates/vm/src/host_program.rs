// SPDX-License-Identifier: GPL-2.0
//! Takes a program of this machine along into another: with its interpreter, if it is a script, and
//! its libraries, if it is linked to any.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use object::Endianness;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use crate::guest_file::GuestFile;
use kernel::machine::programs;
use kmodfile::architecture::Architecture;
use report::Report;
use report::failure::Failure;
use report::process::Cmd;

/// Scripts of scripts end somewhere (`BINPRM` recursion in fs/exec.c).
const DEPTH: usize = 5;

/// The files that one or several programs need in a machine, by their paths there.
#[derive(Clone, Debug, Default)]
pub struct ProgramFiles {
    files: BTreeMap<String, GuestFile>,
}

impl ProgramFiles {
    /// Adds the program `file` for machines of `architecture`, at `place` in the machine.
    ///
    /// # Errors
    ///
    /// Missing, if it is not there, or something that it needs is not; refused, if it is none, or
    /// for other machines.
    pub fn add(
        &mut self,
        file: &Utf8Path,
        place: &str,
        architecture: Architecture,
        report: &Report,
    ) -> Result<()> {
        self.add_at_depth(file, place, architecture, report, 0)
    }

    /// The same for any file: what can be run, as a program; the rest as it is.
    ///
    /// # Errors
    ///
    /// As above; missing, if there is no such file.
    pub fn add_any(
        &mut self,
        file: &Utf8Path,
        place: &str,
        architecture: Architecture,
        report: &Report,
    ) -> Result<()> {
        let content = read(file)?;
        let can_run = fs_err::metadata(file)?.permissions().mode() & 0o111 != 0;
        if can_run && (content.starts_with(b"\x7fELF") || content.starts_with(b"#!")) {
            return self.add(file, place, architecture, report);
        }
        self.insert(place, content, can_run);
        Ok(())
    }

    /// The files.
    pub fn into_files(self) -> Vec<GuestFile> {
        self.files.into_values().collect()
    }

    fn insert(&mut self, path: &str, content: Vec<u8>, program: bool) {
        self.files.insert(path.to_owned(), GuestFile { path: path.to_owned(), content, program });
    }

    fn add_at_depth(
        &mut self,
        file: &Utf8Path,
        place: &str,
        architecture: Architecture,
        report: &Report,
        depth: usize,
    ) -> Result<()> {
        if self.files.contains_key(place) {
            return Ok(());
        }
        let content = read(file)?;
        match Kind::of(file, &content, architecture)? {
            Kind::Static => {}
            Kind::Linked { interpreter } => self.add_libraries(file, &interpreter, architecture, report)?,
            Kind::Script { .. } if depth == DEPTH => {
                return Err(Failure::refused(file.as_str(), "is a script for a script, and so on").into());
            }
            Kind::Script { interpreters } => {
                for name in interpreters {
                    let found = found(&name, file)?;
                    self.add_at_depth(&found, found.as_str(), architecture, report, depth + 1)?;
                }
            }
        }
        self.insert(place, content, true);
        Ok(())
    }

    /// The libraries of a program, as its own interpreter finds them (ld.so(8), `--list`). One from
    /// a directory that only this machine's cache of libraries knows is put beside the C library
    /// too, where every interpreter looks.
    fn add_libraries(
        &mut self,
        file: &Utf8Path,
        interpreter: &Utf8Path,
        architecture: Architecture,
        report: &Report,
    ) -> Result<()> {
        if Architecture::native() != Some(architecture) {
            let reason = format!("needs libraries of {architecture}, which are not on this machine");
            return Err(Failure::refused(file.as_str(), reason).remedy("link it with -static").into());
        }
        let interpreter_file = real(interpreter)?;
        // A name without a slash would be looked for among the libraries.
        let listed = Cmd::new(&interpreter_file).args(["--list", real(file)?.as_str()]).finish(report)?;
        let text = listed.text();
        if let Some(name) = missing(&text).or_else(|| missing(&listed.tail)) {
            let reason = format!("needs the library {name}, which is not found");
            return Err(Failure::missing(file.as_str(), reason)
                .remedy(format!("install it, or link {file} with -static"))
                .into());
        }
        if !listed.status.success() {
            let reason = format!("cannot be linked: {}", listed.tail.trim());
            return Err(Failure::refused(file.as_str(), reason).into());
        }
        let libraries = libraries(&text);
        let usual = libraries.iter().find(|path| is_c_library(path)).and_then(|path| path.parent());
        for library in &libraries {
            let content = read(&real(library)?)?;
            if let Some(dir) = usual.filter(|dir| library.parent() != Some(dir)) {
                let beside = dir.join(library.file_name().unwrap_or_default());
                self.insert(beside.as_str(), content.clone(), true);
            }
            self.insert(library.as_str(), content, true);
        }
        self.insert(interpreter.as_str(), read(&interpreter_file)?, true);
        Ok(())
    }
}

/// What a program is.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Static,
    Linked {
        interpreter: Utf8PathBuf,
    },
    /// The program of its first line; where that is env(1), also the one that it is told.
    Script {
        interpreters: Vec<String>,
    },
}

impl Kind {
    fn of(file: &Utf8Path, content: &[u8], architecture: Architecture) -> Result<Self> {
        if let Some(line) = content.strip_prefix(b"#!") {
            let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
            return Ok(Self::Script { interpreters: interpreters(&String::from_utf8_lossy(line)) });
        }
        let refused = |reason: String| Failure::refused(file.as_str(), reason);
        let header = FileHeader64::<Endianness>::parse(content)
            .map_err(|_| refused("is neither an ELF program of 64 bits nor a script (#!)".to_owned()))?;
        let machine = header.endian().map(|endian| header.e_machine(endian).0).unwrap_or_default();
        if machine != architecture.elf() {
            let is_for = Architecture::ALL.into_iter().find(|known| known.elf() == machine);
            let is_for =
                is_for.map_or_else(|| format!("machine {machine} (elf(5))"), |known| known.to_string());
            return Err(refused(format!("is for {is_for}, the kernel for {architecture}")).into());
        }
        Ok(match interpreter(content) {
            Some(interpreter) => Self::Linked { interpreter },
            None => Self::Static,
        })
    }
}

/// The interpreter that an ELF program names (`PT_INTERP`, elf(5)).
fn interpreter(content: &[u8]) -> Option<Utf8PathBuf> {
    let header = FileHeader64::<Endianness>::parse(content).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, content).ok()?;
    let segment = segments.iter().find(|segment| segment.p_type(endian) == PT_INTERP)?;
    let path = segment.data(endian, content).ok()?;
    let path = path.split(|byte| *byte == 0).next()?;
    Some(std::str::from_utf8(path).ok()?.into())
}

/// The programs of the first line of a script, without `#!`.
fn interpreters(line: &str) -> Vec<String> {
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else { return vec!["/bin/sh".to_owned()] };
    let mut all = vec![first.to_owned()];
    if Utf8Path::new(first).file_name() == Some("env") {
        // Options of env, and variables that it sets, come before the program.
        all.extend(words.find(|word| !word.starts_with('-') && !word.contains('=')).map(str::to_owned));
    }
    all
}

/// A program of a script by its path, or by its name in `PATH`.
fn found(name: &str, script: &Utf8Path) -> Result<Utf8PathBuf> {
    let path = Utf8Path::new(name);
    let found =
        if path.is_absolute() { path.exists().then(|| path.to_owned()) } else { programs::find(name) };
    let missing = || Failure::missing(script.as_str(), format!("is a script for {name}, which is not here"));
    Ok(found.ok_or_else(missing)?)
}

fn read(file: &Utf8Path) -> Result<Vec<u8>> {
    if !file.exists() {
        return Err(Failure::missing(file.as_str(), "there is no such file").into());
    }
    fs_err::read(file).with_context(|| format!("taking {file} along"))
}

fn real(path: &Utf8Path) -> Result<Utf8PathBuf> {
    path.canonicalize_utf8().map_err(|_| Failure::missing(path.as_str(), "there is no such file").into())
}

/// The libraries in the output of `ld.so --list`: `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)`.
fn libraries(text: &str) -> Vec<Utf8PathBuf> {
    text.split_whitespace().filter(|word| word.starts_with('/')).map(Utf8PathBuf::from).collect()
}

/// A library that is not found, in what glibc's interpreter says.
fn missing(text: &str) -> Option<&str> {
    text.lines().find_map(|line| {
        line.trim().strip_suffix(" => not found").or_else(|| {
            let (_, rest) = line.split_once("error while loading shared libraries: ")?;
            Some(rest.split_once(": cannot open shared object file")?.0)
        })
    })
}

fn is_c_library(path: &Utf8Path) -> bool {
    path.file_name().is_some_and(|name| name.starts_with("libc.so") || name.starts_with("libc.musl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native() -> Architecture {
        Architecture::native().unwrap()
    }

    #[test]
    fn the_first_line_of_a_script() {
        for (line, expected) in [
            ("/bin/sh", vec!["/bin/sh"]),
            (" /bin/sh -e", vec!["/bin/sh"]),
            ("/usr/bin/env python3", vec!["/usr/bin/env", "python3"]),
            ("/usr/bin/env -S A=b python3 -u", vec!["/usr/bin/env", "python3"]),
            ("", vec!["/bin/sh"]),
        ] {
            assert_eq!(interpreters(line), expected, "{line}");
        }
    }

    #[test]
    fn what_the_interpreter_lists() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)\n\t\
                    libx.so.1 => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        assert_eq!(libraries(text), ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
        assert_eq!(missing(text), Some("libx.so.1"));
        let error = "/x/lacking: error while loading shared libraries: libgone.so: cannot open shared object \
                     file: No such file or directory";
        assert_eq!(missing(error), Some("libgone.so"));
        assert!(is_c_library(&libraries(text)[0]));
    }

    #[test]
    fn a_program_comes_with_its_libraries_and_a_script_with_its_program() {
        let dir = tempfile::tempdir().unwrap();
        let script = Utf8Path::from_path(dir.path()).unwrap().join("check");
        fs_err::write(&script, "#!/bin/sh\necho hello\n").unwrap();
        let mut files = ProgramFiles::default();
        files.add(&script, "/tests/check", native(), &Report::silent()).unwrap();
        let paths: Vec<String> = files.into_files().into_iter().map(|file| file.path).collect();
        let has = |name: &str| paths.iter().any(|path| path.ends_with(name) || path.contains(name));
        assert!(has("/tests/check") && has("/bin/sh") && has("libc.") && has("/ld-"), "{paths:?}");
    }

    #[test]
    fn what_cannot_run_there_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join("check");
        let other = match native() {
            Architecture::Amd64 => Architecture::Arm64,
            Architecture::Arm64 => Architecture::Amd64,
        };
        let refusal = |file: &Utf8Path, architecture| {
            let added = ProgramFiles::default().add(file, "/x", architecture, &Report::silent());
            format!("{:#}", added.unwrap_err())
        };
        assert!(refusal(&file, native()).contains("no such file"));
        fs_err::write(&file, "no program").unwrap();
        assert!(refusal(&file, native()).contains("neither an ELF program"));
        assert!(refusal("/proc/self/exe".into(), other).contains("the kernel for"));
        fs_err::write(&file, "#!/nowhere/sh\n").unwrap();
        assert!(refusal(&file, native()).contains("/nowhere/sh, which is not here"));
    }
}
