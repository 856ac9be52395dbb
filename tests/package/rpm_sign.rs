// SPDX-License-Identifier: GPL-2.0
//! Signed packages with signed modules in them, as a system with the public key takes them; and
//! what is not signed when it was to be, which leaves nothing.

use camino::{Utf8Path, Utf8PathBuf};
use kernel::machine::programs;
use kmodfile::module::Module;
use kmodfile::signature::{Trailer, split};
use libtest_mimic::Trial;
use project::key::certificate::Certificate;
use project::sign;
use report::process::Cmd;

use crate::rpm::{guard, module_in};
use crate::rpm_install::System;
use crate::suite::{Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("rpm::what_is_signed_is_taken_and_what_is_altered_is_not", signed),
        suite.trial("rpm::signing_that_cannot_be_done_leaves_nothing", cannot_be_signed),
    ]
}

const NAME: &str = "Package suite <packages@example.org>";
const PASSPHRASE: &str = "correct horse battery";

/// A home of gpg with one secret key, or none.
struct Keyring {
    home: Utf8PathBuf,
    _dir: tempfile::TempDir,
}

impl Keyring {
    fn empty(suite: &Suite) -> Self {
        programs::ensure(suite.context(), &[deploy::rpm::sign::PROGRAMS]).unwrap();
        // Only its owner may enter a directory that is made so.
        let (dir, home) = scratch();
        Self { home, _dir: dir }
    }

    fn new(suite: &Suite) -> Self {
        let keyring = Self::empty(suite);
        keyring.gpg(&["--passphrase", "", "--quick-generate-key", NAME, "rsa3072", "sign", "never"]);
        keyring
    }

    fn gpg(&self, args: &[&str]) -> Vec<u8> {
        let cmd = Cmd::new("gpg").args(["--batch", "--homedir", self.home.as_str()]).args(args);
        cmd.run(&report::Report::silent()).unwrap().stdout
    }

    fn tool(&self, args: &[&str]) -> Cmd {
        tool(args).env("GNUPGHOME", &self.home)
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        // The agent that gpg started for it.
        let kill = Cmd::new("gpgconf").args(["--homedir", self.home.as_str(), "--kill", "all"]);
        kill.run(&report::Report::silent()).ok();
    }
}

/// A key for modules in `path/NAME`, encrypted.
fn module_key(path: &Utf8Path, name: &str) -> (Utf8PathBuf, Utf8PathBuf) {
    let dir = path.join(name);
    let new = tool(&["key", "new", "--output", dir.as_str(), "--name", name]);
    let (status, output) = run(&new.env("KBUILD_SIGN_PIN", PASSPHRASE));
    assert_eq!(status, 0, "{output}");
    (dir.join("MOK.priv"), dir.join("MOK.der"))
}

fn signed(suite: &Suite) {
    let release = suite.prepared().kdir.release();
    let keyring = Keyring::new(suite);
    let (_dir, path) = scratch();
    let (key, certificate) = module_key(&path, "modules");
    let made = path.join("made");
    let words = ["-v", "rpm", "--srpm", "--kernel", release.as_str(), "--output", made.as_str()];
    let signing = ["--sign", NAME, "--modsign-key", key.as_str(), "--modsign-cert", certificate.as_str()];
    let cmd = keyring.tool(&[&words[..], &signing].concat()).env("KBUILD_SIGN_PIN", PASSPHRASE);
    let (status, output) = run(&cmd);
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("sign-file") && !output.contains(PASSPHRASE), "{output}");

    let packages: Vec<_> = made.read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path()).collect();
    assert_eq!(packages.len(), 3, "{packages:?}");
    let of_modules =
        |file: &&Utf8PathBuf| !["-debuginfo-", ".src.rpm"].iter().any(|word| file.as_str().contains(word));
    let package = packages.iter().find(of_modules).unwrap();
    modules_are_signed(suite, package, &certificate);

    let system = System::new(suite, release);
    fs_err::write(system.files.join("public.asc"), keyring.gpg(&["--armor", "--export"])).unwrap();
    system.sh("rpmkeys --import public.asc");
    let check = |name: &str| {
        let output = system.finish(&format!("rpmkeys --define '_pkgverify_level all' --checksig {name}"));
        (output.status.success(), output.tail)
    };
    for file in &packages {
        let (good, said) = check(&system.put(file));
        assert!(good && said.contains("digests signatures OK"), "{said}");
    }
    let name = package.file_name().unwrap();
    let content = fs_err::read(package).unwrap();
    // In the header, and in what is packed.
    for at in [content.len() / 8, content.len() - 100] {
        let mut altered = content.clone();
        altered[at] ^= 1;
        fs_err::write(system.files.join("altered.rpm"), altered).unwrap();
        let (good, said) = check("altered.rpm");
        assert!(!good, "{at}: {said}");
    }
    let stranger = system.finish(&format!("rpmkeys --dbpath $PWD/none --checksig {name}"));
    assert!(!stranger.status.success() && stranger.tail.contains("SIGNATURES NOT OK"), "{}", stranger.tail);
    let unsigned = guard(suite).package("kmod-cifs-fix");
    fs_err::copy(&unsigned, system.files.join("unsigned.rpm")).unwrap();
    assert!(!check("unsigned.rpm").0);
    system.sh("rpm --install kernel.rpm");
    let install = |file: &str| {
        system.finish(&format!("rpm --define '_pkgverify_level all' --install {file}")).status.success()
    };
    assert!(!install("unsigned.rpm") && !install("altered.rpm"));
    assert!(install(name), "{output}");
}

/// After rpm has stripped them: nothing is in them but the stripped module and a signature over all
/// of it.
fn modules_are_signed(suite: &Suite, package: &Utf8Path, certificate: &Utf8Path) {
    let image = module_in(suite, package);
    let certificate = Certificate::read(certificate).unwrap();
    sign::verify(suite.context(), &certificate, Utf8Path::new("cifs_fix.ko"), &image).unwrap();
    let plain = module_in(suite, &guard(suite).package("kmod-cifs-fix"));
    assert!(split(&image).0 == plain.as_slice(), "but for the signature it is another module");
    let module = Module::parse(&image).unwrap();
    assert!(!module.debug_info);
    let Trailer::Signed(signature) = module.signature else { panic!("{:?}", module.signature) };
    let config = suite.prepared().kdir.config().unwrap();
    assert_eq!(Some(signature.signers[0].hash.as_str()), config.get("CONFIG_MODULE_SIG_HASH"));
}

fn cannot_be_signed(suite: &Suite) {
    let release = suite.prepared().kdir.release();
    let keyring = Keyring::empty(suite);
    let (_dir, path) = scratch();
    let (key, certificate) = module_key(&path, "modules");
    let (_, other) = module_key(&path, "others");
    let missing = path.join("missing");
    let modules = |key: &Utf8Path, certificate: &Utf8Path| {
        ["--modsign-key", key.as_str(), "--modsign-cert", certificate.as_str()].map(str::to_owned).to_vec()
    };
    let with = Some(PASSPHRASE);
    for (words, passphrase, said) in [
        (vec!["--sign".to_owned(), NAME.to_owned()], with, "gpg cannot sign with it"),
        (modules(&missing, &certificate), with, "missing: No such file"),
        (modules(&key, &missing), with, "missing: No such file"),
        (modules(&key, &other), with, "does not belong to the certificate"),
        (modules(&key, &certificate), None, "KBUILD_SIGN_PIN, its passphrase, is not set"),
        (modules(&key, &certificate), Some("wrong"), "cannot be decrypted"),
        (modules("pkcs11:token=x".into(), &certificate), with, "cannot reach a token"),
    ] {
        let made = path.join("made");
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let rpm = ["rpm", "--kernel", release.as_str(), "--output", made.as_str()];
        let cmd = keyring.tool(&[&rpm[..], &words].concat());
        let (status, output) =
            run(&passphrase.into_iter().fold(cmd, |cmd, pin| cmd.env("KBUILD_SIGN_PIN", pin)));
        assert_eq!(status, 4, "{words:?}: {output}");
        assert!(output.contains(said) && output.contains("remedy: "), "{words:?}: {output}");
        assert!(!made.exists() || made.read_dir().unwrap().count() == 0, "{words:?} left something");
    }
}
