//! The files of a run: `point_cloud.ply`, `cameras.json`, `views/*.png` (`00300_name.png` after 300 steps), `views.csv`,
//! `curves.svg`, `stats.json`, and `exposure.json` and `response.json` if these are learned. Each is written atomically.
//!
//! `cameras.json` has the layout of 3DGS trainers (`splat_scene::cameras_json`): all views of the dataset, training views at
//! their corrected poses if poses are learned. `exposure.json` contains, by name of photograph, the rows of the affine map
//! (3x4) of the render's colours, for the training views; `response.json`, for all views, what their camera does to light
//! ([`splat_train::Response`]).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use splat_scene::{Dataset, cameras_json, ply, write_atomically};

use splat_train::metrics::{Evaluator, Mean, Scores};
use splat_train::{Event, Outcome, RankReport, Sample, Trainer, memory_in_use_mib};

use crate::cli::folder::Folder;
use crate::machine::{self, Machine};
use crate::report::{self, Series};

/// The folder for the files of one run, which nobody else writes to meanwhile.
#[derive(Debug)]
pub(crate) struct Output {
    folder: PathBuf,
    _lock: Folder,
}

impl Output {
    /// Creates and locks the folder and checks that it can be written, which is better known now than after the last step. A
    /// folder that is not empty is refused with `hint` unless `again`; files of the same names are then replaced.
    pub(crate) fn create(folder: &Path, again: bool, hint: &'static str) -> Result<Self> {
        let lock = Folder::open(folder, again, hint)?;
        let trial = folder.join(".trial");
        fs_err::write(&trial, [])?;
        fs_err::remove_file(&trial)?;
        Ok(Self { folder: folder.into(), _lock: lock })
    }

    /// What the other ranks of a group do while rank 0 writes: they give their share of the Gaussians and of each render.
    pub(crate) fn help_save(trainer: &Trainer) -> Result<()> {
        trainer.gaussians().download_whole()?;
        for view in trainer.held_out() {
            view?;
        }
        Ok(())
    }

    /// Writes everything. `run` (command line, engine and so on) goes into `stats.json` unchanged, as do the reports of the ranks.
    pub(crate) fn save(
        &self,
        trainer: &Trainer,
        dataset: &Dataset,
        outcome: &Outcome,
        (run, ranks): (Value, Vec<RankReport>),
        listen: &mut dyn FnMut(&Event),
    ) -> Result<()> {
        // The scene first: if the disk becomes full later, nothing is lost that cannot be made again.
        let path = self.folder.join("point_cloud.ply");
        let scene = trainer.gaussians().download_whole()?.context("the Gaussians did not come to rank 0")?;
        let antialiased = trainer.config().antialiasing;
        ply::write_as(&path, &scene, ply::Options { antialiased, ..ply::Options::default() })?;
        listen(&Event::Saved { path });
        let path = self.folder.join("cameras.json");
        cameras_json::write(&path, &trainer.cameras()?)?;
        listen(&Event::Saved { path });
        let learned = [
            ("exposure.json", trainer.exposures()?.map(serde_json::to_value).transpose()?),
            ("response.json", trainer.responses()?.map(serde_json::to_value).transpose()?),
        ];
        for (name, all) in learned {
            let Some(all) = all else { continue };
            let path = self.folder.join(name);
            write_atomically(&path, |out| Ok(serde_json::to_writer_pretty(out, &all)?))?;
            listen(&Event::Saved { path });
        }
        fs_err::create_dir_all(self.folder.join("views"))?;
        let evaluator = Evaluator::default();
        let mut scores = Vec::new();
        let files = report::file_names(dataset.test.iter().map(|&i| dataset.views[i].name.as_str()));
        for (view, file) in trainer.held_out().zip(files) {
            let view = view?;
            let path = self.folder.join("views").join(format!("{:05}_{file}.png", trainer.steps()));
            report::side_by_side(&path, &view.truth.photo, &view.image, view.truth.mask.as_ref())?;
            scores.extend(view.score(&evaluator)?);
        }
        listen(&Event::Saved { path: self.folder.join("views") });
        let path = self.folder.join("views.csv");
        report::per_view_csv(&path, &scores)?;
        listen(&Event::Saved { path });
        let path = self.folder.join("curves.svg");
        report::plot(&path, &curves(outcome))?;
        listen(&Event::Saved { path });
        let path = self.folder.join("stats.json");
        let mean = Scores { views: scores, skipped: Vec::new() }.mean();
        let mut stats = stats(trainer, dataset, outcome, mean, run);
        if !ranks.is_empty() {
            stats["ranks"] = serde_json::to_value(ranks)?;
        }
        write_atomically(&path, |out| Ok(serde_json::to_writer_pretty(out, &stats)?))?;
        listen(&Event::Saved { path });
        Ok(())
    }
}

/// Loss, PSNR of training and held-out views, and the number of Gaussians, against steps. What is measured on one view at a
/// time is smoothed: views differ more than steps do.
pub(crate) fn curves(outcome: &Outcome) -> [Series; 4] {
    let trained =
        |of: fn(&Sample) -> f64| -> Vec<_> { outcome.curve.iter().map(|s| (s.step as f64, of(s))).collect() };
    let held_out = outcome.evaluations.iter().map(|e| (e.step as f64, e.psnr)).collect();
    [
        Series::new("loss", "training, smoothed", smoothed(&trained(|s| s.loss))),
        Series::new("PSNR, dB", "training, smoothed", smoothed(&trained(|s| s.psnr))),
        Series::new("PSNR, dB", "held out", held_out),
        Series::new("Gaussians", "Gaussians", trained(|s| s.gaussians as f64)),
    ]
}

/// A moving average over the last tenth of the points, at most; what is not finite stays and does not count.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let keep = 1.0 - 1.0 / (points.len() as f64 / 20.0).clamp(1.0, 20.0);
    let mut mean = None;
    let smooth = |&(x, y): &(f64, f64)| {
        if !y.is_finite() {
            return (x, y);
        }
        let next = mean.map_or(y, |mean| keep * mean + (1.0 - keep) * y);
        mean = Some(next);
        (x, next)
    };
    points.iter().map(smooth).collect()
}

fn stats(
    trainer: &Trainer,
    dataset: &Dataset,
    outcome: &Outcome,
    held_out: Option<Mean>,
    run: Value,
) -> Value {
    let machine = Machine::probe(trainer.backend());
    let first = &dataset.views[dataset.train[0]].camera;
    json!({
        "format": 1,
        "program": { "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
        "run": run,
        "config": trainer.config(),
        "data": {
            "source": dataset.source,
            "fingerprint": dataset.fingerprint(),
            "test": dataset.test.iter().map(|&i| &dataset.views[i].name).collect::<Vec<_>>(),
            "views": dataset.views.len(),
            "train_views": dataset.train.len(),
            "test_views": dataset.test.len(),
            "points": dataset.points.len(),
            "width": first.width,
            "height": first.height,
            "scene_extent": dataset.scene_extent,
            "origin": dataset.origin.offset,
            "warnings": dataset.warnings,
        },
        "machine": machine,
        "gaussians": trainer.gaussians().total(),
        "evaluations": outcome.evaluations,
        "final": outcome.evaluations.last(),
        "held_out_cc_psnr": held_out.map(|mean| mean.cc_psnr),
        "curve": outcome.curve,
        "profile_ms": trainer.phase_times(outcome),
        "loss": outcome.loss,
        "steps": outcome.steps,
        "stopped_early": outcome.stopped_early,
        "train_seconds": outcome.train_seconds,
        "wall_seconds": outcome.wall_seconds,
        "steps_per_second": outcome.steps as f64 / outcome.train_seconds.max(f64::MIN_POSITIVE),
        "peak_memory_mib": {
            "host": machine::peak_host_mib(),
            "gpu_in_use_at_end": machine.gpu.as_ref().and_then(|_| memory_in_use_mib(trainer.backend())),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_smoothed_and_trends_stay() {
        let noisy: Vec<(f64, f64)> =
            (0..200).map(|i| (f64::from(i), f64::from(i) + if i % 2 == 0 { 20.0 } else { -20.0 })).collect();
        let smooth = smoothed(&noisy);
        assert_eq!((smooth.len(), smooth[7].0), (200, 7.0));
        for pair in smooth[40..].windows(2) {
            assert!((pair[1].1 - pair[0].1).abs() < 6.0, "{pair:?}");
        }
        assert!((smooth[199].1 - 199.0).abs() < 12.0, "{:?}", smooth[199]);
        assert_eq!(smoothed(&noisy[..1]), noisy[..1]);
        let gap = smoothed(&[(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)]);
        assert!(gap[1].1.is_nan() && gap[2].1.is_finite());
    }
}
