//! What a machine has, each fact with where it came from. Plain data: [`crate::probe`] fills it, the rules
//! and the plan read it, and its JSON can be saved, attached to an issue and planned from on another machine.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{managed::ManagedState, version::Version};

/// A value and the file, variable or command that said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact<T> {
    pub value: T,
    pub source: String,
}

impl<T> Fact<T> {
    pub fn new(value: T, source: impl Into<String>) -> Self {
        Self { value, source: source.into() }
    }
}

/// Everything the probe found. Vectors are in order of precedence: the first fitting entry is the one that
/// the machine's own configuration (variables, PATH) would give.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// `linux`, `windows` or `macos`.
    pub os: String,
    /// As Rust names it: `x86_64`, `aarch64`.
    pub arch: String,
    pub glibc: Option<Fact<Version>>,
    pub cpus: usize,
    /// Bytes that a build may use now: free memory, or what the control group leaves if that is less.
    pub memory: Option<Fact<u64>>,
    /// Free bytes where the repository and the cache lie.
    pub disks: Vec<Disk>,
    /// `$SPLATWRIGHT_HOME` or the platform's cache folder + `splatwright`.
    pub cache_root: Option<Fact<PathBuf>>,
    /// Installations of ours found in the cache, finished or not.
    pub managed: Vec<ManagedState>,
    /// Variables that the user set (not those that `.cargo/toolchain.toml` sets) and that a choice depends on.
    pub user_env: BTreeMap<String, String>,
    pub pythons: Vec<Python>,
    pub torches: Vec<Torch>,
    pub toolkits: Vec<Toolkit>,
    pub host_compilers: Vec<HostCompiler>,
    /// The NVIDIA driver's version.
    pub driver: Option<Fact<Version>>,
    /// The newest CUDA that the driver runs (what `nvidia-smi` heads its table with): not a toolkit.
    pub driver_cuda: Option<Fact<Version>>,
    pub gpus: Vec<Gpu>,
    pub cmake: Vec<Tool>,
    pub ninja: Vec<Tool>,
    pub rustc: Option<Tool>,
    pub cargo: Option<Tool>,
}

/// Free space of the file system that holds `path`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// `repository` or `cache`.
    pub holds: String,
    pub path: PathBuf,
    pub free: u64,
}

/// A Python interpreter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    pub path: PathBuf,
    pub version: Version,
    pub source: String,
    /// Where its packages lie; empty if the interpreter was not run (its version is from its name then).
    pub site_packages: Vec<PathBuf>,
    /// `None`: not asked.
    pub has_pip: Option<bool>,
    pub has_venv: Option<bool>,
}

impl Python {
    /// The tag of the wheels it takes: `cp311`.
    pub fn tag(&self) -> String {
        format!("cp{}{}", self.version.major(), self.version.minor())
    }
}

/// A libtorch: the `torch` folder of a Python package, or an unpacked libtorch archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Torch {
    /// The folder that holds `lib` and `include`: what `LIBTORCH` names.
    pub root: PathBuf,
    pub version: Version,
    /// As written: `2.11.0+cu130`.
    pub full_version: String,
    /// The CUDA it was built with; `None` for a CPU build.
    pub cuda: Option<Version>,
    pub git: Option<String>,
    /// `Some(false)`: the old libstdc++ ABI (`_GLIBCXX_USE_CXX11_ABI=0`); `None`: it does not say, so the compiler's.
    pub cxx11_abi: Option<bool>,
    /// The wheel's `cp311`; `None` for an archive.
    pub python_tag: Option<String>,
    /// `lib` and `include` hold what a build needs.
    pub complete: bool,
    pub source: String,
    /// Set by `LIBTORCH` in the user's own environment: an explicit choice.
    pub explicit: bool,
    /// It lies in our cache.
    pub managed: bool,
}

/// A CUDA toolkit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toolkit {
    pub root: PathBuf,
    pub nvcc: Option<PathBuf>,
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
    /// Every place that led here, the first first.
    pub sources: Vec<String>,
    /// Named by CUDA_HOME or CUDA_PATH in the user's own environment: an explicit choice.
    pub explicit: bool,
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CompilerKind {
    Gcc,
    Clang,
    Msvc,
}

/// A C++ compiler of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCompiler {
    pub path: PathBuf,
    pub kind: CompilerKind,
    pub version: Version,
    pub source: String,
    /// Named by CUDAHOSTCXX in the user's own environment: nvcc gets this one or none.
    pub explicit: bool,
}

/// A GPU the driver reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    pub name: String,
    /// Compute capability as two or three digits: 86 for 8.6.
    pub arch: u32,
    /// Megabytes, where reported.
    pub memory_mb: Option<u64>,
    pub source: String,
}

/// A program and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    pub path: PathBuf,
    pub version: Version,
    pub source: String,
    pub managed: bool,
}
