//! The files of a run: `point_cloud.ply`, `cameras.json`, `views/*.png` (`00300_name.png` after 300 steps), `views.csv`,
//! `curves.svg`, `stats.json`, and `exposure.json` if exposures are learned. Each is written atomically.
//!
//! `cameras.json` has the layout of 3DGS trainers (`splat_scene::cameras_json`): all views of the dataset, training views at
//! their corrected poses if poses are learned. `exposure.json` contains, by name of photograph, the rows of the affine map
//! (3x4) of the render's colours, for the training views.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use splat_scene::{Dataset, cameras_json, ply, write_atomically};

use splat_train::metrics::{Evaluator, Mean, Scores};
use splat_train::{Event, Outcome, Sample, Trainer, checkpoint_path, memory_in_use_mib};

use crate::cli::Hinted;
use crate::machine::{self, Machine};
use crate::report::{self, Series};

/// The folder for the files of one run.
#[derive(Debug)]
pub(crate) struct Output {
    folder: PathBuf,
}

impl Output {
    /// Creates the folder and checks that it can be written, which is better known now than after the last step. A folder
    /// that is not empty is accepted only with `again`; files of the same names are then replaced.
    pub(crate) fn create(folder: &Path, again: bool) -> Result<Self> {
        if !again && folder.is_dir() && fs_err::read_dir(folder)?.next().is_some() {
            let hint = if checkpoint_path(folder).exists() {
                "go on from the run in it with --resume, or replace it with --overwrite"
            } else {
                "name another folder, or write into it with --overwrite"
            };
            return Err(Hinted::error(format!("{}: the output folder is not empty", folder.display()), hint));
        }
        fs_err::create_dir_all(folder)?;
        if again {
            remove_partials(folder)?;
        }
        let trial = folder.join(".trial");
        fs_err::write(&trial, [])?;
        fs_err::remove_file(&trial)?;
        Ok(Self { folder: folder.into() })
    }

    /// Writes everything. `run` (command line, engine and so on) goes into `stats.json` unchanged.
    pub(crate) fn save(
        &self,
        trainer: &Trainer,
        dataset: &Dataset,
        outcome: &Outcome,
        run: Value,
        listen: &mut dyn FnMut(&Event),
    ) -> Result<()> {
        // The scene first: if the disk becomes full later, nothing is lost that cannot be made again.
        let path = self.folder.join("point_cloud.ply");
        ply::write_gaussians(&path, &trainer.gaussians().download()?)?;
        listen(&Event::Saved { path });
        let path = self.folder.join("cameras.json");
        cameras_json::write(&path, &trainer.cameras()?)?;
        listen(&Event::Saved { path });
        if let Some(exposures) = trainer.exposures()? {
            let path = self.folder.join("exposure.json");
            write_atomically(&path, |out| Ok(serde_json::to_writer_pretty(out, &exposures)?))?;
            listen(&Event::Saved { path });
        }
        fs_err::create_dir_all(self.folder.join("views"))?;
        let evaluator = Evaluator::default();
        let mut scores = Vec::new();
        let files = report::file_names(dataset.test.iter().map(|&i| dataset.views[i].name.as_str()));
        for (view, file) in trainer.held_out().zip(files) {
            let (name, truth, image) = view?;
            let path = self.folder.join("views").join(format!("{:05}_{file}.png", trainer.steps()));
            report::side_by_side(&path, &truth.photo, &image, truth.mask.as_ref())?;
            scores.extend(evaluator.compare(name, &image, &truth)?);
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
        let stats = stats(trainer, dataset, outcome, mean, run);
        write_atomically(&path, |out| Ok(serde_json::to_writer_pretty(out, &stats)?))?;
        listen(&Event::Saved { path });
        Ok(())
    }
}

/// Removes the partial files, `.NAME.PROCESS.partial`, of runs that were killed while they wrote.
fn remove_partials(folder: &Path) -> Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') && name.ends_with(".partial") && path.is_file() {
            fs_err::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Loss, PSNR of training and held-out views, and the number of Gaussians, against steps.
fn curves(outcome: &Outcome) -> [Series; 4] {
    let trained = |of: fn(&Sample) -> f64| outcome.curve.iter().map(|s| (s.step as f64, of(s))).collect();
    let held_out = outcome.evaluations.iter().map(|e| (e.step as f64, e.psnr)).collect();
    [
        Series::new("loss", "training", trained(|s| s.loss)),
        Series::new("PSNR, dB", "training", trained(|s| s.psnr)),
        Series::new("PSNR, dB", "held out", held_out),
        Series::new("Gaussians", "Gaussians", trained(|s| s.gaussians as f64)),
    ]
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
            "views": dataset.views.len(),
            "train_views": dataset.train.len(),
            "test_views": dataset.test.len(),
            "points": dataset.points.len(),
            "width": first.width,
            "height": first.height,
            "scene_extent": dataset.scene_extent,
            "warnings": dataset.warnings,
        },
        "machine": machine,
        "gaussians": trainer.gaussians().len(),
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

    /// A run that could not start leaves a folder that the next run accepts; one that was killed leaves partial files, which
    /// the next run removes.
    #[test]
    fn folders_of_runs_that_failed_can_be_used() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("out");
        Output::create(&folder, false).unwrap();
        Output::create(&folder, false).unwrap();
        for name in [".checkpoint.safetensors.77.partial", "checkpoint.safetensors", ".kept"] {
            fs_err::write(folder.join(name), []).unwrap();
        }
        let occupied = Output::create(&folder, false).unwrap_err();
        assert!(occupied.downcast_ref::<Hinted>().unwrap().hint.contains("--resume"), "{occupied}");
        Output::create(&folder, true).unwrap();
        let mut left: Vec<_> = fs_err::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".kept", "checkpoint.safetensors"]);
    }
}
