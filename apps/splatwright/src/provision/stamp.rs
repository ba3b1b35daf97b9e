//! Stamps: the last file written into a folder before it is renamed into place, and how a folder is compared
//! with its stamp. Two kinds: installed packages (sizes of the markers and of every large file, cheap enough
//! for every build), and extracted sources (the sha256 of every file).

use std::{collections::BTreeMap, io::Read, path::Path};

use anyhow::{Context, Result};
use fs_err as fs;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use splat_toolchain::managed::hex;

/// The stamp's name in the folder it speaks of.
pub const FILE: &str = ".splatwright.json";

/// Files from here on are recorded beside the markers: a disk that filled up or a crash shows in these.
const LARGE: u64 = 1 << 20;

/// What an installation of packages was when it was finished.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    pub name: String,
    /// sha256 of the requirements file's text.
    pub requirements: String,
    /// Version of the interpreter that it was installed for.
    pub python: String,
    pub files: u64,
    pub bytes: u64,
    /// Bytes of the markers and of the large files, by path with `/`.
    pub sizes: BTreeMap<String, u64>,
}

/// What an extraction of pinned sources was.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    pub name: String,
    /// sha256 of the archive.
    pub archive: String,
    /// sha256 of every file, by path with `/`.
    pub files: BTreeMap<String, String>,
}

/// A folder seen through its stamp.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    Absent,
    Whole,
    /// Something is there, but it is not what was installed; why, with what was found and what was expected.
    Damaged(String),
}

impl Installed {
    /// Measures a finished installation. `markers` must exist in it.
    pub fn measure(
        dir: &Path,
        name: &str,
        requirements: &str,
        python: &str,
        markers: &[String],
    ) -> Result<Self> {
        let mut stamp = Self {
            name: name.to_owned(),
            requirements: requirements.to_owned(),
            python: python.to_owned(),
            files: 0,
            bytes: 0,
            sizes: BTreeMap::new(),
        };
        walk(dir, &mut |path, length| {
            stamp.files += 1;
            stamp.bytes += length;
            if length >= LARGE {
                stamp.sizes.insert(path.to_owned(), length);
            }
            Ok(())
        })?;
        for marker in markers {
            let length = fs::metadata(dir.join(marker)).with_context(|| {
                format!("the packages of `{name}` were installed, but `{marker}` is not among their files")
            })?;
            stamp.sizes.insert(marker.clone(), length.len());
        }
        Ok(stamp)
    }

    /// Compares `dir` with its stamp, and the stamp with the requirements' hash.
    pub fn state(dir: &Path, requirements: &str, markers: &[String]) -> State {
        let stamp: Self = match read(dir) {
            Ok(Some(stamp)) => stamp,
            Ok(None) => return State::Absent,
            Err(why) => return State::Damaged(why),
        };
        if stamp.requirements != requirements {
            return State::Damaged(format!(
                "it was installed from requirements {:.12}, and the repository's are {requirements:.12}",
                stamp.requirements
            ));
        }
        if let Some(marker) = markers.iter().find(|marker| !stamp.sizes.contains_key(*marker)) {
            return State::Damaged(format!("its stamp does not speak of `{marker}`"));
        }
        for (path, expected) in &stamp.sizes {
            match std::fs::metadata(dir.join(path)) {
                Ok(found) if found.len() == *expected => {}
                Ok(found) => {
                    return State::Damaged(format!(
                        "`{path}` has {} bytes, and {expected} were installed",
                        found.len()
                    ));
                }
                Err(error) => return State::Damaged(format!("`{path}` is gone ({error})")),
            }
        }
        State::Whole
    }
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

/// The sha256 of a file as lower-case hexadecimal, read in pieces.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&hasher.finalize())),
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

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("lib")).unwrap();
        fs::write(dir.path().join("lib/a.so"), [0; 100]).unwrap();
        fs::write(dir.path().join("lib/big.so"), vec![1; LARGE as usize]).unwrap();
        dir
    }

    fn damage(state: State) -> String {
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
    fn sizes_of_markers_and_of_large_files_are_held() {
        let dir = folder();
        let markers = ["lib/a.so".to_owned()];
        let stamp = Installed::measure(dir.path(), "x", "h", "3.11", &markers).unwrap();
        assert_eq!((stamp.files, stamp.bytes, stamp.sizes.len()), (2, 100 + LARGE, 2));
        write(dir.path(), &stamp).unwrap();
        assert_eq!(Installed::state(dir.path(), "h", &markers), State::Whole);

        let why = damage(Installed::state(dir.path(), "other", &markers));
        assert!(why.contains("requirements h") && why.contains("other"), "{why}");
        fs::write(dir.path().join("lib/big.so"), [1; 7]).unwrap();
        let why = damage(Installed::state(dir.path(), "h", &markers));
        assert!(why.contains("has 7 bytes, and 1048576 were"), "{why}");
        fs::remove_file(dir.path().join("lib/a.so")).unwrap();
        assert!(damage(Installed::state(dir.path(), "h", &markers)).contains("`lib/a.so` is gone"));
    }

    #[test]
    fn a_marker_that_the_packages_lack_is_an_error() {
        let dir = folder();
        let error = Installed::measure(dir.path(), "x", "h", "3.11", &["bin/nvcc".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("`bin/nvcc` is not among"), "{error}");
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
