//! Packages folders: what lies in those of the interpreters that were asked, and the folders of environments that
//! are not active (conda, virtual, per-user, the system's). Folder names and small text files; nothing is run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::env::{Env, Os};

/// Packages whose version decides something: build tools, and extensions that several sources publish.
const TOLD: &[&str] = &[
    "setuptools",
    "wheel",
    "ninja",
    "packaging",
    "pip",
    "numpy",
    "diff_gaussian_rasterization",
    "simple_knn",
    "gsplat",
    "fused_ssim",
];

/// Versions of the told packages in these folders (the first folder that has one counts), and the origin of each
/// that was installed from a folder or a repository.
pub(crate) fn packages(folders: &[PathBuf]) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let mut versions = BTreeMap::new();
    let mut origins = BTreeMap::new();
    for folder in folders {
        for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((package, version)) = parse_dist_info(&name) else { continue };
            if versions.contains_key(&package) {
                continue;
            }
            let url = fs_err::read_to_string(entry.path().join("direct_url.json")).ok();
            if let Some(url) = url.as_deref().and_then(parse_direct_url) {
                origins.insert(package.clone(), url);
            }
            versions.insert(package, version);
        }
    }
    (versions, origins)
}

/// `setuptools-81.0.0.dist-info`, if it is one that is told.
fn parse_dist_info(folder: &str) -> Option<(String, String)> {
    let (name, version) = folder.strip_suffix(".dist-info")?.split_once('-')?;
    let name = name.to_lowercase().replace(['.', '-'], "_");
    // Libraries that bear a CUDA major version in their name (E64).
    let library = name.starts_with("nvidia_cuda_runtime") || name.starts_with("nvidia_cublas");
    (library || TOLD.contains(&name.as_str())).then(|| (name, version.to_owned()))
}

fn parse_direct_url(text: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    json.get("url")?.as_str().map(str::to_owned)
}

/// Packages folders of environments that nobody activated, each with how it was found.
pub(crate) fn inactive(env: &Env, repo: &Path) -> Vec<(PathBuf, String)> {
    let mut environments: Vec<(PathBuf, &str)> = Vec::new();
    for name in [".venv", "venv"] {
        environments.push((repo.join(name), "virtual environment"));
    }
    let home = env.var(if env.os == Os::Windows { "USERPROFILE" } else { "HOME" }).map(PathBuf::from);
    if let Some(home) = &home {
        let listed = fs_err::read_to_string(home.join(".conda/environments.txt")).unwrap_or_default();
        environments.extend(listed.lines().map(|line| (PathBuf::from(line.trim()), "conda environment")));
        for name in ["miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba"] {
            let root = home.join(name);
            environments
                .extend(below(&root.join("envs")).into_iter().map(|path| (path, "conda environment")));
            environments.push((root, "conda environment"));
        }
        environments.extend(below(&home.join(".pyenv/versions")).into_iter().map(|path| (path, "pyenv")));
        environments.push((home.join(".local"), "per-user packages"));
    }
    match env.os {
        Os::Windows => {
            for (name, inner) in [("LOCALAPPDATA", "Programs/Python"), ("APPDATA", "Python")] {
                if let Some(folder) = env.var(name) {
                    let folder = Path::new(folder).join(inner);
                    environments.extend(below(&folder).into_iter().map(|path| (path, "Python installation")));
                }
            }
        }
        Os::Linux | Os::Macos => {
            for place in ["/opt/conda", "/usr", "/usr/local"] {
                environments.push((env.place(place), "the system's packages"));
            }
        }
    }
    let mut found: Vec<(PathBuf, String)> = Vec::new();
    for (environment, what) in environments {
        for folder in site_packages(env.os, &environment) {
            if !found.iter().any(|(known, _)| *known == folder) {
                found.push((folder, format!("{what} {}", environment.display())));
            }
        }
    }
    found
}

/// Folders in which a libtorch archive is usually unpacked.
pub(crate) fn archives(env: &Env) -> Vec<PathBuf> {
    let home = env.var(if env.os == Os::Windows { "USERPROFILE" } else { "HOME" });
    let mut found: Vec<PathBuf> = home.map(|home| Path::new(home).join("libtorch")).into_iter().collect();
    if env.os == Os::Windows {
        let drive =
            env.var("SystemDrive").map_or_else(|| env.place(""), |drive| PathBuf::from(format!("{drive}/")));
        found.push(drive.join("libtorch"));
    } else {
        found.extend(
            ["/opt/libtorch", "/usr/local/libtorch", "/usr/lib/libtorch"].map(|place| env.place(place)),
        );
    }
    found
}

fn site_packages(os: Os, environment: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if os == Os::Windows {
        found.push(environment.join("Lib/site-packages"));
        found.push(environment.join("site-packages"));
    } else {
        for folder in below(&environment.join("lib")) {
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("python3") {
                found.extend(["site-packages", "dist-packages"].map(|inner| folder.join(inner)));
            }
        }
    }
    found.retain(|folder| folder.join("torch").is_dir());
    found
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_by_the_name_of_their_folder() {
        assert_eq!(
            parse_dist_info("setuptools-81.0.0.dist-info"),
            Some(("setuptools".into(), "81.0.0".into()))
        );
        assert_eq!(parse_dist_info("torchvision-0.26.0.dist-info"), None);
        let url = r#"{"dir_info": {}, "url": "file:///srv/submodules/simple-knn"}"#;
        assert_eq!(parse_direct_url(url).unwrap(), "file:///srv/submodules/simple-knn");
        assert_eq!(parse_direct_url("{"), None);
    }

    #[test]
    fn environments_that_hold_torch_are_found_without_running_them() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str| fs_err::create_dir_all(root.path().join(path)).unwrap();
        make("h/miniconda3/envs/gs/lib/python3.10/site-packages/torch");
        make("h/miniconda3/envs/empty/lib/python3.10/site-packages");
        make("h/.local/lib/python3.11/site-packages/torch");
        make("usr/lib/python3/dist-packages/torch");
        let home = root.path().join("h").display().to_string();
        let env = Env::new([("HOME".to_owned(), home)], root.path(), Os::Linux);
        let found = inactive(&env, &root.path().join("repo"));
        let what: Vec<&str> = found.iter().map(|(_, what)| what.split(' ').next().unwrap()).collect();
        assert_eq!(what, ["conda", "per-user", "the"], "{found:?}");
    }
}
