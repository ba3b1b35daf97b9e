//! What `cargo xtask build` leaves: the engine libraries, gathered in one folder with a record of what they are, and the
//! proof that they work.

use std::{
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use splat_toolchain::{EngineName, Plan};
use splatwright::{compile, provision::Original, wheel::library_name};

use crate::{build::Built, verify};

/// The record beside the gathered libraries, which `cargo xtask clean` compares with the plan in force.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gathered {
    pub(crate) fingerprint: String,
    #[serde(default)]
    sources: String,
    #[serde(default)]
    libraries: Vec<String>,
}

/// The proof of an earlier run, and of what.
#[derive(Serialize, Deserialize)]
struct Proof {
    of: String,
    report: verify::Report,
}

/// The crate of an engine.
pub(crate) fn package(engine: EngineName) -> &'static str {
    match engine {
        EngineName::Cpu => "splat-cpu",
        EngineName::Cuda => "splat-cuda",
        EngineName::Inria => "splat-inria",
    }
}

/// Copies the engine libraries to one folder, under their engines' names, with a record of what they are.
pub(crate) fn gather(
    plan: &Plan,
    made: &compile::Artifacts,
    original: Option<&Original>,
    folder: &Path,
) -> anyhow::Result<Vec<PathBuf>> {
    fs_err::create_dir_all(folder)?;
    let mut libraries = Vec::new();
    for engine in &plan.engines {
        let from = match engine {
            EngineName::Cpu => made.libraries.get(package(*engine)).cloned(),
            other => {
                let out = made.out_dirs.get(package(*other));
                out.map(|out| out.join("lib").join(library_name(other.as_str())))
            }
        };
        let from = from.with_context(|| format!("cargo built no library for engine `{engine}`"))?;
        let to = folder.join(library_name(engine.as_str()));
        copy_if_changed(&from, &to)?;
        let notice = from.with_file_name(format!("NOTICE.splat_{engine}"));
        if notice.exists() {
            copy_if_changed(&notice, &folder.join(notice.file_name().unwrap_or_default()))?;
        }
        libraries.push(to);
    }
    let record = Gathered {
        fingerprint: plan.fingerprint.clone(),
        sources: original.map(|o| o.hash.clone()).unwrap_or_default(),
        libraries: libraries
            .iter()
            .filter_map(|l| Some(l.file_name()?.to_string_lossy().into_owned()))
            .collect(),
    };
    // A library of an engine that is no longer planned would never be verified.
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let library = path.extension().is_some_and(|e| e == std::env::consts::DLL_EXTENSION);
        if library && !libraries.contains(&path) {
            fs_err::remove_file(path)?;
        }
    }
    fs_err::write(folder.join("fingerprint.json"), serde_json::to_string_pretty(&record)?)?;
    Ok(libraries)
}

/// Keeps the time of an unchanged file, so that its proof stays good; replaces by rename, as it may be loaded.
fn copy_if_changed(from: &Path, to: &Path) -> anyhow::Result<()> {
    let new = fs_err::read(from)?;
    if fs_err::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let temporary = to.with_extension("tmp");
    fs_err::write(&temporary, new)?;
    Ok(fs_err::rename(temporary, to)?)
}

/// The proof of this build: an earlier one if every file is still the same, else a new one.
pub(crate) fn proven(built: &Built) -> anyhow::Result<verify::Report> {
    let of = identity(built)?;
    let path = built.engine_dir.join("verified.json");
    let earlier: Option<Proof> =
        fs_err::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(proof) = earlier.filter(|p| p.of == of && p.report.ok && built.picture.exists()) {
        return Ok(proof.report);
    }
    let report = verify::verify(&verify::Subject {
        libraries: &built.libraries,
        program: &built.verifier,
        torch_version: &built.torch_version,
        fingerprint: Some(&built.fingerprint),
        archs: (&built.archs, built.ptx),
        picture: &built.picture,
    })?;
    fs_err::write(&path, serde_json::to_string_pretty(&Proof { of, report: report.clone() })?)?;
    Ok(report)
}

/// Hash over the names, sizes and times of what verification looks at, and the plan.
fn identity(built: &Built) -> anyhow::Result<String> {
    let mut text = format!("{}\n{:?} {:?}\n", built.fingerprint, built.archs, built.ptx);
    for file in built.libraries.iter().chain([&built.verifier]) {
        let meta = fs_err::metadata(file)?;
        let time = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        text += &format!("{} {} {time}\n", file.display(), meta.len());
    }
    Ok(splat_toolchain::managed::hex(&Sha256::digest(text.as_bytes())))
}
