//! C++ compilers of the host.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::version::Version;

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
