//! Interpreters of Python and installations of torch.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::version::Version;

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
