//! `splat train`: opens the data, runs the trainer, shows its events, writes the results.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use serde_json::json;
use splat_scene::{Dataset, Options};
use splat_train::{Config, Event, Machine, Output, Trainer, device_for};

use super::progress::Progress;

/// Arguments of `splat train`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  splat train data/snowmiku -o out --engine cpu --downscale 8 --iterations 300\n\n\
    Ctrl-C finishes the step and saves; a second one ends at once."
)]
pub(crate) struct Args {
    /// Folder with a COLMAP model in `sparse/0` (or `sparse`) and photographs in `images` or `images_N`
    data: PathBuf,
    /// Folder for point_cloud.ply, stats.json and views/*.png; made if it does not exist
    #[arg(short, long)]
    output: PathBuf,
    /// Steps, one photograph each
    #[arg(long, value_name = "N", default_value_t = 7000)]
    iterations: u64,
    /// Train at 1/N of the size that COLMAP saw [default: the largest photographs there are]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    downscale: Option<u32>,
    /// Who renders: cpu; inria (needs a CUDA GPU); auto takes the GPU if it can
    #[arg(long, value_name = "NAME", default_value = "auto")]
    engine: String,
    /// Highest degree of the spherical harmonics; in use after as many thousand steps
    #[arg(long, value_name = "0-3", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=3))]
    sh_degree: u32,
    /// Render the held-out views every N steps, and at the start and end; 0: only then [default: a tenth of the steps]
    #[arg(long, value_name = "N")]
    eval_every: Option<u64>,
    /// Hold out every N-th photograph, by name; 0 holds out none
    #[arg(long, value_name = "N", default_value_t = 8)]
    test_every: u32,
    /// Begin from at most N of the points
    #[arg(long, value_name = "N")]
    max_points: Option<usize>,
    /// Decides the order of photographs and the choice of points
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Folder of the photographs, if it is not `images` or `images_N`
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Fail if photographs are missing, instead of leaving them out
    #[arg(long)]
    strict: bool,
    /// Say nothing but warnings and errors
    #[arg(short, long)]
    quiet: bool,
    /// Write every event to stdout, one JSON object a line
    #[arg(long)]
    json_events: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let options = Options {
        downscale: args.downscale,
        images: args.images.clone(),
        test_every: args.test_every,
        strict: args.strict,
        ..Options::default()
    };
    let dataset = Dataset::open(&args.data, &options)
        .with_context(|| format!("cannot train on {}", args.data.display()))?;
    for warning in &dataset.warnings {
        anstream::eprintln!("warning: {warning}");
    }
    let output = Output::create(&args.output)?;
    let (device, engine) = device_for(&args.engine)?;
    share_threads(device);
    let config = Config {
        iterations: args.iterations,
        sh_degree: args.sh_degree,
        eval_every: args.eval_every.unwrap_or_else(|| args.iterations.div_ceil(10)),
        max_points: args.max_points,
        seed: args.seed,
        ..Config::default()
    };
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .context("cannot catch Ctrl-C")?;

    let mut progress = Progress::new(args.quiet, args.json_events, args.iterations);
    let mut listen = |event: &Event| progress.show(event);
    let mut trainer = Trainer::new(&dataset, config, device, &engine)?;
    let outcome = trainer.run(&stop, &mut listen)?;
    let run = json!({
        "command": std::env::args().collect::<Vec<_>>(),
        "data": args.data,
        "downscale": args.downscale,
        "test_every": args.test_every,
        "engine": engine,
        "device": format!("{device:?}"),
    });
    let machine = Machine::probe(device.is_cuda());
    output.save(&trainer, &dataset, &outcome, &machine, run, &mut listen)?;
    progress.finish(&outcome);
    Ok(())
}

/// On the CPU, torch's threads and the rasterizer's take turns, and torch's spin while they wait: where
/// there are few processors they then take them from the rasterizer (4x the CPU time on two).
fn share_threads(device: tch::Device) {
    if device.is_cuda() || std::env::var_os("OMP_NUM_THREADS").is_some() {
        return;
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    tch::set_num_threads(i32::try_from(threads / 4).unwrap_or(1).max(1));
}
