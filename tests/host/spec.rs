// SPDX-License-Identifier: GPL-2.0
//! What the build script in a `kmod.spec` takes from a `dkms.conf`, and what the reader does: the
//! same. The script is bash, as rpmbuild has nothing else, so each has its own idea of a pattern.

use camino::Utf8Path;
use dkms_conf::exclusive::{Exclusive, TargetKernel};
use dkms_conf::{DkmsConf, Given, directives};
use report::Report;
use report::process::Cmd;
use xtask::repository;

/// The script's first half, which reads, and what it found.
const SHOW: &str = r#"
chosen
echo "make: $REPLY"
for at in "${!PATCH[@]}"; do
  if [[ ! ${PATCH_MATCH[at]} ]] || matches PATCH_MATCH "${PATCH_MATCH[at]}" "$kernelver"; then
    echo "patch: ${PATCH[at]}"
  fi
done
for at in "${!BUILT_MODULE_NAME[@]}"; do
  if ((at > 0)) && excluded "$at"; then echo "excluded: $at: $REPLY"; fi
done
"#;

fn script() -> String {
    let spec = fs_err::read_to_string(repository().join("kmod.spec")).unwrap();
    let script = spec.split_once("cat > .kmod/build <<'END'\n").unwrap().1;
    let reading = script.split_once("# --- What is done ---").unwrap().0;
    let macros = [
        ("%{_target_cpu}", "x86_64"),
        ("%{?_smp_mflags}", "-j3"),
        ("%{kmod_name}", "package"),
        ("%{kmod_version}", "1.0_rc1"),
    ];
    let text = macros.iter().fold(reading.to_owned(), |text, (name, value)| text.replace(name, value));
    assert!(!text.contains("%{"), "{text}");
    text.replace("%%", "%") + SHOW
}

const OPTIONS: &[&str] = &["CONFIG_A", "CONFIG_M"];

/// What the script says of a `dkms.conf` in `dir` for a kernel.
fn by_script(dir: &Utf8Path, release: &str) -> String {
    let words = ["-c", &script(), "bash", release, "kernel"];
    let output = Cmd::new("bash").args(words).cwd(dir).finish(&Report::silent()).unwrap();
    let dir = dir.canonicalize_utf8().unwrap();
    output.tail.replace(&format!("{dir}/.kmod/{release}"), "/tree").replace(&format!("{release}: "), "")
}

/// What the reader says, in the same words.
fn by_reader(text: &str, release: &str) -> String {
    let given = Given::from([
        ("kernelver", release.to_owned()),
        ("kernel_source_dir", "kernel".to_owned()),
        ("dkms_tree", "/tree".to_owned()),
        ("build_dir", "/tree/package/1.0-rc1/build".to_owned()),
        ("PWD", "/tree/package/1.0-rc1/build".to_owned()),
        ("parallel_jobs", "3".to_owned()),
        ("module", "package".to_owned()),
        ("module_version", "1.0-rc1".to_owned()),
        ("arch", "x86_64".to_owned()),
    ]);
    let values = DkmsConf::parse(text).unwrap().evaluate(&given).unwrap().values;
    let enabled = |option: &str| OPTIONS.contains(&option);
    let kernel = TargetKernel { release, architecture: "x86_64", enabled: &enabled };
    if let Some(reason) = Exclusive::read(&values, 0).unwrap().excludes(&kernel) {
        return format!("package is not for this kernel: {reason}\n");
    }
    let make = directives::make(&values, Some(release)).unwrap();
    let make = make
        .replace("$kernel_source_dir", "kernel")
        .replace("$dkms_tree/$module/$module_version", "/tree/package/1.0-rc1");
    let make = project::command::make(&make, 3, &release.parse().unwrap());
    let mut said = format!("make: {make}\n");
    for patch in directives::patches(&values, release).unwrap() {
        said.push_str(&format!("patch: {patch}\n"));
    }
    for (index, module) in directives::modules(&values, "package").unwrap().iter().enumerate() {
        if let Some(reason) = module.exclusive.excludes(&kernel) {
            said.push_str(&format!("excluded: {index}: {reason}\n"));
        }
    }
    said
}

/// A package is built under the version that the tool has found, or that is in the spec.
#[test]
fn the_specs_script_puts_the_version_in_place_of_a_placeholder() {
    let dir = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(dir.path()).unwrap();
    fs_err::create_dir(path.join("kernel")).unwrap();
    fs_err::write(path.join("kernel/Makefile"), "").unwrap();
    let text =
        "PACKAGE_NAME=package\nPACKAGE_VERSION=\"@VERSION@\"\nMAKE=\"make V=$PACKAGE_VERSION J=$(nproc)\"\n";
    fs_err::write(path.join("dkms.conf"), text).unwrap();
    let said = by_script(path, "7.2.13");
    assert!(said.contains(" V=1.0_rc1 J=3\n"), "{said}");
    // Without a number of jobs there is one; make without a number would start all at once.
    let script = script().replace("kmod_jobs=\"-j3\"", "kmod_jobs=\"\"");
    let output = Cmd::new("bash").args(["-c", &script, "bash", "7.2.13", "kernel"]).cwd(path);
    let said = output.finish(&Report::silent()).unwrap().tail;
    assert!(said.contains(" V=1.0_rc1 J=1\n"), "{said}");
}

#[test]
fn the_specs_script_takes_from_a_dkms_conf_what_the_reader_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(dir.path()).unwrap();
    fs_err::create_dir(path.join("kernel")).unwrap();
    fs_err::write(path.join("kernel/Makefile"), "").unwrap();
    fs_err::write(path.join("kernel/.config"), "CONFIG_A=y\nCONFIG_M=m\nCONFIG_S=\"y\"\n").unwrap();
    let (mut different, mut seen) = (Vec::new(), std::collections::BTreeSet::new());
    for conf in [
        "",
        "MAKE=\"make KVER=$kernelver KDIR=$kernel_source_dir driver\"",
        "MAKE=''",
        "MAKE[1]=never",
        "MAKE='makefile x'",
        "MAKE=\"'make' x\"",
        "MAKE=make",
        "MAKE=\"make; make y\"",
        "MAKE=(a b c)\nMAKE_MATCH=('' ^7 '^7\\.2')",
        "MAKE=(a b)\nMAKE_MATCH=(^5 '^6\\.')",
        "MAKE[3]=d\nMAKE_MATCH[3]='(rt|cloud)-amd64$'\nMAKE[0]=a",
        "PATCH=(p.patch 'q 2.patch' r.patch)\nPATCH_MATCH=('' '^6\\.1[0-9]\\.' '^7')",
        "BUILD_EXCLUSIVE_KERNEL='^6\\.'",
        "BUILD_EXCLUSIVE_KERNEL_MIN=6.3",
        "BUILD_EXCLUSIVE_KERNEL_MAX=6.12",
        "BUILD_EXCLUSIVE_KERNEL_MAX=6.2",
        "OBSOLETE_BY=6.2",
        "OBSOLETE_BY=6.2\nBUILD_EXCLUSIVE_KERNEL_MAX=9",
        "OBSOLETE_BY=6.2\nBUILT_MODULE_NAME=(a b)\nBUILD_EXCLUSIVE_KERNEL_MAX[1]=9",
        "BUILD_EXCLUSIVE_ARCH='x86_64|aarch64'",
        "BUILD_EXCLUSIVE_ARCH=riscv64",
        "BUILD_EXCLUSIVE_CONFIG='CONFIG_A CONFIG_M'",
        "BUILD_EXCLUSIVE_CONFIG='CONFIG_A CONFIG_N'",
        "BUILD_EXCLUSIVE_CONFIG='!CONFIG_N !CONFIG_S'",
        "BUILD_EXCLUSIVE_CONFIG='!CONFIG_A'",
        "BUILT_MODULE_NAME=(a b c)\nBUILD_EXCLUSIVE_KERNEL_MIN[1]=7\nBUILD_EXCLUSIVE_CONFIG[2]='!CONFIG_A'",
        "MAKE=\"make V=$module-$module_version A=$arch N=$PACKAGE_NAME\"",
        "MAKE=\"make -j$(nproc) -C /lib/modules/$(uname -r)/build A=$(uname -m) M=$(pwd) W=$PWD\"",
        "MAKE='make J=$parallel_jobs M=$build_dir'",
        "MAKE=\"make   a\n\tb \"",
        "OWN=1\nMAKE='make O=$OWN'",
        "OWN=1\nMAKE=\"make O=$OWN\"",
        "MAKE='make A=\"b\" c'",
        "MAKE='make A=\"b c\" d'",
        "MAKE=\"make A='b c'\"",
        "BUILT_MODULE_NAME=sub/inner\nDEST_MODULE_NAME=outer",
    ] {
        let text = format!("PACKAGE_NAME=package\nPACKAGE_VERSION=1.0-rc1\n{conf}\n");
        fs_err::write(path.join("dkms.conf"), &text).unwrap();
        for release in ["6.12.107+deb13-cloud-amd64", "7.2.13", "6.1.0-40-rt-amd64", "5.14.0-611.el9.x86_64"]
        {
            let (script, reader) = (by_script(path, release), by_reader(&text, release));
            seen.insert(script.replace(release, "RELEASE"));
            if script != reader {
                different.push(format!("{conf} for {release}\n  script: {script}  reader: {reader}"));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(seen.len() > 20, "the table tells little apart: {seen:?}");
}

#[test]
fn what_the_script_cannot_read_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(dir.path()).unwrap();
    assert!(by_script(path, "6.1").contains("there is no kernel directory kernel"));
    fs_err::create_dir(path.join("kernel")).unwrap();
    fs_err::write(path.join("kernel/Makefile"), "").unwrap();
    assert!(by_script(path, "6.1").contains("the source has no dkms.conf"));
    for (conf, said) in [
        ("MAKE=(a b)\nMAKE_MATCH[1]='('", "dkms.conf: MAKE_MATCH: ( is not a regular expression"),
        ("MAKE='", "dkms.conf cannot be read"),
    ] {
        fs_err::write(path.join("dkms.conf"), format!("{conf}\n")).unwrap();
        let found = by_script(path, "6.1");
        assert!(found.contains(said), "{found}");
    }
}
