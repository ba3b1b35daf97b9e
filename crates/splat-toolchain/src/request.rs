//! What the user asked for: flags of this call, and what earlier calls recorded.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{machine::Fact, version::Version};

/// An engine library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// Rust, on the CPU: the specification.
    Cpu,
    /// The original CUDA sources behind our header.
    Inria,
    /// Our own CUDA kernels.
    Cuda,
}

impl EngineName {
    /// Every engine of this repository.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Inria, Self::Cuda];

    /// Its name on command lines and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Inria => "inria",
            Self::Cuda => "cuda",
        }
    }

    /// Whether nvcc compiles it.
    pub fn needs_cuda(self) -> bool {
        self != Self::Cpu
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no engine `{0}`; engines: cpu, inria, cuda")]
pub struct NoSuchEngine(pub String);

impl FromStr for EngineName {
    type Err = NoSuchEngine;

    fn from_str(s: &str) -> Result<Self, NoSuchEngine> {
        Self::ALL.into_iter().find(|engine| engine.as_str() == s.trim()).ok_or_else(|| NoSuchEngine(s.into()))
    }
}

/// Flags of one call. `None` keeps what was recorded ([`Settings`]); an empty list goes back to the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// `2.11`.
    pub row: Option<String>,
    /// The engines to build; `None` for those that the machine can build.
    pub engines: Option<Vec<EngineName>>,
    /// Compute capabilities as two or three digits: 86 for 8.6.
    pub archs: Option<Vec<u32>>,
    /// A version (`12.6`), a folder, `managed`, or `auto` to choose by rank again.
    pub cuda: Option<String>,
    /// Nothing may be fetched: what is missing is an error.
    pub offline: bool,
    /// The licence of the original sources is accepted by this call.
    pub accept_inria: bool,
}

/// Explicit choices of earlier calls, as `.cargo/toolchain.toml` records them under `[splatwright]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The row that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// The engines that were chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engines: Option<Vec<EngineName>>,
    /// The architectures that were chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archs: Option<Vec<u32>>,
    /// The toolkit that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda: Option<String>,
}

impl Settings {
    /// These settings with what a request says laid over them: what the next `.cargo/toolchain.toml` records.
    #[must_use]
    pub fn with(&self, request: &Request) -> Self {
        let list = |list: &Option<Vec<u32>>| list.clone().filter(|list| !list.is_empty());
        Self {
            row: request.row.clone().or_else(|| self.row.clone()),
            engines: match &request.engines {
                Some(engines) => Some(engines.clone()).filter(|engines| !engines.is_empty()),
                None => self.engines.clone(),
            },
            archs: if request.archs.is_some() { list(&request.archs) } else { self.archs.clone() },
            cuda: match request.cuda.as_deref() {
                Some("auto") => None,
                Some(cuda) => Some(cuda.to_owned()),
                None => self.cuda.clone(),
            },
        }
    }
}

/// What the repository says: pins, lock, recorded choices, vendored sources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Repo {
    /// The root of the clone.
    pub root: PathBuf,
    /// tch in `Cargo.lock`.
    pub tch_locked: Option<Version>,
    /// What earlier commands recorded.
    pub settings: Settings,
    /// `[env]` of `.cargo/toolchain.toml`: what cargo puts into our own environment.
    pub toolchain_env: BTreeMap<String, String>,
    /// Whether the torch that it names is no longer there.
    #[serde(default)]
    pub torch_gone: bool,
    /// Why `.cargo/toolchain.toml` could not be read, if it could not.
    pub toolchain_error: Option<String>,
    /// The committed requirements, by repository path; absent where the row cannot be brought.
    pub requirements: BTreeMap<String, String>,
    /// Where consent to the original's licence stands recorded.
    pub consent: Option<Fact<String>>,
    /// A checkout that the user placed at `vendor/diff-gaussian-rasterization`.
    pub checkout: Option<PathBuf>,
    /// Whether our own CUDA kernels are in this tree.
    pub own_kernels: bool,
}
