//! Installed libtorches, read from their files: `version.py` or `build-version`, `TorchConfig.cmake`, the wheel's
//! tag. torch is never imported, so a broken installation is described rather than tripped over.

use std::path::{Path, PathBuf};

use crate::{
    env::{Env, Os, real_path},
    machine::{Python, Torch},
    managed::ManagedState,
    version::Version,
};

/// In order of precedence: LIBTORCH in the user's environment, the packages folders of the interpreters that
/// were asked, then what our cache holds.
pub(crate) fn probe(env: &Env, pythons: &[Python], managed: &[ManagedState]) -> Vec<Torch> {
    let mut found: Vec<Torch> = Vec::new();
    if let Some(path) = env.user("LIBTORCH") {
        let mut torch = read(env, Path::new(path), "LIBTORCH").unwrap_or_else(|| unreadable(path));
        torch.explicit = true;
        found.push(torch);
    }
    for python in pythons {
        for folder in &python.site_packages {
            let source = format!("packages of {}", python.path.display());
            found.extend(read(env, &folder.join("torch"), &source));
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
    let mut once: Vec<Torch> = Vec::new();
    for torch in found {
        if !once.iter().any(|known| real_path(&known.root) == real_path(&torch.root)) {
            once.push(torch);
        }
    }
    once
}

/// LIBTORCH names a folder that holds no libtorch: kept as a fact, because it is the user's choice.
fn unreadable(path: &str) -> Torch {
    Torch {
        root: PathBuf::from(path),
        version: Version::default(),
        full_version: String::new(),
        cuda: None,
        git: None,
        cxx11_abi: None,
        python_tag: None,
        complete: false,
        source: "LIBTORCH".into(),
        explicit: true,
        managed: false,
    }
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
        full_version: facts.version,
        source: source.to_owned(),
        explicit: false,
        managed: false,
    })
}

#[derive(Debug, PartialEq, Eq)]
struct VersionPy {
    version: String,
    cuda: Option<String>,
    git: Option<String>,
}

/// The assignments of `torch/version.py`, with or without a type: `cuda: Optional[str] = '13.0'`.
fn parse_version_py(text: &str) -> Option<VersionPy> {
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let (left, right) = line.split_once('=')?;
            let left = left.split(':').next()?.trim();
            let right = right.trim();
            let quoted = right.strip_prefix(['\'', '"'])?.strip_suffix(['\'', '"'])?;
            (left == name).then(|| quoted.to_owned())
        })
    };
    Some(VersionPy { version: value("__version__")?, cuda: value("cuda"), git: value("git_version") })
}

/// `2.4.0+cu121` or `2.4.0+cpu`: the local part tells the CUDA it was built with.
fn parse_build_version(text: &str) -> Option<VersionPy> {
    let version = text.trim().to_owned();
    let cuda = version.split_once("+cu").and_then(|(_, digits)| {
        let (major, minor) = digits.split_at_checked(2)?;
        Some(format!("{major}.{minor}"))
    });
    (!version.is_empty()).then_some(VersionPy { version, cuda, git: None })
}

fn parse_abi(torch_config: &str) -> Option<bool> {
    let (_, after) = torch_config.split_once("-D_GLIBCXX_USE_CXX11_ABI=")?;
    match after.as_bytes().first()? {
        b'0' => Some(false),
        b'1' => Some(true),
        _ => None,
    }
}

/// `cp311`, from the `WHEEL` file beside the package.
fn wheel_tag(root: &Path, version: &str) -> Option<String> {
    let folder = root.parent()?;
    let bare = version.split('+').next()?;
    let text = [version, bare]
        .iter()
        .find_map(|v| fs_err::read_to_string(folder.join(format!("torch-{v}.dist-info/WHEEL"))).ok())?;
    let tag = text.lines().find_map(|line| line.strip_prefix("Tag:"))?;
    Some(tag.trim().split('-').next()?.to_owned())
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
