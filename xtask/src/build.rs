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
use splat_toolchain::{
    Choice, EngineName, ManagedItem, Plan, Request, Sources,
    env::Env,
    plan::plan,
    probe::{probe, repo},
};
use splatwright::{
    compile,
    hint::{self, hinted},
    plan::text,
    provision::{self, Accepted, Cache, Consent, Original, Terminal, consent},
    repository, switch, ui, windows,
};

use crate::{
    gather::{gather, package, proven},
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
    engines: Option<Vec<EngineName>>,
    /// GPU architectures to compile for, such as 80,90 (default: the GPUs present, else the list above)
    #[arg(long, value_delimiter = ',')]
    arch: Option<Vec<u32>>,
    /// Row of torch and tch, such as 2.11; see `cargo xtask switch list`
    #[arg(long)]
    row: Option<String>,
    /// Download nothing: list what is missing and how to get it
    #[arg(long)]
    offline: bool,
    /// Accept a licence: `inria` (non-commercial research and evaluation)
    #[arg(long, value_name = "NAME", value_parser = ["inria"])]
    accept_license: Option<String>,
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

/// A plan, the consent that it may rest on, and where the cache lies.
struct Planned {
    plan: Plan,
    accepted: Option<Accepted>,
    cache_root: Option<PathBuf>,
}

/// Probes and plans; asks for consent if `may_ask` and the engine was asked for.
fn planned(root: &Path, args: &Args, may_ask: bool) -> anyhow::Result<Planned> {
    let repo = repo(root);
    let asked = args.engines.as_ref().or(repo.settings.engines.as_ref());
    let wants_inria = asked.is_some_and(|e| e.contains(&EngineName::Inria));
    let consent = consent::consent(root, args.accept_license.is_some(), may_ask && wants_inria)?;
    let mut engines = args.engines.clone();
    if let (Consent::Given(_), None, Some(recorded)) = (&consent, &engines, &repo.settings.engines)
        && args.accept_license.is_some()
        && !recorded.contains(&EngineName::Inria)
    {
        // Accepting the licence asks for the engine, also where an earlier call chose without it.
        engines = Some(recorded.iter().copied().chain([EngineName::Inria]).collect());
    }
    let request = Request {
        row: args.row.clone(),
        engines,
        archs: args.arch.clone(),
        cuda: None,
        offline: args.offline,
        accept_inria: matches!(consent, Consent::Given(_)),
    };
    let machine = probe(&Env::real(), &repo, &request);
    let plan = plan(&machine, &request, &repo);
    if let (Consent::Missing { because, hint }, true) = (&consent, wants_inria) {
        ui::note(&format!("{because}\n{hint}"));
    }
    let accepted = match consent {
        Consent::Given(accepted) => Some(accepted),
        Consent::Missing { .. } => None,
    };
    Ok(Planned { plan, accepted, cache_root: machine.cache_root.map(|root| root.value) })
}

/// Provisions, fetches, compiles, gathers.
fn compiled(root: &Path, args: &Args, planned: Planned) -> anyhow::Result<Built> {
    stop_at_blockers(&planned.plan)?;
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

/// Every reason why this plan cannot be carried out, at once.
fn stop_at_blockers(plan: &Plan) -> anyhow::Result<()> {
    let texts: Vec<String> = plan.blockers().map(ui::finding).collect();
    if texts.is_empty() {
        return Ok(());
    }
    Err(hinted(format!("this plan cannot be built:\n{}", texts.join("\n")), "cargo xtask doctor"))
}

/// Brings what the plan lacks, then plans again: what is there now may say more than its pins did.
fn provisioned(root: &Path, args: &Args, planned: Planned) -> anyhow::Result<(Planned, Option<Original>)> {
    let plan = &planned.plan;
    let Some(python) = plan.python.clone() else { return Ok((planned, None)) };
    let cache_root = planned.cache_root.as_deref().context("there is no place for the cache")?;
    let cache = Cache::open(cache_root)?;
    let context = provision::Context { repo: root, cache: &cache, python: &python, offline: args.offline };
    let bring: Vec<_> = plan.to_bring().into_iter().map(|(item, _)| item).collect();
    provision::offline::check(&context, &bring)?;
    for item in managed(plan) {
        // Whole installations are only looked at; damaged ones are repaired here.
        provision::ensure_managed(&context, &item, &mut Terminal)?;
    }
    let mut original = None;
    if let (Some(accepted), false) = (&planned.accepted, plan.sources == Sources::Unneeded) {
        let found = provision::ensure_original(&context, accepted, &mut Terminal)?;
        for note in &found.notes {
            ui::note(note);
        }
        original = Some(found);
    }
    if bring.is_empty() && !brought_viewer(&context) {
        return Ok((planned, original));
    }
    let accepted = planned.accepted.clone();
    let mut again = self::planned(root, args, false)?;
    again.accepted = accepted;
    stop_at_blockers(&again.plan)?;
    Ok((again, original))
}

/// Brings the libraries of `splat view`; whether they are new. The build goes on without them, and says so.
fn brought_viewer(context: &provision::Context<'_>) -> bool {
    match provision::ensure_viewer(context, &mut Terminal) {
        Ok(new) => new,
        Err(error) => {
            ui::note(&format!("warning: `splat view` is left out: {error:#}"));
            if let Some(hint) = hint::of(&error) {
                ui::note(&format!("hint: {hint}"));
            }
            false
        }
    }
}

/// Our own installations that the plan uses, each once, whether they are there yet or not.
fn managed(plan: &Plan) -> Vec<ManagedItem> {
    let mut items = Vec::new();
    for choice in [&plan.torch, &plan.cuda, &plan.cmake, &plan.ninja] {
        match choice {
            Choice::Managed { item, .. } if !items.contains(item) => items.push(*item),
            _ => {}
        }
    }
    items
}

/// The features that make the planned CUDA engines compile their kernels.
fn engine_features(plan: &Plan) -> String {
    let compiled = plan.engines.iter().filter(|engine| **engine != EngineName::Cpu);
    compiled.map(|engine| format!("{}/compile", package(*engine))).collect::<Vec<_>>().join(",")
}
