//! `cargo xtask tidy`: the house rules that a compiler does not check. Each complaint names path and line and says
//! what to do. Looks at what git tracks or would track, reads only, changes nothing.

mod edges;
mod manifests;
mod readmes;
mod receipts;
mod text;

use std::{path::Path, process::ExitCode};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use splatwright::{cargo, hint::WithHint, repository, ui};
use xshell::{Shell, cmd};

use crate::codegen;

/// Check the house rules: dependency edges, generated files, headers, lengths, `unsafe`, licences
///
/// Crates may depend on one another only as ARCHITECTURE.md draws it. What `cargo xtask codegen` writes is what
/// splat_engine.h says. The kernels are those of the last GPU run. Lints and the oldest Rust are the workspace's. Every
/// source file opens by saying its job; one of over 600 lines is listed in xtask/tidy.toml with a reason. `unsafe` stays
/// in the border files. README.md and its translation have the same sections, commands and links. Nothing of the
/// original's licensed text, no private paths and no large files are committed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the complaints as JSON on stdout
    #[arg(long)]
    json: bool,
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Complaint {
    path: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    what: String,
    /// What to do about it.
    remedy: String,
}

/// Exceptions with their reasons: `xtask/tidy.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    /// Path and reason of each file over the limit of lines.
    #[serde(default)]
    long_files: std::collections::BTreeMap<String, String>,
}

const EXCEPTIONS: &str = "xtask/tidy.toml";

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let root = repository::required()?;
    let complaints = check(&root)?;
    if args.json {
        ui::json(&complaints)?;
    } else {
        for Complaint { path, line, what, remedy } in &complaints {
            ui::data(&format!("{path}:{line}: {what}; {remedy}"))?;
        }
        ui::note(&match complaints.len() {
            0 => "tidy".into(),
            n => format!("{n} to fix"),
        });
    }
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(root: &Path) -> anyhow::Result<Vec<Complaint>> {
    let exceptions = exceptions(root)?;
    let files = files(root)?;
    let metadata = metadata(root)?;
    let mut complaints = edges::check(&metadata);
    let members: Vec<String> = metadata
        .packages
        .iter()
        .map(|package| edges::shown(package.manifest_path.as_std_path(), root))
        .collect();
    complaints.extend(text::check_listing(&exceptions.long_files, &files));
    for path in &files {
        // A file that git knows and that was removed meanwhile is no file.
        let Ok(bytes) = fs_err::read(root.join(path)) else { continue };
        complaints.extend(text::check_size(path, bytes.len()));
        if let Ok(content) = String::from_utf8(bytes) {
            let context = text::Context { path, root, long_files: &exceptions.long_files };
            complaints.extend(text::check(&context, &content));
            complaints.extend(manifests::check(path, &content, &members));
        }
    }
    complaints.extend(receipts::check(root, &files)?);
    complaints.extend(codegen::stale(root)?.into_iter().map(|path| Complaint {
        path: path.to_owned(),
        line: 0,
        what: format!("it is not what {} says", codegen::HEADER),
        remedy: "run `cargo xtask codegen` and commit it".into(),
    }));
    let read = |path: &str| fs_err::read_to_string(root.join(path)).unwrap_or_default();
    complaints.extend(readmes::check(&read(readmes::PAIR[0]), &read(readmes::PAIR[1])));
    complaints.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    Ok(complaints)
}

fn exceptions(root: &Path) -> anyhow::Result<Exceptions> {
    match fs_err::read_to_string(root.join(EXCEPTIONS)) {
        Ok(text) => toml::from_str(&text).with_hint(
            format!("{EXCEPTIONS} cannot be read"),
            "each line of [long_files] is \"path\" = \"reason\"",
        ),
        Err(_) => Ok(Exceptions::default()),
    }
}

/// What git tracks, and what it would: new files that it does not ignore.
pub(crate) fn files(root: &Path) -> anyhow::Result<Vec<String>> {
    let shell = Shell::new()?;
    shell.change_dir(root);
    let listed = cmd!(shell, "git ls-files -z --cached --others --exclude-standard")
        .quiet()
        .read()
        .with_hint("git does not list the files", "install git, and run this in a clone: git status")?;
    let mut files: Vec<String> =
        listed.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    files.sort();
    files.dedup();
    Ok(files)
}

fn metadata(root: &Path) -> anyhow::Result<cargo_metadata::Metadata> {
    let output = cargo::command(root)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        anyhow::bail!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(cargo_metadata::MetadataCommand::parse(String::from_utf8_lossy(&output.stdout))?)
}
