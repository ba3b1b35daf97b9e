//! Python interpreters: which ones there are, their version, packages folders, and whether pip and venv are there.
//! Each active interpreter is asked once, isolated, importing nothing that is not part of Python itself.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::sites;
use crate::{
    env::{Env, Os, real_path},
    machine::Python,
    version::Version,
};

const QUESTION: &str = "import sys,json,sysconfig,site,importlib.util as u
f=lambda n:u.find_spec(n) is not None
p=[sysconfig.get_paths()[k] for k in('purelib','platlib')]+site.getsitepackages()
if sys.prefix==sys.base_prefix:p.append(site.getusersitepackages())
print(json.dumps({'version':'%d.%d.%d'%sys.version_info[:3],'executable':sys.executable,'paths':p,'pip':f('pip'),'venv':f('venv')and f('ensurepip'),'include':sysconfig.get_paths()['include'],'base':sys.base_prefix,'torch':(lambda s:s and s.origin)(u.find_spec('torch'))}))";

#[derive(Deserialize)]
struct Answer {
    version: Version,
    executable: PathBuf,
    paths: Vec<PathBuf>,
    pip: bool,
    venv: bool,
    #[serde(default)]
    include: Option<PathBuf>,
    #[serde(default)]
    base: Option<PathBuf>,
    /// `torch/__init__.py`; found, not executed.
    #[serde(default)]
    torch: Option<PathBuf>,
}

/// Interpreters that are active (virtual environment, conda, `python3`, `python`), asked; then every other
/// `python3.N`, known by name alone: they serve a row that the active one has no wheels for.
pub(crate) fn probe(env: &Env) -> Vec<Python> {
    let asked: Vec<(PathBuf, String)> = active(env);
    let answers = std::thread::scope(|scope| {
        let handles: Vec<_> =
            asked.iter().map(|(path, source)| scope.spawn(move || ask(env, path, source))).collect();
        handles.into_iter().filter_map(|handle| handle.join().ok().flatten()).collect::<Vec<_>>()
    });
    let mut found: Vec<Python> = Vec::new();
    for python in answers.into_iter().chain(by_name(env)) {
        // Two interpreters of one environment share their packages folder; a virtual environment has its own.
        let same = |known: &&Python| {
            real_path(&known.path) == real_path(&python.path)
                && (known.site_packages == python.site_packages || python.site_packages.is_empty())
        };
        if found.iter().find(same).is_none() {
            found.push(python);
        }
    }
    found
}

fn active(env: &Env) -> Vec<(PathBuf, String)> {
    let inside = if env.os == Os::Windows { "Scripts/python.exe" } else { "bin/python" };
    let mut found: Vec<(PathBuf, String)> = Vec::new();
    // What the request names comes first: an interpreter, or the folder of an environment.
    for named in &env.pythons {
        let inner = [inside, "python.exe", "bin/python3"].map(|inner| named.join(inner));
        let path =
            if named.is_dir() { inner.into_iter().find(|path| path.is_file()) } else { Some(named.clone()) };
        found.extend(path.map(|path| (path, "the request".to_owned())));
    }
    let mut add = |path: PathBuf, source: String| {
        let folder_known = |known: &Path| known.parent() == path.parent();
        if env.has_program(&path) && !found.iter().any(|(known, _)| folder_known(known)) {
            found.push((path, source));
        }
    };
    if let Some(venv) = env.var("VIRTUAL_ENV") {
        add(Path::new(venv).join(inside), "VIRTUAL_ENV".into());
    }
    if let Some(conda) = env.var("CONDA_PREFIX") {
        let inside = if env.os == Os::Windows { "python.exe" } else { inside };
        add(Path::new(conda).join(inside), "CONDA_PREFIX".into());
    }
    for name in ["python3", "python"] {
        if let Some(path) = env.on_path(name) {
            add(behind_shim(env, &path).unwrap_or(path), format!("{name} on PATH"));
        }
    }
    found
}

fn pyenv_root(env: &Env) -> Option<PathBuf> {
    env.var("PYENV_ROOT").map(PathBuf::from).or_else(|| Some(Path::new(env.var("HOME")?).join(".pyenv")))
}

/// What a pyenv shim leads to, by pyenv's own rules. The shim is a shell script that takes longer than everything
/// else here together; where the rules do not settle it (`system`, several versions), it is run all the same.
fn behind_shim(env: &Env, shim: &Path) -> Option<PathBuf> {
    let root = pyenv_root(env).filter(|root| shim.starts_with(root.join("shims")))?;
    let stated = env.var("PYENV_VERSION").map(str::to_owned);
    let local = || {
        let here = std::env::current_dir().ok()?;
        here.ancestors().find_map(|folder| fs_err::read_to_string(folder.join(".python-version")).ok())
    };
    let global = || fs_err::read_to_string(root.join("version")).ok();
    let text = stated.or_else(local).or_else(global)?;
    let path = root.join("versions").join(text.trim()).join("bin").join(shim.file_name()?);
    path.is_file().then_some(path)
}

fn ask(env: &Env, path: &Path, source: &str) -> Option<Python> {
    let text = env.run(path, &["-I", "-c", QUESTION])?;
    let line = text.lines().find(|line| line.starts_with('{'))?;
    let answer: Answer = serde_json::from_str(line).ok()?;
    let mut site_packages: Vec<PathBuf> = Vec::new();
    for folder in answer.paths {
        if folder.is_dir() && !site_packages.contains(&folder) {
            site_packages.push(folder);
        }
    }
    let (packages, origins) = sites::packages(&site_packages);
    Some(Python {
        has_headers: answer.include.map(|include| include.join("Python.h").is_file()).map(|header| {
            let library = format!("libs/python{}{}.lib", answer.version.major(), answer.version.minor());
            let base = answer.base.unwrap_or_default();
            header && (env.os != Os::Windows || base.join(library).is_file())
        }),
        path: answer.executable,
        version: answer.version,
        source: source.to_owned(),
        has_pip: Some(answer.pip),
        has_venv: Some(answer.venv),
        torch: answer
            .torch
            .as_deref()
            .and_then(Path::parent)
            .map(Path::to_owned)
            .filter(|torch| !site_packages.iter().any(|folder| torch.starts_with(folder))),
        site_packages,
        packages,
        origins,
    })
}

/// `python3.N` on PATH and pyenv's versions. pyenv's shims are left out: they answer only for versions it activated.
fn by_name(env: &Env) -> Vec<Python> {
    let unasked = |path: PathBuf, version: Version, source: &str| Python {
        path,
        version,
        source: source.to_owned(),
        ..Python::default()
    };
    let mut found = Vec::new();
    for dir in env.path_dirs().iter().filter(|dir| !dir.ends_with("shims")) {
        for minor in (8..=20).rev() {
            let path = dir.join(env.exe(&format!("python3.{minor}")));
            if path.is_file() {
                found.push(unasked(path, Version::new(&[3, minor]), "PATH"));
            }
        }
    }
    let versions = pyenv_root(env).and_then(|root| fs_err::read_dir(root.join("versions")).ok());
    let mut folders: Vec<PathBuf> =
        versions.into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
    folders.sort();
    for folder in folders.iter().rev() {
        let path = folder.join("bin/python");
        let version =
            folder.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<Version>().ok());
        if let Some(version) =
            version.filter(|version| version.major() == 3 && version.minor() >= 8 && path.is_file())
        {
            found.push(unasked(path, version, "pyenv"));
        }
    }
    found
}
