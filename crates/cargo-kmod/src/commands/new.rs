// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod new`: a repository that builds, boots, packages and passes its own tests.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use template::{Date, File, Fix, GitUrl, KernelPath, Kind, Line, ModuleName, Name, Request, Source, Text};

use crate::installed;
use crate::tool::Tool;
use kernel::asked::AskedKernel;
use kernel::context::Context;
use kernel::discover;
use kernel::distribution::{Age, known};
use kernel::machine::programs;
use project::source::in_tree;
use report::durable;
use report::failure::Failure;
use report::process::Cmd;

/// `cargo kmod new`.
#[derive(Clone, Debug, Args)]
pub struct NewArgs {
    /// Name of the repository and of its directory; the module's name is the same with underscores
    #[arg(value_parser = Name::parse)]
    pub name: Name,
    /// A module in Rust; so it is when nothing is said
    #[arg(long, group = "kind")]
    pub rust: bool,
    /// A module in C
    #[arg(long, group = "kind")]
    pub c: bool,
    /// A rebuild of one of the kernel's own modules with patches: its directory or source file in
    /// the kernel, such as fs/isofs or drivers/net/dummy.c
    #[arg(long, group = "kind", value_name = "PATH", value_parser = KernelPath::parse)]
    pub fix: Option<KernelPath>,
    /// Which of the modules of that directory; may be repeated [default: all]
    #[arg(long = "module", value_name = "NAME", requires = "fix", value_parser = ModuleName::parse)]
    pub modules: Vec<ModuleName>,
    /// The kernel whose source is fixed, as `uname -r` prints it, or `running`, or `installed`
    /// [default: the newest cloud kernel with Rust]
    #[arg(long, value_name = "RELEASE", requires = "fix")]
    pub kernel: Option<AskedKernel>,
    /// Who writes it [default: as git knows you]
    #[arg(long, value_name = "NAME <MAIL>", value_parser = Text::parse)]
    pub author: Option<Text>,
    /// Where its own `cargo xtask` takes the tool from: a directory, the address of a git
    /// repository, or the version in a registry [default: where this program was installed from]
    #[arg(long, value_name = "DIR|URL|VERSION", value_parser = source)]
    pub tool: Option<Source>,
}

/// Makes the directory, whole or not at all.
pub fn run(context: &Context, tool: &Tool, args: &NewArgs) -> Result<()> {
    let dir = Utf8PathBuf::from(args.name.as_str());
    if dir.symlink_metadata().is_ok() {
        return Err(Failure::refused(dir.as_str(), "is there already")
            .remedy("choose another name, or remove it")
            .into());
    }
    let request = Request {
        name: args.name.clone(),
        kind: kind(context, args)?,
        author: args.author.clone().map_or_else(|| author(context), Ok)?,
        date: today()?,
        tool: args.tool.clone().unwrap_or_else(|| installed::source(tool)),
        cache: Name::parse(report::cache::NAME).expect("a plain name"),
    };
    let files = template::files(&request);
    if context.dry_run {
        files.iter().for_each(|file| context.report.say(&format!("would write {}", dir.join(&file.path))));
        return Ok(());
    }
    write(&dir, &files)?;
    let git = init_git(context, &dir)?;
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    context.report.data(&serde_json::json!({ "dir": dir, "files": names, "git": git }));
    context.report.say(&next_steps(&dir, &files, &request));
    Ok(())
}

/// What is to be in it.
fn kind(context: &Context, args: &NewArgs) -> Result<Kind> {
    let Some(path) = &args.fix else { return Ok(if args.c { Kind::C } else { Kind::Rust }) };
    known::ensure_programs(context)?;
    let release = match &args.kernel {
        Some(asked) => asked.named(context, Utf8Path::new("/"))?,
        None => {
            let distribution = known::usual();
            let archive = distribution.archive(context, Age::Current)?;
            discover::default(distribution, &*archive)?.release
        }
    };
    let found = in_tree::of(context, &release, path)?;
    let mut modules = found.modules;
    if let Some(unknown) = args.modules.iter().find(|name| modules.iter().all(|module| module.name != **name))
    {
        let names: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
        let reason = format!("{path} of {release} builds no such module");
        return Err(Failure::usage(unknown.as_str(), reason).remedy(names.join(", ")).into());
    }
    modules.retain(|module| args.modules.is_empty() || args.modules.contains(&module.name));
    let line = Line::parse(release.line()).map_err(in_tree::refused)?;
    Ok(Kind::Fix(Fix::new(path.clone(), modules, found.also, line, found.licence).map_err(in_tree::refused)?))
}

/// Who git says that the user is; else the user's name on this machine.
fn author(context: &Context) -> Result<Text> {
    let git = |key: &str| {
        let output = Cmd::new("git").args(["config", key]).finish(&context.report).ok()?;
        Some(output.text().trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
    };
    let name = git("user.name").or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "nobody".to_owned());
    let text = git("user.email").map_or_else(|| name.clone(), |mail| format!("{name} <{mail}>"));
    Ok(Text::parse(&text).map_err(|invalid| {
        Failure::usage(format!("author {:?}", invalid.word), invalid.reason).remedy("--author 'NAME <MAIL>'")
    })?)
}

fn today() -> Result<Date> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs();
    Date::of_seconds(seconds).map_err(|invalid| in_tree::refused(invalid).into())
}

/// `DIR`, `URL` or `VERSION`.
fn source(text: &str) -> Result<Source, String> {
    if text.contains("://") {
        return GitUrl::parse(text).map(Source::Git).map_err(|invalid| invalid.to_string());
    }
    if let Ok(dir) = Utf8Path::new(text).canonicalize_utf8() {
        return if dir.join("Cargo.toml").is_file() {
            Ok(Source::Path(dir))
        } else {
            Err("has no Cargo.toml: give the directory of the package cargo-kmod".to_owned())
        };
    }
    template::Version::parse(text).map(Source::Version).map_err(|invalid| invalid.to_string())
}

/// Writes all files beside the place, and renames them in.
fn write(dir: &Utf8Path, files: &[File]) -> Result<()> {
    let beside = tempfile::Builder::new().prefix(&format!(".{dir}-")).tempdir_in(".")?;
    let path = Utf8Path::from_path(beside.path()).context("the directory's path is not UTF-8")?;
    for file in files {
        let place = path.join(&file.path);
        fs_err::create_dir_all(place.parent().unwrap_or(path))?;
        fs_err::write(&place, &file.text)?;
        if file.executable {
            fs_err::set_permissions(&place, std::fs::Permissions::from_mode(0o755))?;
        }
    }
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    durable::publish(path, dir)?;
    // Its place is empty now.
    let _ = beside.keep();
    Ok(())
}

/// Puts the directory under version control, unless it is already, as `cargo new` does. Its files
/// are added: packages are made of what git tracks. Whether it did.
fn init_git(context: &Context, dir: &Utf8Path) -> Result<bool> {
    let inside = dir.canonicalize_utf8()?.ancestors().any(|dir| dir.join(".git").exists());
    if inside || programs::find("git").is_none() {
        return Ok(false);
    }
    Cmd::new("git").args(["init", "--quiet"]).cwd(dir).run(&context.report)?;
    Cmd::new("git").args(["add", "--all"]).cwd(dir).run(&context.report)?;
    Ok(true)
}

fn next_steps(dir: &Utf8Path, files: &[File], request: &Request) -> String {
    let fix = match &request.kind {
        Kind::Fix(_) => {
            "\n  cargo kmod build --import-only   lays out the kernel's source, to be edited\n  \
             cargo kmod patch refresh --project .   writes the edit into the patch series"
        }
        Kind::C | Kind::Rust => "",
    };
    format!(
        "made {dir}: {} files\n\n  cd {dir}\n  cargo kmod insmod   builds it, boots it in a virtual machine, gives a verdict{fix}",
        files.len()
    )
}
