// SPDX-License-Identifier: GPL-2.0
//! Modules that nobody here wrote: those of a distribution's kernel, read beside modinfo(8) of its
//! own build root.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;
use kernel::kdir::Kdir;
use kernel::prepare::{self, Prepared, Rust};
use kernel::root::Access;
use kmodfile::compression::Compression;
use kmodfile::crc::Crc;
use kmodfile::disk::modules_in;
use kmodfile::exports::Export;
use kmodfile::file::ModuleFile;
use kmodfile::module::Module;
use kmodfile::signature::{MARKER, Trailer, colon_hex, split};
use kmodfile::symvers;
use libtest_mimic::Trial;
use project::packed::{Complete, Packed};
use report::process::Cmd;
use serde_json::json;
use xtask::commands::test::LONG;

use crate::packings::{self, Kernel, Packing};
use crate::rpm::{guard, module_in};
use crate::suite::{Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("inspect::agrees_with_modinfo_on_every_field_of_every_module", agrees_with_modinfo),
        suite.trial("inspect::finds_every_export_of_every_module", finds_every_export),
        suite.trial("inspect::a_kernel_would_load_each_of_its_own_modules", would_load_its_own),
        suite.trial("compress::what_is_built_is_compressed_as_the_kernels_own_modules", compresses),
        suite.trial("compress::every_program_undoes_it", every_program_undoes_it),
        suite.trial("inspect::what_a_kernel_would_refuse_is_refused", refuses),
        suite.trial("inspect::rust_is_seen_in_whatever_ships", sees_rust),
        suite.trial("inspect::how_a_module_is_packed_is_part_of_whether_it_loads", judges_packing),
        suite.trial("inspect::kmod_reads_what_is_said_to_be_read", kmod_agrees),
    ]
}

/// The kernel that the suite prepared; with `--long`, every prepared one.
fn kernels(suite: &Suite) -> Vec<Prepared> {
    let context = suite.context();
    let all = if std::env::var_os(LONG).is_some() {
        Kdir::all(&context.cache, &context.report)
    } else {
        Vec::new()
    };
    let prepared = |kdir: Kdir| {
        prepare::provide_for(context, Some(kdir.release()), context.root_fs, Rust::Optional).unwrap()
    };
    if all.is_empty() { vec![suite.prepared().clone()] } else { all.into_iter().map(prepared).collect() }
}

/// Every module that a kernel's packages hold.
fn files(kdir: &Kdir) -> Vec<Utf8PathBuf> {
    modules_in(&kdir.modules()).unwrap()
}

/// Fields by name, several of a name in any order: modinfo(8) turns some around.
type Fields = BTreeMap<String, Vec<String>>;

/// What modinfo(8) says of `files`: one call, each field ended by a zero byte, a line with the name
/// before each file's.
fn modinfo(suite: &Suite, prepared: &Prepared, files: &[Utf8PathBuf]) -> Vec<Fields> {
    let cmd = Cmd::new("modinfo").arg("-0").args(files);
    let cmd = prepared.root.inside(suite.context(), cmd, &prepared.kdir.read_by(Access::default()));
    let output = cmd.run(&suite.context().report).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut all: Vec<Fields> = Vec::new();
    for field in text.split('\0').filter(|field| !field.is_empty()) {
        if field.trim_start().starts_with("filename") && field.contains(".ko") {
            all.push(Fields::new());
            continue;
        }
        // A parameter's description and type come joined.
        let (name, value) = match field.strip_prefix("parm:") {
            Some(parameter) => ("parm", parameter.trim_start()),
            None => field.split_once('=').unwrap_or_else(|| panic!("no field of modinfo's: {field:?}")),
        };
        all.last_mut().unwrap().entry(name.to_owned()).or_default().push(value.to_owned());
    }
    sorted(all)
}

fn sorted(mut all: Vec<Fields>) -> Vec<Fields> {
    all.iter_mut().flat_map(BTreeMap::values_mut).for_each(|values| values.sort());
    all
}

/// The same of what was read here.
fn fields(module: &Module) -> Fields {
    let mut fields = Fields::new();
    let mut add = |name: &str, value: String| fields.entry(name.to_owned()).or_default().push(value);
    for (name, value) in module.modinfo.fields().filter(|(name, _)| !["parm", "parmtype"].contains(name)) {
        add(name, value.to_owned());
    }
    parameters(module).into_iter().for_each(|parameter| add("parm", parameter));
    if let Trailer::Signed(signature) = &module.signature {
        let signer = &signature.signers[0];
        add("sig_id", "PKCS#7".to_owned());
        add("signer", signer.name.clone().unwrap());
        add("sig_key", signer.key.to_string());
        add("sig_hashalgo", signer.hash.clone());
        // Twenty bytes a line, each further line indented.
        let lines: Vec<String> = signer.value.chunks(20).map(colon_hex).collect();
        add("signature", lines.join(":\n\t\t"));
    }
    fields
}

/// The parameters, each with its description and type as far as it has them.
fn parameters(module: &Module) -> Vec<String> {
    let named = |field| module.modinfo.all(field).map(|value| value.split_once(':').unwrap());
    let types: BTreeMap<&str, &str> = named("parmtype").collect();
    let described: BTreeMap<&str, &str> = named("parm").collect();
    let names: BTreeSet<&str> = types.keys().chain(described.keys()).copied().collect();
    let shown = |name: &str| match (described.get(name), types.get(name)) {
        (Some(text), Some(kind)) => format!("{name}:{text} ({kind})"),
        (text, kind) => format!("{name}:{}", text.or(kind).unwrap()),
    };
    names.into_iter().map(shown).collect()
}

fn agrees_with_modinfo(suite: &Suite) {
    for prepared in kernels(suite) {
        let files = files(&prepared.kdir);
        assert!(files.len() > 500, "{} has {} modules", prepared.kdir.release(), files.len());
        let theirs = modinfo(suite, &prepared, &files);
        assert_eq!(theirs.len(), files.len());
        for (file, theirs) in files.iter().zip(theirs) {
            let module = Module::read(file).unwrap();
            let ours = sorted(vec![fields(&module)]).remove(0);
            assert_eq!(ours, theirs, "{file}");
        }
    }
}

/// What the modules say that they export is what the kernel's build wrote into `Module.symvers` of
/// them.
fn finds_every_export(suite: &Suite) {
    for prepared in kernels(suite) {
        let text = fs_err::read_to_string(prepared.kdir.build().join("Module.symvers")).unwrap();
        let of_modules = symvers::parse(&text).filter(|export| export.module != "vmlinux");
        let theirs: BTreeSet<_> =
            of_modules.map(|e| (e.symbol.to_owned(), e.namespace.to_owned(), e.gpl_only, e.crc)).collect();
        let mut ours = BTreeSet::new();
        for file in files(&prepared.kdir) {
            let module = Module::read(&file).unwrap();
            let known = |e: Export| (e.symbol, e.namespace, e.gpl_only, e.crc.unwrap_or(Crc(0)));
            ours.extend(module.exports.into_iter().map(known));
        }
        assert!(ours.len() > 1000);
        let differ: Vec<_> = ours.symmetric_difference(&theirs).collect();
        assert!(differ.is_empty(), "{}: {differ:?}", prepared.kdir.release());
    }
}

/// Under Secure Boot, too: they are signed with the kernel's own key.
fn would_load_its_own(suite: &Suite) {
    for prepared in kernels(suite) {
        let kernel = prepared.kdir.release().as_str();
        let files = files(&prepared.kdir);
        let cmd = tool(&["inspect", "--json", "--secure-boot", "--kernel", kernel]).args(&files);
        let output = cmd.finish(&suite.context().report).unwrap();
        assert!(output.status.success(), "{}", output.tail);
        let modules: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let modules = modules.as_array().unwrap();
        assert_eq!(modules.len(), files.len());
        for module in modules {
            let load = &module["load"];
            assert_eq!((&load["refusals"], &load["notes"]), (&json!([]), &json!([])), "{}", module["file"]);
            // Whatever is imported is found, but for what may be missing.
            let weak = module["imports"].as_array().unwrap().iter().filter(|import| import["weak"] == true);
            let needed = module["imports"].as_array().unwrap().len() - weak.count();
            assert!(load["imports"].as_array().unwrap().len() >= needed, "{}", module["file"]);
        }
    }
}

/// The first place of `text` in `bytes`.
fn position(bytes: &[u8], text: &[u8]) -> usize {
    bytes.windows(text.len()).position(|window| window == text).unwrap()
}

/// A module of the kernel's own, spoilt in one way each; what is said must name the file and that
/// way.
fn refuses(suite: &Suite) {
    let kdir = &suite.prepared().kdir;
    let release = kdir.release().as_str();
    let image = ModuleFile::read(&kdir.stock_module("cifs").unwrap()).unwrap().image;
    let (_dir, scratch) = scratch();
    let file = scratch.join("spoilt.ko");
    let refused = |image: &[u8], reason: &str| {
        fs_err::write(&file, image).unwrap();
        let (status, output) = run(&tool(&["inspect", "--secure-boot", "--kernel", release, file.as_str()]));
        assert!(status == 4 && output.contains(reason), "{reason}: {status} {output}");
        assert!(
            output.lines().any(|line| line.starts_with("error: ") && line.contains("spoilt.ko")),
            "{output}"
        );
    };
    let changed = |at: usize, text: &[u8]| {
        let mut image = image.clone();
        image[at..at + text.len()].copy_from_slice(text);
        image
    };
    let vermagic = position(&image, b"vermagic=") + "vermagic=".len();
    refused(&changed(vermagic, b"0"), "its vermagic is \"0");
    // e_machine is behind e_ident and e_type; 183 is EM_AARCH64.
    refused(&changed(18, &[183, 0]), "it is for aarch64");
    let symbol = position(&image, b"\0kmem_cache_alloc") + 1;
    refused(&changed(symbol, b"xmem"), "which nothing exports");
    let licence = position(&image, b"license=GPL") + "license=".len();
    refused(&changed(licence, b"MIT"), "for the GPL only");
    refused(split(&image).0, "it is not signed");
    refused(&image[..image.len() / 2], "is damaged");
    refused(&image[..40], "is damaged");
    let block = image.len() - MARKER.len() - 12;
    refused(&changed(block + 8, &[0xff; 4]), "its signature cannot be read");
    refused(b"#!/bin/sh\n", "not an ELF file");
}

/// The module that ships, as the kernel's packages have theirs; it is the same module, and would
/// load.
fn compresses(suite: &Suite) {
    let kdir = &suite.prepared().kdir;
    let kernel = kdir.release().as_str();
    let cmd = tool(&["--json", "build", "--compress", "--kernel", kernel]);
    let output = cmd.run(&suite.context().report).unwrap();
    let built: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let object = &built[0]["objects"][0];
    let path = |field: &str| Utf8PathBuf::from(object[field].as_str().unwrap());
    let stock = kdir.stock_module("cifs").unwrap();
    assert_eq!(path("packed").extension(), stock.extension());
    let (packed, plain) =
        (ModuleFile::read(&path("packed")).unwrap(), ModuleFile::read(&path("file")).unwrap());
    assert_eq!(packed.compression(), ModuleFile::read(&stock).unwrap().compression());
    assert!(packed.image == plain.image && packed.size < plain.size);
    let (status, output) = run(&tool(&["inspect", "--kernel", kernel, path("packed").as_str()]));
    assert!(status == 0 && output.contains(&format!("yes, into {kernel}")), "{output}");
    // What was not stripped is not packed.
    let unstripped = ModuleFile::read(&path("unstripped")).unwrap();
    let refused = |file: ModuleFile| Complete::of(file).unwrap_err().to_string();
    assert!(refused(unstripped).contains("still contains its debug information"));
    // Nor is what is packed, nor what ends with half a signature.
    assert!(refused(packed).contains("is compressed already"));
    let image = [plain.image.as_slice(), &[0xff; 12], MARKER].concat();
    let malformed = refused(ModuleFile { image, ..plain });
    assert!(malformed.contains("an invalid signature"), "{malformed}");
}

/// The distribution's own gzip, xz and zstd take what is compressed here; each says so of a module
/// of the kernel's.
fn every_program_undoes_it(suite: &Suite) {
    let stock = ModuleFile::read(&suite.prepared().kdir.stock_module("cifs").unwrap()).unwrap();
    let module = ModuleFile { packing: None, ..stock };
    let (_dir, scratch) = scratch();
    for (kind, program) in [(Compression::Gzip, "gzip"), (Compression::Xz, "xz"), (Compression::Zstd, "zstd")]
    {
        let packed = Packed::of(Complete::of(module.clone()).unwrap(), Some(kind)).unwrap();
        let file = packed.write(&scratch, "cifs").unwrap();
        assert_eq!(ModuleFile::read(&file).unwrap().image, module.image);
        let cmd = Cmd::new(program).args(["-dc"]).arg(&file);
        let cmd = suite.prepared().root.inside(suite.context(), cmd, &Access::default().read(&scratch));
        assert!(cmd.run(&suite.context().report).unwrap().stdout == module.image, "{program}");
    }
}

/// The smallest of what the tests load of the kernel's own.
fn packed(suite: &Suite) -> Vec<Packing> {
    packings::all(&ModuleFile::read(&suite.prepared().kdir.stock_module("nls_utf8").unwrap()).unwrap().image)
}

/// The kmod of the kernel's own distribution, and whether it reads a module that is packed so.
fn reads(suite: &Suite) -> impl Fn(&Packing) -> bool {
    let cmd = Cmd::new("kmod").arg("--version");
    let cmd = suite.prepared().root.inside(suite.context(), cmd, &Access::default());
    let version = cmd.read(&suite.context().report).unwrap();
    move |packing| {
        let without = packing.format == Compression::Gzip && version.contains("-ZLIB");
        packing.kmod && !without
    }
}

/// A kernel's own module, packed anew: the kernel is asked about what it unpacks itself, kmod about
/// everything.
fn judges_packing(suite: &Suite) {
    let kdir = &suite.prepared().kdir;
    let own = Compression::of_kernel(&kdir.config().unwrap()).expect("the kernel unpacks modules itself");
    let reads = reads(suite);
    let (_dir, scratch) = scratch();
    let (mut taken, mut refused) = (0, 0);
    for (number, packing) in packed(suite).iter().enumerate() {
        let loads = reads(packing) && (packing.format != own || packing.kernel == Kernel::Loads);
        let file = scratch.join(format!("packing-{number}.ko{}", packing.format.suffix()));
        fs_err::write(&file, &packing.bytes).unwrap();
        let (status, output) = run(&tool(&["inspect", "--kernel", kdir.release().as_str(), file.as_str()]));
        assert_eq!(status, if loads { 0 } else { 4 }, "{}: {output}", packing.name);
        let remedy = output.lines().any(|line| {
            line.starts_with("remedy: leave it uncompressed: gzip -d")
                || line.starts_with("remedy: decompress it (") && line.ends_with(packing.format.command())
        });
        assert_eq!(remedy, !loads, "{}: {output}", packing.name);
        *(if loads { &mut taken } else { &mut refused }) += 1;
    }
    assert!(taken > 10 && refused > 10, "{taken} taken, {refused} refused");
}

/// modinfo(8) of the kernel's own distribution.
fn kmod_agrees(suite: &Suite) {
    let (prepared, reads) = (suite.prepared(), reads(suite));
    let (_dir, scratch) = scratch();
    for (number, packing) in packed(suite).iter().enumerate() {
        let file = scratch.join(format!("packing_{number}.ko{}", packing.format.suffix()));
        fs_err::write(&file, &packing.bytes).unwrap();
        let cmd = Cmd::new("modinfo").args(["-F", "name"]).arg(&file);
        let cmd = prepared.root.inside(suite.context(), cmd, &Access::default().read(&scratch));
        let (status, output) = run(&cmd);
        let read = status == 0 && output.lines().any(|line| line == "nls_utf8");
        assert_eq!(read, reads(packing), "{}: {status} {output}", packing.name);
    }
}

/// The guard as Kbuild left it, stripped, compressed, out of its package, where rpm's strip has
/// taken the compilers' names, and with nothing but what the kernel needs; and what is C. (What
/// dkms makes of it is looked at where dkms is run.)
fn sees_rust(suite: &Suite) {
    let kernel = suite.prepared().kdir.release().as_str();
    let built = tool(&["--json", "build", "--compress", "--kernel", kernel]);
    let built = built.run(&suite.context().report).unwrap().stdout;
    let built: serde_json::Value = serde_json::from_slice(&built).unwrap();
    let path = |field: &str| Utf8PathBuf::from(built[0]["objects"][0][field].as_str().unwrap());
    let (_dir, scratch) = scratch();
    let packaged = scratch.join("packaged.ko");
    fs_err::write(&packaged, module_in(suite, &guard(suite).package("kmod-cifs-fix"))).unwrap();
    assert!(Module::read(&packaged).unwrap().compilers.is_empty(), "rpm leaves the compilers' names");
    let bare = scratch.join("bare.ko");
    fs_err::copy(path("unstripped"), &bare).unwrap();
    let strip = Cmd::new("strip").args(["--strip-unneeded", "--remove-section=.comment"]).arg(&bare);
    let strip = suite.prepared().root.inside(suite.context(), strip, &Access::default().write(&scratch));
    strip.run(&suite.context().report).unwrap();
    let c = suite.prepared().kdir.stock_module("nls_utf8").unwrap();
    let rust = [path("unstripped"), path("file"), path("packed"), packaged, bare];
    for (file, rust) in rust.into_iter().map(|file| (file, true)).chain([(c, false)]) {
        assert_eq!(Module::read(&file).unwrap().rust, rust, "{file}");
    }
}
