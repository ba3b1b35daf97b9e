//! `cargo xtask ext build`: builds an existing torch extension (setuptools, `CUDAExtension`) for an existing
//! Python environment, and proves the wheel before it is handed over. The sources are copied and never edited, the
//! environment is read and never changed.

mod around;
mod build;
mod inside;
mod report;
mod source;
mod tagged;
mod target;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Subcommand;
use splat_toolchain::{
    Env, Finding, Machine, Repo, Request, Severity,
    ext::{self, ExtPlan, ExtRequest},
    machine::Torch,
    managed::TOOLS,
    probe,
    rules::{self, tree::Tree},
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
#[derive(Clone, Debug, clap::Args)]
pub struct For {
    /// The environment to build for: an interpreter, or the folder of a virtual or conda environment
    #[arg(long, value_name = "PYTHON|VENV")]
    python: PathBuf,
    /// GPU architectures, such as 80,86 (default: TORCH_CUDA_ARCH_LIST, else the GPUs present, else a common list)
    #[arg(long, value_delimiter = ',')]
    arch: Option<Vec<u32>>,
    /// The CUDA toolkit: a version, a folder, or `managed`
    #[arg(long)]
    cuda: Option<String>,
    /// Where no toolkit of torch's CUDA major version is here, compile with another major version: the runtime is linked
    /// statically, and a module that shares with torch what differs between the two is refused
    #[arg(long)]
    runtime_major_mismatch: bool,
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
/// that passes is put into the wheel folder, under a local version that names torch and the sources, so that none
/// overwrites another. A failing build's log is explained.
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
    /// Keep the build folder, and a wheel that does not pass
    #[arg(long)]
    keep: bool,
    /// Print the plan and everything that would stop the build, and stop
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

impl BuildArgs {
    /// The order for one source, with everything else as by default.
    pub(crate) fn of(source: String, target: For, wheel_dir: PathBuf, offline: bool) -> Self {
        Self {
            source,
            target,
            wheel_dir,
            offline,
            subfolder: None,
            env: Vec::new(),
            no_forced_headers: false,
            keep: false,
            dry_run: false,
            json: false,
        }
    }

    /// As it was named.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }
}

fn run_build(args: &BuildArgs) -> anyhow::Result<ExitCode> {
    if args.dry_run {
        let setting = look(args)?;
        if args.json {
            ui::json(&setting.plan)?
        } else {
            ui::data(&report::plan(&setting.plan))?
        }
        if !PathBuf::from(&args.source).is_dir() {
            ui::note(
                "the sources of a package are looked at when they are fetched, which a dry run does not do",
            );
        }
        return Ok(ExitCode::from(u8::from(setting.plan.blockers().next().is_some())));
    }
    let report = build(args)?;
    if args.json {
        ui::json(&report)?
    } else {
        ui::data(&report::table(&report))?
    }
    Ok(ExitCode::from(u8::from(!report.ok)))
}

/// The plan, with everything that the rules say to the machine and to a source folder.
pub(crate) fn look(args: &BuildArgs) -> anyhow::Result<Setting> {
    let mut setting = setting(&args.target)?;
    let tree = source::look(&args.source, args.subfolder.as_deref())?;
    setting.judge(tree.as_ref(), args.offline);
    Ok(setting)
}

/// Builds and proves; the wheel is in its place if the report says that it passed.
pub(crate) fn build(args: &BuildArgs) -> anyhow::Result<Report> {
    let mut setting = look(args)?;
    ui::note(&report::plan(&setting.plan));
    setting.stop_if_blocked()?;
    bring(args, &mut setting)?;
    let mut source = source::prepare(&args.source, args.subfolder.as_deref(), &setting, args.offline)?;
    source.scratch.disable_cleanup(args.keep);
    if !PathBuf::from(&args.source).is_dir() {
        let before = setting.plan.findings.clone();
        setting.judge(Some(&source.tree), args.offline);
        for finding in setting.plan.findings.iter().filter(|finding| !before.contains(finding)) {
            ui::note(&ui::finding(finding));
        }
        setting.stop_if_blocked()?;
    }
    if source.tree.lacks_glm() {
        source.glm = Some(lent_glm(&setting, args.offline)?);
    }
    if args.keep {
        ui::note(&format!("the build folder stays: {}", source.scratch.path().display()));
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
    let findings = setting.plan.findings.iter().filter(|finding| finding.severity == Severity::Warning);
    let proof = verify::prove(&made.wheel, source.scratch.path(), &setting, findings.cloned().collect())?;
    let mut report =
        Report { wheel: made.place(), seconds: Some(made.seconds), log: Some(made.log.clone()), ..proof };
    if setting.plan.mismatched() {
        report.findings.push(unproved(&setting));
    }
    if report.ok {
        made.hand_over()?;
    } else if args.keep {
        ui::note(&format!("the refused wheel: {}", made.set_aside()?.display()));
    }
    made.conclude(&report::table(&report))?;
    Ok(report)
}

/// How far a module of another CUDA major version than torch's was proved.
fn unproved(setting: &Setting) -> Finding {
    let message = if setting.machine.gpus.is_empty() {
        "two CUDA major versions share this process: symbols and import are proved; no GPU is here, so nothing ran on one"
    } else {
        "two CUDA major versions share this process: symbols, import, and that both see the GPU are proved; its kernels were not run"
    };
    Finding::new("E64", Severity::Warning, message)
        .hint("run its own tests on a GPU, or build it with a toolkit of torch's version")
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

/// The include folder of the pinned GLM, brought if it is not there.
fn lent_glm(setting: &Setting, offline: bool) -> anyhow::Result<PathBuf> {
    let python = setting.machine.pythons.first().context("there is no Python that could bring GLM")?;
    let root = setting.machine.cache_root.as_ref().context("there is no place for the cache")?;
    let cache = Cache::open(&root.value)?;
    let pins = repository::with_pins(&cache)?;
    let context = provision::Context { repo: &pins, cache: &cache, python, offline };
    provision::ensure_glm(&context, &mut Terminal)
}

/// What every rule says; with `offline` also that GLM, which the sources lack, cannot be lent. Looks only.
pub(crate) fn judged(
    machine: &Machine,
    plan: &ExtPlan,
    sources: Option<&Tree>,
    repo: &Repo,
    offline: bool,
) -> Vec<Finding> {
    let mut findings = rules::ext::all(machine, plan, sources);
    if offline && sources.is_some_and(Tree::lacks_glm) && !provision::has_glm(machine, repo) {
        findings.retain(|finding| finding.code != "E42" || finding.severity >= Severity::Error);
        let message = "the sources include GLM, which is neither in their tree nor in the cache, and nothing may be fetched";
        findings.insert(
            0,
            Finding::new("E42", Severity::Error, message).hint("git submodule update --init --recursive"),
        );
    }
    findings
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
    let mut env = Env::new(vars, "/", splat_toolchain::env::Os::HERE);
    env.pythons.push(target.executable.clone());
    let mut machine = probe(&env, &repo, &Request { cuda: args.cuda.clone(), ..Request::default() });
    // The environment is judged; pip is asked for packages in another one, if there is one.
    let asked = machine.pythons.iter().filter(|python| python.has_pip.is_some()).count();
    let python = machine.pythons.first().map(|python| python.path.clone());
    machine.pythons[..asked].rotate_left(usize::from(asked > 0));
    let found = machine.torches.iter().find(|torch| torch.explicit && !torch.full_version.is_empty());
    let torch = &Torch {
        python,
        ..found
            .cloned()
            .with_context(|| format!("`{}` holds no readable torch (no version.py)", torch_root.display()))?
    };
    let archs = args.arch.clone().or_else(|| stated_archs(&env));
    let request = ExtRequest { archs, cuda: args.cuda.clone(), mismatch: args.runtime_major_mismatch };
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
                Severity::Warning,
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
    let findings = std::mem::take(&mut setting.plan.findings);
    *setting = self::setting(&args.target)?;
    setting.plan.findings = findings;
    Ok(())
}

impl Setting {
    /// Holds the machine, the plan and the sources against every rule, as `doctor --for ext` does; the findings go to
    /// the plan.
    fn judge(&mut self, sources: Option<&Tree>, offline: bool) {
        self.plan.findings = judged(&self.machine, &self.plan, sources, &self.repo, offline);
    }

    fn stop_if_blocked(&self) -> anyhow::Result<()> {
        let blockers: Vec<String> = self.plan.blockers().map(ui::finding).collect();
        if blockers.is_empty() {
            return Ok(());
        }
        Err(hinted(
            format!("this extension cannot be built here:\n{}", blockers.join("\n")),
            first_hint(&self.plan),
        ))
    }

    /// Names of the variables that `.cargo/toolchain.toml` gives to this repository's own builds.
    pub(crate) fn repo_variables(&self) -> impl Iterator<Item = String> {
        cargo::given(&self.repo.root).keys().cloned().chain(["CARGO_MANIFEST_DIR".to_owned()])
    }
}
