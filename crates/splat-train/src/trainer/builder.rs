//! What a trainer is made from.

use splat_dist::Group;
use splat_engine::Abilities;
use splat_scene::Dataset;
use splat_tch::Backend;
use tch::{Device, Tensor};

use super::{Trainer, render_settings};
use crate::shares::described;
use crate::{
    Average, Budget, Checkpoint, Config, Densify, Dropout, Error, Exposures, Gaussians, Init, Loss,
    Optimizer, Order, Outcome, Photographed, Photometric, Poses, Precision, Responses, Result, Strategy,
    Views, Watch, first_points_watched, initial,
};

/// Puts a [`Trainer`] together. Everything but the dataset has a default.
#[derive(Debug)]
#[must_use]
pub struct TrainerBuilder<'a> {
    dataset: &'a Dataset,
    config: Option<Config>,
    backend: Option<Backend>,
    densify: Option<Box<dyn Densify>>,
    loss: Option<Box<dyn Loss>>,
    gaussians: Option<&'a splat_scene::Gaussians>,
    checkpoint: Option<&'a Checkpoint>,
    group: Option<Group>,
    watch: Watch<'a>,
}

impl Trainer {
    /// A trainer for `dataset`.
    pub fn builder(dataset: &Dataset) -> TrainerBuilder<'_> {
        TrainerBuilder {
            dataset,
            config: None,
            backend: None,
            densify: None,
            loss: None,
            gaussians: None,
            checkpoint: None,
            group: None,
            watch: Watch::default(),
        }
    }
}

impl<'a> TrainerBuilder<'a> {
    /// The settings. By default those of the checkpoint, or [`Config::default`].
    pub fn config(self, config: Config) -> Self {
        Self { config: Some(config), ..self }
    }

    /// Where and by what to compute. By default [`Backend::auto`].
    pub fn backend(self, backend: Backend) -> Self {
        Self { backend: Some(backend), ..self }
    }

    /// A strategy of your own instead of [`Config::strategy`].
    pub fn densify(self, densify: Box<dyn Densify>) -> Self {
        Self { densify: Some(densify), ..self }
    }

    /// A loss of your own instead of [`Photometric`]. Regularisation and the loss of depths are added to it as
    /// the settings say.
    pub fn loss(self, loss: Box<dyn Loss>) -> Self {
        Self { loss: Some(loss), ..self }
    }

    /// Gaussians to start from instead of the first points; their SH degree must be that of the settings.
    pub fn gaussians(self, gaussians: &'a splat_scene::Gaussians) -> Self {
        Self { gaussians: Some(gaussians), ..self }
    }

    /// Continues from a checkpoint of a run on this dataset with these settings; [`Checkpoint::fits`] checks that. Overrides
    /// [`TrainerBuilder::gaussians`].
    pub fn resume(self, checkpoint: &'a Checkpoint) -> Self {
        Self { checkpoint: Some(checkpoint), ..self }
    }

    /// Trains together with the other ranks of a group: the Gaussians are shared out over them, and each step's views, too
    /// ([`Config::batch`], at least one for each rank). The numbers are those of one rank with the same settings, up to the
    /// order of sums. Every rank must be built alike, on its own device, which the group names.
    pub fn group(self, group: Group) -> Self {
        Self { group: Some(group), ..self }
    }

    /// Hears how far the search for first points is, and may end it.
    pub fn watch(self, watch: Watch<'a>) -> Self {
        Self { watch, ..self }
    }

    /// Finds the first points unless there are Gaussians to start from, and loads the photographs.
    ///
    /// # Errors
    /// A photograph that cannot be read; no points, or the search for them was ended; settings out of range; a tensor that is missing in the checkpoint; out of
    /// device memory.
    pub fn build(self) -> Result<Trainer> {
        let saved = || self.checkpoint.map(|checkpoint| checkpoint.header.config.clone());
        let config = self.config.clone().or_else(saved).unwrap_or_default();
        config.check()?;
        let backend = self.backend.clone().unwrap_or_else(Backend::auto);
        let device = backend.device();
        if let Some(group) = &self.group {
            agree(group, self.dataset, &config, &backend, self.densify.as_deref())?;
        }
        // What a rank does not keep need not come to its device.
        let place = if self.group.is_some() { Device::Cpu } else { device };
        let (mut start, extent) = (None, self.dataset.scene_extent);
        let views = Views::load(self.dataset, config.image_cache, &backend)?;
        let background = Tensor::f_from_slice(&config.background)?.f_to_device(device)?;
        // Of what the checkpoint began with, too: it depends on the dataset alone.
        let budget = match (&config.strategy, &self.densify) {
            (Strategy::Guided(_), None) => Some(Budget::of(self.dataset, &views, &background)?),
            _ => None,
        };
        let mut gaussians = match (self.checkpoint, self.gaussians) {
            (Some(checkpoint), _) => checkpoint.gaussians(place)?,
            (None, Some(host)) => {
                check_degree(host, &config)?;
                Gaussians::upload(host, place)?
            }
            (None, None) => {
                let init = Init { source: config.init, count: config.init_count, seed: config.seed };
                let found = first_points_watched(self.dataset, &init, self.watch)?;
                let most = config
                    .strategy
                    .most()
                    .or(budget.map(|b| b.cap))
                    .into_iter()
                    .chain(config.max_points)
                    .min();
                let mut host = initial(&found.points, most, config.sh_degree, config.seed)?;
                host.origin = self.dataset.origin;
                start = Some(found);
                Gaussians::upload(&host, place)?
            }
        };
        if config.precision == Precision::Compact {
            let engine = backend.capabilities();
            if !engine.abilities.contains(Abilities::STEP) {
                return Err(Error::Settings(format!(
                    "the precision is `compact`, but engine `{}` has only `fp32`: it cannot end a backward pass in a step",
                    engine.name
                )));
            }
            if config.batch > 1 {
                return Err(Error::Settings(format!(
                    "the precision is `compact`, but a step is on {} views: with several it is `fp32`",
                    config.batch
                )));
            }
            gaussians.compact()?;
        }
        // Cameras are relative to the dataset's origin.
        gaussians.set_origin(self.dataset.origin)?;
        if let Some(group) = &self.group {
            group.agree("Gaussians to start from", &described(&gaussians)?)?;
            group.agree("budget", &format!("{budget:?}"))?;
            gaussians.share_out(group)?;
            gaussians = gaussians.into_device(device)?;
        }
        let mut settings = render_settings(&backend, config.deterministic)?;
        settings.antialiasing = config.antialiasing;
        let (exposures, responses, poses) = per_view(self.dataset, &views, &config, &backend)?;
        let own = || config.strategy.start(extent, budget, config.seed);
        let densify = self.densify.unwrap_or_else(own);
        let loss = self.loss.unwrap_or_else(|| Box::new(Photometric { lambda: config.lambda_dssim }));
        let mut trainer = Trainer {
            optimizer: Optimizer::for_gaussians(&backend, &gaussians, &config.rates, extent)?
                .for_batch(config.batch),
            regularization: config.regularization_over(densify.regularization()),
            order: Order::new(&self.dataset.train, config.seed),
            dataset: self.dataset.fingerprint(),
            train: self.dataset.train.clone(),
            test: self.dataset.test.clone(),
            background,
            backgrounds: random_backgrounds(&config, &backend)?,
            steps: 0,
            average: Average::new(config.average, config.iterations),
            dropout: Dropout::new(config.dropout, config.dropout_until, config.seed),
            budget: budget.filter(|_| config.strategy.most().is_none()),
            profile: None,
            before: Outcome::default(),
            asked_to_stop: false,
            stop_agreed: false,
            start,
            config,
            backend,
            views,
            extent,
            gaussians,
            densify,
            loss,
            exposures,
            responses,
            poses,
            settings,
        };
        if let Some(checkpoint) = self.checkpoint {
            trainer.restore(checkpoint)?;
        }
        Ok(trainer)
    }
}

/// Checks that the group can train with these settings, and that all its ranks have the same.
fn agree(
    group: &Group,
    dataset: &Dataset,
    config: &Config,
    backend: &Backend,
    own: Option<&dyn Densify>,
) -> Result<()> {
    let engine = backend.capabilities();
    group.agree("version", env!("CARGO_PKG_VERSION"))?;
    group.agree("engine", &format!("{} {} {}", engine.name, engine.version, engine.fingerprint))?;
    group.agree("dataset", &dataset.fingerprint())?;
    let settings = serde_json::to_value(config).unwrap_or_default();
    for (name, value) in settings.as_object().into_iter().flatten() {
        group.agree(&format!("setting {name}"), &value.to_string())?;
    }
    let refuse = |text: String| Err(Error::Settings(text));
    if config.batch < group.world() {
        return refuse(format!(
            "a step is on {} views, fewer than the {} ranks of the group",
            config.batch,
            group.world()
        ));
    }
    if group.device() != backend.device() {
        let (a, b) = (group.device(), backend.device());
        return refuse(format!("the group exchanges tensors on {a:?}, but the trainer computes on {b:?}"));
    }
    if !engine.abilities.contains(Abilities::STAGES) {
        return refuse(format!(
            "engine `{}` cannot share out Gaussians: it renders only as a whole",
            engine.name
        ));
    }
    if own.is_some_and(|strategy| !strategy.works_on_shares()) {
        return refuse(
            "the strategy does not say that it works on shares: `Densify::works_on_shares`".into(),
        );
    }
    Ok(())
}

fn check_degree(host: &splat_scene::Gaussians, config: &Config) -> Result<()> {
    if host.sh_degree() == config.sh_degree {
        return Ok(());
    }
    Err(Error::Settings(format!(
        "the Gaussians to start from have SH degree {}, but the settings say {}",
        host.sh_degree(),
        config.sh_degree
    )))
}

/// What is learned for each training view, and for each camera.
fn per_view(
    dataset: &Dataset,
    views: &Views,
    config: &Config,
    backend: &Backend,
) -> Result<(Option<Exposures>, Option<Responses>, Option<Poses>)> {
    let cameras: Vec<&splat_core::Camera> = (0..views.len()).map(|i| views.camera(i).core()).collect();
    let of = Photographed { cameras: &cameras, train: &dataset.train, extent: dataset.scene_extent };
    let (rates, most) = (&config.rates, config.iterations);
    let exposures = config
        .exposure
        .then(|| Exposures::new(of, rates.exposure.within(most), rates.exposure_decay, backend))
        .transpose()?;
    let responses = config
        .response
        .then(|| Responses::new(of, rates.response.within(most), rates.response_decay, backend))
        .transpose()?;
    let poses = config
        .poses
        .then(|| Poses::new(of, rates.pose.within(most), rates.pose_decay, backend))
        .transpose()?;
    Ok((exposures, responses, poses))
}

/// `[iterations,3]`, if the settings ask for random backgrounds.
fn random_backgrounds(config: &Config, backend: &Backend) -> Result<Option<Tensor>> {
    if !config.random_background {
        return Ok(None);
    }
    let mut rng = fastrand::Rng::with_seed(config.seed ^ 0xBAC6);
    let numbers: Vec<f32> = (0..3 * config.iterations).map(|_| rng.f32()).collect();
    Ok(Some(Tensor::f_from_slice(&numbers)?.f_view([-1, 3])?.f_to_device(backend.device())?))
}
