//! The files of a run: `point_cloud.ply`, `views/*.png`, `stats.json`. Each appears whole or not at all.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use splat_scene::{Dataset, ply, save_png, write_atomically};
use tch::{Kind, Tensor};

use crate::{Event, Machine, Outcome, Result, Trainer, machine};

/// A folder for one run's files.
#[derive(Debug)]
pub struct Output {
    folder: PathBuf,
}

impl Output {
    /// Makes the folder and sees that it can be written: better now than after the last step.
    ///
    /// # Errors
    /// The system's, naming the folder.
    pub fn create(folder: &Path) -> Result<Self> {
        fs_err::create_dir_all(folder.join("views"))?;
        let trial = folder.join(".trial");
        fs_err::write(&trial, [])?;
        fs_err::remove_file(&trial)?;
        Ok(Self { folder: folder.into() })
    }

    /// Writes everything. `run` (command line, engine and the like) goes into `stats.json` as it is.
    ///
    /// # Errors
    /// A disk that is full, and the like, naming the file.
    pub fn save(
        &self,
        trainer: &Trainer,
        dataset: &Dataset,
        outcome: &Outcome,
        machine: &Machine,
        run: Value,
        listen: &mut dyn FnMut(&Event),
    ) -> Result<()> {
        let mut saved = |path: PathBuf| listen(&Event::Saved { path });
        let path = self.folder.join("point_cloud.ply");
        ply::write_gaussians(&path, &trainer.gaussians().download()?)?;
        saved(path);
        for view in trainer.held_out() {
            let (name, photo, image) = view?;
            let path = self.folder.join("views").join(view_name(trainer.steps(), name));
            // Photograph left, render right.
            let both = Tensor::f_cat(&[photo, image.f_clamp(0.0, 1.0)?], 2)?;
            let bytes = both.f_mul_scalar(255.0)?.f_round()?.f_to_kind(Kind::Uint8)?;
            let bytes = bytes.f_permute([1, 2, 0])?.f_contiguous()?.f_to_device(tch::Device::Cpu)?;
            let mut rgb = vec![0u8; bytes.numel()];
            bytes.f_copy_data(&mut rgb, bytes.numel())?;
            let size = both.size();
            save_png(&path, size[2] as u32, size[1] as u32, &rgb)?;
        }
        saved(self.folder.join("views"));
        let path = self.folder.join("stats.json");
        let stats = stats(trainer, dataset, outcome, machine, run);
        write_atomically(&path, |out| Ok(serde_json::to_writer_pretty(out, &stats)?))?;
        saved(path);
        Ok(())
    }
}

/// `00300_name.png`: steps, then the view's name without its extension, folders joined by `_`.
fn view_name(steps: u64, name: &str) -> String {
    let stem = Path::new(name).with_extension("");
    let flat = stem.to_string_lossy().replace(['/', '\\', ':'], "_");
    format!("{steps:05}_{flat}.png")
}

fn stats(trainer: &Trainer, dataset: &Dataset, outcome: &Outcome, machine: &Machine, run: Value) -> Value {
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
        "loss": outcome.loss,
        "steps": outcome.steps,
        "stopped_early": outcome.stopped_early,
        "train_seconds": outcome.train_seconds,
        "wall_seconds": outcome.wall_seconds,
        "steps_per_second": outcome.steps as f64 / outcome.train_seconds.max(f64::MIN_POSITIVE),
        "peak_memory_mib": {
            "host": machine::peak_host_mib(),
            "gpu_in_use_at_end": machine.gpu.as_ref().and_then(|_| machine::gpu_memory_mib()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn view_names_stay_in_their_folder() {
        assert_eq!(view_name(7000, "a/b c.JPG"), "07000_a_b c.png");
        assert_eq!(view_name(7, "..\\x.png"), "00007_.._x.png");
        assert_eq!(view_name(123_456, "plain"), "123456_plain.png");
    }
}
