//! `cargo xtask build`: probe -> plan -> provision -> fetch -> compile -> gather -> verify.
//!
//! Engines are compiled first, each as a library of its own, then everything else without any of them: programs open
//! engines at run time. `splat_toolchain` decides, [`splatwright::provision`] brings what is missing and
//! `gather.rs` keeps and `verify.rs` proves the result. A run with nothing changed compiles and proves nothing anew.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use splat_toolchain::{EngineName, Plan};
use splatwright::{compile, hint::hinted, plan::text, repository, switch, ui, windows};

use crate::{
    gather::{gather, package, proven},
    planned::{Planned, planned, provisioned},
    verify,
};

/// Find or fetch a toolchain, fetch the pinned sources, build, and prove the result
///
/// Prints the plan first: what is built with what, and why each candidate was or was not chosen. Needs no GPU: kernels are
/// compiled for the GPUs present, or else for 75,80,86,89,90,100,120 as far as the toolkit knows them.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Engines to build: cpu, cuda (our CUDA kernels), inria (the original CUDA sources; asks for consent to their licence)
    #[arg(long, value_delimiter = ',')]
    pub(crate) engines: Option<Vec<EngineName>>,
    /// GPU architectures to compile for, such as 80,90 (default: the GPUs present, else the list above)
    #[arg(long, value_delimiter = ',')]
    pub(crate) arch: Option<Vec<u32>>,
    /// Row of torch and tch, such as 2.11; see `cargo xtask switch list`
    #[arg(long)]
    pub(crate) row: Option<String>,
    /// Download nothing: list what is missing and how to get it
    #[arg(long)]
    pub(crate) offline: bool,
    /// Accept a licence: `inria` (non-commercial research and evaluation)
    #[arg(long, value_name = "NAME", value_parser = ["inria"])]
    pub(crate) accept_license: Option<String>,
    /// Print the plan and stop
    #[arg(long)]
    dry_run: bool,
    /// Print the plan, or after a build the report, as JSON on stdout
    #[arg(long)]
    json: bool,
}

/// A finished build: what other commands start from.
#[derive(Debug, Clone)]
pub struct Built {
    /// Engine libraries, gathered.
    pub libraries: Vec<PathBuf>,
    /// The folder they lie in.
    pub engine_dir: PathBuf,
    /// `splat-verify`.
    pub verifier: PathBuf,
    /// The interpreter that brought the packages.
    pub python: PathBuf,
    /// Torch of the row.
    pub torch_version: String,
    /// Of the plan.
    pub fingerprint: String,
    /// SASS architectures.
    pub archs: Vec<u32>,
    /// PTX architecture.
    pub ptx: Option<u32>,
    /// The picture that verification draws.
    pub picture: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// Each stage's own, with a hint.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let root = repository::required()?;
    let planned = planned(&root, args, !args.dry_run)?;
    if args.dry_run {
        if args.json {
            ui::json(&planned.plan)?
        } else {
            ui::data(&text(&planned.plan))?
        }
        return Ok(ExitCode::SUCCESS);
    }
    ui::note(&text(&planned.plan));
    let built = compiled(&root, args, planned)?;
    let report = proven(&built)?;
    if args.json {
        ui::json(&report)?
    } else {
        ui::data(&verify::table(&report))?
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Builds what the recorded choices ask for, and proves it; says little.
///
/// # Errors
/// As [`run`]; a proof that fails is an error here.
pub fn ensure() -> anyhow::Result<Built> {
    let built = ensure_compiled()?;
    let report = proven(&built)?;
    if report.ok {
        return Ok(built);
    }
    Err(hinted(verify::table(&report), "cargo xtask verify-import"))
}

/// Builds what the recorded choices ask for, without proving it.
///
/// # Errors
/// As [`run`].
pub fn ensure_compiled() -> anyhow::Result<Built> {
    let (root, args) = (repository::required()?, Args::default());
    let planned = planned(&root, &args, true)?;
    compiled(&root, &args, planned)
}

/// Builds what the recorded choices ask for and this engine besides, for these architectures; proves nothing.
///
/// # Errors
/// As [`run`].
pub fn ensure_engine(engine: EngineName, arch: Option<Vec<u32>>) -> anyhow::Result<Built> {
    let root = repository::required()?;
    let mut args = Args { arch, ..Args::default() };
    let mut planned = planned(&root, &args, true)?;
    if !planned.plan.engines.contains(&engine) {
        args.engines = Some(planned.plan.engines.iter().copied().chain([engine]).collect());
        planned = self::planned(&root, &args, true)?;
    }
    if !planned.plan.engines.contains(&engine) {
        return Err(hinted(
            format!("engine `{engine}` cannot be built here"),
            format!("cargo xtask build --dry-run --engines cpu,{engine}"),
        ));
    }
    compiled(&root, &args, planned)
}

/// [`splatwright::wheel::Engines`] for the commands that run here.
///
/// # Errors
/// As [`run`].
pub fn engine_for_wheel(engine: EngineName, arch: Option<&[u32]>) -> anyhow::Result<PathBuf> {
    Ok(ensure_engine(engine, arch.map(<[u32]>::to_vec))?.engine_dir)
}

/// Provisions, fetches, compiles, gathers.
fn compiled(root: &Path, args: &Args, planned: Planned) -> anyhow::Result<Built> {
    let (planned, original) = provisioned(root, args, planned)?;
    let plan = planned.plan;
    switch::put_in_force(root, &plan)?;
    let env = windows::build_environment(plan.host_compiler.as_ref())?;
    let (jobs, features) = (plan.jobs.to_string(), engine_features(&plan));
    let mut arguments = vec!["build", "--release", "--jobs", &jobs, "--lib", "--example", "splat_cpu"];
    arguments.extend(plan.engines.iter().flat_map(|engine| ["--package", package(*engine)]));
    arguments.extend(["--features", &features]);
    let engines = compile::run_in(root, &arguments, &env)?;
    let engine_dir = root.join(plan.engine_dir());
    let libraries = gather(&plan, &engines, original.as_ref(), &engine_dir)?;
    // The whole workspace, as the tests have it: without some packages tch would be compiled with other features.
    let made = compile::run_in(root, &["build", "--release", "--jobs", &jobs, "--workspace"], &env)?;
    Ok(Built {
        libraries,
        verifier: made.binary("splat-verify")?.to_owned(),
        python: plan.python.as_ref().map(|p| p.path.clone()).context("the plan has no Python")?,
        torch_version: plan.torch.version().map(ToString::to_string).unwrap_or_default(),
        fingerprint: plan.fingerprint.clone(),
        picture: engine_dir.join("picture.png"),
        archs: plan.archs,
        ptx: plan.ptx,
        engine_dir,
    })
}

/// The features that make the planned CUDA engines compile their kernels.
fn engine_features(plan: &Plan) -> String {
    let compiled = plan.engines.iter().filter(|engine| **engine != EngineName::Cpu);
    compiled.map(|engine| format!("{}/compile", package(*engine))).collect::<Vec<_>>().join(",")
}
