//! A folder of wheels before anything is installed from it: hashes, tags, and what is missing.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result};
use fs_err as fs;
use splat_toolchain::wheels::{Pinned, WheelName};

use super::{SAVED, TorchPlan, install::TOGETHER};
use crate::{ext::Target, hint::hinted, provision::stamp::sha256, ui};

pub(super) fn wheels(folder: &Path) -> Result<Vec<String>> {
    let mut files: Vec<String> = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".whl"))
        .collect();
    files.sort();
    let unfinished = fs::read_dir(folder)?.flatten().find(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        [".part", ".aria2", ".crdownload", ".partial"].iter().any(|ending| name.ends_with(ending))
    });
    if let Some(unfinished) = unfinished {
        return Err(hinted(
            format!("`{}` is an unfinished download", unfinished.file_name().to_string_lossy()),
            "let it finish, or move it to another folder",
        ));
    }
    if files.is_empty() {
        return Err(hinted(
            format!("`{}` holds no wheels", folder.display()),
            "cargo xtask torch plan --urls names them",
        ));
    }
    Ok(files)
}

/// Every wheel of a saved plan must be there, byte for byte.
pub(super) fn check_hashes(folder: &Path, files: &[String]) -> Result<()> {
    let path = folder.join(SAVED);
    let Ok(text) = fs::read_to_string(&path) else {
        ui::note(&format!("no {SAVED} in this folder: only the archives' own checksums are verified"));
        return Ok(());
    };
    let plan: TorchPlan = serde_json::from_str(&text).with_context(|| format!("in `{}`", path.display()))?;
    let missing: Vec<&str> = plan
        .wheels
        .iter()
        .map(|wheel| wheel.file.as_str())
        .filter(|file| !files.iter().any(|have| have == file))
        .collect();
    if !missing.is_empty() {
        return Err(hinted(
            format!(
                "{} of {} wheels are not there: {}",
                missing.len(),
                plan.wheels.len(),
                missing.join(", ")
            ),
            "bring them, or leave out what you have installed by removing the saved plan",
        ));
    }
    for wheel in &plan.wheels {
        let Some(expected) = &wheel.sha256 else { continue };
        let got = sha256(&folder.join(&wheel.file))?;
        if got != *expected {
            return Err(hinted(
                format!("`{}` is not what was planned: expected sha256 {expected}, got {got}", wheel.file),
                "download it again; it may be cut short",
            ));
        }
    }
    Ok(())
}

/// Of each package there must be a wheel for this interpreter; the requirements, torch first.
pub(super) fn check_tags(files: &[String], target: &Target) -> Result<Vec<String>> {
    let interpreter = target.for_wheels();
    let parsed: Vec<(&String, WheelName)> =
        files.iter().filter_map(|file| Some((file, WheelName::parse(file)?))).collect();
    for (file, wheel) in &parsed {
        let of_name = parsed.iter().filter(|(_, other)| other.name == wheel.name);
        if of_name.clone().all(|(file, other)| other.fits(file, &interpreter).is_err())
            && let Err(wrong) = wheel.fits(file, &interpreter)
        {
            return Err(hinted(
                wrong.to_string(),
                format!("cargo xtask torch plan --python {} --urls", target.executable.display()),
            ));
        }
    }
    let torch =
        parsed.iter().find(|(file, wheel)| wheel.name == "torch" && wheel.fits(file, &interpreter).is_ok());
    if torch.is_none() {
        return Err(hinted(
            "there is no wheel of torch in this folder",
            "cargo xtask torch plan --urls names it",
        ));
    }
    Ok(TOGETHER
        .iter()
        .filter_map(|name| {
            let here =
                parsed.iter().find(|(file, w)| w.name == *name && w.fits(file, &interpreter).is_ok())?;
            Some(format!("{name}=={}", here.1.version))
        })
        .collect())
}

/// The checksums inside the archives: a wheel that was cut short or altered on the way does not get further.
pub(super) fn check_archives(folder: &Path, chosen: &[Pinned], target: &Target) -> Result<()> {
    if folder.join(SAVED).is_file() {
        return Ok(()); // hashed already
    }
    for wheel in chosen {
        let output = Command::new(&target.executable)
            .args(["-I", "-m", "zipfile", "-t"])
            .arg(folder.join(&wheel.file))
            .output()
            .context("cannot start the environment's Python")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() || said.contains("corrupted") {
            return Err(hinted(format!("`{}` is damaged: {}", wheel.file, said.trim()), "download it again"));
        }
    }
    Ok(())
}
