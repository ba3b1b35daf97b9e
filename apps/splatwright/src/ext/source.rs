//! The extension's sources: a folder, or a source package that is fetched without executing anything of it. They are
//! copied to a place without history (no `build`, no `*.egg-info`, no objects) and read; the rules judge them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use fs_err as fs;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use splat_toolchain::{
    Version, ext, ext_setup,
    managed::{TOOLS, hex},
    rules::tree::Tree,
};
use tempfile::TempDir;

use super::Setting;
use crate::{
    hint::hinted,
    provision::{archive, index::Index, pip},
    ui,
};

/// Sources ready to be built; the folder goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) scratch: TempDir,
    /// The folder with `setup.py` or `pyproject.toml`, below the scratch.
    pub(crate) dir: PathBuf,
    pub(crate) name: String,
    pub(crate) backend: Backend,
    /// What was read of it.
    pub(crate) tree: Tree,
    /// The include folder of the GLM that is lent to it.
    pub(crate) glm: Option<PathBuf>,
}

impl Source {
    /// Variables that its setup.py reads and that mean architectures, with their values.
    pub(crate) fn answers(&self, archs: &[u32]) -> Vec<(String, String)> {
        let setup = self.tree.setup();
        ext_setup::variables(setup)
            .into_iter()
            .filter_map(|variable| {
                let value = ext_setup::architectures(&variable.name, setup, archs)?;
                Some((variable.name, value))
            })
            .collect()
    }

    /// `pt24cu121.s1a2b3c4d`: torch, and a hash of the sources and of everything that they are built with.
    pub(crate) fn local_version(&self, setting: &Setting, options: &[String]) -> Result<String> {
        let root = self.scratch.path().join(COPY);
        let mut files = Vec::new();
        list(&root, &root, &mut files)?;
        let mut hasher = Sha256::new();
        for file in files {
            hasher.update(format!("{file}\n"));
            hasher.update(Sha256::digest(fs::read(root.join(&file))?));
        }
        let plan = &setting.plan;
        let compiler = plan
            .compiler
            .as_ref()
            .map(|compiler| format!("{} {}", compiler.path.display(), compiler.version));
        hasher.update(format!(
            "{} {:?} {:?} {} {compiler:?} {options:?}",
            plan.torch.full_version,
            plan.torch.cuda,
            plan.cuda.version(),
            plan.arch_list()
        ));
        let digits = |version: &Version| format!("{}{}", version.major(), version.minor());
        let cuda =
            plan.torch.cuda.as_ref().map_or_else(|| "cpu".into(), |cuda| format!("cu{}", digits(cuda)));
        Ok(format!("pt{}{cuda}.s{}", digits(&plan.torch.version), &hex(&hasher.finalize())[..8]))
    }
}

/// PEP 517's `[build-system]`, with its defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
    pub(crate) requires: Vec<String>,
}

/// The copy's folder in the scratch.
const COPY: &str = "src";

/// Folders and endings that a copy leaves out: what an earlier build made (E70), and what no build reads.
const LEFT_OUT: &[&str] = &["build", "dist", ".eggs", "__pycache__", ".git", ".venv", "venv", ".tox"];
const PRODUCTS: &[&str] = &["o", "obj", "pyc", "pyd", "egg"];

/// Finds or fetches the sources, copies them, and reads them.
pub(crate) fn prepare(
    source: &str,
    subfolder: Option<&str>,
    setting: &Setting,
    offline: bool,
) -> Result<Source> {
    let scratch = scratch(&setting.machine.os)?;
    let (top, package) = if let Some(top) = folder(source, None)? {
        (top, None)
    } else if let Some((package, version)) = package(source) {
        (fetch(package, version, setting, scratch.path(), offline)?, Some(package))
    } else {
        return Err(no_source(source));
    };
    let from = subfolder.map_or_else(|| top.clone(), |inner| top.join(inner));
    let has_git = from.join(".git").exists();
    let own = from.file_name().map(|name| name.to_string_lossy().into_owned());
    let package = package.filter(|_| subfolder.is_none()).map(str::to_owned);
    let root = scratch.path().join(COPY);
    let has_above = takes_all(&from, subfolder);
    copy(if has_above { &top } else { &from }, &root)?;
    let dir = subfolder.filter(|_| has_above).map_or_else(|| root.clone(), |inner| root.join(inner));
    let backend = backend(&dir)?;
    let tree = Tree { has_git, has_above, ..Tree::read(&dir) };
    let name = package.or(own).unwrap_or_else(|| "extension".into());
    Ok(Source { scratch, dir, name, backend, tree, glm: None })
}

/// `NAME==VERSION`, with both.
fn package(source: &str) -> Option<(&str, &str)> {
    source.split_once("==").filter(|(name, version)| !name.is_empty() && !version.is_empty())
}

/// The error about what is neither a folder nor `NAME==VERSION`.
fn no_source(source: &str) -> anyhow::Error {
    if Path::new(source).file_name().is_some_and(|name| name == "setup.py") {
        return hinted(format!("`{source}` is a file, not a folder"), "name the folder that it lies in");
    }
    if Path::new(source).is_file() {
        return hinted(
            format!("`{source}` is a file, not a folder"),
            "unpack it, and name the folder that holds setup.py",
        );
    }
    hinted(
        format!("`{source}` is neither a folder nor a package with its version"),
        "cargo xtask ext build path/to/extension --python VENV, or NAME==VERSION",
    )
}

/// The folder that a source names, if it names one.
fn folder(source: &str, subfolder: Option<&str>) -> Result<Option<PathBuf>> {
    let folder = Path::new(source);
    if !folder.is_dir() {
        return Ok(None);
    }
    Ok(Some(std::path::absolute(subfolder.map_or_else(|| folder.to_owned(), |inner| folder.join(inner)))?))
}

/// What stands in a source folder, read where it lies, for plans; `None` for a package, which is looked at once it is
/// fetched.
///
/// # Errors
/// It is neither, or the folder is no project of setuptools.
pub(crate) fn look(source: &str, subfolder: Option<&str>) -> Result<Option<Tree>> {
    let Some(folder) = folder(source, subfolder)? else {
        return if package(source).is_some() { Ok(None) } else { Err(no_source(source)) };
    };
    backend(&folder)?;
    Ok(Some(Tree { has_above: takes_all(&folder, subfolder), ..Tree::read(&folder) }))
}

/// Whether the folder around a subfolder is copied as well: its setup.py names files there.
fn takes_all(dir: &Path, subfolder: Option<&str>) -> bool {
    let setup = fs::read_to_string(dir.join("setup.py")).unwrap_or_default();
    subfolder.is_some() && ext_setup::reaches_out(&setup).is_some()
}

/// A folder whose path harms no tool (E56, E91, E92).
fn scratch(os: &str) -> Result<TempDir> {
    let mut candidates = vec![std::env::temp_dir()];
    candidates.extend(if cfg!(windows) {
        vec!["C:\\".into(), "D:\\".into()]
    } else {
        vec!["/tmp".into(), "/var/tmp".into()]
    });
    let root = ext::build_root(&candidates, os).ok_or_else(|| {
        hinted(
            format!(
                "`{}` cannot hold a build: torch and ninja stumble over such paths",
                candidates[0].display()
            ),
            "set TMPDIR (Windows: TEMP) to a short folder without spaces and without `arch` in its name",
        )
    })?;
    fs::create_dir_all(root)?;
    Ok(tempfile::Builder::new().prefix("sw-").tempdir_in(root)?)
}

/// Copies a tree without its products. Links to files become files, links to folders are followed.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if left_out(&name) {
            continue;
        }
        let kind = fs::metadata(&path);
        match kind {
            Ok(kind) if kind.is_dir() => copy(&path, &to.join(&name))?,
            Ok(_) => {
                fs::copy(&path, to.join(&name))?;
            }
            // A link that leads nowhere is nobody's source.
            Err(_) => {}
        }
    }
    Ok(())
}

fn left_out(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    LEFT_OUT.contains(&name)
        || name.ends_with(".egg-info")
        || PRODUCTS.contains(&ending)
        || (ending == "so" && (name.contains(".cpython-") || name.contains(".abi3.")))
}

/// Reads `[build-system]`; refuses what is not setuptools.
fn backend(dir: &Path) -> Result<Backend> {
    #[derive(Deserialize, Default)]
    struct Project {
        #[serde(rename = "build-system", default)]
        build: Build,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "kebab-case", default)]
    struct Build {
        build_backend: Option<String>,
        backend_path: Vec<String>,
        requires: Vec<String>,
    }
    let text = fs::read_to_string(dir.join("pyproject.toml"));
    if text.is_err() && !dir.join("setup.py").is_file() {
        let inner = extensions_below(dir);
        let hint = match inner.first() {
            Some(inner) => format!("it lies deeper: `--subfolder {inner}`"),
            None => "name the folder that holds setup.py".into(),
        };
        return Err(hinted("there is no setup.py and no pyproject.toml in this source", hint));
    }
    let project: Project = toml::from_str(&text.unwrap_or_default()).context("in pyproject.toml")?;
    let Build { build_backend, backend_path, requires } = project.build;
    let name = build_backend.unwrap_or_else(|| "setuptools.build_meta:__legacy__".into());
    if !name.starts_with("setuptools") && backend_path.is_empty() {
        return Err(hinted(
            format!("this project is built by `{name}`, not by setuptools: it has no CUDAExtension"),
            "python -m pip wheel --no-build-isolation --no-deps SOURCE",
        ));
    }
    Ok(Backend { name, path: backend_path, requires })
}

/// Folders one or two levels down with a setup.py.
fn extensions_below(dir: &Path) -> Vec<String> {
    let children = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    };
    let mut found: Vec<String> = children(dir)
        .into_iter()
        .flat_map(|child| std::iter::once(child.clone()).chain(children(&child)))
        .filter(|path| path.join("setup.py").is_file())
        .filter_map(|path| Some(path.strip_prefix(dir).ok()?.to_string_lossy().replace('\\', "/")))
        .collect();
    found.sort();
    found
}

fn list(root: &Path, dir: &Path, files: &mut Vec<String>) -> Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            list(root, &path, files)?;
        } else if let Ok(inner) = path.strip_prefix(root) {
            files.push(inner.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}

/// Fetches a source package through pip's own sources; its folder.
fn fetch(package: &str, version: &str, setting: &Setting, scratch: &Path, offline: bool) -> Result<PathBuf> {
    let python = setting.machine.pythons.first().context("there is no Python that could fetch it")?;
    let index = Index::of_pip(&python.path)?;
    let stem = package.replace(['-', '.'], "_").to_lowercase();
    let names = [format!("{stem}-{version}.tar.gz"), format!("{package}-{version}.tar.gz")];
    let folders = index.find_links.iter().map(PathBuf::from);
    let here = folders.flat_map(|link| names.clone().map(|name| link.join(name))).find(|file| file.is_file());
    let archive = match here {
        Some(file) => file,
        None if offline => {
            return Err(hinted(
                format!("`{package}=={version}` is not at hand, and nothing may be fetched"),
                format!("put {} into a folder DIR and set PIP_FIND_LINKS=DIR", names[0]),
            ));
        }
        None => download(package, version, &index, setting, &python.path, scratch)?,
    };
    let into = scratch.join("unpacked");
    fs::create_dir_all(&into)?;
    let name = archive.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let top = name.strip_suffix(".tar.gz").unwrap_or(&name);
    let all = |path: &str| (!path.is_empty()).then(|| path.to_owned());
    archive::extract(fs::File::open(&archive)?, top, &all, &into, archive::Limits::default())
        .with_context(|| format!("`{name}` was not unpacked"))?;
    Ok(into)
}

fn download(
    package: &str,
    version: &str,
    index: &Index,
    setting: &Setting,
    python: &Path,
    scratch: &Path,
) -> Result<PathBuf> {
    let tools = setting.machine.managed.iter().find(|state| state.item == TOOLS && state.lacks.is_empty());
    let tools = tools.context("unearth, which fetches source packages, is not in the cache")?;
    let into = scratch.join("download");
    fs::create_dir_all(&into)?;
    let requirement = format!("{package}=={version}");
    ui::note(&format!("fetching the sources of {requirement}"));
    let mut words = String::new();
    for attempt in index.attempts() {
        let mut command = pip::module(python, "unearth");
        command.arg("--no-binary").arg("--download").arg(&into).args(&attempt).arg(&requirement);
        command.env("PYTHONPATH", &tools.dir).env("PYTHONDONTWRITEBYTECODE", "1").env("TMPDIR", scratch);
        if let Some(cert) = &index.cert {
            command.env("SSL_CERT_FILE", cert);
        }
        if let Some(proxy) = &index.proxy {
            command.env("HTTPS_PROXY", proxy).env("HTTP_PROXY", proxy);
        }
        let finished = pip::run(command, false)?;
        let mut entries = fs::read_dir(&into)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        if let (true, Some(file)) = (finished.status.success(), entries.pop()) {
            return Ok(file);
        }
        words += &finished.stderr;
    }
    Err(hinted(
        format!("the sources of `{requirement}` could not be fetched:\n{}", pip::last_lines(&words, 8)),
        "see which sources pip asks: `python -m pip config list`; or unpack it yourself and name the folder",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_earlier_builds_left_is_not_copied() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        for file in [
            "setup.py",
            "k.cu",
            "build/temp/k.o",
            "x.egg-info/PKG-INFO",
            "pkg/_C.cpython-311-x86_64-linux-gnu.so",
            "pkg/__init__.py",
            "third_party/glm/glm.hpp",
            "pkg/libdata.so",
        ] {
            let path = from.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        copy(&from, &to).unwrap();
        let mut files = Vec::new();
        list(&to, &to, &mut files).unwrap();
        assert_eq!(
            files,
            ["k.cu", "pkg/__init__.py", "pkg/libdata.so", "setup.py", "third_party/glm/glm.hpp"]
        );
    }

    #[test]
    fn what_lies_above_is_copied_where_setup_py_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("submodules/knn");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("setup.py"), "SOURCES = ['knn.cu']\n").unwrap();
        assert!(!takes_all(&inner, Some("submodules/knn")));
        fs::write(inner.join("setup.py"), "SOURCES = ['../common/knn.cu']\n").unwrap();
        assert!(takes_all(&inner, Some("submodules/knn")) && !takes_all(&inner, None));
        let top = dir.path().to_str().unwrap();
        assert!(look(top, Some("submodules/knn")).unwrap().unwrap().has_above);
        assert!(!look(inner.to_str().unwrap(), None).unwrap().unwrap().has_above);
    }

    #[test]
    fn a_plan_refuses_what_a_build_would() {
        assert!(look("knn==1.0", None).unwrap().is_none());
        assert!(look("knn==", None).is_err() && look("==1.0", None).is_err());
        assert!(look("no/such/folder", None).unwrap_err().to_string().contains("neither a folder nor"));
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = look(file.path().to_str().unwrap(), None).unwrap_err();
        assert!(crate::hint::of(&error).unwrap().contains("unpack it"), "{error:#}");
    }

    #[test]
    fn only_setuptools_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let error = backend(dir.path()).unwrap_err();
        assert!(error.to_string().contains("no setup.py"), "{error:#}");
        fs::create_dir_all(dir.path().join("submodules/knn")).unwrap();
        fs::write(dir.path().join("submodules/knn/setup.py"), "").unwrap();
        let error = backend(dir.path()).unwrap_err();
        assert_eq!(crate::hint::of(&error), Some("it lies deeper: `--subfolder submodules/knn`"));
        fs::write(dir.path().join("setup.py"), "").unwrap();
        assert_eq!(backend(dir.path()).unwrap().name, "setuptools.build_meta:__legacy__");
        let text = "[build-system]\nrequires = [\"torch\"]\nbuild-backend = \"scikit_build_core.build\"\n";
        fs::write(dir.path().join("pyproject.toml"), text).unwrap();
        assert!(backend(dir.path()).unwrap_err().to_string().contains("scikit_build_core"));
    }
}
