//! The stamp of installed packages.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{FILE, State, digest, read, sha256, walk};

/// Files from here on are recorded beside the markers: a disk that filled up or a crash shows in these.
const LARGE: u64 = 1 << 20;

/// What an installation of packages was when it was finished.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The package's name.
    pub name: String,
    /// sha256 of the requirements file's text.
    pub requirements: String,
    /// Version of the interpreter that it was installed for.
    pub python: String,
    /// How many files it has.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// Bytes of the markers and of the large files, by path with `/`.
    pub sizes: BTreeMap<String, u64>,
    /// Every file, unless there are more than `HELD` bytes of them; empty in stamps of older versions too.
    #[serde(default)]
    pub held: BTreeMap<String, Held>,
}

/// A file as it was installed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its size.
    pub bytes: u64,
    /// When it was last modified, in nanoseconds since 1970.
    pub time: u64,
    /// 64 hexadecimal digits.
    pub sha256: String,
}

/// Installations up to this size hold every file: the compiler, cmake, node, the viewer.
const HELD: u64 = 500_000_000;

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
            held: BTreeMap::new(),
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
        if stamp.bytes <= HELD {
            walk(dir, &mut |path, bytes| {
                let file = dir.join(path);
                let held = Held { bytes, time: time(&file)?, sha256: sha256(&file)? };
                stamp.held.insert(path.to_owned(), held);
                Ok(())
            })?;
        }
        Ok(stamp)
    }

    /// Compares every file with what is held of it, by size and time, and by hash where those differ or `deep` asks.
    fn compare(&self, dir: &Path, deep: bool) -> Result<()> {
        if self.held.is_empty() {
            return if deep { compare_records(dir) } else { Ok(()) };
        }
        let mut found = 0;
        walk(dir, &mut |path, bytes| {
            // What Python compiles as it runs is no part of an installation.
            if path == FILE || path.ends_with(".pyc") && !self.held.contains_key(path) {
                return Ok(());
            }
            let held = self.held.get(path).with_context(|| format!("`{path}` was added"))?;
            let file = dir.join(path);
            let touched = bytes != held.bytes || time(&file)? != held.time;
            if deep || touched {
                let hash = sha256(&file)?;
                anyhow::ensure!(
                    hash == held.sha256,
                    "`{path}` was altered: its sha256 is {hash}, and {} was installed",
                    held.sha256
                );
            }
            found += 1;
            Ok(())
        })?;
        let gone = || self.held.keys().find(|path| !dir.join(path).exists()).map_or("a file", String::as_str);
        anyhow::ensure!(found == self.held.len(), "`{}` is gone", gone());
        Ok(())
    }

    /// Reads every byte of an installation and compares hashes: with its stamp, else with the packages' own records.
    ///
    /// # Errors
    /// The first file that is not what was installed, or there is no stamp.
    pub fn deep(dir: &Path) -> Result<()> {
        match read::<Self>(dir) {
            Ok(Some(stamp)) => stamp.compare(dir, true),
            Ok(None) => anyhow::bail!("there is no folder"),
            Err(why) => anyhow::bail!(why),
        }
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
        match stamp.compare(dir, false) {
            Ok(()) => State::Whole,
            Err(error) => State::Damaged(error.to_string()),
        }
    }
}

/// Every file that the packages' RECORD gives a hash, with that hash.
fn compare_records(dir: &Path) -> Result<()> {
    let mut compared = 0;
    for entry in fs::read_dir(dir)? {
        let record = entry?.path().join("RECORD");
        let Ok(text) = fs::read_to_string(&record) else { continue };
        for line in text.lines() {
            let mut fields = line.rsplitn(3, ',');
            let (_, sum, path) = (fields.next(), fields.next(), fields.next());
            let Some((expected, path)) = sum.and_then(|sum| sum.strip_prefix("sha256=")).zip(path) else {
                continue;
            };
            let path = path.trim_matches('"');
            // pip puts programs elsewhere than RECORD says when it installs into a folder.
            let Ok(hash) = digest(&dir.join(path)) else { continue };
            let got = URL_SAFE_NO_PAD.encode(hash);
            anyhow::ensure!(
                got == expected,
                "`{path}` was altered: its sha256 is {got}, and RECORD says {expected}"
            );
            compared += 1;
        }
    }
    anyhow::ensure!(compared > 0, "nothing tells what its files were: its stamp is of an older version");
    Ok(())
}

fn time(file: &Path) -> Result<u64> {
    let since = fs::metadata(file)?.modified()?.duration_since(std::time::UNIX_EPOCH);
    Ok(since.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::super::{
        tests::{damage, folder},
        write,
    };
    use super::*;

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
    fn every_file_is_held_and_hashed_where_size_or_time_changed() {
        let dir = folder();
        let (small, markers) = (dir.path().join("lib/a.so"), ["lib/big.so".to_owned()]);
        write(dir.path(), &Installed::measure(dir.path(), "x", "h", "3.11", &markers).unwrap()).unwrap();
        let state = || Installed::state(dir.path(), "h", &markers);
        assert_eq!(state(), State::Whole);
        // Touched and not altered.
        fs::write(&small, [0; 100]).unwrap();
        assert_eq!(state(), State::Whole);
        // One bit, as a copy tool or a person would change it.
        let mut bytes = vec![0; 100];
        bytes[50] = 1;
        fs::write(&small, &bytes).unwrap();
        assert!(damage(state()).contains("`lib/a.so` was altered"));
        fs::write(&small, [0; 100]).unwrap();
        fs::write(dir.path().join("lib/new.so"), "").unwrap();
        assert!(damage(state()).contains("`lib/new.so` was added"));
        fs::remove_file(dir.path().join("lib/new.so")).unwrap();
        fs::remove_file(&small).unwrap();
        assert!(damage(state()).contains("`lib/a.so` is gone"));
    }

    #[test]
    fn a_bit_that_a_disk_flipped_is_seen_by_the_deep_look_alone() {
        let dir = folder();
        let small = dir.path().join("lib/a.so");
        write(dir.path(), &Installed::measure(dir.path(), "x", "h", "3.11", &[]).unwrap()).unwrap();
        let before = fs::metadata(&small).unwrap().modified().unwrap();
        fs::write(&small, [2; 100]).unwrap();
        fs::OpenOptions::new().write(true).open(&small).unwrap().file().set_modified(before).unwrap();
        assert_eq!(Installed::state(dir.path(), "h", &[]), State::Whole);
        assert!(Installed::deep(dir.path()).unwrap_err().to_string().contains("`lib/a.so` was altered"));
    }

    #[test]
    fn a_huge_installation_is_looked_at_through_its_packages_records() {
        let dir = folder();
        let mut stamp = Installed::measure(dir.path(), "x", "h", "3.11", &[]).unwrap();
        stamp.held.clear();
        write(dir.path(), &stamp).unwrap();
        assert!(Installed::deep(dir.path()).unwrap_err().to_string().contains("of an older version"));
        fs::create_dir(dir.path().join("a-1.dist-info")).unwrap();
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest([0; 100]));
        fs::write(
            dir.path().join("a-1.dist-info/RECORD"),
            format!("lib/a.so,sha256={hash},100\na-1.dist-info/RECORD,,\n"),
        )
        .unwrap();
        Installed::deep(dir.path()).unwrap();
        fs::write(dir.path().join("lib/a.so"), [3; 100]).unwrap();
        assert!(Installed::deep(dir.path()).unwrap_err().to_string().contains("RECORD says"));
    }

    #[test]
    fn a_marker_that_the_packages_lack_is_an_error() {
        let dir = folder();
        let error = Installed::measure(dir.path(), "x", "h", "3.11", &["bin/nvcc".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("`bin/nvcc` is not among"), "{error}");
    }
}
