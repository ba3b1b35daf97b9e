//! Exchanges packages of an environment file by file, by renames within one folder tree, with a journal written
//! before the first one: whoever is killed in between leaves enough to put everything back. Knows no pip.
//!
//! Layout: `<prefix>/.splatwright-torch/{journal.json, stage/, trash/}`; paths in the journal are relative to the
//! prefix.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::hint::hinted;

const FOLDER: &str = ".splatwright-torch";

/// What is exchanged, relative to the prefix.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Journal {
    /// Files of the old packages.
    remove: Vec<PathBuf>,
    /// Files of the new ones.
    add: Vec<PathBuf>,
}

/// A place for new packages beside an environment; gone when dropped.
#[derive(Debug)]
pub(super) struct Exchange {
    prefix: PathBuf,
    stage: PathBuf,
    done: bool,
}

/// New packages in place, old ones kept until [`Self::keep`].
#[derive(Debug)]
pub(super) struct Exchanged(Exchange);

impl Exchange {
    /// Makes the folder.
    pub(super) fn begin(prefix: &Path) -> Result<Self> {
        let folder = prefix.join(FOLDER);
        fs::create_dir(&folder).map_err(|error| {
            let why = match error.kind() {
                std::io::ErrorKind::AlreadyExists => "another installation is at work there".to_owned(),
                _ => error.to_string(),
            };
            hinted(
                format!("`{}` cannot be changed: {why}", prefix.display()),
                format!("if none is at work, move `{}` elsewhere", folder.display()),
            )
        })?;
        let exchange = Self { prefix: prefix.to_owned(), stage: folder.join("stage"), done: false };
        fs::create_dir(&exchange.stage)?;
        fs::create_dir(exchange.trash())?;
        Ok(exchange)
    }

    fn folder(&self) -> PathBuf {
        self.prefix.join(FOLDER)
    }

    /// Where the new packages are laid out.
    pub(super) fn stage(&self) -> &Path {
        &self.stage
    }

    fn trash(&self) -> PathBuf {
        self.folder().join("trash")
    }

    /// Moves the files of `old` out and those of the stage in. An error leaves everything as it was.
    pub(super) fn exchange(mut self, old: &BTreeSet<PathBuf>) -> Result<Exchanged> {
        let moves = self.prepare(old)?;
        for (from, to) in &moves {
            if let Err(error) = rename(from, to) {
                recover(&self.prefix)?;
                self.done = true;
                return Err(error.context("the packages could not be exchanged; the old ones are in place"));
            }
        }
        Ok(Exchanged(self))
    }

    /// Writes the journal; the renames to come, in order.
    fn prepare(&self, old: &BTreeSet<PathBuf>) -> Result<Vec<(PathBuf, PathBuf)>> {
        let mut journal = Journal { remove: old.iter().cloned().collect(), add: Vec::new() };
        list(&self.stage, &self.stage, &mut journal.add)?;
        anyhow::ensure!(!journal.add.is_empty(), "pip laid out no files");
        let path = self.folder().join("journal.json");
        let temporary = self.folder().join("journal.tmp");
        let file = fs::File::create(&temporary)?;
        serde_json::to_writer(&file, &journal)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        let out = |file: &PathBuf| (self.prefix.join(file), self.trash().join(file));
        let in_the_way =
            |file: &&PathBuf| !old.contains(*file) && self.prefix.join(file).symlink_metadata().is_ok();
        let mut moves: Vec<_> = journal.remove.iter().map(out).collect();
        moves.extend(journal.add.iter().filter(in_the_way).map(out));
        moves.extend(journal.add.iter().map(|file| (self.stage.join(file), self.prefix.join(file))));
        Ok(moves)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.done && !self.folder().join("journal.json").exists() {
            let _ = fs::remove_dir_all(self.folder());
        }
    }
}

impl Exchanged {
    /// The new packages stay; the old ones go.
    pub(super) fn keep(mut self) -> Result<()> {
        let folder = self.0.folder();
        // Without the journal there is nothing to put back: from here on the new state stands.
        fs::remove_file(folder.join("journal.json"))?;
        self.0.done = true;
        let mut trashed = Vec::new();
        list(&self.0.trash(), &self.0.trash(), &mut trashed)?;
        fs::remove_dir_all(&folder)?;
        for file in trashed {
            prune(&self.0.prefix, &file);
        }
        Ok(())
    }

    /// The old packages come back.
    pub(super) fn undo(mut self) -> Result<()> {
        self.0.done = true;
        recover(&self.0.prefix).map(|_| ())
    }
}

/// Puts back what an interrupted exchange moved. Whether there was one.
pub(super) fn recover(prefix: &Path) -> Result<bool> {
    let folder = prefix.join(FOLDER);
    let Ok(text) = fs::read(folder.join("journal.json")) else {
        return Ok(false);
    };
    let journal: Journal =
        serde_json::from_slice(&text).context("the journal of an interrupted installation")?;
    let (stage, trash) = (folder.join("stage"), folder.join("trash"));
    for file in &journal.add {
        // Taken from the stage: what stands there is the new one.
        if stage.join(file).symlink_metadata().is_err() && prefix.join(file).symlink_metadata().is_ok() {
            rename(&prefix.join(file), &stage.join(file))?;
        }
    }
    let mut old = Vec::new();
    list(&trash, &trash, &mut old)?;
    for file in old {
        rename(&trash.join(&file), &prefix.join(&file))?;
    }
    fs::remove_file(folder.join("journal.json"))?;
    fs::remove_dir_all(&folder)?;
    for file in &journal.add {
        prune(prefix, file);
    }
    Ok(true)
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::rename(from, to)?)
}

/// Removes the folders that held a file and are empty now, up to the prefix.
fn prune(prefix: &Path, file: &Path) {
    let mut folder = file.parent();
    while let Some(inside) = folder.filter(|inside| !inside.as_os_str().is_empty()) {
        let path = prefix.join(inside);
        let cache = path.join("__pycache__");
        if fs::remove_dir(&cache).is_err() && cache.exists() {
            return;
        }
        if fs::remove_dir(&path).is_err() {
            return;
        }
        folder = inside.parent();
    }
}

fn list(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
    entries.sort();
    for path in entries {
        if path.symlink_metadata()?.is_dir() {
            list(root, &path, files)?;
        } else if let Ok(inside) = path.strip_prefix(root) {
            files.push(inside.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::record::installed;
    use super::*;
    use crate::ext::Target;

    const SITE: &str = "lib/python3.11/site-packages";

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Every file below a folder with its text.
    fn state(root: &Path) -> Vec<(PathBuf, String)> {
        let mut files = Vec::new();
        list(root, root, &mut files).unwrap();
        files.into_iter().map(|file| (file.clone(), fs::read_to_string(root.join(file)).unwrap())).collect()
    }

    /// torch 1 with a script, a compiled file, and a file that another package owns.
    fn environment(root: &Path) -> Target {
        let site = root.join(SITE);
        write(&site, "torch/__init__.py", "one");
        write(&site, "torch/old.py", "old");
        write(&site, "torch/__pycache__/old.cpython-311.pyc", "compiled");
        write(&site, "nvidia/other/lib.so", "other");
        write(root, "bin/torchrun", "one");
        let record =
            "torch/__init__.py,,\ntorch/old.py,,\n../../../bin/torchrun,,\ntorch-1.0.dist-info/RECORD,,\n";
        write(&site, "torch-1.0.dist-info/RECORD", record);
        let text = format!(
            r#"{{"executable":"/p","version":"3.11.7","prefix":{root:?},"torch":null,"suffix":"","platform":"linux-x86_64",
                "include":"/i","library":"","setuptools":null,"wheel":null,"site":[{site:?}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn staged(target: &Target) -> (Exchange, BTreeSet<PathBuf>) {
        let exchange = Exchange::begin(&target.prefix).unwrap();
        let site = exchange.stage().join(SITE);
        write(&site, "torch/__init__.py", "two");
        write(&site, "torch/new/deep.py", "new");
        write(&site, "torch-2.0.dist-info/RECORD", "torch/__init__.py,,\n");
        write(exchange.stage(), "bin/torchrun", "two");
        let old = installed(target, &BTreeSet::from(["torch".to_owned()])).unwrap();
        (exchange, old)
    }

    #[test]
    fn the_new_package_replaces_the_old_one_wholly() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let target = environment(&root);
        let (exchange, old) = staged(&target);
        exchange.exchange(&old).unwrap().keep().unwrap();
        let site = root.join(SITE);
        assert_eq!(fs::read_to_string(site.join("torch/__init__.py")).unwrap(), "two");
        assert_eq!(fs::read_to_string(root.join("bin/torchrun")).unwrap(), "two");
        assert!(site.join("nvidia/other/lib.so").exists());
        for gone in ["torch/old.py", "torch/__pycache__", "torch-1.0.dist-info"] {
            assert!(!site.join(gone).exists(), "{gone} is still there");
        }
        assert!(!root.join(FOLDER).exists());
    }

    #[test]
    fn whenever_it_is_killed_the_old_state_comes_back() {
        let moves = {
            let dir = tempfile::tempdir().unwrap();
            let (exchange, old) = staged(&environment(dir.path()));
            exchange.prepare(&old).unwrap().len()
        };
        assert!(moves >= 8, "{moves}");
        for killed_after in 0..=moves {
            let dir = tempfile::tempdir().unwrap();
            let target = environment(dir.path());
            let before = state(dir.path());
            let (exchange, old) = staged(&target);
            for (from, to) in exchange.prepare(&old).unwrap().into_iter().take(killed_after) {
                rename(&from, &to).unwrap();
            }
            std::mem::forget(exchange); // nothing runs after a kill
            assert!(recover(dir.path()).unwrap());
            assert_eq!(state(dir.path()), before, "killed after {killed_after} renames");
            assert!(!recover(dir.path()).unwrap());
        }
    }

    #[test]
    fn undoing_and_dropping_leave_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        let target = environment(dir.path());
        let before = state(dir.path());
        let (exchange, old) = staged(&target);
        exchange.exchange(&old).unwrap().undo().unwrap();
        assert_eq!(state(dir.path()), before);
        drop(staged(&target));
        assert_eq!(state(dir.path()), before);
    }

    #[test]
    fn what_conda_installed_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let target = environment(dir.path());
        fs::remove_file(dir.path().join(SITE).join("torch-1.0.dist-info/RECORD")).unwrap();
        let error = installed(&target, &BTreeSet::from(["torch".to_owned()])).unwrap_err();
        assert!(error.to_string().contains("no RECORD"), "{error:#}");
    }
}
