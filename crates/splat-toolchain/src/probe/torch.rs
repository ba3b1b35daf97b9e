//! Installed libtorches, read from their files: `version.py` or `build-version`, `TorchConfig.cmake`, the wheel's
//! tag. torch is never imported, so a broken installation is described rather than tripped over.

use std::path::{Path, PathBuf};

use super::sites;
use crate::{
    env::{Env, Os, real_path},
    machine::{Python, Torch},
    managed::ManagedState,
};

/// In order of precedence: LIBTORCH in the user's environment, the packages folders of the interpreters that
/// were asked, what our cache holds, then archives and environments that are not active.
pub(crate) fn probe(env: &Env, pythons: &[Python], managed: &[ManagedState], repo: &Path) -> Vec<Torch> {
    let mut found: Vec<Torch> = Vec::new();
    if let Some(path) = env.user("LIBTORCH") {
        let mut torch = read(env, Path::new(path), "LIBTORCH").unwrap_or_else(|| unreadable(path));
        torch.explicit = true;
        found.push(torch);
    }
    for python in pythons {
        let elsewhere = python.torch.iter().cloned();
        let inside = python.site_packages.iter().map(|folder| folder.join("torch"));
        for root in elsewhere.chain(inside) {
            let source = format!("packages of {}", python.path.display());
            let torch = read(env, &root, &source);
            found.extend(torch.map(|torch| Torch { python: Some(python.path.clone()), ..torch }));
        }
    }
    for state in managed.iter().filter(|state| state.item.name.starts_with("torch-")) {
        let torch = read(env, &state.dir.join("torch"), "Splatwright's cache");
        found.extend(torch.map(|torch| Torch {
            managed: true,
            complete: torch.complete && state.lacks.is_empty(),
            ..torch
        }));
    }
    for folder in sites::archives(env) {
        let torch = read(env, &folder, &folder.display().to_string());
        found.extend(torch.map(|torch| Torch { inactive: true, ..torch }));
    }
    for (folder, what) in sites::inactive(env, repo) {
        let torch = read(env, &folder.join("torch"), &what);
        found.extend(torch.map(|torch| Torch { inactive: true, ..torch }));
    }
    let mut once: Vec<Torch> = Vec::new();
    for mut torch in found {
        if !once.iter().any(|known| real_path(&known.root) == real_path(&torch.root)) {
            // What the cache brings is pinned, and 30 MB are not read for nothing.
            if !torch.managed {
                torch.gpu_codes = gpu_codes(env, &torch.root);
            }
            once.push(torch);
        }
    }
    once
}

/// What torch itself lists as compiled in, which stands as text in its Python library.
fn gpu_codes(env: &Env, root: &Path) -> Vec<u32> {
    let library = match env.os {
        Os::Windows => "lib/torch_python.dll",
        Os::Linux => "lib/libtorch_python.so",
        Os::Macos => return Vec::new(),
    };
    fs_err::read(root.join(library)).map(|bytes| parse_gpu_codes(&bytes)).unwrap_or_default()
}

/// The longest run of `sm_75 sm_80 ...` in a library.
pub fn parse_gpu_codes(bytes: &[u8]) -> Vec<u32> {
    let mut best: Vec<u32> = Vec::new();
    let mut end = 0;
    for start in memchr::memmem::find_iter(bytes, b"sm_") {
        if start < end {
            continue;
        }
        let run = &bytes[start..];
        let length = run
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b' ')))
            .unwrap_or(run.len());
        end = start + length;
        let text = String::from_utf8_lossy(&run[..length]);
        let codes: Option<Vec<u32>> = text
            .split_whitespace()
            .map(|word| word.strip_prefix("sm_")?.trim_end_matches(char::is_alphabetic).parse().ok())
            .collect();
        best = codes.filter(|codes| codes.len() > best.len()).unwrap_or(best);
    }
    best
}

/// LIBTORCH names a folder that holds no libtorch: kept as a fact, because it is the user's choice.
fn unreadable(path: &str) -> Torch {
    Torch { root: PathBuf::from(path), source: "LIBTORCH".into(), explicit: true, ..Torch::default() }
}

fn read(env: &Env, root: &Path, source: &str) -> Option<Torch> {
    let facts = match fs_err::read_to_string(root.join("version.py")) {
        Ok(text) => parse_version_py(&text)?,
        // The libtorch archive has no Python in it; its one line is the full version.
        Err(_) => parse_build_version(&fs_err::read_to_string(root.join("build-version")).ok()?)?,
    };
    let library = match env.os {
        Os::Linux => "lib/libtorch.so",
        Os::Windows => "lib/torch.lib",
        Os::Macos => "lib/libtorch.dylib",
    };
    let config = fs_err::read_to_string(root.join("share/cmake/Torch/TorchConfig.cmake")).unwrap_or_default();
    Some(Torch {
        root: root.to_owned(),
        version: facts.version.parse().ok()?,
        cuda: facts.cuda.and_then(|cuda| cuda.parse().ok()),
        git: facts.git,
        cxx11_abi: parse_abi(&config),
        python_tag: wheel_tag(root, &facts.version),
        complete: root.join(library).is_file() && root.join("include/ATen/ATen.h").is_file(),
        hip: facts.hip,
        installer: dist_info(root, &facts.version, "INSTALLER").map(|text| text.trim().to_owned()),
        cxx_standard: fs_err::read_to_string(root.join("include/ATen/ATen.h"))
            .ok()
            .as_deref()
            .and_then(parse_standard),
        full_version: facts.version,
        source: source.to_owned(),
        ..Torch::default()
    })
}

/// What `version.py` says.
#[derive(Debug, PartialEq, Eq)]
pub struct VersionPy {
    /// `__version__`.
    pub version: String,
    /// The CUDA version that it was built with; `None` for a CPU build.
    pub cuda: Option<String>,
    /// The commit.
    pub git: Option<String>,
    /// The ROCm version that it was built with.
    pub hip: Option<String>,
}

/// The assignments of `torch/version.py`, with or without a type: `cuda: Optional[str] = '13.0'`.
pub fn parse_version_py(text: &str) -> Option<VersionPy> {
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let (left, right) = line.split_once('=')?;
            let left = left.split(':').next()?.trim();
            let right = right.trim();
            let quoted = right.strip_prefix(['\'', '"'])?.strip_suffix(['\'', '"'])?;
            (left == name).then(|| quoted.to_owned())
        })
    };
    Some(VersionPy {
        version: value("__version__")?,
        cuda: value("cuda"),
        git: value("git_version"),
        hip: value("hip"),
    })
}

/// `2.4.0+cu121` or `2.4.0+cpu`: the local part tells the CUDA it was built with.
fn parse_build_version(text: &str) -> Option<VersionPy> {
    let version = text.trim().to_owned();
    let cuda = version.split_once("+cu").and_then(|(_, digits)| {
        let (major, minor) = digits.split_at_checked(2)?;
        Some(format!("{major}.{minor}"))
    });
    (!version.is_empty()).then_some(VersionPy { version, cuda, git: None, hip: None })
}

fn parse_abi(torch_config: &str) -> Option<bool> {
    let (_, after) = torch_config.split_once("-D_GLIBCXX_USE_CXX11_ABI=")?;
    match after.as_bytes().first()? {
        b'0' => Some(false),
        b'1' => Some(true),
        _ => None,
    }
}

/// The standard that `ATen.h` demands: `__cplusplus < 201703L` is C++17.
pub fn parse_standard(header: &str) -> Option<u32> {
    let (_, after) = header.split_once("__cplusplus < ")?;
    match after.get(..6)? {
        "201402" => Some(14),
        "201703" => Some(17),
        "202002" => Some(20),
        "202302" => Some(23),
        _ => None,
    }
}

/// `cp311`, from the `WHEEL` file beside the package.
fn wheel_tag(root: &Path, version: &str) -> Option<String> {
    let text = dist_info(root, version, "WHEEL")?;
    let tag = text.lines().find_map(|line| line.strip_prefix("Tag:"))?;
    Some(tag.trim().split('-').next()?.to_owned())
}

/// A file of the package's `torch-*.dist-info`, named with or without the local part of the version.
fn dist_info(root: &Path, version: &str, file: &str) -> Option<String> {
    let folder = root.parent()?;
    let bare = version.split('+').next()?;
    [version, bare]
        .iter()
        .find_map(|v| fs_err::read_to_string(folder.join(format!("torch-{v}.dist-info")).join(file)).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_py_of_a_cuda_and_of_a_cpu_wheel() {
        let cuda = "from typing import Optional\n__all__ = ['__version__', 'cuda']\n__version__ = '2.11.0+cu130'\ndebug = False\ncuda: Optional[str] = '13.0'\ngit_version = '70d99e9'\nhip: Optional[str] = None\n";
        let read = parse_version_py(cuda).unwrap();
        assert_eq!((read.version.as_str(), read.cuda.as_deref()), ("2.11.0+cu130", Some("13.0")));
        assert_eq!(read.git.as_deref(), Some("70d99e9"));
        let cpu = "__version__ = '2.4.1+cpu'\ncuda = None\n";
        assert_eq!(parse_version_py(cpu).unwrap().cuda, None);
        assert_eq!(parse_version_py("cuda = '12.1'\n"), None);
    }

    #[test]
    fn the_longest_list_of_architectures_is_torchs() {
        let bytes = b"\0sm_75\0no sm_\xff\0sm_75 sm_80 sm_86 sm_90 sm_100 sm_120\0sm_90a sm_80\0";
        assert_eq!(parse_gpu_codes(bytes), [75, 80, 86, 90, 100, 120]);
        assert!(parse_gpu_codes(b"nothing").is_empty());
    }

    #[test]
    fn the_standard_that_the_headers_demand() {
        assert_eq!(parse_standard("#if !defined(_MSC_VER) && __cplusplus < 201703L\n#error C++17"), Some(17));
        assert_eq!(parse_standard("__cplusplus < 2"), None);
    }

    #[test]
    fn build_version_of_the_archive() {
        assert_eq!(parse_build_version("2.7.1+cu126\n").unwrap().cuda.as_deref(), Some("12.6"));
        assert_eq!(parse_build_version("2.7.1+cpu\n").unwrap().cuda, None);
    }

    #[test]
    fn abi_is_said_or_unknown() {
        assert_eq!(parse_abi("set(TORCH_CXX_FLAGS \"-D_GLIBCXX_USE_CXX11_ABI=0\")"), Some(false));
        assert_eq!(parse_abi("set(TORCH_CXX_FLAGS \"-D_GLIBCXX_USE_CXX11_ABI=1\")"), Some(true));
        assert_eq!(parse_abi("CXX_STANDARD 17"), None);
    }
}
