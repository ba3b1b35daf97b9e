//! `splat train`: opens the data, runs the trainer, shows its events, writes the results.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use splat_init::Error as InitError;
use splat_scene::{Dataset, Gaussians};
use splat_train::{
    Backend, Checkpoint, Config, Error, Event, PointSource, Preset, Ranks, RunOptions, Trainer, Watch,
    checkpoint_path,
};

use super::bar::Bar;
use super::common::{self, BackendArgs, DataArgs, absolute, stopped_by_ctrl_c};
use super::folder::Folder;
use super::progress::Progress;
use super::ranks::{self, Part, RanksArgs};
use super::reconstruct;
use super::rerun::{self, RerunArgs};
use super::settings::{TrainArgs, option_of};
use super::view::{Live, LiveArgs};
use super::{Ended, Hinted, say, start};
use crate::output::Output;
use crate::reconstruct::{Settings, Source};

/// Arguments of `splat train`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    splat train data/snowmiku -o out\n  \
    splat train photos -o out\n  \
    splat train walk.mp4 -o out\n  \
    splat train data/snowmiku -o out --preset fast\n  \
    splat train data/snowmiku -o out --engine cpu --downscale 8 --iterations 300\n  \
    splat train data/snowmiku -o out --resume\n  \
    splat train data/snowmiku -o out --view\n\n\
    Ctrl-C finishes the step and saves, with exit code 3; a second one ends at once. --resume takes all settings from the \
    run; only --iterations, the evaluations and --image-cache may differ. A finished run is made longer with --resume \
    --iterations N.")]
pub(crate) struct Args {
    /// Folder of photographs, or a video; or a dataset with poses: COLMAP, transforms.json, NeRF-synthetic and others (see
    /// `splat info`)
    data: PathBuf,
    /// Folder for point_cloud.ply, stats.json, views and curves; created if it does not exist
    #[arg(short, long)]
    output: PathBuf,
    #[command(flatten)]
    views: DataArgs,
    #[command(flatten)]
    train: TrainArgs,
    #[command(flatten)]
    reconstruction: Settings,
    #[command(flatten)]
    backend: BackendArgs,
    #[command(flatten)]
    ranks: RanksArgs,
    /// Save a checkpoint every N steps, and at the end; 0: only at the end
    #[arg(long, value_name = "N", default_value_t = 5000)]
    checkpoint_every: u64,
    /// Continue from the checkpoint in the output folder, with its settings
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
    #[command(flatten)]
    view: LiveArgs,
}

/// The photographs or the video, if that is why `read` failed.
fn unposed(args: &Args, views: &DataArgs, read: &Result<Dataset>) -> Option<Source> {
    let missing = read.as_ref().err().is_some_and(common::is_unposed);
    missing.then(|| views.source(&args.data)).flatten()
}

/// Where to go on, and how the run was begun.
struct Resumed {
    path: PathBuf,
    checkpoint: Checkpoint,
}

/// What a checkpoint notes about its run.
#[derive(serde::Serialize, serde::Deserialize)]
struct Note {
    views: DataArgs,
}

pub(crate) fn run(args: &Args) -> Result<Ended> {
    let part = args.ranks.part(&args.backend)?;
    if let (Part::Starts(world), false) = (&part, args.print_config) {
        return args.ranks.start(*world, &stopped_by_ctrl_c()?);
    }
    let (rank, world) = match &part {
        Part::Alone => (0, 1),
        Part::Rank(rendezvous) => (rendezvous.rank, rendezvous.world),
        Part::Starts(world) => (0, *world),
    };
    let quiet = args.quiet || rank > 0;
    let path = checkpoint_path(&args.output);
    let resumed = args.resume.then(|| Resumed::read(path.clone())).transpose()?;
    let views = match &resumed {
        Some(resumed) => args.views.over(&resumed.views()),
        None => args.views.clone(),
    };
    let earlier = resumed.as_ref().map(|resumed| &resumed.checkpoint.header.config);
    let settings = |photos| args.train.config(earlier, views.depths.is_some(), photos, world);
    if args.print_config {
        // Without photographs to fit them to, the settings as they stand; how many have poses is not known beforehand.
        let read = args.data.exists().then(|| views.read(&args.data));
        let posed = read.filter(|read| unposed(args, &views, read).is_none());
        let dataset = posed.map(|read| DataArgs::opened(&args.data, read)).transpose()?;
        let config = settings(dataset.map(|d| d.train.len()))?;
        say::print(&serde_json::to_string_pretty(&config)?)?;
        return Ok(Ended::Done);
    }
    args.rerun.check()?;
    if world > 1 && (args.view.wanted() || args.rerun.wanted()) {
        let hint = "leave it out, or train on one GPU; `splat view OUT` shows what was saved";
        return Err(ranks::refuse(if args.view.wanted() { "--view" } else { "--rerun" }, hint));
    }
    // Before the data is read: a run that cannot begin should say so at once.
    let hint = if path.exists() {
        "continue the run in it with --resume, or replace it with --overwrite"
    } else {
        "choose another folder, or write into this one with --overwrite"
    };
    if let Some(resumed) = &resumed {
        resumed.agrees(&args.views, &settings(None)?)?;
    }
    let stop = stopped_by_ctrl_c()?;
    let (mut data, mut views) = (args.data.clone(), views.clone());
    let mut read = views.read(&data);
    let mut few = None;
    if let Some(source) = unposed(args, &views, &read) {
        if world > 1 {
            return Err(ranks::refuse(
                "looking for the poses of photographs",
                "find them first: splat reconstruct DATA -o FOLDER",
            ));
        }
        // Refused now rather than after the reconstruction.
        drop(Folder::open(&args.output, args.overwrite || args.resume, hint)?);
        let shown = reconstruct::Shown::new(args.quiet, args.json_events);
        let masks = views.masks.as_deref();
        let posed = reconstruct::posed(&source, &args.output, masks, &args.reconstruction, &stop, shown)?;
        let Some((folder, report)) = posed else { return Ok(Ended::Stopped) };
        views = views.of_photographs(&report.images, report.masks.as_deref());
        data = folder;
        read = views.read(&data);
        few = Some(report.points).filter(|n| *n < reconstruct::FEW_POINTS && !args.resume);
    }
    let mut dataset = DataArgs::opened(&data, read)?;
    let mut config = settings(Some(dataset.train.len()))?;
    // A run that goes on has begun already.
    let file = args.train.init_file().filter(|_| !args.resume);
    let start = file.map(|file| start::apply(file, &mut dataset, &mut config)).transpose()?.flatten();
    if let Some(points) = few.filter(|_| file.is_none() && config.init == PointSource::Auto) {
        config.init = PointSource::Sweep;
        if !args.quiet {
            say::note(&format!(
                "{} points are few to begin with; looking for more in the photographs (--init points begins with these)",
                say::grouped(points)
            ));
        }
    }
    let own_points = start.is_none() && matches!(config.init, PointSource::Auto | PointSource::Points);
    common::plausible(&data, &dataset, own_points && !dataset.points.is_empty() && !args.resume)?;
    let engine = resumed.as_ref().map(|resumed| resumed.checkpoint.header.engine.as_str());
    let backend = match &part {
        Part::Rank(rendezvous) => args.backend.backend_of_rank(rendezvous.local_rank, engine)?,
        _ => args.backend.backend_like(engine)?,
    };
    if let Some(Resumed { path, checkpoint }) = &resumed {
        checkpoint.fits(path, &dataset.fingerprint(), &config, backend.name()).context("cannot resume")?;
    }
    // Rank 0 writes; the others compute.
    let output =
        (rank == 0).then(|| Output::create(&args.output, args.overwrite || args.resume, hint)).transpose()?;
    let group = match &part {
        Part::Rank(rendezvous) => Some(args.ranks.join(rendezvous, &backend)?),
        _ => None,
    };
    if let Some(group) = group.as_ref().filter(|_| !quiet) {
        ranks::introduce(group, config.batch);
    }

    let mut progress = Progress::new(quiet, args.json_events && rank == 0, config.iterations);
    let mut rerun = rerun::Live::open(&args.rerun, &dataset, &config, args.overwrite)?;
    let mut live = Live::open(&args.view, &dataset, &stop)?;
    let built = build(args, &dataset, config, &backend, (start, resumed), group.clone(), &stop);
    if let (Err(error), Some(group)) = (&built, &group) {
        // So that the others need not wait to find out.
        let _ = group.leave(Some(&format!("{error:#}")));
    }
    let Some(mut trainer) = built? else {
        say::note("stopped before the first step; there is nothing to save yet");
        return Ok(Ended::Stopped);
    };
    if !quiet && !args.resume {
        say::note(&chosen(args.train.preset(), &trainer, dataset.train.len()));
    }
    if args.profile {
        trainer.profile();
    }
    let options = RunOptions {
        stop: &stop,
        checkpoint: Some(path),
        checkpoint_every: args.checkpoint_every,
        note: serde_json::to_value(Note { views: views.absolute() })?,
        report_every: args.rerun.every(),
    };
    let result = trainer.run(&options, |trainer, event| {
        progress.show(event);
        if let Some(warning) = rerun.as_mut().and_then(|rerun| rerun.show(trainer, event)) {
            progress.show(&warning);
        }
        match live.as_mut().map_or(Ok(Duration::ZERO), |live| live.show(trainer, event)) {
            Ok(time) => progress.rested(time),
            // Whoever watches sees less; the training does not stop for that.
            Err(error) => progress.show(&Event::Warning { text: format!("--view: {error:#}") }),
        }
    });
    if let Some(warning) = rerun.and_then(rerun::Live::finish) {
        progress.show(&warning);
    }
    let outcome = result?;
    let run = json!({
        "command": std::env::args().collect::<Vec<_>>(),
        "data": absolute(&data),
        "views": views.absolute(),
        "engine": backend.name(),
        "device": format!("{:?}", backend.device()),
    });
    let reports = trainer.rank_reports(&outcome)?;
    match &output {
        Some(output) => {
            let mut listen = |event: &Event| progress.show(event);
            let save = || output.save(&trainer, &dataset, &outcome, (run, reports), &mut listen);
            // Files of a large scene take their time, for which the other ranks wait.
            match &group {
                Some(group) => group.busy(save)?,
                None => save()?,
            }
        }
        None => Output::help_save(&trainer)?,
    }
    if let Some(group) = group {
        group.leave(None).map_err(Error::from)?;
    }
    progress.finish(&outcome);
    if let Some(live) = live {
        live.finish(&trainer).unwrap_or_else(|error| say::warn(&format!("--view: {error:#}")));
    }
    Ok(if outcome.stopped_early { Ended::Stopped } else { Ended::Done })
}

/// The trainer; None if Ctrl-C came while the first points were looked for.
fn build(
    args: &Args,
    dataset: &Dataset,
    config: Config,
    backend: &Backend,
    (start, resumed): (Option<Gaussians>, Option<Resumed>),
    group: Option<Ranks>,
    stop: &AtomicBool,
) -> Result<Option<Trainer>> {
    let quiet = args.quiet || group.as_ref().is_some_and(|group| group.rank() > 0);
    let bar = Mutex::new(Bar::new(0, quiet));
    let hear = |done: usize, of: usize| {
        if done > 0
            && let Ok(mut bar) = bar.try_lock()
        {
            bar.of(of as u64);
            bar.show(done as u64, &["looking for starting points in the photos"]);
        }
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut builder = Trainer::builder(dataset).config(config).backend(backend.clone()).watch(Watch(&hear));
    if let Some(start) = &start {
        builder = builder.gaussians(start);
    }
    if let Some(group) = group {
        builder = builder.group(group);
    }
    if let Some(resumed) = &resumed {
        builder = builder.resume(&resumed.checkpoint);
    }
    let built = builder.build();
    bar.lock().unwrap_or_else(PoisonError::into_inner).clear();
    match built {
        Err(Error::Init(InitError::Stopped)) => Ok(None),
        built => Ok(Some(built?)),
    }
}

impl Resumed {
    fn read(path: PathBuf) -> Result<Self> {
        if !path.exists() {
            let message = format!("cannot resume: there is no checkpoint {}", path.display());
            return Err(Hinted::error(message, "start a new run: the same command without --resume"));
        }
        let checkpoint = Checkpoint::read(&path).context("cannot resume")?;
        Ok(Self { path, checkpoint })
    }

    /// How the dataset was opened.
    fn views(&self) -> DataArgs {
        let note = serde_json::from_value::<Note>(self.checkpoint.header.note.clone());
        note.map(|note| note.views).unwrap_or_default()
    }

    /// Refuses arguments that say something else than the run, all of them at once.
    fn agrees(&self, views: &DataArgs, config: &Config) -> Result<()> {
        let mut differing = views.differences(&self.views());
        let settings = self.checkpoint.differences(config);
        differing
            .extend(settings.iter().filter_map(|d| common::differing(&option_of(&d.name), &d.then, &d.now)));
        if differing.is_empty() {
            return Ok(());
        }
        Err(Hinted::error(
            format!("cannot resume {}: {}", self.path.display(), differing.join("; ")),
            "leave these arguments out to continue that run, or start a new run in another folder",
        ))
    }
}

/// What the run does, and why.
fn chosen(preset: Option<Preset>, trainer: &Trainer, views: usize) -> String {
    let name = match preset {
        None => "settings of --config",
        Some(Preset::Best) => "preset best",
        Some(Preset::Fast) => "preset fast",
        Some(Preset::Published) => "preset published",
    };
    let config = trainer.config();
    let each = if config.batch > 1 { format!(" of {}", config.batch) } else { String::new() };
    let steps = format!("{name}: {} steps{each} over {views} photographs", config.iterations);
    let out = match config.dropout {
        0.0 => String::new(),
        share => format!(", {:.0} % of the Gaussians left out in each", 100.0 * share),
    };
    let most = trainer.budget().map_or_else(String::new, |b| {
        format!(
            "; at most {} Gaussians, for {:.0} pixels with detail in a photograph, which shows {:.0} % of the points",
            b.cap,
            b.detail,
            100.0 * b.share
        )
    });
    format!("{steps}{out}{most}")
}
