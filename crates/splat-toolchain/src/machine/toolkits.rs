//! CUDA toolkits and cuDNN.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Fact;
use crate::version::Version;

/// A CUDA toolkit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toolkit {
    /// The folder above bin.
    pub root: PathBuf,
    /// The compiler, if the toolkit has one.
    pub nvcc: Option<PathBuf>,
    /// The version, and which file or program says so.
    pub version: Option<Fact<Version>>,
    /// Other versions that its files name, where they disagree with `version` (E13).
    pub other_versions: Vec<Fact<Version>>,
    /// Folder with `cuda_runtime.h`.
    pub include: Option<PathBuf>,
    /// Folder with `libcudart_static.a` / `cudart_static.lib`.
    pub lib: Option<PathBuf>,
    /// Host compilers that its own `crt/host_config.h` admits.
    pub ceiling: HostCeiling,
    /// Architectures it emits machine code for (`nvcc --list-gpu-code`), two or three digits.
    pub gpu_codes: Vec<u32>,
    /// `-lcudart` finds something: `libcudart.so` without a number, or `cudart.lib`.
    #[serde(default)]
    pub links_cudart: bool,
    /// Folders with DLLs (Windows): `bin`, `bin\\x64`, `bin\\x86_64`.
    #[serde(default)]
    pub dll_folders: Vec<PathBuf>,
    /// `include/cccl`, where CUB and Thrust lie from 13.0 on.
    #[serde(default)]
    pub cccl: Option<PathBuf>,
    /// What its `crt/math_functions.h` knows of newer C libraries.
    #[serde(default)]
    pub guards: Guards,
    /// Every place that led here, the first first.
    pub sources: Vec<String>,
    /// Named by CUDA_HOME or CUDA_PATH in the user's own environment: an explicit choice.
    pub explicit: bool,
    /// Whether it is one of ours in the cache.
    pub managed: bool,
}

impl Toolkit {
    /// The parts that a build needs and that are absent; empty for a complete toolkit.
    pub fn lacks(&self) -> Vec<&'static str> {
        let parts = [
            (self.nvcc.is_none(), "nvcc"),
            (self.include.is_none(), "cuda_runtime.h"),
            (self.lib.is_none(), "the static CUDA runtime (cudart_static)"),
        ];
        parts.into_iter().filter_map(|(absent, name)| absent.then_some(name)).collect()
    }
}

/// Bounds read from `crt/host_config.h`; `None` where the header has no such check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCeiling {
    /// The last major version of GCC that it takes.
    pub gcc_max: Option<u32>,
    /// The first major version of clang that it refuses.
    pub clang_below: Option<u32>,
    /// `_MSC_VER`, at least and below.
    pub msvc: Option<(u32, u32)>,
    /// The header and line that say so.
    pub evidence: Option<String>,
    /// The toolkit's own version, against which Microsoft's library checks (E26).
    #[serde(default)]
    pub cuda: Option<Version>,
}

/// Guards in `crt/math_functions.h` against declarations that newer C libraries make too (E24).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guards {
    /// The header was found and read; without it nothing is known.
    pub known: bool,
    /// cospi, sinpi, ... of glibc 2.41.
    pub iec_60559: bool,
    /// rsqrt of glibc 2.42.
    pub rsqrt: bool,
}

/// cuDNN, with the header that says its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cudnn {
    /// Its version.
    pub version: Version,
    /// The header that names the version.
    pub header: PathBuf,
    /// How it was found.
    pub source: String,
}
