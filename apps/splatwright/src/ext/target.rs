//! The environment that an extension is built for: its interpreter is asked once, importing nothing that is not
//! part of Python itself. torch is found, not imported.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};
use splat_toolchain::{Version, wheels::Interpreter};

use crate::hint::hinted;

const QUESTION: &str = "import sys,json,sysconfig,importlib.util as u,importlib.metadata as m
def v(n):
    try: return m.version(n)
    except Exception: return None
def glibc():
    try: return __import__('os').confstr('CS_GNU_LIBC_VERSION').split()[1]
    except Exception: return None
sys.path[:]=[p for p in sys.path if p]
s=u.find_spec('torch')
c=sysconfig.get_config_var
print(json.dumps({'version':'%d.%d.%d'%sys.version_info[:3],'executable':sys.executable,'prefix':sys.prefix,
'torch':s.origin if s else None,'suffix':c('EXT_SUFFIX') or '','platform':sysconfig.get_platform(),
'include':sysconfig.get_paths()['include'],'site':[sysconfig.get_paths()[k] for k in ('purelib','platlib')],
'glibc':glibc(),'free_threaded':bool(c('Py_GIL_DISABLED')),'library':c('LIBDIR') or '','setuptools':v('setuptools'),'wheel':v('wheel')}))";

/// What the interpreter says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The interpreter.
    pub executable: PathBuf,
    /// Its version.
    pub version: Version,
    /// The root of its environment (`sys.prefix`).
    pub prefix: PathBuf,
    /// `torch/__init__.py`, if there is a torch.
    pub torch: Option<PathBuf>,
    /// `.cpython-311-x86_64-linux-gnu.so`.
    pub suffix: String,
    /// `linux-x86_64`, `win-amd64`.
    pub platform: String,
    /// Folder with `Python.h`.
    pub include: PathBuf,
    /// The folder of its own library (`LIBDIR`); empty if it does not say.
    pub library: PathBuf,
    /// Its packages folders.
    #[serde(default)]
    pub site: Vec<PathBuf>,
    /// The system's C library; `None` where it is not glibc.
    #[serde(default)]
    pub glibc: Option<Version>,
    /// Whether it is a build without the global interpreter lock.
    #[serde(default)]
    pub free_threaded: bool,
    /// The version of setuptools, if it is installed.
    pub setuptools: Option<String>,
    /// The version of the package wheel, if it is installed.
    pub wheel: Option<String>,
}

impl Target {
    /// Asks the interpreter that `path` is, or that lies in the environment `path`.
    ///
    /// # Errors
    /// There is no interpreter, or it does not answer.
    pub fn ask(path: &Path) -> anyhow::Result<Self> {
        let program = interpreter(path)?;
        let output = Command::new(&program)
            .args(["-c", QUESTION])
            .env_remove("PYTHONHOME")
            .current_dir(std::env::temp_dir())
            .output()
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => hinted(
                    format!("there is no interpreter `{}`", program.display()),
                    "name one (`python3.11`), or the folder of an environment that is there (`.venv`)",
                ),
                _ => hinted(
                    format!("`{}` cannot be started: {error}", program.display()),
                    "name the interpreter with `--python`",
                ),
            })?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().find_map(|line| serde_json::from_str(line).ok()).ok_or_else(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            hinted(
                format!("`{}` does not answer as Python does: {last}", program.display()),
                "name the interpreter with `--python`; Python 3.8 or later is needed",
            )
        })
    }

    /// The folder of the torch package.
    ///
    /// # Errors
    /// The environment has none.
    pub fn torch_root(&self) -> anyhow::Result<PathBuf> {
        let root = self.torch.as_deref().and_then(Path::parent).map(Path::to_owned);
        root.ok_or_else(|| {
            hinted(
                format!("E80: `{}` has no torch to build against", self.executable.display()),
                format!("cargo xtask torch plan --python {}", self.executable.display()),
            )
        })
    }

    /// Whether its setuptools can make wheels by itself (70.1) or with the help of `wheel`, and still has what torch and
    /// many setup.py import of it (before 82).
    pub fn makes_wheels(&self) -> bool {
        let setuptools: Option<Version> = self.setuptools.as_deref().and_then(|text| text.parse().ok());
        setuptools.is_some_and(|version| {
            (version >= Version::new(&[70, 1]) || self.wheel.is_some()) && version < Version::new(&[82])
        })
    }

    /// What decides which wheels it takes.
    pub fn for_wheels(&self) -> Interpreter {
        Interpreter {
            version: self.version.clone(),
            platform: self.platform.clone(),
            glibc: self.glibc.clone(),
            free_threaded: self.free_threaded,
        }
    }

    /// `cp311`.
    pub fn tag(&self) -> String {
        format!("cp{}{}", self.version.major(), self.version.minor())
    }
}

/// The interpreter of an environment's folder, or the path itself; a name without a folder is looked for on PATH.
pub(crate) fn interpreter(path: &Path) -> anyhow::Result<PathBuf> {
    let inside: &[&str] =
        if cfg!(windows) { &["Scripts/python.exe", "python.exe"] } else { &["bin/python", "bin/python3"] };
    if path.is_dir() {
        let path = &std::path::absolute(path)?;
        return inside.iter().map(|name| path.join(name)).find(|file| file.is_file()).ok_or_else(|| {
            hinted(
                format!("`{}` is no Python environment: it has no {}", path.display(), inside.join(" or ")),
                "name the folder that holds it, often `.venv`; a new one: `python3 -m venv .venv`",
            )
        });
    }
    if path.components().count() == 1 {
        return Ok(path.to_owned());
    }
    // Not resolved: the link is what makes a virtual environment's interpreter know where it stands.
    Ok(std::path::absolute(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_an_interpreter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = interpreter(dir.path()).unwrap_err();
        assert!(error.to_string().contains("no Python environment"), "{error:#}");
    }

    #[test]
    fn setuptools_must_be_neither_too_old_nor_too_new() {
        let mut target: Target = serde_json::from_str(
            r#"{"executable":"/p","version":"3.11.7","prefix":"/","torch":null,"suffix":".so","platform":"linux-x86_64",
                "include":"/i","library":"","setuptools":"65.5.0","wheel":null}"#,
        )
        .unwrap();
        assert!(!target.makes_wheels());
        target.wheel = Some("0.45".into());
        assert!(target.makes_wheels());
        target.wheel = None;
        target.setuptools = Some("81.0.0".into());
        assert!(target.makes_wheels());
        target.setuptools = Some("82.0.0".into());
        assert!(!target.makes_wheels());
        assert_eq!(target.tag(), "cp311");
        assert!(target.torch_root().is_err());
    }
}
