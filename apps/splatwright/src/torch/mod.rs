//! `cargo xtask torch`: PyTorch for an existing environment where the network is bad. `plan` names the exact wheels,
//! `install` puts them in, from a folder or from the index, all of them or none. pip resolves; nothing is guessed.

mod elsewhere;
mod fetch;
mod folder;
mod install;
mod record;
mod resolve;
mod swap;

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use splat_toolchain::{
    Version,
    wheels::{Interpreter, Pinned},
};

pub(crate) use install::{check_environment, put_in};

use crate::{ext::Target, language::said, ui};

/// Find or install the PyTorch wheels for an environment
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Plan(PlanArgs),
    Install(InstallArgs),
}

/// What is asked of pip's resolver.
#[derive(Clone, Debug, clap::Args)]
pub struct Wanted {
    /// A PyTorch built with this CUDA, such as 12.4 (default: what the index offers first)
    #[arg(long)]
    cuda: Option<Version>,
    /// This PyTorch release, such as 2.7.1
    #[arg(long, value_name = "VERSION")]
    torch: Option<String>,
    /// Packages that must go with it (default: torchvision and torchaudio, of the same release, where there are such)
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    with: Option<Vec<String>>,
    /// PyTorch alone
    #[arg(long)]
    alone: bool,
    /// An index in addition to those that pip is configured for
    #[arg(long, value_name = "URL")]
    extra_index_url: Vec<String>,
}

impl Wanted {
    /// The packages beside torch.
    fn companions(&self) -> Vec<&str> {
        match &self.with {
            _ if self.alone => Vec::new(),
            Some(names) => names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect(),
            None => vec!["torchvision", "torchaudio"],
        }
    }
}

/// List the wheels, with sizes and hashes
///
/// Asks pip's own resolver, with the indexes that pip is configured for, for torch, torchvision and torchaudio that belong
/// together, for this interpreter and platform. pip from 24.1 on downloads no wheel for that, where the index has the
/// wheels' metadata apart; older ones do, into their own cache. `--save DIR` writes `splatwright-torch.json` for
/// `torch install --from DIR`, which then checks every file against it. `--platform win_amd64 --python-version 3.12` plans
/// for a machine that is not this one.
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// The environment: an interpreter, or the folder of a virtual or conda environment
    #[arg(
        long,
        value_name = "PYTHON|VENV",
        required_unless_present = "platform",
        conflicts_with = "platform"
    )]
    python: Option<PathBuf>,
    /// Another machine's system
    #[arg(long, value_parser = elsewhere::PLATFORMS, requires = "python_version")]
    platform: Option<String>,
    /// That machine's Python, such as 3.12
    #[arg(long, value_name = "VERSION", requires = "platform")]
    python_version: Option<Version>,
    #[command(flatten)]
    wanted: Wanted,
    /// Print addresses for a download manager: `plain` (wget -i, aria2c -i) or `aria2`, with file names and checksums
    #[arg(long, value_name = "FORM", num_args = 0..=1, default_missing_value = "plain", value_parser = ["plain", "aria2"])]
    urls: Option<String>,
    /// Write the plan into this folder
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Print the plan as JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Install PyTorch from wheels, all or nothing
///
/// With `--from DIR` nothing is fetched: the folder holds the wheels (and, from `torch plan --save`, their hashes).
/// Without it the wheels are downloaded first; an interrupted download continues where it stopped. Wheels for another
/// Python or platform are refused. The new packages are made ready beside the old ones and exchanged at the end; if
/// anything fails, the imports of torch, torchvision and torchaudio included, the old state stands.
#[derive(Debug, clap::Args)]
pub struct InstallArgs {
    /// The environment: an interpreter, or the folder of a virtual or conda environment
    #[arg(long, value_name = "PYTHON|VENV")]
    python: PathBuf,
    #[command(flatten)]
    wanted: Wanted,
    /// The folder with the wheels
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

/// The wheels of one environment: what `plan` prints as JSON, saves, and `install` checks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TorchPlan {
    /// The interpreter that the wheels are for.
    pub interpreter: Interpreter,
    /// The wheels, with torch first.
    pub wheels: Vec<Pinned>,
}

/// The plan's name in a folder of wheels.
pub const SAVED: &str = "splatwright-torch.json";

/// Runs the command.
///
/// # Errors
/// No interpreter, no pip, nothing that fits, a failing download or installation; the environment is as before.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Plan(args) => plan(args)?,
        What::Install(args) => install(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn plan(args: &PlanArgs) -> anyhow::Result<()> {
    let (pip, interpreter) = match (&args.platform, &args.python_version, &args.python) {
        (Some(platform), Some(version), _) => {
            let elsewhere = elsewhere::Elsewhere::new(platform, version);
            let interpreter = elsewhere.interpreter.clone();
            (resolve::Pip::for_elsewhere(elsewhere)?, interpreter)
        }
        (_, _, python) => {
            let target = Target::ask(python.as_deref().unwrap_or_else(|| "python3".as_ref()))?;
            (resolve::Pip::of(&target)?, target.for_wheels())
        }
    };
    let mut plan = resolve::online(&pip, &interpreter, &args.wanted)?;
    fetch::sizes(&pip, &mut plan)?;
    if let Some(folder) = &args.save {
        fs_err::create_dir_all(folder)?;
        let path = folder.join(SAVED);
        fs_err::write(&path, serde_json::to_string_pretty(&plan)?)?;
        ui::note(&format!("written: {}", path.display()));
    }
    match args.urls.as_deref() {
        Some(form) => ui::data(&urls(&plan, form)),
        None if args.json => ui::json(&plan),
        None => ui::data(&table(&plan)),
    }
}

/// One address a line; aria2's form puts file name and checksum below each.
fn urls(plan: &TorchPlan, form: &str) -> String {
    let one = |wheel: &Pinned| {
        let url = wheel.url.split('#').next().unwrap_or_default().to_owned();
        let sum =
            wheel.sha256.as_ref().map(|hash| format!("\n  checksum=sha-256={hash}")).unwrap_or_default();
        if form == "aria2" { format!("{url}\n  out={}{sum}", wheel.file) } else { url }
    };
    plan.wheels.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn table(plan: &TorchPlan) -> String {
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "?".into(), ui::bytes);
    let rows = plan.wheels.iter().map(|wheel| {
        vec![wheel.file.clone(), size(wheel.size), wheel.sha256.clone().unwrap_or_else(|| "?".into())]
    });
    let total: u64 = plan.wheels.iter().filter_map(|wheel| wheel.size).sum();
    let sum = format!("{} wheels, {}, for {}", plan.wheels.len(), ui::bytes(total), plan.interpreter);
    format!("{}\n\n{}", ui::table(&["wheel", "size", "sha256"], rows), said(&sum))
}

fn install(args: &InstallArgs) -> anyhow::Result<()> {
    let target = Target::ask(&args.python)?;
    install::check_environment(&target)?;
    if swap::recover(&target.prefix)? {
        ui::note("an installation that was interrupted has been undone; the old packages are in place");
    }
    let pip = resolve::Pip::of(&target)?;
    let folder = match &args.from {
        Some(folder) => std::path::absolute(folder)?,
        None => fetch::download(&pip, &resolve::online(&pip, &target.for_wheels(), &args.wanted)?, &target)?,
    };
    let told = install::from_folder(&pip, &target, &folder)?;
    ui::data(&told)
}
