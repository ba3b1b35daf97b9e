//! What the repository says: the lock, the pins, the recorded choices, the vendored sources and the consent.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    config,
    machine::Fact,
    managed::{INRIA, ITEMS},
    request::Repo,
    version::Version,
};

/// Reads the repository at `root`. Files that are not there are absent facts, not errors.
pub fn repo(root: &Path) -> Repo {
    let read = |path: &str| fs_err::read_to_string(root.join(path)).ok();
    let mut repo = Repo {
        root: root.to_owned(),
        tch_locked: read("Cargo.lock").as_deref().and_then(locked_tch),
        consent: read("vendor/consent.toml").as_deref().and_then(recorded_consent),
        checkout: checkout(root),
        own_kernels: has_kernels(&root.join("crates/splat-cuda/kernels")),
        requirements: ITEMS
            .iter()
            .chain([&INRIA])
            .filter_map(|item| Some((item.requirements.to_owned(), read(item.requirements)?)))
            .collect::<BTreeMap<_, _>>(),
        ..Repo::default()
    };
    if let Some(text) = read(config::PATH) {
        match config::parse(&text) {
            Ok((settings, env)) => {
                repo.torch_gone = env.get("LIBTORCH").is_some_and(|path| !Path::new(path).is_dir());
                repo.settings = settings;
                repo.toolchain_env = env;
            }
            Err(error) => repo.toolchain_error = Some(error.to_string()),
        }
    }
    repo
}

/// The version after `name = "tch"`.
fn locked_tch(lock: &str) -> Option<Version> {
    let mut lines = lock.lines();
    lines.find(|line| line.trim() == "name = \"tch\"")?;
    lines.next()?.trim().strip_prefix("version = \"")?.strip_suffix('"')?.parse().ok()
}

/// `[inria] accepted = true`; a recorded no is no consent.
fn recorded_consent(text: &str) -> Option<Fact<String>> {
    let table: toml::Table = text.parse().ok()?;
    let accepted = table.get("inria")?.get("accepted")?.as_bool()?;
    accepted.then(|| Fact::new("inria".into(), "vendor/consent.toml"))
}

fn checkout(root: &Path) -> Option<PathBuf> {
    let path = root.join("vendor/diff-gaussian-rasterization");
    path.join("cuda_rasterizer").is_dir().then_some(path)
}

fn has_kernels(folder: &Path) -> bool {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.path().extension().is_some_and(|extension| extension == "cu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_of_tch() {
        let lock = "[[package]]\nname = \"tar\"\nversion = \"0.4.44\"\n\n[[package]]\nname = \"tch\"\nversion = \"0.24.0\"\nsource = \"registry\"\n";
        assert_eq!(locked_tch(lock).unwrap().to_string(), "0.24.0");
        assert_eq!(locked_tch("[[package]]\nname = \"tchu\"\nversion = \"1.0.0\"\n"), None);
    }

    #[test]
    fn only_a_recorded_yes_is_consent() {
        assert!(recorded_consent("[inria]\naccepted = true\ndate = \"2026-01-01\"\n").is_some());
        for text in ["[inria]\naccepted = false\n", "[inria]\n", "", "inria = true\n", "accepted = true\n"] {
            assert!(recorded_consent(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_repository_without_anything_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let repo = repo(dir.path());
        assert_eq!((repo.tch_locked, repo.checkout, repo.consent), (None, None, None));
        assert!(repo.requirements.is_empty() && repo.toolchain_error.is_none());
    }
}
