//! The trainer: a scene with its optimiser, its views and a strategy, trained one step after the other.
//!
//! [`Trainer::builder`] puts one together (`builder.rs`), [`Trainer::step`] takes a step (`step.rs`, `fused.rs`), [`Trainer::run`] is the
//! loop around the steps with evaluations and checkpoints (`run.rs`), [`Trainer::checkpoint`] saves everything
//! (`saved.rs`). It is written only on the public pieces of this crate.

mod builder;
mod evaluate;
mod fused;
mod pass;
mod run;
mod saved;
mod saver;
mod shared;
mod step;

use std::collections::BTreeMap;

use splat_core::Values;
use splat_engine::Abilities;
use splat_scene::cameras_json;
use splat_tch::{Backend, Background, Camera, Settings, Workspace};
use tch::Tensor;

pub use builder::TrainerBuilder;
pub use evaluate::HeldOut;
pub use run::RunOptions;
pub use shared::RankReport;
pub use step::StepResult;

use crate::profile::Profile;
use crate::{
    Average, Budget, ColorMap, Config, Densify, Dropout, Exposures, Gaussians, Loss, Optimizer, Order,
    Outcome, PhaseTimes, Poses, Probe, Regularization, Response, Responses, Result, Start, Views,
};

/// The settings to train with on `backend`, as far as its engine can: raw parameters, and no waiting for the device unless
/// `deterministic`.
///
/// # Errors
/// Out of device memory.
pub fn render_settings(backend: &Backend, deterministic: bool) -> Result<Settings> {
    let can = |ability| backend.capabilities().abilities.contains(ability);
    let raw = can(Abilities::RAW) && can(Abilities::SPLIT_SH);
    // With a workspace that was too small, a render lacks the farthest Gaussians: that would depend on what ran before.
    let workspace = if backend.device().is_cuda() && !deterministic && can(Abilities::WORKSPACE) {
        Some(Workspace::new(backend)?)
    } else {
        None
    };
    Ok(Settings {
        values: if raw { Values::Raw } else { Values::Activated },
        workspace,
        reproducible: deterministic,
        ..Settings::new(backend)
    })
}

/// A scene in training.
///
/// ```no_run
/// use splat_scene::{Dataset, OpenOptions};
/// use splat_train::{Config, Event, RunOptions, Trainer};
///
/// let dataset = Dataset::open("photos", &OpenOptions::default())?;
/// let config = Config::default().over(7000);
/// let mut trainer = Trainer::builder(&dataset).config(config).build()?;
/// trainer.run(&RunOptions::default(), |_, event| {
///     if let Event::Step { step, psnr, .. } = event {
///         println!("{step}: {psnr:.2} dB");
///     }
/// })?;
/// trainer.gaussians().download()?.write("scene.ply")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Trainer {
    config: Config,
    backend: Backend,
    /// [`splat_scene::Dataset::fingerprint`].
    dataset: String,
    views: Views,
    train: Vec<usize>,
    test: Vec<usize>,
    extent: f64,
    gaussians: Gaussians,
    optimizer: Optimizer,
    densify: Box<dyn Densify>,
    dropout: Dropout,
    average: Average,
    /// What the number of Gaussians was chosen from, if it was.
    budget: Option<Budget>,
    loss: Box<dyn Loss>,
    regularization: Regularization,
    exposures: Option<Exposures>,
    responses: Option<Responses>,
    poses: Option<Poses>,
    settings: Settings,
    /// `[3]`, on the device.
    background: Tensor,
    /// `[iterations,3]`, if each step has its own background.
    backgrounds: Option<Tensor>,
    order: Order,
    steps: u64,
    profile: Option<Profile>,
    /// How the first points were found, if they were.
    start: Option<Start>,
    /// The run up to the checkpoint that was resumed.
    before: Outcome,
    /// Whether this rank of a group was asked to stop, and whether the ranks agreed on it in the last step.
    asked_to_stop: bool,
    stop_agreed: bool,
}

impl Trainer {
    /// The parameters; in a group the share of this rank.
    #[must_use]
    pub fn gaussians(&self) -> &Gaussians {
        &self.gaussians
    }

    /// Steps taken, including those before a checkpoint.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The settings of the run.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How the largest number of Gaussians was chosen; `None` if the settings or a strategy of your own decide on it.
    #[must_use]
    pub fn budget(&self) -> Option<Budget> {
        self.budget
    }

    /// Where and by what the trainer computes.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The views of the dataset with their photographs.
    #[must_use]
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// Measures the phases of every hundredth step from now on.
    pub fn profile(&mut self) {
        self.profile = Some(Profile::default());
    }

    /// Where the time of the measured steps went, over a run with this outcome; `None` if no step was measured.
    #[must_use]
    pub fn phase_times(&self, outcome: &Outcome) -> Option<PhaseTimes> {
        self.profile.as_ref()?.figures(outcome.train_seconds, outcome.steps)
    }

    /// Renders view `i` from its pose in the dataset with the active SH degree: `[3,H,W]`, without a graph, not clamped.
    ///
    /// All ranks of a group must call it, and each gets the image.
    ///
    /// # Errors
    /// What the rasterizer reports, for example out of device memory.
    pub fn render(&self, i: usize) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let settings = self.looking();
        if self.gaussians.shares.is_some() {
            let camera = Camera::new(self.views.camera(i).core().clone(), self.backend.device())?;
            return self.shared_render(camera, &settings);
        }
        Ok(self.gaussians.render(self.views.camera(i), &settings, &Probe::default())?.color)
    }

    /// The settings for an image that is looked at, which must not lack anything.
    fn looking(&self) -> Settings {
        Settings {
            sh_degree: self.config.active_degree(self.steps),
            background: Background::Tensor(self.background.shallow_clone()),
            workspace: None,
            weight_sum: false,
            weight_max: false,
            ..self.settings.clone()
        }
    }

    /// All views of the dataset with their cameras, at the corrected poses if poses are learned; waits for the device.
    ///
    /// # Errors
    /// What torch reports, for example a failure of the device.
    pub fn cameras(&self) -> Result<Vec<cameras_json::Entry>> {
        let entry = |i: usize| {
            let core = self.views.camera(i).core();
            let camera = match &self.poses {
                Some(poses) => poses.corrected(core, i)?,
                None => core.clone(),
            };
            Ok(cameras_json::Entry { name: self.views.name(i).into(), camera, origin: self.gaussians.origin })
        };
        (0..self.views.len()).map(entry).collect()
    }

    /// The learned exposures of the training views by name, `None` if exposures are not learned; waits for the device.
    ///
    /// # Errors
    /// What torch reports, for example a failure of the device.
    pub fn exposures(&self) -> Result<Option<BTreeMap<&str, ColorMap>>> {
        let Some(exposures) = &self.exposures else { return Ok(None) };
        let named = |&i: &usize| Ok((self.views.name(i), exposures.map(i)?));
        self.train.iter().map(named).collect::<Result<_>>().map(Some)
    }

    /// The learned responses of the cameras by name of view, `None` if they are not learned; waits for the device.
    ///
    /// # Errors
    /// What torch reports, for example a failure of the device.
    pub fn responses(&self) -> Result<Option<BTreeMap<&str, Response>>> {
        let Some(responses) = &self.responses else { return Ok(None) };
        let named = |i: usize| Ok((self.views.name(i), responses.response(i)?));
        (0..self.views.len()).map(named).collect::<Result<_>>().map(Some)
    }
}
