//! `cargo xtask doctor`: the machine's facts, each with its source, what the plan would choose and why, and every
//! gap at once. It changes nothing and imports nothing.

mod tables;

use std::{path::PathBuf, process::ExitCode};

use serde::Serialize;
use splat_toolchain::{
    Env, Finding, Machine, Plan, Repo, Request, Severity,
    ext::{self, ExtPlan, ExtRequest},
    finding, managed, plan,
    rules::{self, tree::Tree},
};

use self::tables::{choices, facts, row, told};
use crate::{hint::WithHint, provision::stamp::Installed, repository, ui};

/// Show what this machine has, what a build would use, and what is missing
///
/// Looks for Rust, Python, a C++ compiler, PyTorch (without importing it), CUDA toolkits, the NVIDIA driver and
/// GPUs, cmake and ninja. Prints where each fact came from, then what a build would use and why, then everything
/// that is wrong, each with one hint. Changes nothing, needs no network.
///
/// With `--for ext`, the same for another project's torch extension, where torch's own rules hold (the toolkit's
/// major version must be torch's), and `--source` looks at the extension's sources as well.
///
/// Exit code: 0 if `cargo xtask build` can go ahead (what the build fetches by itself does not count as missing), 1 if something is
/// missing that you must provide, 2 if something here is damaged.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print machine, repository and plan as JSON on stdout: a snapshot for an issue
    #[arg(long)]
    json: bool,
    /// Check for this row of torch and tch instead of the one in force (see `switch list`)
    #[arg(long)]
    row: Option<String>,
    /// Check as if nothing could be downloaded
    #[arg(long)]
    offline: bool,
    /// What to check for: Splatwright's own build, or another project's torch extension
    #[arg(long = "for", value_name = "TARGET", default_value = "own", value_parser = ["own", "ext"])]
    target: String,
    /// With `--for ext`: the extension's source folder
    #[arg(long, value_name = "FOLDER")]
    source: Option<PathBuf>,
    /// With `--for ext`: the interpreter or environment it is for (default: the active one)
    #[arg(long, value_name = "PYTHON")]
    python: Option<PathBuf>,
    /// With `--for ext`: this CUDA toolkit (a version or a folder) instead of the best
    #[arg(long)]
    cuda: Option<String>,
    /// Also read every byte that was installed into the cache and compare it with what was installed (up to a minute)
    #[arg(long)]
    deep: bool,
    /// Print on stderr every program that was started and how long it took
    #[arg(long)]
    timing: bool,
    /// Look at a machine in a folder (with a `machine.env`) instead of this one
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
    /// Also show why each other candidate was not chosen
    #[arg(long, short)]
    verbose: bool,
}

/// Facts, request and plan of one run.
#[derive(Debug, Serialize)]
pub struct Snapshot {
    /// What the machine has.
    pub machine: Machine,
    /// What the clone, or the program itself, brings.
    pub repo: Repo,
    /// What was asked for.
    pub request: Request,
    /// What a build would use, and what is wrong.
    pub plan: Plan,
}

impl Snapshot {
    /// Probes this machine and plans for the clone around us, if there is one.
    pub fn take(request: Request) -> Self {
        Self::of(&Env::real(), request)
    }

    /// The same for the machine that `env` shows. A machine in a folder has none of our recorded choices.
    fn of(env: &Env, request: Request) -> Self {
        let mut repo = repository::facts();
        if env.is_fixture() {
            repo = Repo {
                requirements: repo.requirements,
                tch_locked: repo.tch_locked,
                own_kernels: repo.own_kernels,
                root: repo.root,
                ..Repo::default()
            };
        }
        let machine = splat_toolchain::probe(env, &repo, &request);
        let plan = plan(&machine, &request, &repo);
        Self { machine, repo, request, plan }
    }
}

/// What is told of another's extension.
#[derive(Debug, Serialize)]
struct ForExtension<'a> {
    machine: &'a Machine,
    repo: &'a Repo,
    /// `None` without a torch to build for.
    plan: Option<ExtPlan>,
    findings: Vec<Finding>,
}

/// Runs the command.
///
/// # Errors
/// `--root` names no machine.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let request = Request { row: args.row.clone(), offline: args.offline, ..Request::default() };
    let mut env = match &args.root {
        Some(root) => Env::fixture(root).with_hint(
            format!("`{}` is no folder of a machine: it has no machine.env", root.display()),
            "cargo xtask doctor",
        )?,
        None => Env::real(),
    };
    env.pythons.extend(args.python.clone());
    let start = std::time::Instant::now();
    let mut snapshot = Snapshot::of(&env, request);
    if args.deep {
        snapshot.plan.findings.extend(altered(&snapshot.machine));
    }
    if args.timing {
        for (program, time) in env.started() {
            ui::note(&format!("{:7.1} ms  {program}", time.as_secs_f64() * 1e3));
        }
        ui::note(&format!(
            "{:7.1} ms  all facts, side by side, and the plan",
            start.elapsed().as_secs_f64() * 1e3
        ));
    }
    if args.target == "ext" {
        return for_extension(args, &snapshot);
    }
    let findings = &snapshot.plan.findings;
    if args.json {
        ui::json(&snapshot)?;
    } else {
        ui::data(&ui::table(&["Fact", "Value", "From"], facts(&snapshot)))?;
        ui::data(&format!(
            "\n{}",
            ui::table(&["A build uses", "", "Because"], choices(&snapshot.plan, args.verbose))
        ))?;
        for finding in findings {
            ui::data(&format!("\n{}", ui::finding(finding)))?;
        }
        ui::data(&format!("\n{}", verdict(findings)))?;
    }
    Ok(exit_code(findings))
}

/// S15: installations in the cache that are not, byte for byte, what was installed. Each is said when it is looked at.
fn altered(machine: &Machine) -> Vec<Finding> {
    let packages = machine
        .managed
        .iter()
        .filter(|state| state.lacks.is_empty() && ![managed::INRIA, managed::GLM].contains(&state.item));
    packages
        .filter_map(|state| {
            ui::note(&format!("comparing every byte of {}", state.dir.display()));
            let why = Installed::deep(&state.dir).err()?;
            let message = format!("{} in the cache is not what was installed: {why:#}", state.item.name);
            Some(
                Finding::new("S15", Severity::Broken, message)
                    .evidence(state.dir.display().to_string())
                    .hint("move that folder elsewhere; the next `cargo xtask build` brings it again"),
            )
        })
        .collect()
}

fn for_extension(args: &Args, snapshot: &Snapshot) -> anyhow::Result<ExitCode> {
    let machine = &snapshot.machine;
    // The request's interpreter is asked first, so it is the first that has a torch of its own.
    let named =
        args.python.is_some().then(|| machine.pythons.iter().find(|python| python.source == "the request"));
    let python = named.flatten().map(|python| python.path.as_path());
    let request = ExtRequest { cuda: args.cuda.clone(), ..ExtRequest::default() };
    let plan = rules::ext::torch_of(machine, python)
        .map(|torch| ext::plan(machine, torch, &request, &snapshot.repo));
    let tree = args.source.as_deref().map(Tree::read);
    let findings = match &plan {
        Some(plan) => crate::ext::judged(machine, plan, tree.as_ref(), &snapshot.repo, args.offline),
        None => vec![rules::ext::no_torch(machine)],
    };
    let exit = exit_code(&findings);
    if args.json {
        ui::json(&ForExtension { machine, repo: &snapshot.repo, plan, findings })?;
        return Ok(exit);
    }
    ui::data(&ui::table(&["Fact", "Value", "From"], facts(snapshot)))?;
    if let Some(plan) = &plan {
        let torch = row(
            "torch",
            format!("{} at {}", plan.torch.full_version, plan.torch.root.display()),
            &plan.torch.source,
        );
        let rows = std::iter::once(torch)
            .chain(plan.choices.iter().flat_map(|explained| told(explained, args.verbose)));
        ui::data(&format!("\n{}", ui::table(&["An extension uses", "", "Because"], rows)))?;
    }
    for finding in &findings {
        ui::data(&format!("\n{}", ui::finding(finding)))?;
    }
    let verdict = match finding::worst(&findings) {
        Some(Severity::Error | Severity::Broken) => "not ready: an extension cannot be built as things are",
        _ => "ready: `cargo xtask ext build` can go ahead",
    };
    ui::data(&format!("\n{verdict}"))?;
    Ok(exit)
}

pub(crate) fn exit_code(findings: &[Finding]) -> ExitCode {
    match finding::worst(findings) {
        Some(Severity::Broken) => ExitCode::from(2),
        Some(Severity::Error) => ExitCode::from(1),
        _ => ExitCode::SUCCESS,
    }
}

fn verdict(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let build = if repository::root().is_some() { "`cargo xtask build`" } else { "a build" };
    match (count(Severity::Broken), count(Severity::Error)) {
        (0, 0) => format!("ready: {build} can go ahead"),
        (0, 1) => format!("not ready: one problem must be solved before {build} can go ahead"),
        (0, errors) => format!("not ready: {errors} problems must be solved before {build} can go ahead"),
        (broken, errors) => format!("broken: {broken} damaged, {errors} more to solve"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(severities: &[Severity]) -> Vec<Finding> {
        severities.iter().map(|severity| Finding::new("S00", *severity, "m")).collect()
    }

    #[test]
    fn only_what_stops_a_build_makes_it_not_ready() {
        for (severities, words, code) in [
            (vec![], "ready", 0),
            (vec![Severity::Info, Severity::Warning], "ready", 0),
            (vec![Severity::Warning, Severity::Error], "not ready", 1),
            (vec![Severity::Error, Severity::Broken], "broken", 2),
        ] {
            let findings = findings(&severities);
            assert!(verdict(&findings).starts_with(words), "{severities:?}");
            assert_eq!(format!("{:?}", exit_code(&findings)), format!("{:?}", ExitCode::from(code)));
        }
    }
}
