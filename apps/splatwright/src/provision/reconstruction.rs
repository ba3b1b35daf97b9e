//! What `splat` runs to find camera poses: COLMAP as the Python package `pycolmap`, and ffmpeg, which reads videos. They
//! are brought when a command first needs them, like everything else in the cache. Runs nothing of them.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use fs_err as fs;
use splat_toolchain::{
    Env, Machine, ManagedItem, Request,
    machine::Python,
    managed::{FFMPEG, PYCOLMAP},
    probe,
};

use super::{
    Cache, Context, ensure_managed, offline,
    packages::{Header, Package},
    progress::Progress,
    stamp::State,
};
use crate::{hint::hinted, repository};

/// COLMAP's package, ready to be imported.
#[derive(Clone, Debug)]
pub struct Pycolmap {
    /// The interpreter that its files are for.
    pub python: PathBuf,
    /// The folder to put on its path.
    pub folder: PathBuf,
    /// Its version.
    pub version: &'static str,
}

/// Brings COLMAP's package unless it is whole.
///
/// # Errors
/// No Python that there are wheels for, `offline` without the package, or a failure of [`ensure_managed`].
pub fn pycolmap(offline: bool, progress: &mut dyn Progress) -> Result<Pycolmap> {
    let (python, folder) = bring(&PYCOLMAP, offline, progress)?;
    Ok(Pycolmap { python, folder, version: PYCOLMAP.version })
}

/// Brings the program ffmpeg unless it is whole.
///
/// # Errors
/// As [`pycolmap`].
pub fn ffmpeg(offline: bool, progress: &mut dyn Progress) -> Result<PathBuf> {
    let (_, folder) = bring(&FFMPEG, offline, progress)?;
    let folder = folder.join("imageio_ffmpeg/binaries");
    let mut entries = fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_program =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ffmpeg-"));
    let none =
        || format!("the package `{}` has no ffmpeg for this platform in `{}`", FFMPEG.name, folder.display());
    entries.find(is_program).with_context(none)
}

/// The interpreter, and the item's folder.
fn bring(item: &ManagedItem, offline: bool, progress: &mut dyn Progress) -> Result<(PathBuf, PathBuf)> {
    let machine = probe(&Env::real(), &repository::facts(), &Request::default());
    let root = machine.cache_root.as_ref().context("no folder for a cache is known: set SPLATWRIGHT_HOME")?;
    let cache = Cache::open(&root.value)?;
    let repo = repository::with_pins(&cache)?;
    let header = Header::parse(&fs::read_to_string(repo.join(item.requirements))?);
    let python = fitting(&machine, item, header.python)?;
    let context = Context { repo: &repo, cache: &cache, python, offline };
    if offline && Package::of(&context, item)?.state() != State::Whole && !offline::pip_needs_no_network() {
        return Err(hinted(
            format!("--offline, and `{}` is not in the cache `{}`", item.name, cache.root().display()),
            "run the command once without --offline where there is a network; it is kept from then on",
        ));
    }
    Ok((python.path.clone(), ensure_managed(&context, item, progress)?))
}

/// The first interpreter with pip whose version the item's wheels serve. One that was not asked about its pip is tried
/// last: pip itself says then what is missing.
fn fitting<'m>(machine: &'m Machine, item: &ManagedItem, serves: Option<(u32, u32)>) -> Result<&'m Python> {
    let fits = |python: &&Python| {
        serves.is_none_or(|(first, last)| {
            python.version.major() == 3 && (first..=last).contains(&python.version.minor())
        })
    };
    let with = |pip: Option<bool>| machine.pythons.iter().filter(fits).find(|python| python.has_pip == pip);
    [Some(true), None].into_iter().find_map(with).ok_or_else(|| {
        let range = serves.map_or_else(String::new, |(first, last)| format!(" from 3.{first} to 3.{last}"));
        let found: Vec<String> = machine.pythons.iter().map(described).collect();
        let found = if found.is_empty() {
            "none was found".to_owned()
        } else {
            format!("found: {}", found.join(", "))
        };
        hinted(
            format!("`{}` needs Python{range} with pip; {found}", item.name),
            "install one (Debian, Ubuntu: `apt install python3 python3-pip`; macOS: `brew install python`)",
        )
    })
}

fn described(python: &Python) -> String {
    let pip = if python.has_pip == Some(false) { ", no pip" } else { "" };
    format!("{} (Python {}{pip})", python.path.display(), python.version)
}

#[cfg(test)]
mod tests {
    use splat_toolchain::Version;

    use super::*;

    fn python(path: &str, version: &[u32], has_pip: Option<bool>) -> Python {
        Python { path: path.into(), version: Version::new(version), has_pip, ..Python::default() }
    }

    #[test]
    fn the_first_python_with_pip_that_the_wheels_serve_is_taken() {
        let mut machine = Machine {
            pythons: vec![
                python("/old", &[3, 8], Some(true)),
                python("/bare", &[3, 12], Some(false)),
                python("/named", &[3, 13], None),
                python("/good", &[3, 11], Some(true)),
            ],
            ..Machine::default()
        };
        let path = |machine: &Machine| fitting(machine, &PYCOLMAP, Some((10, 14))).map(|p| p.path.clone());
        assert_eq!(path(&machine).unwrap(), PathBuf::from("/good"));
        machine.pythons.pop();
        assert_eq!(path(&machine).unwrap(), PathBuf::from("/named"));
        machine.pythons.pop();
        let error = path(&machine).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`pycolmap` needs Python from 3.10 to 3.14 with pip; found: /old (Python 3.8), /bare (Python 3.12, no pip)"
        );
        assert!(crate::hint::of(&error).unwrap().contains("python3-pip"));
        machine.pythons.clear();
        assert!(path(&machine).unwrap_err().to_string().ends_with("none was found"));
    }
}
