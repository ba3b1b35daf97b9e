//! Which files of an environment are those of its installed packages: their RECORD, and what Python compiled of them.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use anyhow::Result;
use fs_err as fs;
use splat_toolchain::wheels::normalised;

use crate::{ext::Target, hint::hinted};

/// The files of the installed distributions with these names, and their compiled forms, relative to the prefix.
pub(super) fn installed(target: &Target, names: &BTreeSet<String>) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for site in &target.site {
        let Ok(entries) = fs::read_dir(site) else { continue };
        for entry in entries.flatten() {
            let folder = entry.file_name().to_string_lossy().into_owned();
            let Some((name, _)) = folder.strip_suffix(".dist-info").and_then(|stem| stem.rsplit_once('-'))
            else {
                continue;
            };
            if names.contains(&normalised(name)) {
                of_distribution(&entry.path(), site, &target.prefix, &mut files)?;
            }
        }
    }
    Ok(files)
}

fn of_distribution(info: &Path, site: &Path, prefix: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    let record = fs::read_to_string(info.join("RECORD")).map_err(|_| {
        hinted(
            format!(
                "`{}` does not say which files are its own (no RECORD): conda or the system installed it",
                info.display()
            ),
            "use a new virtual environment, or remove it with the program that installed it",
        )
    })?;
    for line in record.lines() {
        let Some(path) = first_field(line) else { continue };
        let Some(inside) = plain(&site.join(path)).strip_prefix(prefix).ok().map(Path::to_owned) else {
            continue;
        };
        let compiled = compiled(&prefix.join(&inside));
        for file in compiled.into_iter().filter_map(|file| Some(file.strip_prefix(prefix).ok()?.to_owned())) {
            files.insert(file);
        }
        if prefix.join(&inside).symlink_metadata().is_ok() {
            files.insert(inside);
        }
    }
    Ok(())
}

/// `path,hash,size`; a path with a comma in it stands in quotes.
fn first_field(line: &str) -> Option<&str> {
    let field = match line.strip_prefix('"') {
        Some(rest) => rest.split('"').next(),
        None => line.split(',').next(),
    };
    field.filter(|field| !field.is_empty())
}

/// What Python compiled of a source file by itself.
fn compiled(source: &Path) -> Vec<PathBuf> {
    let (Some(stem), Some(folder)) = (source.file_stem().and_then(|stem| stem.to_str()), source.parent())
    else {
        return Vec::new();
    };
    if source.extension().is_none_or(|ending| ending != "py") {
        return Vec::new();
    }
    let begins = format!("{stem}.");
    let entries = fs::read_dir(folder.join("__pycache__")).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begins)))
        .collect()
}

/// The path without `.` and `..`, by its text alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}
