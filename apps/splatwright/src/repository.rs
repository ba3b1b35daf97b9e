//! The clone of Splatwright that a command works on, where there is one. Most commands need none: the pins of what they
//! may bring are compiled in.

use std::{
    env,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use splat_toolchain::{Repo, probe};

use crate::{hint::hinted, provision::Cache, switch};

/// The files of `vendor/` at the time of compilation: their paths in the repository, and their texts.
const PINS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/pins.rs"));

static NAMED: OnceLock<PathBuf> = OnceLock::new();

/// Names the clone, for a program that knows where it belongs. Only the first call counts.
pub fn name(root: PathBuf) {
    let _ = NAMED.set(root);
}

/// The root of the clone: the named one, else the one around the current folder.
pub fn root() -> Option<PathBuf> {
    NAMED.get().cloned().or_else(|| above(&env::current_dir().ok()?))
}

/// The root of the clone.
///
/// # Errors
/// Outside a clone.
pub fn required() -> anyhow::Result<PathBuf> {
    root().ok_or_else(|| {
        hinted(
            "this command needs a clone of the Splatwright repository, and the current folder is not inside one",
            "change to the clone's folder and run it again",
        )
    })
}

/// What the clone says; outside one, the pins that are compiled in.
pub fn facts() -> Repo {
    if let Some(root) = root() {
        return probe::repo(&root);
    }
    Repo {
        root: env::current_dir().unwrap_or_default(),
        own_kernels: true,
        requirements: PINS.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect(),
        ..Repo::default()
    }
}

/// A folder whose `vendor/` has the pins: the clone, or outside one a folder of the cache.
///
/// # Errors
/// The cache cannot be written.
pub fn with_pins(cache: &Cache) -> anyhow::Result<PathBuf> {
    if let Some(root) = root() {
        return Ok(root);
    }
    let all: String = PINS.iter().map(|(path, text)| format!("{path}\n{text}")).collect();
    let folder = cache.root().join(format!("pins-{}", splat_toolchain::managed::pin_hash(&all)));
    for (path, text) in PINS {
        let path = folder.join(path);
        if fs_err::read_to_string(&path).is_ok_and(|there| there == *text) {
            continue;
        }
        switch::replace(&path, text.as_bytes())?;
    }
    Ok(folder)
}

fn above(folder: &Path) -> Option<PathBuf> {
    let is_root = |path: &&Path| path.join("xtask").is_dir() && path.join("vendor/requirements").is_dir();
    folder.ancestors().find(is_root).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pins_that_are_compiled_in_are_those_of_the_clone() {
        let root = root().expect("these tests run in a clone");
        let there = probe::repo(&root).requirements;
        for (path, text) in there.iter().filter(|(path, _)| path.starts_with("vendor/")) {
            let ours = PINS.iter().find(|(pinned, _)| pinned == path).map(|(_, text)| *text);
            assert_eq!(ours, Some(text.as_str()), "{path}");
        }
        assert!(there.len() > 4, "{there:?}");
    }
}
