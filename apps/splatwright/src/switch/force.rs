//! Puts a plan in force: `.cargo/toolchain.toml`, and the row's tch in `Cargo.toml` and `Cargo.lock`, all or none.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use splat_toolchain::{Plan, Version, config};

use super::tch;
use crate::{cargo, hint::WithHint};

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// `.cargo/toolchain.toml` differs from before.
    pub file: bool,
    /// tch in the lock, before and after, if it moved.
    pub tch: Option<(Version, Version)>,
}

/// Writes the plan to `.cargo/toolchain.toml`, and the row's tch to `Cargo.toml` and `Cargo.lock`: all of them, or none.
/// Files that already say so are left alone, so that nothing is rebuilt for their time stamps.
///
/// # Errors
/// A file cannot be written, or cargo cannot move the lock; what was there before is put back.
pub fn put_in_force(root: &Path, plan: &Plan) -> anyhow::Result<Changed> {
    cargo::given(root);
    let files = [config::PATH, "Cargo.toml", "Cargo.lock"].map(|path| root.join(path));
    let before = [read(&files[0])?, read(&files[1])?, read(&files[2])?];
    match written(root, plan) {
        Ok(changed) => {
            record(root, plan);
            Ok(changed)
        }
        Err(error) => {
            for (file, before) in files.iter().zip(&before) {
                restore(file, before.as_deref())
                    .with_context(|| format!("`{}` could not be put back", file.display()))?;
            }
            Err(error)
        }
    }
}

fn written(root: &Path, plan: &Plan) -> anyhow::Result<Changed> {
    let mut changed = Changed { file: write(&root.join(config::PATH), &config::render(plan))?, tch: None };
    let manifest = root.join("Cargo.toml");
    if let Ok(text) = fs_err::read_to_string(&manifest) {
        write(&manifest, &tch::required(&text, plan.row))?;
    }
    changed.tch = tch::move_lock(root, plan)?;
    Ok(changed)
}

/// Whether the file was not already so.
fn write(path: &Path, text: &str) -> anyhow::Result<bool> {
    if read(path)?.as_deref() == Some(text.as_bytes()) {
        return Ok(false);
    }
    replace(path, text.as_bytes()).with_hint(
        format!("cannot write `{}`", path.display()),
        "check that the repository can be written",
    )?;
    Ok(true)
}

/// What a row's target directory was compiled against, for `cargo xtask clean`. A note, not a need.
fn record(root: &Path, plan: &Plan) {
    let folder = root.join(&plan.target_dir);
    if let (Some(torch), Ok(())) = (plan.torch.path(), fs_err::create_dir_all(&folder)) {
        let _ = fs_err::write(folder.join(RECORD), format!("{}\n", torch.display()));
    }
}

/// In a row's target directory: the torch it was compiled against.
pub const RECORD: &str = "splatwright-torch";

fn read(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn restore(path: &Path, before: Option<&[u8]>) -> anyhow::Result<()> {
    match before {
        Some(bytes) if read(path)?.as_deref() == Some(bytes) => Ok(()),
        Some(bytes) => replace(path, bytes),
        None if path.exists() => Ok(fs_err::remove_file(path)?),
        None => Ok(()),
    }
}

/// Writes a file so that a reader finds the old or the new contents, never half of one. Makes its folder.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let result = fs_err::write(&temporary, bytes).and_then(|()| fs_err::rename(&temporary, path));
    if result.is_err() {
        let _ = fs_err::remove_file(&temporary);
    }
    Ok(result?)
}

#[cfg(test)]
mod tests {
    use splat_toolchain::{Machine, Repo, Request, plan};

    use super::*;

    fn planned(root: &Path, row: &str) -> Plan {
        let request = Request { row: Some(row.into()), ..Request::default() };
        plan(&Machine::default(), &request, &Repo { root: root.to_owned(), ..Repo::default() })
    }

    #[test]
    fn a_lock_that_cannot_move_leaves_everything_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (root, file) = (dir.path(), dir.path().join(config::PATH));
        // No manifest: cargo cannot move anything here.
        let lock = "[[package]]\nname = \"tch\"\nversion = \"0.24.0\"\n";
        fs_err::write(root.join("Cargo.lock"), lock).unwrap();
        let error = put_in_force(root, &planned(root, "2.4")).unwrap_err();
        // Where there is no cargo at all (the tests as Windows programs under wine), that is the reason.
        let told = crate::hint::of(&error).is_some_and(|hint| hint.contains("cargo xtask switch torch 2.4"));
        assert!(
            (told && error.to_string().contains("tch from 0.24.0 to 0.17.0"))
                || error.to_string().contains("cannot start cargo"),
            "{error:#}"
        );
        assert!(!file.exists());
        assert_eq!(fs_err::read_to_string(root.join("Cargo.lock")).unwrap(), lock);

        put_in_force(root, &planned(root, "2.11")).unwrap();
        let before = fs_err::read_to_string(&file).unwrap();
        put_in_force(root, &planned(root, "2.4")).unwrap_err();
        assert_eq!(fs_err::read_to_string(&file).unwrap(), before);
        let left = fs_err::read_dir(root.join(".cargo")).unwrap().count();
        assert_eq!(left, 1, "a temporary file was left behind");
    }

    #[test]
    fn a_file_that_says_so_already_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let plan = planned(dir.path(), "2.11");
        assert!(put_in_force(dir.path(), &plan).unwrap().file);
        let time = || fs_err::metadata(dir.path().join(config::PATH)).unwrap().modified().unwrap();
        let before = time();
        assert_eq!(put_in_force(dir.path(), &plan).unwrap(), Changed::default());
        assert_eq!(time(), before);
    }
}
