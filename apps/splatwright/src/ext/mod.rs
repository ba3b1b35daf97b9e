//! `cargo xtask ext build`: builds an existing torch extension (setuptools, `CUDAExtension`) for an existing
//! Python environment, and proves the wheel before it is handed over. The sources are copied and never edited, the
//! environment is read and never changed.

mod around;
mod build;
mod inside;
mod report;
mod source;
mod target;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Subcommand;
use splat_toolchain::{
    Env, Finding, Machine, Repo, Request,
    ext::{self, ExtPlan, ExtRequest},
    managed::TOOLS,
    probe,
};

pub use self::{report::Report, target::Target};
use crate::{
    cargo,
    hint::hinted,
    provision::{self, Cache, Terminal},
    repository, ui,
};

/// Build other people's torch extensions for an existing Python environment
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Build(BuildArgs),
    Verify(VerifyArgs),
}

/// What an extension is built for, and with.
#[derive(Debug, clap::Args)]
struct For {
    /// The environment to build for: an interpreter, or the folder of a virtual or conda environment
    #[arg(long, value_name = "PYTHON|VENV")]
    python: PathBuf,
    /// GPU architectures, such as 80,86 (default: TORCH_CUDA_ARCH_LIST, else the GPUs present, else a common list)
    #[arg(long, value_delimiter = ',')]
    arch: Option<Vec<u32>>,
    /// The CUDA toolkit: a version, a folder, or `managed`
    #[arg(long)]
    cuda: Option<String>,
}

/// Prove a wheel that was built elsewhere or earlier
///
/// Looks into every compiled module of the wheel as `ext build` does: symbols, ABI, architectures, libraries, import.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The wheel
    wheel: PathBuf,
    #[command(flatten)]
    target: For,
    /// Print the report as JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Build a wheel of an extension, and prove it
///
/// Chooses the CUDA toolkit of torch's major version, a compiler that it takes, and the GPU architectures; copies the
/// sources so that a stale build folder cannot matter; adds headers that the sources forgot; builds without
/// isolation against the torch of the environment. Then checks the wheel: every undefined symbol against what torch
/// exports, the ABI, the architectures, the libraries it needs, and an import in a process of its own. Only a wheel
/// that passes is put into the wheel folder. A failing build's log is explained.
#[derive(Debug, clap::Args)]
pub struct BuildArgs {
    /// A source folder, or a package with its version: simple-knn/ or chamferdist==1.0.3
    source: String,
    #[command(flatten)]
    target: For,
    /// The folder for the wheel
    #[arg(long, value_name = "DIR", default_value = "wheels")]
    wheel_dir: PathBuf,
    /// The extension's folder inside the source, if it is not at the top
    #[arg(long, value_name = "FOLDER")]
    subfolder: Option<String>,
    /// A variable for the build, such as FORCE_ONLY_CUDA=1; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Compile the sources as they are, without adding the headers that they forgot
    #[arg(long)]
    no_forced_headers: bool,
    /// Fetch nothing
    #[arg(long)]
    offline: bool,
    /// Print the plan and stop
    #[arg(long)]
    dry_run: bool,
    /// Print the plan, or after a build the report, as JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Everything that a build starts from.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) target: Target,
    pub(crate) machine: Machine,
    pub(crate) repo: Repo,
    pub(crate) plan: ExtPlan,
}

/// Runs the command.
///
/// # Errors
/// No torch in the environment, a plan that cannot work, sources that are no setuptools project, a failing build.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Build(args) => run_build(args),
        What::Verify(args) => run_verify(args),
    }
}

fn run_build(args: &BuildArgs) -> anyhow::Result<ExitCode> {
    let mut setting = setting(&args.target)?;
    if args.dry_run {
        if args.json {
            ui::json(&setting.plan)?
        } else {
            ui::data(&report::plan(&setting.plan))?
        }
        return Ok(ExitCode::from(u8::from(setting.plan.blockers().next().is_some())));
    }
    ui::note(&report::plan(&setting.plan));
    let blockers: Vec<String> = setting.plan.blockers().map(ui::finding).collect();
    if !blockers.is_empty() {
        return Err(hinted(
            format!("this extension cannot be built here:\n{}", blockers.join("\n")),
            first_hint(&setting.plan),
        ));
    }
    bring(args, &mut setting)?;
    let source = source::prepare(&args.source, args.subfolder.as_deref(), &setting, args.offline)?;
    for finding in &source.findings {
        ui::note(&ui::finding(finding));
    }
    let made = build::run(
        &source,
        &setting,
        &build::Options {
            forced_headers: !args.no_forced_headers,
            env: pairs(&args.env)?,
            wheel_dir: std::path::absolute(&args.wheel_dir)?,
            offline: args.offline,
        },
    )?;
    let proof = verify::prove(&made.wheel, source.scratch.path(), &setting, source.findings.clone())?;
    let report =
        Report { wheel: made.place(), seconds: Some(made.seconds), log: Some(made.log.clone()), ..proof };
    if report.ok {
        made.hand_over()?;
    }
    if args.json {
        ui::json(&report)?
    } else {
        ui::data(&report::table(&report))?
    }
    Ok(ExitCode::from(u8::from(!report.ok)))
}

fn run_verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let mut setting = setting(&args.target)?;
    if args.target.arch.is_none() {
        // Nothing was asked of the wheel's architectures.
        setting.plan.archs.clear();
    }
    let scratch = tempfile::tempdir()?;
    let report = verify::prove(&std::path::absolute(&args.wheel)?, scratch.path(), &setting, Vec::new())?;
    if args.json {
        ui::json(&report)?
    } else {
        ui::data(&report::table(&report))?
    }
    Ok(ExitCode::from(u8::from(!report.ok)))
}

fn first_hint(plan: &ExtPlan) -> String {
    let hints = plan.blockers().map(|finding: &Finding| finding.hint.clone());
    hints.into_iter().find(|hint| !hint.is_empty()).unwrap_or_else(|| "cargo xtask doctor".into())
}

fn pairs(list: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    list.iter()
        .map(|pair| {
            let (name, value) = pair.split_once('=').with_context(|| format!("`--env {pair}` has no `=`"))?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Asks the interpreter, probes the machine, plans.
fn setting(args: &For) -> anyhow::Result<Setting> {
    let target = Target::ask(&args.python)?;
    let mut repo = repository::facts();
    // This repository's own choices are for its own build.
    let own = std::mem::take(&mut repo.toolchain_env);
    let vars = std::env::vars().filter(|(name, value)| own.get(name) != Some(value));
    let torch_root = target.torch_root()?;
    let vars = vars.chain([("LIBTORCH".to_owned(), torch_root.display().to_string())]);
    let env = Env::new(vars, "/", splat_toolchain::env::Os::HERE);
    let machine = probe(&env, &repo, &Request { cuda: args.cuda.clone(), ..Request::default() });
    let torch = machine
        .torches
        .iter()
        .find(|torch| torch.explicit && !torch.full_version.is_empty())
        .with_context(|| format!("`{}` holds no readable torch (no version.py)", torch_root.display()))?;
    let archs = args.arch.clone().or_else(|| stated_archs(&env));
    let request = ExtRequest { archs, cuda: args.cuda.clone() };
    let plan = ext::plan(&machine, torch, &request, &repo);
    Ok(Setting { target, plan, machine, repo })
}

/// The user's own TORCH_CUDA_ARCH_LIST, if torch would read it as it is meant.
fn stated_archs(env: &Env) -> Option<Vec<u32>> {
    let stated = env.var("TORCH_CUDA_ARCH_LIST")?;
    let parsed = ext::parse_arch_list(stated);
    if parsed.is_none() {
        ui::note(&ui::finding(
            &Finding::new(
                "E55",
                splat_toolchain::Severity::Warning,
                format!("TORCH_CUDA_ARCH_LIST=`{stated}` is not a list of numbers and is not used"),
            )
            .hint("name them with `--arch 86,90`"),
        ));
    }
    parsed
}

/// Brings the toolkit if it is ours and not there, and ninja and unearth if they are wanted and missing.
fn bring(args: &BuildArgs, setting: &mut Setting) -> anyhow::Result<()> {
    let mut items: Vec<_> = setting.plan.cuda.to_bring().into_iter().map(|(item, _)| item).collect();
    let has_tools = setting.machine.managed.iter().any(|state| state.item == TOOLS && state.lacks.is_empty());
    let from_package = !PathBuf::from(&args.source).is_dir();
    if !has_tools && (from_package || setting.machine.ninja.is_empty()) && !args.offline {
        items.push(TOOLS);
    }
    if items.is_empty() {
        return Ok(());
    }
    let python = setting.machine.pythons.first().context("there is no Python that could install packages")?;
    let root = setting.machine.cache_root.as_ref().context("there is no place for the cache")?;
    let cache = Cache::open(&root.value)?;
    let pins = repository::with_pins(&cache)?;
    let context = provision::Context { repo: &pins, cache: &cache, python, offline: args.offline };
    for item in items {
        provision::ensure_managed(&context, &item, &mut Terminal)?;
    }
    *setting = self::setting(&args.target)?;
    Ok(())
}

impl Setting {
    /// Names of the variables that `.cargo/toolchain.toml` gives to this repository's own builds.
    pub(crate) fn repo_variables(&self) -> impl Iterator<Item = String> {
        cargo::given(&self.repo.root).keys().cloned().chain(["CARGO_MANIFEST_DIR".to_owned()])
    }
}
