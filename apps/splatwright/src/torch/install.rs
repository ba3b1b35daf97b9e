//! From a folder of wheels into an environment: checks first (hashes, tags, completeness), then pip lays the packages
//! out in a folder of its own, then both are exchanged ([`super::swap`]), then torch and its companions are imported; what fails is undone.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use splat_toolchain::wheels::WheelName;

use super::{
    folder::{check_archives, check_hashes, check_tags, wheels},
    record,
    resolve::{self, Pip},
    swap,
};
use crate::{ext::Target, hint::hinted, provision::pip};

/// Only environments of the user's own: a system's Python belongs to its packages.
pub(crate) fn check_environment(target: &Target) -> Result<()> {
    let own = target.prefix.join("pyvenv.cfg").is_file() || target.prefix.join("conda-meta").is_dir();
    if own {
        return Ok(());
    }
    Err(hinted(
        format!("`{}` is not a virtual or conda environment, and is left alone", target.prefix.display()),
        format!("{} -m venv NEW, then `--python NEW`", target.executable.display()),
    ))
}

/// Installs; the line that says so.
pub(super) fn from_folder(pip: &Pip, target: &Target, folder: &Path) -> Result<String> {
    let files = wheels(folder)?;
    check_hashes(folder, &files)?;
    let roots = check_tags(&files, target)?;
    let chosen = resolve::offline(pip, folder, &roots)?;
    if chosen.is_empty() {
        return Ok(format!("{} is installed already; nothing was changed", roots.join(", ")));
    }
    check_archives(folder, &chosen, target)?;
    let exchange = swap::Exchange::begin(&target.prefix)?;
    let paths: Vec<PathBuf> = chosen.iter().map(|wheel| folder.join(&wheel.file)).collect();
    stage(pip, &paths, exchange.stage())?;
    let names: BTreeSet<String> = chosen.iter().map(|wheel| wheel.name.clone()).collect();
    let old = record::installed(target, &names)?;
    let exchanged = exchange.exchange(&old)?;
    let mut imported = Vec::new();
    for name in TOGETHER {
        // One that was there before and is not exchanged must not be broken by its new neighbour either.
        match import(target, name) {
            Import::Absent => {}
            Import::Of(version) => imported.push(format!("{name} {version}")),
            Import::Fails(said) => {
                exchanged.undo()?;
                let hint = if name == "torch" || names.contains(name) {
                    "cargo xtask doctor".to_owned()
                } else {
                    format!(
                        "install the {name} of that torch with it, or remove the old one first: `{} -m pip uninstall {name}`",
                        target.executable.display()
                    )
                };
                return Err(hinted(
                    format!(
                        "beside the new torch, {name} does not import, and the old packages are back in place: {said}"
                    ),
                    hint,
                ));
            }
        }
    }
    exchanged.keep()?;
    let list: Vec<String> = chosen.iter().map(|w| format!("{} {}", w.name, w.version)).collect();
    Ok(format!("these import: {}; installed: {}", imported.join(", "), list.join(", ")))
}

/// What must import together before an installation counts.
pub(super) const TOGETHER: [&str; 3] = ["torch", "torchvision", "torchaudio"];

/// Puts wheels into an environment, all of them or none: if one of the modules does not import there afterwards, the old
/// state comes back.
pub(crate) fn put_in(target: &Target, wheels: &[PathBuf], modules: &[String]) -> Result<()> {
    check_environment(target)?;
    swap::recover(&target.prefix)?;
    let pip = Pip::of(target)?;
    let exchange = swap::Exchange::begin(&target.prefix)?;
    stage(&pip, wheels, exchange.stage())?;
    let name = |wheel: &PathBuf| Some(WheelName::parse(&wheel.file_name()?.to_string_lossy())?.name);
    let old = record::installed(target, &wheels.iter().filter_map(name).collect())?;
    let exchanged = exchange.exchange(&old)?;
    let broken = modules.iter().find_map(|module| match import(target, module) {
        Import::Of(_) => None,
        Import::Absent => Some((module, "it is not there".to_owned())),
        Import::Fails(said) => Some((module, said)),
    });
    if let Some((module, said)) = broken {
        exchanged.undo()?;
        return Err(hinted(
            format!(
                "`import {module}` fails in `{}`, which is as it was before: {said}",
                target.prefix.display()
            ),
            "cargo xtask explain, with that message",
        ));
    }
    exchanged.keep()
}

/// pip lays the packages out below `stage`, as they will lie below the environment's own folder.
fn stage(pip: &Pip, paths: &[PathBuf], stage: &Path) -> Result<()> {
    let stage = stage.display().to_string();
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let mut arguments = vec![
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--ignore-installed",
        "--no-compile",
        "--no-warn-script-location",
        "--prefix",
        &stage,
    ];
    arguments.extend(shown.iter().map(String::as_str));
    let finished = pip.run(&arguments)?;
    if finished.status.success() {
        return Ok(());
    }
    let text = format!("{}{}", finished.stdout, finished.stderr);
    let why = match pip::cause(&text) {
        pip::Cause::DiskFull => "the disk is full",
        _ => "pip could not unpack the wheels",
    };
    Err(hinted(
        format!("{why}; the environment is as it was\n{}", pip::last_lines(&text, 8)),
        "free some space, or check the wheels",
    ))
}

/// What the environment's interpreter says to one import.
enum Import {
    Absent,
    Of(String),
    Fails(String),
}

fn import(target: &Target, name: &str) -> Import {
    let program = format!(
        "import importlib, importlib.util as u, sys\nif u.find_spec('{name}'.split('.')[0]) is None: print('SPLATWRIGHT-ABSENT'); sys.exit()\nimport torch; m = importlib.import_module('{name}'); print('SPLATWRIGHT-VERSION', getattr(m, '__version__', ''))"
    );
    let output = Command::new(&target.executable)
        .args(["-c", &program])
        .env_remove("PYTHONPATH")
        .current_dir(std::env::temp_dir())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return Import::Fails(error.to_string()),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        if let Some(version) = text.lines().find_map(|line| line.strip_prefix("SPLATWRIGHT-VERSION")) {
            return Import::Of(version.trim().to_owned());
        }
        if text.contains("SPLATWRIGHT-ABSENT") {
            return Import::Absent;
        }
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    Import::Fails(last.unwrap_or("it ended without a word").to_owned())
}
