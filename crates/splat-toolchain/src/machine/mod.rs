//! What a machine has, each fact with where it came from. Plain data: [`crate::probe()`] fills it, the rules
//! and the plan read it, and its JSON can be saved, attached to an issue and planned from on another machine.

mod compilers;
mod packages;
mod toolkits;

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

pub use self::compilers::{CompilerKind, HostCompiler, Msvc};
pub use self::packages::{Python, Torch};
pub use self::toolkits::{Cudnn, Guards, HostCeiling, Toolkit};
use crate::{managed::ManagedState, version::Version};

/// A value and the file, variable or command that said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact<T> {
    /// What is so.
    pub value: T,
    /// The file, variable or program that says so.
    pub source: String,
}

impl<T> Fact<T> {
    /// A value and where it came from.
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
    /// The version of glibc, if the system has it.
    pub glibc: Option<Fact<Version>>,
    /// How many processors a build may use.
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
    /// Interpreters, the active one first.
    pub pythons: Vec<Python>,
    /// Installations of torch.
    pub torches: Vec<Torch>,
    /// CUDA toolkits.
    pub toolkits: Vec<Toolkit>,
    /// C++ compilers.
    pub host_compilers: Vec<HostCompiler>,
    /// C compilers: `CC`, then `gcc` and `cc` on PATH. A torch extension's nvcc gets `CC`, else the first `gcc`.
    #[serde(default)]
    pub c_compilers: Vec<HostCompiler>,
    /// Set on the Windows Subsystem for Linux: the kernel's version line.
    #[serde(default)]
    pub wsl: Option<Fact<String>>,
    /// The driver's own library (`libcuda.so.1`, `nvcuda.dll`), which no toolkit brings.
    #[serde(default)]
    pub driver_library: Option<Fact<PathBuf>>,
    /// Installations of cuDNN.
    #[serde(default)]
    pub cudnn: Vec<Cudnn>,
    /// Code pages and languages.
    #[serde(default)]
    pub locale: Locale,
    /// Folders that builds and caches use; their spelling alone breaks some tools.
    #[serde(default)]
    pub folders: Vec<Folder>,
    /// Windows: whether paths over 260 characters are allowed (`LongPathsEnabled`).
    #[serde(default)]
    pub long_paths: Option<Fact<bool>>,
    /// Windows SDKs, newest first.
    #[serde(default)]
    pub windows_sdks: Vec<Fact<Version>>,
    /// Conda packages that are mistaken for a toolkit: name and version (`cudatoolkit`).
    #[serde(default)]
    pub conda_packages: BTreeMap<String, String>,
    /// Lock files of torch's just-in-time builds that stand there now, with their age in seconds.
    #[serde(default)]
    pub extension_locks: Vec<Fact<u64>>,
    /// Programs that were started and did not answer: command line, and after how many seconds they were ended.
    #[serde(default)]
    pub silent: Vec<Fact<u64>>,
    /// The NVIDIA driver's version.
    pub driver: Option<Fact<Version>>,
    /// The newest CUDA that the driver runs (what `nvidia-smi` heads its table with): not a toolkit.
    pub driver_cuda: Option<Fact<Version>>,
    /// The NVIDIA GPUs that the driver shows.
    pub gpus: Vec<Gpu>,
    /// Programs named cmake.
    pub cmake: Vec<Tool>,
    /// Programs named ninja.
    pub ninja: Vec<Tool>,
    /// The Rust compiler.
    pub rustc: Option<Tool>,
    /// Cargo.
    pub cargo: Option<Tool>,
}

/// Free space of the file system that holds `path`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// `repository` or `cache`.
    pub holds: String,
    /// The folder asked about.
    pub path: PathBuf,
    /// Bytes that are free there.
    pub free: u64,
}

/// What decides how compilers and Python read and write text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locale {
    /// `LC_ALL`, `LC_CTYPE` or `LANG`: the first that is set.
    pub language: Option<Fact<String>>,
    /// Windows: the ANSI and OEM code pages (65001 is UTF-8).
    pub ansi: Option<Fact<u32>>,
    /// The code page of consoles on Windows.
    pub oem: Option<Fact<u32>>,
}

/// A folder that builds or caches use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// `repository`, `cache`, `home`, `temporary`.
    pub role: String,
    /// Where it is.
    pub path: PathBuf,
}

/// A GPU the driver reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// The product's name.
    pub name: String,
    /// Compute capability as two or three digits: 86 for 8.6.
    pub arch: u32,
    /// Megabytes, where reported.
    pub memory_mb: Option<u64>,
    /// How it was found.
    pub source: String,
}

/// A program and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// The program.
    pub path: PathBuf,
    /// Its version.
    pub version: Version,
    /// How it was found.
    pub source: String,
    /// Whether it is one of ours in the cache.
    pub managed: bool,
}
