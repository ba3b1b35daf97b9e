//! `cargo xtask bench raster OUT`: a folder that measures the engines on a GPU host, or runs at once where there is a GPU.
//!
//! Engine libraries and the Python programs of `bench/`; the host needs a Python torch (and gsplat, to compare with it).
//! Figures are committed under `bench/results/` by hand, with machine, command and date.

use std::{path::PathBuf, process::ExitCode};

use splatwright::{hint::hinted, repository, ui};
use xshell::{Shell, cmd};

use crate::build;

/// Gather the engines and a benchmark for a GPU host, and run it here if there is a GPU
///
/// There: `bash OUT/run.sh` writes OUT/raster.json and prints a table. `--scenes FOLDER` adds the trained scenes
/// (street.ply, playbot.ply, blocks.ply).
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Forward and backward of every engine, and of gsplat, over sizes and hard scenes
    Raster(Raster),
}

#[derive(Debug, clap::Args)]
struct Raster {
    /// The folder to write
    #[arg(default_value = "target/bench")]
    out: PathBuf,
    /// Trained scenes in PLY, copied along
    #[arg(long)]
    scenes: Option<PathBuf>,
    /// Gather only
    #[arg(long)]
    no_run: bool,
}

/// Runs the command.
///
/// # Errors
/// When the engines do not build, there is no engine `cuda` among them, or the folder cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let What::Raster(args) = &args.what;
    let root = repository::required()?;
    let built = build::ensure_compiled()?;
    let engines = args.out.join("engines");
    fs_err::create_dir_all(&engines)?;
    let mut found = Vec::new();
    for entry in fs_err::read_dir(&built.engine_dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains("splat_") {
            fs_err::copy(&path, engines.join(&name))?;
            found.push(name);
        }
    }
    if !found.iter().any(|name| name.contains("splat_cuda")) {
        return Err(hinted(
            format!("`{}` has no engine `cuda`: {}", built.engine_dir.display(), found.join(", ")),
            "cargo xtask build --engines cpu,cuda",
        ));
    }
    for entry in fs_err::read_dir(root.join("bench"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "py") {
            fs_err::copy(&path, args.out.join(path.file_name().unwrap_or_default()))?;
        }
    }
    if let Some(scenes) = &args.scenes {
        let to = args.out.join("scenes");
        fs_err::create_dir_all(&to)?;
        for entry in fs_err::read_dir(scenes)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "ply") {
                fs_err::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
            }
        }
    }
    let script = args.out.join("run.sh");
    fs_err::write(&script, RUN)?;
    ui::data(&args.out.display().to_string())?;
    let shell = Shell::new()?;
    let gpu = cmd!(shell, "nvidia-smi -L").quiet().ignore_stderr().read().is_ok();
    if args.no_run || !gpu {
        ui::note(&format!("on a GPU host with a Python torch: bash {}", script.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let measured = cmd!(shell, "bash {script}").quiet().run();
    Ok(if measured.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the folder runs.
const RUN: &str = r#"#!/usr/bin/env bash
# What `cargo xtask bench raster` gathered: parity first, then Adam and SSIM, then the table. Needs a Python torch with
# CUDA; gsplat is compared with where Python has it.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")"
contenders=cuda,cuda-compat,cuda-reproducible
[ -e engines/libsplat_inria.so ] && contenders=$contenders,inria
python3 -c 'import gsplat' 2>/dev/null && contenders=$contenders,gsplat
python3 parity.py --engines engines --out parity.json
python3 optimize.py --engines engines --out optimize.json
scenes=()
[ -d scenes ] && scenes=(--scenes scenes)
python3 raster.py --engines engines "${scenes[@]}" --sweep --contenders "$contenders" --out raster.json "$@"
"#;
