// SPDX-License-Identifier: GPL-2.0
//! Saved machines, in the cache: the memory as a file, the devices' state, what was reported and
//! printed so far.
//!
//! A snapshot is known by the hash of all that it came of, made once while others wait, used by any
//! number of machines at once, and removed when others were used later. None is used that somebody
//! else could have written to, or that is not, to the byte or as far as its dates tell, what was
//! saved. One is good until the next boot of the host: so long, nothing of it need reach the disk.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use report::Report;
use report::cache::{Cache, remove_plain};
use report::durable::{Digest, digest};
use serde::{Deserialize, Serialize};
use vm_protocol::Event;

const MEMORY: &str = "memory";
const DEVICES: &str = "devices";
const CONSOLE: &str = "console.log";
const INITRAMFS: &str = "initramfs.cpio";
const RECORD: &str = "snapshot.json";

/// How long a machine that could not be saved is booted at once: it would be booted twice each
/// time.
const UNFIT: Duration = Duration::from_secs(15 * 60);

/// So many are kept: each takes what its machine had touched of its memory, some 150 MB.
const KEPT: usize = 6;

/// What is known of a saved machine besides its memory.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// What it reported.
    events: Vec<Event>,
    /// What the large files must be.
    large: BTreeMap<String, FileMark>,
    /// What the others must be.
    small: BTreeMap<String, Digest>,
}

/// What tells that a file was not written to since: it is too large to be read each time.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FileMark {
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileMark {
    fn of(file: &Metadata) -> Self {
        Self {
            inode: file.ino(),
            bytes: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// A saved machine that is being used; it stays as long as this does.
#[derive(Debug)]
pub(crate) struct Snapshot {
    place: Utf8PathBuf,
    /// What it reported.
    pub(crate) events: Vec<Event>,
    /// The state of its devices.
    pub(crate) devices: Vec<u8>,
    /// What it printed.
    pub(crate) console: Vec<u8>,
    _used: File,
}

impl Snapshot {
    /// Its memory.
    pub(crate) fn memory(&self) -> Utf8PathBuf {
        self.place.join(MEMORY)
    }

    /// The initramfs that it was booted with.
    pub(crate) fn initramfs(&self) -> Utf8PathBuf {
        self.place.join(INITRAMFS)
    }
}

/// A machine that is being saved, in a directory of its own.
pub(crate) struct Unsaved<'a>(&'a Utf8Path);

impl Unsaved<'_> {
    /// Where its memory is to be.
    pub(crate) fn memory(&self) -> Utf8PathBuf {
        self.0.join(MEMORY)
    }

    /// Where its initramfs is to be.
    pub(crate) fn initramfs(&self) -> Utf8PathBuf {
        self.0.join(INITRAMFS)
    }
}

/// What came of saving a machine, besides what is in its directory.
pub(crate) struct SavedState {
    pub(crate) events: Vec<Event>,
    pub(crate) devices: Vec<u8>,
    pub(crate) console: Vec<u8>,
}

/// All saved machines of this user.
#[derive(Clone, Copy)]
pub(crate) struct Snapshots<'a> {
    cache: &'a Cache,
}

impl<'a> Snapshots<'a> {
    /// Those in this cache.
    pub(crate) fn of(cache: &'a Cache) -> Self {
        Self { cache }
    }

    fn dir(self) -> Utf8PathBuf {
        self.cache.path("snapshots")
    }

    /// The one that is known by `key`, if there is one.
    ///
    /// # Errors
    ///
    /// If there is any doubt about it.
    pub(crate) fn open(self, key: &str) -> Result<Option<Snapshot>> {
        let place = self.dir().join(key);
        let Ok(used) = File::open(&place) else { return Ok(None) };
        match used.try_lock_shared() {
            Ok(()) => {}
            // It is being removed.
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("locking {place}")),
        }
        // It may have gone before it was locked.
        if !place.join(RECORD).exists() {
            return Ok(None);
        }
        read(&place, used).map(Some).with_context(|| format!("the saved machine in {place}"))
    }

    /// The one that is known by `key`, made by `make` if it is not there; others that want it wait.
    pub(crate) fn provide(
        self,
        key: &str,
        report: &Report,
        make: impl FnOnce(&Unsaved<'_>) -> Result<SavedState>,
    ) -> Result<Snapshot> {
        if let Some(snapshot) = self.open(key)? {
            return Ok(snapshot);
        }
        if let Some(why) = self.unfit(key) {
            bail!("{why} (the last time)");
        }
        // Not a lock for each: there would be ever more of them.
        let _lock = self.cache.lock(&format!("snapshot {}", &key[..1]), report)?;
        if let Some(snapshot) = self.open(key)? {
            return Ok(snapshot);
        }
        let place = self.dir().join(key);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(self.dir())?;
        let partial = self.cache.partial(&place, report, remove_plain)?;
        require_private(&self.dir(), &fs_err::metadata(self.dir())?)?;
        // Whatever the umask says.
        fs_err::set_permissions(&partial, Permissions::from_mode(0o700))?;
        // Whoever makes room leaves it alone as long as this run lives.
        let making = File::open(&partial)?;
        making.lock()?;
        let made = make(&Unsaved(&partial)).and_then(|saved| write(&partial, &saved));
        if let Err(error) = made {
            fs_err::remove_dir_all(&partial).ok();
            fs_err::write(self.mark_of(key), format!("{error:#}")).ok();
            return Err(error);
        }
        fs_err::rename(&partial, &place)?;
        drop(making);
        let snapshot = self.open(key)?.context("the saved machine is gone")?;
        self.prune(KEPT)?;
        Ok(snapshot)
    }

    /// Where it is noted that a machine could not be saved.
    fn mark_of(self, key: &str) -> Utf8PathBuf {
        self.dir().join(format!("{key}.unfit"))
    }

    /// Why the machine that is known by `key` could not be saved a while ago.
    fn unfit(self, key: &str) -> Option<String> {
        let mark = self.mark_of(key);
        let age = fs_err::metadata(&mark).ok()?.modified().ok()?.elapsed().ok()?;
        (age < UNFIT).then(|| fs_err::read_to_string(mark).unwrap_or_default())
    }

    /// Removes the one that is known by `key`; who uses it goes on with it.
    pub(crate) fn forget(self, key: &str) -> Result<()> {
        let place = self.dir().join(key);
        if place.exists() {
            fs_err::remove_dir_all(place)?;
        }
        Ok(())
    }

    /// Removes all but the `kept` that were used last, what killed runs left, and none that is in
    /// use.
    fn prune(self, kept: usize) -> Result<()> {
        let mut places = Vec::new();
        for entry in self.dir().read_dir_utf8()? {
            let place = entry?.into_path();
            if place.extension() == Some("unfit") {
                let key = place.file_stem().unwrap_or_default();
                if self.unfit(key).is_none() {
                    fs_err::remove_file(&place)?;
                }
                continue;
            }
            let used = fs_err::metadata(place.join(RECORD)).and_then(|record| record.modified());
            places.push((used.unwrap_or(SystemTime::UNIX_EPOCH), place));
        }
        places.sort();
        let (partial, mut whole): (Vec<_>, Vec<_>) =
            places.into_iter().partition(|(_, place)| place.extension() == Some("partial"));
        whole.truncate(whole.len().saturating_sub(kept));
        for (_, place) in partial.into_iter().chain(whole) {
            let Ok(file) = File::open(&place) else { continue };
            if file.try_lock().is_ok() {
                fs_err::remove_dir_all(&place)?;
            }
        }
        Ok(())
    }
}

fn write(dir: &Utf8Path, saved: &SavedState) -> Result<()> {
    let mut small = BTreeMap::new();
    for (name, bytes) in [(DEVICES, &saved.devices), (CONSOLE, &saved.console)] {
        fs_err::write(dir.join(name), bytes)?;
        small.insert(name.to_owned(), digest(bytes));
    }
    let mut large = BTreeMap::new();
    for name in [MEMORY, INITRAMFS] {
        fs_err::set_permissions(dir.join(name), Permissions::from_mode(0o600))?;
        large.insert(name.to_owned(), FileMark::of(&fs_err::metadata(dir.join(name))?));
    }
    let record = serde_json::to_string(&Record { events: saved.events.clone(), large, small })?;
    Ok(fs_err::write(dir.join(RECORD), format!("{}\n{record}", digest(record.as_bytes())))?)
}

/// Reads a snapshot, and looks whether it is what was saved.
fn read(place: &Utf8Path, used: File) -> Result<Snapshot> {
    require_private(place, &fs_err::metadata(place)?)?;
    let text = fs_err::read_to_string(place.join(RECORD))?;
    let (seal, text) = text.split_once('\n').context("its record is cut off")?;
    ensure!(digest(text.as_bytes()) == seal, "its record was changed");
    let record: Record = serde_json::from_str(text)?;
    for (name, mark) in &record.large {
        let file = fs_err::metadata(place.join(name))?;
        require_private(&place.join(name), &file)?;
        ensure!(FileMark::of(&file) == *mark, "{name} was changed");
    }
    let small = |name: &str| -> Result<Vec<u8>> {
        let bytes = fs_err::read(place.join(name))?;
        ensure!(record.small.get(name) == Some(&digest(&bytes)), "{name} was changed");
        Ok(bytes)
    };
    let (devices, console) = (small(DEVICES)?, small(CONSOLE)?);
    File::options().write(true).open(place.join(RECORD))?.set_modified(SystemTime::now())?;
    Ok(Snapshot { place: place.to_owned(), events: record.events, devices, console, _used: used })
}

/// Refuses what another user owns or could write to.
fn require_private(path: &Utf8Path, file: &Metadata) -> Result<()> {
    if file.uid() != rustix::process::geteuid().as_raw() {
        bail!("{path} belongs to another user");
    }
    ensure!(file.mode() & 0o022 == 0, "others can write to {path}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        (dir, cache)
    }

    /// A key of one byte; two that begin alike share a lock, which a test must not wait for.
    fn provide(snapshots: Snapshots<'_>, key: &str) -> Result<Snapshot> {
        snapshots.provide(key, &Report::silent(), |unsaved| {
            fs_err::write(unsaved.memory(), "memory")?;
            fs_err::write(unsaved.initramfs(), "initramfs")?;
            // As some users' umask has it.
            fs_err::set_permissions(unsaved.initramfs(), Permissions::from_mode(0o664))?;
            let events = vec![Event::Waiting { tainted: 0, log: vec![] }];
            Ok(SavedState { events, devices: b"devices".to_vec(), console: b"console".to_vec() })
        })
    }

    #[test]
    fn one_is_made_once_and_read_as_it_was_saved() {
        let (_dir, cache) = cache();
        let snapshots = Snapshots::of(&cache);
        assert!(snapshots.open("a").unwrap().is_none());
        drop(provide(snapshots, "a").unwrap());
        let again = snapshots.provide("a", &Report::silent(), |_| bail!("it is there")).unwrap();
        assert_eq!((again.devices.as_slice(), again.console.as_slice()), (&b"devices"[..], &b"console"[..]));
        assert_eq!(again.events.len(), 1);
        assert_eq!(fs_err::read(again.memory()).unwrap(), b"memory");
        drop(again);
        snapshots.forget("a").unwrap();
        assert!(snapshots.open("a").unwrap().is_none());
    }

    #[test]
    fn one_that_could_not_be_made_leaves_nothing() {
        let (_dir, cache) = cache();
        let snapshots = Snapshots::of(&cache);
        let failed = snapshots.provide("a", &Report::silent(), |unsaved| {
            fs_err::write(unsaved.memory(), "half")?;
            bail!("the disk is full")
        });
        assert_eq!(failed.unwrap_err().to_string(), "the disk is full");
        assert_eq!(snapshots.dir().read_dir_utf8().unwrap().count(), 1, "but the note of it");
        // For a while it is not tried again.
        let again = provide(snapshots, "a").unwrap_err().to_string();
        assert_eq!(again, "the disk is full (the last time)");
        let long_ago = SystemTime::now() - 2 * UNFIT;
        let mark = File::options().write(true).open(snapshots.mark_of("a")).unwrap();
        mark.set_modified(long_ago).unwrap();
        provide(snapshots, "a").unwrap();
        assert!(!snapshots.mark_of("a").exists());
    }

    #[test]
    fn one_that_is_not_what_was_saved_is_refused() {
        let (_dir, cache) = cache();
        let snapshots = Snapshots::of(&cache);
        let file = |name: &str| snapshots.dir().join("a").join(name);
        for (name, said) in [
            (MEMORY, "memory was changed"),
            (INITRAMFS, "initramfs.cpio was changed"),
            (DEVICES, "devices was changed"),
            (CONSOLE, "console.log was changed"),
            (RECORD, "its record was changed"),
        ] {
            drop(provide(snapshots, "a").unwrap());
            // Of the same length, and shorter.
            let whole = fs_err::read(file(name)).unwrap();
            let mut other = whole.clone();
            *other.last_mut().unwrap() ^= 1;
            for bytes in [other.as_slice(), &whole[..whole.len() - 1]] {
                fs_err::write(file(name), bytes).unwrap();
                let error = format!("{:#}", snapshots.open("a").unwrap_err());
                assert!(error.ends_with(said), "{name}: {error}");
            }
            snapshots.forget("a").unwrap();
        }
        drop(provide(snapshots, "a").unwrap());
        fs_err::write(file(RECORD), "").unwrap();
        assert!(format!("{:#}", snapshots.open("a").unwrap_err()).ends_with("its record is cut off"));
    }

    #[test]
    fn one_that_others_can_write_to_is_refused() {
        let (_dir, cache) = cache();
        let snapshots = Snapshots::of(&cache);
        for name in ["", MEMORY] {
            drop(provide(snapshots, "a").unwrap());
            let path = snapshots.dir().join("a").join(name);
            fs_err::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
            let error = format!("{:#}", snapshots.open("a").unwrap_err());
            assert!(error.contains("others can write to"), "{error}");
            snapshots.forget("a").unwrap();
        }
    }

    #[test]
    fn those_not_used_for_long_make_room_unless_they_are_in_use() {
        let (_dir, cache) = cache();
        let snapshots = Snapshots::of(&cache);
        let first = provide(snapshots, "0").unwrap();
        // What a killed run left.
        fs_err::create_dir(snapshots.dir().join("left.partial")).unwrap();
        for number in 1..=KEPT {
            drop(provide(snapshots, &number.to_string()).unwrap());
        }
        let there = || {
            let mut names: Vec<_> = snapshots
                .dir()
                .read_dir_utf8()
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_owned())
                .collect();
            names.sort();
            names
        };
        assert_eq!(there().len(), KEPT + 1, "the first is in use: {:?}", there());
        assert!(!there().contains(&"left.partial".to_owned()));
        drop(first);
        drop(provide(snapshots, "f").unwrap());
        assert!(!there().contains(&"0".to_owned()) && !there().contains(&"1".to_owned()), "{:?}", there());
        assert_eq!(there().len(), KEPT);
    }
}
