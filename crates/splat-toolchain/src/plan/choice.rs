//! What the plan takes for one ingredient, and why.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{managed::ManagedItem, version::Version};

/// Where one ingredient comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// Already on the machine. For torch, the folder with `lib` and `include`; for CUDA, the toolkit's root;
    /// for programs, the file.
    Installed {
        /// Where it is.
        path: PathBuf,
        /// Its version.
        version: Version,
    },
    /// Ours, in the cache.
    Managed {
        /// What is installed.
        item: ManagedItem,
        /// Its folder in the cache.
        dir: PathBuf,
        /// What `Installed` would name.
        path: PathBuf,
        /// Its version.
        version: Version,
        /// Whether it is there already.
        present: bool,
    },
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

    /// The version that is used, if anything is.
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
    Checkout {
        /// Its folder.
        path: PathBuf,
    },
    /// The pinned package, unpacked in the cache.
    Pinned {
        /// What is unpacked.
        item: ManagedItem,
        /// Its folder in the cache.
        dir: PathBuf,
        /// Whether it is there already.
        present: bool,
    },
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// `torch`, `CUDA`, ...
    pub subject: String,
    /// What was taken.
    pub chosen: String,
    /// Why.
    pub because: String,
    /// Candidate, and why not.
    pub rejected: Vec<(String, String)>,
}
