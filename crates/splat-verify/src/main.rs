//! Proves a build by rendering: `splat-verify [--picture FILE] LIBRARY...` prints one line of JSON.
//!
//! The CPU engine against the original's golden answers; every library against the CPU engine, forward and every
//! gradient, by its whole calls and by its stages, where its device is there; the libtorch operation; a picture; training
//! steps. `cargo xtask verify-import` runs it as a process of its own, so that a crash in an engine is a finding and does
//! not end the run.
//! Exit code 0 only if everything holds.
#![expect(clippy::print_stdout, reason = "the report is this program's output")]

mod show;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use splat_cpu::host;
use splat_engine::{Abilities, DeviceKind, Engine, EngineError, SharedEngine, TableEngine};
use splat_tch::Backend;
use splat_verify::{
    EMBEDDED_GOLDEN,
    answer::{self, Answer},
    compare::{max_abs, rel_l2},
    golden::Golden,
    staged::staged,
};
use tch::Device;

/// An image may differ from the reference by this much, because f32 sums are taken in another order.
const PIXEL: f64 = 1e-4;
/// A gradient may differ by this much, relative L2.
const GRADIENT: f64 = 1e-3;

#[derive(serde::Serialize)]
struct Report {
    engines: Vec<EngineRun>,
    cuda: bool,
    op: String,
    reference: String,
    picture: Option<PathBuf>,
    losses: Vec<f64>,
}

#[derive(Default, serde::Serialize)]
struct EngineRun {
    path: PathBuf,
    name: String,
    abi: u32,
    version: String,
    fingerprint: String,
    loaded: bool,
    run: String,
    max_abs_diff: Option<f64>,
    max_grad_rel_l2: Option<f64>,
    message: Option<String>,
}

fn main() -> ExitCode {
    let mut picture = None;
    let mut libraries = Vec::new();
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--picture" {
            picture = arguments.next().map(PathBuf::from);
        } else {
            libraries.push(PathBuf::from(argument));
        }
    }
    let golden = Golden::read(EMBEDDED_GOLDEN);
    let expected = host_answer(&*splat_cpu::engine(), &golden);
    let reference = match &expected {
        Ok(answer) => check(answer, &of_golden(&golden)).map_or_else(|e| e, |_| "ok".into()),
        Err(e) => e.to_string(),
    };
    // The training steps are taken by the last library that ran on a GPU, else on the CPU.
    let mut trainer = Backend::cpu();
    let mut engines = Vec::new();
    for path in &libraries {
        let (run, backend) = run_library(path, &golden, expected.as_ref().ok());
        if let Some(backend) = backend.filter(|backend| run.run == "ok" && backend.device() != Device::Cpu) {
            trainer = backend;
        }
        engines.push(run);
    }
    let op =
        operation(&golden, expected.as_ref().ok()).map_or_else(|e| format!("failed: {e}"), |()| "ok".into());
    let (losses, op) = match (show::train(&trainer), op) {
        (Ok(losses), op) => (losses, op),
        (Err(e), op) if op == "ok" => (Vec::new(), format!("failed: {e}")),
        (Err(_), op) => (Vec::new(), op),
    };
    let drawn = picture.as_deref().map(show::draw).transpose();
    let (picture, op) = match drawn {
        Ok(_) => (picture, op),
        Err(e) => (None, format!("failed: {e}")),
    };
    let ok = reference == "ok" && op == "ok" && engines.iter().all(|e| e.loaded && e.run != "failed");
    let report = Report { engines, cuda: tch::Cuda::is_available(), op, reference, picture, losses };
    match serde_json::to_string(&report) {
        Ok(line) => println!("{line}"),
        Err(_) => return ExitCode::from(2),
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// What the original answered, as an answer.
fn of_golden(golden: &Golden) -> Answer {
    let scene = golden.scene.scene();
    let inputs: Vec<&str> =
        answer::named(splat_core::Gradients::default(), &scene).into_iter().map(|(n, _)| n).collect();
    Answer {
        color: golden.color.clone(),
        radii: golden.radii.clone(),
        inv_depth: golden.inv_depth.clone(),
        gradients: golden.gradients.iter().filter(|(n, _)| inputs.contains(n)).cloned().collect(),
        weights: Vec::new(),
    }
}

/// The golden call on an engine whose memory is the host's, without torch.
fn host_answer(engine: &dyn Engine, golden: &Golden) -> Result<Answer, EngineError> {
    let scene = golden.scene.scene();
    let rendered = host::forward(engine, &scene, &golden.camera, &golden.settings)?;
    let gradients =
        host::backward(engine, &scene, &golden.camera, &golden.settings, &rendered, &golden.upstream())?;
    Ok(Answer {
        color: rendered.color,
        radii: rendered.radii,
        inv_depth: rendered.inv_depth,
        gradients: answer::named(gradients, &scene),
        weights: Vec::new(),
    })
}

/// Worst pixel and worst gradient, or a sentence on what is outside its tolerance.
fn check(answer: &Answer, expected: &Answer) -> Result<(f64, f64), String> {
    if answer.color.iter().all(|c| *c == 0.0) {
        return Err("the image is all black, but the golden scene is not".into());
    }
    let pixel = max_abs(&answer.color, &expected.color).max(max_abs(&answer.inv_depth, &expected.inv_depth));
    if pixel > PIXEL {
        return Err(format!("a pixel differs by {pixel:.1e} from the reference, over {PIXEL:.0e}"));
    }
    if answer.radii != expected.radii {
        let i = answer.radii.iter().zip(&expected.radii).position(|(a, b)| a != b).unwrap_or(0);
        return Err(format!(
            "the radius of Gaussian {i} is {}, but the reference has {}",
            answer.radii[i], expected.radii[i]
        ));
    }
    let mut worst: f64 = 0.0;
    for (name, values) in &expected.gradients {
        let found = answer.gradients.iter().find(|(n, _)| n == name);
        let (_, found) = found.ok_or_else(|| format!("there is no gradient of `{name}`"))?;
        let off = rel_l2(found, values);
        if off > GRADIENT {
            return Err(format!(
                "the gradient of `{name}` differs by {off:.1e} (relative L2) from the reference, over {GRADIENT:.0e}"
            ));
        }
        worst = worst.max(off);
    }
    Ok((pixel, worst))
}

/// Tries a library; the backend that it ran on, where it could run.
fn run_library(path: &Path, golden: &Golden, expected: Option<&Answer>) -> (EngineRun, Option<Backend>) {
    let mut run = EngineRun { path: path.into(), run: "failed".into(), ..EngineRun::default() };
    let engine: SharedEngine = match TableEngine::open(path) {
        Ok(engine) => Arc::new(engine),
        Err(e) => {
            run.name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            run.message = Some(e.to_string());
            return (run, None);
        }
    };
    let capabilities = engine.capabilities().clone();
    run.loaded = true;
    run.name = capabilities.name;
    run.abi = capabilities.abi;
    run.version = capabilities.version;
    run.fingerprint = capabilities.fingerprint;
    let device = match capabilities.device {
        DeviceKind::Cpu => Device::Cpu,
        DeviceKind::Cuda => {
            let ready = engine.device_ready(0);
            let no_device = matches!(ready, Err(EngineError::NoDevice(_)));
            let ready = ready.map_err(|e| e.to_string());
            let ready = ready.and_then(|()| match tch::Cuda::is_available() {
                true => Ok(()),
                false => Err("torch sees no GPU".into()),
            });
            if let Err(reason) = ready {
                run.run = if no_device || !tch::Cuda::is_available() { "no-device" } else { "failed" }.into();
                run.message = Some(reason);
                return (run, None);
            }
            Device::Cuda(0)
        }
    };
    let backend = Backend::new(device, engine.clone()).map_err(|e| e.to_string());
    let tried = backend.clone().and_then(|backend| {
        let expected = expected.ok_or("there is no reference to compare with")?;
        let whole = match device {
            Device::Cpu => host_answer(&*engine, golden).map_err(|e| e.to_string())?,
            _ => through_torch(golden, &backend)?,
        };
        let (pixel, gradient) = check(&whole, expected)?;
        if !capabilities.abilities.contains(Abilities::STAGES) {
            return Ok((pixel, gradient));
        }
        let stages = Backend::new(device, staged(engine)).map_err(|e| e.to_string())?;
        let answer = through_torch(golden, &stages).map_err(|e| format!("by its stages: {e}"))?;
        let (p, g) = check(&answer, expected).map_err(|e| format!("by its stages: {e}"))?;
        Ok((pixel.max(p), gradient.max(g)))
    });
    match tried {
        Ok((pixel, gradient)) => {
            run.run = "ok".into();
            run.max_abs_diff = Some(pixel);
            run.max_grad_rel_l2 = Some(gradient);
        }
        Err(e) => run.message = Some(e),
    }
    (run, backend.ok())
}

fn through_torch(golden: &Golden, backend: &Backend) -> Result<Answer, String> {
    let scene = golden.scene.scene();
    answer::through_torch(&scene, &golden.camera, &golden.settings, &golden.upstream(), backend)
        .map_err(|e| e.to_string())
}

/// One forward and backward through tch on the CPU: the same numbers as without torch.
fn operation(golden: &Golden, expected: Option<&Answer>) -> Result<(), String> {
    let answer = through_torch(golden, &Backend::cpu())?;
    check(&answer, expected.ok_or("there is no reference to compare with")?).map(|_| ())
}
