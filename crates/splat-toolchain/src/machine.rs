//! What a machine has, each fact with where it came from. Plain data: [`crate::probe()`] fills it, the rules
//! and the plan read it, and its JSON can be saved, attached to an issue and planned from on another machine.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

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

/// A Python interpreter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    /// The interpreter.
    pub path: PathBuf,
    /// Its version.
    pub version: Version,
    /// How it was found.
    pub source: String,
    /// Where its packages lie; empty if the interpreter was not run (its version is from its name then).
    pub site_packages: Vec<PathBuf>,
    /// `None`: not asked.
    pub has_pip: Option<bool>,
    /// Whether it can make virtual environments; `None` if nobody asked.
    pub has_venv: Option<bool>,
    /// Build tools among its packages, by name: `setuptools`, `wheel`, `ninja`, `packaging`, and extensions of
    /// known sources. Read from the `*.dist-info` folders.
    #[serde(default)]
    pub packages: BTreeMap<String, String>,
    /// Whether `Python.h` (and on Windows `python3XY.lib`) is there; `None`: not asked.
    #[serde(default)]
    pub has_headers: Option<bool>,
    /// Where packages came from that were not installed from an index (`direct_url.json`), by package.
    #[serde(default)]
    pub origins: BTreeMap<String, String>,
    /// Where `import torch` would lead if that is outside its packages folders (a development installation).
    #[serde(default)]
    pub torch: Option<PathBuf>,
}

impl Python {
    /// The tag of the wheels it takes: `cp311`.
    pub fn tag(&self) -> String {
        format!("cp{}{}", self.version.major(), self.version.minor())
    }
}

/// A libtorch: the `torch` folder of a Python package, or an unpacked libtorch archive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Torch {
    /// The folder that holds `lib` and `include`: what `LIBTORCH` names.
    pub root: PathBuf,
    /// Its version, as torch/version.py says.
    pub version: Version,
    /// As written: `2.11.0+cu130`.
    pub full_version: String,
    /// The CUDA it was built with; `None` for a CPU build.
    pub cuda: Option<Version>,
    /// The commit that it was built from.
    pub git: Option<String>,
    /// `Some(false)`: the old libstdc++ ABI (`_GLIBCXX_USE_CXX11_ABI=0`); `None`: it does not say, so the compiler's.
    pub cxx11_abi: Option<bool>,
    /// The wheel's `cp311`; `None` for an archive.
    pub python_tag: Option<String>,
    /// `lib` and `include` hold what a build needs.
    pub complete: bool,
    /// How it was found.
    pub source: String,
    /// The ROCm version of a HIP build.
    #[serde(default)]
    pub hip: Option<String>,
    /// `pip`, `uv` or `conda`, from the package's INSTALLER file.
    #[serde(default)]
    pub installer: Option<String>,
    /// The C++ standard that its headers demand: 14, 17, 20.
    #[serde(default)]
    pub cxx_standard: Option<u32>,
    /// Machine code it holds, as torch itself lists it: `sm_75 ... sm_120`; empty if not found.
    #[serde(default)]
    pub gpu_codes: Vec<u32>,
    /// The interpreter whose packages folder it lies in.
    #[serde(default)]
    pub python: Option<PathBuf>,
    /// It lies in an environment that is not active: listed, and not taken unless it is named.
    #[serde(default)]
    pub inactive: bool,
    /// Set by `LIBTORCH` in the user's own environment: an explicit choice.
    pub explicit: bool,
    /// It lies in our cache.
    pub managed: bool,
}

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

/// A family of C++ compilers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CompilerKind {
    /// GCC.
    #[default]
    Gcc,
    /// clang.
    Clang,
    /// MSVC.
    Msvc,
}

/// A C++ compiler of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCompiler {
    /// The program.
    pub path: PathBuf,
    /// Its family.
    pub kind: CompilerKind,
    /// Its version.
    pub version: Version,
    /// How it was found.
    pub source: String,
    /// Named by CUDAHOSTCXX in the user's own environment: nvcc gets this one or none.
    pub explicit: bool,
    /// For an MSVC toolset that vswhere led to.
    #[serde(default)]
    pub msvc: Option<Msvc>,
}

impl HostCompiler {
    /// `_MSC_VER`: cl 19.42 is 1942.
    pub fn msc_ver(&self) -> Option<u32> {
        (self.kind == CompilerKind::Msvc)
            .then(|| self.version.major().saturating_mul(100).saturating_add(self.version.minor()))
    }
}

/// A toolset of one Visual Studio or Build Tools installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Msvc {
    /// `Visual Studio Community 2022`.
    pub product: String,
    /// 17.12, as the installer calls it.
    pub product_version: Version,
    /// 14.42.34433: what `vcvars64.bat -vcvars_ver=` takes.
    pub toolset: Version,
    /// `None`: the installation has lost it (E30).
    pub vcvars: Option<PathBuf>,
    /// The CUDA that its standard library demands: "expected CUDA 12.4 or newer" in `yvals_core.h`.
    pub stl_cuda: Option<Version>,
    /// The installation's default toolset.
    pub default: bool,
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
