//! `cargo xtask doctor`: the machine's facts, each with its source, what the plan would choose and why, and every
//! gap at once. It changes nothing and imports nothing.

use std::process::ExitCode;

use serde::Serialize;
use splat_toolchain::{
    Choice, Env, Fact, Finding, Machine, Plan, Repo, Request, Severity, Version, finding, plan, probe,
};

use crate::{cargo, ui};

/// Show what this machine has, what a build would use, and what is missing
///
/// Looks for Rust, Python, a C++ compiler, PyTorch (without importing it), CUDA toolkits, the NVIDIA driver and
/// GPUs, cmake and ninja. Prints where each fact came from, then what a build would use and why, then everything
/// that is wrong, each with one hint. Changes nothing, needs no network.
///
/// Exit code: 0 if `cargo xtask build` can go ahead (what it will bring by itself is no gap), 1 if something is
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
    /// Show also why each other candidate was not taken
    #[arg(long, short)]
    verbose: bool,
}

/// Facts, request and plan of one run.
#[derive(Debug, Serialize)]
pub struct Snapshot {
    pub machine: Machine,
    pub repo: Repo,
    pub request: Request,
    pub plan: Plan,
}

impl Snapshot {
    /// Probes this machine and plans for the repository that xtask belongs to.
    pub fn take(request: Request) -> Self {
        let repo = probe::repo(&cargo::root());
        let machine = splat_toolchain::probe(&Env::real(), &repo, &request);
        let plan = plan(&machine, &request, &repo);
        Self { machine, repo, request, plan }
    }
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let request = Request { row: args.row.clone(), offline: args.offline, ..Request::default() };
    let snapshot = Snapshot::take(request);
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

fn exit_code(findings: &[Finding]) -> ExitCode {
    match finding::worst(findings) {
        Some(Severity::Broken) => ExitCode::from(2),
        Some(Severity::Error) => ExitCode::from(1),
        _ => ExitCode::SUCCESS,
    }
}

fn verdict(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    match (count(Severity::Broken), count(Severity::Error)) {
        (0, 0) => "ready: `cargo xtask build` can go ahead".into(),
        (0, errors) => format!("not ready: {errors} to mend before `cargo xtask build` can go ahead"),
        (broken, errors) => format!("broken: {broken} damaged, {errors} more to mend"),
    }
}

fn row(subject: &str, value: impl Into<String>, source: impl Into<String>) -> Vec<String> {
    vec![subject.to_owned(), value.into(), source.into()]
}

/// `none` rather than an empty cell, so that absence reads as a fact.
fn fact<T: ToString>(subject: &str, fact: Option<&Fact<T>>) -> Vec<String> {
    match fact {
        Some(fact) => row(subject, fact.value.to_string(), &fact.source),
        None => row(subject, "none", ""),
    }
}

fn facts(snapshot: &Snapshot) -> Vec<Vec<String>> {
    let machine = &snapshot.machine;
    let mut rows =
        vec![row("system", format!("{} {}, {} cores", machine.os, machine.arch, machine.cpus), "")];
    if machine.glibc.is_some() {
        rows.push(fact("C library (glibc)", machine.glibc.as_ref()));
    }
    if let Some(memory) = &machine.memory {
        rows.push(row("memory free", ui::bytes(memory.value), &memory.source));
    }
    for disk in &machine.disks {
        rows.push(row(
            &format!("disk free, {}", disk.holds),
            ui::bytes(disk.free),
            disk.path.display().to_string(),
        ));
    }
    for (name, tool) in [("Rust", &machine.rustc), ("cargo", &machine.cargo)] {
        rows.push(match tool {
            Some(tool) => row(name, tool.version.to_string(), tool.path.display().to_string()),
            None => row(name, "none", ""),
        });
    }
    rows.extend(pythons(machine));
    if machine.host_compilers.is_empty() {
        rows.push(row("C++ compiler", "none", ""));
    }
    for compiler in &machine.host_compilers {
        let kind = format!("{:?}", compiler.kind).to_lowercase();
        rows.push(row(
            "C++ compiler",
            format!("{kind} {} at {}", compiler.version, compiler.path.display()),
            &compiler.source,
        ));
    }
    // Three numbers that are easily taken for one another (E07): each has its own row.
    rows.push(fact("NVIDIA driver", machine.driver.as_ref()));
    rows.push(fact("driver runs CUDA up to", machine.driver_cuda.as_ref()));
    rows.extend(toolkits(machine));
    rows.extend(torches(machine));
    if machine.gpus.is_empty() {
        rows.push(row("GPU", "none", ""));
    }
    for gpu in &machine.gpus {
        rows.push(row("GPU", format!("{} (sm_{})", gpu.name, gpu.arch), &gpu.source));
    }
    for (name, tools) in [("cmake", &machine.cmake), ("ninja", &machine.ninja)] {
        if tools.is_empty() {
            rows.push(row(name, "none", ""));
        }
        for tool in tools {
            rows.push(row(name, format!("{} at {}", tool.version, tool.path.display()), &tool.source));
        }
    }
    let lock = snapshot.repo.tch_locked.as_ref().map(|version| Fact::new(version.clone(), "Cargo.lock"));
    rows.push(fact("tch", lock.as_ref()));
    rows
}

fn pythons(machine: &Machine) -> Vec<Vec<String>> {
    if machine.pythons.is_empty() {
        return vec![row("Python", "none", "")];
    }
    // Those known by name alone matter only where the active one does not fit.
    let asked = machine.pythons.iter().filter(|python| python.has_pip.is_some());
    let mut rows: Vec<Vec<String>> = asked
        .map(|python| {
            let lacks = [(python.has_pip, "no pip"), (python.has_venv, "no venv")];
            let lacks: Vec<&str> =
                lacks.iter().filter(|(has, _)| *has == Some(false)).map(|(_, text)| *text).collect();
            let lacks = if lacks.is_empty() { String::new() } else { format!(" ({})", lacks.join(", ")) };
            row("Python", format!("{}{lacks} at {}", python.version, python.path.display()), &python.source)
        })
        .collect();
    let others: Vec<String> = machine
        .pythons
        .iter()
        .filter(|python| python.has_pip.is_none())
        .map(|python| python.version.to_string())
        .collect();
    if !others.is_empty() {
        rows.push(row("Python, not active", others.join(", "), "by name, not run"));
    }
    rows
}

fn toolkits(machine: &Machine) -> Vec<Vec<String>> {
    if machine.toolkits.is_empty() {
        return vec![row("CUDA toolkit", "none", "")];
    }
    let describe = |version: Option<&Version>, lacks: Vec<&str>| {
        let version = version.map_or_else(|| "of unknown version".to_owned(), ToString::to_string);
        if lacks.is_empty() { version } else { format!("{version} (lacks {})", lacks.join(", ")) }
    };
    machine
        .toolkits
        .iter()
        .map(|toolkit| {
            let text = describe(toolkit.version.as_ref().map(|fact| &fact.value), toolkit.lacks());
            row("CUDA toolkit", format!("{text} at {}", toolkit.root.display()), toolkit.sources.join(", "))
        })
        .collect()
}

fn torches(machine: &Machine) -> Vec<Vec<String>> {
    if machine.torches.is_empty() {
        return vec![row("torch", "none", "")];
    }
    let describe = |torch: &splat_toolchain::machine::Torch| {
        let version = if torch.full_version.is_empty() { "nothing" } else { &torch.full_version };
        let cuda = torch
            .cuda
            .as_ref()
            .map_or_else(|| "CPU only".to_owned(), |cuda| format!("built with CUDA {cuda}"));
        let whole = if torch.complete { "" } else { ", not whole" };
        format!("{version} ({cuda}{whole}) at {}", torch.root.display())
    };
    machine.torches.iter().map(|torch| row("torch", describe(torch), &torch.source)).collect()
}

fn choices(plan: &Plan, verbose: bool) -> Vec<Vec<String>> {
    let engines: Vec<&str> = plan.engines.iter().map(|engine| engine.as_str()).collect();
    let mut rows = vec![
        row(
            "row",
            format!("torch {} with tch {}", plan.row.torch, plan.row.tch),
            format!("target directory {}", plan.target_dir),
        ),
        row("engines", engines.join(", "), ""),
    ];
    for explained in &plan.choices {
        // What a plan does not need is not worth a line.
        if verbose
            || !matches!(
                (explained.subject.as_str(), &plan.cuda),
                ("CUDA" | "cmake" | "ninja", Choice::Unneeded)
            )
        {
            rows.push(row(&explained.subject, &explained.chosen, &explained.because));
        }
        for (candidate, why) in explained.rejected.iter().filter(|_| verbose) {
            rows.push(row("", format!("not {candidate}"), why));
        }
    }
    rows
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
