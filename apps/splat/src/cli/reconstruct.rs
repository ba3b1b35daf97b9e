//! `splat reconstruct`, and the same within `splat train`: shows the stages, and says what came of them.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use serde_json::json;

use super::bar::Bar;
use super::common::stopped_by_ctrl_c;
use super::events;
use super::folder::{Folder, RECONSTRUCTION};
use super::poses::{self, quoted};
use super::{Ended, Hinted, say};
use crate::reconstruct::{self, Report, Settings, Source, photographs};

/// With fewer points than this, a training begins with points from comparing photographs: of 17 photographs with 2,300 points, held-out
/// views after 1,000 steps have 23.3 dB, with 7,500 points or compared photographs 25.5 dB.
pub(crate) const FEW_POINTS: usize = 7_500;

/// Arguments of `splat reconstruct`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    splat reconstruct photos -o out\n  \
    splat reconstruct walk.mp4 -o out --frames 120\n\n\
    `splat train photos -o out` does this by itself. The poses lie in out/reconstruction, a COLMAP dataset.")]
pub(crate) struct Args {
    /// Folder of photographs (JPEG, PNG), or a video
    photos: PathBuf,
    /// Folder for the results, which go into its folder `reconstruction`
    #[arg(short, long)]
    output: PathBuf,
    /// Folder of masks, black where nothing stands still, if it is not `masks` beside the photographs
    #[arg(long, value_name = "DIR")]
    masks: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Say nothing but warnings and errors
    #[arg(short, long)]
    quiet: bool,
    /// Write the stages to stdout, one JSON object per line
    #[arg(long)]
    json_events: bool,
}

pub(crate) fn run(args: &Args) -> Result<Ended> {
    let Some(source) = reconstruct::source(&args.photos) else {
        let what =
            if args.photos.exists() { "holds no photographs, and is no video" } else { "does not exist" };
        let message = format!("{} {what}", args.photos.display());
        return Err(Hinted::error(
            message,
            "give a folder with JPEG or PNG files, or a video such as walk.mp4",
        ));
    };
    let stop = stopped_by_ctrl_c()?;
    let shown = Shown::new(args.quiet, args.json_events);
    let posed = posed(&source, &args.output, args.masks.as_deref(), &args.settings, &stop, shown)?;
    let Some((folder, report)) = posed else { return Ok(Ended::Stopped) };
    if !args.quiet {
        let images = if folder.join("images").exists() {
            String::new()
        } else {
            format!(" --images {}", quoted(&report.images))
        };
        say::note(&format!("now: splat train {}{images} -o OUT", quoted(&folder)));
    }
    Ok(Ended::Done)
}

/// Finds the poses of `source`, in the folder `reconstruction` of `output`. Returns that folder and what is in it; None if the user
/// stopped.
pub(crate) fn posed(
    source: &Source,
    output: &Path,
    masks: Option<&Path>,
    settings: &Settings,
    stop: &AtomicBool,
    mut shown: Shown,
) -> Result<Option<(PathBuf, Report)>> {
    splatwright::program::brings_by(poses::this_command());
    let folder = output.join(RECONSTRUCTION);
    let _lock = Folder::open(&folder, true, "")?;
    let report = reconstruct::run(source, &folder, masks, settings, stop, &mut |what, done, of| {
        shown.stage(what, done, of);
    });
    shown.clear();
    let Some(report) = report? else {
        say::note("stopped; the reconstruction starts again with the next run");
        return Ok(None);
    };
    if !shown.quiet {
        say::note(&found(&report, &folder));
    }
    for line in reconstruct::left_out(&report.left_out) {
        say::warn(&line);
    }
    if 2 * report.placed < report.photographs {
        say::warn(&format!(
            "the scene is reconstructed from {} of {}: look at {}",
            report.placed,
            photographs(report.photographs),
            folder.join("cameras.png").display()
        ));
    }
    Ok(Some((folder, report)))
}

fn found(report: &Report, folder: &Path) -> String {
    let how = if report.reused {
        format!("from {}, as nothing has changed", folder.display())
    } else {
        format!("in {:.1} s; wrote {}", report.seconds, folder.display())
    };
    format!(
        "{}: {} of {} placed, {} points, {how}",
        report.tool,
        report.placed,
        photographs(report.photographs),
        say::grouped(report.points)
    )
}

/// What is being done, as lines, a bar and JSON.
pub(crate) struct Shown {
    quiet: bool,
    json: bool,
    what: String,
    bar: Option<Bar>,
}

impl Shown {
    pub(crate) fn new(quiet: bool, json: bool) -> Self {
        Self { quiet, json, what: String::new(), bar: None }
    }

    fn stage(&mut self, what: &str, done: u64, of: u64) {
        if self.json {
            events::tell(&json!({ "event": "reconstruct", "stage": what, "done": done, "of": of }));
        }
        if self.what != what {
            self.clear();
            self.what = what.to_owned();
            if !self.quiet {
                say::note(what);
            }
        }
        if of > 0 {
            let bar = self.bar.get_or_insert_with(|| Bar::new(of, self.quiet));
            bar.of(of);
            bar.show(done, &[what]);
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.clear();
        }
    }
}
