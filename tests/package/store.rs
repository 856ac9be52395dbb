// SPDX-License-Identifier: GPL-2.0
//! A store of prepared kernels: made once, fetched by others, and never trusted blindly.
//!
//! Machines that have their cache at the same place are tried as one cache that is emptied: what is
//! fetched is a kernel that is known to work here.

use camino::{Utf8Path, Utf8PathBuf};
use kernel::kdir::Kdir;
use libtest_mimic::Trial;
use report::Report;
use report::process::Cmd;
use xtask::commands::test::LONG;

use crate::rpm::versioned;
use crate::suite::{Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    let mut trials = vec![
        suite.trial("store::a_kernel_is_made_once_and_fetched_by_others", made_once),
        suite.trial("store::what_is_spoilt_is_refused_and_the_kernel_is_made", spoilt),
    ];
    // A server with all that it needs of Python's registry takes minutes to be installed.
    if std::env::var_os(LONG).is_some() {
        trials.push(suite.trial("store::rclone_reaches_a_server_of_s3", s3));
    }
    trials
}

/// A cache of its own, with what the user's has fetched and unpacked, and no kernel.
struct OwnCache {
    _dir: tempfile::TempDir,
    dir: Utf8PathBuf,
    release: String,
}

impl OwnCache {
    fn new(suite: &Suite) -> Self {
        let (guard, dir) = scratch();
        let release = versioned(suite).to_string();
        let cache = dir.join("cache/cargo-kmod");
        fs_err::create_dir_all(&cache).unwrap();
        for shared in ["archive", "roots", "sources"] {
            let there = suite.context().cache.path(shared);
            fs_err::os::unix::fs::symlink(there, cache.join(shared)).unwrap();
        }
        Self { _dir: guard, dir, release }
    }

    fn cmd(&self, words: &[&str]) -> Cmd {
        tool(words).env("XDG_CACHE_HOME", self.dir.join("cache")).cwd(self.dir.clone())
    }

    fn prepare(&self, store: &str) -> (i32, String) {
        run(&self.cmd(&["kernel", "prepare", "--for-c", &self.release, "--store", store]))
    }

    fn place(&self) -> Utf8PathBuf {
        self.dir.join("cache/cargo-kmod/kernels").join(&self.release)
    }

    /// As on a machine that has prepared nothing.
    fn forget(&self) {
        fs_err::remove_dir_all(self.place()).unwrap();
    }

    /// Builds a module for the kernel, as it is now.
    fn builds(&self) {
        let dir = self.dir.join("hello");
        if !dir.exists() {
            let (status, said) = run(&self.cmd(&["new", "hello", "--c"]));
            assert_eq!(status, 0, "{said}");
        }
        let target = self.dir.join("target");
        let words = ["build", "--project", dir.as_str(), "--kernel", &self.release];
        let (status, said) = run(&self.cmd(&words).args(["--target-dir", target.as_str()]));
        assert_eq!(status, 0, "{said}");
    }
}

fn files(dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut all: Vec<Utf8PathBuf> =
        dir.read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path()).collect();
    all.sort_unstable();
    all
}

fn made_once(suite: &Suite) {
    let cache = OwnCache::new(suite);
    let store = cache.dir.join("store");
    let (status, said) = cache.prepare(store.as_str());
    assert_eq!(status, 0, "{said}");
    assert!(said.contains(&format!("Stored kernel {}", cache.release)), "{said}");
    let stamp = fs_err::read(cache.place().join("stamp.json")).unwrap();
    cache.forget();
    // Two at once: one fetches it, and the other waits and has it.
    let both = std::thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| cache.prepare(store.as_str())));
        runs.map(|run| run.join().unwrap())
    });
    for (status, said) in &both {
        assert_eq!(*status, 0, "{said}");
        assert!(!said.contains("Making kernel tree"), "{said}");
    }
    assert_eq!(both.iter().filter(|(_, said)| said.contains("Fetched kernel")).count(), 1, "{both:?}");
    assert_eq!(fs_err::read(cache.place().join("stamp.json")).unwrap(), stamp);
    cache.builds();
    // At another place it would not work, and is not taken.
    let elsewhere = OwnCache::new(suite);
    let (status, said) = elsewhere.prepare(store.as_str());
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("Stored kernel"), "{said}");
    assert_eq!(files(&store.join("kernels")).len(), 2);
}

fn spoilt(suite: &Suite) {
    let cache = OwnCache::new(suite);
    let store = cache.dir.join("store");
    cache.prepare(store.as_str());
    let file = files(&store.join("files")).remove(0);
    let whole = fs_err::read(&file).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    let manifest = files(&store.join("kernels")).remove(0);
    let said_of_it = fs_err::read_to_string(&manifest).unwrap();
    for (content, text, said) in [
        (&changed, said_of_it.as_str(), "is spoilt: its hash is"),
        (&whole, &said_of_it.replace(&cache.release, "9.9.9"), "is of 9.9.9"),
    ] {
        fs_err::write(&file, content).unwrap();
        fs_err::write(&manifest, text).unwrap();
        cache.forget();
        let (status, output) = cache.prepare(store.as_str());
        assert_eq!(status, 0, "{output}");
        assert!(output.contains(said) && output.contains("is prepared here instead"), "{said}: {output}");
        assert!(Kdir::open(&cache_of(&cache), &cache.release.parse().unwrap()).is_some(), "{said}");
    }
    // Where nothing can be written.
    cache.forget();
    let (status, output) = cache.prepare("/proc/nowhere");
    assert!(status == 0 && output.contains("is not in the store"), "{output}");
}

fn cache_of(cache: &OwnCache) -> report::cache::Cache {
    report::cache::Cache::at(cache.dir.join("cache/cargo-kmod")).unwrap()
}

/// A server that speaks S3, from Python's registry, and what rclone has to know of it.
fn s3(suite: &Suite) {
    let cache = OwnCache::new(suite);
    kernel::machine::programs::ensure(suite.context(), &[xtask::commands::test::S3]).unwrap();
    let venv = cache.dir.join("venv");
    let quiet = Report::silent();
    Cmd::new("python3").args(["-m", "venv", venv.as_str()]).run(&quiet).unwrap();
    let pip = Cmd::new(venv.join("bin/pip")).args(["install", "--quiet", "moto[server,s3]"]);
    pip.run(&quiet).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Cmd::new(venv.join("bin/moto_server")).args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    let mut server =
        server.bound("KILL").spawn(std::process::Stdio::null(), std::process::Stdio::null()).unwrap();
    let endpoint = format!("http://127.0.0.1:{port}");
    let with_remote = |cmd: Cmd| {
        [
            ("RCLONE_CONFIG_FLEET_TYPE", "s3"),
            // A bundle of the machine's for its own servers is none for this one.
            ("AWS_CA_BUNDLE", ""),
            ("RCLONE_CONFIG_FLEET_PROVIDER", "Other"),
            ("RCLONE_CONFIG_FLEET_ACCESS_KEY_ID", "key"),
            ("RCLONE_CONFIG_FLEET_SECRET_ACCESS_KEY", "secret"),
            ("RCLONE_CONFIG_FLEET_REGION", "us-east-1"),
            ("RCLONE_CONFIG_FLEET_ENDPOINT", endpoint.as_str()),
        ]
        .into_iter()
        .fold(cmd, |cmd, (name, value)| cmd.env(name, value))
    };
    let begun = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed().as_secs() < 60, "the server did not come up");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let (status, said) = run(&with_remote(Cmd::new("rclone").args(["mkdir", "fleet:kernels"])));
    assert_eq!(status, 0, "{said}");
    let words = ["kernel", "prepare", "--for-c", &cache.release, "--store", "rclone:fleet:kernels/trial"];
    let (status, said) = run(&with_remote(cache.cmd(&words)));
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("Stored kernel"), "{said}");
    cache.forget();
    let (status, said) = run(&with_remote(cache.cmd(&words)));
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("Fetched kernel") && !said.contains("Making kernel tree"), "{said}");
    cache.builds();
    server.kill().unwrap();
    server.wait().unwrap();
    cache.forget();
    let (status, said) = run(&with_remote(cache.cmd(&words)).env("RCLONE_LOW_LEVEL_RETRIES", "1"));
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("is prepared here instead"), "{said}");
}
