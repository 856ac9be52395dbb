// SPDX-License-Identifier: GPL-2.0
//! Signed modules: by the kernel's own sign-file, for a prepared kernel.

use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use kernel::distribution::debian;
use kernel::root::Access;
use kernel::root::tree::TreeRoot;
use libtest_mimic::Trial;
use project::Project;
use project::build::build;
use project::key::certificate::Certificate;
use project::sign;
use report::process::Cmd;
use xtask::commands::test::LONG;
use xtask::repository;

use crate::suite::{PROGRAM, Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    let mut trials = vec![
        suite.trial("sign::a_module_is_signed_in_place_and_modinfo_agrees", in_place),
        suite.trial("sign::a_signature_is_over_every_byte", over_every_byte),
        suite.trial("sign::what_a_killed_run_left_the_next_one_removes", killed),
        suite.trial("sign::one_bad_module_of_two_leaves_both_as_they_were", one_bad_of_two),
        suite.trial("sign::an_encrypted_key_signs_and_its_passphrase_is_shown_nowhere", encrypted),
        suite.trial("sign::what_is_built_with_a_key_leaves_signed", built_signed),
        suite.trial("sign::a_key_signs_whatever_the_names_on_its_path_are", odd_paths),
    ];
    if std::env::var_os(LONG).is_some() {
        trials.push(suite.trial("sign::a_key_on_a_token_signs", on_a_token));
    }
    trials
}

/// A directory with a key, and a copy of the guard beside it.
struct Bench {
    _dir: tempfile::TempDir,
    path: Utf8PathBuf,
}

const PASSPHRASE: &str = "correct horse battery";

impl Bench {
    fn new(suite: &Suite, encrypted: bool) -> Self {
        let (_dir, path) = scratch();
        let new = tool(&["key", "new", "--output", path.join("key").as_str(), "--name", "package suite"]);
        let (status, output) = run(&if encrypted { new.env("KBUILD_SIGN_PIN", PASSPHRASE) } else { new });
        assert_eq!(status, 0, "{output}");
        let project = Project::open(&repository()).unwrap();
        let built = build(suite.context(), &project, suite.prepared()).unwrap();
        fs_err::copy(&built.object("cifs_fix").unwrap().file, path.join("a.ko")).unwrap();
        fs_err::set_permissions(path.join("a.ko"), std::fs::Permissions::from_mode(0o640)).unwrap();
        Self { _dir, path }
    }

    fn module(&self) -> Utf8PathBuf {
        self.path.join("a.ko")
    }

    fn sign(&self, more: &[&str]) -> Cmd {
        let (key, certificate) = (self.path.join("key/MOK.priv"), self.path.join("key/MOK.der"));
        tool(&[&["sign", "--key", key.as_str(), "--cert", certificate.as_str()], more].concat())
    }

    fn verify(&self, suite: &Suite, image: &[u8]) -> anyhow::Result<()> {
        let certificate = Certificate::read(&self.path.join("key/MOK.pem"))?;
        sign::verify(suite.context(), &certificate, Utf8Path::new("a.ko"), image)
    }
}

/// A key and a module in directories whose names would part words, pairs and lines.
fn odd_paths(suite: &Suite) {
    let bench = Bench::new(suite, false);
    let odd = bench.path.join("a: b\nc,d'e");
    fs_err::create_dir(&odd).unwrap();
    for name in ["key", "a.ko"] {
        fs_err::rename(bench.path.join(name), odd.join(name)).unwrap();
    }
    let moved = Bench { _dir: bench._dir, path: odd };
    let (status, output) = run(&moved.sign(&[moved.module().as_str()]));
    assert_eq!(status, 0, "{output}");
    moved.verify(suite, &fs_err::read(moved.module()).unwrap()).unwrap();
}

fn modinfo(suite: &Suite, field: &str, file: &Utf8Path) -> String {
    let cmd = Cmd::new("modinfo").args(["--field", field]).arg(file);
    let access = Access::default().read(file.parent().unwrap());
    suite.prepared().root.inside(suite.context(), cmd, &access).read(&suite.context().report).unwrap()
}

fn in_place(suite: &Suite) {
    let bench = Bench::new(suite, false);
    let file = bench.module();
    let plain = fs_err::read(&file).unwrap();
    let (status, output) = run(&bench.sign(&[file.as_str()]));
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("CN=package suite") && output.contains("sha"), "{output}");
    assert!(fs_err::read(&file).unwrap().starts_with(&plain));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(modinfo(suite, "signer", &file), "package suite");
    let config = suite.prepared().kdir.config().unwrap();
    assert_eq!(modinfo(suite, "sig_hashalgo", &file), config.get("CONFIG_MODULE_SIG_HASH").unwrap());
    // Once is enough, and nothing but the module and the key is there.
    let signed = fs_err::read(&file).unwrap();
    let (status, output) = run(&bench.sign(&[file.as_str()]));
    assert!(status == 0 && output.contains("is signed by CN=package suite"), "{output}");
    assert!(fs_err::read(&file).unwrap() == signed);
    let other = Bench::new(suite, false);
    fs_err::write(other.module(), &signed).unwrap();
    let (status, output) = run(&other.sign(&[other.module().as_str()]));
    assert!(status == 4 && output.contains("is signed already"), "by another key: {output}");
    assert_eq!(bench.path.read_dir().unwrap().count(), 2);
}

fn over_every_byte(suite: &Suite) {
    let bench = Bench::new(suite, false);
    assert_eq!(run(&bench.sign(&[bench.module().as_str()])).0, 0);
    let signed = fs_err::read(bench.module()).unwrap();
    bench.verify(suite, &signed).unwrap();
    for at in [0, signed.len() / 2, signed.len() - 200] {
        let mut spoilt = signed.clone();
        spoilt[at] ^= 1;
        let error = bench.verify(suite, &spoilt).unwrap_err().to_string();
        assert!(error.contains("was not made over this module"), "{at}: {error}");
    }
    let other = Bench::new(suite, false);
    assert!(other.verify(suite, &signed).is_err(), "another key's certificate was taken");
    assert!(
        bench.verify(suite, &signed[..signed.len() - 1]).unwrap_err().to_string().contains("is not signed")
    );
}

/// SIGKILL comes when all is written and the file is to be renamed.
fn killed(suite: &Suite) {
    let bench = Bench::new(suite, false);
    let (file, plain) = (bench.module(), fs_err::read(bench.module()).unwrap());
    let tool = bench.sign(&[file.as_str()]);
    let beside = bench.path.join(".a.ko.unfinished");
    let strace = Cmd::new("strace").args(["-qq", "-o", "/dev/null", "-P", beside.as_str()]);
    let strace = strace.args(["-e", "trace=rename", "-e", "inject=rename:signal=KILL:when=1"]);
    let (status, output) = run(&tool.vector().fold(strace, |strace, word| strace.arg(word)));
    assert_ne!(status, 0, "{output}");
    assert_eq!(fs_err::read(&file).unwrap(), plain);
    let names = || {
        let entries = bench.path.read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    };
    assert_eq!(names(), [".a.ko.unfinished", "a.ko", "key"]);
    let (status, output) = run(&tool);
    assert_eq!(status, 0, "{output}");
    assert_eq!(names(), ["a.ko", "key"]);
    bench.verify(suite, &fs_err::read(&file).unwrap()).unwrap();
}

fn one_bad_of_two(suite: &Suite) {
    let bench = Bench::new(suite, false);
    let before = fs_err::read(bench.module()).unwrap();
    let bad = bench.path.join("b.ko");
    // Longer than a release, so that the module stays one.
    let mut image = before.clone();
    let at = image.windows(9).position(|window| window == b"vermagic=").unwrap();
    image[at + 9] = b'9';
    fs_err::write(&bad, &image).unwrap();
    let (status, output) = run(&bench.sign(&[bench.module().as_str(), bad.as_str()]));
    assert!(status == 4 && output.contains("b.ko: its vermagic is"), "{output}");
    assert_eq!(fs_err::read(bench.module()).unwrap(), before);
}

fn encrypted(suite: &Suite) {
    let bench = Bench::new(suite, true);
    let sign = bench.sign(&["-v", bench.module().as_str()]);
    let (status, output) = run(&sign.env("KBUILD_SIGN_PIN", PASSPHRASE));
    assert!(status == 0 && output.contains("scripts/sign-file"), "{output}");
    assert!(!output.contains(PASSPHRASE), "{output}");
    bench.verify(suite, &fs_err::read(bench.module()).unwrap()).unwrap();
}

fn built_signed(suite: &Suite) {
    let bench = Bench::new(suite, false);
    let (key, certificate) = (bench.path.join("key/MOK.priv"), bench.path.join("key/MOK.pem"));
    let words = ["--json", "build", "--kernel", suite.prepared().kdir.release().as_str()];
    let signed = ["--sign-key", key.as_str(), "--sign-cert", certificate.as_str()];
    let build = |words: &[&str]| {
        let output = tool(words).finish(&suite.context().report).unwrap();
        assert!(output.status.success(), "{}", output.tail);
        let built: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let file = built[0]["objects"][0]["file"].as_str().unwrap().to_owned();
        (built[0]["signer"].clone(), fs_err::read(file).unwrap())
    };
    let (signer, image) = build(&[&words[..], &signed].concat());
    assert_eq!(signer, "CN=package suite");
    bench.verify(suite, &image).unwrap();
    // Without the key the same module leaves unsigned: what was signed does not stay by chance.
    let (signer, image) = build(&words);
    assert!(
        signer.is_null() && bench.verify(suite, &image).unwrap_err().to_string().contains("is not signed")
    );
}

/// Makes a token in `$DIR/tokens` that holds the key in `$DIR/key`, and signs with it.
const TOKEN: &str = "\
set -eu
cd \"$DIR\"
echo \"directories.tokendir = $DIR/tokens\" >\"$SOFTHSM2_CONF\"
mkdir tokens
softhsm2-util --init-token --free --label suite --so-pin 4321 --pin \"$KBUILD_SIGN_PIN\"
openssl pkcs8 -topk8 -nocrypt -in key/MOK.priv -out key.p8
softhsm2-util --import key.p8 --token suite --label mok --id 01 --pin \"$KBUILD_SIGN_PIN\"
rm key.p8 key/MOK.priv
\"$XTASK\" -v sign a.ko --cert key/MOK.pem --key 'pkcs11:token=suite;object=mok;type=private'
";

/// On a host that has a token and OpenSSL's provider, which a Debian tree stands for.
fn on_a_token(suite: &Suite) {
    const PIN: &str = "20711";
    let bench = Bench::new(suite, false);
    let packages = ["openssl", "pkcs11-provider", "softhsm2"].map(str::to_owned).to_vec();
    let host = TreeRoot::provide(suite.context(), &debian::recipe("stable", packages)).unwrap();
    let cache = suite.context().cache.dir();
    let script = Cmd::new("sh")
        .args(["-c", TOKEN])
        .env("DIR", &bench.path)
        .env("SOFTHSM2_CONF", bench.path.join("softhsm2.conf"))
        .env("PKCS11_PROVIDER_MODULE", "/usr/lib/softhsm/libsofthsm2.so")
        .env("XTASK", PROGRAM)
        .env("XDG_CACHE_HOME", cache.parent().unwrap())
        .secret_env("KBUILD_SIGN_PIN", PIN);
    let program = Utf8Path::new(PROGRAM).parent().unwrap();
    let access = Access::default().read(program).write(cache).write(&bench.path);
    let (status, output) = run(&host.inside(suite.context(), script, &access));
    assert_eq!(status, 0, "{output}");
    assert!(!output.contains(PIN), "{output}");
    bench.verify(suite, &fs_err::read(bench.module()).unwrap()).unwrap();
}
