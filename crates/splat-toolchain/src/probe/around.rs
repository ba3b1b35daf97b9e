//! What surrounds a build: the subsystem, the driver's own library, cuDNN, locale and code pages, the folders that
//! are used, conda packages taken for a toolkit, locks left behind. Files, and on Windows the registry.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::msvc::registry;
use crate::{
    env::{Env, Os},
    machine::{Cudnn, Fact, Folder, Locale, Python, Toolkit},
    version::Version,
};

/// Set on the Windows Subsystem for Linux.
pub(crate) fn wsl(env: &Env) -> Option<Fact<String>> {
    let line = env.read("/proc/version")?;
    let line = line.lines().next()?.trim().to_owned();
    line.to_lowercase().contains("microsoft").then(|| Fact::new(line, "/proc/version"))
}

/// The driver's library, where programs look for it.
pub(crate) fn driver_library(env: &Env) -> Option<Fact<PathBuf>> {
    let places: Vec<PathBuf> = if env.os == Os::Windows {
        env.var("SystemRoot").map(|root| Path::new(root).join("System32/nvcuda.dll")).into_iter().collect()
    } else {
        let folders = [
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/usr/lib64",
            "/usr/lib",
            "/usr/local/nvidia/lib64",
            "/usr/local/cuda/compat",
            "/usr/lib/wsl/lib",
        ];
        let fixed = folders.iter().map(|folder| env.place(folder));
        let path = env.var("LD_LIBRARY_PATH").unwrap_or_default();
        let named = path.split(':').filter(|dir| !dir.is_empty()).map(PathBuf::from);
        fixed.chain(named).map(|folder| folder.join("libcuda.so.1")).collect()
    };
    let found = places.into_iter().find(|path| path.is_file())?;
    let source = found.display().to_string();
    Some(Fact::new(found, source))
}

/// cuDNN in toolkits, beside the interpreters' packages, and where distributions put it.
pub(crate) fn cudnn(env: &Env, toolkits: &[Toolkit], pythons: &[Python]) -> Vec<Cudnn> {
    let mut headers: Vec<(PathBuf, String)> = Vec::new();
    for name in ["CUDNN_HOME", "CUDNN_PATH"] {
        if let Some(root) = env.var(name) {
            headers.push((Path::new(root).join("include"), name.into()));
        }
    }
    for toolkit in toolkits {
        headers.extend(toolkit.include.clone().map(|include| (include, "CUDA toolkit".to_owned())));
    }
    for folder in pythons.iter().flat_map(|python| &python.site_packages) {
        headers.push((folder.join("nvidia/cudnn/include"), "Python package".into()));
    }
    if let (Os::Windows, Some(programs)) = (env.os, env.var("ProgramFiles")) {
        // The installer of version 9 keeps cuDNN apart: CUDNN\v9.8\include\12.8.
        for version in entries(&Path::new(programs).join("NVIDIA/CUDNN")) {
            let include = version.join("include");
            let source = version.display().to_string();
            headers.extend(entries(&include).into_iter().map(|inner| (inner, source.clone())));
            headers.push((include, source));
        }
    }
    if env.os != Os::Windows {
        headers.push((env.place("/usr/include"), "/usr/include".into()));
        headers.push((env.place("/usr/include/x86_64-linux-gnu"), "/usr/include/x86_64-linux-gnu".into()));
    }
    let mut found: Vec<Cudnn> = Vec::new();
    for (folder, source) in headers {
        for name in ["cudnn_version.h", "cudnn_version_v9.h", "cudnn_version_v8.h"] {
            let header = folder.join(name);
            let Ok(text) = fs_err::read_to_string(&header) else { continue };
            if let Some(version) = parse_cudnn(&text)
                && !found.iter().any(|known| known.header == header)
            {
                found.push(Cudnn { version, header, source: source.clone() });
                break;
            }
        }
    }
    found
}

/// Folders in a folder, by name, the last first.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let found = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = found.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found.reverse();
    found
}

/// `#define CUDNN_MAJOR 9` and its two sisters.
fn parse_cudnn(text: &str) -> Option<Version> {
    let value = |name: &str| -> Option<u32> {
        let wanted = format!("CUDNN_{name}");
        text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("#define") && words.next() == Some(&wanted))
                .then(|| words.next())??
                .parse()
                .ok()
        })
    };
    Some(Version::new(&[value("MAJOR")?, value("MINOR")?, value("PATCHLEVEL").unwrap_or(0)]))
}

pub(crate) fn locale(env: &Env) -> Locale {
    let language = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| Some(Fact::new(env.var(name)?.to_owned(), name)));
    let page = |name: &str| {
        let key = r"HKLM\SYSTEM\CurrentControlSet\Control\Nls\CodePage";
        let page = registry(env, key, name)?.parse().ok()?;
        Some(Fact::new(page, format!("{key} {name}")))
    };
    if env.os == Os::Windows {
        Locale { language, ansi: page("ACP"), oem: page("OEMCP") }
    } else {
        Locale { language, ..Locale::default() }
    }
}

pub(crate) fn long_paths(env: &Env) -> Option<Fact<bool>> {
    if env.os != Os::Windows {
        return None;
    }
    let key = r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem";
    let value = registry(env, key, "LongPathsEnabled")?;
    Some(Fact::new(value == "0x1", format!("{key} LongPathsEnabled")))
}

pub(crate) fn folders(env: &Env, repo: &Path, cache: Option<&Path>) -> Vec<Folder> {
    let home = env.var(if env.os == Os::Windows { "USERPROFILE" } else { "HOME" });
    let temporary = env.var(if env.os == Os::Windows { "TEMP" } else { "TMPDIR" });
    let mut found = Vec::new();
    for (role, path) in [
        ("repository", Some(repo.to_owned())),
        ("cache", cache.map(Path::to_owned)),
        ("home", home.map(PathBuf::from)),
        ("temporary", temporary.map(PathBuf::from)),
    ] {
        found.extend(
            path.filter(|path| !path.as_os_str().is_empty()).map(|path| Folder { role: role.into(), path }),
        );
    }
    found
}

/// Packages of the active conda environment that are mistaken for a toolkit: `cudatoolkit` has no compiler.
pub(crate) fn conda_packages(env: &Env) -> BTreeMap<String, String> {
    let Some(prefix) = env.var("CONDA_PREFIX") else { return BTreeMap::new() };
    let entries = fs_err::read_dir(Path::new(prefix).join("conda-meta")).into_iter().flatten().flatten();
    entries.filter_map(|entry| parse_conda(entry.file_name().to_str()?)).collect()
}

/// `cudatoolkit-11.8.0-h6a678d5_0.json`.
fn parse_conda(file: &str) -> Option<(String, String)> {
    let mut parts = file.strip_suffix(".json")?.rsplitn(3, '-');
    let (_build, version, name) = (parts.next()?, parts.next()?, parts.next()?);
    let told = ["cudatoolkit", "cuda-nvcc", "cuda-version", "pytorch", "pytorch-cuda", "cuda-cudart-dev"];
    told.contains(&name).then(|| (name.to_owned(), version.to_owned()))
}

/// Locks of torch's just-in-time builds. A build that runs holds one for minutes, a dead one for ever.
pub(crate) fn extension_locks(env: &Env) -> Vec<Fact<u64>> {
    let root = env.var("TORCH_EXTENSIONS_DIR").map(PathBuf::from).or_else(|| match env.os {
        Os::Windows => {
            Some(Path::new(env.var("LOCALAPPDATA")?).join("torch_extensions/torch_extensions/Cache"))
        }
        Os::Linux | Os::Macos => Some(Path::new(env.var("HOME")?).join(".cache/torch_extensions")),
    });
    let folders = |folder: &Path| {
        let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let Some(root) = root else { return Vec::new() };
    // <root>/<name>/lock, or <root>/py311_cu130/<name>/lock.
    let builds = folders(&root).into_iter().flat_map(|folder| {
        let below = folders(&folder);
        std::iter::once(folder).chain(below)
    });
    builds
        .map(|folder| folder.join("lock"))
        .filter_map(|lock| {
            let made = fs_err::metadata(&lock).ok()?.modified().ok()?;
            let age = SystemTime::now().duration_since(made).unwrap_or_default().as_secs();
            Some(Fact::new(age, lock.display().to_string()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cudnn_by_its_three_numbers() {
        let text = "#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 19\n#define CUDNN_PATCHLEVEL 0\n#define CUDNN_VERSION (CUDNN_MAJOR * 10000)\n";
        assert_eq!(parse_cudnn(text).unwrap().to_string(), "9.19.0");
        assert_eq!(parse_cudnn("#define CUDNN_MAJOR\n"), None);
    }

    #[test]
    fn conda_files_by_name() {
        let read = |file: &str| parse_conda(file).map(|(name, version)| format!("{name} {version}"));
        assert_eq!(read("cudatoolkit-11.8.0-h6a678d5_0.json").as_deref(), Some("cudatoolkit 11.8.0"));
        assert_eq!(read("cuda-nvcc-12.4.131-0.json").as_deref(), Some("cuda-nvcc 12.4.131"));
        assert_eq!(read("history"), None);
    }
}
