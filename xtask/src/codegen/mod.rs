//! `cargo xtask codegen`: writes what follows from `splat_engine.h` alone. The files are committed, so that no build
//! needs a generator; `--check`, which `cargo xtask tidy` runs too, reports the stale ones.

mod docs;
mod header;
mod model;
mod python;
mod rust;
#[cfg(test)]
mod tests;

use std::{
    io::Write as _,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, ensure};
use model::Model;
use splatwright::{hint::WithHint, repository, ui};

/// The only source, relative to the repository.
pub const HEADER: &str = "crates/splat-engine/include/splat_engine.h";
const RUST: &str = "crates/splat-engine/src/abi/generated.rs";
const LIMITS: &str = "crates/splat-core/src/limits.rs";
const LAYOUT: &str = "crates/splat-engine/tests/layout/generated.rs";
const PYTHON: &str = "python/diff_gaussian_rasterization/_abi.py";

/// Write the Rust and Python mirrors of splat_engine.h
///
/// The header is the only place where the engine's interface is written by hand. The Rust structs, the list that the
/// layout test compares with a C compiler, the limits of splat-core, and the ctypes structs of the Python modules are
/// generated from it and committed. Needs rustfmt.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write nothing; fail if a generated file is not what the header says
    #[arg(long)]
    check: bool,
}

/// # Errors
/// The header cannot be read, or rustfmt is missing.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let root = repository::required()?;
    if args.check {
        let stale = stale(&root)?;
        for path in &stale {
            ui::note(&format!(
                "{path} is not what {HEADER} says\nhint: run `cargo xtask codegen` and commit it"
            ));
        }
        return Ok(if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    for (path, content) in generate(&root)? {
        let target = root.join(path);
        if fs_err::read_to_string(&target).is_ok_and(|old| old == content) {
            continue;
        }
        fs_err::create_dir_all(target.parent().context("a file has a folder")?)?;
        fs_err::write(&target, content)?;
        ui::note(&format!("{path} written"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The generated files that differ from what the header says.
pub(crate) fn stale(root: &Path) -> anyhow::Result<Vec<&'static str>> {
    let differs = |path: &str, content: &str| {
        // Git may check text out with CRLF.
        fs_err::read_to_string(root.join(path)).map_or(true, |found| found.replace("\r\n", "\n") != *content)
    };
    let files = generate(root)?;
    Ok(files.iter().filter(|(path, content)| differs(path, content)).map(|(path, _)| *path).collect())
}

/// Every generated file with its content.
fn generate(root: &Path) -> anyhow::Result<Vec<(&'static str, String)>> {
    let text = fs_err::read_to_string(root.join(HEADER))?.replace("\r\n", "\n");
    let model = Model::new(header::parse(&text).with_context(|| format!("{HEADER} cannot be read"))?);
    Ok(vec![
        (RUST, formatted(root, &rust::mirror(&model))?),
        (LAYOUT, rust::layout(&model)),
        (LIMITS, rust::limits(&model)?),
        (PYTHON, python::mirror(&model)),
    ])
}

/// `code` as `cargo fmt` would leave it.
fn formatted(root: &Path, code: &str) -> anyhow::Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout", "--config-path"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_hint("rustfmt cannot be started", "rustup component add rustfmt")?;
    child.stdin.take().context("rustfmt has an input")?.write_all(code.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "rustfmt refuses the generated code");
    Ok(String::from_utf8(output.stdout)?)
}

/// `splat_raster_table` as `RasterTable`.
fn camel(name: &str) -> String {
    let words = model::short(name).split('_');
    words.map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}
