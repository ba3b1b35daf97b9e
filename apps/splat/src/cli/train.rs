//! `splat train`: opens the data, runs the trainer, shows its events, writes the results.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;
use splat_train::{Checkpoint, RunOptions, Trainer, checkpoint_path};

use super::Hinted;
use super::common::{BackendArgs, DataArgs, print, stopped_by_ctrl_c};
use super::progress::Progress;
use super::rerun::{Live, RerunArgs};
use super::settings::TrainArgs;
use crate::output::Output;

/// Arguments of `splat train`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    splat train data/snowmiku -o out\n  \
    splat train data/snowmiku -o out --iterations 7000 --strategy mcmc --max-gaussians 300000\n  \
    splat train data/snowmiku -o out --engine cpu --downscale 8 --iterations 300\n  \
    splat train data/snowmiku -o out --resume\n  \
    splat train data/snowmiku -o out --rerun\n\n\
    Ctrl-C finishes the step and saves; a second one ends at once.")]
pub(crate) struct Args {
    /// Folder of the dataset: COLMAP, transforms.json, NeRF-synthetic and others (see `splat info`)
    data: PathBuf,
    /// Folder for point_cloud.ply, stats.json, views and curves; created if it does not exist
    #[arg(short, long)]
    output: PathBuf,
    #[command(flatten)]
    views: DataArgs,
    #[command(flatten)]
    train: TrainArgs,
    #[command(flatten)]
    backend: BackendArgs,
    /// Save a checkpoint every N steps; 0: only when stopped early
    #[arg(long, value_name = "N", default_value_t = 5000)]
    checkpoint_every: u64,
    /// Continue from the checkpoint in the output folder
    #[arg(long)]
    resume: bool,
    /// Write into an output folder that is not empty
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Measure where the time of a step goes, and write it to stats.json
    #[arg(long)]
    profile: bool,
    /// Print the settings as JSON for --config, and exit
    #[arg(long)]
    print_config: bool,
    /// Say nothing but warnings and errors
    #[arg(short, long)]
    quiet: bool,
    /// Write every event to stdout, one JSON object per line
    #[arg(long)]
    json_events: bool,
    #[command(flatten)]
    rerun: RerunArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let config = args.train.config(args.views.depths.is_some())?;
    if args.print_config {
        return print(&serde_json::to_string_pretty(&config)?);
    }
    args.rerun.check()?;
    let dataset = args.views.open(&args.data)?;
    let backend = args.backend.backend()?;
    let path = checkpoint_path(&args.output);
    let checkpoint = if args.resume {
        if !path.exists() {
            let message = format!("cannot resume: there is no checkpoint {}", path.display());
            return Err(Hinted::error(message, "start a new run: the same command without --resume"));
        }
        let checkpoint = Checkpoint::read(&path).context("cannot resume")?;
        checkpoint.fits(&path, &dataset.fingerprint(), &config, backend.name()).context("cannot resume")?;
        Some(checkpoint)
    } else {
        None
    };
    let output = Output::create(&args.output, args.overwrite || args.resume)?;
    let stop = stopped_by_ctrl_c()?;

    let mut progress = Progress::new(args.quiet, args.json_events, config.iterations);
    let mut live = Live::open(&args.rerun, &dataset, &config, args.overwrite)?;
    let mut builder = Trainer::builder(&dataset).config(config).backend(backend.clone());
    if let Some(checkpoint) = &checkpoint {
        builder = builder.resume(checkpoint);
    }
    let mut trainer = builder.build()?;
    drop(checkpoint);
    if args.profile {
        trainer.profile();
    }
    let options = RunOptions {
        stop: &stop,
        checkpoint: Some(path),
        checkpoint_every: args.checkpoint_every,
        report_every: args.rerun.every(),
    };
    let result = trainer.run(&options, |trainer, event| {
        progress.show(event);
        if let Some(warning) = live.as_mut().and_then(|live| live.show(trainer, event)) {
            progress.show(&warning);
        }
    });
    if let Some(warning) = live.and_then(Live::finish) {
        progress.show(&warning);
    }
    let outcome = result?;
    let run = json!({
        "command": std::env::args().collect::<Vec<_>>(),
        "data": args.data,
        "views": args.views,
        "engine": backend.name(),
        "device": format!("{:?}", backend.device()),
    });
    output.save(&trainer, &dataset, &outcome, run, &mut |event| progress.show(event))?;
    progress.finish(&outcome);
    if outcome.stopped_early && !args.quiet {
        anstream::eprintln!("stopped at step {}; the same command with --resume continues", outcome.steps);
    }
    Ok(())
}
