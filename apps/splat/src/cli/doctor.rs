//! `splat doctor`: what this program found on the machine and would use, in one screen, and a render that proves it.
//!
//! Nothing is changed and nothing is fetched. How to build the program is the business of `splatwright doctor`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, ensure};
use bytesize::ByteSize;
use comfy_table::{Table, presets};
use serde::Serialize;
use splat_core::Camera;
use splat_engine::{DeviceKind, registry};
use splat_scene::SH_C0;
use splat_train::{Backend, Gaussians, Probe, render_settings};

use super::common::BackendArgs;
use super::progress::spoken;
use super::say::{print, shown};
use super::view;
use crate::machine::{Machine, available_memory, on_path};

/// Arguments of `splat doctor`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  splat doctor\n\nThe exit code is 0 if the device and engine that would be used render a picture."
)]
pub(crate) struct Args {
    /// Write JSON to stdout instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backend: BackendArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    program: &'static str,
    /// The libtorch that this process has loaded, and its version.
    torch: Option<PathBuf>,
    torch_version: Option<String>,
    machine: Machine,
    memory_free: Option<u64>,
    gpus: Vec<Gpu>,
    /// Why no GPU can be used.
    no_gpu: Option<String>,
    engines: Vec<Engine>,
    ffmpeg: Option<PathBuf>,
    /// Whether the page of `splat view` is built in.
    viewer: bool,
    used: Used,
}

#[derive(Debug, Serialize)]
struct Gpu {
    device: String,
    name: String,
    memory_free: u64,
    memory_total: u64,
}

#[derive(Debug, Serialize)]
struct Engine {
    name: String,
    origin: String,
    version: Option<String>,
    /// Why it cannot be used.
    error: Option<String>,
}

/// What `splat train` would use, and how long a render took.
#[derive(Debug, Serialize)]
struct Used {
    engine: String,
    device: String,
    milliseconds: f64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let backend = args.backend.backend()?;
    let used = proved(&backend)?;
    let torch = loaded_torch();
    let gpu = Backend::find(None, Some("cuda"));
    let report = Report {
        program: concat!("splat ", env!("CARGO_PKG_VERSION")),
        torch_version: torch.as_deref().and_then(version_of),
        torch,
        machine: Machine::probe(gpu.as_ref().unwrap_or(&backend)),
        memory_free: available_memory(),
        gpus: gpu.as_ref().map(gpus).unwrap_or_default(),
        no_gpu: gpu.err().map(|reason| reason.to_string()),
        engines: engines(),
        ffmpeg: on_path("ffmpeg"),
        viewer: view::is_built_in(),
        used,
    };
    print(&if args.json { serde_json::to_string_pretty(&report)? } else { table(&report) })
}

/// Renders one opaque Gaussian in the middle of a picture, forward alone, and looks at it.
fn proved(backend: &Backend) -> Result<Used> {
    let _guard = tch::no_grad_guard();
    let host = splat_scene::Gaussians {
        means: vec![0.0; 3],
        coeffs: 1,
        sh: vec![0.5 / SH_C0; 3],
        opacity_logits: vec![6.0],
        log_scales: vec![-1.0; 3],
        rotations: vec![1.0, 0.0, 0.0, 0.0],
        ..splat_scene::Gaussians::default()
    };
    let camera = Camera::look_at(64, 64, 50.0, [0.0, 0.0, -3.0], [0.0; 3], [0.0, -1.0, 0.0]);
    let camera = splat_tch::Camera::new(camera, backend.device())?;
    let settings = splat_tch::Settings { sh_degree: 0, ..render_settings(backend, false)? };
    let scene = Gaussians::upload(&host, backend.device())?;
    let begin = Instant::now();
    let color = scene.render(&camera, &settings, &Probe::default())?.color;
    let [middle, corner] = [[0, 32, 32], [0, 0, 0]].map(|at| color.double_value(&at));
    let milliseconds = 1e3 * begin.elapsed().as_secs_f64();
    ensure!(
        middle > 0.9 && corner < 0.1,
        "engine `{}` renders wrongly: a white Gaussian in the middle gave {middle:.3} there and {corner:.3} in a corner",
        backend.name()
    );
    Ok(Used { engine: backend.name().into(), device: format!("{:?}", backend.device()), milliseconds })
}

fn gpus(first: &Backend) -> Vec<Gpu> {
    let count = i32::try_from(tch::Cuda::device_count()).unwrap_or(0);
    let asked = (0..count).filter_map(|i| Some((i, first.engine().device(i).ok()?)));
    asked
        .map(|(i, info)| Gpu {
            device: format!("cuda:{i}"),
            name: info.name,
            memory_free: info.memory_free,
            memory_total: info.memory_total,
        })
        .collect()
}

fn engines() -> Vec<Engine> {
    let listed = registry::engines().into_iter();
    listed
        .map(|l| Engine {
            name: l.name,
            origin: l.origin.to_string(),
            version: l.engine.as_ref().ok().map(|engine| {
                let can = engine.capabilities();
                let memory = if can.device == DeviceKind::Cpu { "CPU" } else { "CUDA" };
                format!("{} ({memory})", can.version)
            }),
            error: l.engine.err().map(|reason| reason.to_string()),
        })
        .collect()
}

/// The libtorch of this process. Linux only.
fn loaded_torch() -> Option<PathBuf> {
    let maps = fs_err::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find_map(|line| {
        line.split_once('/').map(|(_, path)| path).filter(|path| path.ends_with("/libtorch_cpu.so"))
    })?;
    Path::new("/").join(path).parent().map(Path::to_owned)
}

/// `2.11.0+cu130`: a package of Python has it in `version.py`, an archive in `build-version`.
fn version_of(lib: &Path) -> Option<String> {
    let root = lib.parent()?;
    let line = |file: &str, start: &str| {
        let text = fs_err::read_to_string(root.join(file)).ok()?;
        let rest = text.lines().find_map(|line| line.strip_prefix(start))?;
        Some(rest.trim_matches(['\'', '"', ' ']).to_owned())
    };
    line("version.py", "__version__ = ").or_else(|| line("build-version", ""))
}

fn table(r: &Report) -> String {
    let mut facts = Table::new();
    facts.load_style(presets::NOTHING);
    let mut fact = |name: &str, value: String| {
        facts.add_row([name, &shown(&value)]);
    };
    let size = |bytes: u64| ByteSize(bytes).display().iec().to_string();
    fact("program", r.program.into());
    let version = r.torch_version.clone().unwrap_or_else(|| "of unknown version".into());
    let at = r.torch.as_ref().map_or_else(String::new, |path| format!(" at {}", path.display()));
    fact("libtorch", format!("{version}{at}"));
    fact("machine", r.machine.to_string());
    if let Some(free) = r.memory_free {
        fact("memory", format!("{} free", size(free)));
    }
    for gpu in &r.gpus {
        let memory = format!("{} free of {}", size(gpu.memory_free), size(gpu.memory_total));
        fact("GPU", format!("{}: {}, {memory}", gpu.device, gpu.name));
    }
    if let Some(reason) = &r.no_gpu {
        fact("GPU", format!("none can be used: {reason}"));
    }
    for engine in &r.engines {
        let state =
            engine.version.clone().or_else(|| engine.error.as_ref().map(|e| format!("not usable: {e}")));
        fact("engine", format!("{} {}, {}", engine.name, state.unwrap_or_default(), engine.origin));
    }
    let ffmpeg = r.ffmpeg.as_ref().map(|path| path.display().to_string());
    fact(
        "ffmpeg",
        ffmpeg.unwrap_or_else(|| "not found: `splat render` writes pictures, but no videos".into()),
    );
    let viewer = if r.viewer { "built in" } else { "not built in: `cargo xtask build` brings it" };
    fact("viewer", viewer.into());
    let Used { engine, device, milliseconds } = &r.used;
    fact(
        "will use",
        format!(
            "engine {engine} on the {}; a picture was rendered in {milliseconds:.1} ms and is right",
            spoken(device)
        ),
    );
    facts.trim_fmt()
}
