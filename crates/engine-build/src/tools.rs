//! Where the tools are: the CUDA toolkit, CMake, Ninja, the host compiler.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::architectures;
use crate::problems::Problems;

const TOOLKIT_HINT: &str = "install the CUDA toolkit (https://developer.nvidia.com/cuda-downloads) and set CUDA_HOME to its \
                            folder, or leave the feature `compile` off";
/// Folders of a toolkit's own libraries: `lib64`, or `lib` in Python packages.
const LIBRARY_FOLDERS: [&str; 5] =
    ["lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib", "lib/x64"];

/// What is compiled for.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) windows: bool,
    pub(crate) linux: bool,
    /// Programs that are compiled run here.
    pub(crate) is_host: bool,
}

impl Target {
    pub(crate) fn of_cargo() -> Self {
        let os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
        Self {
            windows: os == "windows",
            linux: os == "linux",
            is_host: env::var_os("HOST") == env::var_os("TARGET"),
        }
    }

    pub(crate) fn shared_library(&self, name: &str) -> String {
        if self.windows { format!("{name}.dll") } else { format!("lib{name}.so") }
    }
}

/// Tools that exist.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) nvcc: PathBuf,
    pub(crate) cuda_libraries: PathBuf,
    pub(crate) architectures: String,
    pub(crate) cmake: PathBuf,
    pub(crate) ninja: Option<PathBuf>,
    pub(crate) host_compiler: Option<OsString>,
}

impl Tools {
    /// `None` if one is missing, which `problems` then says.
    pub(crate) fn find(target: &Target, problems: &mut Problems) -> Option<Self> {
        let toolkit = toolkit(target, problems);
        let architectures = toolkit.as_ref().and_then(|t| architectures::find(&t.0, target, problems));
        let cmake = cmake(problems);
        let ninja = variable("SPLATWRIGHT_NINJA").map(PathBuf::from);
        if let Some(path) = ninja.as_ref().filter(|path| !path.is_file()) {
            let what = format!("SPLATWRIGHT_NINJA (`{}`) is not a file", path.display());
            problems.add(what, "unset it: CMake then uses its usual generator");
        }
        let (nvcc, cuda_libraries) = toolkit?;
        Some(Self {
            nvcc,
            cuda_libraries,
            architectures: architectures?,
            cmake: cmake?,
            ninja,
            host_compiler: variable("CUDAHOSTCXX").map(OsString::from),
        })
    }
}

/// nvcc and the folder of the runtime's static library.
fn toolkit(target: &Target, problems: &mut Problems) -> Option<(PathBuf, PathBuf)> {
    let program = format!("nvcc{}", env::consts::EXE_SUFFIX);
    let named = ["SPLATWRIGHT_CUDA_HOME", "CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .find_map(|name| variable(name).map(|value| (name, PathBuf::from(value))));
    let home = if let Some((name, home)) = named {
        if !home.join("bin").join(&program).is_file() {
            let what = format!("{name} (`{}`) has no compiler `bin/{program}`", home.display());
            problems.add(what, TOOLKIT_HINT);
            return None;
        }
        home
    } else {
        let on_path = on_path(&program).and_then(|nvcc| nvcc.canonicalize().ok());
        let found = on_path.and_then(|nvcc| Some(nvcc.parent()?.parent()?.to_owned()));
        let usual = PathBuf::from("/usr/local/cuda");
        let Some(home) = found.or_else(|| usual.join("bin").join(&program).is_file().then_some(usual)) else {
            let what = "there is no CUDA toolkit: CUDA_HOME and CUDA_PATH are not set, nvcc is not on PATH, and \
                        /usr/local/cuda has none";
            problems.add(what.into(), TOOLKIT_HINT);
            return None;
        };
        home
    };
    let archive = if target.windows { "cudart_static.lib" } else { "libcudart_static.a" };
    let libraries = LIBRARY_FOLDERS.iter().map(|f| home.join(f)).find(|f| f.join(archive).is_file());
    if libraries.is_none() {
        let what = format!("the CUDA toolkit `{}` has no {archive} in {LIBRARY_FOLDERS:?}", home.display());
        problems.add(what, TOOLKIT_HINT);
    }
    Some((home.join("bin").join(program), libraries?))
}

fn cmake(problems: &mut Problems) -> Option<PathBuf> {
    const HINT: &str =
        "install CMake 3.24 or newer (https://cmake.org/download), or set SPLATWRIGHT_CMAKE to its program";
    if let Some(path) = variable("SPLATWRIGHT_CMAKE").map(PathBuf::from) {
        if path.is_file() && path.file_stem().is_some_and(|name| name == "cmake") {
            return Some(path);
        }
        problems.add(format!("SPLATWRIGHT_CMAKE (`{}`) is not a program named cmake", path.display()), HINT);
        return None;
    }
    // The cmake crate reads CMAKE itself.
    if let Some(path) = variable("CMAKE") {
        return Some(path.into());
    }
    let found = on_path(&format!("cmake{}", env::consts::EXE_SUFFIX));
    if found.is_none() {
        problems.add("cmake is not on PATH".into(), HINT);
    }
    found
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// `folder` before what the variable holds.
pub(crate) fn prepended(name: &str, folder: &Path) -> OsString {
    let rest = env::var_os(name).unwrap_or_default();
    let paths = std::iter::once(folder.to_owned()).chain(env::split_paths(&rest));
    env::join_paths(paths.filter(|p| !p.as_os_str().is_empty())).unwrap_or(rest)
}

/// A variable that is set to something; cargo runs the build script again when it changes.
pub(crate) fn variable(name: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const CHILD: &str = "SPLAT_TEST_FINDS_TOOLS";

    /// Somebody else's machine without CUDA: everything that is missing is said at once, with hints that need no clone of
    /// this repository. A test's environment is its process's, so the search runs in a second one.
    #[test]
    fn what_is_missing_is_said_at_once_and_needs_no_clone() {
        if env::var_os(CHILD).is_some() {
            let mut problems = Problems::default();
            Tools::find(&Target { windows: false, linux: true, is_host: true }, &mut problems);
            problems.stop_if_any("cuda");
            return;
        }
        let nowhere = env::temp_dir().join("splat-engine-build-has-no-toolkit");
        let name = "tools::tests::what_is_missing_is_said_at_once_and_needs_no_clone";
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env_clear()
            .envs([(CHILD, "1".as_ref()), ("PATH", nowhere.as_os_str()), ("CUDA_HOME", nowhere.as_os_str())])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&child.stdout);
        assert!(!child.status.success(), "{text}");
        for part in
            ["engine `cuda` cannot be compiled here", "CUDA_HOME (`", "cmake is not on PATH", "hint: "]
        {
            assert!(text.contains(part), "no `{part}` in:\n{text}");
        }
        assert!(!text.contains("xtask"), "{text}");
    }
}
