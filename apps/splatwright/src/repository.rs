//! The clone of Splatwright that a command works on, where there is one. Most commands need none: the pins of what they
//! may bring are compiled in.

use std::{
    env,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use splat_toolchain::{Repo, probe};

use crate::hint::hinted;

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

/// What the clone says.
pub fn facts() -> Repo {
    probe::repo(&root().unwrap_or_default())
}

fn above(folder: &Path) -> Option<PathBuf> {
    let is_root = |path: &&Path| path.join("xtask").is_dir() && path.join("vendor/requirements").is_dir();
    folder.ancestors().find(is_root).map(Path::to_owned)
}
