// SPDX-License-Identifier: GPL-2.0
//! Rebuilding one of the kernel's own modules: the import, the patch series, an edit and its way
//! back, and what is built.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use kernel::distribution::debian::archive::DebianArchive;
use kernel::distribution::{Age, Archive as _};
use kernel::root::Access;

use kmodfile::module::Module;
use libtest_mimic::Trial;
use object::{Object as _, ObjectSymbol as _};
use project::Project;
use project::build::build;
use project::source::SourceTree;
use project::source::fetch::{self, SourceKernel};
use project::source::series::Series;
use project::stage::Sources;
use report::process::{self, Cmd};
use xtask::repository;

use crate::suite::{Suite, run, scratch, tool};

/// A file that the import has and the series changes.
const CHANGED: &str = "fs/smb/client/smb2misc.c";

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("rebuild::the_import_is_exactly_the_named_files", the_import_is_what_is_named),
        suite.trial("rebuild::patch_makes_the_same_of_the_series_without_fuzz", patch_makes_the_same),
        suite.trial("rebuild::a_series_that_does_not_apply_is_refused_and_leaves_nothing", does_not_apply),
        suite.trial("rebuild::a_kernel_line_without_a_series_is_refused", no_series),
        suite.trial("rebuild::what_is_not_in_the_kernels_source_is_refused", not_in_the_source),
        suite.trial("rebuild::an_edit_is_written_back_as_a_patch", an_edit_is_written_back),
        suite.trial("rebuild::the_module_is_for_its_kernel_and_has_the_verifier", the_module),
        suite.trial("rebuild::nothing_changed_is_one_line_and_a_changed_patch_is_a_build", nothing_changed),
    ]
}

fn project() -> Project {
    Project::open(&repository().join("cifs")).unwrap()
}

fn release(suite: &Suite) -> &str {
    suite.prepared().kdir.release().as_str()
}

fn pristine(suite: &Suite) -> SourceTree {
    let project = project();
    fetch::provide(
        suite.context(),
        SourceKernel::Prepared(suite.prepared()),
        project.import.as_ref().unwrap(),
    )
    .unwrap()
}

/// What the client's ASN.1 grammar is compiled with.
const ASN1: &[&str] =
    &["include/linux/asn1.h", "include/linux/asn1_ber_bytecode.h", "scripts/asn1_compiler.c"];

/// Against tar's own list of the source package.
fn the_import_is_what_is_named(suite: &Suite) {
    let archive = DebianArchive::open(suite.context(), Age::Current).unwrap();
    let release = suite.prepared().kdir.release();
    let kernel = archive.kernels().into_iter().find(|kernel| kernel.release == *release).unwrap();
    let deb = archive.fetch(&[archive.source(&kernel).unwrap()]).unwrap().remove(0);
    let (_dir, path) = scratch();
    let name = format!("linux-source-{}", release.line());
    let tar = |args: &[&str]| Cmd::new("tar").args(args);
    let all = [
        Cmd::new("dpkg-deb").arg("--fsys-tarfile").arg(deb),
        tar(&["--extract", "--to-stdout"]).arg(format!("./usr/src/{name}.tar.xz")),
        Cmd::new("xz").args(["--decompress", "--stdout", "--threads=0"]),
        tar(&["--extract", "--directory"])
            .arg(&path)
            .args(["fs/smb", "fs/nls"].iter().chain(ASN1).map(|path| format!("{name}/{path}"))),
    ];
    process::pipeline(&all, &suite.context().report).unwrap();
    let root = path.join(name);
    let wanted = |path: &Utf8Path| {
        path.starts_with("fs/smb/client")
            || path.starts_with("fs/smb/common")
            || ASN1.contains(&path.as_str())
            || (path.parent() == Some(Utf8Path::new("fs/nls")) && path.extension() == Some("h"))
    };
    let files = walkdir::WalkDir::new(&root)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file());
    let files = files.map(|entry| Utf8PathBuf::from_path_buf(entry.into_path()).unwrap());
    let expected: SourceTree = files
        .map(|file| (file.strip_prefix(&root).unwrap().to_owned(), fs_err::read(&file).unwrap()))
        .filter(|(path, _)| wanted(path))
        .collect();
    let imported = pristine(suite);
    assert!(imported.len() > 50);
    assert_eq!(imported.keys().collect::<BTreeSet<_>>(), expected.keys().collect::<BTreeSet<_>>());
    assert!(imported == expected, "the contents differ");
}

fn patch_makes_the_same(suite: &Suite) {
    let (project, before) = (project(), pristine(suite));
    let series = Series::open(&project.dir, suite.prepared().kdir.release()).unwrap().unwrap();
    let after = series.apply(before.clone(), suite.prepared().kdir.release()).unwrap();
    assert_ne!(before.get(Utf8Path::new(CHANGED)), after.get(Utf8Path::new(CHANGED)));
    let (_dir, path) = scratch();
    for (name, content) in &before {
        fs_err::create_dir_all(path.join(name).parent().unwrap()).unwrap();
        fs_err::write(path.join(name), content).unwrap();
    }
    for name in series.names() {
        let patch = fs_err::read(series.dir().join(name)).unwrap();
        let cmd =
            Cmd::new("patch").args(["-p1", "--fuzz=0", "--no-backup-if-mismatch"]).input(patch).cwd(&path);
        let access = Access::default().write(&path);
        suite.prepared().root.inside(suite.context(), cmd, &access).run(&suite.context().report).unwrap();
    }
    for (name, content) in &after {
        assert!(fs_err::read(path.join(name)).unwrap() == *content, "{name}");
    }
}

/// A repository with a copy of the project under another name, and what that takes from beside it.
fn copy_of_project(name: &str) -> (tempfile::TempDir, Utf8PathBuf) {
    let (dir, path) = scratch();
    fs_err::create_dir(path.join(".git")).unwrap();
    for part in ["cifs", "module/verify", "LICENSE"] {
        for entry in walkdir::WalkDir::new(repository().join(part)) {
            let entry = entry.unwrap();
            let from = Utf8Path::from_path(entry.path()).unwrap();
            let to = path.join(from.strip_prefix(repository()).unwrap());
            fs_err::create_dir_all(to.parent().unwrap()).unwrap();
            if entry.file_type().is_file() {
                fs_err::copy(from, to).unwrap();
            }
        }
    }
    change(&path.join("cifs/dkms.conf"), "PACKAGE_NAME=\"cifs\"", &format!("PACKAGE_NAME=\"{name}\""));
    (dir, path.join("cifs"))
}

/// Replaces words of a file that must be there.
#[track_caller]
fn change(file: &Utf8Path, from: &str, to: &str) {
    let text = fs_err::read_to_string(file).unwrap();
    assert!(text.contains(from), "{file} does not hold {from:?}");
    fs_err::write(file, text.replace(from, to)).unwrap();
}

/// Where the tool puts what it makes of the project `name`; gone again with the value.
struct Made(Utf8PathBuf);

impl Made {
    fn of(name: &str) -> Self {
        let made = Self(repository().join(format!("target/kmod/{name}-0.1.0")));
        made.remove();
        made
    }

    fn remove(&self) {
        if self.0.exists() {
            fs_err::remove_dir_all(&self.0).unwrap();
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The directory of the series of the default kernel, in a copy of the project.
fn line_of(suite: &Suite, copy: &Utf8Path) -> Utf8PathBuf {
    Series::open(copy, suite.prepared().kdir.release()).unwrap().unwrap().dir().to_owned()
}

fn only_patch(line: &Utf8Path) -> Utf8PathBuf {
    let text = fs_err::read_to_string(line.join("series")).unwrap();
    line.join(text.lines().find(|name| name.ends_with(".patch")).unwrap())
}

fn does_not_apply(suite: &Suite) {
    let made = Made::of("spoilt");
    let (_dir, copy) = copy_of_project("spoilt");
    let patch = only_patch(&line_of(suite, &copy));
    change(&patch, " #include \"cached_dir.h\"", " #include \"no_such_thing.h\"");
    for more in [&["--import-only"][..], &[]] {
        let args = ["build", "--project", copy.as_str(), "--kernel", release(suite)];
        let (status, output) = run(&tool(&[&args, more].concat()));
        assert_eq!(status, 4, "{output}");
        for words in [patch.as_str(), "hunk 1 (@@ ", CHANGED, "no_such_thing.h", "remedy: fix the patch"] {
            assert!(output.contains(words), "{words:?} is not said: {output}");
        }
        assert!(!made.0.exists(), "something was made");
    }
}

fn no_series(suite: &Suite) {
    let made = Made::of("lineless");
    let (_dir, copy) = copy_of_project("lineless");
    for entry in copy.join("patches").read_dir_utf8().unwrap() {
        fs_err::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    fs_err::create_dir(copy.join("patches/1.0")).unwrap();
    let (status, output) = run(&tool(&["build", "--project", copy.as_str(), "--kernel", release(suite)]));
    assert_eq!(status, 4, "{output}");
    assert!(output.contains("has no series for ") && output.contains(", only for 1.0"), "{output}");
    assert!(!made.0.exists());
}

fn not_in_the_source(suite: &Suite) {
    let made = Made::of("unknown");
    let (_dir, copy) = copy_of_project("unknown");
    change(&copy.join("import.toml"), "\"fs/smb/common\"", "\"fs/smb/no-such-directory\"");
    let (status, output) = run(&tool(&["build", "--project", copy.as_str(), "--kernel", release(suite)]));
    assert_eq!(status, 4, "{output}");
    assert!(
        output.contains("import.toml: fs/smb/no-such-directory: is not in the kernel's source"),
        "{output}"
    );
    assert!(!made.0.exists());
    let left = suite.context().cache.path("imports").read_dir_utf8().unwrap();
    assert!(left.map(Result::unwrap).all(|entry| !entry.file_name().ends_with(".partial")));
}

fn an_edit_is_written_back(suite: &Suite) {
    let made = Made::of("edited");
    let (_dir, copy) = copy_of_project("edited");
    let import = ["build", "--project", copy.as_str(), "--kernel", release(suite), "--import-only"];
    let refresh =
        ["patch", "refresh", "--project", copy.as_str(), "--kernel", release(suite), "--name", "mine.patch"];
    let (status, output) = run(&tool(&import));
    assert_eq!(status, 0, "{output}");
    let source = made.0.join(release(suite)).join("source");
    assert!(output.lines().any(|line| line == source), "{output}");
    let (status, output) = run(&tool(&refresh));
    assert!(status == 0 && output.contains("nothing was edited"), "{output}");

    // A change, a new file, a file less: beside what a build and an editor leave.
    change(
        &source.join(CHANGED),
        "#include \"cifs_verify.h\"\n",
        "#include \"cifs_verify.h\"\n#include \"mine.h\"\n",
    );
    fs_err::write(source.join("fs/smb/client/mine.h"), "/* mine */\n").unwrap();
    fs_err::remove_file(source.join("fs/smb/client/Kconfig")).unwrap();
    fs_err::write(source.join("fs/smb/client/asn1.o"), "object").unwrap();
    fs_err::write(source.join("fs/smb/client/.asn1.o.cmd"), "how").unwrap();
    fs_err::write(source.join("fs/smb/client/asn1.c~"), "copy").unwrap();
    let (status, output) = run(&tool(&import));
    assert!(status == 4 && output.contains("has been edited and would be overwritten"), "{output}");
    let (status, output) = run(&tool(&refresh));
    assert_eq!(status, 0, "{output}");
    let line = line_of(suite, &copy);
    assert!(fs_err::read_to_string(line.join("series")).unwrap().ends_with("mine.patch\n"));

    // What is staged from now on is the edited source, and the tree is in step with it.
    let project = Project::open(&copy).unwrap();
    let staged =
        Sources::for_kernel(suite.context(), &project, SourceKernel::Prepared(suite.prepared())).unwrap();
    let staged = staged.imported();
    assert_eq!(staged[Utf8Path::new("fs/smb/client/mine.h")], b"/* mine */\n");
    assert_eq!(staged[Utf8Path::new(CHANGED)], fs_err::read(source.join(CHANGED)).unwrap());
    assert!(!staged.contains_key(Utf8Path::new("fs/smb/client/Kconfig")));
    assert!(!staged.keys().any(|path| path.as_str().contains("asn1.o") || path.as_str().ends_with('~')));
    let (status, output) = run(&tool(&refresh));
    assert!(status == 0 && output.contains("nothing was edited"), "{output}");

    // A further edit goes into the same patch; one of the project's own files does not.
    change(&source.join("fs/smb/client/mine.h"), "mine", "still mine");
    let (status, output) = run(&tool(&refresh));
    assert_eq!(status, 0, "{output}");
    let text = fs_err::read_to_string(line.join("mine.patch")).unwrap();
    assert!(text.contains("+/* still mine */") && !text.contains("+/* mine */"), "{text}");
    change(&source.join("Kbuild"), "SPDX", "XDPS");
    let (status, output) = run(&tool(&refresh));
    assert!(status == 4 && output.contains("Kbuild: is a file of the project"), "{output}");
}

fn the_module(suite: &Suite) {
    let built = build(suite.context(), &project(), suite.prepared()).unwrap();
    let object = built.object("cifs").unwrap();
    let module = Module::read(&object.file).unwrap();
    module.modinfo.require_vermagic(&object.file, &built.release).unwrap();
    let panics: Vec<_> =
        module.imports.iter().filter(|import| import.symbol.contains("9panicking")).collect();
    assert!(panics.is_empty(), "the client can panic: {panics:?}");
    let image = fs_err::read(&object.file).unwrap();
    let file = object::File::parse(image.as_slice()).unwrap();
    let defined = |name| file.symbols().any(|symbol| symbol.name() == Ok(name) && symbol.is_definition());
    assert!(defined("cifs_verify") && defined("smb2_check_message"));
    assert!(object.size < object.unstripped_size);
}

fn nothing_changed(suite: &Suite) {
    let args = ["build", "--project", "cifs", "--kernel", release(suite)];
    let build = || run(&tool(&args).cwd(repository()));
    assert_eq!(build().0, 0);
    let (status, output) = build();
    assert!(status == 0 && output.contains("Fresh cifs"), "{output}");
    // What would be built is another thing when only a patch is.
    let (_dir, copy) = copy_of_project("cifs");
    let sources = |dir: &Utf8Path| {
        let project = Project::open(dir).unwrap();
        Sources::for_kernel(suite.context(), &project, SourceKernel::Prepared(suite.prepared()))
            .unwrap()
            .hash()
    };
    assert_eq!(sources(&copy), sources(&repository().join("cifs")));
    change(&only_patch(&line_of(suite, &copy)), "\"rejected: ", "\"refused: ");
    assert_ne!(sources(&copy), sources(&repository().join("cifs")));
}
