//! Stamps: the last file written into a folder before it is renamed into place, and how a folder is compared
//! with its stamp. Two kinds: installed packages (sizes of the markers and of every large file; unless they are huge, as
//! torch is, also every file's size, time and sha256, which is computed again where size or time changed), and extracted
//! sources (the sha256 of every file).

mod installed;

use std::{collections::BTreeMap, io::Read, path::Path};

use anyhow::{Context, Result};
use fs_err as fs;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use splat_toolchain::managed::hex;

pub use self::installed::{Held, Installed};

/// The stamp's name in the folder it speaks of.
pub const FILE: &str = ".splatwright.json";

/// What an extraction of pinned sources was.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    /// The source's name.
    pub name: String,
    /// sha256 of the archive.
    pub archive: String,
    /// sha256 of every file, by path with `/`.
    pub files: BTreeMap<String, String>,
}

/// A folder seen through its stamp.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// There is no installation.
    Absent,
    /// The installation is complete.
    Whole,
    /// Something is there, but it is not what was installed; why, with what was found and what was expected.
    Damaged(String),
}

impl Extracted {
    /// Compares every file of `dir` with its stamp, and the stamp with the pinned archive.
    pub fn state(dir: &Path, archive: &str) -> State {
        let stamp: Self = match read(dir) {
            Ok(Some(stamp)) => stamp,
            Ok(None) => return State::Absent,
            Err(why) => return State::Damaged(why),
        };
        if stamp.archive != archive {
            return State::Damaged(format!(
                "it is of archive {:.12}, and {archive:.12} is pinned",
                stamp.archive
            ));
        }
        let mut found = 0;
        let compared = walk(dir, &mut |path, _| {
            if path == FILE {
                return Ok(());
            }
            let expected = stamp.files.get(path).with_context(|| format!("`{path}` was added"))?;
            let hash = sha256(&dir.join(path))?;
            anyhow::ensure!(
                hash == *expected,
                "`{path}` was altered: its sha256 is {hash}, and {expected} was extracted"
            );
            found += 1;
            Ok(())
        });
        match compared {
            Err(error) => State::Damaged(error.to_string()),
            Ok(()) if found != stamp.files.len() => {
                let gone = stamp.files.keys().find(|path| !dir.join(path).exists());
                State::Damaged(format!("`{}` is gone", gone.map_or("a file", String::as_str)))
            }
            Ok(()) => State::Whole,
        }
    }
}

/// Writes the stamp: the folder's last file.
pub fn write(dir: &Path, stamp: &impl Serialize) -> Result<()> {
    Ok(fs::write(dir.join(FILE), serde_json::to_vec_pretty(stamp)?)?)
}

/// `None`: there is no folder. `Err`: a folder whose stamp cannot be read, and why.
fn read<T: DeserializeOwned>(dir: &Path) -> Result<Option<T>, String> {
    if dir.symlink_metadata().is_err() {
        return Ok(None);
    }
    let text = std::fs::read(dir.join(FILE)).map_err(|e| format!("its stamp cannot be read ({e})"))?;
    serde_json::from_slice(&text).map(Some).map_err(|e| format!("its stamp is no stamp ({e})"))
}

/// The sha256 of a file as lower-case hexadecimal.
pub fn sha256(path: &Path) -> Result<String> {
    Ok(hex(&digest(path)?))
}

/// The sha256 of a file, read in pieces.
fn digest(path: &Path) -> Result<[u8; 32]> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finalize().into()),
            n => hasher.update(&piece[..n]),
        }
    }
}

/// Calls `visit` with each file's path relative to `root` (with `/`) and its bytes. Links are not followed
/// and not counted.
pub fn walk(root: &Path, visit: &mut dyn FnMut(&str, u64) -> Result<()>) -> Result<()> {
    fn descend(dir: &Path, prefix: &str, visit: &mut dyn FnMut(&str, u64) -> Result<()>) -> Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                descend(&entry.path(), &format!("{path}/"), visit)?;
            } else if kind.is_file() {
                visit(&path, entry.metadata()?.len())?;
            }
        }
        Ok(())
    }
    descend(root, "", visit)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("lib")).unwrap();
        fs::write(dir.path().join("lib/a.so"), [0; 100]).unwrap();
        fs::write(dir.path().join("lib/big.so"), vec![1; 1 << 20]).unwrap();
        dir
    }

    pub(super) fn damage(state: State) -> String {
        match state {
            State::Damaged(why) => why,
            other => panic!("not damaged but {other:?}"),
        }
    }

    #[test]
    fn a_folder_without_stamp_is_never_whole() {
        let dir = folder();
        assert_eq!(Installed::state(&dir.path().join("none"), "h", &[]), State::Absent);
        assert!(damage(Installed::state(dir.path(), "h", &[])).contains("stamp cannot be read"));
        fs::write(dir.path().join(FILE), "{\"name\": \"half").unwrap();
        assert!(damage(Installed::state(dir.path(), "h", &[])).contains("no stamp"));
    }

    #[test]
    fn altered_added_and_lost_sources_are_seen() {
        let dir = folder();
        let mut files = BTreeMap::new();
        walk(dir.path(), &mut |path, _| {
            files.insert(path.to_owned(), sha256(&dir.path().join(path))?);
            Ok(())
        })
        .unwrap();
        write(dir.path(), &Extracted { name: "x".into(), archive: "h".into(), files }).unwrap();
        assert_eq!(Extracted::state(dir.path(), "h"), State::Whole);
        assert!(damage(Extracted::state(dir.path(), "g")).contains("g is pinned"));

        fs::write(dir.path().join("lib/new.h"), "").unwrap();
        assert!(damage(Extracted::state(dir.path(), "h")).contains("`lib/new.h` was added"));
        fs::remove_file(dir.path().join("lib/new.h")).unwrap();
        fs::write(dir.path().join("lib/a.so"), [1; 100]).unwrap();
        assert!(damage(Extracted::state(dir.path(), "h")).contains("`lib/a.so` was altered"));
        fs::remove_file(dir.path().join("lib/a.so")).unwrap();
        assert!(damage(Extracted::state(dir.path(), "h")).contains("`lib/a.so` is gone"));
    }
}
