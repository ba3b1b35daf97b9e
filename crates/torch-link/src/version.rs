//! Whether a libtorch is the one that a release of tch was made for.
//!
//! tch binds every operator of one libtorch by name, so a pair of different rows fails, but only after minutes of C++ and
//! with an error about a missing operator. The headers name their version: comparing it takes no time.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Torch;

/// Which tch fits which libtorch, oldest first: series of tch, series of torch.
/// Sources: the `TORCH_VERSION` of torch-sys's released build scripts. A test of splat-toolchain compares its rows.
pub const ROWS: [(&str, &str); 6] =
    [("0.17", "2.4"), ("0.20", "2.7"), ("0.22", "2.9"), ("0.23", "2.10"), ("0.24", "2.11"), ("0.26", "2.13")];

/// Compares `torch` with what `tch` (`0.24`, `0.24.0`) was made for. A release of tch that no row knows and a libtorch
/// that does not name its version pass; so does everything if `LIBTORCH_BYPASS_VERSION_CHECK` is set, as for torch-sys.
///
/// # Errors
/// A sentence with both versions and a `hint:` line that names the row to choose.
pub fn check(torch: &Torch, tch: &str) -> Result<(), String> {
    if std::env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_some() {
        return Ok(());
    }
    match torch.version() {
        Some(found) => compare(&torch.lib, &found, tch),
        None => Ok(()),
    }
}

fn compare(lib: &Path, found: &str, tch: &str) -> Result<(), String> {
    let tch = series(tch);
    let Some((_, needed)) = ROWS.iter().find(|(row, _)| *row == tch) else { return Ok(()) };
    let torch = series(found);
    if torch == *needed {
        return Ok(());
    }
    let other = ROWS.iter().find(|(_, row)| *row == torch).map_or_else(
        || format!("no release of tch that is known here fits libtorch {torch}"),
        |(row, _)| format!("libtorch {torch} goes with tch = \"{row}\""),
    );
    Err(format!(
        "tch = \"{tch}\" needs libtorch {needed}, but the libtorch in `{}` is {found} ({other})\nhint: set LIBTORCH to a \
         libtorch {needed}, or `pip install torch=={needed}.*` and set LIBTORCH_USE_PYTORCH=1",
        lib.display()
    ))
}

/// `2.11` of `2.11.0+cu130`.
fn series(version: &str) -> String {
    let mut parts = version.trim().split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    [parts.next(), parts.next()].into_iter().flatten().collect::<Vec<_>>().join(".")
}

impl Torch {
    /// The version that its headers name, or its file `build-version`, such as `2.11.0`.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let headers =
            ["torch/headeronly/version.h", "torch/csrc/api/include/torch/version.h", "torch/version.h"];
        let of_headers = self
            .includes
            .iter()
            .flat_map(|folder| headers.map(|header| folder.join(header)))
            .find_map(|path| of_header(&fs::read_to_string(path).ok()?));
        of_headers.or_else(|| {
            let root = self.lib.parent()?;
            let text = fs::read_to_string(root.join("build-version")).ok()?;
            Some(text.trim().split('+').next()?.to_owned())
        })
    }
}

/// From `#define TORCH_VERSION_MAJOR 2` and its two siblings.
fn of_header(text: &str) -> Option<String> {
    let number = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix("#define TORCH_VERSION_")?.strip_prefix(name))
    };
    let [major, minor, patch] = ["MAJOR", "MINOR", "PATCH"].map(|name| number(name).map(str::trim));
    Some(format!("{}.{}.{}", major?, minor?, patch?))
}

/// The release of tch that a package is written for, from its own manifest in `folder` (`CARGO_MANIFEST_DIR`), or from that
/// of its workspace if the dependency is inherited: `0.24`. Also gives the files that it read, for
/// `cargo::rerun-if-changed`. `None` for a requirement of more than one release, such as `>=0.17, <0.27`.
#[must_use]
pub fn tch_of_manifest(folder: &Path) -> (Option<String>, Vec<PathBuf>) {
    let mut read = Vec::new();
    for folder in folder.ancestors() {
        let path = folder.join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&path) else { continue };
        read.push(path);
        if let Some(requirement) = requirement(&text) {
            let one = !requirement.contains([',', '<', '>', '*']);
            return (one.then(|| series(&requirement)), read);
        }
    }
    (None, read)
}

/// The version in `tch = "0.24"`, `tch = { version = "0.24" }` or the table that cargo writes when it packages.
fn requirement(manifest: &str) -> Option<String> {
    let mut in_own_table = false;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            in_own_table = line == "[dependencies.tch]" || line == "[workspace.dependencies.tch]";
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = match key.trim() {
            "version" if in_own_table => value,
            "tch" => match value.split_once("version") {
                Some((_, version)) => version,
                None => value,
            },
            _ => continue,
        };
        let mut quoted = value.split('"');
        // A feature may be called tch, too.
        let version = quoted
            .nth(1)
            .filter(|text| text.starts_with(|c: char| c.is_ascii_digit() || "=^~<>*".contains(c)));
        if let Some(version) = version {
            return Some(version.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_of_different_rows_is_told_with_the_row_to_choose() {
        let lib = Path::new("/t/lib");
        let text = compare(lib, "2.13.0", "0.24.0").unwrap_err();
        assert!(text.contains("tch = \"0.24\" needs libtorch 2.11") && text.contains("is 2.13.0"), "{text}");
        assert!(text.contains("libtorch 2.13 goes with tch = \"0.26\"") && text.contains("hint:"), "{text}");
        for (tch, torch) in ROWS {
            assert_eq!(compare(lib, &format!("{torch}.1"), tch), Ok(()));
        }
        assert_eq!(compare(lib, "3.0.0", "0.99"), Ok(()), "a row that is not known");
        assert!(compare(lib, "2.5.0", "0.24").unwrap_err().contains("no release of tch that is known here"));
    }

    #[test]
    fn headers_name_their_version() {
        let text = "#pragma once\n#define TORCH_VERSION_MAJOR 2\n\n#define TORCH_VERSION_MINOR 11\n\
                    #define TORCH_VERSION_PATCH 0\n#define TORCH_VERSION_ABI_TAG 0\n";
        assert_eq!(of_header(text).as_deref(), Some("2.11.0"));
        assert_eq!(of_header("#include <torch/headeronly/version.h>"), None);
    }

    #[test]
    fn manifests_name_the_release_of_tch_in_every_spelling() {
        for text in [
            "[dependencies]\ntch = \"0.24\"\n",
            "[workspace.dependencies]\ntch = { version = \"=0.24.0\", features = [\"doc-only\"] }",
            "[dependencies.serde]\nversion = \"1\"\n[dependencies.tch]\nversion = \"0.24.0\"\n",
        ] {
            assert_eq!(requirement(text).map(|r| series(&r)).as_deref(), Some("0.24"), "{text}");
        }
        for text in ["[dependencies]\ntch.workspace = true\n", "tch = { workspace = true }", "[features]\n"] {
            assert_eq!(requirement(text), None, "{text}");
        }
    }

    #[test]
    fn an_inherited_release_is_found_in_the_workspace() {
        let folder = std::env::temp_dir().join(format!("torch-link-{}", std::process::id()));
        let package = folder.join("crates/p");
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("Cargo.toml"), "[dependencies]\ntch.workspace = true\n").unwrap();
        fs::write(folder.join("Cargo.toml"), "[workspace.dependencies]\ntch = \"0.20\"\n").unwrap();
        let (found, read) = tch_of_manifest(&package);
        assert_eq!((found.as_deref(), read.len()), (Some("0.20"), 2));
        fs::write(folder.join("Cargo.toml"), "tch = \">=0.17, <0.27\"\n").unwrap();
        assert_eq!(tch_of_manifest(&package).0, None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
