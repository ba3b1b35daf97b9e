//! The cache folder: its layout, its lock, its temporary folders. A folder under its final name is always
//! whole, because everything is made in `v1/tmp` and renamed; what a killed process left there is removed by
//! the next one that holds the lock. Does not know what is installed.
//!
//! Layout: `<root>/v1/{<item folders>, downloads/, tmp/, lock, holder.json}`.

use std::{
    fs::TryLockError,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use fs_err as fs;
use serde::{Deserialize, Serialize};
use splat_toolchain::managed::BUCKET;
use tempfile::TempDir;

use super::progress::{Progress, Step};
use crate::{hint::hinted, ui};

/// Backup programs skip a folder that holds this file; the first line is its fixed signature.
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # Splatwright's toolchains and downloads. `cargo xtask build` brings all of it again.\n";

/// An opened cache. Opening succeeds on a read-only one: what lies in it can still be used.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    /// Why nothing can be written, if so.
    refusal: Option<String>,
}

/// The right to change the cache, until dropped. The system takes it back from a process that dies.
#[derive(Debug)]
pub struct Lock {
    _file: std::fs::File,
    holder: PathBuf,
}

/// Who holds the lock, for the message to whoever waits.
#[derive(Serialize, Deserialize)]
struct Holder {
    pid: u32,
    what: String,
    since: u64,
}

impl Cache {
    /// Opens the cache at `root` (`$SPLATWRIGHT_HOME`, or what the probe found), making it if it is not there.
    ///
    /// # Errors
    /// `root` is no folder, or is absent and cannot be made.
    pub fn open(root: &Path) -> Result<Self> {
        let root = std::path::absolute(root).with_context(|| format!("`{}` is no path", root.display()))?;
        // A tag in a folder that holds other people's files would hide them from their backups.
        let ours = match fs::read_dir(&root) {
            Ok(mut entries) => entries
                .all(|entry| entry.is_ok_and(|e| e.file_name() == BUCKET || e.file_name() == "CACHEDIR.TAG")),
            Err(_) => true,
        };
        if root.exists() && !root.is_dir() {
            return Err(hinted(
                format!("the cache `{}` is a file, not a folder", root.display()),
                elsewhere(),
            ));
        }
        if let Err(error) = fs::create_dir_all(&root) {
            return Err(hinted(format!("the cache folder cannot be made: {error}"), elsewhere()));
        }
        let cache = Self { refusal: prepare(&root, ours).err().map(|e| e.to_string()), root };
        Ok(cache)
    }

    /// The folder that `$SPLATWRIGHT_HOME` names.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of this format's items.
    pub fn bucket(&self) -> PathBuf {
        self.root.join(BUCKET)
    }

    /// Where downloaded archives are kept.
    pub fn downloads(&self) -> PathBuf {
        self.bucket().join("downloads")
    }

    /// Whether something can be written.
    ///
    /// # Errors
    /// The cache is read-only; the message says that `needed` is missing there.
    pub fn writable(&self, needed: &str) -> Result<()> {
        match &self.refusal {
            None => Ok(()),
            Some(why) => Err(hinted(
                format!(
                    "{needed} is not in the cache `{}`, which cannot be written ({why})",
                    self.root.display()
                ),
                elsewhere(),
            )),
        }
    }

    /// Waits for other builds and takes the lock; `what` tells them in turn what this one does.
    /// Unfinished folders of dead processes are removed then.
    ///
    /// # Errors
    /// The cache is read-only, or its file system has no locks.
    pub fn lock(&self, what: &str, progress: &mut dyn Progress) -> Result<Lock> {
        self.writable(what)?;
        let path = self.bucket().join("lock");
        let holder = self.bucket().join("holder.json");
        let file = fs::OpenOptions::new().create(true).append(true).open(&path)?.into_parts().0;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress.say(&waiting(&holder, &self.root));
                progress.step(Step::Waiting);
                file.lock().with_context(|| format!("cannot lock `{}`", path.display()))?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(hinted(
                    format!("the file system of `{}` gives no locks ({error})", self.root.display()),
                    elsewhere(),
                ));
            }
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let me = Holder { pid: std::process::id(), what: what.to_owned(), since };
        // Only for the message of others: a full disk must not stop us here.
        let _ = fs::write(&holder, serde_json::to_vec(&me)?);
        let lock = Lock { _file: file, holder };
        progress.step(Step::Locked);
        self.sweep(progress)?;
        Ok(lock)
    }

    /// A new temporary folder on the cache's own file system; gone when dropped.
    pub(super) fn scratch(&self, _lock: &Lock, name: &str) -> Result<TempDir> {
        let tmp = self.tmp();
        fs::create_dir_all(&tmp)?;
        let prefix = format!("{name}-{}-", std::process::id());
        tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(&tmp)
            .with_context(|| format!("cannot make a temporary folder in `{}`", tmp.display()))
    }

    fn tmp(&self) -> PathBuf {
        self.bucket().join("tmp")
    }

    /// Under the lock, whatever lies in `tmp` belongs to nobody.
    fn sweep(&self, progress: &mut dyn Progress) -> Result<()> {
        let Ok(entries) = fs::read_dir(self.tmp()) else { return Ok(()) };
        for entry in entries {
            let path = entry?.path();
            progress.say(&format!("removing `{}`, left by an interrupted run", path.display()));
            remove(&path)?;
        }
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The lock itself goes with the file. The note would only mislead.
        let _ = fs::remove_file(&self.holder);
    }
}

/// Puts the folder `new` at `place`. A folder that stands there goes into `scratch`, which is about to vanish.
pub(super) fn place(new: &Path, place: &Path, scratch: &TempDir, progress: &mut dyn Progress) -> Result<()> {
    if place.symlink_metadata().is_ok() {
        fs::rename(place, scratch.path().join("replaced"))?;
    }
    progress.step(Step::Displaced);
    fs::rename(new, place)?;
    progress.step(Step::Placed);
    Ok(())
}

/// Free bytes on the file system of `path`, if it says.
pub(super) fn free_space(path: &Path) -> Option<u64> {
    fs4::available_space(path).ok()
}

/// Whether an error below is that of a full disk.
pub(super) fn is_disk_full(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|e| matches!(e.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded))
}

fn prepare(root: &Path, ours: bool) -> Result<()> {
    let bucket = root.join(BUCKET);
    fs::create_dir_all(&bucket)?;
    // Also the test of whether it can be written.
    fs::OpenOptions::new().create(true).append(true).open(bucket.join("lock"))?;
    let tag = if ours { root.join("CACHEDIR.TAG") } else { bucket.join("CACHEDIR.TAG") };
    if !tag.exists() {
        fs::write(&tag, CACHEDIR_TAG)?;
    }
    Ok(())
}

fn waiting(holder: &Path, root: &Path) -> String {
    let text = fs::read(holder).ok().and_then(|text| serde_json::from_slice::<Holder>(&text).ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    match text {
        Some(Holder { pid, what, since }) => format!(
            "waiting for another build: process {pid} has held `{}` for {} s ({what})",
            root.display(),
            now.saturating_sub(since)
        ),
        None => format!("waiting for another build, which holds `{}`", root.display()),
    }
}

/// Removes a file, a link or a folder; read-only folders inside too.
fn remove(path: &Path) -> Result<()> {
    let result =
        if path.symlink_metadata()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    result.with_context(|| format!("cannot remove `{}`", path.display()))
}

fn elsewhere() -> String {
    "name a folder that can be written: SPLATWRIGHT_HOME=/path/to/cache cargo xtask build".to_owned()
}

/// `271 MB to download, 4.7 GB on disk`; sizes of 0 are not known and not said.
pub(super) fn sizes(download: u64, installed: u64) -> String {
    let mut parts = Vec::new();
    if download > 0 {
        parts.push(format!("{} to download", ui::bytes(download)));
    }
    if installed > 0 {
        parts.push(format!("{} on disk", ui::bytes(installed)));
    }
    parts.join(", ")
}
