// SPDX-License-Identifier: GPL-2.0
//! Module-signing keys as a user makes them, and keys and modules that `sign` must refuse before it
//! does anything.

use std::os::unix::fs::PermissionsExt as _;

use camino::Utf8Path;
use kmodfile::compression::Compression;
use report::Report;
use report::process::Cmd;

use crate::tool::{Scratch, assert_refused, run};

fn new_key(scratch: &Scratch, name: &str) -> camino::Utf8PathBuf {
    let dir = scratch.path().join(name);
    let (status, output) = run(&scratch.tool(&["key", "new", "--name", name, "--output", dir.as_str()]));
    assert_eq!(status, 0, "{output}");
    dir
}

fn mode(file: &Utf8Path) -> u32 {
    file.metadata().unwrap().permissions().mode() & 0o777
}

fn openssl(args: &[&str]) -> String {
    Cmd::new("openssl").args(args).read(&Report::silent()).unwrap()
}

#[test]
fn a_key_is_for_kernel_modules_only_and_its_owner_alone_reads_it() {
    let scratch = Scratch::new();
    let dir = scratch.path().join("keys/mine");
    let (status, output) = run(&scratch.tool(&["key", "new", "--output", dir.as_str()]));
    assert_eq!(status, 0, "{output}");
    assert!(output.contains(&format!("mokutil --import {dir}/MOK.der")), "{output}");
    assert_eq!((mode(&dir), mode(&dir.join("MOK.priv"))), (0o700, 0o600));
    let text = openssl(&["x509", "-noout", "-text", "-in", dir.join("MOK.der").as_str()]);
    for words in ["CA:FALSE", "Code Signing, 1.3.6.1.4.1.2312.16.1.2", "Digital Signature", "2048 bit"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let key = openssl(&["pkey", "-pubout", "-in", dir.join("MOK.priv").as_str()]);
    assert_eq!(key, openssl(&["x509", "-pubkey", "-noout", "-in", dir.join("MOK.pem").as_str()]));
    // Nothing is left beside it.
    assert_eq!(scratch.path().join("keys").read_dir().unwrap().count(), 1);
}

#[test]
fn a_key_is_never_overwritten() {
    let scratch = Scratch::new();
    let dir = new_key(&scratch, "mine");
    let before = fs_err::read(dir.join("MOK.priv")).unwrap();
    let again = scratch.tool(&["key", "new", "--output", dir.as_str()]);
    assert_refused(&again, 4, dir.as_str(), "never overwritten", "--output DIR");
    assert_eq!(fs_err::read(dir.join("MOK.priv")).unwrap(), before);
    let file = scratch.tool(&["key", "new", "--output", dir.join("MOK.pem").as_str()]);
    assert_refused(&file, 4, "MOK.pem", "Not a directory", "--output DIR");
}

#[test]
fn a_passphrase_encrypts_the_key_and_is_shown_nowhere() {
    let scratch = Scratch::new();
    let dir = scratch.path().join("mine");
    let tool = scratch.tool(&["-v", "key", "new", "--output", dir.as_str()]);
    let (status, output) = run(&tool.env("KBUILD_SIGN_PIN", "correct horse"));
    assert!(status == 0 && !output.contains("correct horse"), "{output}");
    assert!(fs_err::read_to_string(dir.join("MOK.priv")).unwrap().contains("ENCRYPTED"));
}

#[test]
fn a_name_that_no_certificate_can_hold_is_usage() {
    let scratch = Scratch::new();
    for (name, reason) in [("", "is empty"), ("a\nb", "control characters"), (&"x".repeat(65), "65 bytes")] {
        let dir = scratch.path().join("mine");
        let tool = scratch.tool(&["key", "new", "--output", dir.as_str(), "--name", name]);
        assert_refused(&tool, 2, "--name", reason, "--name");
        assert!(!dir.exists());
    }
}

#[test]
fn what_looks_like_more_than_a_name_is_one() {
    let scratch = Scratch::new();
    let dir = scratch.path().join("mine");
    let name = "a/O=b+C=c, é";
    let (status, output) = run(&scratch.tool(&["key", "new", "--output", dir.as_str(), "--name", name]));
    assert_eq!(status, 0, "{output}");
    let subject = openssl(&[
        "x509",
        "-noout",
        "-subject",
        "-nameopt",
        "multiline,utf8,-esc_msb",
        "-in",
        dir.join("MOK.pem").as_str(),
    ]);
    assert!(
        subject.contains(&format!("commonName                = {name}")) && subject.lines().count() == 2,
        "{subject}"
    );
}

/// A compressed file named like a module.
fn compressed(scratch: &Scratch) -> camino::Utf8PathBuf {
    let file = scratch.path().join("x.ko");
    fs_err::write(&file, Compression::Xz.compress(b"\x7fELF").unwrap()).unwrap();
    file
}

#[test]
fn a_file_that_cannot_be_signed_is_refused_before_a_key_is_looked_at() {
    let scratch = Scratch::new();
    let file = compressed(&scratch);
    let sign =
        |file: &Utf8Path| scratch.tool(&["sign", file.as_str(), "--key", "nowhere", "--cert", "nowhere"]);
    assert_refused(&sign(&file), 4, file.as_str(), "is compressed", "then compress");
    fs_err::write(&file, "text").unwrap();
    assert_refused(&sign(&file), 4, file.as_str(), "is not a kernel module", "FILE.ko");
    let absent = scratch.path().join("absent.ko");
    assert_refused(&sign(&absent), 2, absent.as_str(), "No such file", "FILE.ko");
}

/// `build` looks at the key before anything else, even if it is to do nothing.
fn build(scratch: &Scratch, key: &Utf8Path, certificate: &Utf8Path) -> Cmd {
    scratch.tool(&["build", "--dry-run", "--sign-key", key.as_str(), "--sign-cert", certificate.as_str()])
}

#[test]
fn a_key_that_does_not_fit_is_refused_before_anything_is_built() {
    let scratch = Scratch::new();
    let (mine, other) = (new_key(&scratch, "mine"), new_key(&scratch, "other"));
    let (key, certificate) = (mine.join("MOK.priv"), mine.join("MOK.der"));
    let refused = |key: &Utf8Path, certificate: &Utf8Path, object: &str, reason: &str| {
        assert_refused(&build(&scratch, key, certificate), 4, object, reason, "--");
    };
    refused(&key, &other.join("MOK.pem"), key.as_str(), "does not belong to the certificate");
    refused(&certificate, &certificate, "MOK.der", "is not a private key in PEM");
    refused(&key, &key, "MOK.priv", "is not an X.509 certificate");
    refused(&scratch.path().join("absent"), &certificate, "absent", "No such file");
    refused(&key, &scratch.path().join("absent"), "absent", "No such file");
    assert!(!scratch.cache().join("kernels").exists());
}

#[test]
fn an_encrypted_key_needs_its_passphrase() {
    let scratch = Scratch::new();
    let dir = scratch.path().join("mine");
    let new = scratch.tool(&["key", "new", "--output", dir.as_str()]).env("KBUILD_SIGN_PIN", "right");
    assert_eq!(run(&new).0, 0);
    let build = || build(&scratch, &dir.join("MOK.priv"), &dir.join("MOK.pem"));
    assert_refused(&build(), 4, "MOK.priv", "KBUILD_SIGN_PIN, its passphrase, is not set", "KBUILD_SIGN_PIN");
    assert_refused(&build().env("KBUILD_SIGN_PIN", "wrong"), 4, "MOK.priv", "cannot be decrypted", "--key");
}

/// A certificate for the key in `dir` that is valid from `start` to `end`, given as
/// `YYYYMMDDHHMMSSZ`.
fn certificate_of(dir: &Utf8Path, start: &str, end: &str) -> camino::Utf8PathBuf {
    let place = |name: &str| dir.join(name).into_string();
    let profile = format!(
        "[ca]\ndefault_ca = it\n[it]\ndatabase = {}\nserial = {}\nnew_certs_dir = {dir}\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n",
        place("index"),
        place("serial")
    );
    for (name, text) in [("ca.cnf", profile.as_str()), ("index", ""), ("serial", "01")] {
        fs_err::write(dir.join(name), text).unwrap();
    }
    let (key, request, out) = (place("MOK.priv"), place("request"), dir.join("dated.pem"));
    openssl(&["req", "-new", "-batch", "-subj", "/CN=dated", "-key", &key, "-out", &request]);
    let words =
        ["ca", "-batch", "-selfsign", "-notext", "-startdate", start, "-enddate", end, "-keyfile", &key];
    let files = ["-config", &place("ca.cnf"), "-in", &request, "-out", out.as_str()];
    openssl(&[&words[..], &files].concat());
    out
}

#[test]
fn a_certificate_that_is_not_valid_today_is_refused() {
    let scratch = Scratch::new();
    let dir = new_key(&scratch, "mine");
    for (start, end, reason) in [
        ("20200101000000Z", "20210101000000Z", "has expired"),
        ("22000101000000Z", "22010101000000Z", "is not yet valid"),
    ] {
        let certificate = certificate_of(&dir, start, end);
        let build = build(&scratch, &dir.join("MOK.priv"), &certificate);
        assert_refused(&build, 4, certificate.as_str(), reason, "cargo xtask key new");
    }
}

#[test]
fn a_key_without_a_certificate_is_usage() {
    let (status, output) = run(&Scratch::new().tool(&["build", "--sign-key", "MOK.priv"]));
    assert!(status == 2 && output.contains("--sign-cert"), "{output}");
}
