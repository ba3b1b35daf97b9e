//! The plan: what will be built with what, and why. A pure function of the machine, the request and the
//! repository: the same three always give the same plan, so a saved snapshot replays anywhere.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    finding::{Finding, Severity},
    machine::{HostCompiler, Python},
    managed::ManagedItem,
    request::{EngineName, Settings},
    rows::Row,
    version::Version,
};

/// Where one ingredient comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// Already on the machine. For torch, the folder with `lib` and `include`; for CUDA, the toolkit's root;
    /// for programs, the file.
    Installed { path: PathBuf, version: Version },
    /// Ours, in the cache. `path` is what `Installed` would name, inside `dir`; `present` says whether it is there.
    Managed { item: ManagedItem, dir: PathBuf, path: PathBuf, version: Version, present: bool },
    /// Neither there nor to be brought; a finding says why.
    Missing,
    /// This plan does not need it.
    Unneeded,
}

impl Choice {
    /// Where it lies or will lie.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Installed { path, .. } | Self::Managed { path, .. } => Some(path),
            Self::Missing | Self::Unneeded => None,
        }
    }

    pub fn version(&self) -> Option<&Version> {
        match self {
            Self::Installed { version, .. } | Self::Managed { version, .. } => Some(version),
            Self::Missing | Self::Unneeded => None,
        }
    }

    /// The installation that must be brought before it can be used.
    pub fn to_bring(&self) -> Option<(ManagedItem, &Path)> {
        match self {
            Self::Managed { item, dir, present: false, .. } => Some((*item, dir)),
            _ => None,
        }
    }
}

/// The original rasterizer's sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sources {
    /// The user's own checkout, used as it is: nothing pins what it holds.
    Checkout { path: PathBuf },
    /// The pinned package, unpacked in the cache.
    Pinned { item: ManagedItem, dir: PathBuf, present: bool },
    /// The engine is not planned.
    Unneeded,
}

impl Sources {
    /// Folder with `cuda_rasterizer/` and `third_party/glm/`.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Checkout { path } | Self::Pinned { dir: path, .. } => Some(path),
            Self::Unneeded => None,
        }
    }
}

/// Why one candidate was taken and the others were not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// `torch`, `CUDA`, ...
    pub subject: String,
    pub chosen: String,
    pub because: String,
    /// Candidate, and why not.
    pub rejected: Vec<(String, String)>,
}

/// Everything `build` acts on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub row: Row,
    pub torch: Choice,
    pub cuda: Choice,
    pub cmake: Choice,
    pub ninja: Choice,
    pub sources: Sources,
    /// The interpreter that brings packages.
    pub python: Option<Python>,
    /// The compiler that nvcc hands the host code to.
    pub host_compiler: Option<HostCompiler>,
    /// Machine code (SASS) for these, ascending; two or three digits.
    pub archs: Vec<u32>,
    /// The one also kept as PTX, the highest.
    pub ptx: Option<u32>,
    pub engines: Vec<EngineName>,
    /// Parallel jobs that memory and cores allow.
    pub jobs: usize,
    /// For `.cargo/toolchain.toml`; see [`crate::config`].
    pub env: BTreeMap<String, String>,
    /// Relative to the repository.
    pub target_dir: String,
    /// sha256 over everything that would change the compiled kernels, source hashes apart.
    pub fingerprint: String,
    /// What `.cargo/toolchain.toml` records for the next call.
    pub settings: Settings,
    pub choices: Vec<Explained>,
    pub findings: Vec<Finding>,
}

impl Plan {
    /// Findings that stop the build.
    pub fn blockers(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity >= Severity::Error)
    }

    /// What must be brought, each installation once, with its folder.
    pub fn to_bring(&self) -> Vec<(ManagedItem, PathBuf)> {
        let mut items: Vec<(ManagedItem, PathBuf)> = Vec::new();
        let choices = [&self.torch, &self.cuda, &self.cmake, &self.ninja];
        let mut add = |item: ManagedItem, dir: &Path| {
            if !items.iter().any(|(known, _)| *known == item) {
                items.push((item, dir.to_owned()));
            }
        };
        for (item, dir) in choices.into_iter().filter_map(Choice::to_bring) {
            add(item, dir);
        }
        if let Sources::Pinned { item, dir, present: false } = &self.sources {
            add(*item, dir);
        }
        items
    }
}
