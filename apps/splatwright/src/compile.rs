//! Runs cargo and reads what it made: executables, libraries, output folders of build scripts.
//!
//! Diagnostics and cargo's own progress go to stderr as ever. No decision is made here.

use std::{
    collections::BTreeMap,
    io::BufReader,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context;
use cargo_metadata::{CrateType, Message, TargetKind};

use crate::{cargo, hint::hinted};

/// One executable.
#[derive(Debug, Clone)]
pub struct Executable {
    /// The package's name.
    pub package: String,
    /// Target name: of the binary, test, example or bench, or of the library whose unit tests it holds.
    pub name: String,
    /// `bin`, `test`, `example`, `bench`; `unit` for unit tests.
    pub kind: &'static str,
    /// The file.
    pub path: PathBuf,
}

/// What one run of cargo made.
#[derive(Debug, Default)]
pub struct Artifacts {
    /// Every executable, in cargo's order.
    pub executables: Vec<Executable>,
    /// Shared libraries by package.
    pub libraries: BTreeMap<String, PathBuf>,
    /// `OUT_DIR` of each build script, by package.
    pub out_dirs: BTreeMap<String, PathBuf>,
}

impl Artifacts {
    /// The binary of that name.
    pub fn binary(&self, name: &str) -> anyhow::Result<&Path> {
        self.executables
            .iter()
            .find(|e| e.kind == "bin" && e.name == name)
            .map(|e| e.path.as_path())
            .with_context(|| format!("cargo built no binary `{name}`"))
    }
}

/// Runs `cargo <arguments>` with machine-readable output.
///
/// # Errors
/// When a target does not compile; the compiler's text was shown already.
pub fn run(root: &Path, arguments: &[&str]) -> anyhow::Result<Artifacts> {
    run_in(root, arguments, &BTreeMap::new())
}

/// The same with these variables besides: those of Visual Studio's prompt.
///
/// # Errors
/// As [`run`].
pub fn run_in(root: &Path, arguments: &[&str], env: &BTreeMap<String, String>) -> anyhow::Result<Artifacts> {
    let shown = format!("cargo {}", arguments.join(" "));
    let mut child = cargo::command(root)
        .args(&arguments[..1])
        // Before a `--`, behind which rustc's own arguments begin.
        .arg("--message-format=json-render-diagnostics")
        .args(&arguments[1..])
        .envs(env)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let stdout = child.stdout.take().context("cargo's output is piped")?;
    let mut made = Artifacts::default();
    for message in Message::parse_stream(BufReader::new(stdout)) {
        match message.with_context(|| format!("`{shown}` printed something unreadable"))? {
            Message::CompilerArtifact(artifact) => {
                let package = package_name(&artifact.package_id.repr);
                let target = &artifact.target;
                if let Some(path) = &artifact.executable {
                    let kind = match target.kind.first() {
                        Some(TargetKind::Test) => "test",
                        Some(TargetKind::Bench) => "bench",
                        Some(TargetKind::Example) => "example",
                        _ if artifact.profile.test => "unit",
                        _ => "bin",
                    };
                    made.executables.push(Executable {
                        package,
                        name: target.name.clone(),
                        kind,
                        path: path.clone().into(),
                    });
                } else if target.crate_types.contains(&CrateType::CDyLib) {
                    let shared = |f: &&cargo_metadata::camino::Utf8PathBuf| {
                        matches!(f.extension(), Some("so" | "dll" | "dylib"))
                    };
                    if let Some(file) = artifact.filenames.iter().find(shared) {
                        made.libraries.insert(package, file.clone().into());
                    }
                }
            }
            Message::BuildScriptExecuted(script) => {
                made.out_dirs.insert(package_name(&script.package_id.repr), script.out_dir.into());
            }
            _ => {}
        }
    }
    if child.wait()?.success() {
        return Ok(made);
    }
    Err(hinted(format!("`{shown}` failed; the first error above says why"), "cargo xtask doctor"))
}

/// `splat-engine` from a package id such as `path+file:///repo/crates/splat-engine#0.1.0` or `...#name@1.0.0`.
fn package_name(id: &str) -> String {
    let (before, after) = id.split_once('#').unwrap_or((id, ""));
    match after.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => before.rsplit(['/', '\\']).next().unwrap_or(before).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::package_name;

    #[test]
    fn names_come_out_of_both_forms_of_package_ids() {
        assert_eq!(package_name("path+file:///w/crates/splat-engine#0.1.0"), "splat-engine");
        assert_eq!(package_name("path+file:///w/tests#splat-tests@0.1.0"), "splat-tests");
        assert_eq!(package_name("registry+x#cxx@1.0.205"), "cxx");
    }
}
