//! Where tests find files: the shared data (datasets and trained scenes that are too large to commit), committed files and
//! built programs. Away from the repository (`cargo xtask bundle`) variables say where they are.
//!
//! For tests alone. Opens nothing and knows no format.
#![deny(missing_docs)]

use std::path::{Path, PathBuf};

/// `name`, a file or folder, in `$SPLAT_DATA` (default `<repository>/../shared/data`; an empty `name` is that folder
/// itself); None and a `skipped:` line on stdout where it is absent.
///
/// # Panics
/// With `CI=true` where it is absent: CI has all of it, and a test that is skipped there would go unseen.
#[expect(clippy::print_stdout, reason = "a test says on stdout that it was skipped")]
#[must_use]
pub fn shared(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SPLAT_DATA").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} not found", path.display());
    println!("skipped: {} not found", path.display());
    None
}

/// A committed file or folder: `path` in `$SPLAT_REPOSITORY`, or in the repository that this was compiled in.
#[must_use]
pub fn committed(path: &str) -> PathBuf {
    let root = std::env::var_os("SPLAT_REPOSITORY").map(PathBuf::from);
    root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).join(path)
}

/// A program: `built`, which is `env!("CARGO_BIN_EXE_NAME")`, or its namesake in `$SPLAT_PROGRAMS`.
#[must_use]
pub fn program(built: &str) -> PathBuf {
    let built = Path::new(built);
    match (std::env::var_os("SPLAT_PROGRAMS"), built.file_name()) {
        (Some(folder), Some(name)) => Path::new(&folder).join(name),
        _ => built.to_owned(),
    }
}
