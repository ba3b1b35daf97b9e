//! Proves a wheel: every module in it is looked into, each symbol that it needs is found in what torch, CUDA and the
//! system export, its GPU code serves the GPUs that were asked for, and it imports in a process of its own. Installs nothing.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use fs_err as fs;
use splat_toolchain::{Finding, Severity, ext_symbols, fatbin::Code};

use super::{
    Setting, Target,
    around::{LIBRARIES, cuda_folders},
    inside::{self, Inside},
    report::{Module, Report},
};

/// Looks at the wheel and imports what it holds.
pub(crate) fn prove(
    wheel: &Path,
    scratch: &Path,
    setting: &Setting,
    mut findings: Vec<Finding>,
) -> Result<Report> {
    let unpacked = scratch.join("proof");
    unpack(wheel, &unpacked, setting)?;
    let mut files = Vec::new();
    with_ending(&unpacked, &unpacked, &["so", "pyd"], &mut files)?;
    if files.is_empty() {
        findings.push(no_module(&unpacked, &setting.target)?);
    }
    let mut modules = Vec::new();
    for file in &files {
        let inside =
            inside::module(&unpacked.join(file)).with_context(|| format!("`{file}` is no library"))?;
        let module = look(file, inside, &unpacked, setting, &mut findings)?;
        modules.push(module);
    }
    if modules.iter().all(|module| module.archs.is_empty()) && !modules.is_empty() {
        findings.push(
            Finding::new("X02", Severity::Warning, "no module of the wheel holds GPU code")
                .hint("setup.py may want a variable set for it: `--env NAME=VALUE`"),
        );
    }
    let ok = findings.iter().all(|finding| finding.severity < Severity::Error);
    Ok(Report { ok, wheel: wheel.to_owned(), seconds: None, log: None, modules, findings })
}

/// X01: a wheel without a compiled module. One that holds CUDA sources instead compiles them where it is used.
fn no_module(unpacked: &Path, target: &Target) -> Result<Finding> {
    let mut sources = Vec::new();
    with_ending(unpacked, unpacked, &["cu"], &mut sources)?;
    let finding = |message: String, hint: String| Finding::new("X01", Severity::Broken, message).hint(hint);
    Ok(match sources.first() {
        Some(source) => finding(
            format!(
                "the wheel holds no compiled module, but sources ({source}): it compiles them at its first import"
            ),
            format!(
                "install it as it is (`{} -m pip install`), and set CUDA_HOME, CC and CXX to what the plan above names where it is used",
                target.executable.display()
            ),
        ),
        None => finding(
            "the wheel holds no compiled module: its setup.py left the extension out".into(),
            "setup.py may want a variable set for it: `--env NAME=VALUE`".into(),
        ),
    })
}

fn look(
    file: &str,
    inside: Inside,
    unpacked: &Path,
    setting: &Setting,
    findings: &mut Vec<Finding>,
) -> Result<Module> {
    let torch = &setting.plan.torch;
    let wanted = inside.undefined.len();
    let (unresolved, lost) = resolve(&inside, unpacked.join(file).parent(), setting)?;
    for name in &lost {
        findings.push(missing_library(file, name, inside.windows));
    }
    let abi = if inside.windows { None } else { Some(torch.cxx11_abi.unwrap_or(true)) };
    findings.extend(ext_symbols::undefined(file, &unresolved, &torch.full_version, abi));
    let major = torch.cuda.as_ref().map_or(0, splat_toolchain::Version::major);
    for name in ext_symbols::foreign_cuda(&inside.needed, major) {
        findings.push(
            Finding::new(
                "E64",
                Severity::Broken,
                format!(
                    "{file} needs {name}, and torch brings CUDA {major}: two CUDA runtimes in one process"
                ),
            )
            .hint("build it with a toolkit of torch's major version"),
        );
    }
    if setting.plan.mismatched()
        && let Some(shared) = ext_symbols::crosses_majors(&inside.undefined, &inside.needed)
    {
        let message = format!(
            "{file} was compiled with another CUDA major version than torch's, and shares `{shared}` with it, which is not the same in both"
        );
        findings.push(
            Finding::new("E64", Severity::Broken, message)
                .hint("build it with a toolkit of torch's major version"),
        );
    }
    findings.extend(gpu_code(file, &inside, &setting.plan.archs));
    let name = module_name(file, &setting.target.suffix);
    let imports = match import(&format!("importlib.import_module({name:?})"), unpacked, setting)? {
        Ok(()) => true,
        Err(said) => {
            let lacking = missing_package(&said).filter(|package| !unpacked.join(package).is_dir());
            let loads = lacking.is_some() && import(&of_file(&name, file), unpacked, setting)?.is_ok();
            findings.push(does_not_import(&name, &said, lacking.filter(|_| loads)));
            loads
        }
    };
    Ok(Module {
        name,
        archs: inside.archs,
        needed: inside.needed,
        symbols: wanted,
        unresolved: unresolved.into_iter().collect(),
        imports,
    })
}

/// X03. A package around the module may need another one that is not installed yet, which is no fault of the module's.
fn does_not_import(name: &str, said: &str, lacking: Option<&str>) -> Finding {
    match lacking {
        Some(package) => Finding::new(
            "X03",
            Severity::Warning,
            format!("{name} loads, and the package around it needs `{package}`, which is not installed here"),
        )
        .hint(format!("install `{package}` before you import it")),
        None => Finding::new("X03", Severity::Broken, format!("`import {name}` fails: {said}"))
            .hint("the findings above say why; else the package needs something at import that is not there"),
    }
}

/// `yaml` in Python's last line about a package that is not installed.
fn missing_package(said: &str) -> Option<&str> {
    let name = said.strip_prefix("ModuleNotFoundError: No module named '")?.split('\'').next()?;
    name.split('.').next()
}

/// Loads the file alone, without the packages around it.
fn of_file(name: &str, file: &str) -> String {
    let last = name.rsplit('.').next().unwrap_or(name);
    format!(
        "import importlib.util as u; s = u.spec_from_file_location({last:?}, {file:?}); s.loader.exec_module(u.module_from_spec(s))"
    )
}

/// E50: an architecture that was asked for and for which there is no code that runs there. Code of the same major
/// version runs, and the driver compiles PTX; both are said.
fn gpu_code(file: &str, inside: &Inside, archs: &[u32]) -> Vec<Finding> {
    if inside.archs.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut lacking = Vec::new();
    for arch in archs {
        match inside.code.code_for(*arch) {
            Some(Code::Sass(code)) if code == *arch => {}
            Some(Code::Sass(code)) => {
                let message = format!("{file} has no code for sm_{arch}; its sm_{code} code runs there");
                found.push(Finding::new("E50", Severity::Info, message));
            }
            Some(Code::Ptx(code)) => {
                let message = format!(
                    "{file} has no code for sm_{arch}; the driver compiles its compute_{code} code at first use, which takes a while and needs a driver as new as the toolkit"
                );
                found.push(Finding::new("E50", Severity::Warning, message));
            }
            None => lacking.push(format!("sm_{arch}")),
        }
    }
    if !lacking.is_empty() {
        let message = format!(
            "{file} has GPU code for {}, none of which runs on {}",
            inside.archs.join(" "),
            lacking.join(" ")
        );
        found.push(
            Finding::new("E50", Severity::Broken, message)
                .hint("its setup.py sets architectures of its own; look for `arch` or `gencode` in it"),
        );
    }
    found
}

/// The wheel is a zip archive; the environment's Python unpacks it.
fn unpack(wheel: &Path, into: &Path, setting: &Setting) -> Result<()> {
    let output = Command::new(&setting.target.executable)
        .args(["-I", "-m", "zipfile", "-e"])
        .args([wheel, into])
        .output()
        .context("cannot start the environment's Python")?;
    anyhow::ensure!(
        output.status.success(),
        "`{}` cannot be unpacked: {}",
        wheel.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Files with one of these endings below `dir`, named from `root`.
fn with_ending(root: &Path, dir: &Path, endings: &[&str], found: &mut Vec<String>) -> Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            with_ending(root, &path, endings, found)?;
        } else if path.extension().is_some_and(|ending| endings.iter().any(|known| ending == *known))
            && let Ok(inner) = path.strip_prefix(root)
        {
            found.push(inner.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}

/// `simple_knn._C` for `simple_knn/_C.cpython-311-x86_64-linux-gnu.so`.
fn module_name(file: &str, suffix: &str) -> String {
    let stem = file.strip_suffix(suffix).filter(|_| !suffix.is_empty()).unwrap_or_else(|| {
        let (folder, name) = file.rsplit_once('/').map_or(("", file), |(folder, name)| (folder, name));
        let length = if folder.is_empty() { 0 } else { folder.len() + 1 };
        &file[..length + name.find('.').unwrap_or(name.len())]
    });
    stem.replace('/', ".")
}

/// Symbols that no library in reach defines, and libraries that are nowhere in reach.
fn resolve(
    inside: &Inside,
    beside: Option<&Path>,
    setting: &Setting,
) -> Result<(BTreeSet<String>, Vec<String>)> {
    let mut wanted = inside.undefined.clone();
    wanted.retain(|name| !ext_symbols::is_python(name) && !ext_symbols::is_system(name));
    let folders = folders(beside, setting, inside.windows);
    let (mut queue, mut seen, mut lost) = (inside.needed.clone(), BTreeSet::new(), Vec::new());
    let mut direct = queue.len();
    while let Some(name) = (!queue.is_empty()).then(|| queue.remove(0)) {
        let is_direct = direct > 0;
        direct = direct.saturating_sub(1);
        if !seen.insert(name.to_lowercase()) {
            continue;
        }
        match folders.iter().map(|folder| folder.join(&name)).find(|path| path.is_file()) {
            Some(path) => {
                let more = inside::resolve(&path, &mut wanted)
                    .with_context(|| format!("in `{}`", path.display()))?;
                queue.extend(more);
            }
            None if is_direct && !(inside.windows && is_windows_own(&name)) => lost.push(name),
            None => {}
        }
        if wanted.is_empty() && direct == 0 {
            break;
        }
    }
    if inside.windows {
        // What Windows' own libraries export is not asked; of torch's names none may stay.
        wanted.retain(|name| ext_symbols::is_torch(name));
    }
    Ok((wanted, lost))
}

/// Where the loader of a process that has imported torch finds libraries.
fn folders(beside: Option<&Path>, setting: &Setting, windows: bool) -> Vec<PathBuf> {
    let torch = &setting.plan.torch.root;
    let mut folders: Vec<PathBuf> = beside.map(Path::to_owned).into_iter().collect();
    folders.push(torch.join("lib"));
    folders.extend(cuda_folders(torch, LIBRARIES));
    let prefix = &setting.target.prefix;
    if windows {
        folders.extend([prefix.clone(), prefix.join("DLLs"), prefix.join("Library/bin")]);
        if let Some(root) = setting.plan.cuda.path() {
            folders.extend(["bin", "bin/x64", "bin/x86_64"].map(|inner| root.join(inner)));
        }
        folders.extend(std::env::var_os("SystemRoot").map(|root| PathBuf::from(root).join("System32")));
    } else {
        folders.extend([prefix.join("lib"), setting.target.library.clone()]);
        let arch = format!("{}-linux-gnu", setting.machine.arch);
        for root in ["/lib", "/usr/lib", "/lib64", "/usr/lib64"] {
            folders.extend([Path::new(root).join(&arch), PathBuf::from(root)]);
        }
    }
    folders
}

fn is_windows_own(name: &str) -> bool {
    let name = name.to_lowercase();
    name.starts_with("api-ms-")
        || name.starts_with("python3")
        || ["kernel32.dll", "msvcrt.dll", "nvcuda.dll"].contains(&name.as_str())
}

fn missing_library(file: &str, name: &str, windows: bool) -> Finding {
    let code = match (windows, name.starts_with("libcudart")) {
        (true, _) => "E73",
        (false, true) => "E63",
        (false, false) => "E74",
    };
    Finding::new(
        code,
        Severity::Broken,
        format!("{file} needs {name}, which neither torch nor the system has"),
    )
    .hint("install the package that holds it, or link it statically")
}

/// Does that in a process of its own after torch is imported, as the module's users will; what Python said if it fails.
fn import(what: &str, unpacked: &Path, setting: &Setting) -> Result<std::result::Result<(), String>> {
    // Of two CUDA runtimes in one process, both must find the GPU, where there is one.
    let both = "torch.cuda.is_available() and (torch.zeros(1, device='cuda'), torch.cuda.synchronize())";
    let both = if setting.plan.mismatched() { both } else { "None" };
    let order =
        format!("import torch, importlib, sys; {both}; {what}; {both}; print('SPLATWRIGHT-IMPORTED')");
    let mut command = Command::new(&setting.target.executable);
    command.args(["-c", &order]).current_dir(unpacked).env_remove("PYTHONHOME");
    command.env("PYTHONPATH", unpacked).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().context("cannot start the environment's Python")?;
    if output.status.success() && String::from_utf8_lossy(&output.stdout).contains("SPLATWRIGHT-IMPORTED") {
        return Ok(Ok(()));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
    Ok(Err(if last.is_empty() { format!("it ended with {}", output.status) } else { last }))
}

#[cfg(test)]
mod tests {
    use splat_toolchain::fatbin::Architectures;

    use super::*;

    #[test]
    fn code_that_runs_is_accepted_with_a_note() {
        let code = Architectures { sass: vec![75, 80], ptx: vec![80] };
        let inside = Inside { archs: vec!["sm_75".into(), "sm_80".into()], code, ..Inside::default() };
        let found = |archs: &[u32]| -> Vec<_> {
            gpu_code("_C.so", &inside, archs).into_iter().map(|f| (f.severity, f.message)).collect()
        };
        assert!(found(&[80]).is_empty());
        let same_major = found(&[86]);
        assert_eq!(same_major[0].0, Severity::Info);
        assert!(
            same_major[0].1.contains("sm_86") && same_major[0].1.contains("sm_80 code runs"),
            "{same_major:?}"
        );
        assert_eq!(found(&[90])[0].0, Severity::Warning);
        assert_eq!(found(&[70])[0].0, Severity::Broken);
    }

    #[test]
    fn a_wheel_of_sources_is_told_from_one_whose_extension_was_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let target: Target = serde_json::from_str(
            r#"{"executable":"/p","version":"3.11.7","prefix":"/","torch":null,"suffix":".so","platform":"linux-x86_64",
                "include":"/i","library":"","setuptools":null,"wheel":null}"#,
        )
        .unwrap();
        assert!(no_module(dir.path(), &target).unwrap().message.contains("left the extension out"));
        fs::create_dir(dir.path().join("knn")).unwrap();
        fs::write(dir.path().join("knn/knn.cu"), "").unwrap();
        let found = no_module(dir.path(), &target).unwrap();
        assert!(found.message.contains("knn/knn.cu") && found.hint.contains("CUDA_HOME"), "{found:?}");
    }

    #[test]
    fn a_package_that_is_not_installed_yet_is_told_from_a_module_that_does_not_load() {
        let said = "ModuleNotFoundError: No module named 'gaussian_splatting.trainer'";
        assert_eq!(missing_package(said), Some("gaussian_splatting"));
        assert_eq!(missing_package("ImportError: undefined symbol: _ZN3c105ErrorE"), None);
        let found = does_not_import("a._C", said, missing_package(said));
        assert!(
            found.severity == Severity::Warning && found.message.contains("`gaussian_splatting`"),
            "{found:?}"
        );
        assert_eq!(does_not_import("a._C", said, None).severity, Severity::Broken);
    }

    #[test]
    fn modules_are_named_as_python_imports_them() {
        let suffix = ".cpython-311-x86_64-linux-gnu.so";
        assert_eq!(module_name(&format!("simple_knn/_C{suffix}"), suffix), "simple_knn._C");
        assert_eq!(module_name("pkg.data/_C.abi3.so", suffix), "pkg.data._C");
        assert_eq!(module_name("_C.pyd", ""), "_C");
    }
}
