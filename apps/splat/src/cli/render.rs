//! `splat render`: pictures of a scene from given cameras or along a path, as PNGs or a video.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::trajectory::{self, LONGEST_SIDE, Lens, Orbit, Shot, Trajectory, depth_in_view};
use anyhow::{Context, Result};
use serde_json::json;
use splat_core::Camera;
use splat_scene::{Origin, cameras_json, write_atomically};

use super::bar::Bar;
use super::common::{self, DataArgs, Split};
use super::events::EventArgs;
use super::past::Past;
use super::render_output::{Extras, Output};
use super::scene::{LookArgs, Scene, file_of, numbers};
use super::{Ended, Hinted, say};
use crate::machine;

/// Size and vertical field of view (degrees) if no camera gives them.
const SIZE: [u32; 2] = [1280, 720];
const FOV: f64 = 50.0;
/// Nothing nearer than this is rendered, in world units.
const NEAREST: f64 = 0.2;

/// Arguments of `splat render`.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("way").args(["orbit", "path", "trajectory"]),
    after_help = "Examples:\n  splat render out -o circle.mp4 --orbit 240\n  \
    splat render scene.ply -o frames --data data/snowmiku --split test --depth --alpha\n  \
    splat render scene.ply -o flight.mp4 --cameras cameras.json --path --frames 600 --fps 60\n  \
    splat render scene.ply -o frames --trajectory way.json --transparent\n\n\
    A trajectory is JSON: {\"width\": 1280, \"height\": 720, \"fov_y\": 50, \"frames\": [{\"name\": \"a\", \
    \"world_to_camera\": [[..],[..],[..],[0,0,0,1]]}, ..]}, with rows of 4x4 matrices, or `camera_to_world`; OpenCV \
    axes (x right, y down, z forward), or \"axes\": \"opengl\"; `fx fy cx cy` in pixels instead of `fov_y` (vertical, \
    degrees); lens and size may stand in a frame; `fps` for videos. A folder of pictures gets the trajectory of its \
    own pictures, trajectory.json.\n\n\
    Ctrl-C finishes the current picture; everything rendered so far is kept, and the exit code is 3."
)]
pub(crate) struct Args {
    /// Scene file (.ply, .splat, .spz, .sog, ...), or the output folder of a training
    scene: PathBuf,
    /// Folder for PNGs, or a video: .mp4, .mkv or .mov (needs ffmpeg)
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
    /// Dataset whose cameras are used, or followed by --orbit and --path [default for these two: the cameras.json of the
    /// training beside the scene]
    #[arg(long, value_name = "DIR", conflicts_with = "trajectory")]
    data: Option<PathBuf>,
    /// Which of the dataset's cameras to use
    #[arg(long, value_name = "SPLIT", default_value = "all")]
    split: Split,
    /// Use the cameras of a 3DGS cameras.json instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "trajectory"])]
    cameras: Option<PathBuf>,
    /// Render N pictures once around the scene: on the circle that fits the cameras or, without cameras, around most of the
    /// Gaussians. This is the default, with 120, if nothing else is asked for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    orbit: Option<u32>,
    /// Fly smoothly through the cameras in order of their names
    #[arg(long)]
    path: bool,
    /// File of poses, see below
    #[arg(long, value_name = "FILE")]
    trajectory: Option<PathBuf>,
    /// Number of pictures for --path [default: 300]
    #[arg(long, value_name = "N", requires = "path", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    frames: Option<u32>,
    /// Pictures per second of a video [default: what the trajectory says, else 30]
    #[arg(long, value_name = "N", value_parser = positive)]
    fps: Option<f64>,
    /// Width in pixels; without --height, the height follows [default: the cameras', or 1280]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=i64::from(LONGEST_SIDE)))]
    width: Option<u32>,
    /// Height in pixels; without --width, the width follows [default: the cameras', or 720]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=i64::from(LONGEST_SIDE)))]
    height: Option<u32>,
    /// Vertical field of view [default: the cameras', or 50]
    #[arg(long, value_name = "DEGREES", value_parser = angle)]
    fov: Option<f64>,
    /// Also write depth: 16-bit PNGs in DIR/depth (depth.json has the scale), or a second video in false colours
    #[arg(long)]
    depth: bool,
    /// The depth in world units that the largest value stands for [default: beyond nearly all visible Gaussians]
    #[arg(long, value_name = "UNITS", requires = "depth", value_parser = positive)]
    depth_max: Option<f64>,
    /// Also write opacity: 8-bit PNGs in DIR/alpha, or a second video
    #[arg(long)]
    alpha: bool,
    /// Write RGBA pictures without a background
    #[arg(long, conflicts_with = "background")]
    transparent: bool,
    /// Write into a folder that is not empty, or replace a video
    #[arg(long)]
    overwrite: bool,
    /// Say nothing but warnings and errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    events: EventArgs,
    #[command(flatten)]
    circle: CircleArgs,
    #[command(flatten)]
    dataset: DataArgs,
    #[command(flatten)]
    look: LookArgs,
}

/// Parts of the circle that are given instead of estimated.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Circle (--orbit)")]
struct CircleArgs {
    /// The point the camera looks at
    #[arg(long, value_name = "X,Y,Z", value_parser = numbers, allow_hyphen_values = true)]
    center: Option<[f64; 3]>,
    /// The up direction [default: that of the cameras, or 0,-1,0]
    #[arg(long, value_name = "X,Y,Z", value_parser = common::direction, allow_hyphen_values = true)]
    up: Option<[f64; 3]>,
    /// Distance of the camera from that point, in world units
    #[arg(long, value_name = "UNITS", value_parser = positive)]
    distance: Option<f64>,
    /// Elevation of the camera above the plane of that point
    #[arg(long, value_name = "DEGREES", value_parser = elevation, allow_hyphen_values = true)]
    elevation: Option<f64>,
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| *x > 0.0 && x.is_finite()).ok_or("expected a number over 0".into())
}

fn angle(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x| *x > 0.0 && *x < 180.0).ok_or("expected over 0 and under 180 degrees".into())
}

fn elevation(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| x.abs() < 90.0).ok_or("expected -89 to 89 degrees".into())
}

pub(crate) fn run(args: &Args) -> Result<Ended> {
    render(args)
        .map_err(|e| common::with_levers(e, "smaller images, such as --width 640, or fewer Gaussians"))
}

fn render(args: &Args) -> Result<Ended> {
    // Cheap checks come before the scene is read.
    let given = given_shots(args)?;
    let mut output = Output::check(&args.output, args.overwrite, args.transparent)?;
    let scene = Scene::open(&args.scene, &args.look, given.origin)?;
    let (shots, fps) = shots(args, given, &scene)?;
    let fps = args.fps.or(fps).unwrap_or(30.0);

    let extras = Extras {
        transparent: args.transparent,
        alpha: args.alpha,
        depth: args.depth.then(|| args.depth_max.unwrap_or_else(|| farthest(&scene.host, &shots))),
    };
    let mut settings = scene.settings.clone();
    if args.transparent {
        settings.background = [0.0; 3].into();
    }
    settings.depth = args.depth;
    settings.alpha = args.depth || args.alpha || args.transparent;
    if !scene.backend.device().is_cuda() {
        enough_memory(&shots)?;
    }
    output.begin(&shots, extras, fps)?;

    let stop = common::stopped_by_ctrl_c()?;

    let mut bar = Bar::new(shots.len() as u64, args.quiet).telling(args.events, "render");
    let begin = Instant::now();
    let (mut done, mut seen) = (0, false);
    for (i, shot) in shots.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let _guard = tch::no_grad_guard();
        let camera = splat_tch::Camera::new(shot.camera.clone(), scene.backend.device())?;
        let picture = splat_tch::render(&scene.frozen.scene(), &camera, &settings)
            .with_context(|| format!("{}: picture {}", scene.path.display(), shot.name))?;
        output.write(i, &picture)?;
        seen = seen || picture.radii.f_max()?.f_int64_value(&[])? > 0;
        done = i + 1;
        bar.show(done as u64, &[&shot.name]);
    }
    output.finish(done)?;
    if args.output.is_dir() {
        let way = trajectory::json(&shots[..done], Some(fps), scene.host.origin);
        let path = args.output.join("trajectory.json");
        write_atomically(&path, |out| Ok(serde_json::to_writer_pretty(out, &way)?))?;
    }
    bar.clear();
    if done > 0 && !seen {
        say::warn(&format!(
            "no Gaussian of {} is in view in any picture: do the cameras belong to this scene?",
            scene.path.display()
        ));
    }
    args.events.done("render", json!({"output": args.output, "pictures": done, "of": shots.len()}));
    if !args.quiet {
        let seconds = begin.elapsed().as_secs_f64();
        let first = &shots[0].camera;
        let early =
            if done < shots.len() { format!(" of {}, stopped early", shots.len()) } else { String::new() };
        // A video of no picture does not exist.
        let wrote =
            if done > 0 { format!("wrote {}", args.output.display()) } else { "wrote nothing".into() };
        say::note(&format!(
            "{wrote}: {done} pictures{early}, {}x{}, in {seconds:.1} s ({:.1} pictures/s, {} Gaussians, engine {})",
            first.width,
            first.height,
            done as f64 / seconds.max(f64::MIN_POSITIVE),
            say::grouped(scene.frozen.len()),
            scene.backend.name()
        ));
    }
    Ok(if done < shots.len() { Ended::Stopped } else { Ended::Done })
}

/// An estimate of the bytes of memory per pixel while a picture is rendered on the CPU and others wait to be written: about
/// 40 for the render and its channels, the rest for pictures that wait.
const BYTES_PER_PIXEL: u64 = 120;

/// Refuses pictures that this machine's memory cannot hold, because the system would kill the program.
fn enough_memory(shots: &[Shot]) -> Result<()> {
    let pixels = |s: &Shot| u64::from(s.camera.width) * u64::from(s.camera.height);
    let Some(largest) = shots.iter().max_by_key(|s| pixels(s)) else { return Ok(()) };
    let needed = pixels(largest) * BYTES_PER_PIXEL;
    match machine::available_memory() {
        Some(free) if needed > free => {
            let size = |bytes: u64| indicatif::HumanBytes(bytes).to_string();
            let (w, h) = (largest.camera.width, largest.camera.height);
            let message = format!(
                "pictures of {w}x{h} need about {} of memory, but {} are free",
                size(needed),
                size(free)
            );
            // A third of the side is a ninth of the memory, and so on.
            let side = (f64::from(w) * (0.8 * free as f64 / needed as f64).sqrt()) as u32;
            Err(Hinted::error(message, format!("render smaller pictures, such as --width {}", side.max(1))))
        }
        _ => Ok(()),
    }
}

/// What files give: the shots of a trajectory, or cameras to render or to follow.
struct Given {
    shots: Vec<Shot>,
    fps: Option<f64>,
    /// Where their coordinates lie in the world; None without cameras.
    origin: Option<Origin>,
    /// Whether the cameras are only there to be followed: nobody asked for pictures from them.
    to_follow: bool,
}

fn given_shots(args: &Args) -> Result<Given> {
    let (shots, origin) = if let Some(file) = &args.trajectory {
        let Trajectory { shots, fps, origin } = Trajectory::read(file)?;
        return Ok(Given { shots, fps, origin: Some(origin), to_follow: false });
    } else if let Some(folder) = &args.data {
        let dataset = args.dataset.open(folder)?;
        let shot = |i: usize| {
            let view = &dataset.views[i];
            Shot { name: view.name.clone(), camera: view.camera.clone() }
        };
        (args.split.of(&dataset, folder)?.into_iter().map(shot).collect(), Some(dataset.origin))
    } else if let Some(file) = &args.cameras {
        listed(file)?
    } else if let Some(file) = Past::beside(&file_of(&args.scene)?).cameras() {
        let (shots, origin) = listed(&file)?;
        return Ok(Given { shots, fps: None, origin, to_follow: true });
    } else if args.path {
        let message =
            format!("--path needs cameras, and there is no cameras.json beside {}", args.scene.display());
        return Err(Hinted::error(message, "pass --data FOLDER or --cameras FILE"));
    } else {
        (Vec::new(), None)
    };
    Ok(Given { shots, fps: None, origin, to_follow: false })
}

/// The cameras of a `cameras.json` by name, and where their coordinates lie in the world.
fn listed(file: &Path) -> Result<(Vec<Shot>, Option<Origin>)> {
    let entries = cameras_json::read(file)?;
    if entries.is_empty() {
        return Err(Hinted::error(
            format!("{}: there are no cameras in it", file.display()),
            "give another file",
        ));
    }
    let origin = entries.first().map(|entry| entry.origin);
    let mut shots: Vec<Shot> = entries.into_iter().map(|e| Shot { name: e.name, camera: e.camera }).collect();
    shots.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((shots, origin))
}

/// The pictures to render, and their rate if a file gives it.
fn shots(args: &Args, given: Given, scene: &Scene) -> Result<(Vec<Shot>, Option<f64>)> {
    let lens = Lens { width: args.width, height: args.height, fov_y: args.fov };
    let cameras: Vec<&Camera> = given.shots.iter().map(|s| &s.camera).collect();
    if args.path {
        let shots = trajectory::spline(&cameras, args.frames.unwrap_or(300) as usize);
        return Ok((with_lens(shots, lens), None));
    }
    if args.orbit.is_none() && !given.shots.is_empty() && !given.to_follow {
        return Ok((with_lens(given.shots, lens), given.fps));
    }
    // A camera for its lens only; where it is does not matter.
    let model = cameras.first().map_or_else(
        || Camera::look_at(SIZE[0], SIZE[1], FOV, [0.0, 0.0, -1.0], [0.0; 3], [0.0, -1.0, 0.0]),
        |c| (*c).clone(),
    );
    let model = lens.of(&model);
    let fov_y = 2.0 * f64::from(model.tan_fovy).atan().to_degrees();
    let tangents = [model.tan_fovx, model.tan_fovy].map(f64::from);
    let mut orbit = Orbit::of_cameras(&cameras, &scene.host)
        .or_else(|| Orbit::of_gaussians(&scene.host, tangents))
        .ok_or_else(|| {
            let message = format!("{}: all Gaussians are at the same place", scene.path.display());
            Hinted::error(message, "render given poses: --trajectory FILE")
        })?;
    let CircleArgs { center, up, distance, elevation } = args.circle;
    let local = |world: [f64; 3]| std::array::from_fn(|k| world[k] - scene.host.origin.offset[k]);
    orbit.center = center.map_or(orbit.center, local);
    orbit.up = up.unwrap_or(orbit.up);
    if distance.is_some() || elevation.is_some() {
        let away = distance.unwrap_or_else(|| orbit.radius.hypot(orbit.height));
        let above = elevation.map_or_else(|| orbit.height.atan2(orbit.radius), f64::to_radians);
        (orbit.height, orbit.radius) = (away * above.sin(), away * above.cos());
    }
    let shots = orbit.shots(args.orbit.unwrap_or(120) as usize, [model.width, model.height], fov_y)?;
    Ok((shots, None))
}

fn with_lens(shots: Vec<Shot>, lens: Lens) -> Vec<Shot> {
    shots.into_iter().map(|s| Shot { camera: lens.of(&s.camera), ..s }).collect()
}

/// The depth that 999 of 1000 visible Gaussians do not exceed, over a sample of the pictures; 1 if nothing is visible.
fn farthest(scene: &splat_scene::Gaussians, shots: &[Shot]) -> f64 {
    let stride = |n: usize, most: usize| n.div_ceil(most).max(1);
    let mut depths: Vec<f64> = Vec::new();
    for shot in shots.iter().step_by(stride(shots.len(), 64)) {
        let sample = scene.means.chunks_exact(3).step_by(stride(scene.len(), 20_000));
        let seen = sample.filter_map(|m| depth_in_view(&shot.camera, [m[0], m[1], m[2]].map(f64::from)));
        depths.extend(seen.filter(|z| *z > NEAREST && z.is_finite()));
    }
    depths.sort_unstable_by(f64::total_cmp);
    let last = depths.len().saturating_sub(1);
    depths.get((last as f64 * 0.999) as usize).map_or(1.0, |z| z * 1.05)
}

/// Whether the path names a video.
pub(super) fn is_video(path: &Path) -> bool {
    let ending = path.extension().map(|e| e.to_ascii_lowercase());
    ending.is_some_and(|e| ["mp4", "mkv", "mov"].iter().any(|v| e == *v))
}
