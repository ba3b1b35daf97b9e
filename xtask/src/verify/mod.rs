//! `cargo xtask verify-import`: proves that what was built is what was planned, and that it renders.
//!
//! Two looks at every engine library: into the file (symbols, architectures, CUDA runtime, without running it), and
//! at its answers (`splat-verify`, a program of its own, so that a crash there is a finding here). A library that
//! imports but draws black fails.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context;
use object::{Object, ObjectSection, ObjectSymbol};
use serde::{Deserialize, Serialize};
use splat_toolchain::{Finding, Severity, fatbin};
use splatwright::{
    ui,
    wheel::{self, ENTRY},
};

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

/// The whole report, as `--json` prints it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Whether everything holds.
    pub ok: bool,
    /// One entry per library.
    pub engines: Vec<EngineReport>,
    /// The operation for tch.
    pub torch: TorchReport,
    /// What to do about what does not hold.
    pub findings: Vec<Finding>,
    /// The picture that this build rendered.
    pub picture: Option<PathBuf>,
    /// Loss of each training step on the embedded scene.
    pub losses: Vec<f64>,
}

/// One library.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EngineReport {
    /// `cpu`, `inria`; the file's name when it does not load.
    pub name: String,
    /// The library.
    pub path: PathBuf,
    /// ABI version, 0 when it does not load.
    pub abi: u32,
    /// `sm_90` for machine code, `compute_90` for PTX; empty for the CPU.
    pub archs: Vec<String>,
    /// Of the plan it was built by.
    pub fingerprint: String,
    /// Whether it loads and exports what it must.
    pub loaded: bool,
    /// `ok`, `no-device` or `failed`.
    pub run: String,
    /// Largest difference of a pixel from the CPU reference, when it ran.
    pub max_abs_diff: Option<f64>,
    /// Largest relative L2 difference of a gradient from the CPU reference, when it ran.
    pub max_grad_rel_l2: Option<f64>,
}

/// The operation for tch.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TorchReport {
    /// Of the plan.
    pub version: String,
    /// Whether torch sees a GPU.
    pub cuda: bool,
    /// `ok`, or what failed.
    pub op: String,
}

/// What `splat-verify` prints; see `crates/splat-verify/src/main.rs`.
#[derive(Debug, Deserialize)]
struct Ran {
    engines: Vec<RanEngine>,
    cuda: bool,
    op: String,
    reference: String,
    picture: Option<PathBuf>,
    losses: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct RanEngine {
    path: PathBuf,
    name: String,
    abi: u32,
    fingerprint: String,
    loaded: bool,
    run: String,
    max_abs_diff: Option<f64>,
    max_grad_rel_l2: Option<f64>,
    message: Option<String>,
}

/// What is in a library's file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Inside {
    symbols: Vec<String>,
    archs: Vec<String>,
    needed: Vec<String>,
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
    let mut inside = BTreeMap::new();
    for path in subject.libraries {
        match look_inside(path) {
            Ok(found) => {
                check_inside(path, &found, subject, &mut findings);
                inside.insert(path.clone(), found);
            }
            Err(e) => findings
                .push(broken("V01", format!("`{}` cannot be read as a library: {e:#}", path.display()))),
        }
    }
    let (ran, trouble) = run_program(subject)?;
    if let Some(trouble) = trouble {
        findings.push(broken("V02", trouble));
    }
    let mut engines = Vec::new();
    for path in subject.libraries {
        let archs = inside.get(path).map(|i| i.archs.clone()).unwrap_or_default();
        let of_this = ran.as_ref().and_then(|r| r.engines.iter().find(|e| e.path == *path));
        engines.push(match of_this {
            Some(e) => engine_report(e, archs, subject, &mut findings),
            None => EngineReport {
                name: path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default(),
                path: path.clone(),
                abi: 0,
                archs,
                fingerprint: String::new(),
                loaded: false,
                run: "failed".into(),
                max_abs_diff: None,
                max_grad_rel_l2: None,
            },
        });
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

fn engine_report(
    e: &RanEngine,
    archs: Vec<String>,
    subject: &Subject<'_>,
    findings: &mut Vec<Finding>,
) -> EngineReport {
    if let (Some(message), true) = (&e.message, e.run == "failed" || !e.loaded) {
        findings.push(broken("V05", format!("engine `{}`: {message}", e.name)));
    }
    match subject.fingerprint {
        Some(plan) if e.loaded && e.fingerprint != plan => findings.push(
            Finding::new(
                "V06",
                Severity::Error,
                format!(
                    "engine `{}` was built by plan {}, but the plan in force is {}",
                    e.name,
                    short(&e.fingerprint),
                    short(plan)
                ),
            )
            .hint("cargo xtask build"),
        ),
        _ => {}
    }
    EngineReport {
        name: e.name.clone(),
        path: e.path.clone(),
        abi: e.abi,
        archs,
        fingerprint: e.fingerprint.clone(),
        loaded: e.loaded,
        run: e.run.clone(),
        max_abs_diff: e.max_abs_diff,
        max_grad_rel_l2: e.max_grad_rel_l2,
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
        format!("`splat-verify` ended with {}: {tail}", output.status)
    });
    Ok((ran, trouble))
}

/// Reads a library's dynamic symbols, needed libraries and embedded GPU code, without loading it.
fn look_inside(path: &Path) -> anyhow::Result<Inside> {
    let bytes = fs_err::read(path)?;
    let file = object::File::parse(&*bytes)?;
    let mut inside = Inside::default();
    inside.symbols.extend(
        file.dynamic_symbols()
            .filter(|s| s.is_definition() && s.is_global())
            .filter_map(|s| s.name().ok().map(str::to_owned)),
    );
    inside.needed = needed(&bytes);
    for section in file.sections() {
        if section.name().is_ok_and(|n| n.starts_with(".nv_fatbin") || n == ".nv_fatb") {
            let found = fatbin::architectures(section.data()?);
            inside.archs.extend(found.sass.iter().map(|a| format!("sm_{a}")));
            inside.archs.extend(found.ptx.iter().map(|a| format!("compute_{a}")));
        }
    }
    inside.archs.sort();
    inside.archs.dedup();
    Ok(inside)
}

/// DT_NEEDED of a 64-bit ELF library; empty for other formats.
fn needed(bytes: &[u8]) -> Vec<String> {
    use object::read::elf::{Dyn, FileHeader};
    let Ok(header) = object::elf::FileHeader64::<object::Endianness>::parse(bytes) else { return Vec::new() };
    let Ok(endian) = header.endian() else { return Vec::new() };
    let Ok(sections) = header.sections(endian, bytes) else { return Vec::new() };
    let Ok(Some((dynamic, link))) = sections.dynamic(endian, bytes) else { return Vec::new() };
    let Ok(strings) = sections.strings(endian, bytes, link) else { return Vec::new() };
    dynamic
        .iter()
        .filter(|d| d.tag(endian) == object::elf::DT_NEEDED)
        .filter_map(|d| d.string(endian, strings).ok())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

/// What the file itself shows to be wrong.
fn check_inside(path: &Path, inside: &Inside, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let file = path.display();
    if !inside.symbols.iter().any(|symbol| symbol == ENTRY) {
        findings.push(broken("V07", format!("`{file}` does not export `{ENTRY}`")));
    }
    for library in inside.needed.iter().filter(|n| n.starts_with("libcudart") || n.starts_with("libtorch")) {
        findings.push(broken(
            "V08",
            format!("`{file}` needs `{library}` at run time, but engines link the CUDA runtime statically and never see torch"),
        ));
    }
    if inside.archs.is_empty() {
        return;
    }
    let (sass, ptx) = subject.archs;
    let expected = sass.iter().map(|a| format!("sm_{a}")).chain(ptx.map(|a| format!("compute_{a}")));
    let missing: Vec<String> = expected.filter(|a| !inside.archs.contains(a)).collect();
    if !missing.is_empty() && subject.fingerprint.is_some() {
        findings.push(broken(
            "V09",
            format!(
                "`{file}` has GPU code for {}, but the plan asks for {} too",
                inside.archs.join(" "),
                missing.join(" ")
            ),
        ));
    }
}

/// The report for people.
#[must_use]
pub fn table(report: &Report) -> String {
    let number = |x: Option<f64>| x.map_or_else(|| "-".into(), |x| format!("{x:.1e}"));
    let rows = report.engines.iter().map(|e| {
        vec![
            e.name.clone(),
            if e.loaded { "yes".into() } else { "no".into() },
            e.run.clone(),
            number(e.max_abs_diff),
            number(e.max_grad_rel_l2),
            if e.archs.is_empty() { "-".into() } else { e.archs.join(" ") },
            e.path.display().to_string(),
        ]
    });
    let mut text =
        ui::table(&["engine", "loaded", "run", "pixel diff", "gradient diff", "GPU code", "library"], rows);
    text += &format!(
        "\n\ntorch {}: operation {}, {}",
        report.torch.version,
        report.torch.op,
        if report.torch.cuda { "GPU visible" } else { "no GPU visible" }
    );
    if let (Some(first), Some(last)) = (report.losses.first(), report.losses.last()) {
        text += &format!("\n{} training steps: loss {first:.5} -> {last:.5}", report.losses.len());
    }
    if let Some(picture) = &report.picture {
        text += &format!("\npicture: {}", picture.display());
    }
    for finding in &report.findings {
        text += &format!("\n\n{}", ui::finding(finding));
    }
    text
}
