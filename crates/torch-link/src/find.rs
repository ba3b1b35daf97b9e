//! Where libtorch is. The same variables decide as for torch-sys, so that a crate and tch never meet two libtorchs.

use std::ffi::OsString;
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

const HINT: &str = "hint: set LIBTORCH to a folder with include/ and lib/, such as an unpacked libtorch from pytorch.org or the \
                    folder of the Python package, or LIBTORCH_USE_PYTORCH=1 to use the torch of `python3`";

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

impl Torch {
    /// The options of a C++ compiler for code that includes torch's headers, which are its system's: their warnings are not
    /// yours.
    #[must_use]
    pub fn flags(&self, msvc: bool) -> Vec<OsString> {
        let (option, abi) = if msvc { ("/I", None) } else { ("-isystem", Some(u8::from(self.cxx11_abi))) };
        let folders = self.includes.iter().flat_map(|f| [option.into(), f.into()]);
        folders.chain(abi.map(|abi| format!("-D_GLIBCXX_USE_CXX11_ABI={abi}").into())).collect()
    }
}

/// The folder of this crate's own header for C++, `torch-link/errors.h`: with it the errors of a cxx bridge are torch's sentences
/// without stack traces.
#[must_use]
pub fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include")
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
        None => {
            return Err(format!(
                "no libtorch was found: neither LIBTORCH nor LIBTORCH_USE_PYTORCH is set\n{HINT}"
            ));
        }
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
        _ => Err(format!("Python's torch does not say where it is; it printed `{}`\n{HINT}", text.trim())),
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
}
