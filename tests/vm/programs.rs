// SPDX-License-Identifier: GPL-2.0
//! Programs that test modules while they are loaded (`insmod --test`), and modules of anybody's
//! that are built already, as a user asks for them.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use libtest_mimic::Trial;
use report::Report;
use report::process::Cmd;
use serde_json::Value;
use tempfile::TempDir;
use xtask::repository;

use crate::bench::{Bench, Check, trial};
use crate::commands::tool;

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let checks: &[(&str, Check)] = &[
        ("programs_test_what_is_loaded", kinds),
        ("programs_that_cannot_run_there_are_refused", refused),
        ("programs_of_files_are_loaded_as_they_depend", files),
        ("programs_report_on_standard_output", output),
    ];
    checks.iter().map(|(name, check)| trial(bench, name, *check)).collect()
}

/// Prints KTAP: whether the module is there, and what it was compiled to say.
const KTAP: &str = r##"
#include <stdio.h>
#include <sys/stat.h>
int main(void)
{
    struct stat found;
    puts("TAP version 13\n1..2");
    puts(stat("/sys/module/seeded_c", &found) ? "not ok 1 loaded" : "ok 1 loaded");
    puts(BROKEN ? "# as it was compiled\nnot ok 2 works" : "ok 2 works");
    return BROKEN;
}
"##;

struct Scratch {
    _dir: TempDir,
    path: Utf8PathBuf,
}

impl Scratch {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = Utf8Path::from_path(dir.path()).context("not UTF-8")?.to_owned();
        Ok(Self { _dir: dir, path })
    }

    /// Compiles a program with these further words for the compiler.
    fn compiled(&self, name: &str, source: &str, words: &[&str]) -> Result<Utf8PathBuf> {
        let (file, program) = (self.path.join(format!("{name}.c")), self.path.join(name));
        fs_err::write(&file, source)?;
        let cmd = Cmd::new("cc").arg(&file).arg("-o").arg(&program).args(words);
        cmd.run(&Report::silent())?;
        Ok(program)
    }

    fn script(&self, name: &str, text: &str) -> Result<Utf8PathBuf> {
        let file = self.path.join(name);
        fs_err::write(&file, text)?;
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
        Ok(file)
    }
}

/// The seeded modules with these tests: the exit status, and the outcome.
fn tested(bench: &Bench, words: &[&str]) -> Result<(i32, Value)> {
    let project = repository().join("tests/vm/seeded");
    let release = bench.prepared.kdir.release().as_str();
    let args = ["--json", "insmod", "--project", project.as_str(), "--kernel", release];
    let (status, text) = tool(&[&args[..], words].concat())?;
    let value: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    Ok((status, value[0].clone()))
}

/// A program's result and what was said of it.
fn result(outcome: &Value, name: &str) -> Result<(String, String)> {
    let tests = outcome["tests"]["tests"].as_array().with_context(|| format!("no tests: {outcome}"))?;
    let test = tests.iter().find(|test| test["name"] == name);
    let test = test.with_context(|| format!("no test {name}: {outcome}"))?;
    Ok((test["outcome"].as_str().unwrap_or_default().to_owned(), test.to_string()))
}

/// Static, linked, a script; KTAP, an exit status, a signal, nothing to test: from a boot and from
/// a saved machine alike.
fn kinds(bench: &Bench) -> Result<()> {
    let scratch = Scratch::new()?;
    let linked = scratch.compiled("linked", KTAP, &["-DBROKEN=0"])?;
    let fixed = scratch.compiled("static", KTAP, &["-DBROKEN=0", "-static"])?;
    let broken = scratch.compiled("broken", KTAP, &["-DBROKEN=1"])?;
    let crashes = scratch.compiled("crashes", "int main(void) { *(volatile int *)0 = 1; return 0; }", &[])?;
    let data = scratch.path.join("data");
    fs_err::write(&data, "42\n")?;
    let script =
        scratch.script("script", &format!("#!/bin/sh\nread -r number < {data}\n[ \"$number\" = 42 ]\n"))?;
    let skips = scratch.script("skips", "#!/bin/sh\necho no such device here\nexit 4\n")?;
    let events = scratch.path.join("events");
    let good: Vec<&str> = [&linked, &fixed, &script, &skips]
        .into_iter()
        .flat_map(|file| ["--test", file.as_str()])
        .chain(["--with", data.as_str()])
        .collect();
    for how in [&["--cold"][..], &[]] {
        let (status, outcome) = tested(bench, &[&good[..], how].concat())?;
        ensure!(status == 0 && outcome["verdict"] == "pass", "{status}: {outcome}");
        ensure!(outcome["warm"] == how.is_empty(), "{outcome}");
        for (name, expected) in
            [("linked", "passed"), ("static", "passed"), ("script", "passed"), ("skips", "skipped")]
        {
            let (result, said) = result(&outcome, name)?;
            ensure!(result == expected, "{name}: {said}");
        }
        ensure!(result(&outcome, "linked")?.1.contains("\"loaded\""), "{outcome}");
        ensure!(result(&outcome, "skips")?.1.contains("no such device here"), "{outcome}");
        let bad = ["--test", broken.as_str(), "--test", crashes.as_str(), "--events", events.as_str()];
        let (status, outcome) = tested(bench, &[&bad[..], how].concat())?;
        ensure!(status == 1 && outcome["verdict"] == "step-failed", "{status}: {outcome}");
        ensure!(outcome["reason"].as_str().is_some_and(|why| why.contains("broken, crashes")), "{outcome}");
        ensure!(result(&outcome, "broken")?.1.contains("as it was compiled"), "{outcome}");
        ensure!(result(&outcome, "crashes")?.1.contains("SIGSEGV"), "{outcome}");
        // The modules were removed all the same.
        let told = fs_err::read_to_string(&events)?;
        let removed =
            told.lines().filter(|line| line.contains("step_ended") && line.contains("rmmod seeded_"));
        ensure!(removed.count() == 2, "{told}");
        let again = outcome["again"].as_str().context("no command")?;
        ensure!(again.contains(&format!("--test {broken} --test {crashes}")), "{again}");
    }
    Ok(())
}

fn refused(bench: &Bench) -> Result<()> {
    let scratch = Scratch::new()?;
    let library = scratch.compiled("libgone.so", "int gone(void) { return 0; }", &["-shared", "-fPIC"])?;
    let dir = format!("-L{}", scratch.path);
    let words = [dir.as_str(), "-lgone"];
    let lacking = scratch.compiled("lacking", "int gone(void); int main(void) { return gone(); }", &words)?;
    fs_err::remove_file(library)?;
    let text = scratch.script("text", "echo not a program\n")?;
    let absent = scratch.path.join("absent");
    fs_err::create_dir(scratch.path.join("other"))?;
    let other = scratch.script("other/text", "#!/bin/sh\n")?;
    let named = scratch.script("named", "#!/nowhere/sh\n")?;
    for (tests, status, said) in [
        (&[&lacking][..], 3, "needs the library libgone.so, which is not found"),
        (&[&text][..], 4, "neither an ELF program"),
        (&[&absent][..], 3, "there is no such file"),
        (&[&named][..], 3, "/nowhere/sh, which is not here"),
        (&[&other, &text][..], 4, "the same name as another --test"),
    ] {
        let words: Vec<&str> = tests.iter().flat_map(|file| ["--test", file.as_str()]).collect();
        let project = repository().join("tests/vm/seeded");
        let release = bench.prepared.kdir.release().as_str();
        let args = ["--json", "insmod", "--project", project.as_str(), "--kernel", release];
        let (ended, text) = tool(&[&args[..], &words].concat())?;
        ensure!(ended == status && text.contains(said), "{said}: {ended}: {text}");
    }
    Ok(())
}

/// Three of the kernel's own, named in the wrong order, compressed as they are installed.
fn files(bench: &Bench) -> Result<()> {
    let events = bench.logs.join("files.json");
    let names = ["vsock_loopback", "vmw_vsock_virtio_transport_common", "vsock"];
    let files = names.map(|name| bench.prepared.kdir.stock_module(name));
    let files = files.into_iter().collect::<Result<Vec<_>>>()?;
    let words: Vec<&str> = files.iter().map(|file| file.as_str()).collect();
    let args = ["--json", "insmod", "--events", events.as_str()];
    let (status, text) = tool(&[&args[..], &words].concat())?;
    let outcome: Value = serde_json::from_str(&text)?;
    ensure!(status == 0 && outcome[0]["verdict"] == "pass", "{status}: {text}");
    ensure!(outcome[0]["release"] == bench.prepared.kdir.release().as_str(), "{text}");
    let lines = fs_err::read_to_string(&events)?;
    let begun = |line: &str| -> Option<String> {
        let line: Value = serde_json::from_str(line).ok()?;
        line["event"]["step_started"].is_object().then(|| line["step"].as_str().map(str::to_owned))?
    };
    let steps: Vec<String> = lines.lines().filter_map(begun).collect();
    let inserted =
        ["insmod vsock.ko", "insmod vmw_vsock_virtio_transport_common.ko", "insmod vsock_loopback.ko"];
    ensure!(steps.starts_with(&inserted.map(str::to_owned)), "{steps:?}");
    // Those of two kernels are not loaded into one.
    let scratch = Scratch::new()?;
    let other = scratch.path.join("other.ko");
    let mut image = kmodfile::file::ModuleFile::read(&files[2])?.image;
    let release = bench.prepared.kdir.release().as_str();
    let at = image.windows(release.len()).position(|part| part == release.as_bytes());
    let at = at.context("the module does not name its kernel")?;
    image[at] = b'6';
    fs_err::write(&other, image)?;
    let (status, text) = tool(&["--json", "insmod", words[2], other.as_str()])?;
    ensure!(status == 4 && text.contains("name the kernel: --kernel RELEASE"), "{status}: {text}");
    Ok(())
}

/// One report goes there, and nothing else; two are refused.
fn output(bench: &Bench) -> Result<()> {
    let project = repository().join("tests/vm/seeded");
    let release = bench.prepared.kdir.release().as_str();
    let args = ["insmod", "--project", project.as_str(), "--kernel", release];
    let (status, ktap) = tool(&[&args[..], &["--ktap", "-"]].concat())?;
    ensure!(status == 0 && ktap.starts_with("KTAP version 1\n"), "{status}: {ktap}");
    ensure!(
        ktap.lines().all(|line| line.contains("KTAP") || line.contains("ok 1") || line.contains("1..1")),
        "{ktap}"
    );
    let (status, xml) = tool(&[&args[..], &["--junit", "-"]].concat())?;
    ensure!(status == 0 && xml.starts_with("<?xml") && xml.trim_end().ends_with("</testsuites>"), "{xml}");
    let (status, lines) = tool(&[&args[..], &["--events", "-"]].concat())?;
    let parsed: Result<Vec<Value>, _> = lines.lines().map(serde_json::from_str).collect();
    ensure!(status == 0 && parsed?.last().is_some_and(|last| last["verdict"] == "pass"), "{lines}");
    let (status, text) = tool(&["insmod", "--ktap", "-", "--junit", "-"])?;
    ensure!(status == 2, "{status}: {text}");
    Ok(())
}
