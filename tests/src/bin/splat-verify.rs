//! Proves a build by rendering: `splat-verify [--picture FILE] LIBRARY...` prints one line of JSON.
//!
//! The CPU engine against the original's golden answers; every library against the CPU engine, forward and every
//! gradient, where its device is there; the libtorch operation; a picture; training steps. `cargo xtask
//! verify-import` runs it as a process of its own, so that a crash in an engine is a finding and not the end.
//! Exit code 0 only if everything holds.
#![expect(clippy::print_stdout, reason = "the report is this program's output")]

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use splat_engine::{DeviceKind, Engine, EngineError, LoadedEngine, SharedEngine, host};
use splat_tch::EngineChoice;
use splat_tests::{
    EMBEDDED_GOLDEN,
    answer::{self, Answer},
    compare::{max_abs, rel_l2},
    demo::{self, OwnedScene},
    golden::Golden,
};
use tch::{Device, Kind, Tensor};

/// An image may differ from the reference by this much: other order of the same sums in f32.
const PIXEL: f64 = 1e-4;
/// A gradient may differ by this much, relative L2.
const GRADIENT: f64 = 1e-3;
const STEPS: usize = 20;

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
    let expected = host_answer(&*splat_engine::cpu(), &golden);
    let reference = match &expected {
        Ok(answer) => check(answer, &of_golden(&golden)).map_or_else(|e| e, |_| "ok".into()),
        Err(e) => e.to_string(),
    };
    let engines: Vec<EngineRun> =
        libraries.iter().map(|path| run_library(path, &golden, expected.as_ref().ok())).collect();
    let op =
        operation(&golden, expected.as_ref().ok()).map_or_else(|e| format!("failed: {e}"), |()| "ok".into());
    let (losses, op) = match (train(), op) {
        (Ok(losses), op) => (losses, op),
        (Err(e), op) if op == "ok" => (Vec::new(), format!("failed: {e}")),
        (Err(_), op) => (Vec::new(), op),
    };
    let drawn = picture.as_deref().map(draw).transpose();
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
            "radius of splat {i} is {}, but the reference has {}",
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

fn run_library(path: &Path, golden: &Golden, expected: Option<&Answer>) -> EngineRun {
    let mut run = EngineRun { path: path.into(), run: "failed".into(), ..EngineRun::default() };
    let engine: SharedEngine = match LoadedEngine::open(path) {
        Ok(engine) => Arc::new(engine),
        Err(e) => {
            run.name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            run.message = Some(e.to_string());
            return run;
        }
    };
    let capabilities = engine.capabilities();
    run.loaded = true;
    run.name = capabilities.name;
    run.abi = capabilities.abi;
    run.version = capabilities.version;
    run.fingerprint = capabilities.fingerprint;
    let answer = match capabilities.device {
        DeviceKind::Cpu => host_answer(&*engine, golden).map_err(|e| e.to_string()),
        DeviceKind::Cuda => {
            if let Err(e) = engine.device_ready(0) {
                run.run = if matches!(e, EngineError::NoDevice(_)) { "no-device" } else { "failed" }.into();
                run.message = Some(e.to_string());
                return run;
            }
            if !tch::Cuda::is_available() {
                run.run = "no-device".into();
                run.message = Some("torch sees no GPU".into());
                return run;
            }
            through_torch(golden, Device::Cuda(0), EngineChoice::Handle(engine))
        }
    };
    let checked = answer.and_then(|a| check(&a, expected.ok_or("there is no reference to compare with")?));
    match checked {
        Ok((pixel, gradient)) => {
            run.run = "ok".into();
            run.max_abs_diff = Some(pixel);
            run.max_grad_rel_l2 = Some(gradient);
        }
        Err(e) => run.message = Some(e),
    }
    run
}

fn through_torch(golden: &Golden, device: Device, engine: EngineChoice) -> Result<Answer, String> {
    let scene = golden.scene.scene();
    answer::through_torch(&scene, &golden.camera, &golden.settings, &golden.upstream(), device, engine)
        .map_err(|e| e.to_string())
}

/// One forward and backward through tch on the CPU: the same numbers as without torch.
fn operation(golden: &Golden, expected: Option<&Answer>) -> Result<(), String> {
    let answer = through_torch(golden, Device::Cpu, "cpu".into())?;
    check(&answer, expected.ok_or("there is no reference to compare with")?).map(|_| ())
}

/// Draws the embedded scene; fails when the picture is black.
fn draw(path: &Path) -> Result<(), String> {
    let camera = demo::knot_camera(640, 480);
    let scene = demo::knot(6_000);
    let settings = splat_core::Settings { background: [0.06, 0.07, 0.09], ..Default::default() };
    let rendered = host::forward(&*splat_engine::cpu(), &scene.scene(), &camera, &settings)
        .map_err(|e| e.to_string())?;
    let plane = 640 * 480;
    let bytes: Vec<u8> = (0..plane)
        .flat_map(|i| {
            [0, 1, 2].map(|c| (rendered.color[c * plane + i].clamp(0.0, 1.0) * 255.0).round() as u8)
        })
        .collect();
    if bytes.iter().filter(|b| **b > 64).count() < plane / 100 {
        return Err("the picture is black".into());
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|e| format!("cannot make `{}`: {e}", parent.display()))?;
    }
    image::RgbImage::from_raw(640, 480, bytes)
        .ok_or("the picture has another size")?
        .save(path)
        .map_err(|e| format!("cannot write `{}`: {e}", path.display()))
}

/// Trains the knot's colours and opacities back from grey, on the GPU if there is one and an engine for it.
fn train() -> Result<Vec<f64>, String> {
    let device = if tch::Cuda::is_available() && !splat_cuda::BUILT.is_empty() {
        Device::Cuda(0)
    } else {
        Device::Cpu
    };
    steps(&demo::knot(800), device).map_err(|e| e.to_string())
}

fn steps(scene: &OwnedScene, device: Device) -> Result<Vec<f64>, splat_tch::Error> {
    let p = scene.opacities.len() as i64;
    let on = |values: &[f32], n: i64| Tensor::from_slice(values).reshape([p, n]).to_device(device);
    let (means, scales, rotations) = (on(&scene.means3d, 3), on(&scene.scales, 3), on(&scene.rotations, 4));
    let camera = splat_tch::Camera::new(demo::knot_camera(96, 72), device)?;
    let render = |colors: &Tensor, opacities: &Tensor| {
        splat_tch::render(
            &splat_tch::Gaussians {
                means3d: &means,
                opacities,
                color: splat_tch::Color::Rgb(colors),
                shape: splat_tch::Shape::ScaleRotation { scales: &scales, rotations: &rotations },
                means2d: None,
                means2d_abs: None,
                features: None,
            },
            &camera,
            &splat_tch::Settings::default(),
        )
    };
    let target = tch::no_grad(|| render(&on(&scene.color, 3), &on(&scene.opacities, 1)))?.color;
    let colors = Tensor::full([p, 3], 0.5, (Kind::Float, device)).set_requires_grad(true);
    let opacities = Tensor::zeros([p, 1], (Kind::Float, device)).set_requires_grad(true);
    let mut losses = Vec::with_capacity(STEPS);
    for _ in 0..STEPS {
        let loss = (render(&colors, &opacities.sigmoid())?.color - &target).square().mean(Kind::Float);
        for t in [&colors, &opacities] {
            let mut grad = t.grad();
            if grad.defined() {
                let _ = grad.zero_();
            }
        }
        loss.f_backward()?;
        // Plain gradient descent with a step that suits each tensor's scale: enough for a falling loss.
        tch::no_grad(|| {
            for (t, step) in [(&colors, 0.05), (&opacities, 0.1)] {
                let _ = t.shallow_clone().subtract_(&(t.grad().sign() * step));
            }
        });
        losses.push(loss.double_value(&[]));
    }
    let (first, last) = (losses[0], losses[STEPS - 1]);
    if last.is_nan() || last > 0.5 * first {
        return Err(splat_tch::Error::Torch(format!(
            "{STEPS} training steps took the loss from {first:.5} to {last:.5}; it should halve"
        )));
    }
    Ok(losses)
}
