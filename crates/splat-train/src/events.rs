//! What a run tells its listener. Serializes to one JSON object each, tagged by `event`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Change;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first points were found.
    Placed {
        /// How.
        method: String,
        /// How many.
        points: usize,
        /// How many of them are guesses.
        guessed: usize,
        /// Time it took.
        seconds: f64,
    },
    /// Photographs and parameters are on the device.
    Ready {
        /// Views to train on.
        train_views: usize,
        /// Views held out.
        test_views: usize,
        /// Gaussians.
        gaussians: usize,
        /// Of the first view, pixels.
        width: u32,
        /// Of the first view, pixels.
        height: u32,
        /// Where it computes.
        device: String,
        /// Steps that were done before: 0, or those of the checkpoint.
        step: u64,
    },
    /// Some steps are done. Reading these numbers waits for the device, so not every step is reported.
    Step {
        /// Steps done.
        step: u64,
        /// Of how many.
        iterations: u64,
        /// The loss, averaged over the steps since the last report.
        loss: f64,
        /// PSNR of the step's own view, before the step; decibels.
        psnr: f64,
        /// Gaussians.
        gaussians: usize,
        /// Active SH degree.
        sh_degree: u32,
        /// Mean since the last report, evaluations excluded.
        steps_per_second: f64,
        /// Memory in use, in MiB: the GPU's where one is used, else this process's; absent where it cannot be learned.
        memory_mib: Option<u64>,
    },
    /// The number of Gaussians changed.
    Densified {
        /// Steps done.
        step: u64,
        /// How.
        #[serde(flatten)]
        change: Change,
        /// Gaussians now.
        gaussians: usize,
    },
    /// The held-out views were rendered.
    Evaluated(Evaluation),
    /// A file or folder was written.
    Saved {
        /// Which.
        path: PathBuf,
    },
    /// Something that the user should know and that does not end the run.
    Warning {
        /// What.
        text: String,
    },
}

/// Quality on the held-out views, averaged over them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Steps done.
    pub step: u64,
    /// Decibels.
    pub psnr: f64,
    /// -1 to 1; 1 for equal images.
    pub ssim: f64,
    /// Gaussians.
    pub gaussians: usize,
    /// Seconds of training up to here, evaluations excluded.
    pub train_seconds: f64,
}

/// A point of the curves over a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Steps done.
    pub step: u64,
    /// Averaged over the steps since the last one.
    pub loss: f64,
    /// Of the last step's own view, decibels.
    pub psnr: f64,
    /// Gaussians.
    pub gaussians: usize,
    /// Seconds of training up to here, evaluations excluded.
    pub train_seconds: f64,
}

/// How a run went, from its first step on, through every checkpoint it was resumed from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Steps done.
    pub steps: u64,
    /// Whether it was stopped before the last step.
    pub stopped_early: bool,
    /// Loss of the last report.
    pub loss: Option<f64>,
    /// First to last; empty where no view is held out.
    pub evaluations: Vec<Evaluation>,
    /// At every report, thinned to a few hundred.
    pub curve: Vec<Sample>,
    /// Seconds, evaluations and checkpoints excluded.
    pub train_seconds: f64,
    /// Seconds, evaluations included, loading excluded.
    pub wall_seconds: f64,
}

/// Most points of a curve.
const MOST_SAMPLES: usize = 512;

impl Outcome {
    /// Adds a point; drops every other one where there are too many.
    pub(crate) fn sample(&mut self, sample: Sample) {
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
