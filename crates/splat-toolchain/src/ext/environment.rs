//! What the child that builds an extension sees: its variables, and a folder whose name breaks no tool.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::ExtPlan;
use crate::version::parse_arch;

/// `TORCH_CUDA_ARCH_LIST` as numbers, if every entry is one: `8.6;9.0+PTX` gives 86 and 90. Names such as `Ampere`
/// and mistakes (`sm_86`, `8.6,8.9`) give `None`: torch would read them otherwise than they are meant (E55, E58).
pub fn parse_arch_list(text: &str) -> Option<Vec<u32>> {
    let mut archs = Vec::new();
    for entry in text.split([' ', ';', ',']).filter(|entry| !entry.is_empty()) {
        let number = entry.strip_suffix("+PTX").unwrap_or(entry);
        archs.push(parse_arch(number.strip_suffix('a').unwrap_or(number)).filter(|_| number.contains('.'))?);
    }
    archs.sort_unstable();
    archs.dedup();
    (!archs.is_empty()).then_some(archs)
}

/// What the environment is made of besides the plan.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Our folder of headers for `-include`.
    pub forced_headers: Option<PathBuf>,
    /// Folders searched for headers and libraries after the toolkit's own.
    pub includes: Vec<PathBuf>,
    /// The folders of libraries.
    pub libs: Vec<PathBuf>,
    /// Folders put before PATH: the toolkit's `bin`, ninja's.
    pub programs: Vec<PathBuf>,
    /// Variables that setup.py reads and that mean architectures, with their values.
    pub answers: Vec<(String, String)>,
    /// PATH, CPATH, LIBRARY_PATH, INCLUDE, LIB, NVCC_PREPEND_FLAGS, CFLAGS, CL as they were.
    pub before: BTreeMap<String, String>,
    /// `windows`, `linux`, `macos`.
    pub os: String,
}

/// Name of the header that is forced into every file.
pub const FORCED: &str = "splatwright_forced.h";

/// The variables of the building child; every other variable stays as it is.
pub fn environment(plan: &ExtPlan, around: &Surroundings) -> BTreeMap<String, String> {
    let windows = around.os == "windows";
    let separator = if windows { ";" } else { ":" };
    let mut env = BTreeMap::new();
    let before = |name: &str| around.before.get(name).cloned().unwrap_or_default();
    let paths = |first: &[PathBuf], name: &str| {
        let mut list: Vec<String> = first.iter().map(|path| path.display().to_string()).collect();
        list.extend(Some(before(name)).filter(|old| !old.is_empty()));
        list.join(separator)
    };
    let joined = |first: &str, name: &str| format!("{first} {}", before(name)).trim().to_owned();
    let mut set = |name: &str, value: String| {
        if !value.is_empty() {
            env.insert(name.to_owned(), value);
        }
    };
    if let Some(root) = plan.cuda.path() {
        set("CUDA_HOME", root.display().to_string());
        set("CUDA_PATH", root.display().to_string());
    }
    set("TORCH_CUDA_ARCH_LIST", plan.arch_list());
    set("MAX_JOBS", plan.jobs.to_string());
    // Many setup.py leave the CUDA part out where no GPU is visible, unless this says otherwise.
    set("FORCE_CUDA", "1".into());
    for (name, value) in &around.answers {
        set(name, value.clone());
    }
    set("PATH", paths(&around.programs, "PATH"));
    let mut includes = around.includes.clone();
    includes.splice(0..0, around.forced_headers.clone());
    if windows {
        set("DISTUTILS_USE_SDK", "1".into());
        set("MSSdk", "1".into());
        set("VSLANG", "1033".into());
        set("INCLUDE", paths(&includes, "INCLUDE"));
        set("LIB", paths(&around.libs, "LIB"));
    } else {
        if let (Some(cxx), Some(cc)) = (&plan.compiler, &plan.cc) {
            set("CXX", cxx.path.display().to_string());
            set("CC", cc.display().to_string());
        }
        // The toolkit's own header was asked; torch's table disagrees with it in both directions (E21).
        set("TORCH_DONT_CHECK_COMPILER_ABI", "1".into());
        set("CPATH", paths(&includes, "CPATH"));
        set("LIBRARY_PATH", paths(&around.libs, "LIBRARY_PATH"));
    }
    if around.forced_headers.is_some() {
        // A bare name, found through the search path: a path could hold spaces or the word `arch` (E56, E91).
        set("NVCC_PREPEND_FLAGS", joined(&format!("-include {FORCED}"), "NVCC_PREPEND_FLAGS"));
        if windows {
            set("CL", joined(&format!("/FI{FORCED}"), "CL"));
        } else {
            set("CFLAGS", joined(&format!("-include {FORCED}"), "CFLAGS"));
        }
    }
    env
}

/// The first folder that a build may lie in. torch drops every `-gencode` when a flag contains `arch` (E56), build
/// tools stumble over spaces and, on Windows, over anything but ASCII and over long paths (E91, E92).
pub fn build_root<'a>(candidates: &'a [PathBuf], os: &str) -> Option<&'a Path> {
    let windows = os == "windows";
    let fits = |path: &Path| {
        let text = path.display().to_string();
        !text.contains("arch")
            && !text.contains(char::is_whitespace)
            && (!windows || (text.is_ascii() && text.len() <= 60))
    };
    candidates.iter().map(PathBuf::as_path).find(|path| fits(path))
}
