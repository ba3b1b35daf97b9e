//! The viewer's libraries against what goes wrong at npm: a stand-in takes its place, so no network is needed.
#![cfg(unix)]

use std::path::{Path, PathBuf};

use fs_err as fs;
use splat_toolchain::{machine::Python, managed::VIEWER};
use splatwright::{
    hint,
    provision::{Cache, Context, Progress, viewer},
};
use tempfile::TempDir;

/// What npm would install, file by file.
const PACKAGES: &[&str] = &[
    "three/build/three.core.js",
    "three/build/three.module.js",
    "three/examples/jsm/controls/OrbitControls.js",
    "three/examples/jsm/postprocessing/Pass.js",
    "three/LICENSE",
    "@sparkjsdev/spark/dist/spark.module.min.js",
    "@sparkjsdev/spark/LICENSE",
    "fflate/LICENSE",
];

struct Quiet;

impl Progress for Quiet {
    fn say(&mut self, _line: &str) {}

    fn live(&self) -> bool {
        false
    }
}

/// A repository with pins, an empty cache, and a program that stands in for npm.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("repo").join(VIEWER.requirements);
        fs::create_dir_all(lock.parent().unwrap()).unwrap();
        fs::write(lock.with_file_name("package.json"), "{}").unwrap();
        fs::write(lock, "{\"packages\": {}}").unwrap();
        Self { dir }
    }

    /// Runs `script` where npm would run, and brings the libraries with it.
    fn bring(&self, script: &str) -> anyhow::Result<bool> {
        use std::os::unix::fs::PermissionsExt;
        let npm = self.dir.path().join("npm");
        fs::write(&npm, format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(&npm, std::fs::Permissions::from_mode(0o755)).unwrap();
        let cache = Cache::open(&self.dir.path().join("home"))?;
        let python = Python::default();
        let repo = self.dir.path().join("repo");
        let context = Context { repo: &repo, cache: &cache, python: &python, offline: false };
        viewer::ensure_with(&context, &viewer::Npm::program(npm), &mut Quiet)
    }

    /// Folders of the cache that bear the viewer's name.
    fn brought(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("home/v1")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("viewer-")).collect()
    }
}

/// A script that installs `files`, and fails unless it was called as npm should be.
fn installs(files: &[&str]) -> String {
    let mut script = String::from("case \"$*\" in ci*--ignore-scripts*) ;; *) exit 9 ;; esac\n");
    script += "test -e package.json && test -e package-lock.json || exit 8\n";
    for file in files {
        let folder = Path::new(file).parent().unwrap().display();
        script += &format!("mkdir -p node_modules/{folder} && echo '{file}' > node_modules/{file}\n");
    }
    script
}

#[test]
fn what_npm_brings_is_kept_with_its_licences_and_brought_once() {
    let place = Place::new();
    place.bring(&installs(PACKAGES)).unwrap();
    let [folder] = &place.brought()[..] else { panic!("{:?}", place.brought()) };
    assert!(VIEWER.lacks(folder).is_empty());
    let licence = fs::read_to_string(folder.join("LICENSE-spark")).unwrap();
    assert_eq!(licence.trim(), "@sparkjsdev/spark/LICENSE");
    // Whole: npm is not asked again. Damaged: it is.
    place.bring("exit 1").unwrap();
    fs::write(folder.join("Pass.js"), "cut").unwrap();
    place.bring("exit 1").unwrap_err();
    place.bring(&installs(PACKAGES)).unwrap();
    assert_eq!(fs::read_to_string(folder.join("Pass.js")).unwrap().trim(), PACKAGES[3]);
}

#[test]
fn whatever_fails_leaves_nothing_behind() {
    let place = Place::new();
    let partial = installs(&PACKAGES[1..]);
    for (script, says) in [
        ("echo 'npm error code EINTEGRITY' >&2; exit 1", "not what is pinned"),
        ("echo 'npm error code ENOTFOUND' >&2; exit 1", "could not be reached"),
        ("echo 'npm error ENOSPC' >&2; exit 1", "disk is full"),
        ("exit 3", "npm ended with"),
        (partial.as_str(), "three.core.js"),
    ] {
        let error = place.bring(script).unwrap_err();
        assert!(format!("{error:#}").contains(says), "{error:#}");
        assert_eq!(hint::of(&error).is_some(), says != "three.core.js", "{error:#}");
        assert!(place.brought().is_empty(), "{script}");
        assert!(fs::read_dir(place.dir.path().join("home/v1/tmp")).unwrap().next().is_none(), "{script}");
    }
}

#[test]
fn a_lock_that_names_a_registry_is_refused() {
    let place = Place::new();
    let lock = place.dir.path().join("repo").join(VIEWER.requirements);
    fs::write(lock, "{\"packages\": {\"a\": {\"resolved\": \"x\"}}}").unwrap();
    let error = place.bring("exit 0").unwrap_err();
    assert!(error.to_string().contains("names a registry"), "{error:#}");
}
