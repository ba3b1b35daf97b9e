//! `cargo xtask verify-import`: proves that what was built is what was planned, and that it renders.
//!
//! Two looks at every engine library: into the file (symbols, architectures, CUDA runtime, without running it), and
//! at its answers (`splat-verify`, a program of its own, so that a crash there is a finding here). A library that
//! imports but draws black fails.

mod inside;
mod report;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context;
use serde::Deserialize;
use splat_toolchain::{Finding, Severity};
use splatwright::{ui, wheel};

pub use self::report::{EngineReport, Report, TorchReport, table};
use crate::build;

/// Check every built engine library and the libtorch operation, or the Python wheels, by rendering
///
/// Looks into each library (symbols, embedded GPU architectures, CUDA runtime, fingerprint of the plan), loads it,
/// renders the embedded golden scene forward and backward on every engine that can run here, and once through tch.
/// Exit code 0 only if all of it holds.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the report as JSON on stdout
    #[arg(long)]
    json: bool,
    /// Check the Python wheels instead: install them into a throw-away environment of this interpreter (or
    /// environment), import, and compare the golden scene on every device
    #[arg(long, value_name = "PYTHON|VENV", conflicts_with = "libraries")]
    python: Option<PathBuf>,
    /// With --python: wheels of this folder instead of newly built ones
    #[arg(long, value_name = "FOLDER", requires = "python")]
    wheel_dir: Option<PathBuf>,
    /// Check these libraries instead of the built ones
    #[arg(value_name = "LIBRARY")]
    libraries: Vec<PathBuf>,
}

/// What `splat-verify` prints; see `crates/splat-verify/src/main.rs`.
#[derive(Debug, Deserialize)]
struct Ran {
    engines: Vec<EngineReport>,
    cuda: bool,
    op: String,
    reference: String,
    picture: Option<PathBuf>,
    losses: Vec<f64>,
}

/// What is being verified.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The engine libraries.
    pub libraries: &'a [PathBuf],
    /// `splat-verify`.
    pub program: &'a Path,
    /// Torch of the plan.
    pub torch_version: &'a str,
    /// Fingerprint of the plan in force; `None` leaves it unchecked (libraries named by the user).
    pub fingerprint: Option<&'a str>,
    /// Architectures of the plan: SASS, and the one of the PTX.
    pub archs: (&'a [u32], Option<u32>),
    /// Where the picture goes.
    pub picture: &'a Path,
}

/// Runs the command.
///
/// # Errors
/// When nothing was built, or `splat-verify` cannot be started.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(python) = &args.python {
        let report = wheel::verify::verify(python, args.wheel_dir.as_deref(), build::engine_for_wheel)?;
        if args.json {
            ui::json(&report)?
        } else {
            ui::data(&wheel::verify::table(&report))?
        }
        return Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(1) });
    }
    let built = build::ensure_compiled()?;
    let named = !args.libraries.is_empty();
    let subject = Subject {
        libraries: if named { &args.libraries } else { &built.libraries },
        program: &built.verifier,
        torch_version: &built.torch_version,
        fingerprint: (!named).then_some(built.fingerprint.as_str()),
        archs: (&built.archs, built.ptx),
        picture: &built.picture,
    };
    let report = verify(&subject)?;
    if args.json {
        ui::json(&report)?
    } else {
        ui::data(&table(&report))?
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Looks into every library, lets `splat-verify` run them, and says what does not hold.
///
/// # Errors
/// When `splat-verify` cannot be started at all.
pub fn verify(subject: &Subject<'_>) -> anyhow::Result<Report> {
    let mut findings = Vec::new();
    let mut inside = Vec::new();
    for path in subject.libraries {
        inside.push(inside::look(path, subject, &mut findings).unwrap_or_else(|e| {
            findings.push(broken("V01", format!("`{}` cannot be read as a library: {e:#}", path.display())));
            Vec::new()
        }));
    }
    let (ran, trouble) = run_program(subject)?;
    if let Some(trouble) = trouble {
        findings.push(broken("V02", trouble));
    }
    let mut engines = Vec::new();
    for (path, archs) in subject.libraries.iter().zip(inside) {
        let of_this = ran.as_ref().and_then(|r| r.engines.iter().find(|e| e.path == *path));
        let engine = of_this.cloned().unwrap_or_else(|| EngineReport {
            name: path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default(),
            path: path.clone(),
            run: "failed".into(),
            ..EngineReport::default()
        });
        check(&engine, subject.fingerprint, &mut findings);
        engines.push(EngineReport { archs, ..engine });
    }
    let mut torch = TorchReport { version: subject.torch_version.to_owned(), ..TorchReport::default() };
    let mut picture = None;
    let mut losses = Vec::new();
    match ran {
        Some(ran) => {
            torch.cuda = ran.cuda;
            torch.op = ran.op;
            if ran.reference != "ok" {
                findings.push(broken("V03", format!("the CPU reference is wrong: {}", ran.reference)));
            }
            picture = ran.picture;
            losses = ran.losses;
        }
        None => torch.op = "failed: splat-verify did not finish".into(),
    }
    if torch.op != "ok" {
        findings.push(broken("V04", format!("the operation for tch: {}", torch.op)));
    }
    let ok = findings.iter().all(|f| f.severity < Severity::Error)
        && engines.iter().all(|e| e.loaded && e.run != "failed");
    Ok(Report { ok, engines, torch, findings, picture, losses })
}

fn broken(code: &str, message: String) -> Finding {
    Finding::new(code, Severity::Broken, message).hint("cargo xtask clean --all && cargo xtask build")
}

/// What is wrong with a library that was tried.
fn check(e: &EngineReport, plan: Option<&str>, findings: &mut Vec<Finding>) {
    if let (Some(message), true) = (&e.message, e.run == "failed" || !e.loaded) {
        findings.push(broken("V05", format!("engine `{}`: {message}", e.name)));
    }
    if let Some(plan) = plan.filter(|plan| e.loaded && e.fingerprint != *plan) {
        let (built, plan) = (short(&e.fingerprint), short(plan));
        let what = format!("engine `{}` was built by plan {built}, but the plan in force is {plan}", e.name);
        findings.push(Finding::new("V06", Severity::Error, what).hint("cargo xtask build"));
    }
}

fn short(fingerprint: &str) -> &str {
    if fingerprint.is_empty() { "(none)" } else { &fingerprint[..fingerprint.len().min(12)] }
}

/// Runs `splat-verify`; what it printed, and what went wrong with it as a program.
fn run_program(subject: &Subject<'_>) -> anyhow::Result<(Option<Ran>, Option<String>)> {
    let output = Command::new(subject.program)
        .arg("--picture")
        .arg(subject.picture)
        .args(subject.libraries)
        .output()
        .with_context(|| format!("cannot start `{}`", subject.program.display()))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    // The report is the last line; a library may print above it.
    let ran = stdout.lines().last().and_then(|line| serde_json::from_str(line).ok());
    let trouble = (ran.is_none() || !output.status.success()).then(|| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = stderr.lines().rev().take(5).collect();
        let tail = tail.into_iter().rev().collect::<Vec<_>>().join(" | ");
        format!("`splat-verify` failed ({}): {tail}", output.status)
    });
    Ok((ran, trouble))
}
