//! What a run tells its listener. Serializes to one JSON object each, tagged by `event`.

use std::path::PathBuf;

use serde::Serialize;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Photographs and parameters are on the device.
    Ready {
        /// Views to train on.
        train_views: usize,
        /// Views held out.
        test_views: usize,
        /// Gaussians.
        gaussians: usize,
        /// Size of the first view.
        width: u32,
        /// Size of the first view.
        height: u32,
        /// Where it computes.
        device: String,
    },
    /// Some steps are done. Reading these numbers waits for the device, so not every step is reported.
    Step {
        /// Steps done.
        step: u64,
        /// Of how many.
        iterations: u64,
        /// The loss, averaged over the steps since the last report.
        loss: f64,
        /// PSNR of the step's own view, before the step.
        psnr: f64,
        /// Gaussians.
        gaussians: usize,
        /// Active SH degree.
        sh_degree: u32,
        /// Since the last report, evaluations excluded.
        steps_per_second: f64,
    },
    /// The held-out views were rendered.
    Evaluated(Evaluation),
    /// A file or folder was written.
    Saved {
        /// Which.
        path: PathBuf,
    },
}

/// Quality on the held-out views, averaged over them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Evaluation {
    /// Steps done.
    pub step: u64,
    /// Decibels.
    pub psnr: f64,
    /// 0 to 1.
    pub ssim: f64,
    /// Gaussians.
    pub gaussians: usize,
    /// Seconds of training up to here, evaluations excluded.
    pub train_seconds: f64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Steps done.
    pub steps: u64,
    /// Whether it was stopped before the last step.
    pub stopped_early: bool,
    /// Loss of the last report.
    pub loss: Option<f64>,
    /// First to last; empty where no view is held out.
    pub evaluations: Vec<Evaluation>,
    /// Evaluations excluded.
    pub train_seconds: f64,
    /// Evaluations included, loading excluded.
    pub wall_seconds: f64,
}
