//! What a run tells its listener. An event serializes to a JSON object with its name in `event`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Change;

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first points were found.
    Placed {
        /// How they were found.
        method: String,
        /// Number of points.
        points: usize,
        /// How many of the points are guesses.
        guessed: usize,
        /// Seconds it took.
        seconds: f64,
    },
    /// Photographs and parameters are on the device.
    Ready {
        /// Number of training views.
        train_views: usize,
        /// Number of held-out views.
        test_views: usize,
        /// Number of Gaussians.
        gaussians: usize,
        /// Width of the first view in pixels.
        width: u32,
        /// Height of the first view in pixels.
        height: u32,
        /// The device that computes.
        device: String,
        /// Steps done before: 0, or those of the checkpoint.
        step: u64,
    },
    /// Some steps are done. Reading these numbers waits for the device, so not every step is reported.
    Step {
        /// Steps done.
        step: u64,
        /// Steps of the whole run.
        iterations: u64,
        /// The loss, averaged over the steps since the last report.
        loss: f64,
        /// PSNR of the last step's view before its update, in decibels.
        psnr: f64,
        /// Number of Gaussians.
        gaussians: usize,
        /// Active SH degree.
        sh_degree: u32,
        /// Average since the last report, without evaluations.
        steps_per_second: f64,
        /// Memory in use in MiB: of the GPU, or of this process if no GPU is used; absent if it is unknown.
        memory_mib: Option<u64>,
    },
    /// The number of Gaussians changed.
    Densified {
        /// Steps done.
        step: u64,
        /// What the refinement did.
        #[serde(flatten)]
        change: Change,
        /// Number of Gaussians now.
        gaussians: usize,
    },
    /// The held-out views were rendered.
    Evaluated(Evaluation),
    /// A file or folder was written.
    Saved {
        /// Its path.
        path: PathBuf,
    },
    /// Something that the user should know but that does not end the run.
    Warning {
        /// A sentence.
        text: String,
    },
}

/// Quality averaged over the held-out views.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Steps done.
    pub step: u64,
    /// PSNR in decibels.
    pub psnr: f64,
    /// SSIM, -1 to 1; 1 for equal images.
    pub ssim: f64,
    /// Number of Gaussians.
    pub gaussians: usize,
    /// Seconds of training so far, without evaluations.
    pub train_seconds: f64,
}

/// A point of the curves over a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Steps done.
    pub step: u64,
    /// The loss, averaged over the steps since the last point.
    pub loss: f64,
    /// PSNR of the last step's view in decibels.
    pub psnr: f64,
    /// Number of Gaussians.
    pub gaussians: usize,
    /// Seconds of training so far, without evaluations.
    pub train_seconds: f64,
}

/// How a run went from its first step on, through all checkpoints from which it was resumed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Steps done.
    pub steps: u64,
    /// Whether the run was stopped before its last step.
    pub stopped_early: bool,
    /// The loss in the last report.
    pub loss: Option<f64>,
    /// All evaluations in order; empty if no view is held out.
    pub evaluations: Vec<Evaluation>,
    /// A point per report, thinned to a few hundred.
    pub curve: Vec<Sample>,
    /// Seconds of training, without evaluations and checkpoints.
    pub train_seconds: f64,
    /// Seconds of the whole run, without loading.
    pub wall_seconds: f64,
}

/// A curve has at most this many points.
const MOST_SAMPLES: usize = 512;

impl Outcome {
    /// Adds a point to the curve; if there are too many, drops every other one first.
    pub fn sample(&mut self, sample: Sample) {
        if self.curve.len() >= MOST_SAMPLES {
            let mut index = 0;
            self.curve.retain(|_| {
                index += 1;
                index % 2 == 0
            });
        }
        self.curve.push(sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_stay_short_and_keep_their_ends() {
        let mut outcome = Outcome::default();
        for step in 1..=10_000 {
            outcome.sample(Sample { step, loss: 0.0, psnr: 0.0, gaussians: 0, train_seconds: 0.0 });
        }
        assert!(outcome.curve.len() <= MOST_SAMPLES && outcome.curve.len() > MOST_SAMPLES / 4);
        assert_eq!(outcome.curve.last().unwrap().step, 10_000);
        assert!(outcome.curve.is_sorted_by_key(|s| s.step));
    }
}
