// SPDX-License-Identifier: GPL-2.0
//! Tells the prototype of `smb2_check_message` in a `cifs.ko`, for Kbuild and for people.
#![forbid(unsafe_code)]

use prototype::{find, shape, Failure, Named, Shape, HOOKED};
use std::process::ExitCode;

const USAGE: &str = "\
usage: prototype [--base FILE] [--rust FILE] [--as NAME] CIFS.KO

Finds smb2_check_message in the BTF of CIFS.KO (not compressed) and prints its prototype and
which known shape it has. An unknown shape is refused.

  --base FILE   the kernel's BTF, for a module without .BTF.base: a vmlinux, or bare BTF as in
                /sys/kernel/btf/vmlinux, of the same release
  --rust FILE   write the shape as Rust source, for the kernel module
  --as NAME     what messages call CIFS.KO, when it is a copy

Exit status: 0 ok, 2 usage, 3 a file cannot be read or written, 4 refused.
";

/// Exit status for a command line that makes no sense.
const EXIT_USAGE: u8 = 2;
/// Exit status for a file that cannot be read or written.
const EXIT_MISSING: u8 = 3;
/// Exit status for a module that the guard must not hook.
const EXIT_REFUSED: u8 = 4;

/// What the command line asks for.
#[derive(Default)]
struct Options {
    module: String,
    base: Option<String>,
    rust: Option<String>,
    name: Option<String>,
}

/// Reads the command line; `None` when it makes no sense.
fn options(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--base" => options.base = Some(words.next()?),
            "--rust" => options.rust = Some(words.next()?),
            "--as" => options.name = Some(words.next()?),
            _ if word.starts_with('-') || !options.module.is_empty() => return None,
            _ => options.module = word,
        }
    }
    (!options.module.is_empty()).then_some(options)
}

fn run(options: &Options) -> Result<String, (u8, Failure)> {
    let read = |path: &str| {
        std::fs::read(path).map_err(|error| {
            (
                EXIT_MISSING,
                Failure::new(
                    path,
                    format!("cannot be read ({error})"),
                    "name a file that is there",
                ),
            )
        })
    };
    let module = read(&options.module)?;
    let base = options.base.as_deref().map(read).transpose()?;
    let kernel = options
        .base
        .as_deref()
        .zip(base.as_deref())
        .map(|(name, bytes)| Named { name, bytes });
    let refused = |failure| (EXIT_REFUSED, failure);

    let name = options.name.as_deref().unwrap_or(&options.module);
    let prototype = find(
        Named {
            name,
            bytes: &module,
        },
        kernel,
        HOOKED,
    )
    .map_err(refused)?;
    let shape = Shape::of(&prototype).map_err(refused)?;
    if let Some(path) = &options.rust {
        std::fs::write(path, shape::rust_source(shape, &prototype)).map_err(|error| {
            (
                EXIT_MISSING,
                Failure::new(
                    path,
                    format!("cannot be written ({error})"),
                    "name a place that is writable",
                ),
            )
        })?;
    }
    Ok(format!("{}: {prototype}", shape.name()))
}

fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        eprint!("{USAGE}");
        return ExitCode::from(EXIT_USAGE);
    };
    match run(&options) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err((status, failure)) => {
            eprintln!("{failure}");
            ExitCode::from(status)
        }
    }
}
