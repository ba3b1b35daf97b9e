//! Where libtorch lies and how a program links with it: what build scripts of packages on libtorch share.
//!
//! The same variables decide as for torch-sys (`LIBTORCH`, `LIBTORCH_INCLUDE`, `LIBTORCH_LIB`,
//! `LIBTORCH_CXX11_ABI`, `LIBTORCH_USE_PYTORCH`), so that the op and tch can never meet two libtorchs.
//! Cargo hands link arguments to no dependent: every package with a binary, test or example on libtorch
//! prints [`torch_directives`] from its own build script. Uses std alone, writes and prints nothing.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variables that decide; a build script must run again when one changes.
pub const VARIABLES: [&str; 6] = [
    "LIBTORCH",
    "LIBTORCH_INCLUDE",
    "LIBTORCH_LIB",
    "LIBTORCH_CXX11_ABI",
    "LIBTORCH_USE_PYTORCH",
    "VIRTUAL_ENV",
];

const HINT: &str = "hint: `cargo xtask build` chooses one, or set LIBTORCH to a folder with include/ and lib/, \
                    or LIBTORCH_USE_PYTORCH=1";

/// Prints what [`parse_python`] reads.
const ASK_PYTHON: &str = "\
import torch
from torch.utils import cpp_extension as e
print('abi', int(torch._C._GLIBCXX_USE_CXX11_ABI))
for p in e.include_paths(): print('include', p)
for p in e.library_paths(): print('lib', p)
";

/// One installation of libtorch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torch {
    /// Folders of headers, in the order of search.
    pub includes: Vec<PathBuf>,
    /// The folder of the libraries.
    pub lib: PathBuf,
    /// Whether it was compiled with the newer `std::string` (`_GLIBCXX_USE_CXX11_ABI`).
    pub cxx11_abi: bool,
}

/// What is linked for, as cargo names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// ELF and GNU-like linkers.
    Linux,
    /// Mach-O.
    MacOs,
    /// link.exe.
    Msvc,
}

impl Target {
    /// The target of the running build script.
    #[must_use]
    pub fn of_build_script() -> Self {
        match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
            Ok("windows") => Self::Msvc,
            Ok("macos") => Self::MacOs,
            _ => Self::Linux,
        }
    }
}

/// The libtorch that the environment of this build script names.
///
/// # Errors
/// A sentence and a `hint:` line when it names none, or one without headers or libraries.
pub fn torch() -> Result<Torch, String> {
    let found = find(|name| std::env::var_os(name).filter(|v| !v.is_empty()), ask_python)?;
    for (what, path) in
        found.includes.iter().take(1).map(|p| ("headers", p)).chain([("libraries", &found.lib)])
    {
        if !path.is_dir() {
            return Err(format!(
                "the {what} of libtorch should be in `{}`, but there is no such folder\n{HINT}",
                path.display()
            ));
        }
    }
    Ok(found)
}

/// What a build script of a package with a binary, test or example on libtorch prints.
///
/// A failure to find libtorch becomes `cargo::error=` lines, which end the build with that sentence alone.
#[must_use]
pub fn torch_directives() -> String {
    let mut out = String::new();
    for name in VARIABLES {
        let _ = writeln!(out, "cargo::rerun-if-env-changed={name}");
    }
    match torch() {
        Ok(found) => {
            for arg in link_args(&found.lib, Target::of_build_script(), |file| found.lib.join(file).exists())
            {
                let _ = writeln!(out, "cargo::rustc-link-arg={arg}");
            }
        }
        Err(text) => {
            for line in text.lines() {
                let _ = writeln!(out, "cargo::error={line}");
            }
        }
    }
    out
}

/// The linker's arguments. `has` says whether the folder of libraries has a file.
///
/// libtorch registers its CUDA half by being loaded, no symbol of it is named: a linker that drops unneeded
/// libraries leaves a program whose CUDA "is not available". The run-time path is written as RUNPATH, which
/// yields to `LD_LIBRARY_PATH`, so that a program runs on another machine's libtorch.
#[must_use]
pub fn link_args(lib: &Path, target: Target, has: impl Fn(&str) -> bool) -> Vec<String> {
    let lib = lib.display();
    match target {
        Target::Linux => {
            let mut args = vec![
                format!("-L{lib}"),
                format!("-Wl,--enable-new-dtags,-rpath,{lib}"),
                "-Wl,--push-state,--no-as-needed".into(),
            ];
            if has("libtorch_cuda.so") {
                args.push("-ltorch_cuda".into());
            }
            args.extend(["-ltorch".into(), "-Wl,--pop-state".into()]);
            args
        }
        Target::MacOs => vec![format!("-L{lib}"), format!("-Wl,-rpath,{lib}")],
        Target::Msvc => {
            let mut args = vec![format!("/LIBPATH:{lib}")];
            if has("torch_cuda.lib") {
                args.push("torch_cuda.lib".into());
                // A function of torch_cuda.dll; naming it keeps the DLL.
                args.push("/INCLUDE:?warp_size@cuda@at@@YAHXZ".into());
            }
            args
        }
    }
}

/// Decides from the variables alone; `python` is asked only when they say so.
fn find(
    variable: impl Fn(&str) -> Option<OsString>,
    python: impl FnOnce(bool) -> Result<String, String>,
) -> Result<Torch, String> {
    if variable("LIBTORCH_USE_PYTORCH").is_some() {
        return parse_python(&python(variable("VIRTUAL_ENV").is_some())?);
    }
    let root = match variable("LIBTORCH") {
        Some(root) => PathBuf::from(root),
        None if cfg!(unix) && Path::new("/usr/lib/libtorch.so").exists() => PathBuf::from("/usr"),
        None => return Err(format!("no libtorch is chosen: LIBTORCH is not set\n{HINT}")),
    };
    let include = variable("LIBTORCH_INCLUDE").map_or_else(|| root.clone(), PathBuf::from).join("include");
    Ok(Torch {
        includes: vec![include.clone(), include.join("torch/csrc/api/include")],
        lib: variable("LIBTORCH_LIB").map_or(root, PathBuf::from).join("lib"),
        cxx11_abi: variable("LIBTORCH_CXX11_ABI").is_none_or(|v| v != "0"),
    })
}

fn ask_python(in_venv: bool) -> Result<String, String> {
    let python = match (cfg!(windows), in_venv) {
        (true, _) => "python.exe",
        (false, true) => "python",
        (false, false) => "python3",
    };
    let out = Command::new(python)
        .args(["-c", ASK_PYTHON])
        .output()
        .map_err(|e| format!("LIBTORCH_USE_PYTORCH is set, but `{python}` does not start: {e}\n{HINT}"))?;
    if !out.status.success() {
        let text = String::from_utf8_lossy(&out.stderr);
        let last = text.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("no message");
        return Err(format!(
            "LIBTORCH_USE_PYTORCH is set, but `{python}` cannot import torch: {last}\n{HINT}"
        ));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Reads lines such as `abi 1`, `include /x/torch/include`, `lib /x/torch/lib`.
fn parse_python(text: &str) -> Result<Torch, String> {
    let values = |key: &'static str| {
        text.lines().filter_map(move |l| l.strip_prefix(key)?.strip_prefix(' ')).map(str::trim)
    };
    let includes: Vec<_> = values("include").map(PathBuf::from).collect();
    match (values("abi").next(), values("lib").next()) {
        (Some(abi), Some(lib)) if !includes.is_empty() => {
            Ok(Torch { includes, lib: lib.into(), cxx11_abi: abi != "0" })
        }
        _ => Err(format!("Python's torch does not say where it lies; it printed `{}`\n{HINT}", text.trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(vars: &[(&str, &str)]) -> Result<Torch, String> {
        find(
            |name| vars.iter().find(|(k, _)| *k == name).map(|(_, v)| OsString::from(v)),
            |_| Ok("abi 0\ninclude /py/include\ninclude /py/api\nlib /py/lib\n".into()),
        )
    }

    #[test]
    fn libtorch_names_headers_and_libraries() {
        let t = from(&[("LIBTORCH", "/t"), ("LIBTORCH_CXX11_ABI", "0")]).unwrap();
        assert_eq!(t.includes[0], Path::new("/t/include"));
        assert_eq!(t.includes[1], Path::new("/t/include/torch/csrc/api/include"));
        assert_eq!((t.lib.as_path(), t.cxx11_abi), (Path::new("/t/lib"), false));
    }

    #[test]
    fn separate_folders_win_over_the_root() {
        let t = from(&[("LIBTORCH", "/t"), ("LIBTORCH_LIB", "/l"), ("LIBTORCH_INCLUDE", "/i")]).unwrap();
        assert_eq!(t.includes[0], Path::new("/i/include"));
        assert_eq!((t.lib.as_path(), t.cxx11_abi), (Path::new("/l/lib"), true));
    }

    #[test]
    fn python_wins_over_libtorch_as_in_torch_sys() {
        let t = from(&[("LIBTORCH", "/t"), ("LIBTORCH_USE_PYTORCH", "1")]).unwrap();
        assert_eq!(t.includes, [Path::new("/py/include"), Path::new("/py/api")]);
        assert_eq!((t.lib.as_path(), t.cxx11_abi), (Path::new("/py/lib"), false));
    }

    #[test]
    fn silence_of_python_is_an_error_that_shows_it() {
        let text = parse_python("Illegal instruction").unwrap_err();
        assert!(text.contains("Illegal instruction") && text.contains("hint:"), "{text}");
    }

    #[test]
    fn cuda_is_forced_in_only_where_it_exists() {
        let lib = Path::new("/t/lib");
        let cuda = link_args(lib, Target::Linux, |f| f == "libtorch_cuda.so").join(" ");
        let keep = cuda.find("--no-as-needed").unwrap();
        assert!(cuda.find("-ltorch_cuda").unwrap() > keep, "{cuda}");
        assert!(cuda.find("--pop-state").unwrap() > cuda.find("-ltorch ").unwrap(), "{cuda}");
        assert!(!link_args(lib, Target::Linux, |_| false).join(" ").contains("torch_cuda"));
        assert!(!link_args(lib, Target::MacOs, |_| true).join(" ").contains("as-needed"));
        assert!(link_args(lib, Target::Msvc, |_| true).join(" ").contains("/INCLUDE:"));
    }
}
